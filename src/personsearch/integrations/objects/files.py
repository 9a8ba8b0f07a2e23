"""Files below a folder or `s3://BUCKET/PREFIX`, read and written a piece at a time, whatever their size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import obstore

from personsearch.addresses import is_address
from personsearch.errors import UserError, explain
from personsearch.files import inner_path, replacing
from personsearch.integrations.objects.open import S3
from personsearch.integrations.objects.s3 import S3Pictures

PIECE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file by its name below the folder; `state` changes with its content."""

    name: str
    size: int
    state: str


class Files(Protocol):
    """Every method raises UserError where the place cannot be used."""

    place: str

    @property
    def root(self) -> str:
        """The address of the folder, as MLflow writes it."""
        ...

    def all(self) -> Iterator[KeptFile]:
        """Every file, in the order of their names."""
        ...

    def pieces(self, file: KeptFile) -> Iterator[bytes]:
        """The content of a file; UserError if it is gone."""
        ...

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file, whole or not at all."""
        ...


class FolderFiles:
    """Files on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    @property
    def root(self) -> str:
        return self._folder.resolve().as_uri()

    def all(self) -> Iterator[KeptFile]:
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            if path.name.startswith(".") and path.suffix == ".partial":
                continue  # what a killed writer left half written
            state = path.stat()
            yield KeptFile(path.relative_to(self._folder).as_posix(), state.st_size, str(state.st_mtime_ns))

    def pieces(self, file: KeptFile) -> Iterator[bytes]:
        try:
            with (self._folder / file.name).open("rb") as opened:
                while piece := opened.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise UserError(f"{self._folder / file.name}: cannot be read: {explain(error)}") from error

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        try:
            with (
                replacing(self._folder / inner_path(name, self.place), mode=0o600) as temporary,
                temporary.open("wb") as opened,
            ):
                opened.writelines(pieces)
        except OSError as error:
            raise UserError(f"{self._folder / name}: cannot be written: {explain(error)}") from error


class S3Files(S3Pictures):
    """Objects of a bucket; it is reached, and its errors are told, as for pictures."""

    @property
    def root(self) -> str:
        return self.place

    def all(self) -> Iterator[KeptFile]:
        with self.readable_errors():
            for listed in obstore.list(self.store, chunk_size=1000):
                for each in listed:
                    state = str(each["e_tag"] or each["last_modified"])
                    yield KeptFile(str(each["path"]), int(each["size"]), state)

    def pieces(self, file: KeptFile) -> Iterator[bytes]:
        try:
            for start in range(0, file.size, PIECE_BYTES):
                end = min(file.size, start + PIECE_BYTES)
                with self.readable_errors():
                    piece = bytes(obstore.get_range(self.store, file.name, start=start, end=end))
                yield piece
        except FileNotFoundError:
            raise UserError(f"{self.address(file.name)}: was removed meanwhile") from None

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        with self.readable_errors():
            obstore.put(self.store, inner_path(name, self.place), iter(pieces))


def open_files(address: str) -> Files:
    """The files below an address; nothing is made or contacted.

    Raises:
        UserError: it names neither a folder nor `s3://BUCKET/PREFIX`.
    """
    if address.startswith(S3):
        return S3Files(address)
    if is_address(address):
        raise UserError(f"files {address!r}: a folder or s3://BUCKET/PREFIX expected")
    return FolderFiles(Path(address))
