"""The first pass over the annotations: what no single row can tell.

It finds the identities that are in several splits, the captions that describe several people and the identities to hold
out, and makes a key that changes whenever an annotation or an image does.
"""

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from personsearch.data.checks import Refused, image_path, one_line, split_name, whole_number
from personsearch.data.readers import AnnotationRow, DatasetFormat
from personsearch.data.records import SPLITS, Split
from personsearch.data.splits import hold_out
from personsearch.errors import UserError
from personsearch.files import hash_file


@dataclass(slots=True)
class Survey:
    """What the annotations say as a whole; memory grows with identities and captions, not with images."""

    content_key: str = ""
    rows: int = 0
    earliest_split: dict[int, Split] = field(default_factory=dict)
    identity_of_name: dict[str, int] = field(default_factory=dict)
    held_out: frozenset[int] = frozenset()
    shared_captions: set[bytes] = field(default_factory=set)

    def identity(self, person: object) -> int:
        """The number of an identity.

        Raises:
            Refused: neither a whole number nor, where names are allowed, a name.
        """
        number = self.identity_of_name.get(one_line(str(person))) if self.identity_of_name else whole_number(person)
        if number is None:
            raise Refused("person-invalid", f"identity {person!r:.80}: a whole number from 0 expected")
        return number

    def is_shared(self, caption: object) -> bool:
        """Whether the same text describes more than one identity."""
        return isinstance(caption, str) and _digest(caption) in self.shared_captions


def resolve_image(source: Path, folders: tuple[str, ...], image: str) -> Path:
    """The path of an image in the first of the format's folders that holds it, otherwise in the first of them.

    An accented letter is one character or two: macOS writes file names in one way (NFD), most editors text in the other
    (NFC), and other systems tell the two apart. So both are tried.
    """
    spellings = dict.fromkeys([image, *(unicodedata.normalize(form, image) for form in ("NFC", "NFD"))])
    candidates = [source / folder / spelling for folder in folders for spelling in spellings]
    return next((path for path in candidates if path.is_file()), candidates[0])


def read_rows(layout: DatasetFormat, annotations: list[Path]) -> Iterator[AnnotationRow]:
    """All rows of all annotation files, in order."""
    for annotation in annotations:
        yield from layout.rows(annotation)


def survey(source: Path, layout: DatasetFormat, annotations: list[Path], val_fraction: float) -> Survey:
    """Read every annotation once.

    Raises:
        UserError: an annotation cannot be read; `val_fraction` is given for a data set that has a val split.
    """
    result = Survey()
    described_by: dict[bytes, object] = {}
    content = hashlib.sha256("".join(hash_file(path) for path in annotations).encode())
    persons: set[str] = set()
    splits: dict[object, set[Split]] = {}
    for row in read_rows(layout, annotations):
        result.rows += 1
        content.update(_image_state(source, layout, row).encode())
        person = _hashable(row.person)
        persons.add(str(person))
        _note_split(splits, row, person)
        _note_captions(described_by, result.shared_captions, row, person)
    if layout.named_identities and any(whole_number(person) is None for person in persons - {""}):
        result.identity_of_name = {name: number for number, name in enumerate(sorted(persons - {""}), start=1)}
    result.content_key = content.hexdigest()
    result.earliest_split = _earliest(result, splits)
    result.held_out = _held_out(source, result.earliest_split, val_fraction)
    return result


def _hashable(person: object) -> object:
    text_or_number = person if isinstance(person, str | int | float) else str(person)[:100]
    return one_line(text_or_number) if isinstance(text_or_number, str) else text_or_number


def _image_state(source: Path, layout: DatasetFormat, row: AnnotationRow) -> str:
    try:
        state = resolve_image(source, layout.image_folders, image_path(row.image)).stat()
    except (Refused, OSError, ValueError):
        return "-\n"
    return f"{state.st_size} {state.st_mtime_ns}\n"


def _note_split(splits: dict[object, set[Split]], row: AnnotationRow, person: object) -> None:
    try:
        splits.setdefault(person, set()).add(split_name(row.split))
    except Refused:
        return  # the second pass reports it


def _note_captions(described_by: dict[bytes, object], shared: set[bytes], row: AnnotationRow, person: object) -> None:
    for caption in row.captions if isinstance(row.captions, list) else [row.captions]:
        if isinstance(caption, str) and caption.strip():
            digest = _digest(caption)
            if described_by.setdefault(digest, person) != person:
                shared.add(digest)


def _digest(caption: str) -> bytes:
    # Eight bytes, because every caption has one in memory; a collision costs no more than a needless warning.
    normal = " ".join(caption.lower().split())
    return hashlib.blake2b(normal.encode(errors="surrogatepass"), digest_size=8).digest()


def _earliest(result: Survey, splits: dict[object, set[Split]]) -> dict[int, Split]:
    """The earliest split by identity number; several spellings of a number (7 and "7") are one identity."""
    earliest: dict[int, Split] = {}
    for person, found in splits.items():
        try:
            number = result.identity(person)
        except Refused:
            continue
        present = found | ({earliest[number]} if number in earliest else set())
        earliest[number] = min(present, key=SPLITS.index) if present else "train"
    return earliest


def _held_out(source: Path, earliest_split: dict[int, Split], fraction: float) -> frozenset[int]:
    if fraction > 0 and "val" in earliest_split.values():
        raise UserError(f"{source}: has a val split already; val_fraction={fraction:g} is for sets without one")
    return hold_out((person for person, split in earliest_split.items() if split == "train"), fraction)
