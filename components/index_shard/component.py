"""Fill one shard of a collection."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def index_shard(*, shard: str, model_name: str, gallery: str, config: dict, code_version: str) -> str:
    """Encode what a shard lacks; return the shard."""
    from pathlib import Path

    from personsearch.gallery.builds import Shard
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.promotion import fill_shard
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.steps import parse_config, start_step

    start_step(code_version)
    here = Settings(model_name=model_name)
    crops = open_gallery(here, Path(gallery) if gallery else None)
    index_config, registry = parse_config(IndexConfig, config), open_registry(here)
    fill_shard(index_config, registry, open_store(here), crops, Shard.model_validate_json(shard))
    return shard
