"""What an operator does all day: scan candidates, refine, compare, judge, page, send a search to a colleague."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.api_keys import hash_key, make_key, open_keys
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.promotions import Promotion
from personsearch.search.exact import ExactStore
from serving.settings import ServingSettings
from tests.audit import audited
from tests.browser.conftest import KEY, PATIENCE_MILLISECONDS, RunningService
from tests.crops import make_crop
from tests.serving.colours import COLOURS, START, ColourSource, build_collection, figure

CAMERAS = 120
SMALL = (30, 72)


def gate(number: int) -> str:
    return f"gate-{number:03}"


def small_figure() -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(figure("red"))).resize(SMALL).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[RunningService]:
    """120 people, each at a camera of their own, every sixth in red; the first picture is a small one."""
    settings = ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.2)
    gallery, store = gallery_in(settings.gallery_folder), ExactStore()
    crops = []
    for number in range(CAMERAS):
        colour, at = COLOURS[number % len(COLOURS)], START + timedelta(minutes=number)
        crop = make_crop(f"{colour}-{number:03}", camera_id=gate(number), captured_at=at, track_id=f"track/{number}")
        crops.append((crop, figure(colour) if number else small_figure()))
    gallery.add(crops)
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with RunningService(settings, ColourSource(store, gallery)) as running:
        yield running


def open_page(page: Page, service: RunningService) -> None:
    page.goto(f"{service.address}#key={KEY}")
    expect(page.locator("#status-text")).to_have_text("model version 1")


def ask(page: Page, text: str) -> None:
    page.get_by_label("Describe the person").fill(text)
    page.keyboard.press("Enter")


def cards(page: Page) -> Locator:
    return page.locator("#grid .card:not(.skeleton)")


def first_crop(page: Page) -> str:
    return cards(page).first.get_attribute("data-crop-id") or ""


@pytest.mark.parametrize(
    ("viewport", "whole"), [({"width": 1280, "height": 900}, 12), ({"width": 1920, "height": 1080}, 24)]
)
def test_the_first_view_holds_many_whole_candidates(
    page: Page, crowd: RunningService, viewport: ViewportSize, whole: int
) -> None:
    page.set_viewport_size(viewport)
    open_page(page, crowd)
    ask(page, "a purple kangaroo, not a hat")  # with a chip, and with a remark about confidence
    expect(cards(page)).to_have_count(48)
    for position in (0, whole - 1):
        expect(cards(page).nth(position)).to_be_in_viewport(ratio=1)
    assert cards(page).first.bounding_box()["y"] >= page.locator(".top").bounding_box()["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_start_fits_a_phone(page: Page, crowd: RunningService) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, crowd)
    expect(page.locator("#cameras-summary")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_time_of_day_names_the_clock_of_the_cameras(browser: Browser, crowd: RunningService) -> None:
    for here, clock in (("Europe/Vienna", "UTC"), ("UTC", "")):
        with browser.new_context(timezone_id=here) as context:
            context.set_default_timeout(PATIENCE_MILLISECONDS)
            page = context.new_page()
            page.goto(f"{crowd.address}#key={KEY}")
            page.locator("#cameras li").first.wait_for(state="attached")
            expect(page.locator("#daily-clock")).to_have_text(clock)


def test_a_small_crop_stays_small_and_the_density_is_remembered(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    page.locator("#cameras-summary").click()
    page.get_by_label("Find a camera").fill("gate 000")
    page.get_by_role("button", name="choose all shown").click()
    page.keyboard.press("Escape")
    ask(page, "red")
    expect(cards(page)).to_have_count(1)
    image = cards(page).first.locator("img")
    expect(image).to_have_js_property("naturalWidth", SMALL[0])
    for size in ("S", "M", "L"):
        page.get_by_text(size, exact=True).click()
        shown = image.bounding_box()
        assert shown["width"] <= 2 * SMALL[0] + 1
        assert shown["height"] <= 2 * SMALL[1] + 1
    page.reload()
    expect(cards(page)).to_have_count(1)
    expect(page.get_by_role("radio", name="L", exact=True)).to_be_checked()


def test_one_camera_among_120_is_found_by_a_part_of_its_name(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    page.locator("#cameras-summary").click()
    expect(page.locator("#cameras li:visible")).to_have_count(CAMERAS)
    page.get_by_label("Find a camera").fill("11")
    expect(page.locator("#cameras li:visible")).to_have_count(11)  # 011, 110 to 119
    page.get_by_role("button", name="choose all shown").click()
    expect(page.locator("#cameras-summary")).to_have_text("11 cameras")
    page.get_by_label("Find a camera").fill("nowhere")
    expect(page.get_by_text("No camera has this name.")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Find a camera")).to_be_hidden()
    ask(page, "green")
    expect(cards(page)).to_have_count(11)


def test_cameras_have_names_and_groups_and_one_click_chooses_a_group(page: Page, crowd: RunningService) -> None:
    crowd.app.state.service.cameras.put(
        CameraDetails(gate(number), f"Platform {number}", "platforms" if number < 30 else "halls", "Europe/Vienna")
        for number in range(CAMERAS)
    )
    open_page(page, crowd)
    page.locator("#cameras-summary").click()
    expect(page.locator("#cameras li:visible")).to_have_count(CAMERAS + 2)
    page.get_by_label("Find a camera").fill("platforms")
    expect(page.locator("#cameras li:visible")).to_have_count(31)
    page.get_by_text("group platforms", exact=True).first.click()
    page.get_by_label("Find a camera").fill("platform 117")
    page.get_by_text("Platform 117", exact=True).click()
    expect(page.locator("#cameras-summary")).to_have_text("platforms, Platform 117")
    page.keyboard.press("Escape")
    ask(page, "red")
    expect(cards(page)).to_have_count(31)
    assert page.url.endswith("#text=red&cameras=gate-117&groups=platforms")
    expect(cards(page).first).to_contain_text("Platform")
    page.reload()
    expect(cards(page)).to_have_count(31)
    expect(page.locator("#cameras-summary")).to_have_text("platforms, Platform 117")


def test_a_time_of_day_and_the_order_are_part_of_the_address(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    page.get_by_label("Each day from").fill("10:00")
    page.get_by_label("to", exact=True).fill("10:30")
    page.get_by_label("Order").select_option("newest first")
    ask(page, "red")
    expect(cards(page)).to_have_count(30)
    record = audited(crowd.settings)[-1]["filters"]
    assert (record["daily_after"], record["daily_before"], record["sort"]) == ("10:00", "10:30", "newest")
    times = cards(page).locator("time").evaluate_all("(all) => all.map((one) => one.dateTime)")
    assert times == sorted(times, reverse=True)
    page.goto("about:blank")
    page.go_back()
    expect(cards(page)).to_have_count(30)
    expect(page.get_by_label("Order")).to_have_value("newest")
    expect(page.get_by_label("Each day from")).to_have_value("10:00")
    page.get_by_label("to", exact=True).fill("10:00")
    ask(page, "red")
    expect(page.get_by_text("A time of day needs two different ends.")).to_be_visible()


def test_an_address_leads_a_colleague_to_the_same_candidate(
    page: Page, browser: Browser, crowd: RunningService
) -> None:
    open_page(page, crowd)
    ask(page, "a green coat, not white")
    page.get_by_label("From", exact=True).fill("2026-03-01T10:30:00")
    page.get_by_label("Purpose or case").fill("case 17")
    ask(page, "a green coat")
    expect(cards(page).first).to_contain_text(gate(31))
    cards(page).first.locator(".frame").click()
    expect(page.get_by_role("dialog")).to_contain_text("Candidate 1")
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text(gate(31))
    with browser.new_context(timezone_id="Asia/Tokyo") as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        colleague = context.new_page()
        colleague.goto(f"{page.url}&key={KEY}")
        expect(colleague.get_by_role("dialog")).to_contain_text(gate(31))
        expect(colleague.locator("#after")).to_have_value("2026-03-01T18:30")
        expect(colleague.locator("#purpose")).to_have_value("case 17")
        assert colleague.url == page.url
    assert [record["beside_text"] for record in audited(crowd.settings) if record["event"] == "search"][-1] == {
        "without": ["white"]
    }


def test_back_closes_the_candidate_then_shows_the_search_before(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "green")
    expect(cards(page).first).to_contain_text(gate(1))
    ask(page, "blue")
    expect(cards(page).first).to_contain_text(gate(2))
    cards(page).first.locator(".frame").click()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog")).to_contain_text("Candidate 2")
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(cards(page).first).to_contain_text(gate(2))
    cards(page).first.locator(".frame").click()
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{crowd.address}#text=blue")
    page.go_back()
    expect(page.get_by_label("Describe the person")).to_have_value("green")
    expect(cards(page).first).to_contain_text(gate(1))
    page.go_back()
    expect(page.get_by_role("group", name="Examples")).to_be_in_viewport()


def test_a_search_is_refined_by_chips_and_says_that_it_has_no_confidence(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "a person in red and green, without red")
    expect(page.get_by_text("No confidence for this kind of search.")).to_be_in_viewport()
    expect(cards(page).first).to_contain_text(gate(1))
    expect(page.get_by_label("Describe the person")).to_have_value("a person in red and green")
    page.get_by_role("button", name="+ other words").click()
    page.get_by_label("The same person, in other words").fill("green")
    page.keyboard.press("Enter")
    expect(page.locator(".term.also")).to_have_text("or: green")
    expect(cards(page)).to_have_count(48)
    page.get_by_role("button", name="Remove “not red”").click()
    expect(page.locator(".term.without")).to_have_count(0)
    expect(page).to_have_url(f"{crowd.address}#text=a+person+in+red+and+green&also=green")


def test_a_picture_and_a_candidate_are_searched_for(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    sent = {"name": "him.jpg", "mimeType": "image/jpeg", "buffer": figure("blue")}
    page.get_by_label("Picture of the person").set_input_files(sent)
    expect(cards(page).first).to_contain_text(gate(2))
    expect(page.locator(".term.picture img")).to_have_js_property("naturalWidth", 64)
    page.reload()  # the tab still has the picture
    expect(cards(page).first).to_contain_text(gate(2))
    page.get_by_label("Describe the person").fill("green")
    page.keyboard.press("Enter")
    weight = page.get_by_label("Weight of the picture")
    expect(weight).to_be_in_viewport()
    weight.fill("0")
    expect(cards(page).first).to_contain_text(gate(1))
    page.get_by_role("button", name="More like candidate 1", exact=True).click()
    expect(page.locator(".term.like")).to_have_text("like this person")
    expect(cards(page).first).to_contain_text(gate(7))
    first, *_, last = [record for record in audited(crowd.settings) if record["event"] == "search"]
    assert first["beside_text"]["image_weight"] == 0.5
    assert last["beside_text"]["like"] == "green-001"


def test_a_picture_that_is_none_and_one_of_another_tab_are_told(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    sent = {"name": "notes.gif", "mimeType": "image/gif", "buffer": b"no picture"}
    page.get_by_label("Picture of the person").set_input_files(sent)
    expect(page.get_by_role("alert")).to_contain_text("“notes.gif” is no picture that this browser can read.")
    page.goto(f"{crowd.address}#picture=12345")
    expect(page.get_by_role("alert")).to_contain_text("An address does not contain the picture. Choose it again.")


def test_the_keyboard_alone_judges_chooses_and_compares(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "red")
    expect(cards(page)).to_have_count(48)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Confirm candidate 1", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.locator(".card.is-rejected")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    expect(page.locator(".card.is-chosen")).to_have_count(2)
    expect(page.locator(".card.is-chosen").last).to_be_in_viewport(ratio=1)
    page.keyboard.press("v")
    compared = page.get_by_role("dialog", name="Compare")
    expect(compared.locator("li")).to_have_count(2)
    for picture in compared.locator("img").all():
        expect(picture).to_be_in_viewport(ratio=1)
    expect(compared.get_by_role("button", name="Confirm candidate 1", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard")
    for words in ("confirm", "reject", "compare the chosen", "next page"):
        expect(listed.get_by_role("cell", name=words, exact=True)).to_be_in_viewport()


def test_pages_follow_each_other_and_a_promotion_begins_again(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    page.get_by_label("A page").select_option("24")
    ask(page, "red")
    expect(cards(page)).to_have_count(24)
    first = first_crop(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("n")
    expect(page.get_by_text("Candidates 25 to 48")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Open candidate 25")).to_be_in_viewport(ratio=1)
    page.reload()
    expect(page.get_by_text("Candidates 25 to 48")).to_be_in_viewport()
    page.get_by_role("button", name="Page before").click()
    expect(page.get_by_role("button", name="Open candidate 1", exact=True)).to_be_in_viewport(ratio=1)
    assert first_crop(page) == first
    build_collection(crowd.source.store, crowd.source.gallery, "persons_v2_1", version="2")
    crowd.source.store.switch_alias("persons", "persons_v2_1")
    expect(page.locator("#status-text")).to_have_text("model version 2")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text("Another model went live.")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Open candidate 1", exact=True)).to_be_in_viewport(ratio=1)


def test_the_page_speaks_german(browser: Browser, crowd: RunningService) -> None:
    with browser.new_context(locale="de-AT", viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        page = context.new_page()
        page.goto(f"{crowd.address}#key={KEY}&text=a+purple+kangaroo")
        expect(page.get_by_text("Kein verlässlicher Treffer.")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Kandidat 1 bestätigen", exact=True)).to_be_in_viewport()
        assert page.evaluate("document.documentElement.lang") == "de"
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("Sprache").select_option("English")
        expect(page.get_by_text("No reliable match.")).to_be_in_viewport()


def test_verdicts_and_their_notes_come_back_also_those_of_others(
    page: Page, browser: Browser, crowd: RunningService
) -> None:
    annas_key = make_key(open_keys(crowd.settings), "anna")
    open_page(page, crowd)
    ask(page, "green")
    cards(page).first.locator(".frame").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("the scarf of the report")
    dialog.get_by_role("button", name="Confirm candidate 1", exact=True).click()
    expect(page.locator(".card.is-confirmed")).to_have_count(1)
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        anna = context.new_page()
        anna.goto(f"{crowd.address}#text=green&key={annas_key}")
        expect(cards(anna).first.get_by_text(f"confirmed by key-{hash_key(KEY)[:8]}")).to_be_in_viewport()
        anna.get_by_role("button", name="Reject candidate 1", exact=True).click()
        expect(anna.locator(".card.is-rejected")).to_have_count(1)
    page.reload()
    expect(page.locator(".card.is-confirmed")).to_have_count(1)
    expect(dialog.get_by_label("Note")).to_have_value("the scarf of the report")
    expect(dialog.get_by_text("rejected by anna")).to_be_in_viewport()
    page.keyboard.press("Escape")
    ask(page, "green and white")
    expect(page.locator("#summary")).to_contain_text("candidates")
    page.get_by_role("button", name="Open candidate 1", exact=True).click()
    expect(page.locator(".card.is-confirmed")).to_have_count(0)


def test_chosen_candidates_become_a_report(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "green")
    page.get_by_role("button", name="Choose candidate 1", exact=True).click()
    ask(page, "blue")
    expect(cards(page).first).to_contain_text(gate(2))
    page.get_by_role("button", name="Choose candidate 1", exact=True).click()
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog", name="Report")
    expect(dialog.locator("img")).to_have_count(2)
    dialog.get_by_label("Purpose of the report").fill("case 17")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    content = json.loads(zipfile.ZipFile(download.value.path()).read("report.json"))
    assert [each["search"]["query"] for each in content["candidates"]] == ["green", "blue"]
    assert audited(crowd.settings)[-1]["event"] == "report"
    expect(dialog).to_be_hidden()


def test_searches_are_remembered_saved_and_forgotten(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "green, not white")
    expect(cards(page).first).to_contain_text(gate(1))
    ask(page, "blue")
    expect(cards(page).first).to_contain_text(gate(2))
    page.get_by_role("button", name="Searches").click()
    dialog = page.get_by_role("dialog", name="Searches")
    dialog.get_by_label("Save this search as").fill("the blue one")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("list", name="Saved searches")).to_contain_text("the blue one")
    dialog.get_by_role("button", name=re.compile("^green, not white")).click()
    expect(cards(page).first).to_contain_text(gate(1))
    page.reload()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Searches").click()
    dialog.get_by_role("button", name="Forget the latest").click()
    expect(dialog.get_by_role("list", name="Latest searches").locator("li")).to_have_count(0)
    dialog.get_by_role("button", name=re.compile("^the blue one")).click()
    expect(cards(page).first).to_contain_text(gate(2))


def test_a_map_shows_where_a_word_is_seen(page: Page, crowd: RunningService) -> None:
    """Of colours the encoder sees no place, so a map is given: warm in the lower half."""
    seen = {"maps": [{"text": "a green coat", "start": 0, "end": 12, "heat": [[-0.2], [0.1]]}]}
    page.route("**/v1/crops/*/heat-maps", lambda route: route.fulfill(json=seen))
    open_page(page, crowd)
    ask(page, "a green coat")
    page.get_by_role("button", name="Open candidate 1", exact=True).click()
    page.get_by_role("button", name="where are the words?").click()
    phrase = page.get_by_role("button", name="a green coat", exact=True)
    expect(phrase).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#heat-map")).to_be_in_viewport(ratio=1)
    above, below = page.evaluate("""() => {
        const map = document.getElementById("heat-map");
        const pen = map.getContext("2d");
        return [0.05, 0.95].map((y) => pen.getImageData(map.width / 2, y * map.height, 1, 1).data[3]);
    }""")
    assert (above, below) == (0, round(0.75 * 255))
    map_box, picture_box = page.locator("#heat-map").bounding_box(), page.locator("#detail-image").bounding_box()
    assert map_box == picture_box
    phrase.click()
    expect(page.locator("#heat-map")).to_have_count(0)


def test_a_real_map_is_recorded(page: Page, crowd: RunningService) -> None:
    open_page(page, crowd)
    ask(page, "a green coat")
    page.get_by_role("button", name="Open candidate 1", exact=True).click()
    page.get_by_role("button", name="where are the words?").click()
    expect(page.locator("#heat-phrases button").first).to_have_attribute("aria-pressed", "true")
    assert audited(crowd.settings)[-1]["event"] == "heat_map"


def test_operations_show_promotions_with_reasons_and_silent_cameras(page: Page, crowd: RunningService) -> None:
    promotions = crowd.app.state.service.promotions
    promotions.went_live(Promotion("1", collection="persons_v1_1"))
    open_page(page, crowd)
    page.get_by_role("button", name="Operations").click()
    view = page.get_by_role("dialog", name="Operations")
    expect(view).to_contain_text("version 1 of colours, collection persons_v1_1")
    expect(view.get_by_role("cell", name="went live as persons_v1_1")).to_be_in_viewport()
    expect(view.get_by_role("cell", name=gate(0), exact=True).first).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "de"])
def test_on_a_phone_operations_break_no_word(page: Page, crowd: RunningService, language: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.add_init_script(f"localStorage.setItem('personsearch-language', '{language}')")
    page.goto(f"{crowd.address}#key={KEY}")
    page.locator("#operations-open").click()
    dialog = page.locator("#operations")
    expect(dialog.locator("table")).to_have_count(2)  # cameras, and their drift
    broken = dialog.evaluate(
        """(dialog) => [...dialog.querySelectorAll("th, td:first-child")].flatMap((cell) => {
            const node = cell.firstChild, words = [...node.data.matchAll(/[^\\s\\u00ad]{2,}/g)];
            return words.map((word) => {
                const range = document.createRange();
                range.setStart(node, word.index + 1);  // before it a soft hyphen may be drawn
                range.setEnd(node, word.index + word[0].length);
                return range.getClientRects().length === 1 ? null : word[0];
            });
        }).filter(Boolean)"""
    )
    assert broken == []
    assert dialog.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")
    dialog.evaluate("(dialog) => { dialog.scrollTop = dialog.scrollHeight; }")
    expect(page.locator("#operations-close")).to_be_in_viewport(ratio=1)


def test_operations_opened_again_ask_no_more_often(page: Page, crowd: RunningService) -> None:
    crowd.app.state.service.drift.look()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/v1/status") else None)
    page.clock.install()
    open_page(page, crowd)
    view = page.get_by_role("dialog", name="Operations")
    for _ in range(3):
        page.get_by_role("button", name="Operations").click()
        expect(view.get_by_role("heading", name="Drift by camera, the largest first")).to_be_visible()
        page.keyboard.press("Escape")
        expect(view).to_be_hidden()
    page.get_by_role("button", name="Operations").click()
    expect(view.get_by_role("heading", name="Drift by camera, the largest first")).to_be_visible()
    before = len(asked)
    for turn in (1, 2):
        with page.expect_response("**/v1/status"):
            page.clock.run_for(5000)
        page.clock.run_for(1000)
        assert len(asked) == before + turn
