"""Which streams to watch, and how to get in: passwords come from the environment or from files, not from addresses."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, model_validator

from personsearch.addresses import hide_credentials
from personsearch.config import Config
from personsearch.errors import UserError, explain
from personsearch.gallery.store import checked_camera, path_name

SCHEMES = ("rtsp", "rtsps")
LONGEST_NAME = 80


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ValueError("an address like rtsp://host:554/path expected") from None  # it might hold a password
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError("an address like rtsp://host:554/path expected")
    if parts.password is not None or parts.username is not None:
        raise ValueError(
            "holds a user or a password, which lists of processes and logs would show; "
            "give them by user and password_env or password_file"
        )
    return address


def _checked_names(streams: "dict[str, StreamConfig]") -> "dict[str, StreamConfig]":
    for name in streams:
        try:
            checked_camera(name)
        except UserError as error:
            raise ValueError(str(error)) from error
        if len(path_name(name)) > LONGEST_NAME:
            raise ValueError(f"camera {name!r}: at most {LONGEST_NAME} characters expected: ids of crops begin with it")
    return streams


class StreamConfig(Config):
    """A camera's stream."""

    address: Annotated[str, AfterValidator(_checked_address)] = Field(repr=False)
    """Where it is, as `rtsp://host:554/path` or `rtsps://…`, without user and password."""

    user: str | None = None
    """Name under which the camera lets you in."""

    password_env: str | None = None
    """Environment variable that holds the password."""

    password_file: Path | None = None
    """File that holds the password, such as a mounted secret; read at each connection."""

    clock: Literal["ours", "camera"] = "ours"
    """Whose time a crop carries: this machine's, at which the frame arrived, or the camera's where it sends one."""

    @model_validator(mode="after")
    def _one_password(self) -> "StreamConfig":
        if self.password_env and self.password_file:
            raise ValueError("password_env and password_file: one of them expected")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password without a user; `user` expected beside it")
        return self

    @property
    def shown_address(self) -> str:
        """The address without a token that may be part of it, to be shown and stored."""
        return hide_credentials(self.address)

    def address_with_credentials(self) -> str:
        """The address to connect to. Never show it.

        Raises:
            UserError: the variable is not set, or the file cannot be read.
        """
        if self.user is None:
            return self.address
        parts = urlsplit(self.address)
        user = quote(self.user, safe="")
        password = self._password()
        who = user if password is None else f"{user}:{quote(password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{who}@{parts.netloc}"))

    def _password(self) -> str | None:
        if self.password_env is not None:
            if not (password := os.environ.get(self.password_env)):
                raise UserError(f"{self.address}: the variable {self.password_env} is not set; a password expected")
            return password
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = explain(error) if isinstance(error, OSError) else "not text in UTF-8"
            raise UserError(f"{self.password_file}: {why}; the password of {self.address} expected") from error


class StreamsConfig(Config):
    """The file that `personsearch watch --streams FILE` reads (docs/live-ingest.md)."""

    streams: Annotated[dict[str, StreamConfig], AfterValidator(_checked_names)] = Field(min_length=1)
    """Each camera's name, and its stream."""

    @classmethod
    def of(cls, camera: str, stream: Mapping[str, Any]) -> "dict[str, StreamConfig]":
        """One camera and its stream, as options of a command give them.

        Raises:
            UserError: one of them fails validation.
        """
        return cls._validated({"streams": {camera: dict(stream)}}, "watch").streams
