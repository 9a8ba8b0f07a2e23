"""The live index names its model: any other is refused."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from personsearch.bundle import WEIGHTS, Bundle, BundleSpec, Lineage, write_spec
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.golden import write_golden
from personsearch.errors import UserError
from personsearch.search.exact import ExactStore
from personsearch.search.index import LIVE_ALIAS, CollectionProperties
from personsearch.search.live import open_live
from tests.hash_encoder import HashEncoder


@dataclass
class Folder:
    """A model source with one bundle for every version."""

    bundle: Path

    def fetch(self, version: str, fingerprint: str) -> Bundle:
        return Bundle.open(self.bundle)


def load(bundle: Bundle) -> Encoder:
    return HashEncoder(bundle.path(WEIGHTS).read_text())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    spec = BundleSpec(
        method="hash",
        architecture={},
        preprocessing=HashEncoder.preprocessing,
        context_length=4,
        embedding_dim=8,
        lineage=Lineage(dataset_hash="data", git_commit=""),
    )
    write_spec(tmp_path, spec)
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    write_golden(Bundle.open(tmp_path), load(Bundle.open(tmp_path)))
    return tmp_path


@pytest.fixture
def properties(bundle: Path) -> CollectionProperties:
    return CollectionProperties("personsearch", "3", Bundle.open(bundle).fingerprint, "data", 8)


def live(properties: CollectionProperties, bundle: Path, factory: Callable[[Bundle], Encoder] = load):  # type: ignore[no-untyped-def]
    store = ExactStore()
    store.create("persons_v3_1", properties)
    store.switch_alias(LIVE_ALIAS, "persons_v3_1")
    return open_live(store, Folder(bundle), factory)


def test_the_alias_leads_to_the_collection_and_its_model(properties: CollectionProperties, bundle: Path) -> None:
    opened = live(properties, bundle)
    assert (opened.collection, opened.properties, opened.bundle.folder) == ("persons_v3_1", properties, bundle)
    assert opened.searcher.answer("anyone").candidates == []


def test_nothing_live(bundle: Path) -> None:
    with pytest.raises(UserError, match="no collection is live"):
        open_live(ExactStore(), Folder(bundle), load)


def test_another_model_is_refused(properties: CollectionProperties, bundle: Path) -> None:
    (bundle / WEIGHTS).write_bytes(b"other weights")
    with pytest.raises(UserError, match=f"persons_v3_1: made by model {properties.fingerprint}"):
        live(properties, bundle)


def test_another_dimension_is_refused(properties: CollectionProperties, bundle: Path) -> None:
    with pytest.raises(UserError, match="9 dimensions, but the model's vectors have 8"):
        live(replace(properties, embedding_dim=9), bundle)


def test_an_engine_that_computes_something_else_is_refused(properties: CollectionProperties, bundle: Path) -> None:
    with pytest.raises(UserError, match="golden"):
        live(properties, bundle, lambda _: HashEncoder("damaged"))
