"""When a request is sent again, and after how long. Nearly every request of this API may be: repeated, it
changes nothing. One that makes another thing each time says so itself (`Call.repeatable`).
"""

import random
from dataclasses import dataclass
from http import HTTPStatus

import httpx

AGAIN = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

Outcome = httpx.Response | httpx.TransportError


@dataclass(frozen=True)
class Retries:
    """At most `most` further tries, each after the time that the service asks for, else after twice the wait before.

    A service that asks for more than `longest_wait` seconds is not asked again.
    """

    most: int = 4
    first_wait: float = 0.25
    longest_wait: float = 60.0

    def wait(self, tried_again: int, outcome: Outcome) -> float | None:
        """Seconds until the next try; None if the outcome stands."""
        if tried_again >= self.most or (isinstance(outcome, httpx.Response) and outcome.status_code not in AGAIN):
            return None
        asked = _asked_for(outcome)
        if asked is not None:
            return asked if asked <= self.longest_wait else None
        # spread, so that clients that failed together do not come back together
        wait: float = min(self.first_wait * 2**tried_again, self.longest_wait) * random.uniform(0.5, 1.0)
        return wait


def _asked_for(outcome: Outcome) -> float | None:
    if isinstance(outcome, httpx.TransportError):
        return None
    seconds = outcome.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else None
