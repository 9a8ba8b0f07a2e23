"""Decide whether a model may be registered."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def gate(
    *,
    model: dsl.Input[dsl.Model],
    bundle: str,
    metrics: dsl.Input[dsl.Metrics],
    uncompressed: dsl.Input[dsl.Metrics],
    dataset_hash: str,
    model_name: str,
    config: dict,
    code_version: str,
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Check metrics against limits, the champion, the uncompressed model and people's verdicts; write the reasons."""
    from pathlib import Path

    from personsearch.evaluation.gate import GateConfig, decide
    from personsearch.files import write_json
    from personsearch.installation.feedback.measure import on_verdicts
    from personsearch.installation.promotion import champion_metrics
    from personsearch.integrations.kubeflow.steps import parse_config, read_metrics, start_step
    from personsearch.integrations.mlflow.report import Report, log_report

    start_step(code_version)
    limits, measured, before = parse_config(GateConfig, config), read_metrics(metrics), read_metrics(uncompressed)
    judged = on_verdicts(limits, Path(model.path) / bundle, model_name)
    verdict = decide(limits, measured, champion_metrics(model_name, dataset_hash), before, judged)
    write_json(Path(decision.path), {"passed": verdict.passed, "reasons": verdict.reasons})
    found = {**measured, **(judged.metrics() if judged else {})}
    log_report("gate", Report(found, verdict.tags(), texts={"reasons.md": verdict.summary()}))
    return verdict.passed
