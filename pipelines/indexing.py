"""The indexing pipeline: the gallery in the vectors of one model version, live once it is verified."""

from kfp import dsl

from components.index_gallery.component import index_gallery
from pipelines.cluster import GALLERY_SECRETS, REGISTRY_SECRETS, VECTOR_SECRETS, place


@dsl.pipeline(name="personsearch-indexing", description="Re-index the gallery with a model version and switch to it.")
def indexing_pipeline(
    index_config: dict = {},  # noqa: B006 (kfp reads the default, nothing changes it)
    model_version: str = "",
    gallery: str = "",
    model_name: str = "personsearch",
) -> str:
    """`model_version` is a number, the champion's if empty; an empty `gallery` means the installation's own."""
    indexed = index_gallery(
        model_name=model_name, model_version=model_version, gallery=gallery, config=index_config
    ).set_caching_options(False)
    secrets = (*REGISTRY_SECRETS, *VECTOR_SECRETS, *GALLERY_SECRETS)
    place(indexed, secrets=secrets)
    return indexed.outputs["Output"]
