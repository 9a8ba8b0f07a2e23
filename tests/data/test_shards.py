"""Shards hold the same files as a folder, byte for byte the same each time, and a damaged one is refused."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personsearch.augmentation.augment import AugmentConfig, augment
from personsearch.data import shards
from personsearch.data.cache import open_cache
from personsearch.data.dataset import Dataset
from personsearch.data.records import dataset_hash, read_manifest, write_manifest
from personsearch.data.shards import INDEX, SHARDS, Shards, pack_folder, pack_images, picture, unpack
from personsearch.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of several lengths and depths, one empty, one whose name is long and not ASCII."""
    source = tmp_path / "source"
    for number, size in enumerate((0, 1, 511, 512, 513, 5000)):
        path = source / f"camera {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(number).bytes(size))
    (source / f"{'é' * 110}.json").write_text("{}")
    return source


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[1, 1200, 10**6])
def shard_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A shard for each file, for some, for all."""
    monkeypatch.setattr(shards, "SHARD_BYTES", request.param)
    return int(request.param)


def test_what_is_packed_comes_back(folder: Path, tmp_path: Path, shard_bytes: int) -> None:
    pack_folder(folder, tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    opened = Shards.open(tmp_path / "packed")
    assert {name: opened.read(name) for name in opened.places} == contents(folder)
    number = {1: 6, 1200: 3, 10**6: 1}[shard_bytes]  # the empty file fills none
    assert len(list((tmp_path / "packed" / SHARDS).iterdir())) == number


def test_any_tar_reads_a_shard(folder: Path, tmp_path: Path) -> None:
    pack_folder(folder, tmp_path / "packed")
    (shard,) = (tmp_path / "packed" / SHARDS).iterdir()
    with tarfile.open(shard) as tar:
        tar.extractall(tmp_path / "again", filter="data")
    assert contents(tmp_path / "again") == contents(folder)


def test_equal_files_give_equal_bytes(folder: Path, tmp_path: Path, shard_bytes: int) -> None:
    pack_folder(folder, tmp_path / "first")
    copy = tmp_path / "copy"
    for name, content in sorted(contents(folder).items(), reverse=True):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
        (copy / name).chmod(0o600)
        os.utime(copy / name, (1, 1))
    pack_folder(copy, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(tmp_path / "first")


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_damaged_shard_is_refused(folder: Path, tmp_path: Path) -> None:
    pack_folder(folder, packed := tmp_path / "packed")
    opened = Shards.open(packed)
    (shard,) = opened.shards
    path, name = packed / SHARDS / shard.name, "camera 1/5.jpg"
    flip(path, shard.files[name][0] + 40)
    with pytest.raises(UserError, match=f"^{path}: {name} has another checksum: it is damaged$"):
        opened.read(name)
    assert opened.read("camera 0/4.jpg") == (folder / "camera 0/4.jpg").read_bytes()
    with pytest.raises(UserError, match=f"^{path}: does not match its hash; it is damaged or was not copied whole"):
        unpack(packed, tmp_path / "again")


@pytest.mark.parametrize("left", [0, 700])
def test_a_shard_that_was_not_copied_whole_is_refused(folder: Path, tmp_path: Path, left: int) -> None:
    pack_folder(folder, packed := tmp_path / "packed")
    (path,) = (packed / SHARDS).iterdir()
    whole = path.stat().st_size
    os.truncate(path, left)
    expected = f"^{path}: {left} bytes of {whole:,}; it is damaged or was not copied whole; write it again$"
    with pytest.raises(UserError, match=expected):
        Shards.open(packed)
    path.unlink()
    with pytest.raises(UserError, match=f"^{path}: 0 bytes of"):
        Shards.open(packed)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}x",
        "[1]",
        '[{"name": "a"}]',
        '[{"name": "../a", "bytes": 0, "sha256": "", "files": {}}]',
        '[{"name": "", "bytes": 0, "sha256": "", "files": {}}]',
        '[{"name": "a", "bytes": Infinity, "sha256": "", "files": {}}]',
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(UserError, match=r"shards\.json: not an index of shards"):
        Shards.open(tmp_path)


def change_files(packed: Path, change: Callable[[dict[str, list[int]]], dict[str, list[int]]]) -> None:
    index = json.loads((packed / INDEX).read_text())
    index[0]["files"] = change(index[0]["files"])
    (packed / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize("name", ["../outside.jpg", "/tmp/outside.jpg", "a/../../outside.jpg", "", ".", "a\0b"])
def test_nothing_is_written_outside(folder: Path, tmp_path: Path, name: str) -> None:
    pack_folder(folder, packed := tmp_path / "packed")
    change_files(packed, lambda files: {name: next(iter(files.values()))})
    with pytest.raises(UserError, match=r"a relative path without \.\. expected"):
        unpack(packed, tmp_path / "again")


def test_an_index_that_points_elsewhere_is_refused(folder: Path, tmp_path: Path) -> None:
    """Each shard is what it was, but the index gives a file the bytes of another."""
    pack_folder(folder, packed := tmp_path / "packed")
    for moved in (512, -1, 10**30):
        change_files(packed, lambda files: {"camera 1/5.jpg": [moved, *files["camera 1/5.jpg"][1:]]})  # noqa: B023
        with pytest.raises(UserError, match=r"camera 1/5\.jpg has another checksum: it is damaged"):
            unpack(packed, tmp_path / "again")
        with pytest.raises(UserError, match=r"camera 1/5\.jpg has another checksum: it is damaged"):
            Shards.open(packed).read("camera 1/5.jpg")


def test_a_name_that_is_a_file_and_a_folder_is_one_readable_line(folder: Path, tmp_path: Path) -> None:
    pack_folder(folder, packed := tmp_path / "packed")
    change_files(packed, lambda files: files | {"camera 1/5.jpg/a": files["camera 1/5.jpg"]})
    with pytest.raises(UserError, match=r"again/camera 1/5\.jpg/a: "):
        unpack(packed, tmp_path / "again")


@pytest.mark.parametrize("name", ["../outside.jpg", "images/../../outside.jpg", "/tmp/outside.jpg"])
def test_a_data_set_whose_images_lie_outside_is_refused(tiny_dataset: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(tiny_dataset, foreign := tmp_path / "foreign")
    first, *others = read_manifest(foreign)
    write_manifest(foreign, [replace(first, path=name), *others])
    with pytest.raises(UserError, match=r"a relative path without \.\. expected"):
        Dataset.open(foreign).records()


def pack_and_die(folder: Path, out_dir: Path) -> None:
    """Pack a file a shard, and die as of kill -9 after three."""
    shards.SHARD_BYTES = 1
    write, written = shards._write, []

    def write_three(source: Path, names: list[str], path: Path) -> shards.Shard:
        if len(written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(path)
        return write(source, names, path)

    shards._write = write_three
    pack_folder(folder, out_dir)


def test_a_killed_packing_is_continued(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    pack_folder(folder, tmp_path / "whole")
    out_dir = tmp_path / "killed"
    process = multiprocessing.get_context("fork").Process(target=pack_and_die, args=(folder, out_dir))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    first = out_dir / SHARDS / "00000.tar"
    before = first.stat().st_ino
    assert not (out_dir / INDEX).exists()
    pack_folder(folder, out_dir)
    assert first.stat().st_ino == before, "is not written twice"
    assert contents(out_dir) == contents(tmp_path / "whole")


@pytest.fixture
def packed_dataset(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`tiny_dataset` with its images in several shards."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 30_000)
    folder = tmp_path / "packed"
    shutil.copytree(tiny_dataset, folder)
    pack_images(folder)
    return folder


def test_a_packed_data_set_is_the_same_data_set(tiny_dataset: Path, packed_dataset: Path, tmp_path: Path) -> None:
    assert not (packed_dataset / "images").exists()
    assert 1 < len(list((packed_dataset / SHARDS).iterdir())) < 48
    loose, packed = Dataset.open(tiny_dataset), Dataset.open(packed_dataset)
    assert packed.hash == loose.hash
    for record in loose.records():
        assert packed.picture(record) == loose.image_path(record).read_bytes()
    pixels = [open_cache(each, tmp_path / name, "test", (48, 24)) for each, name in ((loose, "a"), (packed, "b"))]
    assert np.array_equal(*pixels)


def test_packing_again_changes_nothing(packed_dataset: Path) -> None:
    before = contents(packed_dataset)
    pack_images(packed_dataset)
    assert contents(packed_dataset) == before


def test_new_images_go_into_shards_of_their_own(packed_dataset: Path) -> None:
    before = contents(packed_dataset)
    (packed_dataset / "images").mkdir()
    (packed_dataset / "images/new.png").write_bytes(b"new")
    pack_images(packed_dataset)
    assert {name for name, content in before.items() if (packed_dataset / name).read_bytes() != content} == {INDEX}
    assert picture(packed_dataset, "images/new.png") == b"new"
    assert isinstance(picture(packed_dataset, "images/0_0.png"), bytes)


def test_augment_carries_shards_as_they_are(packed_dataset: Path, tmp_path: Path) -> None:
    augment(AugmentConfig(), packed_dataset, out := tmp_path / "augmented")
    for shard in (packed_dataset / SHARDS).iterdir():
        assert (out / SHARDS / shard.name).samefile(shard)
    assert len(Dataset.open(out).records()) == 48
    assert isinstance(Dataset.open(out).picture(Dataset.open(out).records()[0]), bytes)


def test_a_damaged_image_of_a_data_set_is_named(packed_dataset: Path, tmp_path: Path) -> None:
    opened = Shards.open(packed_dataset)
    shard = opened.places["images/8_0.png"]
    flip(packed_dataset / SHARDS / shard.name, shard.files["images/8_0.png"][0] + 60)
    with pytest.raises(UserError, match=r"images/8_0\.png has another checksum: it is damaged; run `personsearch data"):
        open_cache(Dataset.open(packed_dataset), tmp_path / "cache", "test", (48, 24))


def test_an_opened_data_set_is_whole(packed_dataset: Path) -> None:
    (packed_dataset / SHARDS / "00001.tar").unlink()
    with pytest.raises(UserError, match=r"00001\.tar: 0 bytes of"):
        Dataset.open(packed_dataset)


@pytest.fixture
def raw(cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, object]]) -> Path:
    return cuhk_pedes([row(number) for number in range(1, 5)])


def test_prepare_reads_unpacked_files_as_it_reads_the_originals(
    raw: Path, tmp_path: Path, run_prepare: Callable[..., object]
) -> None:
    pack_folder(raw, tmp_path / "packed")
    hashes = set()
    for name in ("first", "second"):
        unpack(tmp_path / "packed", tmp_path / name)
        run_prepare(tmp_path / name, out=f"prepared-{name}")
        hashes.add(dataset_hash(tmp_path / f"prepared-{name}"))
    run_prepare(raw)
    assert hashes == {dataset_hash(tmp_path / "prepared")}
    keys = [
        json.loads((tmp_path / f"prepared-{name}/run.json").read_text())["lineage"]["input"]
        for name in ("first", "second")
    ]
    assert keys[0] == keys[1], "the record of a run does not depend on when files were unpacked"


def test_a_data_set_that_is_prepared_again_has_no_shards_of_before(
    raw: Path, tmp_path: Path, run_prepare: Callable[..., object]
) -> None:
    run_prepare(raw)
    pack_images(tmp_path / "prepared")
    run_prepare(raw, max_caption_words=10)
    assert not (tmp_path / "prepared" / INDEX).exists()
    record = Dataset.open(tmp_path / "prepared").records()[0]
    assert Dataset.open(tmp_path / "prepared").image_path(record).is_file()


def test_the_hash_of_a_shard_is_that_of_its_file(folder: Path, tmp_path: Path) -> None:
    pack_folder(folder, packed := tmp_path / "packed")
    (shard,) = Shards.open(packed).shards
    assert hashlib.sha256((packed / SHARDS / shard.name).read_bytes()).hexdigest() == shard.sha256
