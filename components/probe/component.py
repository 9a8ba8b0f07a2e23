"""Probe a model: find the layers that a new training can freeze or drop."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def probe(
    *,
    model: dsl.Input[dsl.Model],
    fingerprint: str,
    before: str,
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    config: dict,
    code_version: str,
    figures: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    table: dsl.Output[dsl.Markdown],
):
    """Measure the contribution and criticality of every layer of a model that was trained from `before`."""
    import shutil
    from pathlib import Path

    from personsearch.compression.probing import ProbeConfig
    from personsearch.compression.probing import probe as run
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, resumable_folder, start_step
    from personsearch.integrations.mlflow.report import Report, log_report

    start_step(code_version)
    bundle, out_dir = Path(model.path) / "bundle", Path(figures.path)
    with resumable_folder(out_dir, "probe", fingerprint, before, dataset_hash, config, code_version) as folder:
        results = run(parse_config(ProbeConfig, config), bundle, Path(before), Path(dataset.path), folder)
    report_metrics(results, metrics)
    log_report("probe", Report(results, files=[out_dir / "probe.md", out_dir / "probe.png"]))
    shutil.copyfile(out_dir / "probe.md", table.path)
