"""Which colours of a person's captions to change, and to what; and every caption of the image after that change."""

from collections.abc import Iterator, Sequence

import numpy as np

from personsearch.augmentation.pdg.colours import TARGETS, unlike
from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Change
from personsearch.augmentation.pdg.phrases import ColourPhrase, colour_phrases, say_otherwise, speaks_of_whole_outfit

LEAST_CONTRAST = 0.14  # between the new cloth and any that the old word, or the garment's other colours, may stand for


def plan_changes(
    captions: Sequence[str], parts: frozenset[Part], generator: np.random.Generator
) -> Iterator[tuple[str, Change]]:
    """For each caption, the change of its first colour phrase of these parts; a garment comes up once."""
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
    """Each caption as it is after the change; None where it does not tell the garment's colour, or tells another."""
    return [_caption_after(caption, change) for caption in captions]


def _contrasting(phrases: list[ColourPhrase]) -> list[str]:
    """The colours that differ clearly from all that the captions say of this part."""
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
    return say_otherwise(caption, mine, change.new_colour) if mine else None
