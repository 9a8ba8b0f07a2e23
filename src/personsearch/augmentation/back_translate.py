"""Fill the file of back-translations that `augment` reads: captions go into another language and come back.

Every finished caption stands in a journal beside the file: a killed run goes on where it stopped, and new captions cost
only themselves.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from personsearch.augmentation.translations import same_wording
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import input_key
from personsearch.errors import UserError
from personsearch.files import Journal, hash_folder, replacing
from personsearch.progress import track

ALGORITHM = "back-translate-1"


class BackTranslateConfig(Config):
    """How captions are translated into another language and back."""

    there: Path
    """Folder of the model that translates out of the captions' language."""

    back: Path
    """Folder of the model that translates back."""

    num_beams: int = Field(default=4, ge=1, le=64)
    """Beams of the search for a translation; 1 is greedy, more is slower and usually better."""

    max_tokens: int = Field(default=256, ge=8)
    """Longest translation in tokens."""

    batch_size: int = Field(default=32, ge=1)
    """Captions translated at once; lower it when memory is short."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""


def back_translate(config: BackTranslateConfig, dataset: Path, out_file: Path) -> dict[str, float]:
    """Write JSON lines {caption, translation} for every training caption of a prepared data set.

    Captions that differ only in case and spaces are translated once. Other models than the journal's start anew.

    Raises:
        UserError: no training captions, no models in the folders, or models that give back nothing but empty texts.
    """
    captions = [caption for record in Dataset.open(dataset).records("train") for caption in record.captions]
    distinct = {same_wording(caption): caption for caption in reversed(captions)}
    if not distinct:
        raise UserError(f"{dataset}: no caption of split train")
    for folder in (config.there, config.back):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; a translation model is wanted")
    path = out_file.with_name(f"{out_file.name}.journal")
    journal: Journal[tuple[str, str]] = Journal(path, _key(config), encode=list, decode=tuple)
    missing = sorted(distinct.keys() - dict(journal.entries()).keys(), key=lambda wording: (len(wording), wording))
    if missing:
        with journal:
            for pair in track(_translated(config, missing, distinct), "translate: captions", total=len(missing)):
                journal.append(pair)
    return _write(out_file, distinct, dict(journal.entries()), len(captions))


def _translated(
    config: BackTranslateConfig, wordings: Sequence[str], distinct: dict[str, str]
) -> Iterator[tuple[str, str]]:
    from personsearch.augmentation.translator import Translator
    from personsearch.models.device import choose_device

    device = choose_device(config.device)
    there, back = (
        Translator(folder, device, num_beams=config.num_beams, max_tokens=config.max_tokens)
        for folder in (config.there, config.back)
    )
    for start in range(0, len(wordings), config.batch_size):
        batch = wordings[start : start + config.batch_size]
        yield from zip(batch, back(there([distinct[wording] for wording in batch])), strict=True)


def _write(out_file: Path, distinct: dict[str, str], translations: dict[str, str], count: int) -> dict[str, float]:
    pairs = [(caption, translations[wording]) for wording, caption in distinct.items() if translations[wording]]
    if not pairs:
        raise UserError(f"{out_file}: the models gave back {len(distinct)} empty texts; do they fit each other?")
    with replacing(out_file) as temporary, temporary.open("w", encoding="utf-8") as file:
        for caption, translation in pairs:
            file.write(json.dumps({"caption": caption, "translation": translation}, ensure_ascii=False) + "\n")
    unchanged = sum(same_wording(caption) == same_wording(translation) for caption, translation in pairs)
    return {
        "captions": count,
        "distinct": len(distinct),
        "translated": len(pairs),
        "empty": len(distinct) - len(pairs),
        "unchanged": unchanged,
    }


def _key(config: BackTranslateConfig) -> str:
    models = hash_folder(config.there), hash_folder(config.back)
    return input_key(ALGORITHM, *models, config.num_beams, config.max_tokens)
