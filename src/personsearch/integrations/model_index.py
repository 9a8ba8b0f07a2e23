"""Makes a registered model version live, as `personsearch index`, promotion and rollback do."""

from pathlib import Path

from personsearch.bundle import read_spec
from personsearch.errors import UserError
from personsearch.gallery.indexing import IndexConfig, IndexReport, build_index, rollback
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerificationFailed
from personsearch.integrations.mlflow_registry import CHAMPION, ModelRegistry
from personsearch.search.encoder import Encoder
from personsearch.search.index import CollectionProperties, CollectionStore
from personsearch.search.load import load_graph_encoder

INDEX_STATUS = "index_status"


def index_version(
    config: IndexConfig, registry: ModelRegistry, store: CollectionStore, gallery: Gallery, version: str | None = None
) -> IndexReport:
    """Index the gallery with a model version, the champion by default, and tag the version with the outcome.

    Raises:
        UserError: there is no such version or no champion.
        VerificationFailed: the bundle fails its golden inputs, or the collection may not go live.
    """
    version = version or champion(registry)
    try:
        report = _build(config, registry, store, gallery, version)
    except VerificationFailed as error:
        registry.tag(version, INDEX_STATUS, f"failed: {error}"[:500])
        raise
    registry.tag(version, INDEX_STATUS, f"live: {report.collection}")
    return report


def roll_back(registry: ModelRegistry, store: CollectionStore, gallery: Gallery) -> CollectionProperties:
    """Go back to the previous collection, and move the champion to the model that made it."""
    properties = rollback(store, gallery)
    registry.promote(properties.model_version)
    return properties


def champion(registry: ModelRegistry) -> str:
    """The champion's version; raises UserError if no version has been promoted."""
    version = registry.alias_version(CHAMPION)
    if version is None:
        raise UserError(f"{registry.uri}: model {registry.model_name!r} has no champion; run `personsearch promote`")
    return version


def _build(
    config: IndexConfig, registry: ModelRegistry, store: CollectionStore, gallery: Gallery, version: str
) -> IndexReport:
    registered = registry.version(version)
    bundle = registry.fetch(version, registered.fingerprint)
    return build_index(
        config,
        gallery,
        _proven_encoder(bundle),
        store,
        model_name=registry.model_name,
        model_version=version,
        fingerprint=registered.fingerprint,
        dataset_hash=registered.tags.get("dataset_hash", "") or read_spec(bundle).lineage.dataset_hash,
    )


def _proven_encoder(bundle: Path) -> Encoder:
    """The encoder that serving will use, so that a bundle serving would refuse is not indexed either."""
    try:
        return load_graph_encoder(bundle, verify=True)
    except UserError as error:
        raise VerificationFailed(str(error)) from error
