"""`personsearch cameras`: names, groups and time zones of cameras."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.output import JsonFlag, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.gallery.cameras import CameraDetails
    from personsearch.gallery.store import Gallery
    from personsearch.integrations.database.cameras import DatabaseCameras

Cameras = Annotated[list[str], typer.Argument(metavar="CAMERA...", help="Ids of cameras, as crops name them.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    cameras = typer.Typer(help="Cameras: their names, groups and time zones.", no_args_is_help=True)
    cameras.command("list")(list_cameras)
    cameras.command("name")(name_camera)
    cameras.command("group")(group_cameras)
    cameras.command("zone")(set_zone)
    cameras.command("import")(import_cameras)
    cameras.command("export")(export_cameras)
    app.add_typer(cameras, name="cameras")


def list_cameras(*, as_json: JsonFlag = False) -> None:
    """Show every camera of the gallery, and those of which something is known, with their crops."""
    gallery, register = _opened()
    crops = {each.camera_id: each.crops for each in gallery.cameras()}
    rows = [asdict(each) | {"crops": crops.get(each.camera_id, 0)} for each in _all(gallery, register)]
    if as_json:
        show({"cameras": rows}, as_json=True)
    elif rows:
        show_table(list(rows[0]), [[str(value) or "–" for value in row.values()] for row in rows])
    else:
        typer.echo("No camera has sent a crop yet.")


def name_camera(
    camera: Annotated[str, typer.Argument(help="Its id, as crops name it.")],
    name: Annotated[str, typer.Argument(help="The name to show; an empty one shows the id.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Give a camera a name to show."""
    _change([camera], as_json=as_json, name=name)


def group_cameras(
    group: Annotated[str, typer.Argument(help="Name of the group; an empty one takes the cameras out of theirs.")],
    camera: Cameras,
    *,
    as_json: JsonFlag = False,
) -> None:
    """Put cameras into a group, which a search can name; a camera is in one group."""
    _change(camera, as_json=as_json, group=group)


def set_zone(
    zone: Annotated[str, typer.Argument(help="Such as Europe/Vienna; an empty one is PERSONSEARCH_TIME_ZONE.")],
    camera: Cameras,
    *,
    as_json: JsonFlag = False,
) -> None:
    """Say in which time zone cameras stand, for searches by the time of day."""
    _change(camera, as_json=as_json, zone=zone)


def import_cameras(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or YAML, as `export` writes it.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Take names, groups and zones from a file, also of cameras that have sent nothing yet.

    Cameras that the file does not name stay as they are.
    """
    from personsearch.gallery.camera_lists import read_cameras
    from personsearch.installation.platforms import open_cameras
    from personsearch.installation.settings import Settings

    given = read_cameras(file)
    open_cameras(Settings()).put(given)
    show({"cameras": len(given)}, as_json=as_json)


def export_cameras(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends with .csv, .yaml or .yml.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Write every camera with its name, group and zone to a file, to be edited and imported."""
    from personsearch.gallery.camera_lists import write_cameras

    cameras = _all(*_opened())
    write_cameras(file, cameras)
    show({"file": str(file), "cameras": len(cameras)}, as_json=as_json)


def _opened() -> "tuple[Gallery, DatabaseCameras]":
    from personsearch.cli.options import existing_gallery
    from personsearch.installation.platforms import open_cameras
    from personsearch.installation.settings import Settings

    return existing_gallery(None), open_cameras(Settings())


def _all(gallery: "Gallery", register: "DatabaseCameras") -> "list[CameraDetails]":
    """What is known of every camera, by id."""
    from personsearch.gallery.cameras import CameraDetails

    known = {each.camera_id: each for each in register.all()}
    ids = sorted({*known, *(each.camera_id for each in gallery.cameras())})
    return [known.get(camera_id, CameraDetails(camera_id)) for camera_id in ids]


def _change(camera_ids: Sequence[str], *, as_json: bool, **values: str) -> None:
    """Put these values into the details of cameras.

    Raises:
        UserError: a camera that nobody knows, which may be mistyped, or a value that is none.
    """
    from personsearch.config import nearest
    from personsearch.gallery.cameras import checked_details

    gallery, register = _opened()
    known = {each.camera_id: each for each in _all(gallery, register)}
    for camera_id in camera_ids:
        if camera_id not in known:
            told = nearest(camera_id, known) if known else "no camera has sent a crop yet"
            raise UserError(
                f"camera {camera_id!r}: unknown; {told} (`cameras import` takes cameras before their crops)"
            )
    changed = [checked_details(replace(known[camera_id], **values)) for camera_id in camera_ids]
    register.put(changed)
    show({"cameras": [asdict(each) for each in changed]} if as_json else {"changed": len(changed)}, as_json=as_json)
