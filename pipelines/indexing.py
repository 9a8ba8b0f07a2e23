"""The indexing pipeline: the gallery in the vectors of one model version, shard by shard, live once it is verified."""

from kfp import dsl

from components.index_gallery.component import index_gallery
from components.index_shard.component import index_shard
from components.plan_index.component import plan_index
from pipelines.cluster import GALLERY_SECRETS, REGISTRY_SECRETS, VECTOR_SECRETS, place

SHARDS_AT_ONCE = 8


@dsl.pipeline(name="personsearch-indexing", description="Re-index the gallery with a model version and switch to it.")
def indexing_pipeline(  # noqa: PLR0917 (kfp passes them by position)
    index_config: dict = {},  # noqa: B006 (kfp reads the default, nothing changes it)
    model_version: str = "",
    gallery: str = "",
    model_name: str = "personsearch",
    while_champion: bool = False,
    code_version: str = "",
) -> str:
    """`model_version` is a number, the champion's if empty; an empty `gallery` means the installation's own.

    Steps refuse an image whose code is not `code_version`, unless that is empty.
    """
    planned = plan_index(
        model_name=model_name,
        model_version=model_version,
        while_champion=while_champion,
        gallery=gallery,
        config=index_config,
        code_version=code_version,
    )
    with dsl.ParallelFor(planned.output, parallelism=SHARDS_AT_ONCE) as shard:
        filled = index_shard(
            shard=shard, model_name=model_name, gallery=gallery, config=index_config, code_version=code_version
        )
    indexed = index_gallery(
        shards=dsl.Collected(filled.output),
        model_name=model_name,
        gallery=gallery,
        config=index_config,
        code_version=code_version,
    )
    secrets = (*REGISTRY_SECRETS, *VECTOR_SECRETS, *GALLERY_SECRETS)
    for task in (planned, filled, indexed):
        task.set_caching_options(False)
        place(task, secrets=secrets)
    return indexed.outputs["Output"]
