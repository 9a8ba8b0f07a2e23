"""Where backups are kept: contents by name, in a folder or below `s3://BUCKET/PREFIX`, each written as a whole."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import obstore

from personsearch.addresses import is_address
from personsearch.errors import UserError, explain
from personsearch.files import private_folder, replacing
from personsearch.integrations.objects.open import S3
from personsearch.integrations.objects.s3 import S3Pictures

LISTED_AT_ONCE = 1000


class BackupPlace(Protocol):
    """Every method raises UserError where the place cannot be used."""

    place: str

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Write contents under their names. Each lasts once this returns."""
        ...

    def get(self, name: str) -> bytes | None:
        """One content; None if there is none of this name."""
        ...

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents in the order of their names, read at the same time where that is faster."""
        ...

    def names(self, prefix: str) -> Iterator[list[str]]:
        """The names of everything below a prefix that ends with `/`, some at a time."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove contents and verify that they are gone; a missing one is gone already."""
        ...


class FolderBackups:
    """Files that only their owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        try:
            private_folder(self._folder)
            for name, content in contents:
                with replacing(self._folder / name, mode=0o600) as temporary:
                    temporary.write_bytes(content)
        except OSError as error:
            raise UserError(f"{self.place}: the backup cannot be written: {explain(error)}") from error

    def get(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"{self._folder / name}: cannot be read: {explain(error)}") from error

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        return [self.get(name) for name in names]

    def names(self, prefix: str) -> Iterator[list[str]]:
        for folder, _, files in os.walk(self._folder / prefix, onerror=self._refuse):
            below = Path(folder).relative_to(self._folder)
            held = [(below / name).as_posix() for name in files]
            yield from (held[start : start + LISTED_AT_ONCE] for start in range(0, len(held), LISTED_AT_ONCE))

    def _refuse(self, error: OSError) -> None:
        """A folder that cannot be listed is not an empty one: what nobody seems to name would be removed."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise UserError(f"{error.filename}: cannot be listed: {explain(error)}") from error

    def remove(self, names: Sequence[str]) -> None:
        try:
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{self.place}: cannot be removed: {explain(error)}") from error


class S3Backups(S3Pictures):
    """Objects of a bucket; it is reached, and its errors are told, as for pictures."""

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        self._each(lambda content: self._put_one(*content), contents)

    def get(self, name: str) -> bytes | None:
        try:
            with self.readable_errors():
                return bytes(obstore.get(self.store, name).bytes())
        except FileNotFoundError:
            return None

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        return self._each(self.get, names)

    def names(self, prefix: str = "") -> Iterator[list[str]]:
        with self.readable_errors():
            for listed in obstore.list(self.store, prefix or None, chunk_size=LISTED_AT_ONCE):
                yield [str(each["path"]) for each in listed]

    def _put_one(self, name: str, content: bytes) -> None:
        with self.readable_errors():
            obstore.put(self.store, name, content, use_multipart=False)


def open_backups(address: str) -> BackupPlace:
    """The place of an address; nothing is made or contacted.

    Raises:
        UserError: the address names neither a folder nor `s3://BUCKET/PREFIX`.
    """
    if address.startswith(S3):
        return S3Backups(address)
    if is_address(address):
        raise UserError(f"backups {address!r}: a folder or s3://BUCKET/PREFIX expected")
    return FolderBackups(Path(address))
