"""Serves a Milvus Lite database to several processes of this machine, until the process is stopped.

Milvus Lite has a server of its own, which shares its port with any other that asks for it, so that two databases
answer in turn; this one ends with exit code `PORT_TAKEN` where its port is taken. A client that names an installation
as its token is refused by the server of another one; every other client is let in.
"""

import argparse
import base64
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from personsearch.processes import HOST

THREADS = 10
LARGEST_MESSAGE = 256 * 2**20  # bytes, as a Milvus server has it
TOKEN_PREFIX = "installation:"
PORT_TAKEN = 98  # exit code; the number that Linux gives the error


def server_command(database: Path, port: int, installation: str = "") -> list[str]:
    """The command that serves `database` on this machine only."""
    return [sys.executable, "-m", "personsearch.integrations.milvus.server", str(database), str(port), installation]


def installation_token(installation: str) -> str:
    """The token of a client that wants to be answered by no other installation's server."""
    return f"{TOKEN_PREFIX}{installation}"


class OwnClients(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses a client that names another installation."""

    def __init__(self, installation: str) -> None:
        self._token = installation_token(installation)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        presented = _token(dict(handler_call_details.invocation_metadata).get("authorization", ""))
        greets = handler_call_details.method.endswith("/Connect")  # whose refusal pymilvus reports without its reason
        if presented.startswith(TOKEN_PREFIX) and presented != self._token and not greets:
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return continuation(handler_call_details)


def _token(authorization: str) -> str:
    try:
        return base64.b64decode(authorization, validate=True).decode()
    except ValueError:
        return ""


def _refuse(_: Any, context: Any) -> None:
    context.abort(grpc.StatusCode.PERMISSION_DENIED, "this is the Milvus of another installation")


def serve(database: Path, port: int, installation: str) -> None:
    """Serve `database` until the process is stopped.

    Raises:
        SystemExit: the port is taken.
        DataDirLockedError: another process holds the database.
    """
    limits = [(f"grpc.max_{way}_message_length", LARGEST_MESSAGE) for way in ("receive", "send")]
    options = [*limits, ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(THREADS), interceptors=[OwnClients(installation)], options=options)
    _bind(server, port)  # before the imports, which take seconds: the port was free a moment ago

    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from pymilvus.grpc_gen import milvus_pb2_grpc

    served = MilvusLite(str(database))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(served), server)
    try:
        server.start()
        server.wait_for_termination()
    finally:
        server.stop(grace=None)
        served.close()


def _bind(server: Any, port: int) -> None:
    try:
        server.add_insecure_port(f"{HOST}:{port}")
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(PORT_TAKEN) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("installation", help="its id; empty for none")
    given = parser.parse_args()
    serve(given.database, given.port, given.installation)


if __name__ == "__main__":
    main()
