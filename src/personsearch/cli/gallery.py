"""`personsearch` commands of the group "gallery": ingest, gallery add-dataset, show, erase, expire-footage, sweep."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import (
    TIME,
    Dataset,
    GalleryFolder,
    Params,
    configured,
    existing_gallery,
    made_gallery,
    optional_moment,
    start_moment,
)
from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from personsearch.gallery.keeping_footage import OldFootage
    from personsearch.installation.audit.log import AuditLog
    from personsearch.search.filters import CropFilter

Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Camera; may be repeated.")]
Tracks = Annotated[list[str] | None, typer.Option("--track", help="Track id; may be repeated.")]
Crops = Annotated[list[str] | None, typer.Option("--crop", help="Crop id; may be repeated.")]
After = Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured then or later: {TIME}.")]
Before = Annotated[str | None, typer.Option(metavar="TIME", help=f"Captured earlier than this: {TIME}.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(ingest)
    gallery = typer.Typer(help="Crops of people and footage: add, show, erase, expire, sweep.", no_args_is_help=True)
    gallery.command("add-dataset")(add_dataset)
    gallery.command("show")(show_gallery)
    gallery.command("erase")(erase)
    gallery.command("expire-footage")(expire_footage)
    gallery.command("sweep")(sweep)
    app.add_typer(gallery, name="gallery")


def ingest(
    video: Annotated[Path, typer.Argument(help="Video file of a fixed camera.")],
    *,
    camera: Annotated[str, typer.Option(help="The camera's name.")],
    start: Annotated[str, typer.Option(metavar="TIME", help=f"When the first frame was taken: {TIME}.")],
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="builtin (default), motion, or an ONNX file (YOLO, YOLOX, NanoDet, RT-DETR, SSD).",
        ),
    ] = None,
    every: Annotated[int | None, typer.Option(help="Look at every n-th frame only.", min=1)] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second, where the file has no timestamps (raw H.264).", min=0.1, max=1000),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Ingest the same footage again, under other settings; its crops are replaced."),
    ] = False,
    keep_footage: Annotated[
        bool,
        typer.Option(
            "--keep-footage", help="Also copy the video to where footage is kept, for whole frames around its crops."
        ),
    ] = False,
    gallery: GalleryFolder = None,
    params: Params = None,
    as_json: JsonFlag = False,
) -> None:
    """Find the people in a video, follow them, and keep the best crops of each in the gallery."""
    from personsearch.gallery.ingest.stage import ingest as run
    from personsearch.gallery.ingest.tracks import IngestConfig
    from personsearch.gallery.keeping_footage import place_to_keep
    from personsearch.installation.settings import Settings
    from personsearch.integrations.objects.open import open_footage

    options = {"detector": detector, "every": every, "frames_per_second": fps}
    config = configured(IngestConfig, "ingest", params).overridden(options)
    first_frame = start_moment("--start", start)
    footage = open_footage(Settings().footage_address) if keep_footage else None
    place = None if footage is None else place_to_keep(footage, video, camera)
    result = run(config, video, made_gallery(gallery), camera_id=camera, start=first_frame, again=again)
    if footage is not None and place is not None:
        footage.keep(place, video)
    show(result, as_json=as_json)


def add_dataset(
    *,
    dataset: Dataset,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    start: Annotated[
        str, typer.Option(metavar="TIME", help=f"When the first image was taken: {TIME}.")
    ] = "2026-01-01T00:00:00Z",
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Add the images of a prepared data set to the gallery, one second apart."""
    from personsearch.gallery.add_dataset import add_dataset as run

    first_image = start_moment("--start", start)
    result = run(dataset, made_gallery(gallery), split=split, start=first_image)
    show(result, as_json=as_json)


def show_gallery(gallery: GalleryFolder = None, as_json: JsonFlag = False) -> None:
    """Say what the gallery holds, by camera."""
    show(existing_gallery(gallery).summary(), as_json=as_json)


