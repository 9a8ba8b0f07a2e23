"""Promotion as a person does it: three clicks in MLflow's own page, after which the promoter makes the model live."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from personsearch.bundle import Bundle
from personsearch.gallery.collections import PREVIOUS_ALIAS
from personsearch.gallery.indexing import IndexConfig
from personsearch.installation.index_worker import Outcome
from personsearch.installation.leadership import Leadership
from personsearch.installation.promoter import LEASE, Promoter
from personsearch.installation.promotion import index_version
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.promotions import DatabasePromotions
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.mlflow.registry import CHAMPION, ModelRegistry
from personsearch.search.exact import ExactStore
from personsearch.search.index import LIVE_ALIAS
from tests.browser.conftest import PATIENCE_MILLISECONDS
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.mlflow_server import mlflow_server
from tests.serving.colours import COLOURS, add_figures

MODEL = "personsearch"
pytestmark = pytest.mark.timeout(900)  # half a minute on a quiet machine; minutes beside other work


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def registry(address: str, tmp_path: Path) -> ModelRegistry:
    """Two versions of a model, the first one promoted."""
    registry = ModelRegistry(address, MODEL, cache=tmp_path / "cache")
    for seed in (1, 2):
        bundle = make_onnx_bundle(tmp_path / f"bundle-{seed}", seed)
        registry.register(Bundle.open(bundle), metrics={"t2i_r1": 50.0 + seed}, tags={"validation_status": "passed"})
    registry.promote("1")
    return registry


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab for a page that is not ours: what it says to the console is no failure of ours."""
    with browser.new_context(viewport={"width": 1600, "height": 900}, locale="en-GB") as context:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE_MILLISECONDS)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        yield tab


def aliases_of(tab: Page, version: str) -> Locator:
    """The cell in column `Aliases` of a version's row."""
    row = tab.get_by_role("row").filter(has=tab.get_by_role("link", name=f"Version {version}", exact=True))
    expect(row).to_be_visible()
    column = tab.get_by_role("columnheader").all_inner_texts().index("Aliases")
    return row.get_by_role("cell").nth(column)


def promote_by_clicking(tab: Page, version: str) -> None:
    """Move `champion` to a version in the model's page, and see it there."""
    aliases_of(tab, version).get_by_role("button").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_role("combobox").fill("champion")
    tab.keyboard.press("Enter")
    dialog.get_by_role("button", name="Save aliases").click()
    expect(dialog).to_be_hidden()
    tab.reload()  # MLflow's page shows the move only then
    expect(aliases_of(tab, version)).to_contain_text("champion")


def test_a_click_in_mlflow_makes_a_model_live_and_another_takes_it_back(
    tab: Page, registry: ModelRegistry, address: str, tmp_path: Path
) -> None:
    gallery, store = add_figures(tmp_path / "gallery", COLOURS), ExactStore()

    class World:
        def champion(self) -> str | None:
            return registry.alias_version(CHAMPION)

        def notices(self) -> int:
            return 0

        def last_sequence(self) -> int:
            return gallery.last_sequence()

        def live_collection(self) -> str | None:
            return store.alias_target(LIVE_ALIAS)

        def index(self, version: str, lease: Lease, beat: Callable[[], None], *, afresh: bool = False) -> Outcome:
            report = index_version(IndexConfig(), registry, store, gallery, version)
            return Outcome(report.collection, report.sequence, report.encoded)

        def follow(self, leases: dict[int, Lease], of: int, beat: Callable[[], None]) -> Outcome:
            raise AssertionError("one promoter leads, and follows everything")

        def purge(self, lease: Lease, beat: Callable[[], None]) -> Outcome:
            raise AssertionError("nothing was erased")

        def stand_by(self) -> None: ...

        def close(self) -> None: ...

    def live(alias: str = LIVE_ALIAS) -> str:
        return store.properties(alias).model_version

    database = open_database(f"sqlite:///{tmp_path / 'gallery' / 'gallery.db'}")
    leadership = Leadership(DatabaseLeases(database), LEASE, holder="test", seconds=600, silence=600)
    promoter = Promoter(World(), DatabasePromotions(database), leadership)
    assert promoter.look() == "version 1 is live"
    assert live() == "1"
    tab.goto(f"{address}/#/models/{MODEL}")
    for version, before in (("2", "1"), ("1", "2")):
        promote_by_clicking(tab, version)
        assert live() == before
        assert promoter.look() == f"version {version} is live"
        assert (live(), live(PREVIOUS_ALIAS)) == (version, before)
        assert store.open(LIVE_ALIAS).count() == gallery.count()
        assert registry.version(version).tags["index_status"] == f"live: persons_v{version}_{version}"
    promoter.close()
