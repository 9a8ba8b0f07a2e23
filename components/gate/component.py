"""Decide whether a model may be registered."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def gate(
    *,
    metrics: dsl.Input[dsl.Metrics],
    dataset_hash: str,
    model_name: str,
    config: dict,
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Hold the metrics against the gate's floors and the champion's metrics; write why, return whether it passed."""
    from pathlib import Path

    from personsearch.evaluation.gate import GateConfig, decide
    from personsearch.files import write_json
    from personsearch.integrations.kubeflow_steps import champion_metrics, parse_config, read_metrics

    baseline = champion_metrics(model_name, dataset_hash)
    verdict = decide(parse_config(GateConfig, config), read_metrics(metrics), baseline)
    write_json(Path(decision.path), {"passed": verdict.passed, "reasons": verdict.reasons})
    return verdict.passed
