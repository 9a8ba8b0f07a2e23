"""`personsearch watch`: people of live cameras, as they pass by."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import GalleryFolder, Params, configured, made_gallery
from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from personsearch.gallery.ingest.tracks import IngestConfig
    from personsearch.gallery.store import Gallery
    from personsearch.gallery.watch.health import StreamHealth
    from personsearch.gallery.watch.streams import StreamConfig

Camera = Annotated[str | None, typer.Argument(help="The camera's name.", show_default=False)]
Address = Annotated[
    str | None,
    typer.Argument(help="Where its stream is: rtsp://host/path, without user and password.", show_default=False),
]
User = Annotated[str | None, typer.Option(help="Name under which the camera lets you in.")]
PasswordVariable = Annotated[
    str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the password.")
]
PasswordFile = Annotated[Path | None, typer.Option(help="File that holds the password.")]
Clock = Annotated[str | None, typer.Option(metavar="ours|camera", help="Whose time the crops carry. [default: ours]")]
StreamsFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file that names several cameras; in place of CAMERA and ADDRESS."),
]
Detector = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="builtin (default), or an ONNX file, as for ingest.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command()(watch)


def watch(
    camera: Camera = None,
    address: Address = None,
    *,
    user: User = None,
    password_env: PasswordVariable = None,
    password_file: PasswordFile = None,
    clock: Clock = None,
    streams: StreamsFile = None,
    detector: Detector = None,
    gallery: GalleryFolder = None,
    params: Params = None,
    as_json: JsonFlag = False,
) -> None:
    """Find the people in live RTSP streams and keep their best crops in the gallery. Runs until stopped.

    One camera: `personsearch watch gate3 rtsp://10.0.0.7/stream1 --user viewer --password-env GATE3_PASSWORD`.

    Several: `personsearch watch --streams streams.yaml`, a file such as

    streams: {gate3: {address: "rtsp://10.0.0.7/stream1", user: viewer, password_file: /run/secrets/gate3}}

    Each person is stored when they have left. A lost stream is connected again. Frames that come too fast are dropped
    and counted; `personsearch status` shows that, by camera. SIGTERM and Ctrl-C store who is in the picture and end it,
    with exit code 1 if anybody could not be stored.
    """
    from personsearch.gallery.ingest.tracks import IngestConfig

    login = {"user": user, "password_env": password_env, "password_file": password_file}
    watched = _streams(camera, streams, {"address": address, **login, "clock": clock})
    config = configured(IngestConfig, "ingest", params).overridden({"detector": detector})
    healths = _watch_until_told(config, watched, made_gallery(gallery))
    counts = {name: sum(getattr(health, name) for health in healths) for name in ("people", "crops", "dropped", "lost")}
    show(counts, as_json=as_json)
    if counts["lost"]:
        raise typer.Exit(1)


def _watch_until_told(
    config: "IngestConfig", streams: "Mapping[str, StreamConfig]", gallery: "Gallery"
) -> "Sequence[StreamHealth]":
    """Watch until SIGTERM or Ctrl-C; returns how each stream was at the end."""
    from personsearch.addresses import log_to_standard_error
    from personsearch.gallery.watch.watch import watch as run
    from personsearch.installation.process_metrics import StreamMetrics, answering
    from personsearch.installation.settings import Settings
    from personsearch.installation.watching import watched_here

    settings = Settings()
    log_to_standard_error()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with (
        answering(settings.metrics, StreamMetrics(settings.watch_folder, streams)),
        watched_here(settings, streams) as renew,
    ):
        return run(config, streams, gallery, settings.watch_folder, stopping=stopping, renew=renew)


def _streams(
    camera: str | None, file: Path | None, options: "Mapping[str, object | None]"
) -> "Mapping[str, StreamConfig]":
    from personsearch.gallery.watch.streams import StreamsConfig

    given = {name: value for name, value in options.items() if value is not None}
    if file is not None:
        if camera is not None or given:
            raise UserError("watch: CAMERA and ADDRESS, or --streams FILE expected, not both")
        return StreamsConfig.from_yaml(file).streams
    if camera is None or "address" not in given:
        raise UserError("watch: CAMERA and ADDRESS, or --streams FILE expected; see `personsearch watch --help`")
    return StreamsConfig.of(camera, given)
