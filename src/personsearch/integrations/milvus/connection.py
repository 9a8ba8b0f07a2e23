"""Connects to Milvus and turns its failures into one readable line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from pymilvus import MilvusClient, MilvusException

from personsearch.errors import UserError

CONNECT_SECONDS = 10.0
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
# Milvus Lite treats pymilvus' pings (every 10 seconds) as an attack and drops the connection during long calls; a local
# database does not need them. A remote server accepts them, and they show when it is gone.
_PATIENT: dict[str, Any] = {"grpc.keepalive_time_ms": 600_000, "grpc.keepalive_permit_without_calls": False}


def _is_on_this_machine(uri: str) -> bool:
    return is_local(uri) or uri.partition("://")[2].startswith(THIS_MACHINE)


def is_local(uri: str) -> bool:
    """Whether `uri` is the path of a Milvus Lite database rather than a server's address."""
    return "://" not in uri


def connect(uri: str, token: str) -> MilvusClient:
    """A client of a database or server; it has answered once.

    Raises:
        UserError: it does not answer, or another process holds the database.
    """
    logging.getLogger("pymilvus").setLevel(
        logging.CRITICAL
    )  # pymilvus logs its expressions, which hold what a user typed
    if is_local(uri):
        if not uri.endswith(".db"):
            raise UserError(f"{uri}: the path of a Milvus Lite database must end with .db")
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
    try:
        options = _PATIENT if _is_on_this_machine(uri) else {}
        client = MilvusClient(uri=uri, token=token, timeout=CONNECT_SECONDS, grpc_options=options)
        client.get_server_version()
        return client
    except (MilvusException, grpc.RpcError) as error:
        hint = "; is another process using it? `personsearch up` serves it to several" if is_local(uri) else ""
        raise UserError(f"{uri}: Milvus cannot be reached: {_message(error)}{hint}") from error


@contextmanager
def readable_errors(uri: str, action: str) -> Iterator[None]:
    """Turn Milvus' exceptions into a UserError that says where and what failed."""
    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        raise UserError(f"{uri}: Milvus cannot {action}: {_message(error)}") from error


def _message(error: Any) -> str:
    """What an error of pymilvus says; it passes on gRPC's own where asking again is of no use."""
    return str(error.message if isinstance(error, MilvusException) else error.details())
