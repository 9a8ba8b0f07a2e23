"""The name and licence that a raw data set states in `dataset.json`, if it has one."""

import json
from pathlib import Path

from pydantic import ValidationError

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError
from personsearch.files import write_json

LABEL = "dataset.json"


class DatasetLabel(Config):
    """Name and licence of a data set; empty if unknown."""

    name: str = ""
    """Name of the data set."""

    licence: str = ""
    """What it may be used for."""


def read_label(source: Path) -> DatasetLabel:
    """The label of a raw data set; an empty one if it has none.

    Raises:
        UserError: the file is not such a label.
    """
    path = source / LABEL
    if not path.is_file():
        return DatasetLabel()
    try:
        return DatasetLabel.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, DatasetLabel)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON object with name and licence: {error}") from error


def write_label(folder: Path, label: DatasetLabel) -> None:
    """Write `dataset.json`."""
    write_json(folder / LABEL, label.model_dump())
