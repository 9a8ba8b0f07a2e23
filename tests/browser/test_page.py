"""The search page as a person uses it, in a real browser against a real server."""

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import KEY, RunningService


def open_page(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}")
    expect(page.locator("#cameras .chip")).to_have_count(2)


def ask(page: Page, text: str) -> None:
    page.get_by_label("Describe the person").fill(text)
    page.keyboard.press("Enter")


def audited(service: RunningService) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.settings.audit_path.read_text().splitlines()]


def test_a_description_shows_the_person_first(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "a person in a red coat")
    cards = page.locator("#grid .card:not(.skeleton)")
    expect(cards).to_have_count(6)
    first = cards.first
    expect(first).to_contain_text("junction")
    expect(first).to_contain_text("1 Mar 2026, 10:00:0")
    expect(first).to_contain_text("2026-03-01 09:00:0")
    expect(first).to_contain_text("confidence")
    expect(first.locator("img")).to_have_js_property("complete", True)
    expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 64)
    expect(page.locator("#summary")).to_contain_text("for a person to confirm")
    expect(page.locator(".message")).to_have_count(0)


def test_the_key_leaves_the_address_and_stays_out_of_it(page: Page, service: RunningService) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, service)
    ask(page, "red")
    expect(page.locator("#grid img").first).to_have_attribute("src", re.compile("^blob:"))
    assert page.url == service.address
    assert not [url for url in asked if KEY in url.split("#")[0]]
    assert page.evaluate("localStorage.length") == 0
    assert all(url.startswith((service.address, f"blob:{service.address}")) for url in asked)


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
    expect(page.locator("#cameras .chip")).to_have_count(2)
    ask(page, "green")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(6)


def test_filters_narrow_the_candidates(page: Page, service: RunningService) -> None:
    open_page(page, service)
    page.locator("#cameras").get_by_text("north-door").click()
    page.get_by_label("From").fill("2026-03-01T10:02:00")
    page.get_by_label("Purpose or case").fill("case 17")
    ask(page, "a red coat")
    expect(page.locator("#grid .card:not(.skeleton)")).to_have_count(2)
    record = audited(service)[-1]
    assert record["purpose"] == "case 17"
    assert record["filters"]["cameras"] == ["north-door"]
    assert record["filters"]["after"].startswith("2026-03-01T09:02:00")


def test_no_reliable_match_is_said(page: Page, service: RunningService) -> None:
    open_page(page, service)
    ask(page, "a purple kangaroo")
    expect(page.get_by_text("No reliable match.")).to_be_visible()
    page.get_by_label("From").fill("2030-01-01T00:00:00")
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
    search, *verdicts = audited(service)
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
    service.settings.audit_path.mkdir()
    ask(page, "red")
    expect(page.get_by_role("alert")).to_contain_text("audit log cannot be written")
    service.settings.audit_path.rmdir()
    page.get_by_role("button", name="a woman in a red jacket and blue jeans").click()
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
