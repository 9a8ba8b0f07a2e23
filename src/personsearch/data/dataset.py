"""A prepared data set as one object: each split is read once, and the manifest is hashed once."""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from personsearch.data.records import ImageRecord, Split, check_manifest, dataset_hash, read_manifest
from personsearch.data.shards import Shards, is_packed, picture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A prepared data set. It keeps the records that were read, but no images."""

    folder: Path
    _records: dict[Split | None, tuple[ImageRecord, ...]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """The data set in a folder.

        Raises:
            UserError: the folder holds no manifest, or one with other columns, or a shard of its images is damaged.
        """
        check_manifest(folder)
        if is_packed(folder):
            Shards.open(folder)
        return cls(folder)

    def __str__(self) -> str:
        return str(self.folder)

    @cached_property
    def hash(self) -> str:
        """Its identity: the hash of the manifest."""
        return dataset_hash(self.folder)

    def records(self, split: Split | None = None) -> tuple[ImageRecord, ...]:
        """The records of one split, or of all, in the manifest's order."""
        if split not in self._records:
            self._records[split] = tuple(read_manifest(self.folder, split))
        return self._records[split]

    def image_path(self, record: ImageRecord) -> Path:
        """The file of a record's image, which is in a shard if there is none."""
        return self.folder / record.path

    def picture(self, record: ImageRecord) -> Path | bytes:
        """A record's image, for `open_image`.

        Raises:
            UserError: the shard that holds it is damaged.
        """
        return picture(self.folder, record.path)

    def split_or_test(self, split: Split) -> Split:
        """`split`, or test with a warning if the data set has no image of it."""
        if self.records(split):
            return split
        logger.warning("%s has no %s images; using test instead", self, split)
        return "test"
