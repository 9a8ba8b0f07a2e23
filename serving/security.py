"""API keys and rate limits."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from personsearch.errors import UserError
from personsearch.installation.api_keys import hash_key, keys_from_text, name_among, open_keys
from personsearch.integrations.database.keys import SEARCH_ONLY, Scope, StoredKey
from serving.problems import Problem
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

ANONYMOUS = "anonymous"
ALLOWED: dict[Scope, str] = {"search": "search", "ingest": "send crops"}
KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="Made by `personsearch up`.")


class RateLimit:
    """A token bucket per key, refilled evenly over a minute; a full bucket allows a burst."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_name: str) -> float:
        """Take one token. Returns 0.0, or the seconds until one is available."""
        rate = self.per_minute / 60.0
        with self._lock:
            now = self._clock()
            tokens, then = self._buckets.get(key_name, (float(self.per_minute), now))
            tokens = min(self.per_minute, tokens + (now - then) * rate)
            if tokens < 1.0:
                self._buckets[key_name] = tokens, now
                return (1.0 - tokens) / rate
            self._buckets[key_name] = tokens - 1.0, now
            return 0.0


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """Who presents a key, and what it allows."""

    name: str
    scopes: tuple[Scope, ...]


class AcceptedKeys:
    """The keys of the environment and those in the installation's database, which is asked for each request."""

    def __init__(self, settings: ServingSettings) -> None:
        """Open the database.

        Raises:
            UserError: there is no key and anonymous access is not allowed, or the database cannot be used.
        """
        self._given = keys_from_text(settings.api_keys.get_secret_value())
        self._stored = open_keys(settings)
        self._allows_anonymous = settings.allow_anonymous
        if not (settings.allow_anonymous or self._given or any(map(_is_accepted, self._stored.all()))):
            raise UserError(
                "no API key: none is in the database and PERSONSEARCH_API_KEYS is empty; make one with "
                "`personsearch up` or `personsearch keys create`, or set PERSONSEARCH_ALLOW_ANONYMOUS=true to let "
                "everybody in"
            )

    def find(self, key: str) -> KnownCaller | None:
        """Who presents this key; None if it is not accepted. A key of the environment allows searching alone.

        Raises:
            UserError: the database cannot be asked.
        """
        if name := name_among(self._given, key):
            return KnownCaller(name, SEARCH_ONLY)
        known = self._stored.find(hash_key(key))
        return KnownCaller(known.name, known.scopes) if known is not None and _is_accepted(known) else None

    def accepted_among(self, names: Iterable[str]) -> set[str]:
        """The names under which a key is accepted now; that of callers without one where these are let in.

        Raises:
            UserError: the database cannot be asked.
        """
        accepted = {key.name for key in self._given} | {key.name for key in self._stored.all() if _is_accepted(key)}
        return set(names) & (accepted | ({ANONYMOUS} if self._allows_anonymous else set()))


def _is_accepted(key: StoredKey) -> bool:
    return key.is_accepted(datetime.now(UTC))


PresentedKey = Annotated[str | None, Security(KEY_HEADER)]


def caller(request: Request, key: PresentedKey) -> str:
    """The name of the key that a request presents, which allows searching.

    Raises:
        Problem: 401 if it presents no accepted key, 403 if that does not allow it, 503 if the database cannot be asked.
    """
    return _permitted(request, key, "search")


def is_still_caller(request: Request, name: str) -> bool:
    """Whether the key of a request that lasts still allows searching under this name; not where nobody can tell."""
    try:
        return caller(request, request.headers.get(KEY_HEADER.model.name)) == name
    except Problem:
        return False


def sending_caller(request: Request, key: PresentedKey) -> str:
    """The name of the key that a request presents, which allows sending crops.

    Raises:
        Problem: as `caller`.
    """
    return _permitted(request, key, "ingest")


def _permitted(request: Request, key: str | None, scope: Scope) -> str:
    known = _known_caller(request, key)
    if scope not in known.scopes:
        request.app.state.service.metrics.refused.labels("scope").inc()
        detail = (
            f"The key {known.name!r} may not {ALLOWED[scope]}; `personsearch keys create NAME --scope {scope}` "
            "makes one that may."
        )
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    return known.name


def _known_caller(request: Request, key: str | None) -> KnownCaller:
    service = request.app.state.service
    try:
        known: KnownCaller | None = service.keys.find(key) if key else None
    except UserError as error:
        logger.error("%s", error)
        detail = "API keys cannot be checked at the moment."
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"}) from error
    if known is None and key is None and service.settings.allow_anonymous:
        known = KnownCaller(ANONYMOUS, SEARCH_ONLY)
    if known is None:
        service.metrics.refused.labels("key").inc()
        detail = "The API key is not accepted." if key else "An API key is required in the header X-API-Key."
        raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "ApiKey"})
    return known


Caller = Annotated[str, Depends(caller)]
SendingCaller = Annotated[str, Depends(sending_caller)]


async def searching_caller(request: Request, name: Caller) -> str:
    """The caller, unless over the limit of searches."""
    _limit(request, request.app.state.service.search_limit, name)
    return name


async def viewing_caller(request: Request, name: Caller) -> str:
    """The caller, unless over the limit of images."""
    _limit(request, request.app.state.service.image_limit, name)
    return name


SearchingCaller = Annotated[str, Depends(searching_caller)]
ViewingCaller = Annotated[str, Depends(viewing_caller)]


def _limit(request: Request, limit: RateLimit, name: str) -> None:
    wait = limit.take(name)
    if wait:
        request.app.state.service.metrics.refused.labels("rate").inc()
        seconds = int(wait) + 1
        detail = f"Too many requests: at most {limit.per_minute} a minute. Try again in {seconds} s."
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(seconds)})
