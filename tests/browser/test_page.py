"""The search page as a person uses it, in a real browser against a real server."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Dialog, Page, Route, ViewportSize, expect

from tests.audit import audited, refused
from tests.browser.conftest import KEY, RunningService, StrippingProxy
from tests.serving.colours import add_figures, build_collection

PHONE = {"width": 390, "height": 844}
CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((value, n) => a * value + (1 - a) * below[n]);
  const ground = (one) => {
    if (!one) return [255, 255, 255];
    return over(channels(getComputedStyle(one).backgroundColor), ground(one.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opacity = (one) => (one ? Number(getComputedStyle(one).opacity) * opacity(one.parentElement) : 1);
  const contrast = (one, style) => {
    const behind = ground(one), [r, g, b, a = 1] = channels(style.color);
    const pair = [light(over([r, g, b, a * opacity(one) * Number(style.fadedBy ?? 1)], behind)), light(behind)];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };
  const low = [];
  for (const one of document.body.querySelectorAll("*")) {
    const says = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (says && one.checkVisibility() && !one.disabled && contrast(one, getComputedStyle(one)) < 4.5) {
      low.push(`${one.outerHTML} ${contrast(one, getComputedStyle(one)).toFixed(2)}`);
    }
    if (one.placeholder && one.checkVisibility()) {
      const style = getComputedStyle(one, "::placeholder");
      const found = contrast(one, { color: style.color, fadedBy: style.opacity });
      if (found < 4.5) low.push(`placeholder of ${one.id} ${found.toFixed(2)}`);
    }
  }
  return low;
}"""


def open_page(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}")
    expect(page.locator("#cameras li")).to_have_count(2)


def ask(page: Page, text: str) -> None:
    page.get_by_label("Describe the person").fill(text)
    page.keyboard.press("Enter")


def choose_camera(page: Page, name: str) -> None:
    page.locator("#cameras-summary").click()
    page.locator("#cameras").get_by_text(name, exact=True).click()
    page.keyboard.press("Escape")


def test_a_description_shows_the_person_first(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "a person in a red coat")
    cards = page.locator("#grid .card:not(.skeleton)")
    expect(cards).to_have_count(6)
    first = cards.first
    expect(first).to_contain_text("junction")
    expect(first).to_contain_text("1 Mar 2026, 10:00:0")
    expect(first.locator("time")).to_have_attribute("title", re.compile("^2026-03-01 09:00:0. UTC$"))
    expect(first.get_by_label("confidence")).to_be_visible()
    expect(first.locator("img")).to_have_js_property("complete", True)
    expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 64)
    expect(page.locator("#summary")).to_contain_text("for a person to confirm")
    expect(page.locator(".message")).to_have_count(0)


def test_a_description_that_many_fit_asks_for_details(page: Page, service: RunningService) -> None:
    """Four of the nine people wear red."""
    gallery = add_figures(service.settings.gallery_folder, ["red"] * 3, first=10)
    build_collection(service.source.store, gallery, "persons_v1_2")
    service.source.store.switch_alias("persons", "persons_v1_2")
    service.app.state.service.live.look()
    open_page(page, service)
    ask(page, "a person in a red coat")
    told = page.locator(".message")
    expect(told).to_contain_text("Many fit this description.")
    expect(told).to_contain_text("4 of the best candidates are likely to. Add details to tell them apart.")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(9)


def test_the_key_leaves_the_address_and_stays_out_of_it(page: Page, service: RunningService) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, service)
    ask(page, "red")
    expect(page.locator("#grid img").first).to_have_attribute("src", re.compile("^blob:"))
    assert page.url == f"{service.address}#text=red"
    assert not [url for url in asked if KEY in url.split("#")[0]]
    assert KEY not in page.evaluate("JSON.stringify(localStorage)")
    assert all(url.startswith((service.address, f"blob:{service.address}")) for url in asked)


@pytest.mark.parametrize("agreed", [False, True])
def test_a_link_replaces_nobody_s_own_key_unasked(page: Page, service: RunningService, agreed: bool) -> None:
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if agreed else dialog.dismiss()

    page.on("dialog", answer)
    open_page(page, service)
    page.goto(f"{service.address}#key={KEY}&text=red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    assert asked == []  # it is the same one
    page.goto(f"{service.address}#key=the-key-of-somebody-else&text=green")
    expect(page).to_have_url(f"{service.address}#text=green")
    expect(page.locator("#key-dialog" if agreed else "#grid .card:not(.skeleton)").first).to_be_visible()
    assert asked == ["This link has another API key. Use it in place of yours?"]
    assert page.evaluate("sessionStorage.getItem('personsearch-key')") == (
        "the-key-of-somebody-else" if agreed else KEY
    )


def test_without_a_key_the_page_asks_for_one(page: Page, service: RunningService) -> None:
    page.goto(service.address)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("API key")
    dialog.get_by_label("Key", exact=True).fill("not-the-right-key-0001")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_contain_text("not accepted")
    dialog.get_by_label("Key", exact=True).fill(KEY)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#cameras li")).to_have_count(2)
    ask(page, "green")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)


