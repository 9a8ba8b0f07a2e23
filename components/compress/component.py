"""Build smaller forms of a model, measure each, choose the bundle to serve."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def compress(
    *,
    model: dsl.Input[dsl.Model],
    fingerprint: str,
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    config: dict,
    code_version: str,
    compressed: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    table: dsl.Output[dsl.Markdown],
) -> str:
    """Write a bundle for each form and a table of all; return the fingerprint of the chosen one."""
    from pathlib import Path

    from personsearch.bundle import Bundle
    from personsearch.compression.compress import CompressConfig
    from personsearch.compression.compress import compress as run
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, resumable_folder, start_step
    from personsearch.integrations.mlflow.report import Report, log_report

    start_step(code_version)
    bundle, out_dir = Path(model.path) / "bundle", Path(compressed.path)
    with resumable_folder(out_dir, "compress", fingerprint, dataset_hash, config, code_version) as folder:
        results = run(parse_config(CompressConfig, config), bundle, Path(dataset.path), folder)
    report_metrics(results, metrics)
    log_report("compress", Report(results, files=[out_dir / "compression.md", out_dir / "compression.png"]))
    Path(table.path).write_bytes((out_dir / "compression.md").read_bytes())
    return Bundle.open(out_dir / "chosen").fingerprint
