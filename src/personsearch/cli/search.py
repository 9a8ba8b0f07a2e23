"""`personsearch search`: describe a person, get candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import typer

from personsearch.cli.options import TIME, GalleryFolder, existing_gallery, optional_moment, picture_file
from personsearch.cli.output import JsonFlag, camera_label, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from datetime import time

    import numpy as np
    from numpy.typing import NDArray

    from personsearch.gallery.cameras import PlaceAndTime
    from personsearch.gallery.store import Gallery
    from personsearch.search.filters import CropFilter
    from personsearch.search.live import LiveIndex
    from personsearch.search.order import Sort
    from personsearch.search.query import Query
    from personsearch.search.searcher import Answer, Searcher


CLOCK = "HH:MM by the clock of each camera"


class SortName(StrEnum):
    """An order of candidates."""

    SCORE = "score"
    NEWEST = "newest"
    OLDEST = "oldest"


Text = Annotated[str | None, typer.Argument(help="The description: “a man in a dark jacket”.")]
Also = Annotated[
    list[str] | None, typer.Option(help="Another description of the same person, averaged; may be repeated.")
]
Without = Annotated[list[str] | None, typer.Option(help="What the person does not have: “a hat”; may be repeated.")]
Image = Annotated[Path | None, typer.Option(help="A picture of a person to search for: JPEG, PNG or WebP.")]
Like = Annotated[str | None, typer.Option(help="Id of a crop to search for; its own track is left out.")]
ImageWeight = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Weight of the picture or the crop beside descriptions; .5 if not given."),
]
Camera = Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")]
CameraGroup = Annotated[
    list[str] | None, typer.Option(help="The cameras of this group, beside --camera; may be repeated.")
]
After = Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured then or later: {TIME}.")]
Before = Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured earlier than this: {TIME}.")]
DailyAfter = Annotated[
    str | None,
    typer.Option(metavar="CLOCK", help=f"At this time of day or later, {CLOCK}; 22:00 and 06:00 are a night."),
]
Order = Annotated[
    SortName, typer.Option(help="score: the best first; newest or oldest: the best 200 in the order of time.")
]
DailyBefore = Annotated[str | None, typer.Option(metavar="CLOCK", help=f"Before this time of day, {CLOCK}.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(search)


def search(
    text: Text = None,
    *,
    also: Also = None,
    without: Without = None,
    image: Image = None,
    like: Like = None,
    image_weight: ImageWeight = None,
    camera: Camera = None,
    camera_group: CameraGroup = None,
    after: After = None,
    before: Before = None,
    daily_after: DailyAfter = None,
    daily_before: DailyBefore = None,
    sort: Order = SortName.SCORE,
    k: Annotated[int, typer.Option("-k", help="How many candidates.", min=1, max=1000)] = 10,
    group: Annotated[bool, typer.Option("--group/--no-group", help="Show the best crop of each track only.")] = True,
    save: Annotated[Path | None, typer.Option(help="Draw the candidates into this picture (.png, .jpg).")] = None,
    purpose: Annotated[str, typer.Option(help="Purpose or case; kept in the audit log.")] = "",
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Find people in the live index by describing them, by a picture, or both.

    Results are candidates, to be confirmed by a person. The confidence is calibrated for the model, for each kind of
    query by itself; for one description alone your own verdicts may replace that. Where even the best candidate is not
    to be trusted, the answer says "no reliable match", and where a short description fits several people, "many fit".
    The search is recorded in the audit log under your user name before anything is shown; where it cannot be, nothing
    is.
    """
    text, wanted = _checked(text, also, without, image, like)
    if image_weight is not None and not (text and (image or like)):
        raise UserError("--image-weight weighs --image or --like against a description; both expected")
    asked = _place_and_time(camera, camera_group, (after, before), (daily_after, daily_before))
    if save is not None:
        picture_file("--save", save, (".png", ".jpg", ".jpeg"))
    pictures = existing_gallery(gallery)
    crop_filter = _crop_filter(asked, pictures)
    live = open_live_index()
    query, beside_text = wanted.query(live.searcher, text, image_weight)
    answer = _answer(live, query, k, crop_filter, sort.value, group_by_track=group)
    filters = _filters(asked, k, sort.value, group_by_track=group)
    _record(text, answer, live, purpose=purpose, filters=filters, beside_text=beside_text)
    if save is not None:
        from personsearch.search.grid import save_grid

        save_grid(save, text or "more like this", answer, pictures.picture)
    _show(text, answer, live, pictures, as_json=as_json)


