"""The decision that needs to know what came before: duplicates are refused, the rest is stored under its own name."""

import os
from pathlib import Path

from personsearch.data.image_files import CheckedImage
from personsearch.data.inspection import Inspection
from personsearch.data.journal import Outcome
from personsearch.data.records import ImageRecord

DIGITS_OF_ID = 16


class Admission:
    """Remembers paths and digests of the images let in; stores each under `images/`."""

    def __init__(self, out_dir: Path, *, source_name: str, keep_duplicates: bool) -> None:
        self._out_dir = out_dir
        self._source_name = source_name
        self._keep_duplicates = keep_duplicates
        self._paths: set[str] = set()
        self._files_of_digest: dict[str, list[str]] = {}

    def remember(self, outcome: Outcome) -> None:
        """Take an earlier run's decision as made."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.write_bytes(content)
    temporary.replace(path)
