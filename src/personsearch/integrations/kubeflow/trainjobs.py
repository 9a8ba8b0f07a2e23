"""A TrainJob of Kubeflow's Trainer: its manifest, made of the pod that creates it, and its life in Kubernetes' API.

The pod of the step says what the nodes get (image, resources, volumes, tolerations), so `cluster.yaml` holds for both.
Addresses, secrets and the security context are in the TrainingRuntime of infra/kubernetes/components/trainer.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from personsearch.errors import UserError

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
RUNTIME = "personsearch"
DATA = "-data"  # after a run's name in the store: the data set of its nodes
STEP = "-step"  # and whose step follows them
NODE = "node"  # Trainer's name for the Job and the container that train
PART_OF = "app.kubernetes.io/part-of"
SAME = ("numNodes", "numProcPerNode", "image", "command")  # in a TrainJob that a step follows and did not create
PATCHED_BY = "personsearch/train"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
POD_VARIABLES = ("KFP_POD_NAME", "HOSTNAME")
OF_KUBERNETES = "node.kubernetes.io/"  # tolerations that each pod gets
ACCELERATOR = "nvidia.com/gpu"
SECONDS = 5.0
OUTAGE_SECONDS = 300.0
PASSING = (0, 429, 500, 502, 503, 504)

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Nodes:
    """How many nodes train, with how many accelerators in each; without one a node trains in one process on its CPU."""

    count: int
    accelerators: int = 0

    @property
    def processes(self) -> int:
        """Processes in each node."""
        return max(self.accelerators, 1)


def manifest(name: str, pod: Mapping[str, Any], nodes: Nodes, command: Sequence[str], env: Mapping[str, str]) -> Any:
    """The TrainJob in which `command` runs on each of the nodes, with what the main container of `pod` has."""
    spec, container = pod["spec"], _main(pod)
    tolerations = [t for t in spec.get("tolerations", []) if not str(t.get("key", "")).startswith(OF_KUBERNETES)]
    volumes = [volume for volume in spec.get("volumes", []) if _is_carried(volume)]
    names = {volume["name"] for volume in volumes}
    mounts = [
        {key: mount[key] for key in ("name", "mountPath", "readOnly", "subPath") if key in mount}
        for mount in container.get("volumeMounts", [])
        if mount["name"] in names
    ]
    placed = {
        "nodeSelector": spec.get("nodeSelector"),
        "tolerations": tolerations,
        "imagePullSecrets": spec.get("imagePullSecrets"),
        "volumes": volumes,
        "containers": mounts and [{"name": NODE, "volumeMounts": mounts}],
    }
    patch = {"replicatedJobs": [{"name": NODE, "template": {"spec": {"template": {"spec": _given(placed)}}}}]}
    trainer = {
        "image": container["image"],
        "command": list(command),
        "numNodes": nodes.count,
        "numProcPerNode": nodes.processes,
        "resourcesPerNode": _resources(container.get("resources", {}), nodes),
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "labels": {PART_OF: "personsearch"},
            "ownerReferences": [_owner(each) for each in pod["metadata"].get("ownerReferences", [])],
        },
        "spec": {
            "runtimeRef": {"apiGroup": GROUP, "kind": "TrainingRuntime", "name": RUNTIME},
            "trainer": _given(trainer),
            "runtimePatches": [{"manager": PATCHED_BY, "trainingRuntimeSpec": {"template": {"spec": patch}}}],
        },
    }


def _main(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container of the step's code; others are Argo's."""
    containers: list[Mapping[str, Any]] = pod["spec"]["containers"]
    return next((each for each in containers if each["name"] == "main"), containers[0])


def _is_carried(volume: Mapping[str, Any]) -> bool:
    """Volumes of `cluster.yaml`: claims, and shared memory. Others are of Kubeflow's own in the step's pod."""
    return "persistentVolumeClaim" in volume or volume.get("emptyDir", {}).get("medium") == "Memory"


def _resources(of_step: Mapping[str, Any], nodes: Nodes) -> dict[str, Any]:
    """The step's resources, with a node's accelerators in place of the step's."""
    limits = dict(of_step.get("limits", {}))
    kinds = [name for name in limits if "/" in name] or [ACCELERATOR]
    given = {kind: {name: each for name, each in of_step.get(kind, {}).items() if "/" not in name} for kind in of_step}
    if nodes.accelerators:
        given["limits"] = given.get("limits", {}) | {kinds[0]: str(nodes.accelerators)}
    return {kind: given[kind] for kind in ("requests", "limits") if given.get(kind)}


