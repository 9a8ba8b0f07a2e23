"""An operator watches a search: reads how right alerts are, switches it on, and sees somebody arrive."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from personsearch.gallery.alerts import QuietHours, WatchedSearch
from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.alerts import figures
from personsearch.installation.alerts.figures import Figures, Point, Stream
from personsearch.installation.api_keys import keys_from_text
from personsearch.integrations.database.promotions import Promotion
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from serving.settings import ServingSettings
from tests.audit import audited
from tests.browser.conftest import KEY, RunningService, StrippingProxy
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection

POINTS = [
    Point(threshold=0.5, alerts=10, right=6, precision=0.6, recall=0.8),
    Point(threshold=0.7, alerts=4, right=4, precision=1.0, recall=0.45),
]
MEASURED = Figures(
    fingerprint="0123456789abcdef",
    streams=[Stream(name="footage", searches=9, absent=3, tracks=40, passes=8, points=POINTS)],
)


class Street:
    """A service with alerts; people pass by."""

    def __init__(self, service: RunningService, store: ExactStore) -> None:
        self.service = service
        self._store = store

    def watch(self, name: str, text: str, threshold: float) -> None:
        """Watch for somebody, as the page's user."""
        now = datetime.now(UTC)
        [key] = keys_from_text(KEY)
        watched = WatchedSearch(uuid4().hex, key.name, name, text, CropFilter(), threshold, now, now)
        self.service.app.state.service.alerts.stored.watches.put(watched)

    def pass_by(self, *colours: str, first: int) -> None:
        gallery = add_figures(self.service.settings.gallery_folder, colours, first=first)
        build_collection(self._store, gallery, "next")
        for crops, vectors_ND in self._store.open("next").iterate():
            self._store.open("persons_v1_1").upsert(crops, vectors_ND)
        self._store.drop("next")
        promotions = self.service.app.state.service.promotions
        promotions.went_live(Promotion("1", "persons_v1_1", gallery.last_sequence()))


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "figures.json")
    figures.write_figures(MEASURED)
    settings = ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.2, alerts=True)
    gallery, store = add_figures(settings.gallery_folder, COLOURS), ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with RunningService(settings, ColourSource(store, gallery)) as running:
        made = Street(running, store)
        made.pass_by("white", first=9)
        yield made


def test_somebody_is_watched_for_and_arrives(page: Page, street: Street) -> None:
    page.goto(f"{street.service.address}#key={KEY}&text=red")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.locator("#alerts-open").click()
    dialog = page.get_by_role("dialog", name="Alerts")
    slider = dialog.get_by_label("Confidence from which to alert")
    slider.fill("0.5")
    expect(dialog.locator("#alerts-figures")).to_contain_text("60 % of the alerts were right; 80 % of the people")
    slider.fill("0.9")
    expect(dialog.locator("#alerts-figures")).to_contain_text("100 % of the alerts were right; 45 % of the people")
    slider.fill("0.2")
    expect(dialog.locator("#alerts-figures")).to_contain_text("was not measured")
    slider.fill("0.9")
    expect(dialog.get_by_label("Name")).to_have_value("red")
    dialog.get_by_role("button", name="Watch", exact=True).click()
    watched = dialog.get_by_role("list", name="Watched searches")
    expect(watched).to_contain_text("red · from 90 % · 0 alerts")
    street.pass_by("red", "blue", first=20)
    alerts = dialog.get_by_role("list", name="Latest alerts").get_by_role("listitem")
    expect(alerts).to_have_count(1)
    expect(alerts.first.get_by_role("img")).to_be_in_viewport()
    expect(alerts.first).to_contain_text("junction")
    page.keyboard.press("Escape")
    street.pass_by("red", first=30)
    expect(page.locator("#alerts-open")).to_have_text("Alerts (1)")
    expect(page.locator("#alerts-news")).to_have_text("New alert: red, camera junction")
    page.locator("#home").focus()
    page.keyboard.press("a")
    expect(alerts).to_have_count(2)
    expect(page.locator("#alerts-open")).to_have_text("Alerts")
    watched.get_by_role("checkbox", name="red").uncheck()
    expect(watched).to_contain_text("2 alerts")
    alerts.first.get_by_role("button", name="more like this").click()
    expect(page).to_have_url(f"{street.service.address}#like=red-30-0")
    page.keyboard.press("a")
    watched.get_by_role("button", name="Stop watching for “red”").click()
    expect(watched.get_by_role("listitem")).to_have_count(0)
    events = [record["event"] for record in audited(street.service.settings)]
    assert events.count("watch") == 3
    assert "alerts" in events


