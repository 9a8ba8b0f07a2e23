"""Draws candidates into one picture: crops side by side with rank, score, confidence, camera and time."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from personsearch.files import replacing
from personsearch.images import ImageRejected, open_image
from personsearch.search.crop import Crop
from personsearch.search.searcher import Answer, Candidate

COLUMNS = 5
TILE_WIDTH, PICTURE_HEIGHT, CAPTION_HEIGHT, TITLE_HEIGHT = 220, 400, 84, 76
MARGIN = 16
FRAME = 6
RIGHT, WRONG = "#1f9d55", "#d64545"
PAPER, PICTURE_GROUND, INK, FAINT_INK, WARNING = "#f6f5f1", "#e4e2dc", "#1c1c1c", "#6a6862", "#a33a16"


def save_grid(
    path: Path,
    text: str,
    answer: Answer,
    picture_of: Callable[[Crop], bytes],
    *,
    is_right: Mapping[str, bool] | None = None,
) -> None:
    """Draw the candidates into an image file; its suffix decides the format.

    `is_right` says of crops, by id, whether the description is true of them: green and red frames show it.
    """
    columns = max(1, min(COLUMNS, len(answer.candidates)))
    rows = -(-len(answer.candidates) // columns)
    width = max(columns, 3) * (TILE_WIDTH + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, TITLE_HEIGHT + rows * (PICTURE_HEIGHT + CAPTION_HEIGHT + MARGIN) + MARGIN), PAPER)
    _draw_title(sheet, text, answer)
    for position, candidate in enumerate(answer.candidates):
        row, column = divmod(position, columns)
        left = MARGIN + column * (TILE_WIDTH + MARGIN)
        top = TITLE_HEIGHT + row * (PICTURE_HEIGHT + CAPTION_HEIGHT + MARGIN)
        _draw_tile(sheet, (left, top), candidate, partial(picture_of, candidate.crop))
        if is_right and candidate.crop.crop_id in is_right:
            _draw_frame(sheet, (left, top), right=is_right[candidate.crop.crop_id])
    with replacing(path) as temporary:
        sheet.save(temporary, format=Image.registered_extensions().get(path.suffix.lower(), "PNG"))


def score_line(candidate: Candidate) -> str:
    """Rank, score, and confidence if the model has one."""
    confidence = "" if candidate.confidence is None else f" · {candidate.confidence:.0%}"
    return f"{candidate.rank}. {candidate.score:.3f}{confidence}"


def _draw_title(sheet: Image.Image, text: str, answer: Answer) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 14), _shortened(f"“{text}”", 22, sheet.width - 2 * MARGIN), fill=INK, font=_font(22))
    if not answer.candidates:
        note, colour = "no crop in the gallery matches the filters", WARNING
    elif answer.remark:
        note, colour = answer.remark, WARNING if answer.match == "none" else FAINT_INK
    else:
        note, colour = "candidates for a person to confirm", FAINT_INK
    draw.text((MARGIN, 44), _shortened(note, 16, sheet.width - 2 * MARGIN), fill=colour, font=_font(16))


def _draw_tile(sheet: Image.Image, corner: tuple[int, int], candidate: Candidate, picture: Callable[[], bytes]) -> None:
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + TILE_WIDTH - 1, top + PICTURE_HEIGHT - 1), fill=PICTURE_GROUND)
    try:
        shown = ImageOps.contain(open_image(picture()), (TILE_WIDTH, PICTURE_HEIGHT), Image.Resampling.LANCZOS)
        sheet.paste(shown, (left + (TILE_WIDTH - shown.width) // 2, top + (PICTURE_HEIGHT - shown.height) // 2))
    except ImageRejected as error:
        draw.text((left + 8, top + 8), _shortened(str(error), 14, TILE_WIDTH - 16), fill=WARNING, font=_font(14))
    crop = candidate.crop
    lines = (score_line(candidate), crop.camera_id, f"{crop.captured_at:%Y-%m-%d %H:%M:%S} UTC")
    for number, (line, size) in enumerate(zip(lines, (20, 16, 16), strict=True)):
        place = (left, top + PICTURE_HEIGHT + 6 + number * 25)
        draw.text(place, _shortened(line, size, TILE_WIDTH), fill=FAINT_INK if number else INK, font=_font(size))


def _draw_frame(sheet: Image.Image, corner: tuple[int, int], *, right: bool) -> None:
    left, top = corner
    box = (left, top, left + TILE_WIDTH - 1, top + PICTURE_HEIGHT - 1)
    ImageDraw.Draw(sheet).rectangle(box, outline=RIGHT if right else WRONG, width=FRAME)


def _shortened(text: str, size: int, width: int) -> str:
    """The text, cut to fit a width in pixels."""
    text = " ".join(text.split())
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