def test_filters_narrow_the_candidates(page: Page, service: RunningService) -> None:
    open_page(page, service)
    choose_camera(page, "north-door")
    page.get_by_label("From", exact=True).fill("2026-03-01T10:02:00")
    page.get_by_label("Purpose or case").fill("case 17")
    ask(page, "a red coat")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(2)
    record = audited(service.settings)[-1]
    assert record["purpose"] == "case 17"
    assert record["filters"]["cameras"] == ["north-door"]
    assert record["filters"]["after"].startswith("2026-03-01T09:02:00")


def test_no_reliable_match_is_said(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "a purple kangaroo")
    expect(page.get_by_text("No reliable match.")).to_be_visible()
    page.get_by_label("From", exact=True).fill("2030-01-01T00:00:00")
    ask(page, "a purple kangaroo")
    expect(page.get_by_text("No crop in the gallery matches these filters.")).to_be_visible()


def test_verdicts_are_recorded_and_can_be_taken_back(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "red")
    confirm = page.get_by_role("button", name="Confirm candidate 1")
    confirm.click()
    expect(confirm).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Reject candidate 2").click()
    expect(page.locator(".card.is-rejected")).to_have_count(1)
    confirm.click()
    expect(confirm).to_have_attribute("aria-pressed", "false")
    search, *verdicts = audited(service.settings)
    assert [record["verdict"] for record in verdicts] == ["confirmed", "rejected", "withdrawn"]
    assert {record["search_request_id"] for record in verdicts} == {search["request_id"]}
    assert verdicts[0]["crop_id"] == search["results"][0]


def test_a_candidate_opens_large_with_its_track(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "red")
    page.get_by_role("button", name="Open candidate 1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Candidate 1")
    expect(dialog.locator("#detail-track img")).to_have_count(3)
    expect(page.locator("#detail-image")).to_have_js_property("naturalWidth", 64)
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("Candidate 2")
    dialog.get_by_role("button", name="Confirm candidate 2").click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".card.is-confirmed")).to_have_count(1)


def test_errors_are_readable_and_the_page_still_works(page: Page, service: RunningService) -> None:
    open_page(page, service)
    with refused(service.settings.database_address):
        ask(page, "red")
        expect(page.get_by_role("alert")).to_contain_text("audit log cannot be written")
    ask(page, "red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_text_is_never_markup(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "<img src=x onerror=alert(1)> red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    assert page.locator("img[src=x]").count() == 0


def test_the_keyboard_alone_suffices(page: Page, service: RunningService) -> None:
    open_page(page, service)
    page.locator("#results").focus()
    page.keyboard.press("/")
    page.keyboard.type("a green coat")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Describe the person")).to_have_value("")
    page.keyboard.type("a green coat")
    page.keyboard.press("Enter")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    page.get_by_role("button", name="Open candidate 1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_everything_that_can_be_used_has_a_name(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, img")].filter((one) =>
            !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.hasAttribute("alt")))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_a_narrow_screen_does_not_scroll_sideways(page: Page, service: RunningService) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    open_page(page, service)
    ask(page, "red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("prefix", ["/search/", "/a/b/"])
def test_the_page_works_below_a_path(page: Page, service: RunningService, prefix: str) -> None:
    with StrippingProxy(prefix, service.address) as proxy:
        page.goto(f"{proxy.address}#key={KEY}")
        expect(page.locator("#cameras li")).to_have_count(2)
        expect(page.locator("#status-text")).to_have_text("model version 1")
        expect(page.locator(".brand img")).to_have_js_property("complete", True)
        ask(page, "red")
        expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 64)
        page.get_by_role("button", name="Confirm candidate 1").click()
        expect(page.locator(".card.is-confirmed")).to_have_count(1)
        page.get_by_role("button", name="Open candidate 1").click()
        expect(page.locator("#detail-track img")).to_have_count(3)
        assert [path for path in proxy.asked if not path.startswith(prefix)] == []
        assert page.url.startswith(f"{proxy.address}#text=red&open=red-0-")


@pytest.mark.parametrize("text", ["a purple kangaroo", "a person in a red coat"])
def test_on_a_phone_what_is_said_is_in_sight(page: Page, service: RunningService, text: str) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, service)
    for _ in range(2):
        ask(page, text)
        expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
        expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 64)
        page.wait_for_timeout(300)
        said = page.get_by_text("No reliable match.") if "kangaroo" in text else page.locator("#summary")
        expect(said).to_be_in_viewport(ratio=1)
        assert said.bounding_box()["y"] > 4
        expect(page.locator("#grid .card").first).to_be_in_viewport()


