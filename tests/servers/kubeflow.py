"""A small server that speaks the part of Kubeflow Pipelines' v2beta1 API that `kfp.Client` and this project use.

It keeps what it was sent. Runs do nothing: each look at a run moves it, and all its steps, to the next of its states.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

STATES = ["PENDING", "RUNNING", "SUCCEEDED"]
FINAL = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}
FIRST = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

Answer = tuple[int, object]
Query = dict[str, str]


class Kubeflow(ThreadingHTTPServer):
    """Experiments, runs and recurring runs in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.recurring: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.states = list(STATES)  # what a new run goes through; the last one stays
        self.steps = ["index-gallery"]
        self.logs: dict[str, str] = {}  # by step
        self.error = ""  # of a run that fails
        self.refusal = ""  # why runs are refused
        self.outages = 0  # requests that are answered by 503
        self.nulls = False  # whether all but the question after its health is answered by null
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add_run(self, body: dict[str, Any]) -> dict[str, Any]:
        """Keep a run as if it had been sent."""
        number = len(self.runs) + 1
        created = (FIRST + timedelta(minutes=number)).isoformat()
        run = {**body, "run_id": f"run-{number}", "created_at": created, "left": list(self.states)}
        self.runs.append(run)
        return run

    def run(self, run_id: str) -> dict[str, Any] | None:
        return next((run for run in self.runs if run["run_id"] == run_id), None)

    def details(self, run: dict[str, Any]) -> dict[str, Any]:
        """A run as the API shows it, in its present state."""
        state = run["left"][0]
        shown: dict[str, Any] = {name: value for name, value in run.items() if name != "left"} | {"state": state}
        tasks: list[dict[str, Any]] = [{"display_name": "root", "task_id": "root", "state": state}]
        for step in self.steps:
            pod = f"{run['run_id']}-{step}-1"
            tasks.append({"display_name": f"{step}-driver", "task_id": f"{step}-driver", "state": "SUCCEEDED"})
            tasks.append(
                {"display_name": step, "task_id": step, "state": state, "child_tasks": [{"pod_name": pod}]},
            )
            tasks.append({"display_name": "executor", "task_id": pod, "pod_name": pod, "state": state})
        if state in FINAL:
            shown["finished_at"] = (datetime.fromisoformat(run["created_at"]) + timedelta(seconds=90)).isoformat()
        if state == "FAILED" and self.error:
            shown["error"] = {"code": 13, "message": self.error}
        return shown | {"run_details": {"task_details": tasks}}

    def look(self, run: dict[str, Any]) -> dict[str, Any]:
        """The same; afterwards the run is in its next state."""
        shown = self.details(run)
        if len(run["left"]) > 1:
            run["left"].pop(0)
        return shown


def _create_experiment(server: Kubeflow, body: dict[str, Any]) -> Answer:
    experiment = {**body, "experiment_id": f"e{len(server.experiments) + 1}"}
    server.experiments.append(experiment)
    return 200, experiment


def _list_experiments(server: Kubeflow, query: Query) -> Answer:
    return 200, {"experiments": _page(_filtered(server.experiments, query), query)[0]}


def _create_run(server: Kubeflow, body: dict[str, Any]) -> Answer:
    if server.refusal:
        return 400, {"code": 3, "message": server.refusal}
    return 200, server.details(server.add_run(body))


def _list_runs(server: Kubeflow, query: Query) -> Answer:
    found = _filtered([server.details(run) for run in server.runs], query)
    if query.get("sort_by") == "created_at desc":
        found.reverse()
    page, token = _page(found, query)
    return 200, {"runs": page, "next_page_token": token, "total_size": len(found)}


def _get_run(server: Kubeflow, run_id: str) -> Answer:
    run = server.run(run_id)
    return (200, server.look(run)) if run else _absent("Run", run_id)


def _terminate(server: Kubeflow, run_id: str) -> Answer:
    run = server.run(run_id)
    if run is None:
        return _absent("Run", run_id)
    if run["left"][0] in FINAL:
        return 400, {"code": 9, "message": f"Run {run_id} has already finished"}
    run["left"] = ["CANCELING", "CANCELED"]
    return 200, {}


