"""What becomes of each row: duplicates are refused, other images are stored, and a journal keeps every outcome.

The journal has a line per row, so a killed run resumes where it stopped.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from personsearch.data.checks import Finding
from personsearch.data.image_files import CheckedImage
from personsearch.data.inspection import Inspection
from personsearch.data.records import ImageRecord
from personsearch.files import replacing

DIGITS_OF_ID = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: a record or none, what was refused, what was odd. `size` is (height, width)."""

    record: ImageRecord | None = None
    digest: str = ""
    size: tuple[int, int] = (0, 0)
    refused: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)


class Admission:
    """Stores each accepted image under `images/`, named by its content, and remembers it to recognise duplicates."""

    def __init__(self, out_dir: Path, *, source_name: str, keep_duplicates: bool) -> None:
        self._out_dir = out_dir
        self._source_name = source_name
        self._keep_duplicates = keep_duplicates
        self._paths: set[str] = set()
        self._files_of_digest: dict[str, list[str]] = {}

    def remember(self, outcome: Outcome) -> None:
        """Count an image as accepted, as an earlier run did."""
        if outcome.record and outcome.record.origin:
            self._paths.add(outcome.record.origin)
            self._files_of_digest.setdefault(outcome.digest, []).append(outcome.record.origin)

    def admit(self, inspection: Inspection) -> Outcome:
        """Store the image of an inspected row, or refuse it as a duplicate."""
        image = inspection.image
        if image is None or self._is_duplicate(inspection, image):
            return Outcome(refused=inspection.refused, remarks=[])
        record = self._record(inspection, image)
        _store(self._out_dir / record.path, image.content)
        outcome = Outcome(record, image.digest, (image.height, image.width), inspection.refused, inspection.remarks)
        self.remember(outcome)
        return outcome

    def _is_duplicate(self, inspection: Inspection, image: CheckedImage) -> bool:
        if inspection.file in self._paths:
            inspection.refuse("image-listed-again", f"{inspection.file}: an earlier row has it")
            return True
        same = self._files_of_digest.get(image.digest)
        if same and not self._keep_duplicates:
            inspection.refuse("image-duplicate", f"{inspection.file}: same bytes as {same[0]}")
            return True
        return False

    def _record(self, inspection: Inspection, image: CheckedImage) -> ImageRecord:
        same = len(self._files_of_digest.get(image.digest, []))
        image_id = image.digest[:DIGITS_OF_ID] + (f"-{same}" if same else "")
        return ImageRecord(
            image_id=image_id,
            path=f"images/{image_id[:2]}/{image_id}{image.suffix}",
            person_id=inspection.person_id,
            split=inspection.split,
            captions=inspection.captions,
            source=self._source_name,
            captions_bt=inspection.captions_bt,
            camera_id=inspection.camera_id,
            attributes=inspection.attributes,
            origin=inspection.file,
        )


def _store(path: Path, content: bytes) -> None:
    with replacing(path, flush=False) as temporary:  # the journal's line behind it is not flushed to disk either
        temporary.write_bytes(content)


class Journal:
    """An append-only file of outcomes that belongs to one key; opened with another key it starts again."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self.matches = path.is_file() and self._read_key() == key

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes written so far, in the order of the rows."""
        if not self.matches:
            return
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield _outcome(json.loads(line))

    def __enter__(self) -> Self:
        if self.matches:
            self._cut_half_line()
        else:
            self.path.write_text(json.dumps(self._key) + "\n", encoding="utf-8")
            self.matches = True
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, outcome: Outcome) -> None:
        """Add the next row's outcome; from here on it survives this process."""
        self._file.write(json.dumps(asdict(outcome)) + "\n")
        self._file.flush()

    def _read_key(self) -> str:
        with self.path.open("rb") as file:
            line = file.readline()
        return str(json.loads(line)) if line.endswith(b"\n") else ""

    def _cut_half_line(self) -> None:
        """Drop the line that a killed process did not finish."""
        with self.path.open("rb+") as file:
            whole = 0
            for line in file:
                whole += len(line) if line.endswith(b"\n") else 0
            file.truncate(whole)


def _outcome(values: dict[str, Any]) -> Outcome:
    return Outcome(
        record=ImageRecord(**values["record"]) if values["record"] else None,
        digest=values["digest"],
        size=(values["size"][0], values["size"][1]),
        refused=[Finding(**finding) for finding in values["refused"]],
        remarks=[Finding(**finding) for finding in values["remarks"]],
    )
