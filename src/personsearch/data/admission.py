"""What becomes of each row: duplicates are refused, other images are stored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    # Unflushed: waiting for the disk at every image would take most of the time, and the journal is not flushed either.
    with replacing(path, flush=False) as temporary:
        temporary.write_bytes(content)


def outcome_from_json(values: dict[str, Any]) -> Outcome:
    """The reverse of `dataclasses.asdict`."""
    return Outcome(
        record=ImageRecord(**values["record"]) if values["record"] else None,
        digest=values["digest"],
        size=(values["size"][0], values["size"][1]),
        refused=[Finding(**finding) for finding in values["refused"]],
        remarks=[Finding(**finding) for finding in values["remarks"]],
    )
