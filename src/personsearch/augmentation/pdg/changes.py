"""Which garment's colour to change and to what, and what becomes of the image's captions and record."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from personsearch.augmentation.pdg.attempts import Attempt
from personsearch.augmentation.pdg.colours import TARGETS, unlike
from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Change
from personsearch.augmentation.pdg.phrases import ColourPhrase, colour_phrases, speaks_of_whole_outfit, with_colour
from personsearch.data.admission import DIGITS_OF_ID
from personsearch.data.records import ImageRecord
from personsearch.files import replacing

LEAST_CONTRAST = 0.14  # OKLab distance of the new cloth from every cloth that the garment's colour words may stand for


def plan_changes(
    captions: Sequence[str], parts: frozenset[Part], generator: np.random.Generator
) -> Iterator[tuple[str, Change]]:
    """For each caption, a change of the first colour phrase about one of these parts; each garment once."""
    tried: set[tuple[Part, tuple[str, ...]]] = set()
    for caption in captions:
        phrases = [phrase for phrase in colour_phrases(caption) if phrase.part in parts]
        if not phrases or speaks_of_whole_outfit(caption) or (phrases[0].part, phrases[0].cloth) in tried:
            continue
        tried.add((phrases[0].part, phrases[0].cloth))
        others = [phrase for text in captions for phrase in colour_phrases(text) if phrase.part == phrases[0].part]
        if colours := _contrasting([phrases[0], *others]):
            colour = colours[int(generator.integers(len(colours)))]
            yield caption, _change(caption, phrases[0], colour)


def captions_after(captions: Sequence[str], change: Change) -> list[str | None]:
    """Each caption after the change; None if it does not name the garment's colour, or names a different one."""
    return [_caption_after(caption, change) for caption in captions]


def _contrasting(phrases: list[ColourPhrase]) -> list[str]:
    """The colours that clearly differ from every colour that the captions give this part."""
    said = {name for phrase in phrases for name in phrase.cloth}
    return [target for target in TARGETS if unlike([target], sorted(said)) >= LEAST_CONTRAST]


def _change(caption: str, phrase: ColourPhrase, colour: str) -> Change:
    draft = Change(phrase.part, phrase.garment, phrase.colour, phrase.cloth, colour, caption, phrase.shared)
    after = _caption_after(caption, draft)
    assert after is not None
    return Change(phrase.part, phrase.garment, phrase.colour, phrase.cloth, colour, after, phrase.shared)


def _caption_after(caption: str, change: Change) -> str | None:
    if speaks_of_whole_outfit(caption):
        return None
    mine = [
        phrase
        for phrase in colour_phrases(caption)
        if phrase.part == change.part and not set(phrase.cloth).isdisjoint(change.cloth)
    ]
    return with_colour(caption, mine, change.new_colour) if mine else None


def new_record(attempt: Attempt, content: bytes, person_id: int, source: str) -> ImageRecord:
    """The record of a generated image. It is a new identity: to a search by clothes, other clothes are another person.

    It keeps the captions that name the new colour, each with its back-translation if that names it too. `origin` is the
    path of the image that it was made from.
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
    """Put the cached image into the data set: as a hard link if the file system allows it, else as a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(made, path)
    except OSError:
        with replacing(path) as temporary:
            shutil.copyfile(made, temporary)


def _attributes_after(attempt: Attempt) -> str | None:
    """The person's attributes with the new colour in place of the old one."""
    record, change = attempt.record, attempt.change
    attributes = json.loads(record.attributes) if record.attributes else None
    colour_of_part = f"{change.part}_colour"
    if isinstance(attributes, dict) and colour_of_part in attributes:
        attributes[colour_of_part] = change.new_colour
    return json.dumps(attributes, ensure_ascii=False) if attributes is not None else None
