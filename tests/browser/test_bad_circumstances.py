"""The page on a bad day: broken links, a slow network, a browser that stores no more."""

from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.audit import audited
from tests.browser.conftest import KEY, RunningService

FILL = """() => {
  let block = "x".repeat(2 ** 20);
  for (let number = 0; block; ) {
    try {
      localStorage.setItem(`other-${number}`, block);
      number += 1;
    } catch {
      block = block.slice(block.length / 2 + 1);
    }
  }
}"""


def cards(page: Page) -> Locator:
    return page.locator("#grid .card:not(.skeleton)")


@pytest.mark.parametrize("after", ["nonsense", "+275760-09-13T00:00:00Z", "2026-03-01T10"])
def test_a_link_with_a_broken_time_is_refused_readably_and_the_page_still_works(
    page: Page, service: RunningService, after: str
) -> None:
    page.goto(f"{service.address}#key={KEY}&text=red&after={quote(after)}")
    expect(page.get_by_role("alert")).to_contain_text("The search failed.")
    expect(page.get_by_role("alert")).to_contain_text("after")
    page.get_by_label("Describe the person").fill("green")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(6)


def test_a_link_with_another_size_of_page_can_be_searched_again(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}&text=red&k=5")
    expect(cards(page)).to_have_count(5)
    page.get_by_label("Describe the person").fill("green")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(6)


def test_a_long_run_of_spaces_does_not_hold_the_page(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}&text=red{'%20' * 5000}coat")
    expect(page.get_by_role("alert")).to_contain_text("The search failed.")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(cards(page)).to_have_count(6)


def test_a_browser_that_stores_no_more_still_searches(page: Page, service: RunningService) -> None:
    """Another application behind the same proxy may have filled what the origin has."""
    page.goto(f"{service.address}#key={KEY}")
    page.evaluate("localStorage.clear()")
    page.evaluate(FILL)
    page.goto(f"{service.address}#text=red")
    page.reload()
    expect(cards(page)).to_have_count(6)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.locator("#searches-open").click()
    page.locator("#searches-save button").click()
    expect(page.locator("#searches-wrong")).to_contain_text("This browser stores no more.")


def test_verdicts_that_come_late_belong_to_the_search_before(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}&text=red")
    page.get_by_role("button", name="Confirm candidate 1", exact=True).click()
    expect(page.locator("#grid [data-verdict=confirmed]").first).to_have_attribute("aria-pressed", "true")
    held: list[Route] = []
    page.route("**/v1/verdicts?*", lambda route: held.append(route) if not held else route.continue_())
    page.reload()
    expect(cards(page)).to_have_count(6)
    page.get_by_label("Describe the person").fill("red black")
    with page.expect_response(lambda response: "/v1/verdicts?" in response.url):
        page.keyboard.press("Enter")
    assert len(held) == 1
    with page.expect_response(lambda response: "/v1/verdicts?" in response.url):
        held[0].continue_()
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 200))")
    expect(page.locator("#grid [aria-pressed=true]")).to_have_count(0)
    assert [record["verdict"] for record in audited(service.settings) if record["event"] == "verdict"] == ["confirmed"]


def test_a_verdict_that_is_recorded_late_belongs_to_the_search_before(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}&text=red")
    expect(cards(page)).to_have_count(6)
    held: list[Route] = []
    page.route("**/v1/verdicts", lambda route, _: held.append(route))
    page.get_by_role("button", name="Confirm candidate 1", exact=True).click()
    page.get_by_label("Describe the person").fill("red black")
    with page.expect_response(lambda response: "/v1/verdicts?" in response.url):
        page.keyboard.press("Enter")
    with page.expect_response(lambda response: response.url.endswith("/v1/verdicts")):
        held[0].continue_()
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 200))")
    expect(page.locator("#grid [aria-pressed=true]")).to_have_count(0)
