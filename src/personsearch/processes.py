"""Child processes on this machine: servers, who holds their ports, when they answer; commands of our own."""

import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from personsearch.errors import UserError

HOST = "127.0.0.1"
TAIL_BYTES = 4096
BACKLOG = 128
LISTENING = "0A"  # the state in /proc/net/tcp


def listen(port: int) -> socket.socket | None:
    """A socket that listens at a port of this machine, for a child process; None if the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a killed process may linger
    # Accepted connections inherit it: a server that is handed a socket does not set it, and small answers would wait.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        return None
    return listener


def holds_port(session: int, port: int) -> bool:
    """Whether a process of this session holds the listening socket of a port.

    Where the system has no /proc, whoever listens there counts.
    """
    if not Path("/proc/net/tcp").exists():
        return is_listening(port)
    sockets = _listening_sockets(port)
    return bool(sockets) and any(sockets & _open_files(pid) for pid in _members(session))


def _listening_sockets(port: int) -> set[str]:
    """The listening sockets of a port, named as in /proc/<pid>/fd."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{rest[5]}]")
    return found


def _members(session: int) -> Iterator[int]:
    """The processes of a session."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[3] == str(session):
                yield int(stat.parent.name)


def _open_files(pid: int) -> set[str]:
    names = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                names.add(os.readlink(descriptor))  # noqa: PTH115
    return names


def is_listening(port: int) -> bool:
    """Whether something on this machine accepts connections at this port."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def end_with_parent() -> None:
    """Let this child process end when its parent does, even by kill -9.

    A child that stays would hold the locks that it inherited, and the next run would wait for them for ever.
    """
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def run_python(*arguments: str, echo: bool = False) -> str:
    """Run this Python in a new process and return what it printed; `echo` passes its log on at the end.

    Raises:
        UserError: it failed; the message says why.
    """
    command = [sys.executable, *arguments]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if echo:
        sys.stderr.write(result.stderr)
    if result.returncode:
        raise UserError(why_it_failed(result.returncode, _last_line(result.stderr)))
    return result.stdout


def ensure_home_folder() -> None:
    """Give a user without one, such as a container's number that no user has, the home that container runtimes give.

    MLflow and others stop where they cannot name a home folder; they need not be able to write there.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.sep


def why_it_failed(code: int, last_words: str) -> str:
    """Why a command of ours failed, by its exit code (a negative one is a signal) and the last line of its output."""
    if code < 0:
        return f"killed by signal {-code}"
    return last_words.removeprefix("personsearch: ") or f"ended with exit code {code}"


def last_line(log: Path) -> str:
    """The last line of a log, "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return _last_line(file.read().decode("utf-8", "replace"))
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
