"""A small server that speaks the part of Docker's API that kfp's DockerRunner and this project use.

It holds whatever images it is told, and its containers are processes of this machine: they get the command and the
environment that was asked for, and from the image, as it were, this Python and this code.
"""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

IMAGE = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
LOG_HEADER = struct.Struct(">BxxxL")
STDOUT = 1


class Engine(ThreadingHTTPServer):
    """Images and containers in memory; `created` is what clients asked for, in the API's words."""

    def __init__(self, images: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.images = images
        self.created: list[dict[str, Any]] = []
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"tcp://127.0.0.1:{self.server_port}"

    def start(self, number: int) -> None:
        """Start a container's process."""
        asked = self.created[number]
        given = dict(pair.split("=", 1) for pair in asked["Env"] or [])
        self.processes[number] = subprocess.Popen(
            asked["Cmd"],
            env=IMAGE | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, number: int) -> None:
        """End every process of a container."""
        os.killpg(self.processes[number].pid, signal.SIGKILL)

    def running(self, labels: set[str]) -> list[int]:
        """The containers with these labels that have not ended."""
        alive = [number for number, process in self.processes.items() if process.poll() is None]
        return [number for number in alive if labels <= set(self.created[number]["Labels"])]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Engine

    def do_GET(self) -> None:
        path, query = self._asked()
        if path == "/version":
            self._answer({"ApiVersion": "1.41"})
        elif path == "/images/json":
            self._answer([self._image(number) for number in range(len(self.server.images))])
        elif path == "/containers/json":
            labels = set(json.loads(query["filters"]).get("label", []))
            self._answer([{"Id": str(number)} for number in self.server.running(labels)])
        elif match := re.fullmatch(r"/images/(\d+)/json", path):
            self._answer(self._image(int(match[1])))
        elif match := re.fullmatch(r"/containers/(\d+)/json", path):
            self._answer(self._container(int(match[1])))
        elif match := re.fullmatch(r"/containers/(\d+)/logs", path):
            self._show(self.server.processes[int(match[1])])
        else:
            self._answer({})

    def do_POST(self) -> None:
        path, query = self._asked()
        if path == "/containers/create":
            length = int(self.headers["Content-Length"])
            self.server.created.append(json.loads(self.rfile.read(length)))
            self._answer({"Id": str(len(self.server.created) - 1)}, 201)
            return
        number, what = re.fullmatch(r"/containers/(\d+)/(\w+)", path).groups()  # type: ignore[union-attr]
        if what == "start":
            self.server.start(int(number))
        elif what == "kill":
            assert query["signal"] == "SIGKILL"
            self.server.kill(int(number))
        elif what == "wait":
            code = self.server.processes[int(number)].wait()
            self._answer({"StatusCode": code if code >= 0 else 128 - code})
            return
        self._answer(None, 204)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _asked(self) -> tuple[str, dict[str, str]]:
        asked = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        return re.sub(r"^/v[\d.]+", "", asked.path), query

    def _image(self, number: int) -> dict[str, Any]:
        return {"Id": str(number), "RepoTags": [self.server.images[number]], "RepoDigests": []}

    def _container(self, number: int) -> dict[str, Any]:
        asked = self.server.created[number]
        return {"Id": str(number), "Args": asked["Cmd"][1:], "Config": {"Tty": False, "Image": asked["Image"]}}

    def _show(self, process: subprocess.Popen[bytes]) -> None:
        """What a process prints, as it comes, each piece behind a header."""
        self._begin(200)
        assert process.stdout is not None
        for line in process.stdout:
            self.wfile.write(LOG_HEADER.pack(STDOUT, len(line)) + line)

    def _answer(self, body: object, code: int = 200) -> None:
        self._begin(code)
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def _begin(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()


@contextmanager
def docker_engine(*images: str) -> Iterator[Engine]:
    """Run one that holds images."""
    engine = Engine(images)
    thread = threading.Thread(target=engine.serve_forever, daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        engine.shutdown()
        engine.server_close()
        thread.join()
