"""Index the gallery with one version of the model."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def index_gallery(
    *, model_name: str, model_version: str, gallery: str, config: dict, metrics: dsl.Output[dsl.Metrics]
) -> str:
    """Build a collection with the model's vectors, verify it, switch the alias; return the collection's name."""
    raise NotImplementedError
