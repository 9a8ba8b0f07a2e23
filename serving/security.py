"""Who may ask, and how often."""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from personsearch.api_keys import KEYS_FILE, ApiKeys, keys_from_text, read_keys
from personsearch.errors import UserError
from serving.problems import Problem
from serving.settings import ServingSettings

ANONYMOUS = "anonymous"
KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="Made by `personsearch up`.")


class RateLimit:
    """A bucket of tokens for each key, filled evenly over a minute; a full bucket allows a burst."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_name: str) -> float:
        """Take one token. Returns 0.0, or after how many seconds there will be one."""
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


def accepted_keys(settings: ServingSettings) -> ApiKeys:
    """The keys of the environment and of the installation.

    Raises:
        UserError: there is none, and anonymous access was not asked for.
    """
    keys = ApiKeys([*keys_from_text(settings.api_keys.get_secret_value()), *read_keys(settings.home)])
    if not keys and not settings.allow_anonymous:
        raise UserError(
            f"no API key: {settings.home / KEYS_FILE} is missing and PERSONSEARCH_API_KEYS is empty; start with "
            "`personsearch up`, or set PERSONSEARCH_ALLOW_ANONYMOUS=true to let everybody in"
        )
    return keys


def caller(request: Request, key: Annotated[str | None, Security(KEY_HEADER)]) -> str:
    """The name of the key that a request presents.

    Raises:
        Problem: 401 where it presents none that is accepted.
    """
    service = request.app.state.service
    name: str | None = service.keys.name_of(key) if key else None
    if name is None and key is None and service.settings.allow_anonymous:
        name = ANONYMOUS
    if name is None:
        service.metrics.refused.labels("key").inc()
        detail = "The API key is not accepted." if key else "An API key is wanted in the header X-API-Key."
        raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "ApiKey"})
    return name


Caller = Annotated[str, Depends(caller)]


def searching_caller(request: Request, name: Caller) -> str:
    """A caller who has not searched too often."""
    _limit(request, request.app.state.service.search_limit, name)
    return name


def viewing_caller(request: Request, name: Caller) -> str:
    """A caller who has not fetched too many pictures."""
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
