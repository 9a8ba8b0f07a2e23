"""What the checks look at: opened when a check first needs it, and never made."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from personsearch.addresses import hide_credentials, is_address
from personsearch.bundle import Bundle
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.platforms import (
    database_exists,
    open_existing_gallery,
    open_existing_registry,
    open_existing_store,
)
from personsearch.installation.service_records import running_address
from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.registry import ModelRegistry
from personsearch.search.index import LIVE_ALIAS, CollectionProperties

if TYPE_CHECKING:
    from personsearch.encoders.encoder import Encoder
    from personsearch.integrations.milvus.store import MilvusStore

State = Literal["well", "note", "wrong", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    state: State
    found: str
    advice: str = ""


class Skipped(Exception):
    """What a check needs is missing; an earlier check has said so."""


class Patient:
    """What the checks look at, opened when it is first needed and never made."""

    def __init__(self, settings: Settings, variables: Collection[str], service: str | None, scratch: Path) -> None:
        self.settings = settings
        self.variables = variables
        self.service = service or running_address(settings.home, "serving")
        self._scratch = scratch

    def close(self) -> None:
        """Let go of a file of Milvus Lite, which one process at a time may open."""
        if "store" in self.__dict__:
            self.store.close()

    @cached_property
    def gallery(self) -> Gallery:
        from personsearch.integrations.database.engine import Database
        from personsearch.integrations.database.schema import HEAD, schema_revision

        if not database_exists(self.settings):
            raise Skipped
        if schema_revision(Database(self.settings.database_address)) != HEAD:
            raise Skipped  # opening would migrate it
        crops = self.settings.crops_address
        if not is_address(crops) and not Path(crops).is_dir():
            raise Skipped
        gallery = open_existing_gallery(self.settings)
        assert gallery is not None
        return gallery

    @cached_property
    def store(self) -> "MilvusStore":
        store = open_existing_store(self.settings)
        if store is None:
            raise UserError(f"{self.settings.milvus_address}: no vectors yet")
        return store

    @cached_property
    def registry(self) -> ModelRegistry:
        registry = open_existing_registry(self.settings)
        if registry is None:
            raise UserError(f"{hide_credentials(self.settings.mlflow_address)}: no models yet")
        return registry

    @cached_property
    def live(self) -> tuple[str, CollectionProperties]:
        collection = self.store.alias_target(LIVE_ALIAS)
        if collection is None:
            raise Skipped
        return collection, self.store.properties(collection)

    @cached_property
    def bundle(self) -> Bundle:
        """As services keep it here, else fetched to be thrown away."""
        _, properties = self.live
        kept = ModelRegistry(self.registry.uri, self.registry.model_name, cache=self.settings.home / "models")
        folder = kept.cached(properties.model_version, properties.fingerprint)
        if folder is not None:
            return folder
        apart = ModelRegistry(self.registry.uri, self.registry.model_name, cache=self._scratch)
        return apart.fetch(properties.model_version, properties.fingerprint)

    @cached_property
    def encoder(self) -> "Encoder":
        return load_graph_encoder(self.bundle)