def erase(
    *,
    camera: Cameras = None,
    track: Tracks = None,
    crop: Crops = None,
    after: After = None,
    before: Before = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many crops would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase crops for good: all conditions given must hold. Their ids are never accepted again.

    Returns when pictures, rows, vectors and the running search service have dropped them, and names the copies it
    cannot reach.
    """
    from personsearch.installation.erasure import erase as run
    from personsearch.installation.platforms import open_existing_store
    from personsearch.installation.service_records import address_if_running
    from personsearch.installation.settings import Settings

    crop_filter = _crop_filter(cameras=camera, tracks=track, crops=crop, after=after, before=before)
    opened = existing_gallery(gallery)
    count = opened.count(crop_filter)
    if dry_run:
        return show({"would_erase": count}, as_json=as_json)
    if not yes:
        _confirm("Erase", count, "crop")
    settings = Settings()
    result = run(
        crop_filter,
        opened,
        open_store=partial(open_existing_store, settings),
        find_service=partial(address_if_running, settings.home, "serving"),
    )
    values = result.model_dump()
    if not as_json:
        values |= {"vectors": result.vectors_in_words(), "not_erased": "; ".join(result.not_erased)}
    return show(values, as_json=as_json)


def expire_footage(
    *,
    days: Annotated[float, typer.Option(help="How long footage may be kept, from its first frame on.", min=0)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove the video files of recordings that began more than so many days ago. Their crops stay.

    Only files whose content was ingested are removed, from where footage is kept ($PERSONSEARCH_FOOTAGE, else videos in
    $PERSONSEARCH_HOME). Each is named in the audit log.
    """
    from datetime import UTC, datetime, timedelta

    from personsearch.gallery.keeping_footage import find_old_footage, remove_old_footage
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.settings import Settings
    from personsearch.integrations.objects.open import open_footage

    settings, rows = Settings(), existing_gallery(gallery).rows
    try:
        before = datetime.now(UTC) - timedelta(days=days)
    except OverflowError as error:
        raise UserError(f"--days {days:g}: before the first year that a date can have") from error
    footage = open_footage(settings.footage_address)
    old = find_old_footage(footage, rows, before)
    if dry_run or not old.files:
        return show(_told(old, removed=False), as_json=as_json)
    if not yes:
        _confirm("Remove", len(old.files), "video file")
    log = open_audit(settings)
    remove_old_footage(footage, rows, old, record=partial(_record_removal, log, before))
    return show(_told(old, removed=True), as_json=as_json)


def _confirm(verb: str, count: int, what: str) -> None:
    """Ask whether to do what cannot be undone.

    Raises:
        UserError: nobody is there to answer.
        typer.Abort: the answer is no.
    """
    try:
        confirmed = typer.confirm(f"{verb} {count} {what}{'' if count == 1 else 's'} for good?", err=True)
    except typer.Abort as error:
        typer.echo(err=True)  # the question's line has no end
        raise UserError("nobody answered, so nothing was changed; --yes does it without asking") from error
    if not confirmed:
        raise typer.Abort


def _told(old: "OldFootage", *, removed: bool) -> dict[str, int]:
    return {
        "files_removed" if removed else "would_remove": len(old.files),
        "recordings": len(old.recordings),
        "files_of_other_recordings": len(old.others),
        "recordings_without_a_name": old.unnamed,
    }


def _record_removal(log: "AuditLog", before: "datetime", names: "Sequence[str]") -> None:
    from personsearch.installation.audit.log import AuditUnavailable
    from personsearch.installation.audited_search import local_user

    try:
        log.append("footage_removed", {"who": local_user(), "before": before.isoformat(), "files": list(names)})
    except AuditUnavailable as error:
        raise UserError(f"nothing more was removed: it cannot be recorded in the audit log: {error}") from error


def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    gallery: GalleryFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Look through all pictures for those that belong to no crop, and remove them.

    Additions and erasures remove by themselves what they leave. This also finds what no database lists: pictures newer
    than a database that was restored from a backup, or left by an earlier version.
    """
    opened = existing_gallery(gallery)
    found = sum(1 for _ in opened.orphans(remove=not dry_run))
    show({"pictures_without_a_crop": found, "removed": 0 if dry_run else found}, as_json=as_json)


def _crop_filter(
    *,
    cameras: list[str] | None,
    tracks: list[str] | None,
    crops: list[str] | None,
    after: str | None,
    before: str | None,
) -> "CropFilter":
    from personsearch.search.filters import CropFilter

    crop_filter = CropFilter(
        cameras=tuple(cameras) if cameras else None,
        tracks=tuple(tracks) if tracks else None,
        crop_ids=tuple(crops) if crops else None,
        after=optional_moment("--after", after),
        before=optional_moment("--before", before),
    )
    if crop_filter == CropFilter():
        raise UserError("erase: no condition given; use --camera, --track, --crop, --after or --before")
    return crop_filter