def _create_recurring(server: Kubeflow, body: dict[str, Any]) -> Answer:
    if server.refusal:
        return 400, {"code": 3, "message": server.refusal}
    status = "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"
    server.recurring.append({**body, "recurring_run_id": f"recurring-{len(server.recurring) + 1}", "status": status})
    return 200, server.recurring[-1]


def _list_recurring(server: Kubeflow, query: Query) -> Answer:
    page, token = _page(_filtered(server.recurring, query), query)
    return 200, {"recurringRuns": page, "next_page_token": token}


def _change_recurring(server: Kubeflow, recurring_run_id: str, change: str) -> Answer:
    found = [one for one in server.recurring if one["recurring_run_id"] == recurring_run_id]
    if not found:
        return _absent("Recurring run", recurring_run_id)
    if change == "delete":
        server.recurring.remove(found[0])
    else:
        found[0]["status"] = f"{change.upper()}D"
    return 200, {}


def _log(server: Kubeflow, pod: str) -> Answer:
    step = next((step for step in server.logs if f"-{step}-" in pod), None)
    return (200, server.logs[step]) if step else (400, {"error_message": f"pods {pod!r} not found"})


def _absent(kind: str, name: str) -> Answer:
    return 404, {"code": 5, "message": f"{kind} {name} not found"}


def _filtered(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    rows = [row for row in rows if all(row.get(one["key"]) == one["stringValue"] for one in predicates)]
    experiment = query.get("experiment_id")
    return [row for row in rows if not experiment or row.get("experiment_id") == experiment]


def _page(rows: list[dict[str, Any]], query: Query) -> tuple[list[dict[str, Any]], str]:
    start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 10)
    return rows[start : start + size], str(start + size) if start + size < len(rows) else ""


# Method, path below the address, and what answers: it takes the server, the path's parts, the query and the body.
ROUTES: list[tuple[str, str, Callable[[Kubeflow, list[str], Query, Any], Answer]]] = [
    ("GET", r"/apis/v2beta1/healthz", lambda server, *_: (200, {"multi_user": False})),
    ("GET", r"/apis/v2beta1/experiments", lambda server, parts, query, body: _list_experiments(server, query)),
    ("POST", r"/apis/v2beta1/experiments", lambda server, parts, query, body: _create_experiment(server, body)),
    ("GET", r"/apis/v2beta1/runs", lambda server, parts, query, body: _list_runs(server, query)),
    ("POST", r"/apis/v2beta1/runs", lambda server, parts, query, body: _create_run(server, body)),
    ("GET", r"/apis/v2beta1/runs/([^/:]+)", lambda server, parts, *_: _get_run(server, *parts)),
    ("POST", r"/apis/v2beta1/runs/([^/:]+):terminate", lambda server, parts, *_: _terminate(server, *parts)),
    ("GET", r"/apis/v2beta1/recurringruns", lambda server, parts, query, body: _list_recurring(server, query)),
    ("POST", r"/apis/v2beta1/recurringruns", lambda server, parts, query, body: _create_recurring(server, body)),
    (
        "POST",
        r"/apis/v2beta1/recurringruns/([^/:]+):(enable|disable)",
        lambda server, parts, *_: _change_recurring(server, *parts),
    ),
    (
        "DELETE",
        r"/apis/v2beta1/recurringruns/([^/:]+)",
        lambda server, parts, *_: _change_recurring(server, *parts, "delete"),
    ),
    ("GET", r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", lambda server, parts, *_: _log(server, *parts)),
]


class Handler(BaseHTTPRequestHandler):
    server: Kubeflow

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_DELETE(self) -> None:
        self._handle("DELETE")

    def _handle(self, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        with self.server.lock:
            self.server.tokens.add(self.headers.get("Authorization"))
            if self.server.outages:
                self.server.outages -= 1
                self._answer(503, {"message": "no healthy upstream"})
                return
            if self.server.nulls and not address.path.endswith("healthz"):
                self._answer(200, None)
                return
            for expected, pattern, answer in ROUTES:
                if expected == method and (match := re.fullmatch(pattern, address.path)):
                    self._answer(*answer(self.server, list(match.groups()), query, body))
                    return
        self._answer(404, {"message": "not found"})

    def _answer(self, status: int, value: object) -> None:
        kind, text = ("text/plain", value) if isinstance(value, str) else ("application/json", json.dumps(value))
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def kubeflow_server() -> Iterator[Kubeflow]:
    """Start one, and stop it at the end."""
    with Kubeflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
