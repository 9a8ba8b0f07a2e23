"""Pictures in a bucket of S3, or of any store that speaks its language.

The address names bucket and prefix. Endpoint, region and credentials come from the environment, under the names that
every S3 client reads: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store

from personsearch.addresses import describe_proxy, is_on_this_machine, reach_this_machine_directly, split_credentials
from personsearch.errors import EngineFailed, UserError, shortened
from personsearch.gallery.pictures import IMAGES, PictureMissing
from personsearch.images import ImageRejected
from personsearch.integrations.objects.signature import Signer
from personsearch.integrations.objects.versions import Versions
from personsearch.tracing import step

CONCURRENT = 16  # requests under way at a time
TIMEOUT_SECONDS = 30
CONNECT_SECONDS = 5
RETRIES = 3
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
KEY = "AWS_ACCESS_KEY_ID"
SECRET = "AWS_SECRET_ACCESS_KEY"
NEEDED = "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")  # in an answer's body, or in obstore's words
REASONS = {
    "NoSuchBucket": "the bucket does not exist; create it, or correct the address",
    "InvalidAccessKeyId": f"the store does not know the key in {KEY}",
    "SignatureDoesNotMatch": f"{SECRET} does not belong to the key in {KEY}",
    "ExpiredToken": "the session of AWS_SESSION_TOKEN has expired",
    "RequestTimeTooSkewed": "this machine's clock is minutes off; set it right",
    "AccessDenied": f"the store does not permit it; these credentials need {NEEDED}",
    "SlowDown": "the store asks for fewer requests; try again later",
    "XMinioStorageFull": "the store is full; free space on it, and run the command again",
    "InternalError": "the store failed; its log says why, a full disk perhaps",
}

T = TypeVar("T")
S = TypeVar("S")


class S3Pictures:
    """Pictures as objects `<prefix>/images/…` of a bucket."""

    def __init__(self, address: str) -> None:
        """Contacts nothing.

        Raises:
            UserError: no bucket is named, credentials are in the address, or none are in the environment.
        """
        self._bucket, self._prefix = _bucket_and_prefix(address)
        self.place = f"s3://{self._bucket}" + (f"/{self._prefix}" if self._prefix else "")
        self._endpoint = next(filter(None, map(os.environ.get, ENDPOINTS)), "")
        self.versions_left = 0
        _check_environment(self.place, self._endpoint)
        self.store = _store(self._bucket, self._prefix, self._endpoint)
        signer = Signer.from_environment(self._endpoint)
        self._versions = None if signer is None else Versions(self._bucket, signer)
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="pictures")

    def address(self, name: str) -> str:
        return f"{self.place}/{name}"

    def check(self) -> None:
        next(self.names(), None)

    def write(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        self._each(lambda picture: self._put(*picture), pictures)

    def read(self, name: str) -> bytes:
        try:
            with step("read picture"), self.readable_errors():
                return bytes(obstore.get(self.store, name).bytes())
        except FileNotFoundError:
            raise PictureMissing from None

    def read_many(self, names: Sequence[str]) -> Iterator[bytes | ImageRejected]:
        return iter(self._each(self._read_or_say, names))

    def remove(self, names: Sequence[str]) -> None:
        if not names:
            return
        versioned = [name for name, version in zip(names, self._each(self._version, names), strict=True) if version]
        with self.readable_errors():
            obstore.delete(self.store, list(names))
        self._each(self._verify_gone, names)
        if self._versions is None:
            self.versions_left += len(versioned)
        else:
            self._each(self._versions.remove, [f"{self._prefix}/{name}".lstrip("/") for name in versioned])

    def names(self) -> Iterator[list[str]]:
        with self.readable_errors():
            for listed in obstore.list(self.store, IMAGES, chunk_size=1000):
                yield [str(each["path"]) for each in listed]

    def _put(self, name: str, jpeg: bytes) -> None:
        with self.readable_errors():
            obstore.put(self.store, name, jpeg, attributes={"Content-Type": "image/jpeg"}, use_multipart=False)

    def _read_or_say(self, name: str) -> bytes | ImageRejected:
        try:
            return self.read(name)
        except ImageRejected as error:
            return error

    def _version(self, name: str) -> str | None:
        """The version of an object in a bucket that keeps versions."""
        try:
            with self.readable_errors():
                return obstore.head(self.store, name).get("version")
        except FileNotFoundError:
            return None

    def _verify_gone(self, name: str) -> None:
        try:
            with self.readable_errors():
                obstore.head(self.store, name)
        except FileNotFoundError:
            return
        raise UserError(f"{self.address(name)}: was removed, but the store still has it; is it locked?")

    def _each(self, work: Callable[[T], S], items: Sequence[T]) -> list[S]:
        """Results in the order of the items; the first failure, once all have ended."""
        futures = [self._threads.submit(partial(work, item)) for item in items]
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    @contextmanager
    def readable_errors(self) -> Iterator[None]:
        """Translate all errors but that of an object that is missing from a bucket that exists."""
        try:
            yield
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise EngineFailed("pictures", f"{self.place}: {REASONS['NoSuchBucket']}") from error
            raise
        except exceptions.BaseError as error:
            raise EngineFailed("pictures", f"{self.place}: {self._reason(error)}") from error

    def _reason(self, error: exceptions.BaseError) -> str:
        code = _code(error)
        if code in REASONS:
            return REASONS[code]
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            return REASONS["AccessDenied"]
        endpoint = self._endpoint or "its endpoint at AWS"
        text = str(error)
        if "timed out" in text or "operation timed out" in text or "TimedOut" in text:
            return f"{endpoint} did not answer within {TIMEOUT_SECONDS} s{describe_proxy(self._endpoint)}"
        if "error sending request" in text or "onnect" in text:
            return f"{endpoint} cannot be reached{describe_proxy(self._endpoint)}; is AWS_ENDPOINT_URL right?"
        return f"{endpoint}: {code or shortened(text)}"


def _code(error: Exception) -> str:
    found = CODE.search(str(error))
    return found[1] or found[2] if found else ""


def _bucket_and_prefix(address: str) -> tuple[str, str]:
    try:
        bare, user, password = split_credentials(address)
        parts = urlsplit(bare)
    except ValueError:
        raise UserError("pictures: s3://BUCKET/PREFIX expected") from None
    if user or password:
        raise UserError(f"pictures {bare!r}: credentials belong in {KEY} and {SECRET}, not in the address")
    prefix = parts.path.strip("/")
    if not parts.netloc or ":" in parts.netloc or parts.query or parts.fragment or "//" in parts.path:
        raise UserError(f"pictures {bare!r}: s3://BUCKET/PREFIX expected")
    return parts.netloc, prefix


def _check_environment(place: str, endpoint: str) -> None:
    """Elsewhere than at AWS, where machines have roles, nothing but keys can work: say so before trying for long."""
    unset = [name for name in (KEY, SECRET) if not os.environ.get(name)]
    if unset and (endpoint or len(unset) == 1):
        raise UserError(f"{place}: {' and '.join(unset)} must be set in the environment")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise UserError(f"{place}: AWS_ENDPOINT_URL {endpoint!r}: http://HOST:PORT or https://HOST expected")


def _store(bucket: str, prefix: str, endpoint: str) -> S3Store:
    if endpoint and is_on_this_machine(endpoint):
        reach_this_machine_directly()
    return S3Store(
        bucket,
        prefix=prefix or None,
        config={"endpoint": endpoint} if endpoint else {},
        client_options={
            "timeout": f"{TIMEOUT_SECONDS}s",
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=TIMEOUT_SECONDS)},
    )
