"""Train one model."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def train(
    *,
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    config: dict,
    code_version: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    nodes: int = 1,
    accelerators_per_node: int = 0,
) -> str:
    """Train one model, or resume from its checkpoints; return the fingerprint of its bundle."""
    from pathlib import Path

    from personsearch.bundle import Bundle
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step
    from personsearch.integrations.kubeflow.training import train_step
    from personsearch.integrations.kubeflow.trainjobs import Nodes
    from personsearch.training.config import TrainConfig

    start_step(code_version)
    identity, on = (dataset_hash, config, code_version), Nodes(nodes, accelerators_per_node)
    results = train_step(parse_config(TrainConfig, config), Path(dataset.path), Path(model.path), identity, on)
    report_metrics(results, metrics)
    return Bundle.open(Path(model.path) / "bundle").fingerprint
