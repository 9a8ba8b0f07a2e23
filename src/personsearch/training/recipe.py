"""Reads a recipe file and applies settings from the command line."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from personsearch.config import parse_yaml, problems, read_yaml
from personsearch.errors import UserError
from personsearch.training.config import TrainConfig


def read_recipe(path: Path, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe and apply `dotted.key=YAML value` settings.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong; it says whether in the file or in a setting.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: a mapping of settings expected")
    changed = deepcopy(values)
    for setting in settings:
        _apply(changed, setting)
    try:
        return TrainConfig.model_validate(changed)
    except ValidationError as error:
        in_file = _problems(values)
        raise UserError(
            "; ".join(
                f"{path}: {key}{text}" if (key, text) in in_file else f"{_origin(key, settings)}: {key}{text}"
                for key, text in problems(error, TrainConfig)
            )
        ) from error


def _problems(values: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        TrainConfig.model_validate(values)
    except ValidationError as error:
        return problems(error, TrainConfig)
    return []


def _origin(key: str, settings: Sequence[str]) -> str:
    """The settings that can have made `key` wrong: those of it, of a section around it or of something in it."""
    near = [setting for setting in settings if _overlap(key.split("."), setting.partition("=")[0].split("."))]
    return " ".join(f"--set {setting}" for setting in near or settings)


def _overlap(one: list[str], other: list[str]) -> bool:
    return all(left == right for left, right in zip(one, other, strict=False))


def _apply(values: dict[str, Any], setting: str) -> None:
    key, separator, text = setting.partition("=")
    *parents, last = key.split(".")
    if not separator or "" in (*parents, last):
        raise UserError(f"--set {setting!r}: key=value expected, such as optimiser.lr=1e-4")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {setting!r}: {parent} is not a section")
    values[last] = parse_yaml(text, f"--set {key}")
