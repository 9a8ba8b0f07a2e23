"""The packed image cache: right pixels, once, also after kill -9."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch.data import cache
from personsearch.data.cache import cached_pixels, open_cache, prune
from personsearch.data.dataset import Dataset
from personsearch.data.records import read_manifest
from personsearch.errors import UserError
from personsearch.files import alone
from personsearch.images import open_image, resize


def test_rows_are_the_resized_images_in_manifest_order(tiny_dataset: Path, tmp_path: Path) -> None:
    pixels = open_cache(Dataset.open(tiny_dataset), tmp_path, "val", (32, 16))
    records = read_manifest(tiny_dataset, "val")
    assert pixels.shape == (len(records), 32, 16, 3)
    assert isinstance(pixels, np.memmap)
    for row, record in zip(pixels, records, strict=True):
        assert np.array_equal(row, resize(open_image(tiny_dataset / record.path), 32, 16))


def test_each_interpolation_has_its_own_cache(tiny_dataset: Path, tmp_path: Path) -> None:
    dataset, record = Dataset.open(tiny_dataset), read_manifest(tiny_dataset, "val")[0]
    image = open_image(tiny_dataset / record.path)
    bicubic, bilinear = (open_cache(dataset, tmp_path, "val", (32, 16), kind)[0] for kind in ("bicubic", "bilinear"))
    assert np.array_equal(bicubic, np.asarray(image.resize((16, 32), Image.Resampling.BICUBIC)))
    assert np.array_equal(bilinear, np.asarray(image.resize((16, 32), Image.Resampling.BILINEAR)))
    assert not np.array_equal(bicubic, bilinear)
    assert len(cached_pixels(tmp_path)) == 2


def test_a_finished_cache_needs_no_images(tiny_dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_dataset, tmp_path / "copy")
    first = np.array(open_cache(Dataset.open(copy), tmp_path / "cache", "test", (16, 8)))
    shutil.rmtree(copy / "images")
    assert np.array_equal(open_cache(Dataset.open(copy), tmp_path / "cache", "test", (16, 8)), first)
    with pytest.raises(UserError, match=r"0_0.png: file is missing; run `personsearch data prepare` again"):
        open_cache(Dataset.open(copy), tmp_path / "cache", "val", (16, 8))


def test_a_cache_on_a_read_only_disk_can_be_read(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(open_cache(Dataset.open(tiny_dataset), tmp_path, "val", (8, 4)))

    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    assert np.array_equal(open_cache(Dataset.open(tiny_dataset), tmp_path, "val", (8, 4)), first)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from personsearch.data import cache
    from personsearch.data.dataset import Dataset
    cache.IMAGES_PER_ADVANCE = 4
    decode, count = cache.resize, 0
    def resize(*arguments):
        global count
        count += 1
        if count == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(*arguments)
    cache.resize = resize
    cache.open_cache(Dataset.open(Path(sys.argv[1])), Path(sys.argv[2]), "val", (32, 16))
"""


def test_a_killed_process_leaves_a_cache_that_is_resumed(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(tiny_dataset), str(tmp_path)]
    assert subprocess.run(script, check=False, env=os.environ).returncode == -signal.SIGKILL
    (home,) = tmp_path.iterdir()
    assert (home / "done.json").is_file()
    assert not (home / "index.json").is_file()
    decoded = []
    monkeypatch.setattr(cache, "resize", lambda *arguments: decoded.append(1) or resize(*arguments))
    resumed = open_cache(Dataset.open(tiny_dataset), tmp_path, "val", (32, 16))
    assert 0 < len(decoded) < len(resumed)
    monkeypatch.undo()
    assert np.array_equal(resumed, open_cache(Dataset.open(tiny_dataset), tmp_path / "fresh", "val", (32, 16)))


def aged(folder: Path, days: float) -> Path:
    """Make every file of a cache as old as said."""
    then = time.time() - days * cache.SECONDS_PER_DAY
    for path in folder.iterdir():
        os.utime(path, (then, then))
    return folder


@pytest.fixture
def caches(tiny_dataset: Path, tmp_path: Path) -> dict[str, Path]:
    """Three caches, last used 40, 20 and 10 days ago, beside a folder that is none."""
    sizes = {"old": (32, 16), "middle": (16, 8), "young": (8, 4)}
    for size in sizes.values():
        open_cache(Dataset.open(tiny_dataset), tmp_path, "val", size)
    (tmp_path / "thesis").mkdir()
    found = {name: next(tmp_path.glob(f"*-val-{size[0]}x{size[1]}")) for name, size in sizes.items()}
    return {name: aged(found[name], days) for name, days in (("old", 40), ("middle", 20), ("young", 10))}


def test_caches_are_listed_by_last_use(caches: dict[str, Path], tiny_dataset: Path, tmp_path: Path) -> None:
    assert [each.folder for each in cached_pixels(tmp_path)] == list(caches.values())
    assert cached_pixels(tmp_path)[0].bytes >= 24 * 32 * 16 * 3
    open_cache(Dataset.open(tiny_dataset), tmp_path, "val", (32, 16))
    assert cached_pixels(tmp_path)[-1].folder == caches["old"]
    assert cached_pixels(tmp_path / "absent") == []


def test_prune_goes_by_age_and_by_size(caches: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.load(caches["old"] / "pixels.npy", mmap_mode="r")
    total = sum(each.bytes for each in cached_pixels(tmp_path))
    assert prune(tmp_path, unused_days=41, most_bytes=total) == []
    assert [each.folder for each in prune(tmp_path, unused_days=30, most_bytes=total)] == [caches["old"]]
    assert pixels.shape == (24, 32, 16, 3)
    assert pixels.max() > 0  # whoever has it open keeps it
    [removed] = prune(tmp_path, unused_days=30, most_bytes=cached_pixels(tmp_path)[-1].bytes)
    assert removed.folder == caches["middle"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([caches["young"].name, "thesis"])


def test_a_cache_that_is_being_filled_is_not_pruned(caches: dict[str, Path], tmp_path: Path) -> None:
    with alone(caches["old"] / ".lock"):
        assert prune(tmp_path, unused_days=0, most_bytes=0)[0].folder == caches["middle"]
    assert [each.folder for each in prune(tmp_path, unused_days=0, most_bytes=0)] == [caches["old"]]
