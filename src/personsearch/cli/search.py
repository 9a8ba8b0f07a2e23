"""`personsearch search`: describe a person, get candidates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import typer

from personsearch.cli.options import TIME, GalleryFolder, existing_gallery, optional_moment, picture_file
from personsearch.cli.output import JsonFlag, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.search.filters import CropFilter
    from personsearch.search.live import LiveIndex
    from personsearch.search.searcher import Answer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(search)


def search(
    text: Annotated[str, typer.Argument(help="The description: “a man in a dark jacket”.")],
    *,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    after: Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured then or later: {TIME}.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured earlier than this: {TIME}.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many candidates.", min=1, max=1000)] = 10,
    group: Annotated[bool, typer.Option("--group/--no-group", help="Show the best crop of each track only.")] = True,
    save: Annotated[Path | None, typer.Option(help="Draw the candidates into this picture (.png, .jpg).")] = None,
    purpose: Annotated[str, typer.Option(help="Purpose or case; kept in the audit log.")] = "",
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Find people in the live index by describing them.

    Results are candidates, to be confirmed by a person. The confidence is calibrated for the model, or by your own
    verdicts; where even the best candidate is not to be trusted, the answer says "no reliable match", and where a short
    description fits several people, "many fit". The search is recorded in the audit log under your user name before
    anything is shown; where it cannot be, nothing is.
    """
    from personsearch.search.searcher import checked_text

    text = checked_text(text)
    crop_filter = _crop_filter(camera, after, before)
    if save is not None:
        picture_file("--save", save, (".png", ".jpg", ".jpeg"))
    pictures = existing_gallery(gallery)
    live = open_live_index()
    answer = live.searcher.answer(text, k=k, crop_filter=crop_filter, group_by_track=group)
    _record(text, answer, live, purpose=purpose, filters=_filters(crop_filter, k, group_by_track=group))
    if save is not None:
        from personsearch.search.grid import save_grid

        save_grid(save, text, answer, pictures.picture)
    rows = [_row(candidate, pictures) for candidate in answer.candidates]
    if as_json:
        origin = {"collection": live.collection, "model_version": live.properties.model_version}
        show({"text": text, **origin, **_told(answer), "candidates": rows}, as_json=True)
    else:
        _print_table(rows, answer, live)
        if answer.text_cut_after is not None:
            unread = text[answer.text_cut_after :].strip()
            typer.secho(f"The description is too long: the model did not read “{unread}”.", fg="yellow")


def _told(answer: "Answer") -> dict[str, Any]:
    judged = {"reliable": answer.reliable, "match": answer.match, "fitting": answer.fitting}
    return {**judged, "text_cut_after": answer.text_cut_after}


def _record(text: str, answer: "Answer", live: "LiveIndex", *, purpose: str, filters: dict[str, Any]) -> None:
    from personsearch.installation.audited_search import local_user, search_record

    values = search_record(
        text,
        answer,
        who=local_user(),
        purpose=purpose.strip(),
        request_id=f"cli-{uuid4().hex}",
        filters=filters,
        collection=live.collection,
        properties=live.properties,
    )
    record("search", values)


def record(event: Literal["search", "embed"], values: dict[str, Any]) -> None:
    """Write to the audit log.

    Raises:
        UserError: it cannot be written, so the results must not be shown.
    """
    from personsearch.installation.audit.log import AuditUnavailable
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.platforms import database_exists
    from personsearch.installation.settings import Settings

    settings, what = Settings(), {"search": "search", "embed": "request"}[event]
    try:
        database_exists(settings)  # a mistyped one is named and not made
        open_audit(settings).append(event, values)
    except (AuditUnavailable, UserError) as error:
        refused = f"the {what} cannot be recorded, so its results are not shown: {error}"
        raise UserError(f"{refused}. Whoever may not write the database searches through the service") from error


def _filters(crop_filter: "CropFilter", k: int, *, group_by_track: bool) -> dict[str, Any]:
    """The filters as the service records them."""
    cameras = None if crop_filter.cameras is None else list(crop_filter.cameras)
    times = {"after": crop_filter.after, "before": crop_filter.before}
    moments = {name: None if time is None else time.isoformat() for name, time in times.items()}
    return {"cameras": cameras, **moments, "k": k, "group_by_track": group_by_track}


def open_live_index() -> "LiveIndex":
    """The live index with its model, calibrated by the site if it was.

    Raises:
        UserError: nothing is live, or something cannot be reached.
    """
    from functools import partial

    from personsearch.encoders.load import load_encoder
    from personsearch.installation.platforms import open_existing_store, open_registry
    from personsearch.installation.settings import Settings
    from personsearch.installation.site_calibration import read_site_calibration
    from personsearch.search.live import open_live

    settings = Settings()
    site = partial(read_site_calibration, settings.home)
    store = open_existing_store(settings)
    if store is None:
        raise UserError(f"{settings.milvus_address}: no index; `personsearch index` makes one")
    return open_live(store, open_registry(settings), load_encoder, site)


def _crop_filter(cameras: list[str] | None, after: str | None, before: str | None) -> "CropFilter":
    from personsearch.search.filters import CropFilter

    return CropFilter(
        cameras=tuple(cameras) if cameras else None,
        after=optional_moment("--after", after),
        before=optional_moment("--before", before),
    )


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
        "image": pictures.picture_address(crop),
    }


def _print_table(rows: Sequence[Mapping[str, Any]], answer: "Answer", live: "LiveIndex") -> None:
    if not rows:
        typer.echo("Nothing in the gallery passes the filters.")
        return
    columns = ("rank", "score", "confidence", "camera", "captured_at", "track", "crop_id")
    show_table(columns, [["–" if row[column] is None else str(row[column]) for column in columns] for row in rows])
    typer.echo(f"{live.collection}, model version {live.properties.model_version}")
    if answer.remark:
        typer.secho(answer.remark, fg="yellow" if answer.match == "none" else None)
