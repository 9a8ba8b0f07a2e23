"""The arguments of a pipeline, from files and the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.runs import code_version, parameters

DATASET_VERSION = ("dataset_repository", "dataset_revision", "dataset_path")


def pipeline_arguments(
    spec: Path, *, params_file: Path | None, stages: Path | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """A pipeline's arguments: sections of `stages`, then `params_file`, then `key=value` overrides.

    An override's value is parsed as YAML, except that a string parameter takes it literally.

    `code_version` and `dataset_hash` are filled in if the pipeline has such a parameter and no value was given.

    Raises:
        UserError: a file is not a YAML mapping, or an override is not `key=value`.
    """
    known = parameters(spec)
    arguments: dict[str, Any] = {}
    if stages is not None:
        sections = {f"{name}_config": section for name, section in _mapping(stages).items()}
        arguments.update({name: section or {} for name, section in sections.items() if name in known})
    if params_file is not None:
        arguments.update(_mapping(params_file))
    arguments.update(_override(text, known) for text in overrides)
    if "code_version" in known:
        arguments.setdefault("code_version", code_version())
    if "dataset_hash" in known and not arguments.get("dataset_hash") and set(DATASET_VERSION) <= set(arguments):
        from personsearch.integrations.dvc.data import dataset_identity

        arguments["dataset_hash"] = dataset_identity(*(arguments[name] for name in DATASET_VERSION))
    return without_nulls(arguments)


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without nulls, at any depth: Kubeflow cannot pass null; a missing value means the default."""
    return {
        name: without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _override(text: str, known: Mapping[str, Any]) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--param {text!r}: key=value expected")
    if known.get(key, {}).get("parameterType") == "STRING":  # "0012" is a revision, not the number 10
        return key, value
    return key, _mapping(Path(value[1:])) if value.startswith("@") else _parsed(value, f"--param {key}")


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = _parsed(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: a YAML mapping expected, found {type(values).__name__}")
    return values


def _parsed(text: str, origin: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: not valid YAML: {error}") from error
