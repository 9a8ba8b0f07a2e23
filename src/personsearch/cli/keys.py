"""`personsearch keys`: who may use the search service."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.output import JsonFlag, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.integrations.database.keys import DatabaseKeys, Scope, StoredKey


class ScopeName(StrEnum):
    """What a key allows."""

    SEARCH = "search"
    INGEST = "ingest"


SCOPES: "dict[ScopeName, Scope]" = {ScopeName.SEARCH: "search", ScopeName.INGEST: "ingest"}


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    keys = typer.Typer(help="Keys of the search service: create, list, revoke.", no_args_is_help=True)
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; the audit log names it so.")],
    *,
    days: Annotated[
        float | None,
        typer.Option(help="Accept it for this many days, more than 0. [default: until revoked]", show_default=False),
    ] = None,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(
            help="What it allows: search, or ingest for a camera that sends crops; may be repeated. [default: search]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it. It is kept as a hash, so nobody can print it again."""
    from personsearch.installation.api_keys import make_key, open_keys
    from personsearch.installation.settings import Settings

    scopes = [SCOPES[each] for each in scope or [ScopeName.SEARCH]]
    show({"name": name, "key": make_key(open_keys(Settings()), name, days=days, scopes=scopes)}, as_json=as_json)


def list_keys(*, as_json: JsonFlag = False) -> None:
    """Show every key that was ever made here: its name, its dates, and whether it is accepted."""
    now = datetime.now(UTC)
    keys = _existing_keys()
    rows = [_row(key, now) for key in (keys.all() if keys else [])]
    if as_json:
        show({"keys": rows}, as_json=True)
    elif rows:
        show_table(list(rows[0]), [["–" if value is None else value for value in row.values()] for row in rows])
    else:
        typer.echo("No key was made yet: `personsearch keys create NAME`.")


def revoke(
    name: Annotated[str, typer.Argument(help="The name under which it is listed.")], *, as_json: JsonFlag = False
) -> None:
    """Accept a key no more, from the next request on."""
    keys = _existing_keys()
    revoked = keys.revoke(name, datetime.now(UTC)) if keys else 0
    if not revoked:
        raise UserError(f"key {name!r}: none of this name is accepted; `personsearch keys list` shows all")
    show({"revoked": revoked}, as_json=as_json)


def _existing_keys() -> "DatabaseKeys | None":
    """The installation's keys, None where nobody has made its database yet; opening would make it."""
    from personsearch.installation.api_keys import KEYS_FILE, open_keys
    from personsearch.installation.platforms import database_exists
    from personsearch.installation.settings import Settings

    settings = Settings()
    return open_keys(settings) if database_exists(settings) or (settings.home / KEYS_FILE).exists() else None


def _row(key: "StoredKey", now: datetime) -> dict[str, str | None]:
    state = "accepted" if key.is_accepted(now) else "revoked" if key.revoked_at else "expired"
    return {
        "name": key.name,
        "state": state,
        "scopes": ", ".join(key.scopes),
        "created": _shown(key.created_at),
        "expires": _shown(key.expires_at),
        "revoked": _shown(key.revoked_at),
        "hash": key.sha256[:8],
    }


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
