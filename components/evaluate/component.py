"""Measure a model on the test split."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def evaluate(
    *,
    model: dsl.Input[dsl.Model],
    bundle: str,
    fingerprint: str,
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    config: dict,
    code_version: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
):
    """Measure the bundle in the model's subfolder `bundle`; write metrics, calibration and a report."""
    import shutil
    from pathlib import Path

    from personsearch.evaluation.evaluate import evaluate as run
    from personsearch.evaluation.measured import EvaluateConfig
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step

    start_step(code_version)
    out_dir = Path(evaluation.path)
    results = run(parse_config(EvaluateConfig, config), Path(model.path) / bundle, Path(dataset.path), out_dir)
    report_metrics(results, metrics)
    shutil.copyfile(out_dir / "report.html", report.path)
