"""Index the gallery with one version of the model."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def index_gallery(
    *, model_name: str, model_version: str, gallery: str, config: dict, metrics: dsl.Output[dsl.Metrics]
) -> str:
    """Build a collection with the model's vectors, verify it and switch the alias; return the collection's name."""
    from pathlib import Path

    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.promotion import index_version
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step

    start_step()
    here = Settings(model_name=model_name)
    registry, store = open_registry(here), open_store(here)
    crops = open_gallery(here, Path(gallery) if gallery else None)
    report = index_version(parse_config(IndexConfig, config), registry, store, crops, model_version or None)
    report_metrics({**report.findings.model_dump(), "encoded": report.encoded, "removed": report.removed}, metrics)
    return report.collection
