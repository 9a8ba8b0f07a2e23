"""Decide whether a model may be registered."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def gate(
    *,
    metrics: dsl.Input[dsl.Metrics],
    uncompressed: dsl.Input[dsl.Metrics],
    dataset_hash: str,
    model_name: str,
    config: dict,
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Check metrics against limits, the champion and the uncompressed model; write the reasons, return the verdict."""
    from pathlib import Path

    from personsearch.evaluation.gate import GateConfig, decide
    from personsearch.files import write_json
    from personsearch.installation.promotion import champion_metrics
    from personsearch.integrations.kubeflow.steps import parse_config, read_metrics, start_step
    from personsearch.integrations.mlflow.report import Report, log_report

    start_step()
    measured, before = read_metrics(metrics), read_metrics(uncompressed)
    verdict = decide(parse_config(GateConfig, config), measured, champion_metrics(model_name, dataset_hash), before)
    write_json(Path(decision.path), {"passed": verdict.passed, "reasons": verdict.reasons})
    tags = {"gate": "passed" if verdict.passed else "refused"}
    log_report("gate", Report(measured, tags, texts={"reasons.md": verdict.summary()}))
    return verdict.passed
