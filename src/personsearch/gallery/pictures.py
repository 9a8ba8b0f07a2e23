"""Where a gallery keeps its pictures: by name, as JPEG bytes, in a folder here or in a store of objects.

A name is `images/<camera>/<date>/<crop_id>.<hash>.jpg`. The hash is of the picture, so a name never gets another
one, and writing it again is harmless. `integrations/objects` implements the same over S3.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from personsearch.errors import EngineFailed, explain
from personsearch.files import private_folder, replacing
from personsearch.images import ImageRejected

IMAGES = "images"
UNFINISHED = ".partial"
SUFFIXES = (".jpg", UNFINISHED)
LISTED_AT_ONCE = 1000


class PictureMissing(ImageRejected):
    """The store works, and holds no picture of this name."""

    def __init__(self) -> None:
        super().__init__("picture is missing")


class Pictures(Protocol):
    """The pictures of one gallery. Any number of processes and threads may use them.

    Every method raises UserError where the store cannot be used: that says nothing of any one picture.
    """

    @property
    def place(self) -> str:
        """The folder or address of the store, for messages."""
        ...

    @property
    def versions_left(self) -> int:
        """How many removed pictures the store keeps older versions of, which it did not let us remove."""
        ...

    def address(self, name: str) -> str:
        """Where a picture is, for people."""
        ...

    def check(self) -> None:
        """Raise UserError if pictures cannot be reached."""
        ...

    def write(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        """Store pictures. Each appears whole or not at all, and lasts once this returns."""
        ...

    def read(self, name: str) -> bytes:
        """One picture; raises ImageRejected (PictureMissing) if there is none."""
        ...

    def read_many(self, names: Sequence[str]) -> Iterator[bytes | ImageRejected]:
        """Pictures in the order of their names, read at the same time where that is faster."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove pictures, and verify that they are gone; a missing one is gone already."""
        ...

    def names(self) -> Iterator[list[str]]:
        """All names, some at a time, in no particular order."""
        ...


def remove_unfinished(pictures: Pictures) -> None:
    """Remove what a killed writer left half written, where nobody writes now."""
    for names in pictures.names():
        pictures.remove([name for name in names if name.endswith(UNFINISHED)])


class FolderPictures:
    """Pictures as files that only their owner can read. The folder may be on a volume that machines share."""

    versions_left = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def address(self, name: str) -> str:
        return str(self.folder / name)

    def check(self) -> None:
        if not os.access(self.folder, os.R_OK | os.X_OK):
            raise EngineFailed("pictures", f"{self.folder}: the folder of pictures is missing or cannot be read")

    def write(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        try:
            private_folder(self.folder / IMAGES)
            for name, jpeg in pictures:
                with replacing(self.folder / name, mode=0o600) as temporary:
                    temporary.write_bytes(jpeg)
        except OSError as error:
            raise EngineFailed("pictures", f"{self.folder}: a picture cannot be written: {explain(error)}") from error

    def read(self, name: str) -> bytes:
        path = self.folder / name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ImageRejected("not a regular file")  # reading a pipe might never end
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise PictureMissing from None
        except OSError as error:
            raise EngineFailed("pictures", f"{path}: cannot be read: {explain(error)}") from error

    def read_many(self, names: Sequence[str]) -> Iterator[bytes | ImageRejected]:
        for name in names:
            try:
                yield self.read(name)
            except ImageRejected as error:
                yield error

    def remove(self, names: Sequence[str]) -> None:
        try:
            for name in names:
                self._remove(self.folder / name)
        except OSError as error:
            raise EngineFailed("pictures", f"{self.folder}: a picture cannot be removed: {explain(error)}") from error

    def names(self) -> Iterator[list[str]]:
        """All names, also those of files that a killed writer left half written."""
        for date in (self.folder / IMAGES).glob("*/*"):
            held = [path.relative_to(self.folder).as_posix() for path in date.iterdir() if path.suffix in SUFFIXES]
            yield from (held[start : start + LISTED_AT_ONCE] for start in range(0, len(held), LISTED_AT_ONCE))

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:  # perhaps its writer was killed
            for partial in path.parent.glob(f".{path.name}.*.partial"):
                partial.unlink(missing_ok=True)
