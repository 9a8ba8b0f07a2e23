"""Begin to index the gallery with one version of the model."""

from typing import List  # noqa: UP035 (kfp knows the type of an item by it)

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def plan_index(
    *, model_name: str, model_version: str, while_champion: bool, gallery: str, config: dict, code_version: str
) -> List[str]:  # noqa: UP006
    """Create the collection, and return the shards to fill, as JSON."""
    from pathlib import Path

    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.platforms import open_gallery, open_registry, open_store
    from personsearch.installation.promotion import plan_version
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.steps import parse_config, start_step

    start_step(code_version)
    here = Settings(model_name=model_name)
    crops = open_gallery(here, Path(gallery) if gallery else None)
    index_config, registry = parse_config(IndexConfig, config), open_registry(here)
    version, store = model_version or None, open_store(here)
    shards = plan_version(index_config, registry, store, crops, version, while_champion=while_champion)
    return [shard.model_dump_json() for shard in shards]
