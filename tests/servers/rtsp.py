"""A real RTSP server for tests: GStreamer's, from Debian."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.starting import START_SECONDS

PYTHON = "/usr/bin/python3"  # Debian's: PyPI has no bindings of GStreamer
SCRIPT = Path(__file__).with_name("rtsp_server.py")
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def require_rtsp() -> None:
    """Raise RuntimeError, in one line, where the server cannot be run."""
    missing = "GStreamer's RTSP server is missing: run infra/require_rtsp.sh as root"
    try:
        probe = subprocess.run([PYTHON, "-c", PROBE], capture_output=True, check=False)
    except OSError as error:
        raise RuntimeError(missing) from error
    if probe.returncode:
        raise RuntimeError(missing)


class RtspServer:
    """A server's process; `clock` is by how many seconds its clock is ahead."""

    def __init__(self, video: Path, *options: str, port: int = 0, clock: int = 0) -> None:
        environment = dict(os.environ)
        command = ["setpriv", "--pdeathsig", "KILL", PYTHON, str(SCRIPT), str(video), str(port), *options]
        if clock:
            command = ["faketime", "-f", f"{clock:+d}", *command]
            environment |= {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the RTSP server ended with {self.process.wait(START_SECONDS)}")
        self.port = int(line)

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def stall(self) -> None:
        """Send nothing more, and keep every connection."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send again."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End without a word."""
        self.process.kill()
        self.process.wait()


@contextmanager
def rtsp_server(video: Path, *options: str, port: int = 0, clock: int = 0) -> Iterator[RtspServer]:
    """A server of a video, ended with the block."""
    server = RtspServer(video, *options, port=port, clock=clock)
    try:
        yield server
    finally:
        server.kill()
