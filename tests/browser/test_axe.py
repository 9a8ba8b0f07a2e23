"""axe finds nothing in any state of the page: on a phone, a laptop and a wide screen, light and dark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from personsearch.integrations.database.promotions import Promotion
from personsearch.search.exact import ExactStore
from serving.settings import ServingSettings
from tests.browser.conftest import KEY, PATIENCE_MILLISECONDS, RunningService
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.walks import CROPS, add_walk

SIZES = ((1280, 900), (390, 844), (1920, 1080))
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

State = Callable[[Page], None]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    """People of whom some were seen in a video."""
    for limit in ("FRAME_SECONDS", "CLIP_SECONDS", "WAIT_SECONDS"):
        monkeypatch.setattr(f"serving.footage.{limit}", 120.0)
    settings = ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.2, alerts=True)
    add_walk(settings.gallery_folder, tmp_path / "videos")
    gallery, store = add_figures(settings.gallery_folder, COLOURS, first=20), ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with RunningService(settings, ColourSource(store, gallery)) as running:
        promotions = running.app.state.service.promotions
        promotions.went_live(Promotion("1", collection="persons_v1_1"))
        running.app.state.service.drift.look()
        yield running


def start(page: Page) -> None:
    expect(page.locator("#cameras li")).to_have_count(2)


def cameras(page: Page) -> None:
    page.locator("#cameras-summary").click()


def results(page: Page) -> None:
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.get_by_role("button", name="Confirm candidate 1", exact=True).click()
    page.get_by_role("button", name="Reject candidate 2", exact=True).click()
    page.get_by_role("button", name="Choose candidate 3", exact=True).click()
    expect(page.locator(".card.is-rejected")).to_have_count(1)


def candidate(page: Page) -> None:
    expect(page.locator("#detail-track button").first).to_be_visible()


def words_in_the_candidate(page: Page) -> None:
    page.get_by_role("button", name="where are the words?").click()
    expect(page.locator("#heat-map")).to_have_count(1)


def frame(page: Page) -> None:
    expect(page.locator(".whole-frame img")).to_be_visible()
    candidate(page)


def clip(page: Page) -> None:
    expect(page.locator("#whole video")).to_be_visible()
    candidate(page)


def no_frame(page: Page) -> None:
    expect(page.get_by_text("There is no footage")).to_be_visible()
    candidate(page)


def choose_two(page: Page) -> None:
    for rank in (1, 2):
        page.get_by_role("button", name=f"Choose candidate {rank}", exact=True).click()


def compare(page: Page) -> None:
    choose_two(page)
    page.keyboard.press("v")
    expect(page.locator(".compare-frame")).to_have_count(2)
    expect(page.locator(".compare-frame").filter(has_text="loading")).to_have_count(0)


def report(page: Page) -> None:
    choose_two(page)
    page.keyboard.press("r")
    page.locator("#report-purpose").fill("case 17")


def time_line(page: Page) -> None:
    expect(page.locator(".sighting").first).to_be_visible()


def searches(page: Page) -> None:
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.get_by_role("button", name="Searches").click()


def operations(page: Page) -> None:
    page.get_by_role("button", name="Operations").click()
    expect(page.get_by_role("heading", name="Drift by camera, the largest first")).to_be_visible()


def alerts(page: Page) -> None:
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.locator("#alerts-open").click()
    expect(page.locator("#alerts-form")).to_be_visible()


def change_of_what_is_watched(page: Page) -> None:
    alerts(page)
    page.get_by_role("button", name="Watch", exact=True).click()
    page.get_by_role("button", name="Change “a red coat”").click()
    expect(page.get_by_role("heading", name="Change “a red coat”")).to_be_visible()
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#alerts-wrong")).to_be_visible()


def keys(page: Page) -> None:
    page.evaluate("document.getElementById('keys-dialog').showModal()")


def nobody(page: Page) -> None:
    expect(page.get_by_text("No crop in the gallery matches these filters.")).to_be_visible()


def failed(page: Page) -> None:
    expect(page.get_by_role("alert")).to_contain_text("The search failed.")


STATES: dict[str, tuple[State, str]] = {
    "start": (start, ""),
    "cameras": (cameras, ""),
    "results": (results, "text=red&grouped=false"),
    "terms": (results, "text=red&without=a+hat&also=green&grouped=false"),
    "candidate": (candidate, f"text=red&open={CROPS[1]}&grouped=false"),
    "words in the candidate": (words_in_the_candidate, f"text=a+red+coat&open={CROPS[1]}&grouped=false"),
    "frame": (frame, f"text=red&open={CROPS[1]}&look=frame&grouped=false"),
    "clip": (clip, f"text=red&open={CROPS[1]}&look=clip&grouped=false"),
    "no frame": (no_frame, "text=red&open=red-20-0&look=frame&grouped=false"),
    "compare": (compare, "text=red"),
    "report": (report, "text=red"),
    "time line": (time_line, "text=red&view=times"),
    "searches": (searches, "text=red"),
    "operations": (operations, ""),
    "alerts": (alerts, "text=a+red+coat"),
    "change of what is watched": (change_of_what_is_watched, "text=a+red+coat"),
    "keys": (keys, ""),
    "nobody": (nobody, "text=red&after=2030-01-01T00:00:00Z"),
    "failed": (failed, "text=red&after=nonsense"),
}


def findings(page: Page) -> list[str]:
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in Axe().run(page, options={"preload": False}).response["violations"]  # it would wait for the video
        for node in rule["nodes"]
    ]


def found_in_all_looks(page: Page) -> dict[str, list[str]]:
    found = {}
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
            found[f"{width}, {scheme}"] = findings(page)
    return {look: said for look, said in found.items() if said}


@pytest.fixture
def still_page(browser: Browser) -> Iterator[Page]:
    """A page in which nothing moves: colours that are still changing have another contrast."""
    with browser.new_context(reduced_motion="reduce", locale="en-GB") as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        yield context.new_page()


@pytest.mark.parametrize("name", STATES)
def test_axe_finds_nothing(still_page: Page, service: RunningService, name: str) -> None:
    reach, address = STATES[name]
    still_page.goto(f"{service.address}#key={KEY}&{address}")
    expect(still_page.locator("#status-text")).to_have_text("model version 1")
    reach(still_page)
    assert found_in_all_looks(still_page) == {}


def test_axe_finds_nothing_where_a_key_is_asked_for(still_page: Page, service: RunningService) -> None:
    still_page.goto(service.address)
    still_page.get_by_label("Key", exact=True).fill("not-the-right-key-0001")
    still_page.get_by_role("button", name="Continue").click()
    expect(still_page.get_by_text("This key is not accepted.")).to_be_visible()
    assert found_in_all_looks(still_page) == {}
