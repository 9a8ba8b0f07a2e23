"""Stored back-translations, looked up by caption."""

import json
from collections.abc import Iterator
from pathlib import Path

from personsearch.data.checks import Refused, clean_caption
from personsearch.data.readers.json_stream import stream_items
from personsearch.errors import UserError

MAX_WORDS = 1000


def same_wording(caption: str) -> str:
    """Captions that differ only in case and spaces share a translation."""
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
            continue  # an empty translation is no translation
    if not translations:
        raise UserError(f"{path}: holds no translation; JSON lines with caption and translation are wanted")
    return translations


def _starts_with_array(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


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
        raise UserError(f"{path} line {number}: an object with caption and translation is wanted") from error
