"""One row of an annotation, inspected by itself: the record that it would become, its pixels, and every finding."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from personsearch.data import checks
from personsearch.data.checks import Finding, Reason, Refused, Remark
from personsearch.data.image_files import CheckedImage, read_image
from personsearch.data.readers import AnnotationRow, DatasetFormat
from personsearch.data.records import Split
from personsearch.data.survey import Survey, resolve_image


@dataclass(slots=True)
class Inspection:
    """What is known about one row; `image` is None when the row is refused."""

    row: AnnotationRow
    file: str = ""
    person_id: int = 0
    split: Split = "train"
    captions: list[str] = field(default_factory=list)
    captions_bt: list[str] | None = None
    camera_id: str | None = None
    attributes: str | None = None
    image: CheckedImage | None = None
    refused: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    def refuse(self, reason: Reason, detail: str) -> None:
        """Note a refusal."""
        self.refused.append(self._finding(reason, detail))

    def remark(self, kind: Remark, detail: str) -> None:
        """Note something odd that is accepted."""
        self.remarks.append(self._finding(kind, detail))

    def _finding(self, reason: Reason | Remark, detail: str) -> Finding:
        return Finding(self.row.number, self.row.annotation, self.file, reason, detail)


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects the rows of one data set. Safe to call from several threads."""

    source: Path
    layout: DatasetFormat
    overview: Survey
    max_caption_words: int

    def __call__(self, row: AnnotationRow) -> Inspection:
        """Inspect one row and read its image."""
        inspection = Inspection(row)
        try:
            self._inspect(inspection, row)
        except Refused as refusal:
            inspection.refuse(refusal.reason, refusal.detail)
        return inspection

    def _inspect(self, inspection: Inspection, row: AnnotationRow) -> None:
        inspection.file = checks.one_line(row.image) if isinstance(row.image, str) else ""
        inspection.file = checks.image_path(row.image)
        inspection.person_id = self.overview.identity(row.person)
        inspection.split = self._split(row.split, inspection.person_id)
        self._inspect_captions(inspection, row)
        self._inspect_extras(inspection, row)
        inspection.image = read_image(self._locate(inspection.file), inspection.file)

    def _locate(self, image: str) -> Path:
        try:
            return resolve_image(self.source, self.layout.image_folders, image)
        except OSError as error:  # a name longer than the file system allows
            raise Refused("image-missing", f"{checks.quoted(image)}: {error.strerror}") from error

    def _split(self, value: object, person_id: int) -> Split:
        split = checks.split_name(value)
        earliest = self.overview.earliest_split.get(person_id, split)
        if split != earliest:
            raise Refused("identity-in-two-splits", f"identity {person_id} is in {earliest} too, refused in {split}")
        return "val" if person_id in self.overview.held_out else split

    def _inspect_captions(self, inspection: Inspection, row: AnnotationRow) -> None:
        given = checks.caption_list(row.captions)
        translations = _translations(inspection, row.captions_bt, len(given))
        for caption, translation in zip(given, translations, strict=True):
            try:
                cleaned = checks.clean_caption(caption, self.max_caption_words)
            except Refused as refusal:
                inspection.refuse(refusal.reason, refusal.detail)
                continue
            inspection.captions.append(cleaned)
            if inspection.captions_bt is not None:
                inspection.captions_bt.append(self._translation(translation, cleaned))
            self._remark_on(inspection, caption, cleaned)
        if not inspection.captions:
            raise Refused("no-caption-left", f"{inspection.file}: none of {len(given)} captions can be used")

    def _translation(self, translation: object, caption: str) -> str:
        """A back-translation, or the caption itself if there is none that can be used."""
        try:
            return checks.clean_caption(translation, self.max_caption_words)
        except Refused:
            return caption

    def _remark_on(self, inspection: Inspection, caption: object, cleaned: str) -> None:
        for kind, detail in checks.caption_remarks(cleaned):
            inspection.remark(kind, detail)
        if self.overview.is_shared(caption):
            inspection.remark("caption-repeated-across-identities", checks.quoted(cleaned))

    def _inspect_extras(self, inspection: Inspection, row: AnnotationRow) -> None:
        try:
            inspection.attributes = checks.attributes_text(row.attributes)
        except (ValueError, TypeError, RecursionError) as error:
            inspection.remark("attributes-dropped", f"{checks.quoted(row.attributes)}: {error}")
        inspection.camera_id = _camera(inspection, row.camera_id)


def _translations(inspection: Inspection, value: object, captions: int) -> list[object]:
    if value is None:
        return [None] * captions
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or len(value) != captions:
        inspection.remark("back-translations-dropped", f"{checks.quoted(value)}: {captions} expected, one per caption")
        return [None] * captions
    inspection.captions_bt = []
    return value


def _camera(inspection: Inspection, value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and 0 < len(value.strip()) <= checks.QUOTED_CHARACTERS):
        return checks.one_line(value) or None if value is not None else None
    inspection.remark(
        "camera-dropped", f"camera {checks.quoted(json.dumps(value, default=str))}: a short text expected"
    )
    return None
