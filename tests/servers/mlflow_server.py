"""A real MLflow server on a free port of this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personsearch.processes import is_listening
from tests.servers.starting import free_port, wait_until


@contextmanager
def mlflow_server(
    folder: Path, *, artifacts: str | None = None, database: str | None = None, **variables: str
) -> Iterator[str]:
    """Its address, while it runs with everything it keeps in `folder`, and nothing where it stands.

    It sends its clients to `artifacts`, the address of a store, instead of handing artifacts on, and keeps the rest in
    `database`, of SQLAlchemy's kind.
    """
    stands_here = folder / "stands-here"
    stands_here.mkdir(parents=True)
    port, log = free_port(), folder / "log"
    network = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    kept = ["--artifacts-destination", f"{folder}/artifacts"]
    if artifacts is not None:
        kept = ["--no-serve-artifacts", "--default-artifact-root", artifacts]
    store = ["--backend-store-uri", database or f"sqlite:///{folder}/mlflow.db", *kept]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment |= variables
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "mlflow", "server", *network, *store]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=stands_here, start_new_session=True
        )
    try:
        wait_until(lambda: is_listening(port), process, log, "MLflow")
        yield f"http://127.0.0.1:{port}"
        assert list(stands_here.iterdir()) == []
    finally:
        process.terminate()
        process.wait()
