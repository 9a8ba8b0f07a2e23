"""Connects to Milvus and turns its failures into one readable line."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from pymilvus import MilvusClient, MilvusException

from personsearch.addresses import describe_proxy, is_on_this_machine, split_credentials
from personsearch.errors import EngineFailed, UserError, with_advice
from personsearch.files import private_folder

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30  # of any call: a server that is stopped would else be waited for, for ever
ADVICE = {
    "auth check failure": "correct PERSONSEARCH_MILVUS_TOKEN, and restart the services",
    "permission deny": "grant this user the collections and aliases in Milvus",
    "no space left": "free disk space where Milvus keeps its files",
    "disk quota exceeded": "the server is full: give it more disk; searches are answered meanwhile",
    "memory quota exceeded": "the server is full: give it more memory; searches are answered meanwhile",
    "deactivated by the administrator": "the server takes no writes; look at quotaAndLimits in its settings",
    "manually force deny": "the server takes no writes; look at quotaAndLimits in its settings",
    "rate limit": "the server is slower than the load; it is tried again",
    "deadline exceeded": "the server is overloaded or stopped; it is tried again",
    "connection refused": "start the server, or correct PERSONSEARCH_MILVUS_URI",
    "server unavailable": "start the server, or correct PERSONSEARCH_MILVUS_URI",
    "failed to connect": "start the server, or correct PERSONSEARCH_MILVUS_URI",
}
# Milvus Lite treats pymilvus' pings (every 10 seconds) as an attack and drops the connection during long calls; a local
# database does not need them. A remote server accepts them, and they show when it is gone. gRPC would ask a proxy for
# this machine, too.
_ON_THIS_MACHINE: dict[str, Any] = {
    "grpc.keepalive_time_ms": 600_000,
    "grpc.keepalive_permit_without_calls": False,
    "grpc.enable_http_proxy": 0,
}


def is_local(uri: str) -> bool:
    """Whether `uri` is the path of a Milvus Lite database rather than a server's address."""
    return "://" not in uri


def connect(uri: str, token: str) -> MilvusClient:
    """A client of a database or server; it has answered once. Without a `token`, that is the address's `user:password`.

    Raises:
        UserError: it does not answer, or another process holds the database.
    """
    logging.getLogger("pymilvus").setLevel(
        logging.CRITICAL
    )  # pymilvus logs its expressions, which hold what a user typed
    if is_local(uri):
        if not uri.endswith(".db"):
            raise UserError(f"{uri}: the path of a Milvus Lite database must end with .db")
        private_folder(Path(uri).parent)
        private_folder(Path(uri))
        here = True
    else:
        uri, token = _with_credentials_apart(uri, token)
        here = is_on_this_machine(uri)
    try:
        limited = {"methodConfig": [{"name": [{}], "timeout": f"{ANSWER_SECONDS}s"}]}
        options = {"grpc.service_config": json.dumps(limited)} | (_ON_THIS_MACHINE if here else {})
        client = MilvusClient(uri=uri, token=token, timeout=CONNECT_SECONDS, grpc_options=options)
        client.get_server_version()
        return client
    except (MilvusException, grpc.RpcError) as error:
        hint = "; is another process using it? `personsearch up` serves it to several"
        said = f"{uri}: Milvus cannot be reached{describe_proxy(uri)}: {_message(error)}"
        raise EngineFailed("vectors", f"{said}{hint}" if is_local(uri) else with_advice(said, ADVICE)) from error


def _with_credentials_apart(uri: str, token: str) -> tuple[str, str]:
    try:
        address, user, password = split_credentials(uri)
    except ValueError as error:
        raise UserError(f"the address of Milvus: {error}") from None
    named = f"{user}:{password}" if password else user
    return address, token or named


@contextmanager
def readable_errors(uri: str, action: str) -> Iterator[None]:
    """Turn Milvus' exceptions into a UserError that says where and what failed."""
    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        said = with_advice(f"Milvus cannot {action}: {_message(error)}", ADVICE)
        raise EngineFailed("vectors", f"{uri}: {said}") from error


def _message(error: Any) -> str:
    """What an error of pymilvus says; it passes on gRPC's own where asking again is of no use."""
    return str(error.message if isinstance(error, MilvusException) else error.details())
