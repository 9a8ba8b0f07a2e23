"""The command that serves a Milvus Lite database to several processes of this machine."""

import sys
from pathlib import Path

from personsearch.processes import HOST


def server_command(database: Path, port: int) -> list[str]:
    """The command that serves `database` on this machine only (its own default is every network interface)."""
    module = [sys.executable, "-m", "milvus_lite", "server"]
    return [*module, "--data-dir", str(database), "--host", HOST, "--port", str(port)]
