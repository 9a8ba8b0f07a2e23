"""Export a model to ONNX, quantise it, choose the bundle to serve."""

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
) -> str:
    """Write the ONNX bundles and return the fingerprint of the chosen one."""
    from pathlib import Path

    from personsearch.bundle import fingerprint as fingerprint_of
    from personsearch.compression.compress import CompressConfig
    from personsearch.compression.compress import compress as run
    from personsearch.integrations.kubeflow_steps import parse_config, report_metrics

    bundle, out_dir = Path(model.path) / "bundle", Path(compressed.path)
    results = run(parse_config(CompressConfig, config), bundle, Path(dataset.path), out_dir)
    report_metrics(results, metrics)
    return fingerprint_of(out_dir / "chosen")