def _show(text: str, answer: "Answer", live: "LiveIndex", pictures: "Gallery", *, as_json: bool) -> None:
    names = _camera_names()
    rows = [_row(candidate, pictures, names) for candidate in answer.candidates]
    if as_json:
        origin = {"collection": live.collection, "model_version": live.properties.model_version}
        show({"text": text, **origin, **_told(answer), "candidates": rows}, as_json=True)
        return
    _print_table([row | {"camera": camera_label(row["camera"], names)} for row in rows], answer, live)
    if answer.text_cut_after is not None:
        unread = text[answer.text_cut_after :].strip()
        typer.secho(f"The description is too long: the model did not read “{unread}”.", fg="yellow")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is searched for beside the description."""

    also: tuple[str, ...]
    without: tuple[str, ...]
    image: bytes | None
    like: str | None

    def query(self, searcher: "Searcher", text: str, image_weight: float | None) -> "tuple[Query, dict[str, Any]]":
        """The query, and what the audit log keeps of it beside the description.

        Raises:
            UserError: the image is none, or the index holds no such crop.
        """
        import hashlib

        from personsearch.search.query import PICTURE_WEIGHT, Query
        from personsearch.search.searcher import track_of

        weight = PICTURE_WEIGHT if image_weight is None else image_weight
        picture_D, own_track = None, None
        kept: dict[str, Any] = {"also": list(self.also), "without": list(self.without), "like": self.like}
        if self.image is not None:
            picture_D = _encode(searcher, self.image)
            kept["image"] = hashlib.sha256(self.image).hexdigest()
        elif self.like is not None:
            crops, vectors_ND = searcher.index.fetch([self.like])
            if not crops:
                raise UserError(f"--like {self.like!r}: the live collection holds no such crop")
            picture_D, own_track = vectors_ND[0], track_of(crops[0])
        kept = {name: value for name, value in kept.items() if value}
        texts = (text, *self.also) if text else ()
        weighted = {"image_weight": weight} if picture_D is not None else {}
        return Query(texts, self.without, picture_D, weight, own_track), kept | weighted


def _checked(
    text: str | None, also: list[str] | None, without: list[str] | None, image: Path | None, like: str | None
) -> tuple[str, _Wanted]:
    from personsearch.search.searcher import checked_text

    if image is not None and like is not None:
        raise UserError("--image or --like expected, not both")
    if text is None and image is None and like is None:
        raise UserError("a description, --image or --like expected")
    if text is None and also:
        raise UserError("--also continues a description, which is missing")
    if image is not None and not image.is_file():
        raise UserError(f"--image {image}: no such file")
    terms = tuple(map(checked_text, also or [])), tuple(map(checked_text, without or []))
    return checked_text(text) if text is not None else "", _Wanted(*terms, image.read_bytes() if image else None, like)


def _encode(searcher: "Searcher", file: bytes) -> "NDArray[np.float32]":
    from personsearch.images import SENT_FORMATS, ImageRejected, open_image, resize

    size = searcher.encoder.preprocessing
    try:
        pixels_HW3 = resize(open_image(file, formats=SENT_FORMATS), size.height, size.width, size.interpolation)
    except ImageRejected as error:
        raise UserError(f"--image: {error}") from error
    vector_D: NDArray[np.float32] = searcher.encoder.encode_images(pixels_HW3[None])[0]
    return vector_D


def _told(answer: "Answer") -> dict[str, Any]:
    judged = {"reliable": answer.reliable, "match": answer.match, "fitting": answer.fitting}
    return {**judged, "text_cut_after": answer.text_cut_after}


def _record(
    text: str,
    answer: "Answer",
    live: "LiveIndex",
    *,
    purpose: str,
    filters: dict[str, Any],
    beside_text: dict[str, Any],
) -> None:
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
        beside_text=beside_text,
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


def _answer(
    live: "LiveIndex", query: "Query", k: int, crop_filter: "CropFilter", sort: "Sort", *, group_by_track: bool
) -> "Answer":
    """The k first candidates in the order asked for, which `rank` then counts."""
    from dataclasses import replace

    from personsearch.search.order import SORTED_AMONG, in_order

    limit = k if sort == "score" else max(k, SORTED_AMONG)
    answer = live.searcher.answer_query(query, k=limit, crop_filter=crop_filter, group_by_track=group_by_track)
    shown = enumerate(in_order(answer.candidates, sort)[:k], start=1)
    return replace(answer, candidates=[replace(candidate, rank=rank) for rank, candidate in shown])


def _filters(asked: "PlaceAndTime", k: int, sort: "Sort", *, group_by_track: bool) -> dict[str, Any]:
    """The filters as the service records them."""
    cameras, groups = (None if not names else list(names) for names in (asked.cameras, asked.groups))
    times = {"after": asked.after, "before": asked.before}
    moments = {name: None if moment is None else moment.isoformat() for name, moment in times.items()}
    clocks = {"daily_after": asked.daily_after, "daily_before": asked.daily_before}
    daily = {name: None if clock is None else f"{clock:%H:%M}" for name, clock in clocks.items()}
    shown = {"k": k, "sort": sort, "group_by_track": group_by_track}
    return {"cameras": cameras, "camera_groups": groups, **moments, **daily, **shown}


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


def _place_and_time(
    cameras: list[str] | None,
    groups: list[str] | None,
    times: tuple[str | None, str | None],
    clocks: tuple[str | None, str | None],
) -> "PlaceAndTime":
    from personsearch.gallery.cameras import PlaceAndTime

    return PlaceAndTime(
        cameras=tuple(cameras) if cameras else None,
        groups=tuple(groups or ()),
        after=optional_moment("--after", times[0]),
        before=optional_moment("--before", times[1]),
        daily_after=_clock("--daily-after", clocks[0]),
        daily_before=_clock("--daily-before", clocks[1]),
    )


def _clock(option: str, text: str | None) -> "time | None":
    from datetime import time

    if text is None:
        return None
    try:
        clock = time.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option} {text!r}: HH:MM expected, such as 22:00") from error
    if clock.tzinfo is not None or clock.second or clock.microsecond:
        raise UserError(f"{option} {text!r}: HH:MM without a zone expected; it is by the clock of each camera")
    return clock


def _crop_filter(asked: "PlaceAndTime", gallery: "Gallery") -> "CropFilter":
    from personsearch.installation.platforms import open_cameras
    from personsearch.installation.settings import Settings
    from personsearch.search.filters import CropFilter

    if not asked.needs_cameras:
        return CropFilter(cameras=asked.cameras, after=asked.after, before=asked.before)
    settings = Settings()
    return asked.crop_filter(gallery, open_cameras(settings), settings.time_zone)


def _camera_names() -> dict[str, str]:
    from personsearch.installation.platforms import open_cameras
    from personsearch.installation.settings import Settings

    return {each.camera_id: each.name for each in open_cameras(Settings()).all()}


def _row(candidate: Any, pictures: Any, names: Mapping[str, str]) -> dict[str, Any]:
    crop = candidate.crop
    return {
        "rank": candidate.rank,
        "score": round(candidate.score, 4),
        "confidence": None if candidate.confidence is None else round(candidate.confidence, 3),
        "camera": crop.camera_id,
        "camera_name": names.get(crop.camera_id, ""),
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
