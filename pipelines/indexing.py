"""The indexing pipeline: the gallery in the vectors of one model version, live once it is verified."""

from kfp import dsl

from components.index_gallery.component import index_gallery
from pipelines.cluster import place


@dsl.pipeline(name="personsearch-indexing", description="Re-index the gallery with a model version and switch to it.")
def indexing_pipeline(
    model_version: str = "champion",
    gallery: str = "",
    index_config: dict = {},  # noqa: B006 (kfp reads the default, nothing changes it)
    model_name: str = "personsearch",
) -> str:
    """`model_version` is a number or an alias; an empty `gallery` means the installation's own."""
    indexed = index_gallery(
        model_name=model_name, model_version=model_version, gallery=gallery, config=index_config
    ).set_caching_options(False)
    place(indexed, cpu="4", memory="8Gi", volume="personsearch-gallery")
    return indexed.outputs["Output"]
