"""A model's way from the gate to a live index: register, promote, index, roll back."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from personsearch.bundle import CALIBRATION, METRICS, Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.gallery.collections import rollback
from personsearch.gallery.indexing import IndexConfig, IndexReport, build_index
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerificationFailed
from personsearch.installation.platforms import open_registry
from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.registry import CHAMPION, ModelRegistry
from personsearch.search.index import CollectionProperties, CollectionStore

INDEX_STATUS = "index_status"
METRIC_TAG = "metric."


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
        dataset_hash=registered.tags.get("dataset_hash", "") or bundle.spec.lineage.dataset_hash,
    )


def _proven_encoder(bundle: Bundle) -> Encoder:
    """The encoder that serving will use, so that a bundle serving would refuse is not indexed either."""
    try:
        return load_graph_encoder(bundle, verify=True)
    except UserError as error:
        raise VerificationFailed(str(error)) from error


def register_model(
    bundle: Path, evaluation: Path, metrics: Mapping[str, float], *, model_name: str, tags: Mapping[str, str]
) -> str:
    """Register a bundle that passed the gate as challenger, and return its version.

    The calibration and metrics of its evaluation are stored in it; the metrics are also tags of the version.
    """
    values = {f"{METRIC_TAG}{name}": f"{value:.6g}" for name, value in metrics.items()}
    registry = open_registry(Settings(model_name=model_name))
    with TemporaryDirectory() as folder:
        complete = shutil.copytree(bundle, Path(folder) / "bundle")
        for name in (CALIBRATION, METRICS):
            shutil.copyfile(evaluation / name, complete / name)
        return registry.register(
            Bundle.open(complete), metrics=metrics, tags={"validation_status": "passed", **tags, **values}
        )


def champion_metrics(model_name: str, dataset_hash: str) -> dict[str, float] | None:
    """The champion's metrics, None if there is no champion or it was measured on other data (not comparable)."""
    registry = open_registry(Settings(model_name=model_name))
    version = registry.alias_version(CHAMPION)
    if version is None:
        return None
    tags = registry.version(version).tags
    if tags.get("dataset_hash") != dataset_hash:
        return None
    metrics = {name: float(value) for name, value in tags.items() if name.startswith(METRIC_TAG)}
    return {name.removeprefix(METRIC_TAG): value for name, value in metrics.items()} or None
