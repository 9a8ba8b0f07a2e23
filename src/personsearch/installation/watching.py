"""Who watches a camera, where machines share a database: a lease for each camera, renewed for as long as it is watched.

On one machine, whose database is a file, `gallery/watch` locks a file instead.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from personsearch.errors import LeaseLost, UserError
from personsearch.installation.settings import Settings

if TYPE_CHECKING:
    from personsearch.integrations.database.leases import DatabaseLeases, Lease

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
LOOK_SECONDS = 0.5


@contextmanager
def watched_here(
    settings: Settings, cameras: Iterable[str], *, seconds: float = LEASE_SECONDS
) -> Iterator[Callable[[], None]]:
    """Hold the cameras' leases; yields what renews them, which must be called more often than every `seconds`.

    Waits for a lease whose holder was killed. A renewal raises LeaseLost if another process watches a camera now; while
    the database cannot be reached it does nothing, as nobody else can reach it either.

    Raises:
        UserError: another process watches one of the cameras.
    """
    from personsearch.integrations.database.leases import DatabaseLeases
    from personsearch.integrations.database.schema import open_database

    database = open_database(settings.database_address)
    if database.file:
        yield lambda: None
        return
    leases, held = DatabaseLeases(database), dict[str, "Lease"]()
    try:
        for camera in cameras:
            held[camera] = _acquired(leases, camera, seconds)
        yield lambda: _renew(leases, held, seconds)
    finally:
        for lease in held.values():
            with suppress(UserError):  # it ends by itself
                leases.release(lease)
        database.close()


def _acquired(leases: "DatabaseLeases", camera: str, seconds: float) -> "Lease":
    name, holder = f"watch {camera}", f"{socket.gethostname()} {os.getpid()}"
    deadline = time.monotonic() + seconds + 2 * LOOK_SECONDS
    while (lease := leases.acquire(name, holder, seconds)) is None:
        if time.monotonic() > deadline:
            raise UserError(f"{camera}: {leases.holder(name) or 'another process'} watches it already")
        time.sleep(LOOK_SECONDS)
    return lease


def _renew(leases: "DatabaseLeases", held: "dict[str, Lease]", seconds: float) -> None:
    for camera, lease in held.items():
        try:
            renewed = leases.renew(lease, seconds)
        except UserError as error:
            logger.warning("%s: the lease cannot be renewed: %s", camera, error)
            return
        if not renewed:
            raise LeaseLost(f"{camera}: another process watches it now")