def test_on_a_phone_an_error_is_in_sight(page: Page, service: RunningService) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, service)
    with refused(service.settings.database_address):
        ask(page, "red")
        expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 900}])
def test_nothing_on_a_card_is_cut_or_leaves_it(page: Page, service: RunningService, viewport: ViewportSize) -> None:
    page.set_viewport_size(viewport)
    open_page(page, service)
    ask(page, "red")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".card")].flatMap((card) => {
            const edge = card.getBoundingClientRect().right - 4;
            const parts = [...card.querySelectorAll(".about *, .tool")];
            return parts.filter((one) => one.getBoundingClientRect().right > edge);
        }).map((one) => one.outerHTML)"""
    )
    assert outside == []


@pytest.mark.parametrize(
    ("choice", "moment"),
    [("the first time, UTC+02:00", "00:30:00"), ("the second time, UTC+01:00", "01:30:00")],
)
def test_the_hour_that_comes_twice_can_be_told_apart(
    page: Page, service: RunningService, choice: str, moment: str
) -> None:
    open_page(page, service)
    which = page.get_by_label("Start: first or second time")
    expect(which).to_be_hidden()
    page.get_by_label("From", exact=True).fill("2026-10-25T02:30:00")
    which.select_option(choice)
    ask(page, "red")
    expect(page.get_by_text("No crop in the gallery matches these filters.")).to_be_visible()
    assert str(audited(service.settings)[-1]["filters"]["after"]).startswith(f"2026-10-25T{moment}")
    page.get_by_label("From", exact=True).fill("2026-10-25T03:30:00")
    expect(which).to_be_hidden()


def test_both_ends_may_lie_in_the_hour_that_comes_twice(page: Page, service: RunningService) -> None:
    open_page(page, service)
    page.get_by_label("From", exact=True).fill("2026-10-25T02:30:00")
    page.get_by_label("Until", exact=True).fill("2026-10-25T02:30:00")
    page.get_by_label("End: first or second time").select_option("the second time, UTC+01:00")
    ask(page, "red")
    expect(page.get_by_text("No crop in the gallery matches these filters.")).to_be_visible()
    filters = audited(service.settings)[-1]["filters"]
    assert str(filters["after"]).startswith("2026-10-25T00:30:00")
    assert str(filters["before"]).startswith("2026-10-25T01:30:00")


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"From": "2026-03-29T02:30:00"}, "The clocks never show 2026-03-29 at 02:30"),
        ({"Until": "2026-03-29T02:00:00"}, "The clocks never show 2026-03-29 at 02:00"),
        ({"From": "2026-03-02T10:00:00", "Until": "2026-03-01T10:00:00"}, "“From” must be earlier than “Until”."),
    ],
)
def test_a_time_that_cannot_be_searched_is_told_readably(
    page: Page, service: RunningService, times: dict[str, str], words: str
) -> None:
    open_page(page, service)
    for field, time in times.items():
        page.get_by_label(field, exact=True).fill(time)
    ask(page, "red")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This time cannot be searched.")
    expect(alert).to_contain_text(words)
    assert audited(service.settings) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(page: Page, service: RunningService, scheme: Literal["light", "dark"]) -> None:
    """4.5 : 1, as WCAG 2 asks for, on rejected cards too."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    open_page(page, service)
    choose_camera(page, "north-door")
    ask(page, "a purple kangaroo")
    expect(page.locator(".message")).to_have_count(1)
    page.get_by_role("button", name="Reject candidate 1").click()
    page.get_by_role("button", name="Confirm candidate 2").click()
    expect(page.locator(".card.is-rejected")).to_have_count(1)
    expect(page.locator(".card.is-confirmed")).to_have_count(1)
    page.mouse.move(0, 0)
    assert page.evaluate(CONTRAST) == []


def test_what_the_model_did_not_read_is_told(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "  a 🧥 red coat " + "and black shoes " * 20 + "and a hat of straw")
    expect(page.locator(".message")).to_contain_text("The model did not read the end")
    expect(page.locator(".message")).to_contain_text("and a hat of straw”")
    ask(page, "a red coat")
    expect(page.locator(".message")).to_have_count(0)


def test_what_is_typed_while_the_page_starts_stays(page: Page, service: RunningService) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/cameras", hold)
    page.goto(f"{service.address}#key={KEY}")
    page.get_by_label("Describe the person").fill("red")
    page.get_by_label("A page").select_option("24")
    held[0].continue_()
    expect(page.locator("#cameras li")).to_have_count(2)
    expect(page.get_by_label("Describe the person")).to_have_value("red")
    expect(page.get_by_label("A page")).to_have_value("24")
