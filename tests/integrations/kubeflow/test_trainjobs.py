"""The life of a TrainJob, against a server that speaks Kubernetes' API."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from personsearch.errors import UserError
from personsearch.integrations.kubeflow import trainjobs
from personsearch.integrations.kubeflow.trainjobs import Nodes, TrainJobs, manifest
from tests.infra.test_manifests import check
from tests.servers.trainer import JOBS, POD, STEP_POD, Kubernetes, serving

JOB = manifest("train-1", STEP_POD, Nodes(3, 2), ["python", "-m", "node"], {"MLFLOW_RUN_ID": "abc"})


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    server = Kubernetes()
    path = server.configuration(tmp_path / "kubeconfig")
    monkeypatch.setattr(config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setattr(trainjobs, "SECONDS", 0.02)
    monkeypatch.setenv("KFP_POD_NAME", POD)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(server):
        yield server


def after(looks: int, act: Callable[[], None]) -> Callable[[], None]:
    """What to do at each look: nothing, and in the end `act`."""
    seen: list[None] = []

    def look() -> None:
        seen.append(None)
        if len(seen) == looks:
            act()

    return look


def test_the_manifest_is_one_that_the_api_takes() -> None:
    assert list(check.manifest_problems(JOB, check.custom_schemas(check.CRDS))) == []
    wrong = json.loads(json.dumps(JOB))
    wrong["spec"]["trainer"]["nodes"] = 3
    assert list(check.manifest_problems(wrong, check.custom_schemas(check.CRDS))) != []


def test_nodes_get_what_the_step_has_but_its_secrets() -> None:
    trainer = JOB["spec"]["trainer"]
    assert trainer["image"] == "registry.example.com/personsearch-training:0.1.0"
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 2)
    assert trainer["resourcesPerNode"] == {
        "requests": {"cpu": "4", "memory": "16Gi"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "2"},
    }
    (patch,) = JOB["spec"]["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    placed = job["template"]["spec"]["template"]["spec"]
    assert placed["nodeSelector"] == {"pool": "gpu"}
    assert [each["key"] for each in placed["tolerations"]] == ["nvidia.com/gpu"]
    assert placed["imagePullSecrets"] == [{"name": "registry-key"}]
    assert [each["name"] for each in placed["volumes"]] == ["models", "shared-memory"]
    assert [each["mountPath"] for each in placed["containers"][0]["volumeMounts"]] == ["/models", "/dev/shm"]
    assert JOB["metadata"]["ownerReferences"] == [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run", "uid": "u-1"}
    ]
    assert "secret" not in json.dumps(JOB).lower().replace("imagepullsecrets", "")


def test_without_accelerators_a_node_trains_in_one_process() -> None:
    trainer = manifest("train-1", STEP_POD, Nodes(2), ["python"], {})["spec"]["trainer"]
    assert trainer["numProcPerNode"] == 1
    assert trainer["resourcesPerNode"]["limits"] == {"memory": "32Gi"}
    assert "env" not in trainer


def test_a_trainjob_is_created_followed_and_its_log_printed_once(
    cluster: Kubernetes, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    jobs = TrainJobs()
    jobs.create_or_adopt(manifest("train-1", jobs.own_pod(), Nodes(2), ["python"], {}))
    cluster.logs["a"] = "2026-03-01T09:00:00.5Z epoch 1\n2026-03-01T09:00:00.500000001Z epoch 2"

    def more() -> None:
        cluster.logs["b"] = "2026-03-01T09:00:01Z epoch 3"
        cluster.jobs["train-1"]["status"] = {"jobsStatus": [{"name": "node", "active": 1, "ready": 1}]}
        threading.Timer(0.2, lambda: cluster.say("train-1", "Complete")).start()

    jobs.follow("train-1", after(3, more))
    assert capsys.readouterr().out.splitlines() == ["epoch 1", "epoch 2", "epoch 3"]
    said = [record.getMessage() for record in caplog.records]
    assert "created TrainJob train-1: 2 nodes" in said
    assert "TrainJob train-1: waits for its pods" in said
    assert "TrainJob train-1: active 1, ready 1" in said
    jobs.delete("train-1")
    jobs.delete("train-1")
    assert cluster.jobs == {}


def test_one_that_runs_is_followed_and_one_that_failed_is_replaced(
    cluster: Kubernetes, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = TrainJobs()
    jobs.create_or_adopt(JOB)
    jobs.create_or_adopt(JOB)
    assert "following TrainJob train-1, which runs already" in caplog.text
    assert cluster.asked.count(f"POST {JOBS}") == 1
    cluster.say("train-1", "Failed", "jobset failed due to one or more job failures")
    with pytest.raises(UserError, match="TrainJob train-1 failed: jobset failed due to one or more job failures"):
        jobs.follow("train-1", lambda: None)
    jobs.create_or_adopt(JOB)
    assert cluster.asked.count(f"POST {JOBS}") == 2
    assert "status" not in cluster.jobs["train-1"]


def test_one_that_is_not_the_steps_is_left_alone(cluster: Kubernetes) -> None:
    jobs = TrainJobs()
    jobs.create_or_adopt(JOB)
    more = manifest("train-1", STEP_POD, Nodes(4, 2), ["python", "-m", "node"], {"MLFLOW_RUN_ID": "abc"})
    with pytest.raises(UserError, match=r"train-1: runs already, with another numNodes \(3, not 4\)"):
        jobs.create_or_adopt(more)
    cluster.say("train-1", "Failed", "jobset failed")
    del cluster.jobs["train-1"]["metadata"]["labels"]
    with pytest.raises(UserError, match="train-1: is there already, and is none of personsearch's"):
        jobs.create_or_adopt(JOB)
    assert cluster.asked.count(f"POST {JOBS}") == 1
    assert "train-1" in cluster.jobs


def test_one_that_somebody_deletes_ends_the_step(cluster: Kubernetes) -> None:
    jobs = TrainJobs()
    jobs.create_or_adopt(JOB)
    with pytest.raises(UserError, match="train-1 was deleted by somebody else; its checkpoints are kept"):
        jobs.follow("train-1", after(2, cluster.jobs.clear))


def test_an_api_that_restarts_is_asked_again(cluster: Kubernetes) -> None:
    cluster.outages = 3
    TrainJobs().create_or_adopt(JOB)
    assert "train-1" in cluster.jobs


def test_what_is_not_permitted_names_the_role(cluster: Kubernetes) -> None:
    cluster.forbidden = True
    with pytest.raises(UserError, match=r"Role personsearch-trainjobs \(component trainer\): trainjobs is forbidden"):
        TrainJobs().create_or_adopt(JOB)


def test_without_kubernetes_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="training on several nodes needs Kubernetes"):
        TrainJobs()


FOLLOWING = """
import sys
from personsearch.integrations.kubeflow import trainjobs
from personsearch.integrations.kubeflow.training import _deleted_when_cancelled
trainjobs.SECONDS = 0.05
jobs = trainjobs.TrainJobs()
with _deleted_when_cancelled(jobs, "train-1"):
    jobs.follow("train-1", lambda: print("looked", flush=True))
"""


@pytest.mark.parametrize("evicted", [False, True])
def test_a_step_that_is_cancelled_deletes_the_trainjob_and_one_that_is_moved_does_not(
    cluster: Kubernetes, tmp_path: Path, evicted: bool
) -> None:
    TrainJobs().create_or_adopt(JOB)
    if evicted:
        cluster.step["metadata"]["deletionTimestamp"] = "2026-03-01T09:00:00Z"
    here: dict[str, Any] = os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig"), "KFP_POD_NAME": POD}
    command = [sys.executable, "-c", FOLLOWING]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=here)
    assert process.stdout is not None
    assert any(line == "looked\n" for line in process.stdout), "it ended before it followed"
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert ("train-1" in cluster.jobs) == evicted, said
