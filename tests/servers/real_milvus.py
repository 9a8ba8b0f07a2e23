"""A real standalone Milvus for tests, in a network namespace of its own because it listens on every interface.

A pair of virtual cables joins the namespace to this machine; processes, namespace and cables end with the test run,
however it ends.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PORT = 19530
START_SECONDS = 300.0
NEEDED = ("ip", "nsenter", "setpriv", "unshare")
# The shell waits for its cable before the server starts: Milvus announces the address that it finds.
IN_NAMESPACE = 'ip link set lo up && read -r _ && exec "$0" --data "$1"'


@contextmanager
def real_milvus(folder: Path) -> Iterator[str]:
    """Yield the address of a fresh Milvus that keeps its data in `folder`.

    Raises:
        RuntimeError: what is missing to run it, in one line.
    """
    milvus = RealMilvus(folder)
    try:
        milvus.start()
        yield milvus.address
    finally:
        milvus.kill()


class RealMilvus:
    """A Milvus that keeps its data in `folder`; killed and started again, it has the same address."""

    def __init__(self, folder: Path) -> None:
        """Nothing is started.

        Raises:
            RuntimeError: what is missing to run it, in one line.
        """
        require_namespaces()
        command = [sys.executable, str(Path(__file__).with_name("install_milvus.py"))]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode:
            raise RuntimeError(installed.stderr.strip())
        self._server = Path(installed.stdout.strip())
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        # a server dies with the thread that started it: one that lives as long as this process
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="milvus")
        self.address = f"http://{ends_of_the_cable()[1]}:{PORT}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        log = self._folder / "milvus.log"
        with log.open("ab") as output:
            self._process = self._starter.submit(start, self._server, self._folder / "data", output.fileno()).result()
        wait_until_listening(connect_namespace(self._process), self._process, log)

    def kill(self) -> None:
        """End it as kill -9 does; its namespace and cable end with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            wait_until_unplugged()


def require_namespaces() -> None:
    """Raise RuntimeError where this user cannot make a network namespace."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        raise RuntimeError(f"commands missing: {', '.join(missing)} (packages iproute2 and util-linux)")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        raise RuntimeError("a network namespace cannot be made: root is needed")


def start(server: Path, data: Path, output: int) -> subprocess.Popen[bytes]:
    """The server in new network and process namespaces; it dies with us, and its children with it."""
    isolate = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*isolate, "sh", "-c", IN_NAMESPACE, str(server), str(data)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)


def connect_namespace(process: subprocess.Popen[bytes]) -> str:
    """Lay the cable, let the server start, return its address."""
    here, there = f"ps{os.getpid()}", f"pt{os.getpid()}"
    ends = ends_of_the_cable()
    inside = ["nsenter", "--net", "--target", namespace_member(process)]
    for command in (
        ["ip", "link", "add", here, "type", "veth", "peer", "name", there],
        ["ip", "link", "set", there, "netns", namespace_member(process)],
        ["ip", "addr", "add", f"{ends[0]}/30", "dev", here],
        ["ip", "link", "set", here, "up"],
        [*inside, "ip", "addr", "add", f"{ends[1]}/30", "dev", there],
        [*inside, "ip", "link", "set", there, "up"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    return ends[1]


def ends_of_the_cable() -> tuple[str, str]:
    """The address on this side, and that of Milvus: the same for as long as this process runs."""
    number = os.getpid() % 16384
    network, first = f"10.213.{number // 64}", number % 64 * 4
    return f"{network}.{first + 1}", f"{network}.{first + 2}"


def wait_until_unplugged() -> None:
    """Return once the cable is gone: the kernel removes it a moment after the last process of the namespace."""
    deadline = time.monotonic() + 60
    while Path(f"/sys/class/net/ps{os.getpid()}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def namespace_member(process: subprocess.Popen[bytes]) -> str:
    """The id of `unshare`'s child, which lives in the new namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 10
    while not (child := children.read_text().split()):
        if time.monotonic() > deadline:
            raise RuntimeError("the network namespace did not appear")
        time.sleep(0.05)
    return child[0]


def wait_until_listening(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server accepts connections."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((address, PORT), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"Milvus did not start: {log.read_text(errors='replace')[-500:]}")
