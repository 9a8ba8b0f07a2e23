"""A generated image as a row of the prepared data set."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from personsearch.augmentation.pdg.attempts import Attempt
from personsearch.augmentation.pdg.changes import captions_after
from personsearch.data.admission import DIGITS_OF_ID
from personsearch.data.records import ImageRecord
from personsearch.files import replacing


def new_record(attempt: Attempt, content: bytes, person_id: int, source: str) -> ImageRecord:
    """The row of a new identity: other clothes make another person to search for.

    It keeps the captions that tell the new colour, each with its back-translation where that tells it too; `origin` is
    the path of the image that it was made of.
    """
    record, change = attempt.record, attempt.change
    after = captions_after(record.captions, change)
    translations = captions_after(record.captions_bt or record.captions, change)
    image_id = f"{hashlib.sha256(content).hexdigest()[:DIGITS_OF_ID]}-{person_id}"
    return ImageRecord(
        image_id=image_id,
        path=f"images/{image_id[:2]}/{image_id}.jpg",
        person_id=person_id,
        split="train",
        captions=[caption for caption in after if caption],
        captions_bt=[
            translation or caption for caption, translation in zip(after, translations, strict=True) if caption
        ]
        if record.captions_bt
        else None,
        camera_id=record.camera_id,
        source=source,
        attributes=_attributes_after(attempt),
        origin=record.path,
    )


def store(made: Path, path: Path) -> None:
    """The cached image under its name in the data set: the same file where the disk allows, else a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(made, path)
    except OSError:
        with replacing(path) as temporary:
            shutil.copyfile(made, temporary)


def _attributes_after(attempt: Attempt) -> str | None:
    """What is known of the person, with the new colour where the old one stood."""
    record, change = attempt.record, attempt.change
    attributes = json.loads(record.attributes) if record.attributes else None
    colour_of_part = f"{change.part}_colour"
    if isinstance(attributes, dict) and colour_of_part in attributes:
        attributes[colour_of_part] = change.new_colour
    return json.dumps(attributes, ensure_ascii=False) if attributes is not None else None