def _owner(reference: Mapping[str, Any]) -> dict[str, Any]:
    """The run's workflow: with it the TrainJob is removed, and not with the pod of one try."""
    return {key: reference[key] for key in ("apiVersion", "kind", "name", "uid")}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


class TrainJobs:
    """The TrainJobs of this pod's namespace, by the pod's own account."""

    def __init__(self) -> None:
        """Read how Kubernetes is reached: by the pod's token, or as `kubectl` does.

        Raises:
            UserError: neither is there.
        """
        from kubernetes import client, config

        try:
            config.load_incluster_config() if NAMESPACE_FILE.is_file() else config.load_kube_config()
        except config.ConfigException as error:
            raise UserError(f"training on several nodes needs Kubernetes: {error}") from error
        self._objects, self._core = client.CustomObjectsApi(), client.CoreV1Api()
        self._namespace = _namespace()
        self._printed, self._read_at = "", time.monotonic()

    def own_pod(self) -> Any:
        """The pod of this process.

        Raises:
            UserError: it is unknown, or this account may not read it.
        """
        name = next(filter(None, map(os.environ.get, POD_VARIABLES)), "")
        return self._ask(lambda: _json(self._core.read_namespaced_pod(name, self._namespace, _preload_content=False)))

    def create_or_adopt(self, job: Mapping[str, Any]) -> None:
        """Create a TrainJob, or take over one of the same name that still runs; one that failed is replaced.

        Raises:
            UserError: Kubernetes refuses it, or one of the same name is not of this step.
        """
        name = job["metadata"]["name"]
        while (present := self.find(name)) is not None:
            _refuse_another(name, job, present)
            if not _has(present, "Failed") and "deletionTimestamp" not in present["metadata"]:
                logger.warning("following TrainJob %s, which runs already", name)
                return
            self.delete(name)
            time.sleep(SECONDS / 5)
        self._ask(lambda: self._objects.create_namespaced_custom_object(*self._place(), job))
        logger.warning("created TrainJob %s: %d nodes", name, job["spec"]["trainer"]["numNodes"])

    def find(self, name: str) -> Any:
        """A TrainJob as it is now, or None."""
        return self._ask(lambda: self._objects.get_namespaced_custom_object(*self._place(), name), missing=None)

    def delete(self, name: str) -> None:
        """Delete a TrainJob, and with it its pods; one that is gone is no matter."""
        place = (*self._place(), name)
        self._ask(
            lambda: self._objects.delete_namespaced_custom_object(*place, propagation_policy="Foreground"),
            missing=None,
        )

    def follow(self, name: str, at_each_look: Callable[[], None]) -> None:
        """Wait until a TrainJob is complete, printing the first node's log and each change of its state.

        Raises:
            UserError: it failed, was deleted, or Kubernetes has not answered for five minutes.
        """
        said = ""
        while True:
            job = self.find(name)
            if job is None:
                raise UserError(f"TrainJob {name} was deleted by somebody else; its checkpoints are kept")
            self._mirror(name)
            if (state := _state(job)) != said:
                said = state
                logger.warning("TrainJob %s: %s", name, state)
            if _has(job, "Complete"):
                return
            if _has(job, "Failed"):
                raise UserError(f"TrainJob {name} failed: {_message(job, 'Failed')}; see the log above")
            at_each_look()
            time.sleep(SECONDS)

    def _mirror(self, name: str) -> None:
        """Print what is new in the log of the first node, which alone reports; without one yet, nothing."""
        started = time.monotonic()
        labels = f"jobset.sigs.k8s.io/jobset-name={name},batch.kubernetes.io/job-completion-index=0"
        found = self._ask(
            lambda: _json(
                self._core.list_namespaced_pod(self._namespace, label_selector=labels, _preload_content=False)
            )
        )
        for pod in sorted(found["items"], key=lambda each: str(each["metadata"].get("creationTimestamp"))):
            for line in self._log(pod["metadata"]["name"]).splitlines():
                moment, _, text = line.partition(" ")
                if (moment := _comparable(moment)) > self._printed:
                    self._printed = moment
                    sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        if self._printed:
            self._read_at = started

    def _log(self, pod: str) -> str:
        """A node's log since it was last read; nothing while its container starts."""
        from kubernetes.client import ApiException

        since = {"since_seconds": int(time.monotonic() - self._read_at) + 60} if self._printed else {}
        try:
            answer = self._core.read_namespaced_pod_log(
                pod, self._namespace, container=NODE, timestamps=True, _preload_content=False, **since
            )
        except ApiException as error:
            if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, *PASSING):
                return ""
            raise UserError(_reason(error)) from error
        return bytes(answer.data).decode("utf-8", "replace")

    def _place(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self._namespace, PLURAL

    def _ask(self, question: Callable[[], T], missing: Any = ...) -> Any:
        """Kubernetes' answer, `missing` in place of 404; it may be away for some minutes, as during its upgrade."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        deadline = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return question()
            except (ApiException, HTTPError) as error:
                status = getattr(error, "status", 0) or 0
                if status == HTTPStatus.NOT_FOUND and missing is not ...:
                    return missing
                if status not in PASSING or time.monotonic() > deadline:
                    raise UserError(_reason(error)) from error
            time.sleep(SECONDS)


def _refuse_another(name: str, job: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Refuse a TrainJob that somebody else made, or that does this step's work in another way."""
    if (present["metadata"].get("labels") or {}).get(PART_OF) != job["metadata"]["labels"][PART_OF]:
        raise UserError(f"TrainJob {name}: is there already, and is none of personsearch's; rename or delete it")
    own, other = job["spec"]["trainer"], present["spec"].get("trainer") or {}
    different = [key for key in SAME if own.get(key) != other.get(key)]
    if different and not _has(present, "Failed"):
        raise UserError(
            f"TrainJob {name}: runs already, with another {different[0]} ({other.get(different[0])!r}, not "
            f"{own.get(different[0])!r}); wait for its end, or run `kubectl delete trainjob {name}`; then run the step "
            "again"
        )


def is_evicted(pod: Mapping[str, Any]) -> bool:
    """Whether Kubernetes takes a pod away, as from a node that is drained; who cancels a run leaves the pod there."""
    return "deletionTimestamp" in pod["metadata"] or _has(pod, "DisruptionTarget")


def _json(answer: Any) -> Any:
    return json.loads(answer.data)


def _namespace() -> str:
    """The pod's namespace, or that of the context of `kubectl`."""
    if NAMESPACE_FILE.is_file():
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    from kubernetes import config

    _, context = config.list_kube_config_contexts()
    return str(context["context"].get("namespace", "default"))


def _has(resource: Mapping[str, Any], kind: str) -> bool:
    return any((each["type"], each["status"]) == (kind, "True") for each in _conditions(resource))


def _conditions(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(resource.get("status", {}).get("conditions") or [])


def _message(job: Mapping[str, Any], kind: str) -> str:
    (condition,) = (each for each in _conditions(job) if each["type"] == kind)
    return str(condition.get("message") or condition.get("reason"))


def _state(job: Mapping[str, Any]) -> str:
    """What is true of a job, and how many of its pods' Jobs are in which state."""
    true = [each["type"] for each in _conditions(job) if each["status"] == "True"]
    counts = {
        key: sum(each.get(key) or 0 for each in job.get("status", {}).get("jobsStatus") or [])
        for key in ("active", "ready", "succeeded", "failed", "suspended")
    }
    shown = [f"{key} {number}" for key, number in counts.items() if number]
    return ", ".join([*true, *shown]) or "waits for its pods"


def _comparable(moment: str) -> str:
    """A log's time with nine digits after the second, so that texts compare as times do."""
    second, _, fraction = moment.rstrip("Z").partition(".")
    return f"{second}.{fraction.ljust(9, '0')}"


def _reason(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status == HTTPStatus.FORBIDDEN:
        return (
            "Kubernetes does not permit it; give the account of the step's pod the Role personsearch-trainjobs "
            f"(component trainer): {_said(error)}"
        )
    if status == HTTPStatus.NOT_FOUND:
        return f"Kubernetes has none: {_said(error)}; is Kubeflow's Trainer installed?"
    return f"Kubernetes: {_said(error)}"


def _said(error: Exception) -> str:
    """Kubernetes' own message, without headers."""
    try:
        return str(json.loads(getattr(error, "body", ""))["message"])
    except (ValueError, TypeError, KeyError):
        return str(getattr(error, "reason", None) or error)
