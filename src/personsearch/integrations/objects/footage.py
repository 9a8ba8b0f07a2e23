"""Video files in a bucket: only the parts that are asked for are read."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import obstore

from personsearch.files import inner_path
from personsearch.integrations.objects.s3 import S3Pictures

READ_BYTES = 2**18  # at a time; a frame is rarely longer, and each seek begins a new request


class S3Footage(S3Pictures):
    """The bucket is reached, and its errors are told, as for pictures."""

    def open(self, name: str) -> BinaryIO | None:
        """A file as `Footage.open`."""
        try:
            with self.readable_errors():
                reader = obstore.open_reader(self.store, inner_path(name, self.place), buffer_size=READ_BYTES)
        except FileNotFoundError:
            return None
        return cast(BinaryIO, io.BufferedReader(_Object(reader, self), READ_BYTES))

    def files(self) -> Iterator[str]:
        """Every file."""
        with self.readable_errors():
            for listed in obstore.list(self.store, chunk_size=1000):
                yield from (str(each["path"]) for each in listed)

    def keep(self, name: str, video: Path) -> None:
        """Copy a file as `Footage.keep`: in parts, so of any size."""
        with video.open("rb") as file, self.readable_errors():
            obstore.put(self.store, inner_path(name, self.place), file)


class _Object(io.RawIOBase):
    """An object of a bucket as a file."""

    def __init__(self, reader: "obstore.ReadableFile", footage: S3Footage) -> None:
        self._reader = reader
        self._footage = footage

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._footage.readable_errors():
            content = bytes(self._reader.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())
