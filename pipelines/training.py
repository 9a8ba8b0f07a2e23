"""The training pipeline: from one version of a data set to a challenger in the model registry.

Every step takes the hash of what it reads and the version of the code, because Kubeflow's cache looks at arguments
and not at the content of artifacts. Gate and register read and write the registry, so they always run.
"""

from typing import NamedTuple

from kfp import dsl

from components.augment.component import augment
from components.compress.component import compress
from components.evaluate.component import evaluate
from components.fetch_dataset.component import fetch_dataset
from components.gate.component import gate
from components.prepare.component import prepare
from components.register.component import register
from components.train.component import train
from pipelines.cluster import CHECKPOINTS, MODELS, REGISTRY_SECRETS, STORAGE_SECRETS, accelerate, place


class Trained(NamedTuple):
    """What a run leaves: the compressed model, its data, its metrics and whether the gate let it pass."""

    model: dsl.Model
    dataset: dsl.Dataset
    metrics: dsl.Metrics
    report: dsl.HTML
    decision: dsl.Artifact
    passed: bool


Tasks = tuple[dsl.PipelineTask, ...]


def _place(*, fetching: dsl.PipelineTask, light: Tasks, heavy: Tasks, registry: Tasks) -> None:
    place(fetching, cpu="2", memory="4Gi", secrets=STORAGE_SECRETS)
    for task in light:
        place(task, cpu="2", memory="4Gi")
    for task in heavy:
        place(task, cpu="4", memory="16Gi")
    for task in registry:
        place(task, cpu="1", memory="4Gi", secrets=REGISTRY_SECRETS)


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
) -> Trained:
    """Fetch → prepare → augment → train → compress → gate → register, with an evaluation before and after compress."""
    raw = fetch_dataset(
        repository=dataset_repository,
        revision=dataset_revision,
        path=dataset_path,
        dataset_hash=dataset_hash,
        code_version=code_version,
    )
    prepared = prepare(
        raw=raw.outputs["dataset"],
        raw_hash=dataset_hash,
        config=prepare_config,
        code_version=code_version,
    )
    augmented = augment(
        prepared=prepared.outputs["dataset"],
        prepared_hash=prepared.outputs["Output"],
        config=augment_config,
        code_version=code_version,
    )
    trained = train(
        dataset=augmented.outputs["dataset"],
        dataset_hash=augmented.outputs["Output"],
        config=train_config,
        code_version=code_version,
    )
    compressed = compress(
        model=trained.outputs["model"],
        fingerprint=trained.outputs["Output"],
        dataset=augmented.outputs["dataset"],
        dataset_hash=augmented.outputs["Output"],
        config=compress_config,
        code_version=code_version,
    )
    before = evaluate(
        model=trained.outputs["model"],
        fingerprint=trained.outputs["Output"],
        bundle="bundle",
        dataset=augmented.outputs["dataset"],
        dataset_hash=augmented.outputs["Output"],
        config=evaluate_config,
        code_version=code_version,
    )
    after = evaluate(
        model=compressed.outputs["compressed"],
        fingerprint=compressed.outputs["Output"],
        bundle="chosen",
        dataset=augmented.outputs["dataset"],
        dataset_hash=augmented.outputs["Output"],
        config=evaluate_config,
        code_version=code_version,
    )
    decision = gate(
        metrics=after.outputs["metrics"],
        uncompressed=before.outputs["metrics"],
        dataset_hash=augmented.outputs["Output"],
        model_name=model_name,
        config=gate_config,
    ).set_caching_options(False)
    with dsl.If(decision.outputs["Output"] == True, name="passed"):  # noqa: E712 (kfp builds the condition from it)
        registered = register(
            model=compressed.outputs["compressed"],
            evaluation=after.outputs["evaluation"],
            metrics=after.outputs["metrics"],
            dataset_hash=augmented.outputs["Output"],
            model_name=model_name,
            raw_hash=dataset_hash,
            raw_revision=dataset_revision,
            code_version=code_version,
        ).set_caching_options(False)

    _place(fetching=raw, light=(prepared,), heavy=(before, after), registry=(decision, registered))
    place(augmented, cpu="4", memory="16Gi", volumes=(MODELS,))
    place(trained, cpu="8", memory="32Gi", secrets=REGISTRY_SECRETS, volumes=(CHECKPOINTS, MODELS))
    place(compressed, cpu="4", memory="16Gi", secrets=REGISTRY_SECRETS, volumes=(CHECKPOINTS,))
    accelerate(augmented, augment_accelerators)
    accelerate(compressed, compress_accelerators)
    accelerate(trained, accelerators)
    return Trained(
        model=compressed.outputs["compressed"],
        dataset=augmented.outputs["dataset"],
        metrics=after.outputs["metrics"],
        report=after.outputs["report"],
        decision=decision.outputs["decision"],
        passed=decision.outputs["Output"],
    )
