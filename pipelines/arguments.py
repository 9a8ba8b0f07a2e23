"""The arguments of a pipeline, from files and the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from personsearch.config import Config, parse_yaml, read_yaml
from personsearch.errors import UserError
from personsearch.integrations.kubeflow.runs import parameters
from personsearch.integrations.kubeflow.steps import code_version, parse_config

DATASET_VERSION = ("dataset_repository", "dataset_revision", "dataset_path")


def pipeline_arguments(
    spec: Path, *, params: Path | None, arguments: Path | None, settings: Sequence[str]
) -> dict[str, Any]:
    """A pipeline's arguments: the sections of `params`, over them the file `arguments`, over that each of `settings`.

    A setting is NAME=VALUE, the value parsed as YAML, except that a string parameter takes it literally.

    `code_version` and `dataset_hash` are filled in if the pipeline has such a parameter and no value was given. With
    several `nodes` the training step's own pod asks for no `accelerators`.

    Raises:
        UserError: a file is not a YAML mapping, a setting is not NAME=VALUE, or a stage would refuse its section.
    """
    known = parameters(spec)
    given: dict[str, Any] = {}
    if params is not None:
        sections = {f"{name}_config": section for name, section in _mapping(params).items()}
        given.update({name: section or {} for name, section in sections.items() if name in known})
    if arguments is not None:
        given.update(_mapping(arguments))
    given.update(_setting(text, known) for text in settings)
    if "code_version" in known:
        given.setdefault("code_version", code_version())
    if "dataset_hash" in known and not given.get("dataset_hash") and set(DATASET_VERSION) <= set(given):
        from personsearch.integrations.dvc.data import dataset_identity

        given["dataset_hash"] = dataset_identity(*(given[name] for name in DATASET_VERSION))
    if "nodes" in known and isinstance(given.get("nodes"), int) and given["nodes"] > 1:
        given.setdefault("accelerators", "0")  # the step's own pod only follows
    arguments = without_nulls(given)
    _check_sections({name: value for name, value in arguments.items() if name in known})
    return arguments


def _check_sections(arguments: Mapping[str, Any]) -> None:
    """Refuse now what a stage would refuse when it starts, after hours of others."""
    for name, kind in configurations().items():
        if isinstance(arguments.get(name), dict):
            try:
                parse_config(kind, arguments[name])
            except UserError as error:
                raise UserError(f"{name}: {str(error).removeprefix(f'{kind.__name__}: ')}") from error


def configurations() -> dict[str, type[Config]]:
    """The configuration of each stage, by the name that it has as an argument of a pipeline."""
    from personsearch.augmentation.augment import AugmentConfig
    from personsearch.compression.compress import CompressConfig
    from personsearch.data.prepare import PrepareConfig
    from personsearch.evaluation.evaluate import EvaluateConfig
    from personsearch.evaluation.gate import GateConfig
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.training.config import TrainConfig

    return {
        "prepare_config": PrepareConfig,
        "augment_config": AugmentConfig,
        "train_config": TrainConfig,
        "evaluate_config": EvaluateConfig,
        "compress_config": CompressConfig,
        "gate_config": GateConfig,
        "index_config": IndexConfig,
    }


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without nulls, at any depth: Kubeflow cannot pass null; a missing value means the default."""
    return {
        name: without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _setting(text: str, known: Mapping[str, Any]) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--set {text!r}: NAME=VALUE expected")
    if known.get(key, {}).get("parameterType") == "STRING":  # "0012" is a revision, not the number 10
        return key, value
    return key, _mapping(Path(value[1:])) if value.startswith("@") else parse_yaml(value, f"--set {key}")


def _mapping(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: a YAML mapping expected, found {type(values).__name__}")
    return values
