"""Verify a collection that was filled in shards, and make it live."""

from typing import List  # noqa: UP035 (kfp knows the type of an item by it)

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def index_gallery(
    *,
    shards: List[str],  # noqa: UP006
    model_name: str,
    gallery: str,
    config: dict,
    code_version: str,
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Compare the collection with the gallery, verify it and switch the alias; return the collection's name."""
    from pathlib import Path

    from personsearch.gallery.builds import Shard
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.promotion import finish_version
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step

    start_step(code_version)
    here, filled = Settings(model_name=model_name), [Shard.model_validate_json(shard) for shard in shards]
    index, registry, store = parse_config(IndexConfig, config), open_registry(here), open_store(here)
    crops = open_gallery(here, Path(gallery) if gallery else None)
    report = finish_version(index, registry, store, crops, filled)
    report_metrics({**report.findings.model_dump(), "encoded": report.encoded, "removed": report.removed}, metrics)
    return report.collection
