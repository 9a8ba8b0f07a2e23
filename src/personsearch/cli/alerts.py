"""`personsearch alerts`: watch for somebody, see whom that found, stop."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import TIME, optional_moment
from personsearch.cli.output import JsonFlag, camera_label, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.client import Alert, Client, WatchedSearch
    from personsearch.client.calls import WatchOptions

KEY_VARIABLE = "SEARCH_KEY"

Address = Annotated[
    str | None,
    typer.Option(
        envvar="SEARCH_URI",
        metavar="ADDRESS",
        help="Of the search service; your key is in $SEARCH_KEY. [default: this machine's, with this machine's key]",
        show_default=False,
        show_envvar=True,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    alerts = typer.Typer(help="Alerts of watched searches, where PERSONSEARCH_ALERTS is set.", no_args_is_help=True)
    alerts.command("list")(list_alerts)
    alerts.command("watch")(watch)
    alerts.command("stop")(stop)
    app.add_typer(alerts, name="alerts")


def list_alerts(
    *,
    most: Annotated[int, typer.Option(min=1, max=1000, help="The latest so many alerts.")] = 20,
    address: Address = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what you watch for, and the latest alerts. The audit log records that you saw them."""
    from itertools import islice

    with _client(address) as client:
        searches, alerts = client.watched_searches(), list(islice(client.alerts(page=min(most, 200)), most))
        names = {camera.camera_id: camera.name for camera in client.cameras()} if searches else {}
    if as_json:
        watched = [search.model_dump(mode="json") for search in searches]
        told = [alert.model_dump(mode="json") | {"camera_name": names.get(alert.camera_id, "")} for alert in alerts]
        show({"watched_searches": watched, "alerts": told}, as_json=True)
        return
    if not searches:
        typer.echo("You watch no search yet: `personsearch alerts watch NAME TEXT --threshold 0.7`.")
        return
    columns = ["watch", "name", "text", "cameras", "from", "on", "alerts", "wait"]
    show_table(columns, [_search_row(search, names) for search in searches])
    if alerts:
        typer.echo()
        columns = ["captured", "name", "camera", "confidence", "crop", "webhook"]
        show_table(columns, [_alert_row(alert, names) for alert in alerts])


def watch(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    text: Annotated[str, typer.Argument(help="The description: “a man in a dark jacket”.")],
    *,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Confidence from which a crop raises an alert (docs/alerts.md).")
    ],
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    camera_group: Annotated[
        list[str] | None,
        typer.Option(help="The cameras that are in this group now, beside --camera; may be repeated."),
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help=f"Only crops taken before this: {TIME}.")] = None,
    webhook: Annotated[str, typer.Option(metavar="ADDRESS", help="Where alerts are sent to, signed.")] = "",
    most_per_hour: Annotated[int, typer.Option(min=1, max=1000, help="Alerts told in an hour; others wait.")] = 60,
    purpose: Annotated[str, typer.Option(help="Purpose or case; kept in the audit log.")] = "",
    address: Address = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare every crop that arrives from now on with a description."""
    options: WatchOptions = {"text": text, "webhook": webhook, "most_per_hour": most_per_hour, "purpose": purpose}
    if camera:
        options["cameras"] = camera
    if camera_group:
        options["camera_groups"] = camera_group
    if moment := optional_moment("--before", before):
        options["before"] = moment
    with _client(address) as client:
        watched = client.watch(name, threshold=threshold, **options)
    show({"watch_id": watched.watch_id, "name": watched.name, "threshold": watched.threshold}, as_json=as_json)


def stop(
    watch_id: Annotated[str, typer.Argument(help="As `personsearch alerts list` shows it.")],
    *,
    address: Address = None,
    as_json: JsonFlag = False,
) -> None:
    """Delete a watched search with its alerts; the audit log keeps what it was."""
    with _client(address) as client:
        client.stop_watch(watch_id)
    show({"stopped": watch_id}, as_json=as_json)


@contextmanager
def _client(address: str | None) -> "Iterator[Client]":
    """A client of the service; what that refuses is the user's mistake."""
    from personsearch.client import ApiError, Client, Unreachable

    key = os.environ.get(KEY_VARIABLE, "")
    if address is None:
        address, local = _this_machine()
        key = key or local
    try:
        with Client(address, key=key) as client:
            yield client
    except (ApiError, Unreachable, ValueError) as error:
        raise UserError(str(error)) from error


def _this_machine() -> tuple[str, str]:
    """The address and the key of this machine's service."""
    from personsearch.installation.api_keys import local_key
    from personsearch.installation.service_records import running_address
    from personsearch.installation.settings import Settings

    settings = Settings()
    address = running_address(settings.home, "serving")
    if address is None:
        raise UserError(
            f"no search service of {settings.home} runs; `personsearch up` starts it, --address names another"
        )
    return address, local_key(settings)


def _search_row(search: "WatchedSearch", names: Mapping[str, str]) -> list[object]:
    cameras = "all" if search.cameras is None else ", ".join(camera_label(each, names) for each in search.cameras)
    state = "yes" if search.enabled else f"no: {search.ended}" if search.ended else "no"
    counts = [search.alerts, search.waiting]
    return [search.watch_id, search.name, search.text, cameras, search.threshold, state, *counts]


def _alert_row(alert: "Alert", names: Mapping[str, str]) -> list[object]:
    captured = alert.captured_at.isoformat(timespec="seconds")
    told = {"none": "–", "waiting": f"{alert.attempts} tries" if alert.attempts else "on its way"}
    return [
        captured,
        alert.name,
        camera_label(alert.camera_id, names),
        alert.confidence,
        alert.crop_id,
        "waits" if alert.released_at is None else told.get(alert.delivery, alert.delivery),
    ]
