"""Reads a recipe file and applies settings from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from personsearch.config import describe_validation_error
from personsearch.errors import UserError
from personsearch.training.config import TrainConfig


def read_recipe(path: Path, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe and apply `dotted.key=YAML value` settings.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from error
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
    if not separator or not last:
        raise UserError(f"--set {setting!r}: expected key=value, such as optimiser.lr=1e-4")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {setting!r}: {parent} is not a section")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting!r}: the value is not YAML") from error
