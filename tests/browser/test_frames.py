"""Whole frames, the seconds around them, the track as a strip, and other sightings on a time line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from personsearch.search.exact import ExactStore
from serving.settings import ServingSettings
from tests.audit import audited
from tests.browser.conftest import KEY, PATIENCE_MILLISECONDS, RunningService
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.walks import CROPS, WALK, add_walk

SIGHT = """() => {
    const [mark, image] = [document.querySelector(".whole-frame .mark"), document.querySelector(".whole-frame img")]
        .map((one) => one.getBoundingClientRect());
    const scale = image.width / document.querySelector(".whole-frame img").naturalWidth;
    return [mark.left - image.left, mark.top - image.top, mark.width, mark.height].map((side) => side / scale);
}"""


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    """Two people in a video at the junction, and six in single pictures at two cameras, of whom there is none."""
    monkeypatch.setattr("serving.footage.FRAME_SECONDS", 120.0)
    monkeypatch.setattr("serving.footage.CLIP_SECONDS", 120.0)
    monkeypatch.setattr("serving.footage.WAIT_SECONDS", 120.0)
    settings = ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.2)
    add_walk(settings.gallery_folder, tmp_path / "videos")
    gallery = add_figures(settings.gallery_folder, COLOURS, first=20)
    store = ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with RunningService(settings, ColourSource(store, gallery)) as running:
        yield running


def open_candidate(page: Page, service: RunningService, crop_id: str, *, look: str = "") -> None:
    page.goto(f"{service.address}#key={KEY}&text=red&grouped=false&open={crop_id}{look and f'&look={look}'}")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_whole_frame_marks_the_person_and_is_in_the_address(
    page: Page, browser: Browser, walked: RunningService
) -> None:
    open_candidate(page, walked, CROPS[1])
    page.keyboard.press("f")
    frame = page.get_by_role("img", name="Whole frame of camera junction")
    expect(frame).to_be_in_viewport(ratio=1)
    expect(frame).to_have_js_property("naturalWidth", WALK.size[0])
    box = WALK.box(0, 25)
    marked = page.evaluate(SIGHT)
    assert marked == pytest.approx([box.x, box.y, box.width, box.height], abs=2)
    expect(page.get_by_role("button", name="whole frame")).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith(f"&open={CROPS[1]}&look=frame")
    assert [record["results"] for record in audited(walked.settings) if record["event"] == "frame"] == [[CROPS[1]]]
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        colleague = context.new_page()
        colleague.goto(f"{page.url}&key={KEY}")
        expect(colleague.get_by_role("img", name="Whole frame of camera junction")).to_be_in_viewport(ratio=1)
    page.keyboard.press("f")
    expect(frame).to_have_count(0)
    expect(page.locator("#detail-image")).to_be_in_viewport(ratio=1)


def test_the_seconds_before_and_after_play(page: Page, walked: RunningService) -> None:
    open_candidate(page, walked, CROPS[1])
    page.get_by_role("button", name="seconds before and after").click()
    video = page.get_by_label("The seconds before and after, camera junction")
    expect(video).to_be_in_viewport(ratio=1)
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(6.0, abs=0.7)
    page.reload()
    expect(video).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{walked.address}#text=red&grouped=false")


def test_where_there_is_no_footage_the_reason_is_said(page: Page, walked: RunningService) -> None:
    open_candidate(page, walked, "red-20-0", look="frame")
    expect(page.get_by_text("There is no footage: the crop comes from no video file")).to_be_in_viewport()
    expect(page.locator("#detail-image")).to_be_in_viewport(ratio=1)


def test_the_track_is_a_strip_in_the_order_of_time(page: Page, walked: RunningService) -> None:
    open_candidate(page, walked, CROPS[1])
    strip = page.get_by_role("list", name="Same track").get_by_role("button")
    expect(strip).to_have_count(3)
    assert [button.get_attribute("data-crop-id") for button in strip.all()] == list(CROPS[:3])
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowDown")
    expect(strip.nth(2)).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith(f"&crop={CROPS[2]}")
    page.keyboard.press("f")
    expect(page.get_by_role("img", name="Whole frame of camera junction")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SIGHT)[0] == pytest.approx(WALK.box(0, 40).x, abs=2)
    page.reload()
    expect(strip.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("img", name="Whole frame of camera junction")).to_be_in_viewport(ratio=1)
    page.keyboard.press("ArrowUp")
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")


def test_other_sightings_stand_by_camera_on_a_time_line(page: Page, walked: RunningService) -> None:
    open_candidate(page, walked, CROPS[0])
    page.get_by_role("button", name="Other sightings").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    rows = page.locator(".times-row")
    expect(rows).to_have_count(2)
    expect(page.locator(".sighting").first).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("No confidence for this kind of search.")).to_be_in_viewport()
    assert "like=" in page.url
    assert page.url.endswith("&view=times")
    at = [
        (button.bounding_box()["x"], button.get_attribute("aria-label"))
        for button in rows.nth(0).get_by_role("button").all()
    ]
    assert at == sorted(at)
    assert all("uncalibrated" in label for _, label in at)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator(".sighting:focus")).to_have_attribute("data-crop-id", CROPS[3])
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sighting:focus")).to_have_attribute("data-crop-id", "red-20-0")
    focused = page.evaluate("document.activeElement.dataset.cropId")
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.dataset.cropId")
    assert focused != below
    assert page.evaluate("document.activeElement.closest('.times-row') === document.querySelectorAll('.times-row')[1]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sighting:focus")).to_have_attribute("data-crop-id", below)
    expect(page).not_to_have_url(re.compile("open="))  # going back has ended
    page.reload()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="time line").click()
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.locator("#grid .card").first).to_be_in_viewport(ratio=1)
    expect(rows.first).to_be_hidden()


def test_candidates_are_compared_with_their_frames(page: Page, walked: RunningService) -> None:
    page.goto(f"{walked.address}#key={KEY}&text=red&grouped=false")
    for crop_id in (CROPS[0], CROPS[2], "red-20-0"):
        page.locator(f'.card[data-crop-id="{crop_id}"] .choose').click()
    page.keyboard.press("v")
    dialog = page.get_by_role("dialog", name="Compare")
    expect(dialog.get_by_role("img", name="Whole frame of camera junction")).to_have_count(2)
    expect(dialog.get_by_role("img", name="Whole frame of camera junction").first).to_be_in_viewport(ratio=1)
    expect(dialog.get_by_text("There is no footage")).to_have_count(1)


def test_on_a_phone_a_frame_comes_into_sight(page: Page, walked: RunningService) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_candidate(page, walked, CROPS[1])
    page.get_by_text("Same track").scroll_into_view_if_needed()
    page.get_by_role("button", name="whole frame").click()
    expect(page.get_by_role("img", name="Whole frame of camera junction")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [(390, 844), (1920, 1080)])
def test_frames_and_the_time_line_fit_their_screen_in_german(
    browser: Browser, walked: RunningService, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with browser.new_context(locale="de-AT", viewport=viewport) as context:  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        page = context.new_page()
        open_candidate(page, walked, CROPS[1], look="frame")
        expect(page.get_by_role("img", name="Ganzes Bild von Kamera junction")).to_be_in_viewport(ratio=1)
        page.get_by_role("button", name="Anderswo gesehen").click()
        expect(page.locator(".sighting").first).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
