"""What the parts of a backup look like, and where one ends.

A part is made of neighbours: rows, pictures or crops one behind the other. Where it ends is decided by a hash of its
last name, so that a thing more or less changes its own part and not those behind it, and a backup writes what is new.

    rows        a line of JSON for each row
    pictures    [name, bytes, [SHA-256]], or [name, 0, []] if there was none
    files       [name, bytes, [SHA-256 of each piece]]
    vectors     a line with the crops' ids, then their vectors

Shapes: N crops, D embedding dimension.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.installation.backup.archive import Archive, Table, Writer
from personsearch.integrations.database.dumping import Row, RowsHash, line_of, row_of

CROP_ID = "crop_id"  # the column of tables that say something of one crop
USUAL_PART = 1024  # things
LARGEST_PART = 4096
AT_ONCE = 64  # contents read or written at the same time

T = TypeVar("T")


def key_of(kind: str, *names: str) -> str:
    """The key of a part by all that decides what is in it."""
    return hashlib.sha256(json.dumps([kind, *names]).encode()).hexdigest()


def packed(lines: Iterable[str]) -> bytes:
    """Lines as a part keeps them: equal for equal lines."""
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def in_parts(items: Iterable[T], name_of: Callable[[T], str]) -> Iterator[list[T]]:
    """Neighbours, cut where the hash of a name says so."""
    part: list[T] = []
    for item in items:
        part.append(item)
        if len(part) == LARGEST_PART or zlib.crc32(name_of(item).encode(errors="surrogatepass")) % USUAL_PART == 0:
            yield part
            part = []
    if part:
        yield part


def at_once(items: Iterable[T]) -> Iterator[list[T]]:
    """Some items at a time."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, AT_ONCE)), [])


def table_of(writer: Writer, name: str, columns: tuple[str, ...], rows: Iterable[Row], *, key: list[int]) -> Table:
    """Rows as the parts of a table; their keys are at these places of a row."""
    digest, parts = RowsHash(), []
    for chunk in in_parts(rows, lambda row: line_of(row[place] for place in key)):
        lines = [line_of(row) for row in chunk]
        for line in lines:
            digest.add(line)
        named = key_of("rows", name, *lines)
        parts.append(writer.known(named) or writer.write(named, packed(lines), items=len(lines)))
    return Table(name=name, columns=columns, rows=digest.rows, sha256=digest.sha256, parts=tuple(parts))


def entry(name: str, size: int, hashes: list[str]) -> str:
    """A line of a list of pictures or files: a name, and the contents that are found by it."""
    return json.dumps([name, size, hashes])  # in ASCII: a file's name may be no text


def picture_crop_id(name: str) -> str:
    """The crop that a picture is of, by the picture's name."""
    return name.rpartition("/")[2].removesuffix(".jpg").rpartition(".")[0]


def rows_in(archive: Archive, table: Table) -> Iterator[Row]:
    """The rows of a table in a backup."""
    for part in table.parts:
        yield from map(row_of, archive.lines(part))


def vectors_content(crop_ids: list[str], vectors_ND: NDArray[np.float32]) -> bytes:
    """Ids in one line of JSON, then their vectors as little-endian float32."""
    return f"{line_of(crop_ids)}\n".encode() + vectors_ND.astype("<f4").tobytes()


def vectors_in(content: bytes) -> tuple[list[str], NDArray[np.float32]]:
    """The inverse of `vectors_content`."""
    line, _, numbers = content.partition(b"\n")
    crop_ids = list(row_of(line.decode()))
    return crop_ids, np.frombuffer(numbers, "<f4").astype(np.float32).reshape(len(crop_ids), -1)
