"""What every reader yields: one image as its annotation file describes it, before any check; and what a reader is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from personsearch.data.records import Split


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One image and its description, as written: any field may hold any JSON value.

    `number` counts from 1 in `annotation`; `image` is the path as written.
    """

    number: int
    annotation: str
    image: object
    person: object
    split: object
    captions: object
    captions_bt: object = None
    camera_id: object = None
    attributes: object = None


@dataclass(frozen=True, slots=True)
class PublishedSplit:
    """What the authors of a data set state about one split: the range of its identities and how many images it has."""

    first_id: int
    last_id: int
    images: int


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    """How one data set is laid out on disk.

    `annotations` finds the annotation files in a folder, none if the folder has another format; `expected` names the
    usual one in messages; `rows` reads one of them; `image_folders` are tried in order; `named_identities` allows
    identities that are names.
    """

    name: str
    expected: str
    annotations: Callable[[Path], list[Path]]
    rows: Callable[[Path], Iterator[AnnotationRow]]
    image_folders: tuple[str, ...] = ("imgs", "")
    named_identities: bool = False
    published: Mapping[Split, PublishedSplit] = field(default_factory=dict)
