"""All engines of a cluster's steps at once, empty: PostgreSQL, an S3 store, Milvus, MLflow on the first two, Git."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from personsearch.errors import UserError
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.processes import HOST, is_listening
from tests.servers.mlflow_server import mlflow_server
from tests.servers.postgresql import postgresql
from tests.servers.real_milvus import START_SECONDS, real_milvus
from tests.servers.s3 import s3_server
from tests.servers.starting import free_port, wait_until


@dataclass(frozen=True, slots=True)
class Engines:
    """The variables that name them, and how else they are reached."""

    variables: dict[str, str]
    socket: Path  # PostgreSQL's, which listens on no port
    repositories: Path  # a folder in this machine, whose Git repositories are shown at …
    git: str  # … this address
    datasets: str  # a place in the store for DVC


@contextmanager
def engines() -> Iterator[Engines]:
    """Start them, and end them with all that they hold.

    Raises:
        RuntimeError: what is missing to run one of them, in one line.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="personsearch-")))
        new_database = stack.enter_context(postgresql())
        store = stack.enter_context(s3_server())
        milvus = stack.enter_context(real_milvus(new_folder(folder / "milvus")))
        rows = new_database()
        runs = sa.make_url(new_database()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        keys, artifacts = store.environment(), store.new_place()
        mlflow = stack.enter_context(mlflow_server(folder / "mlflow", database=runs, artifacts=artifacts, **keys))
        git = stack.enter_context(git_server(new_folder(folder / "repositories")))
        wait_until_answering(milvus)
        variables = keys | {
            "PERSONSEARCH_DATABASE": rows,
            "PERSONSEARCH_CROPS": store.new_place(),
            "PERSONSEARCH_CHECKPOINTS": store.new_place(),
            "PERSONSEARCH_MILVUS_URI": milvus,
            "PERSONSEARCH_MLFLOW_URI": mlflow,
            "MLFLOW_TRACKING_URI": mlflow,
        }
        yield Engines(variables, socket_of(rows), folder / "repositories", git, store.new_place())


@contextmanager
def git_server(folder: Path) -> Iterator[str]:
    """The address below which everybody on this machine can clone the repositories in a folder."""
    port, log = free_port(), folder / "git.log"
    place = [f"--base-path={folder}", "--export-all", f"--listen={HOST}", f"--port={port}", "--reuseaddr"]
    with log.open("wb") as output:
        process = subprocess.Popen(["git", "daemon", *place, str(folder)], stdout=output, stderr=output)
    try:
        wait_until(lambda: is_listening(port), process, log, "git daemon")
        yield f"git://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait()


def socket_of(address: str) -> Path:
    """The socket of a PostgreSQL on this machine that listens on no port."""
    return Path(str(sa.make_url(address).query["host"])) / ".s.PGSQL.5432"


def wait_until_answering(milvus: str) -> None:
    """A standalone Milvus accepts connections some seconds before it answers on them."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            MilvusStore(milvus).close()
            return
        except UserError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(str(error)) from error


def new_folder(path: Path) -> Path:
    """Make it."""
    path.mkdir(parents=True)
    return path
