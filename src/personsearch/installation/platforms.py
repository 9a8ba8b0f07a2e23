"""Opens the registry and the vector store that an installation's settings name."""

from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.registry import ModelRegistry

if TYPE_CHECKING:
    from personsearch.integrations.milvus.store import MilvusStore


def open_registry(settings: Settings) -> ModelRegistry:
    """The model registry; nothing is contacted until it is used."""
    return ModelRegistry(settings.mlflow_address, settings.model_name, cache=settings.home / "models")


def open_store(settings: Settings) -> "MilvusStore":
    """The vector store.

    Raises:
        UserError: it does not answer.
    """
    from personsearch.integrations.milvus.store import MilvusStore

    token = settings.milvus_token.get_secret_value()
    return MilvusStore(settings.milvus_address, token, index_type=settings.milvus_index)


def open_existing_store(settings: Settings) -> "MilvusStore | None":
    """The vector store, None if it is a Milvus Lite file that nobody has written yet.

    Raises:
        UserError: it does not answer.
    """
    from personsearch.integrations.milvus.connection import is_local

    address = settings.milvus_address
    return None if is_local(address) and not Path(address).exists() else open_store(settings)
