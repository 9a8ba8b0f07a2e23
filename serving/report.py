"""A report of candidates as a ZIP file: a page to read, the same as JSON, marked pictures, and the hashes of all."""

import hashlib
import html
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from personsearch.images import open_image
from personsearch.search.crop import Crop
from serving.given_verdicts import GivenVerdict
from serving.written_text import visible

NOTICE = "Candidates for a person to confirm. Nobody in this report has been identified."
MARK = "CANDIDATE, NOT IDENTIFIED"
PICTURE_HEIGHT, MOST_WIDTH = 512, 1024
PAPER = "white"
INK = (90, 30, 30)
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "section{display:grid;grid-template-columns:auto 1fr;gap:1.5rem;border-top:1px solid #ccc;padding:1rem 0;"
    "break-inside:avoid}img{width:11rem}dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem;margin:0;"
    "align-content:start}dt{color:#555}dd{margin:0;overflow-wrap:anywhere}.notice{font-weight:600}"
)


@dataclass(frozen=True, slots=True)
class Reported:
    """A candidate: its picture as the gallery keeps it, what is said of its search, and verdicts."""

    crop: Crop
    picture: bytes
    search: dict[str, Any]
    verdicts: list[GivenVerdict]


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported, by whom and what for; `number` is the id of the request."""

    number: str
    who: str
    purpose: str
    note: str
    candidates: list[Reported]


def zipped(report: Report) -> bytes:
    """The file."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    pictures = {
        f"pictures/{place:03}.jpg": marked(each.picture, f"{report.who}, {made_at}")
        for place, each in enumerate(report.candidates, start=1)
    }
    entries = [
        _entry(each, name, picture) for each, (name, picture) in zip(report.candidates, pictures.items(), strict=True)
    ]
    about = {"report": report.number, "made_by": report.who, "made_at": made_at, "purpose": report.purpose}
    content = {**about, "note": report.note, "notice": NOTICE, "candidates": entries}
    files = {
        "report.html": _page(content).encode(),
        "report.json": json.dumps(content, indent=2, ensure_ascii=False).encode(),
        **pictures,
    }
    files["SHA256SUMS"] = "".join(f"{_sha256(file)}  {name}\n" for name, file in files.items()).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.writestr(name, file)
    return buffer.getvalue()


def marked(picture: bytes, origin: str) -> bytes:
    """A picture as JPEG, enlarged, with a strip below it that says what it is. The person stays uncovered."""
    crop = open_image(picture)
    scale = min(PICTURE_HEIGHT / crop.height, MOST_WIDTH / crop.width)
    size = max(1, round(crop.width * scale)), max(1, round(crop.height * scale))
    crop = crop.resize(size, Image.Resampling.BICUBIC)
    font = ImageFont.load_default(13)
    lines = (MARK, *origin.split(", "))
    width = max(crop.width, *(round(font.getlength(line)) + 12 for line in lines))
    sheet = Image.new("RGB", (width, PICTURE_HEIGHT + 18 * len(lines) + 8), PAPER)
    sheet.paste(crop, ((width - crop.width) // 2, (PICTURE_HEIGHT - crop.height) // 2))
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((6, PICTURE_HEIGHT + 4 + 18 * number), line, fill=INK, font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _entry(reported: Reported, name: str, picture: bytes) -> dict[str, Any]:
    crop = reported.crop
    return {
        "picture": name,
        "picture_sha256": _sha256(picture),
        "gallery_picture_sha256": _sha256(reported.picture),
        "crop_id": crop.crop_id,
        "camera_id": crop.camera_id,
        "captured_at": crop.captured_at.astimezone(UTC).isoformat(),
        "track_id": crop.track_id,
        "position_in_frame": asdict(crop.bbox),
        "search": reported.search,
        "verdicts": [asdict(said) for said in reported.verdicts],
    }


def _page(content: dict[str, Any]) -> str:
    sections = "".join(map(_section, content["candidates"]))
    facts = _list({name: content[name] for name in ("purpose", "note", "made_by", "made_at", "report")})
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_shown(content["purpose"])}</title>'
        f"<style>{STYLE}</style><h1>Report of candidates</h1><p class=notice>{NOTICE}</p>{facts}{sections}</html>\n"
    )


def _section(entry: dict[str, Any]) -> str:
    search = entry["search"]
    verdicts = [
        f"{said['verdict']} by {said['who']}, {said['at']} {said['note']}".strip() for said in entry["verdicts"]
    ]
    facts = {
        "camera": entry["camera_id"],
        "time (UTC)": entry["captured_at"],
        "searched for": search["query"] or "a picture",
        "beside": json.dumps(search["beside_text"], ensure_ascii=False) if search.get("beside_text") else "",
        "rank, score": f"{search['rank']}, {search['score']:.4f}",
        "model": f"{search['model']}, version {search['model_version']}, {search['collection']}",
        "verdicts": "; ".join(verdicts) or "none",
        "crop": entry["crop_id"],
        "SHA-256 in the gallery": entry["gallery_picture_sha256"],
        "audit record": search["record_hash"],
    }
    picture = f'<img src="{entry["picture"]}" alt="Candidate at {_shown(entry["camera_id"])}">'
    return f"<section>{picture}{_list(facts)}</section>"


def _list(facts: dict[str, str]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{_shown(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{rows}</dl>"


def _shown(text: str) -> str:
    return html.escape(visible(text))


def _sha256(file: bytes) -> str:
    return hashlib.sha256(file).hexdigest()
