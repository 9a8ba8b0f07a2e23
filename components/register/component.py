"""Register a model as the challenger."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def register(
    *,
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    metrics: dsl.Input[dsl.Metrics],
    model_name: str,
    dataset_hash: str,
    raw_hash: str,
    raw_revision: str,
    code_version: str,
) -> str:
    """Register the chosen bundle in MLflow with its metrics and lineage; return its version."""
    from pathlib import Path

    from personsearch.installation.promotion import register_model
    from personsearch.integrations.kubeflow.steps import read_metrics, start_step

    start_step(code_version)
    lineage = {"dataset_hash": dataset_hash, "raw_hash": raw_hash, "raw_revision": raw_revision}
    tags = {**lineage, "code_version": code_version}
    bundle, measured = Path(model.path) / "chosen", Path(evaluation.path)
    return register_model(bundle, measured, read_metrics(metrics), model_name=model_name, tags=tags)