def test_a_saved_search_is_watched(page: Page, street: Street) -> None:
    page.goto(f"{street.service.address}#key={KEY}&text=blue&cameras=junction")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.locator("#searches-open").click()
    page.get_by_label("Save this search as").fill("the man in blue")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#searches-close").click()
    page.locator("#home").click()
    page.locator("#alerts-open").click()
    dialog = page.get_by_role("dialog", name="Alerts")
    dialog.locator("#alerts-search").select_option(label="the man in blue")
    expect(dialog.get_by_label("Name")).to_have_value("the man in blue")
    dialog.get_by_label("Quiet from").fill("22:00")
    dialog.get_by_label("Quiet until").fill("06:00")
    dialog.get_by_role("button", name="Watch", exact=True).click()
    expect(dialog.get_by_role("list", name="Watched searches")).to_contain_text("blue · junction · from 60 %")
    [stored] = street.service.app.state.service.alerts.stored.watches.enabled()
    assert stored.quiet_hours is not None
    assert stored.quiet_hours.time_zone == "Europe/Vienna"


def test_a_search_in_a_group_is_watched_there_and_none_by_the_time_of_day(page: Page, street: Street) -> None:
    service = street.service.app.state.service
    service.cameras.put([CameraDetails("junction", "The crossing", "outside")])
    page.goto(f"{street.service.address}#key={KEY}&text=red&groups=outside")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    expect(page.locator("#cameras li").first).to_be_attached()
    page.locator("#alerts-open").click()
    dialog = page.get_by_role("dialog", name="Alerts")
    dialog.get_by_role("button", name="Watch", exact=True).click()
    expect(dialog.get_by_role("list", name="Watched searches")).to_contain_text("red · The crossing · from 60 %")
    page.goto(f"{street.service.address}#text=red&dailyAfter=22:00")
    page.reload()
    page.locator("#alerts-open").click()
    expect(dialog.locator("#alerts-none")).to_be_visible()
    expect(dialog.locator("#alerts-form")).to_be_hidden()


def watch_red(page: Page, street: Street) -> tuple[Locator, Locator]:
    """Watch for red from 60 % on; returns the dialog and its list of what is watched."""
    page.goto(f"{street.service.address}#key={KEY}&text=red")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.locator("#alerts-open").click()
    dialog = page.get_by_role("dialog", name="Alerts")
    dialog.get_by_role("button", name="Watch", exact=True).click()
    watched = dialog.get_by_role("list", name="Watched searches")
    return dialog, watched


def test_what_is_watched_is_changed_once_its_figures_are_read(page: Page, street: Street) -> None:
    dialog, watched = watch_red(page, street)
    expect(watched).to_contain_text("red · from 60 %")
    watched.get_by_role("button", name="Change “red”").click()
    expect(dialog.get_by_role("heading", name="Change “red”")).to_be_in_viewport()
    expect(dialog.locator("#alerts-search")).to_be_hidden()
    slider = dialog.get_by_label("Confidence from which to alert")
    expect(slider).to_be_focused()
    expect(slider).to_have_value("0.6")
    expect(dialog.locator("#alerts-figures")).to_contain_text("60 % of the alerts were right")
    expect(dialog.locator("#alerts-figures")).to_contain_text("(Measured at 50 %.)")
    slider.fill("0.7")
    expect(dialog.locator("#alerts-figures")).to_contain_text("100 % of the alerts were right; 45 % of the people")
    expect(dialog.locator("#alerts-figures")).not_to_contain_text("Measured at")
    dialog.get_by_label("Name").fill("red coats")
    dialog.get_by_label("At most an hour").fill("5")
    dialog.get_by_label("Quiet from").fill("22:00")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.locator("#alerts-wrong")).to_have_text("A time of day needs two different ends.")
    dialog.get_by_label("Quiet until").fill("06:00")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(watched).to_contain_text("red · from 70 %")
    expect(dialog.get_by_role("heading", name="Watch a search")).to_be_visible()
    [stored] = street.service.app.state.service.alerts.stored.watches.enabled()
    assert (stored.name, stored.threshold, stored.most_per_hour) == ("red coats", 0.7, 5)
    assert stored.quiet_hours is not None
    assert stored.quiet_hours.time_zone == "Europe/Vienna"
    changes = [each["action"] for each in audited(street.service.settings) if each["event"] == "watch"]
    assert changes == ["created", "changed"]


