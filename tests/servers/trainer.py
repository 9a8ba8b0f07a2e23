"""A small server that speaks the part of Kubernetes' API that the training step uses, and a Trainer behind it.

`Trainer` starts each node's command as a process of this machine, with the variables that Kubeflow's sets, and starts
the whole set again when one of them fails, as JobSet does.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.servers.starting import free_port

NAMESPACE, POD, TOKEN = "team", "step-1", "token-of-tests"
JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
STEP_POD: dict[str, Any] = {
    "metadata": {
        "name": POD,
        "ownerReferences": [
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run", "uid": "u-1", "controller": True}
        ],
    },
    "spec": {
        "nodeSelector": {"pool": "gpu"},
        "imagePullSecrets": [{"name": "registry-key"}],
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
        ],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "personsearch-models"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
            {"name": "kfp-launcher", "emptyDir": {}},
        ],
        "containers": [
            {"name": "wait", "image": "argoexec"},
            {
                "name": "main",
                "image": "registry.example.com/personsearch-training:0.1.0",
                "env": [{"name": "PERSONSEARCH_STEP_AWS_SECRET_ACCESS_KEY", "value": "secret"}],
                "resources": {
                    "requests": {"cpu": "4", "memory": "16Gi"},
                    "limits": {"memory": "32Gi", "nvidia.com/gpu": "0"},
                },
                "volumeMounts": [
                    {"name": "models", "mountPath": "/models"},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},
                    {"name": "kfp-launcher", "mountPath": "/kfp-launcher"},
                ],
            },
        ],
    },
    "status": {},
}


class Kubernetes(ThreadingHTTPServer):
    """Pods with their logs, and TrainJobs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}  # of the first node's pods, by the pod's name
        self.step: dict[str, Any] = json.loads(json.dumps(STEP_POD))
        self.asked: list[str] = []
        self.outages = 0  # requests that are answered by 503
        self.forbidden = False
        self.lock = threading.Lock()

    def created(self, job: dict[str, Any]) -> None:
        """What a controller does with a new TrainJob."""

    def deleted(self, name: str) -> None:
        """What it does with one that was deleted."""

    def say(self, name: str, kind: str, message: str = "") -> None:
        """Give a TrainJob a condition."""
        condition = {"type": kind, "status": "True", "reason": kind, "message": message}
        with self.lock:
            self.jobs[name].setdefault("status", {}).setdefault("conditions", []).append(condition)

    def configuration(self, path: Path) -> Path:
        """Write the file by which a client finds it."""
        cluster = {"server": f"http://127.0.0.1:{self.server_port}"}
        context = {"cluster": "tests", "user": "tests", "namespace": NAMESPACE}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": context}],
        }
        path.write_text(yaml.safe_dump(content))
        return path


