"""Reads a recipe file and applies settings from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from personsearch.config import describe_validation_error, parse_yaml, read_yaml
from personsearch.errors import UserError
from personsearch.training.config import TrainConfig


def read_recipe(path: Path, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe and apply `dotted.key=YAML value` settings.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of settings")
    for setting in settings:
        _apply(values, setting)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, TrainConfig)}") from error


def _apply(values: dict[str, Any], setting: str) -> None:
    key, separator, text = setting.partition("=")
    *parents, last = key.split(".")
    if not separator or "" in (*parents, last):
        raise UserError(f"--set {setting!r}: expected key=value, such as optimiser.lr=1e-4")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {setting!r}: {parent} is not a section")
    values[last] = parse_yaml(text, f"--set {key}")