def test_only_what_differs_is_sent_and_a_change_can_be_left(page: Page, street: Street) -> None:
    dialog, watched = watch_red(page, street)
    watched.get_by_role("button", name="Change “red”").click()
    stored = street.service.app.state.service.alerts.stored.watches
    tokyo = QuietHours(time(22), time(6), "Asia/Tokyo")
    stored.change(stored.enabled()[0].watch_id, {"threshold": 0.855, "quiet_hours": tokyo})  # by somebody else
    dialog.get_by_label("At most an hour").fill("7")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(watched).to_contain_text("from 86 %")
    [kept] = stored.enabled()
    assert (kept.most_per_hour, kept.threshold, kept.quiet_hours) == (7, 0.855, tokyo)
    watched.get_by_role("button", name="Change “red”").click()
    dialog.get_by_label("Quiet until").fill("07:00")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("heading", name="Watch a search")).to_be_visible()
    [kept] = stored.enabled()
    assert (kept.threshold, kept.quiet_hours) == (0.855, QuietHours(time(22), time(7), "Asia/Tokyo"))
    watched.get_by_role("button", name="Change “red”").click()
    dialog.get_by_label("Confidence from which to alert").fill("0.1")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog.get_by_role("heading", name="Watch a search")).to_be_visible()
    expect(dialog.get_by_label("Confidence from which to alert")).to_have_value("0.6")
    assert stored.enabled() == [kept]


def test_a_change_speaks_german(page: Page, street: Street) -> None:
    street.watch("rot", "red", 0.8)
    page.add_init_script("localStorage.setItem('personsearch-language', 'de')")
    page.goto(f"{street.service.address}#key={KEY}")
    page.locator("#alerts-open").click()
    page.get_by_role("button", name="„rot“ ändern").click()
    dialog = page.get_by_role("dialog", name="Meldungen")
    expect(dialog.get_by_role("heading", name="„rot“ ändern")).to_be_visible()
    expect(dialog.locator("#alerts-figures")).to_contain_text("100 % der Meldungen waren richtig")
    expect(dialog.locator("#alerts-figures")).to_contain_text("(Gemessen bei 70 %.)")
    dialog.get_by_label("Höchstens je Stunde").fill("3")
    dialog.get_by_role("button", name="Speichern", exact=True).click()
    expect(dialog.locator("#alerts-none")).to_be_visible()
    assert [each.most_per_hour for each in street.service.app.state.service.alerts.stored.watches.enabled()] == [3]


def test_alerts_arrive_below_a_path(page: Page, street: Street) -> None:
    prefix = "/security/search/"
    with StrippingProxy(prefix, street.service.address) as proxy:
        page.goto(f"{proxy.address}#key={KEY}&text=red")
        expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
        page.locator("#alerts-open").click()
        dialog = page.get_by_role("dialog", name="Alerts")
        dialog.get_by_role("button", name="Watch", exact=True).click()
        watched = dialog.get_by_role("list", name="Watched searches")
        watched.get_by_role("button", name="Change “red”").click()
        dialog.get_by_label("At most an hour").fill("5")
        dialog.get_by_role("button", name="Save", exact=True).click()
        expect(dialog.get_by_role("heading", name="Watch a search")).to_be_visible()
        street.pass_by("red", first=20)
        alerts = dialog.get_by_role("list", name="Latest alerts").get_by_role("listitem")
        expect(alerts).to_have_count(1)
        expect(alerts.first.get_by_role("img")).to_have_js_property("naturalWidth", 64)
        page.keyboard.press("Escape")
        page.locator("#alerts-open").click()
        expect(watched.locator("small")).to_have_text("red · from 60 % · 1 alert")
        watched.get_by_role("button", name="Stop watching for “red”").click()
        expect(watched.get_by_role("listitem")).to_have_count(0)
        assert [path for path in proxy.asked if not path.startswith(prefix)] == []
        assert f"{prefix}v1/alerts/events" in proxy.asked


def test_on_a_phone_alerts_are_read_without_cuts(page: Page, street: Street) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    name = "a person in a red coat"
    street.watch(name, name, 0.5)
    page.goto(f"{street.service.address}#key={KEY}&text={name}")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_visible()
    page.locator("#alerts-open").click()
    dialog = page.get_by_role("dialog", name="Alerts")
    field = dialog.get_by_label("Name")
    expect(field).to_have_value(name)
    assert field.evaluate("(field) => field.scrollWidth <= field.clientWidth")
    switch = dialog.get_by_role("checkbox", name=name)
    words = dialog.locator("#alerts-watched").get_by_text(name, exact=True).first
    assert switch.bounding_box()["x"] + switch.bounding_box()["width"] < words.bounding_box()["x"]
    dialog.evaluate("(dialog) => { dialog.scrollTop = dialog.scrollHeight; }")
    expect(dialog.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    assert dialog.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")


def test_where_alerts_are_off_the_page_offers_none(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}")
    expect(page.locator("#status-text")).to_have_text("model version 1")
    page.keyboard.press("Escape")
    expect(page.locator("#alerts-open")).to_be_hidden()
