"""Takes the pictures of docs/operator.md from a running installation: `python infra/operator_pictures.py --key KEY`.

Run it against the installation of `make demo` without FOOTAGE, whose people are all drawn: pictures of real people
belong in no manual. Whole frames are of the demo's video, whose camera is `junction`.

Alerts are of people who pass after a search is watched, and only a promoter feeds the live collection. So they are
taken in a second run: `PERSONSEARCH_ALERTS=true make up`, run this, ingest the demo's video again with another
`--start`, and run it once more.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

FOLDER = Path("docs/pictures/operator")
DESCRIPTION = "a woman in a red jacket and blue jeans"
CAMERA = "junction"
THRESHOLD = "0.3"  # few people pass through a rendered video
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
WIDE: ViewportSize = {"width": 1920, "height": 1080}
PHONE: ViewportSize = {"width": 390, "height": 844}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Photographer:
    """Opens the page afresh for each series of pictures."""

    def __init__(self, service: str, key: str, out: Path) -> None:
        self.address = f"{service.rstrip('/')}/#key={key}"
        self.out = out

    @contextmanager
    def page(self, viewport: ViewportSize, *, dark: bool = False) -> Iterator[Page]:
        with sync_playwright() as playwright:
            found = next(path for name in BROWSERS if (path := shutil.which(name)))
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(
                viewport=viewport,
                locale="en-GB",
                timezone_id="Europe/Vienna",
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
            )
            page.goto(self.address)
            page.locator("#cameras li").first.wait_for(state="attached")
            yield page
            browser.close()

    def take(self, page: Page, name: str) -> None:
        """Take a picture once every image in sight has come."""
        page.wait_for_function(
            """() => [...document.querySelectorAll("img.loading")].every((image) => {
                const box = image.getBoundingClientRect();
                return box.top > innerHeight || box.bottom < 0 || !image.checkVisibility();
            })"""
        )
        self.out.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=self.out / f"{name}.jpg", quality=80)


def ask(page: Page, words: str) -> None:
    page.get_by_label("Describe the person").fill(words)
    page.keyboard.press("Enter")
    page.locator("#grid .card:not(.skeleton)").first.wait_for()


def take_frames(photographer: Photographer, page: Page) -> None:
    """A candidate of the demo's video in its frame, and where else that person was seen."""
    choose_camera(page, CAMERA)
    ask(page, DESCRIPTION)
    page.get_by_role("button", name="Open candidate 1", exact=True).click()
    page.get_by_role("button", name="whole frame").click()
    page.locator(".whole-frame img").wait_for()
    photographer.take(page, "frame")
    page.get_by_role("button", name="Other sightings").click()
    page.locator(".sighting").first.wait_for()
    photographer.take(page, "timeline")
    page.locator("#home").click()
    page.locator('[data-mode="start"]').wait_for()


def take_alerts(photographer: Photographer, page: Page) -> None:
    """The search that is watched, and who has passed since; watches it first where nobody does."""
    ask(page, DESCRIPTION)
    with page.expect_request_finished(lambda request: "/v1/alerts?" in request.url):
        page.get_by_role("button", name="Alerts").click(timeout=5_000)  # hidden where they are switched off
    page.locator("#alerts-watched li, #alerts-watched-none:not([hidden])").first.wait_for()
    page.locator("#alerts-threshold").fill(THRESHOLD)
    watched = page.locator("#alerts-watched li")
    if not watched.count():
        page.get_by_role("button", name="Watch", exact=True).click()
        watched.first.wait_for()
    photographer.take(page, "alerts")
    page.keyboard.press("Escape")


def choose_camera(page: Page, name: str) -> None:
    page.locator("#cameras-summary").click()
    page.locator("#cameras").get_by_text(name, exact=True).click()
    page.keyboard.press("Escape")


def take_all(photographer: Photographer) -> None:
    """The pictures of docs/operator.md, in its order."""
    with photographer.page(DESKTOP) as page:
        photographer.take(page, "start")
        ask(page, DESCRIPTION)
        photographer.take(page, "candidates")
        ask(page, f"{DESCRIPTION}, without a hat")
        photographer.take(page, "without")
        page.get_by_role("button", name="Remove “not a hat”").click()
        page.locator(".term").wait_for(state="detached")
        page.get_by_role("button", name="Open candidate 2", exact=True).click()
        page.get_by_role("button", name="where are the words?").click()
        page.get_by_role("button", name="a red jacket", exact=True).click()
        photographer.take(page, "candidate")
        page.keyboard.press("Escape")
        take_frames(photographer, page)
        choose_camera(page, CAMERA)
        ask(page, DESCRIPTION)
        for rank in (2, 3, 4):
            page.get_by_role("button", name=f"Choose candidate {rank}", exact=True).click()
        page.get_by_role("button", name="Compare", exact=True).click()
        page.locator(".compare-frame").filter(has_text="loading").first.wait_for(state="detached")
        photographer.take(page, "compare")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Report", exact=True).click()
        page.locator("#report-purpose").fill("case 17")
        photographer.take(page, "report")
        page.keyboard.press("Escape")
        take_alerts(photographer, page)
        page.get_by_role("button", name="Operations").click()
        page.locator("#operations-body table").first.wait_for()
        photographer.take(page, "operations")
    with photographer.page(WIDE, dark=True) as page:
        ask(page, DESCRIPTION)
        photographer.take(page, "wide")
    with photographer.page(PHONE) as page:
        ask(page, DESCRIPTION)
        photographer.take(page, "phone")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", default="http://127.0.0.1:8080", help="address of the search service")
    parser.add_argument("--key", required=True, help="an API key that may search")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"folder to write (default: {FOLDER})")
    arguments = parser.parse_args()
    take_all(Photographer(arguments.service, arguments.key, arguments.out))


if __name__ == "__main__":
    main()
