"""Whether this process leads: it holds a lease, and renews it for as long as its work shows signs of life."""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from os import getpid
from typing import TYPE_CHECKING

from personsearch.errors import LeaseLost, UserError

if TYPE_CHECKING:
    from personsearch.integrations.database.leases import DatabaseLeases, Lease

logger = logging.getLogger(__name__)

RENEWALS = 4  # within the time of a lease, so that a slow moment of the database costs nobody the lead


def holder_name() -> str:
    """The name of this process among all that share a database; `is_of_process` finds it by its number."""
    return f"{socket.gethostname()}/{getpid()}/{secrets.token_hex(4)}"


def is_of_process(holder: str, pid: int) -> bool:
    """Whether a holder is this machine's process of a number."""
    return holder.startswith(f"{socket.gethostname()}/{pid}/")


class Renewal:
    """A thread that renews leases of `seconds`, for as long as their holder has given a sign of life within `silence`
    seconds.
    """

    def __init__(self, renew: Callable[[], None], *, what: str, seconds: float, silence: float) -> None:
        """`renew` may raise UserError; `what` names the leases in the log."""
        self._renew = renew
        self._what = what
        self._pause = seconds / RENEWALS
        self._silence = silence
        self._alive_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
        self._thread.start()

    def alive(self) -> None:
        """Give a sign of life."""
        self._alive_at = time.monotonic()

    def stop(self) -> None:
        """Renew no more, and wait until the last renewal has ended."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            if time.monotonic() - self._alive_at > self._silence:
                continue
            try:
                self._renew()
            except UserError as error:
                logger.warning("%s cannot be renewed: %s", self._what, error)


class Leadership:
    """One process's hold on a lease of `seconds`. One that gives no sign of life for `silence` seconds loses it."""

    def __init__(self, leases: "DatabaseLeases", name: str, *, holder: str, seconds: float, silence: float) -> None:
        self.holder = holder
        self._leases = leases
        self._name = name
        self._seconds = seconds
        self._lease: Lease | None = None
        self._held_until = time.monotonic()
        self._asking = threading.Lock()
        self._renewal = Renewal(self._renew_in_turn, what="the lease", seconds=seconds, silence=silence)

    def take(self) -> "Lease | None":
        """The lease, taken if nobody holds it; None while another process does. A sign of life.

        Raises:
            UserError: the database does not answer.
        """
        self._renewal.alive()
        with self._asking:
            if self._lease is not None and time.monotonic() >= self._held_until:
                self._renew()
            if self._lease is None:
                asked = time.monotonic()
                self._lease = self._leases.acquire(self._name, self.holder, self._seconds)
                self._held_until = asked + self._seconds
            return self._lease

    def check(self) -> None:
        """Give a sign of life; raises LeaseLost where another process may lead by now."""
        self._renewal.alive()
        if self._lease is None or time.monotonic() >= self._held_until:
            raise LeaseLost(f"{self.holder} could not renew its lease for {self._seconds:g} s, so another may lead")

    def lose(self) -> None:
        """Another process may lead: do not renew the lease any more."""
        with self._asking:
            self._lease = None

    def leader(self) -> str | None:
        """Who leads now."""
        return self._leases.holder(self._name)

    def close(self) -> None:
        """Hand over at once, where this process leads."""
        self._renewal.stop()
        if self._lease is not None:
            self._leases.release(self._lease)
            self._lease = None

    def _renew_in_turn(self) -> None:
        with self._asking:
            self._renew()

    def _renew(self) -> None:
        if self._lease is None:
            return
        asked = time.monotonic()
        if self._leases.renew(self._lease, self._seconds):
            self._held_until = asked + self._seconds
        else:
            self._lease = None
