"""The training pipeline: from one version of a data set to a challenger in the model registry.

Every step takes the hash of what it reads and the version of the code, because Kubeflow's cache looks at arguments
and not at the content of artifacts. Gate and register read and write the registry, so they always run.
"""

from typing import Any, NamedTuple

from kfp import dsl

from components.augment.component import augment
from components.compress.component import compress
from components.evaluate.component import evaluate
from components.fetch_dataset.component import fetch_dataset
from components.gate.component import gate
from components.prepare.component import prepare
from components.register.component import register
from components.train.component import train
from pipelines.cluster import GALLERY_SECRETS, REGISTRY_SECRETS, STORAGE_SECRETS, accelerate, place


class Trained(NamedTuple):
    """What a run leaves: the compressed model, its data, its metrics and whether the gate let it pass."""

    model: dsl.Model
    dataset: dsl.Dataset
    metrics: dsl.Metrics
    report: dsl.HTML
    decision: dsl.Artifact
    passed: bool


class Source(NamedTuple):
    """The version of a data set that is fetched."""

    repository: Any
    revision: Any
    path: Any
    hash: Any


class Data(NamedTuple):
    """A prepared data set, and its hash."""

    folder: Any
    hash: Any


class Nodes(NamedTuple):
    """How many nodes train, and the accelerators of each where there are several."""

    number: Any
    accelerators: Any


class Model(NamedTuple):
    """A folder with a model bundle of a name, and the bundle's fingerprint."""

    folder: Any
    bundle: str
    fingerprint: Any


def _fetch(source: Source, code_version: str) -> dsl.PipelineTask:
    task = fetch_dataset(
        repository=source.repository,
        revision=source.revision,
        path=source.path,
        dataset_hash=source.hash,
        code_version=code_version,
    )
    place(task, secrets=STORAGE_SECRETS)
    return task


def _prepare(raw: dsl.PipelineTask, source: Source, config: dict[str, Any], code_version: str) -> Data:
    task = prepare(raw=raw.outputs["dataset"], raw_hash=source.hash, config=config, code_version=code_version)
    place(task)
    return Data(task.outputs["dataset"], task.outputs["Output"])


def _augment(prepared: Data, config: dict[str, Any], code_version: str, *, gpus: str) -> Data:
    task = augment(prepared=prepared.folder, prepared_hash=prepared.hash, config=config, code_version=code_version)
    place(task)
    accelerate(task, gpus)
    return Data(task.outputs["dataset"], task.outputs["Output"])


def _train(data: Data, config: dict[str, Any], code_version: str, *, gpus: str, nodes: Nodes) -> Model:
    task = train(
        dataset=data.folder,
        dataset_hash=data.hash,
        config=config,
        code_version=code_version,
        nodes=nodes.number,
        accelerators_per_node=nodes.accelerators,
    )
    place(task, secrets=REGISTRY_SECRETS)
    accelerate(task, gpus)
    return Model(task.outputs["model"], "bundle", task.outputs["Output"])


def _compress(model: Model, data: Data, config: dict[str, Any], code_version: str, *, gpus: str) -> Model:
    task = compress(
        model=model.folder,
        fingerprint=model.fingerprint,
        dataset=data.folder,
        dataset_hash=data.hash,
        config=config,
        code_version=code_version,
    )
    place(task, secrets=REGISTRY_SECRETS)
    accelerate(task, gpus)
    return Model(task.outputs["compressed"], "chosen", task.outputs["Output"])


def _evaluate(model: Model, data: Data, config: dict[str, Any], code_version: str) -> dsl.PipelineTask:
    task = evaluate(
        model=model.folder,
        fingerprint=model.fingerprint,
        bundle=model.bundle,
        dataset=data.folder,
        dataset_hash=data.hash,
        config=config,
        code_version=code_version,
    )
    place(task)
    return task


def _gate(  # noqa: PLR0917
    model: Model,
    before: dsl.PipelineTask,
    after: dsl.PipelineTask,
    data: Data,
    config: dict[str, Any],
    model_name: str,
    code_version: str,
) -> dsl.PipelineTask:
    task = gate(
        model=model.folder,
        bundle=model.bundle,
        metrics=after.outputs["metrics"],
        uncompressed=before.outputs["metrics"],
        dataset_hash=data.hash,
        model_name=model_name,
        config=config,
        code_version=code_version,
    ).set_caching_options(False)
    place(task, secrets=(*REGISTRY_SECRETS, *GALLERY_SECRETS))  # people's verdicts are in the installation's database
    return task


def _register(  # noqa: PLR0917
    model: Model, evaluation: dsl.PipelineTask, data: Data, source: Source, model_name: str, code_version: str
) -> None:
    task = register(
        model=model.folder,
        evaluation=evaluation.outputs["evaluation"],
        metrics=evaluation.outputs["metrics"],
        dataset_hash=data.hash,
        model_name=model_name,
        raw_hash=source.hash,
        raw_revision=source.revision,
        code_version=code_version,
    ).set_caching_options(False)
    place(task, secrets=REGISTRY_SECRETS)


@dsl.pipeline(name="personsearch-training", description="From a version of a data set to a registered challenger.")
def training_pipeline(  # noqa: PLR0917 (kfp passes them by position)
    dataset_repository: str,
    dataset_revision: str,
    dataset_path: str,
    dataset_hash: str,
    code_version: str,
    train_config: dict,
    prepare_config: dict = {},  # noqa: B006 (kfp reads the default, nothing changes it)
    augment_config: dict = {},  # noqa: B006
    evaluate_config: dict = {},  # noqa: B006
    compress_config: dict = {},  # noqa: B006
    gate_config: dict = {},  # noqa: B006
    model_name: str = "personsearch",
    accelerators: str = "1",
    augment_accelerators: str = "0",
    compress_accelerators: str = "0",
    nodes: int = 1,
    accelerators_per_node: int = 1,
) -> Trained:
    """Fetch → prepare → augment → train → compress → gate → register, with an evaluation before and after compress.

    With several `nodes` the step creates a TrainJob and follows it; `accelerators` is what the step's own pod asks for.
    """
    source = Source(dataset_repository, dataset_revision, dataset_path, dataset_hash)
    raw = _fetch(source, code_version)
    prepared = _prepare(raw, source, prepare_config, code_version)
    data = _augment(prepared, augment_config, code_version, gpus=augment_accelerators)
    on = Nodes(nodes, accelerators_per_node)
    trained = _train(data, train_config, code_version, gpus=accelerators, nodes=on)
    chosen = _compress(trained, data, compress_config, code_version, gpus=compress_accelerators)
    before = _evaluate(trained, data, evaluate_config, code_version)
    after = _evaluate(chosen, data, evaluate_config, code_version)
    decision = _gate(chosen, before, after, data, gate_config, model_name, code_version)
    with dsl.If(decision.outputs["Output"] == True, name="passed"):  # noqa: E712 (kfp builds the condition from it)
        _register(chosen, after, data, source, model_name, code_version)
    return Trained(
        model=chosen.folder,
        dataset=data.folder,
        metrics=after.outputs["metrics"],
        report=after.outputs["report"],
        decision=decision.outputs["decision"],
        passed=decision.outputs["Output"],
    )
