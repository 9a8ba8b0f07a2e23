"""Buckets of Google Cloud Storage, for checkpoints.

Credentials come from the environment, under the names that Google's clients read: GOOGLE_APPLICATION_CREDENTIALS, or on
Google's machines the account of the pod (Workload Identity). GOOGLE_BASE_URL names another endpoint.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import GCSStore

from personsearch.addresses import describe_proxy, is_on_this_machine, reach_this_machine_directly
from personsearch.errors import UserError, shortened

GS = "gs://"
ENDPOINT = "GOOGLE_BASE_URL"
TIMEOUT_SECONDS = 30
CONNECT_SECONDS = 5
RETRIES = 3
REFUSED = re.compile(r"status code: 40[13]\b")
PERMISSION = "storage.objects.get, .list, .create and .delete"


class GoogleBucket:
    """One bucket, below a prefix."""

    def __init__(self, address: str) -> None:
        """Contacts nothing, unless credentials must be asked for.

        Raises:
            UserError: no bucket is named, or the credentials cannot be read.
        """
        parts = urlsplit(address)
        if not parts.netloc or set(":@") & set(parts.netloc) or parts.query or parts.fragment or "//" in parts.path:
            raise UserError(f"{address!r}: {GS}BUCKET/PREFIX expected")
        prefix = parts.path.strip("/")
        self.place = f"{GS}{parts.netloc}" + (f"/{prefix}" if prefix else "")
        self._endpoint = os.environ.get(ENDPOINT, "")
        if self._endpoint and is_on_this_machine(self._endpoint):
            reach_this_machine_directly()
        with self.readable_errors():
            self.store = GCSStore(
                parts.netloc,
                prefix=prefix or None,
                client_options={
                    "timeout": f"{TIMEOUT_SECONDS}s",
                    "connect_timeout": f"{CONNECT_SECONDS}s",
                    "allow_http": self._endpoint.startswith("http://"),
                },
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=TIMEOUT_SECONDS)},
            )

    @contextmanager
    def readable_errors(self) -> Iterator[None]:
        """Translate all errors but that of an object that is missing from a bucket that exists."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise UserError(
                    f"{self.place}: the bucket does not exist; create it, or correct the address"
                ) from error
            raise
        except exceptions.BaseError as error:
            raise UserError(f"{self.place}: {self._reason(error)}") from error

    def _reason(self, error: exceptions.BaseError) -> str:
        text, endpoint = str(error), self._endpoint or "Google Cloud Storage"
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError) or REFUSED.search(
            text
        ):
            return f"the store does not permit it; this account needs {PERMISSION}"
        if "error sending request" in text or "onnect" in text:
            return f"{endpoint} cannot be reached{describe_proxy(self._endpoint)}; are there credentials?"
        return f"{endpoint}: {shortened(text)}"
