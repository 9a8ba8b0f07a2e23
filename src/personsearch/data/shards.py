"""Many small files as a few tar files: an object store takes a request for each file, whatever its size.

`shards.json` lists them, and is written last: {"shards": {name: {"bytes", "sha256"}}, "files": {name: [shard, offset,
bytes, crc32]}}. Equal files give equal bytes: names are sorted, and a member has no time, owner or mode of its own.
A prepared data set whose images are in shards is a data set like any other; `picture` finds an image in either.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from personsearch.data.output_folder import input_key, link_image
from personsearch.errors import UserError, explain
from personsearch.files import Journal, inner_path, replacing, write_json

INDEX, SHARDS, JOURNAL = "shards.json", "shards", ".shards.jsonl"
SHARD_BYTES = 128 * 2**20
"""A shard is closed once it holds this much: small enough to send again, large enough that requests do not count."""
IMAGES = "images"
ADVICE = "it is damaged or was not copied whole; write it again"


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar file: its size and hash, and where each of its files begins, how long it is, and its CRC-32."""

    name: str
    bytes: int
    sha256: str
    files: dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of a folder."""

    folder: Path
    shards: tuple[Shard, ...]
    places: dict[str, Shard]

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Reads the index; the shards themselves are only measured.

        Raises:
            UserError: there is no index, or a shard is missing or of another size.
        """
        shards = _read_index(folder / INDEX)
        for shard in shards:
            path = folder / SHARDS / shard.name
            present = path.stat().st_size if path.is_file() else 0
            if present != shard.bytes:
                raise UserError(f"{path}: {present:,} bytes of {shard.bytes:,}; {ADVICE}")
        return cls(folder, shards, {name: shard for shard in shards for name in shard.files})

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            UserError: the shard cannot be read, or what it holds has another checksum.
        """
        shard = self.places[name]
        offset, length, _ = shard.files[name]
        path = self.folder / SHARDS / shard.name
        if not 0 <= offset <= offset + length <= shard.bytes:
            return _checked(b"", shard, name, path)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                content = file.read(length)
        except OSError as error:
            raise UserError(f"{path}: {explain(error)}") from error
        return _checked(content, shard, name, path)


def is_packed(folder: Path) -> bool:
    """Whether files of this folder are in shards."""
    return (folder / INDEX).is_file()


def picture(folder: Path, name: str) -> Path | bytes:
    """An image of a data set: its file, which may be missing, or its content from a shard.

    Raises:
        UserError: the shard is damaged.
    """
    path = folder / name
    if path.exists() or not is_packed(folder):
        return path
    shards = _opened(folder, (folder / INDEX).stat().st_mtime_ns)
    return shards.read(name) if name in shards.places else path


@lru_cache(maxsize=8)
def _opened(folder: Path, written: int) -> Shards:
    return Shards.open(folder)


def link_images(folder: Path, names: Iterable[str], out_dir: Path) -> None:
    """Give the images of a data set second names in another folder; shards are linked whole.

    Raises:
        UserError: an image is missing, or a shard is damaged.
    """
    packed = Shards.open(folder) if is_packed(folder) else None
    for name in names:
        if packed is None or name not in packed.places:
            link_image(folder / name, out_dir / name)
    if packed:
        for shard in packed.shards:
            link_image(folder / SHARDS / shard.name, out_dir / SHARDS / shard.name)
        link_image(folder / INDEX, out_dir / INDEX)


def pack_images(folder: Path) -> None:
    """Move the images of a prepared data set into shards, beside those that it has; a killed call is continued.

    Raises:
        UserError: the shards that are there are damaged.
    """
    images = folder / IMAGES
    present = Shards.open(folder) if is_packed(folder) else None
    loose = sorted(path.relative_to(folder).as_posix() for path in images.rglob("*") if path.is_file())
    packed = present.places if present else {}
    before = present.shards if present else ()
    pack(folder, [name for name in loose if name not in packed], folder, before=before)
    shutil.rmtree(images, ignore_errors=True)  # last: until then each image is in at least one place


def pack_folder(source: Path, out_dir: Path) -> None:
    """Write every file below `source` into shards in `out_dir`; a killed call is continued."""
    pack(source, (path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()), out_dir)


def pack(source: Path, names: Iterable[str], out_dir: Path, *, before: tuple[Shard, ...] = ()) -> None:
    """Write the files `names` of `source` into shards after those in `before`, and the index of all."""
    sizes = {name: (source / name).stat().st_size for name in sorted(names)}
    groups = list(_groups(sizes))
    key = input_key(SHARD_BYTES, [shard.sha256 for shard in before], sizes)
    journal = Journal(out_dir / JOURNAL, key, encode=_as_json, decode=_from_json)
    with journal:
        done = list(journal.entries())
        for number, group in enumerate(groups[len(done) :], start=len(before) + len(done)):
            shard = _write(source, group, out_dir / SHARDS / f"{number:05d}.tar")
            journal.append(shard)
            done.append(shard)
    write_json(out_dir / INDEX, [_as_json(shard) for shard in (*before, *done)])
    journal.path.unlink()


def unpack(folder: Path, out_dir: Path) -> None:
    """Write the files of a folder's shards below `out_dir`.

    Raises:
        UserError: a shard is missing or damaged, a file would lie outside `out_dir`, or it cannot be written.
    """
    for shard in Shards.open(folder).shards:
        path = folder / SHARDS / shard.name
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != shard.sha256:
            raise UserError(f"{path}: does not match its hash; {ADVICE}")
        for name, (offset, length, _) in shard.files.items():
            target = out_dir / inner_path(name, folder / INDEX)
            file = content[offset : offset + length] if 0 <= offset <= offset + length else b""
            file = _checked(file, shard, name, path)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file)
            except OSError as error:
                raise UserError(f"{target}: {explain(error)}") from error
            os.utime(target, (0, 0))  # `prepare` records when files were written, and equal shards give equal records


def _checked(content: bytes, shard: Shard, name: str, path: Path) -> bytes:
    _, length, checksum = shard.files[name]
    if len(content) != length or zlib.crc32(content) != checksum:
        raise UserError(f"{path}: {name} has another checksum: it is damaged")
    return content


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The names, in their order, divided so that each group fills a shard."""
    group: list[str] = []
    held = 0
    for name, size in sizes.items():
        group.append(name)
        held += size
        if held >= SHARD_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _write(source: Path, names: list[str], path: Path) -> Shard:
    files: dict[str, tuple[int, int, int]] = {}
    with replacing(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as tar:
            for name in names:
                content = (source / name).read_bytes()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                files[name] = (tar.offset - padded, len(content), zlib.crc32(content))
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = temporary.stat().st_size
    return Shard(path.name, size, digest, files)


def _read_index(path: Path) -> tuple[Shard, ...]:
    try:
        return tuple(map(_from_json, json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent}: no shards ({INDEX} is missing)") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: not an index of shards; {ADVICE}") from error


def _as_json(shard: Shard) -> dict[str, Any]:
    return {"name": shard.name, "bytes": shard.bytes, "sha256": shard.sha256, "files": shard.files}


def _from_json(value: Any) -> Shard:
    files = {
        name: (int(offset), int(length), int(checksum)) for name, (offset, length, checksum) in value["files"].items()
    }
    name = str(value["name"])
    if not name or "/" in name or name.startswith("."):
        raise ValueError(name)
    return Shard(name, int(value["bytes"]), str(value["sha256"]), files)
