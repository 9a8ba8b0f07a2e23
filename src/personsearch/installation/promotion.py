"""A model's way from the gate to a live index: register, promote, index, roll back."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from personsearch.bundle import CALIBRATION, METRICS, MODEL_CARD, Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.encoders.processes import EncoderProcesses
from personsearch.errors import LeaseLost, UserError, VerificationFailed
from personsearch.evaluation.attributes.limits import with_limits
from personsearch.gallery.builds import BuildProgress, Shard
from personsearch.gallery.collections import PREVIOUS_ALIAS, previous_collection, rollback
from personsearch.gallery.encoding import CropEncoder, SharedEncoder
from personsearch.gallery.indexing import Build, IndexConfig, IndexReport, build_index
from personsearch.gallery.store import Gallery
from personsearch.installation.platforms import open_registry
from personsearch.installation.settings import Settings
from personsearch.integrations.mlflow.registry import CHAMPION, ModelRegistry
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore

logger = logging.getLogger(__name__)

INDEX_STATUS = "index_status"
INDEX_PROGRESS = "index_progress"
TAG_SECONDS = 10.0
CORES_OF_A_PROCESS = 4
METRIC_TAG = "metric."
TAG_LENGTH = 5000  # of a value, in MLflow


@dataclass(frozen=True, slots=True)
class IndexModel:
    """A registered version, with the encoder that indexes with it."""

    version: str
    fingerprint: str
    dataset_hash: str
    bundle: Bundle
    encoder: Encoder

    def properties(self, config: IndexConfig, model_name: str) -> CollectionProperties:
        """What its collection says of itself."""
        size = self.encoder.embedding_dim
        return CollectionProperties(model_name, self.version, self.fingerprint, self.dataset_hash, size, config.coding)


def load_model(registry: ModelRegistry, version: str) -> IndexModel:
    """Load a version as serving does.

    Raises:
        UserError: there is no such version.
        VerificationFailed: the bundle fails its golden inputs.
    """
    registered = registry.version(version)
    bundle = registry.fetch(version, registered.fingerprint)
    dataset_hash = registered.tags.get("dataset_hash", "") or bundle.spec.lineage.dataset_hash
    return IndexModel(version, registered.fingerprint, dataset_hash, bundle, _proven_encoder(bundle))


def index_version(
    config: IndexConfig,
    registry: ModelRegistry,
    store: CollectionStore,
    gallery: Gallery,
    version: str | None = None,
    *,
    while_champion: bool = False,
) -> IndexReport:
    """Index the gallery with a model version, the champion by default, and tag the version with the outcome.

    With `while_champion`, and for the default, the version must still be the champion when its collection is ready.
    Whatever fails is the reason in the tag.

    Raises:
        UserError: there is no such version or no champion, or another version has become champion.
        VerificationFailed: the bundle fails its golden inputs, or the collection may not go live.
    """
    follow = while_champion or version is None
    version = version or champion(registry)
    confirm = partial(check_champion, registry, version) if follow else lambda: None
    with failure_tagged(registry, version):
        report = build(config, registry, store, gallery, load_model(registry, version), confirm=confirm)
    tag_collections(registry, store)
    return report


def build(
    config: IndexConfig,
    registry: ModelRegistry,
    store: CollectionStore,
    gallery: Gallery,
    model: IndexModel,
    *,
    confirm: Callable[[], None] = lambda: None,
    between: Callable[[], None] = lambda: None,
) -> IndexReport:
    """`build_index` with a registered model, at which its progress is said."""
    with crop_encoder(config, gallery, model) as encoder:
        return build_index(
            replace(
                build_of(config, registry, store, gallery, model),
                crop_encoder=encoder,
                confirm=confirm,
                between=between,
            )
        )


def build_of(
    config: IndexConfig, registry: ModelRegistry, store: CollectionStore, gallery: Gallery, model: IndexModel
) -> Build:
    """A build with a registered model, at which its progress is said."""
    properties = model.properties(config, registry.model_name)
    return Build(config, gallery, model.encoder, store, properties, noted=ProgressTag(registry, model.version))


@contextmanager
def crop_encoder(config: IndexConfig, gallery: Gallery, model: IndexModel) -> Iterator[CropEncoder | None]:
    """What encodes in a build: as many processes as are configured, None for this one alone."""
    cores = os.cpu_count() or 1
    count = config.processes or max(1, cores // CORES_OF_A_PROCESS)
    if count == 1:
        yield None
        return
    processes = EncoderProcesses(model.bundle.folder, processes=count, threads=max(1, cores // count))
    with closing(processes):
        yield SharedEncoder(gallery, processes)


class ProgressTag:
    """Says at a version how far its build is, now and then. That it cannot be said is no reason to stop a build."""

    def __init__(self, registry: ModelRegistry, version: str) -> None:
        self._registry = registry
        self._version = version
        self._said_at = -TAG_SECONDS

    def __call__(self, progress: BuildProgress) -> None:
        if time.monotonic() - self._said_at >= TAG_SECONDS or progress.finished == progress.shards:
            self._said_at = time.monotonic()
            try:
                self._registry.tag(self._version, INDEX_PROGRESS, progress.in_words())
            except UserError as error:
                logger.warning("version %s does not say how far its index is: %s", self._version, error)


def plan_version(
    config: IndexConfig,
    registry: ModelRegistry,
    store: CollectionStore,
    gallery: Gallery,
    version: str | None = None,
    *,
    while_champion: bool = False,
) -> list[Shard]:
    """Begin to index with a version, the champion by default, in steps: returns the shards to fill, of which there is
    one only where the store takes one writer. `while_champion` as in `index_version`.

    Raises:
        UserError, VerificationFailed: as `index_version`.
    """
    follow = while_champion or version is None
    version = version or champion(registry)
    with failure_tagged(registry, version):
        build = build_of(config, registry, store, gallery, load_model(registry, version))
        shards = build.plan(apart=True, one_shard=store.purges_by_copying)
    return [shard.model_copy(update={"while_champion": follow}) for shard in shards]


def fill_shard(
    config: IndexConfig, registry: ModelRegistry, store: CollectionStore, gallery: Gallery, shard: Shard
) -> None:
    """Fill one shard; one that was killed continues when it is run again.

    Raises:
        UserError, VerificationFailed: as `index_version`.
    """
    if shard.collection:
        version = store.properties(shard.collection).model_version
        with failure_tagged(registry, version):
            model = load_model(registry, version)
            with crop_encoder(config, gallery, model) as encoder:
                replace(build_of(config, registry, store, gallery, model), crop_encoder=encoder).fill(shard)


def finish_version(
    config: IndexConfig,
    registry: ModelRegistry,
    store: CollectionStore,
    gallery: Gallery,
    shards: Sequence[Shard],
) -> IndexReport:
    """Verify what `fill_shard` has filled, make it live, and tag the version with the outcome.

    Raises:
        UserError, VerificationFailed: as `index_version`.
    """
    version = store.properties(shards[0].collection or shards[0].live).model_version
    confirm = partial(check_champion, registry, version) if shards[0].while_champion else lambda: None
    with failure_tagged(registry, version):
        build = replace(build_of(config, registry, store, gallery, load_model(registry, version)), confirm=confirm)
        report = build.finish(shards)
    tag_collections(registry, store)
    return report


def tag_collections(registry: ModelRegistry, store: CollectionStore) -> None:
    """Say at each version what its collection is now: live, kept for a rollback, or dropped. A failure stays said."""
    states = {}
    for alias, state in ((PREVIOUS_ALIAS, "previous"), (LIVE_ALIAS, "live")):
        if name := store.alias_target(alias):
            states[store.properties(name).model_version] = f"{state}: {name}"
    for version in registry.versions():
        said, state = version.tags.get(INDEX_STATUS, ""), states.get(version.version, "dropped")
        if said != state and (state.startswith("live: ") or said.startswith(("live: ", "previous: "))):
            registry.tag(version.version, INDEX_STATUS, state)


@contextmanager
def failure_tagged(registry: ModelRegistry, version: str) -> Iterator[None]:
    """Say at a version why indexing with it failed, if it does; whatever is raised becomes a UserError."""
    try:
        yield
    except LeaseLost:  # no fault of the version
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        with suppress(UserError):  # the registry may be what failed
            tag_failure(registry, version, reason)
        if isinstance(error, UserError):
            raise
        raise VerificationFailed(f"version {version} cannot be indexed with: {reason}") from error


def tag_failure(registry: ModelRegistry, version: str, reason: str) -> None:
    """Say at a version why it is not live; raises UserError if the registry cannot be reached."""
    registry.tag(version, INDEX_STATUS, f"failed: {reason}"[:TAG_LENGTH])


def promote(
    config: IndexConfig, registry: ModelRegistry, store: CollectionStore, gallery: Gallery, version: str
) -> IndexReport:
    """Move the champion to a version and make it live. What can be checked is checked before anything moves; where the
    version does not go live, the champion is again what it was.

    Raises:
        UserError: there is no such version, serving cannot load it, or the gallery is empty.
        VerificationFailed: the collection may not go live.
    """
    registered = registry.version(version)
    if gallery.count() == 0:
        raise UserError(
            f"{gallery.folder}: the gallery is empty, so there is nothing to make live; fill it with `personsearch "
            "ingest VIDEO` or `personsearch gallery add-dataset`, or move the alias alone with --no-index"
        )
    try:
        check_servable(registry.fetch(version, registered.fingerprint))
    except UserError as error:
        tag_failure(registry, version, str(error))
        raise
    before = registry.alias_version(CHAMPION)
    registry.promote(version)
    try:
        return index_version(config, registry, store, gallery, version, while_champion=True)
    except UserError:
        if registry.alias_version(CHAMPION) == version != before:  # nobody has moved it meanwhile
            registry.move(CHAMPION, before)
        raise


def check_servable(bundle: Bundle) -> None:
    """Load a bundle as serving does, and hold it against its golden embeddings.

    Raises:
        VerificationFailed: it holds torch weights only, a file is missing or damaged, or it computes something else.
    """
    if bundle.spec.variant == "torch":
        raise VerificationFailed(
            f"{bundle}: holds torch weights only, serving needs ONNX; register what `personsearch compress` chose "
            "(OUT/chosen)"
        )
    _proven_encoder(bundle)


def roll_back(registry: ModelRegistry, store: CollectionStore, gallery: Gallery) -> CollectionProperties:
    """Undo the last promotion, and return what is live then.

    Where the champion is live, that is the previous collection, and the champion moves to the model that made it. Where
    the champion is not live yet, or cannot go live, the champion moves back to the version that is.

    Raises:
        UserError: there is nothing to go back to, or its model is not in the registry as it was. Nothing has moved.
    """
    live = store.alias_target(LIVE_ALIAS)
    pending = live is not None and registry.champion() not in (None, store.properties(live).model_version)
    properties = store.properties(live if live and pending else previous_collection(store))
    version = registry.version(properties.model_version)
    if version.fingerprint != properties.fingerprint:
        raise UserError(
            f"{registry.uri}: version {version.version} of {registry.model_name!r} is another model than the one that "
            f"made its collection (fingerprint {version.fingerprint}, not {properties.fingerprint}); nothing has moved"
        )
    _proven_encoder(registry.fetch(version.version, properties.fingerprint))
    if not pending:
        rollback(store, gallery)
    try:
        registry.promote(version.version)
    except UserError:
        if not pending:
            rollback(store, gallery)  # the previous collection is now the one that was live
        raise
    tag_collections(registry, store)
    return properties


def champion(registry: ModelRegistry) -> str:
    """The champion's version; raises UserError if no version has been promoted."""
    version = registry.champion()
    if version is None:
        raise UserError(f"{registry.uri}: model {registry.model_name!r} has no champion; run `personsearch promote`")
    return version


def check_champion(registry: ModelRegistry, version: str) -> None:
    """Raise UserError if a version is not the champion any more."""
    if (now := champion(registry)) != version:
        raise UserError(f"version {version} does not go live: version {now} has become the champion")


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

    The calibration and metrics of its evaluation are stored in it, and its card says what it sees by them; the metrics
    are also tags of the version.
    """
    values = {f"{METRIC_TAG}{name}": f"{value:.6g}" for name, value in metrics.items()}
    registry = open_registry(Settings(model_name=model_name))
    with TemporaryDirectory() as folder:
        complete = shutil.copytree(bundle, Path(folder) / "bundle")
        for name in (CALIBRATION, METRICS):
            shutil.copyfile(evaluation / name, complete / name)
        _say_limits(complete / MODEL_CARD, json.loads((complete / METRICS).read_text(encoding="utf-8")))
        return registry.register(
            Bundle.open(complete), metrics=metrics, tags={"validation_status": "passed", **tags, **values}
        )


def _say_limits(card: Path, measured: dict[str, Any]) -> None:
    if card.is_file():
        numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
        text = with_limits(card.read_text(encoding="utf-8"), numbers, measured.get("split", "test"))
        card.write_text(text, encoding="utf-8")


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