class Handler(BaseHTTPRequestHandler):
    server: Kubernetes

    def log_message(self, *given: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if not self._passes():
            return
        path, name = parts.path, parts.path.rpartition("/")[2]
        if path == f"{PODS}/{POD}":
            self._answer(200, self.server.step)
        elif path == PODS:
            labels = query["labelSelector"][0]
            assert "batch.kubernetes.io/job-completion-index=0" in labels
            pods = [{"metadata": {"name": pod, "creationTimestamp": pod}} for pod in self.server.logs]
            self._answer(200, {"items": pods})
        elif path.startswith(PODS) and name == "log":
            assert query["timestamps"] == ["True"]
            self._send(200, self.server.logs[path.split("/")[-2]].encode(), "text/plain")
        elif path.startswith(JOBS) and name in self.server.jobs:
            with self.server.lock:
                self._answer(200, self.server.jobs[name])
        else:
            self._missing(name)

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._passes():
            return
        job["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": datetime.now(UTC).isoformat()}
        self.server.jobs[job["metadata"]["name"]] = job
        self.server.created(job)
        self._answer(201, job)

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = urlsplit(self.path).path.rpartition("/")[2]
        if not self._passes():
            return
        if self.server.jobs.pop(name, None) is None:
            self._missing(name)
            return
        self.server.deleted(name)
        self._answer(200, {"kind": "Status", "status": "Success"})

    def _passes(self) -> bool:
        self.server.asked.append(f"{self.command} {urlsplit(self.path).path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"kind": "Status", "message": "Unauthorized"})
        elif self.server.outages:
            self.server.outages -= 1
            self._answer(503, {"kind": "Status", "message": "the server is starting"})
        elif self.server.forbidden:
            self._answer(403, {"kind": "Status", "message": 'trainjobs is forbidden: User "pipeline-runner" cannot'})
        else:
            return True
        return False

    def _missing(self, name: str) -> None:
        self._answer(404, {"kind": "Status", "message": f'trainjobs.trainer.kubeflow.org "{name}" not found'})

    def _answer(self, status: int, body: Any) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Trainer(Kubernetes):
    """Runs the nodes of a TrainJob."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.folder, self.environment = folder, environment
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.starts = 0

    def created(self, job: dict[str, Any]) -> None:
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def deleted(self, name: str) -> None:
        self.stop()

    def stop(self) -> None:
        """End the nodes, and what they have started."""
        for node in self.nodes:
            end(node)

    def _run(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        while self.starts < 4 and name in self.jobs:
            self._start(job["spec"]["trainer"])
            while all(code in (None, 0) for code in codes(self.nodes)) and None in codes(self.nodes):
                self._read()
                time.sleep(0.1)
            finished = codes(self.nodes) == [0] * len(self.nodes)
            self.stop()
            self._read()
            if name in self.jobs and (finished or self.starts == 4):
                self.say(name, "Complete" if finished else "Failed", "jobset failed due to one or more job failures")
                return

    def _start(self, trainer: dict[str, Any]) -> None:
        self.starts += 1
        common = {
            **self.environment,
            **{each["name"]: each["value"] for each in trainer.get("env", [])},
            "PET_NNODES": str(trainer["numNodes"]),
            "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
            "PET_MASTER_ADDR": "127.0.0.1",
            "PET_MASTER_PORT": str(free_port()),
        }
        program, *arguments = trainer["command"]
        assert program == "python"
        self.nodes = []
        for rank in range(trainer["numNodes"]):
            home = self.folder / f"node-{self.starts}-{rank}"
            home.mkdir()
            own = {
                "PET_NODE_RANK": str(rank),
                "TMPDIR": str(home),
                "XDG_CACHE_HOME": str(home),
            }
            with (home / "log").open("wb") as log:
                self.nodes.append(
                    subprocess.Popen(
                        [sys.executable, *arguments],
                        stdout=log,
                        stderr=log,
                        env=os.environ | common | own,
                    )
                )

    def _read(self) -> None:
        """Let the log of the first node be read as Kubernetes gives it: a time before each line."""
        pod = f"pod-{self.starts}"
        lines = (self.folder / f"node-{self.starts}-0" / "log").read_text(errors="replace").splitlines()
        known = self.logs.get(pod, "").splitlines()
        new = [f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}{number:03d}Z {line}" for number, line in enumerate(lines)]
        self.logs[pod] = "\n".join([*known, *new[len(known) :]])


def codes(nodes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """The status of each process, None while it runs."""
    return [node.poll() for node in nodes]


def end(node: subprocess.Popen[bytes]) -> None:
    """End a node as the loss of its machine does."""
    for pid in (node.pid, *_started_by(node.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.wait()


def _started_by(pid: int) -> list[int]:
    """What a process has started, and these in turn: torchrun gives each of its processes a session of its own."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    children = [int(word) for word in listed.stdout.split()]
    return children + [each for child in children for each in _started_by(child)]


@contextmanager
def serving(server: Kubernetes) -> Iterator[None]:
    """Let it answer while the block runs."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
