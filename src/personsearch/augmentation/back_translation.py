"""Back-translations: made by two translation models, stored in a file, looked up by caption.

Every finished caption is appended to a journal beside the file, so a killed run resumes where it stopped, and only new
captions are translated.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from personsearch.config import Config
from personsearch.data.checks import Refused, clean_caption
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import input_key
from personsearch.data.readers.json_stream import stream_items
from personsearch.errors import UserError, check_exists, explain
from personsearch.files import Journal, hash_folder, replacing
from personsearch.progress import track

ALGORITHM = "back-translate-1"
MAX_WORDS = 1000


class BackTranslateConfig(Config):
    """How captions are translated into another language and back."""

    there: Path
    """Folder of the model that translates out of the captions' language."""

    back: Path
    """Folder of the model that translates back."""

    num_beams: int = Field(default=4, ge=1, le=64)
    """Beams of the beam search; 1 is greedy, more is slower and usually better."""

    max_tokens: int = Field(default=256, ge=8)
    """Longest translation in tokens."""

    batch_size: int = Field(default=32, ge=1)
    """Captions translated at once; lower it if memory runs out."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""


def back_translate(config: BackTranslateConfig, dataset: Path, out_file: Path) -> dict[str, float]:
    """Write JSON lines {caption, translation} for every training caption of a prepared data set.

    Captions that differ only in case and spaces are translated once. With other models than the journal's, everything
    is translated again.

    Raises:
        UserError: no training captions, no models in the folders, or models that return only empty texts.
    """
    captions = [caption for record in Dataset.open(dataset).records("train") for caption in record.captions]
    distinct = {same_wording(caption): caption for caption in reversed(captions)}
    if not distinct:
        raise UserError(f"{dataset}: split train has no captions")
    for folder in (config.there, config.back):
        check_exists(folder, "the folder of a translation model")
        if not folder.is_dir():
            raise UserError(f"{folder}: is a file; the folder of a translation model expected")
    path = out_file.with_name(f"{out_file.name}.journal")
    journal: Journal[tuple[str, str]] = Journal(path, _key(config), encode=list, decode=tuple)
    # sorted by length, because a batch is padded to its longest text
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
        raise UserError(f"{out_file}: the models returned {len(distinct)} empty texts; do their languages match?")
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


def same_wording(caption: str) -> str:
    """The key of a caption: captions that differ only in case and spaces share a translation."""
    return " ".join(caption.lower().split())


def read_translations(path: Path) -> dict[str, str]:
    """Read JSON lines {caption, translation}, or a JSON array of TBPS-CLIP's rows {captions, captions_bt}.

    Raises:
        UserError: the file cannot be read or holds no translation.
    """
    pairs = _tbps_pairs(path) if _starts_with_array(path) else _line_pairs(path)
    translations = {}
    for caption, translation in pairs:
        try:
            translations[same_wording(clean_caption(caption, MAX_WORDS))] = clean_caption(translation, MAX_WORDS)
        except Refused:
            continue  # an empty translation counts as missing
    if not translations:
        raise UserError(f"{path}: no translations; JSON lines with caption and translation expected")
    return translations


def _starts_with_array(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {explain(error)}") from error


def _tbps_pairs(path: Path) -> Iterator[tuple[object, object]]:
    for item in stream_items(path):
        captions = item.get("captions") if isinstance(item, dict) else None
        translations = item.get("captions_bt") if isinstance(item, dict) else None
        if isinstance(captions, list) and isinstance(translations, list):
            yield from zip(captions, translations, strict=False)


def _line_pairs(path: Path) -> Iterator[tuple[object, object]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _pair(path, number, line)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason}") from error


def _pair(path: Path, number: int, line: str) -> tuple[object, object]:
    try:
        item = json.loads(line)
        return item["caption"], item["translation"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} line {number}: an object with caption and translation expected") from error
