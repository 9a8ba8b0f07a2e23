"""Install the real Milvus 2.3.5 that the contract tests run against, in an environment of its own, and print its path.

The PyPI package `milvus` carries a standalone server; its dependencies do not fit beside ours. Run again, it does
nothing: `python tests/servers/install_milvus.py`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "milvus==2.3.5"
ENVIRONMENT = Path.home() / ".cache" / "personsearch" / "milvus-server"


def install() -> Path:
    """The server's command, installed on first use.

    Raises:
        RuntimeError: what is missing, in one line.
    """
    command = ENVIRONMENT / "bin" / "milvus-server"
    if not command.is_file():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        if not Path(uv).is_file():
            raise RuntimeError("uv is missing: run `make setup`")
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)])
        run([uv, "pip", "install", "--quiet", "--python", str(ENVIRONMENT / "bin" / "python"), REQUIREMENT])
    return command


def run(command: list[str]) -> None:
    """Run a command; its failure is one readable error."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(error.stderr or error).strip().splitlines()
        raise RuntimeError(f"{REQUIREMENT} cannot be installed: {said[-1] if said else error}") from error


if __name__ == "__main__":
    try:
        print(install())
    except RuntimeError as error:
        sys.exit(str(error))
