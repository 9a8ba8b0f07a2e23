"""`personsearch search`: describe a person, get candidates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.search.filters import CropFilter
    from personsearch.search.live import LiveIndex
    from personsearch.search.searcher import Answer

Time = "ISO 8601 as 2026-03-01T09:00; UTC where it has no zone."


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(search)


def search(
    text: Annotated[str, typer.Argument(help="The description: “a man in a dark jacket”.")],
    *,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    after: Annotated[str | None, typer.Option(help=f"Captured then or later: {Time}")] = None,
    before: Annotated[str | None, typer.Option(help=f"Captured earlier than this: {Time}")] = None,
    k: Annotated[int, typer.Option("-k", help="How many candidates.", min=1, max=1000)] = 10,
    group: Annotated[bool, typer.Option("--group/--no-group", help="Show the best crop of each track only.")] = True,
    save: Annotated[Path | None, typer.Option(help="Draw the candidates into this picture (.png, .jpg).")] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Where the pictures lie. [default: $PERSONSEARCH_GALLERY or var/gallery]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Find people in the live index by describing them.

    Results are candidates, to be confirmed by a person. The confidence is calibrated for the model; where even the
    best candidate is not to be trusted, the answer says "no reliable match".
    """
    from personsearch.gallery.store import Gallery
    from personsearch.installation.settings import Settings

    crop_filter = _crop_filter(camera, after, before)
    live = _open_live()
    answer = live.searcher.answer(text, k=k, crop_filter=crop_filter, group_by_track=group)
    pictures = Gallery(gallery or Settings().gallery_folder)
    if save is not None:
        from personsearch.search.grid import save_grid

        save_grid(save, text, answer, pictures.image)
    rows = [_row(candidate, pictures) for candidate in answer.candidates]
    if as_json:
        origin = {"collection": live.collection, "model_version": live.properties.model_version}
        show({"text": text, **origin, "reliable": answer.reliable, "candidates": rows}, as_json=True)
    else:
        _print_table(rows, answer, live)


def _open_live() -> "LiveIndex":
    from personsearch.encoders.load import load_encoder
    from personsearch.installation.platforms import open_registry, open_store
    from personsearch.installation.settings import Settings
    from personsearch.search.live import open_live

    settings = Settings()
    return open_live(open_store(settings), open_registry(settings), load_encoder)


def _crop_filter(cameras: list[str] | None, after: str | None, before: str | None) -> "CropFilter":
    from personsearch.search.filters import CropFilter

    return CropFilter(
        cameras=tuple(cameras) if cameras else None, after=_time("after", after), before=_time("before", before)
    )


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--{option} {text!r}: a time as 2026-03-01T09:00 expected") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(candidate: Any, pictures: Any) -> dict[str, Any]:
    crop = candidate.crop
    return {
        "rank": candidate.rank,
        "score": round(candidate.score, 4),
        "confidence": None if candidate.confidence is None else round(candidate.confidence, 3),
        "camera": crop.camera_id,
        "captured_at": crop.captured_at.isoformat(),
        "track": crop.track_id,
        "crop_id": crop.crop_id,
        "image": str(pictures.image(crop)),
    }


def _print_table(rows: Sequence[Mapping[str, Any]], answer: "Answer", live: "LiveIndex") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not rows:
        console.print("Nothing in the gallery passes the filters.")
        return
    columns = ("rank", "score", "confidence", "camera", "captured_at", "track")
    table = Table(*columns, box=None, caption=f"{live.collection}, model version {live.properties.model_version}")
    for row in rows:
        table.add_row(*("–" if row[column] is None else str(row[column]) for column in columns))
    console.print(table)
    if answer.reliable is False:
        console.print("No reliable match: these are the nearest, who need not be the person described.", style="yellow")
