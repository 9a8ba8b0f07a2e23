"""Which parts of the gallery this process follows: its fair share of them, each by a lease.

Who follows holds a lease of its own, `follower/…`, by which the others count how many share. Where one ends, its leases
end within seconds, and the others take its parts.
"""

import threading
from typing import TYPE_CHECKING

from personsearch.installation.leadership import Renewal

if TYPE_CHECKING:
    from personsearch.integrations.database.leases import DatabaseLeases, Lease

MEMBER = "follower/"
PART = "part/"


class PartLeases:
    """One process's hold on parts, in leases of `seconds`. One that gives no sign of life for `silence` seconds loses
    them.
    """

    def __init__(self, leases: "DatabaseLeases", parts: int, *, holder: str, seconds: float, silence: float) -> None:
        self.parts = parts
        self._leases = leases
        self._holder = holder
        self._seconds = seconds
        self._member: Lease | None = None
        self._held: dict[int, Lease] = {}
        self._asking = threading.Lock()
        self._renewal = Renewal(self._renew, what="the leases of parts", seconds=seconds, silence=silence)

    def take(self) -> "dict[int, Lease]":
        """The parts to follow now: gives away what is more than a fair share, and takes what nobody holds. A sign of
        life. Call it between turns, because what is given away may be followed by another at once.

        Raises:
            UserError: the database does not answer.
        """
        self._renewal.alive()
        with self._asking:
            if self._member is None:
                self._leases.forget_ended(MEMBER)
                self._member = self._leases.acquire(MEMBER + self._holder, self._holder, self._seconds)
            share = self._share()
            for number in sorted(self._held)[share:]:
                self._leases.release(self._held.pop(number))
            free = set(range(self.parts)) - self._taken() - set(self._held)
            for number in sorted(free):
                if len(self._held) == share:
                    break
                lease = self._leases.acquire(f"{PART}{self.parts}/{number}", self._holder, self._seconds)
                if lease is not None:
                    self._held[number] = lease
            return dict(self._held)

    def alive(self) -> None:
        """Give a sign of life."""
        self._renewal.alive()

    def close(self) -> None:
        """Hand over at once."""
        self._renewal.stop()
        for lease in (*self._held.values(), *filter(None, [self._member])):
            self._leases.release(lease)
        self._held, self._member = {}, None

    def _share(self) -> int:
        members = sorted({*self._leases.holders(MEMBER), MEMBER + self._holder})
        equal, left = divmod(self.parts, len(members))
        return equal + (members.index(MEMBER + self._holder) < left)

    def _taken(self) -> set[int]:
        names = self._leases.holders(f"{PART}{self.parts}/")
        return {int(name.rpartition("/")[2]) for name in names}

    def _renew(self) -> None:
        with self._asking:
            if self._member is not None and not self._leases.renew(self._member, self._seconds):
                self._member = None
            for number, lease in list(self._held.items()):
                if not self._leases.renew(lease, self._seconds):
                    del self._held[number]
