"""What a step needs from a cluster: images, resources, addresses and secrets, volumes. The local runner ignores it.

A pipeline says which secrets a step needs; everything else is in `cluster.yaml`, one section per component. `placed`
writes it into a compiled pipeline: the second document is the JSON form of Kubeflow's KubernetesExecutorConfig.
`infra/kubernetes` has the objects that they name.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from kfp import dsl
from pydantic import AfterValidator, Field, model_validator

from personsearch.config import Config, nearest, read_yaml
from personsearch.errors import UserError
from personsearch.integrations.kubeflow.steps import STEP_PREFIX

SETTINGS = "personsearch"
ADDRESSES = (
    "PERSONSEARCH_MLFLOW_URI",
    "MLFLOW_TRACKING_URI",
    "PERSONSEARCH_MILVUS_URI",
    "PERSONSEARCH_MILVUS_INDEX",
    "PERSONSEARCH_CROPS",
    "PERSONSEARCH_CHECKPOINTS",
    "PGHOST",  # PERSONSEARCH_DATABASE, a secret, may leave host and port to these
    "PGPORT",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
)
STORAGE_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGISTRY_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", *STORAGE_SECRETS)
VECTOR_SECRETS = ("PERSONSEARCH_MILVUS_TOKEN",)
GALLERY_SECRETS = ("PERSONSEARCH_DATABASE",)
VOLUMES = {"personsearch-models": "/models"}
SHARED = ("AWS_", "MLFLOW_")  # Kubeflow's own launcher reads or sets variables of these names in the same container
DIGEST = re.compile("sha256:[0-9a-f]{64}")
CPU = re.compile(r"[0-9]+(\.[0-9]+)?|[0-9]+m")
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTPE]i|[kMGTPE])?")
REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?|")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
IMAGE = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_.-]+)?")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
IMAGES = ("training", "platform")
IMAGE_PREFIX = "personsearch-"
LONGEST_WAIT_SECONDS, MOST_RETRIES = 86_400, 100
PACKAGED = Path(__file__).with_name("cluster.yaml")


def _digest(value: str) -> str:
    if not DIGEST.fullmatch(value):
        raise ValueError(f"{value!r}: sha256: and 64 hex digits expected")
    return value


def _cpu(value: str) -> str:
    if not CPU.fullmatch(value):
        raise ValueError(f"{value!r}: a number of processors expected, such as 2 or 500m")
    return value


def _memory(value: str) -> str:
    if not MEMORY.fullmatch(value):
        raise ValueError(f"{value!r}: bytes with a suffix of Kubernetes expected, such as 8Gi or 500Mi")
    return value


def _registry(value: str) -> str:
    if not REGISTRY.fullmatch(value):
        raise ValueError(f"{value!r}: HOST/PATH without a scheme expected, such as registry.example.com/team")
    return value


def _tag(value: str) -> str:
    if not TAG.fullmatch(value):
        raise ValueError(f"{value!r}: a tag of letters, digits and _.- expected")
    return value


def _image(value: str) -> str:
    if not IMAGE.fullmatch(value):
        raise ValueError(f"{value!r}: the name of an image expected, such as personsearch-platform-gpu")
    return value


def _label(value: str) -> str:
    if not LABEL.fullmatch(value):
        raise ValueError(f"{value!r}: a value of a label expected: up to 63 letters, digits and _.- between them")
    return value


def _mount_path(value: str) -> str:
    if not value.startswith("/") or not value.strip("/.") or ":" in value or ".." in value.split("/"):
        raise ValueError(f"{value!r}: an absolute path below / without : and .. expected, such as /models")
    return value


Cpu = Annotated[str, AfterValidator(_cpu)]
Memory = Annotated[str, AfterValidator(_memory)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
Label = Annotated[str, AfterValidator(_label)]


class ImagesConfig(Config):
    """Which images the steps run in."""

    registry: Annotated[str, AfterValidator(_registry)] = ""
    """Registry and path before the images' names, such as `registry.example.com/team`."""

    tag: Annotated[str, AfterValidator(_tag)] = "0.1.0"
    """Tag of the images."""

    digests: dict[str, Annotated[str, AfterValidator(_digest)]] = Field(default_factory=dict)
    """Digest by image (`training`, `platform`), such as `sha256:…`; it replaces the tag, which anyone could move."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When nodes pull; null leaves it to Kubernetes."""

    pull_secrets: tuple[str, ...] = ()
    """Secrets with which nodes pull."""

    def qualified(self, name: str) -> str:
        """The whole name of the image that a component names."""
        repository = name.partition(":")[0]
        image = f"{self.registry.rstrip('/')}/{repository}" if self.registry else repository
        digest = self.digests.get(repository.removeprefix(IMAGE_PREFIX))
        return f"{image}@{digest}" if digest else f"{image}:{self.tag}"


class TolerationConfig(Config):
    """One taint that a step's pod tolerates."""

    key: str | None = None
    """Key of the taint; null with `Exists` tolerates all."""

    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value counts."""

    value: str | None = None
    """Value of the taint."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; null for each."""


class RetriesConfig(Config):
    """How often a step that failed is tried again."""

    count: int = Field(default=0, ge=0, le=MOST_RETRIES)
    """Tries after the first."""

    wait_seconds: int = Field(default=30, ge=0, le=LONGEST_WAIT_SECONDS)
    """Wait before the second try."""

    factor: float = Field(default=2.0, ge=1)
    """By which each wait is longer than the one before."""

    longest_wait_seconds: int = Field(default=3600, ge=0, le=LONGEST_WAIT_SECONDS)
    """No wait is longer."""


class StepConfig(Config):
    """What one component's pods get."""

    image: Annotated[str, AfterValidator(_image)] | None = None
    """Name of another image than the component's, such as `personsearch-platform-gpu`."""

    cpu_request: Cpu | None = None
    """CPU that is reserved, such as `500m` or `"2"`."""

    cpu_limit: Cpu | None = None
    """CPU at which the step is slowed down."""

    memory_request: Memory | None = None
    """Memory that is reserved, such as `8Gi`."""

    memory_limit: Memory | None = None
    """Memory at which the step is ended."""

    shared_memory: Memory | None = None
    """Size of /dev/shm, which counts as memory; null for the runtime's 64 MB, with which several GPUs cannot work."""

    accelerator: str = "nvidia.com/gpu"
    """Kind of accelerator where the pipeline or `accelerators` asks for one."""

    accelerators: int = Field(default=0, ge=0)
    """How many of them, for a step whose pipeline has no parameter for it."""

    node_selector: dict[str, Label] = Field(default_factory=dict)
    """Labels of the nodes to run on."""

    tolerations: tuple[TolerationConfig, ...] = ()
    """Taints of nodes that the step may run on all the same."""

    volumes: dict[str, MountPath] = Field(default_factory=dict)
    """Folder by the name of the PersistentVolumeClaim that is mounted there."""

    labels: dict[str, Label] = Field(default_factory=dict)
    """Labels of the pod."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the pod, such as `sidecar.istio.io/inject: "false"`."""

    retries: RetriesConfig = RetriesConfig()
    """How often it is tried again."""

    deadline_seconds: int | None = Field(default=None, gt=0)
    """After so long the pod is ended; null for never."""

    @model_validator(mode="after")
    def _reserves_no_more_than_it_may_use(self) -> Self:
        """Kubernetes refuses such a pod, and a file over the packaged one may raise a request above its limit."""
        for kind in ("cpu", "memory"):
            request, limit = getattr(self, f"{kind}_request"), getattr(self, f"{kind}_limit")
            if request and limit and _amount(request) > _amount(limit):
                raise ValueError(f"{kind}_request {request} is above {kind}_limit {limit}; no pod starts with that")
        return self


def _amount(quantity: str) -> Decimal:
    """A quantity of Kubernetes as a number."""
    if quantity.endswith("m"):
        return Decimal(quantity[:-1]) / 1000
    match = MEMORY.fullmatch(quantity)
    assert match
    number, suffix = match[1], match[2] or ""
    base = 1024 if suffix.endswith("i") else 1000
    return Decimal(number) * base ** " KMGTPE".index(suffix[:1].upper() or " ")


class ClusterConfig(Config):
    """What the steps of the pipelines get on a cluster."""

    images: ImagesConfig = ImagesConfig()
    """Which images they run in."""

    run_as_user: int | None = Field(default=10001, gt=0)
    """Number of the user that steps run as, never root; null leaves the number to the cluster."""

    labels: dict[str, Label] = Field(default_factory=dict)
    """Labels of every pod."""

    steps: dict[str, StepConfig] = Field(default_factory=dict)
    """One section per component."""

    @model_validator(mode="after")
    def _digests_are_of_images(self) -> Self:
        """A digest of no image would leave the image at its tag, which anyone could move."""
        own = (step.image.partition(":")[0] for step in self.steps.values() if step.image)
        known = (*IMAGES, *(name.removeprefix(IMAGE_PREFIX) for name in own))
        for name in self.images.digests:
            if name not in known:
                raise ValueError(f"images.digests.{name}: unknown; {nearest(name, known)}")
        return self


def cluster_config(override: Path | None = None, images: Mapping[str, Any] | None = None) -> ClusterConfig:
    """The packaged `cluster.yaml`, over it the file `override`, over that what is given of the section `images`.

    Raises:
        UserError: a file cannot be read, or a key or value in it is unknown.
    """
    values = read_yaml(PACKAGED)
    if override is not None:
        own = read_yaml(override)
        if not isinstance(own, dict):
            raise UserError(f"{override}: a YAML mapping expected, found {type(own).__name__}")
        steps = own.get("steps")
        for step in steps if isinstance(steps, dict) else ():
            if step not in values["steps"]:
                raise UserError(f"{override}: steps.{step}: unknown; {nearest(str(step), values['steps'])}")
        values = _over(values, own)
    if given := {name: value for name, value in (images or {}).items() if value}:
        values = _over(values, {"images": given})
    return ClusterConfig._validated(values, str(override or "--registry, --image-tag, --digest"))


def _over(below: Any, above: Any) -> Any:
    """`above` laid over `below`: mappings are merged at any depth, anything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _over(below.get(key), value) for key, value in above.items()}
    return above


def place(task: dsl.PipelineTask, *, secrets: tuple[str, ...] = ()) -> None:
    """Give a step the installation's addresses, and only the secrets it needs."""
    kubernetes: dict[str, Any] = {
        "configMapAsEnv": [
            {
                "configMapNameParameter": _constant(SETTINGS),
                "keyToEnv": [{"configMapKey": name, "envVar": variable(name)} for name in ADDRESSES],
            }
        ]
    }
    if secrets:
        keys = [{"secretKey": name, "envVar": variable(name)} for name in secrets]
        kubernetes["secretAsEnv"] = [{"secretNameParameter": _constant(SETTINGS), "keyToEnv": keys, "optional": True}]
    task.platform_config["kubernetes"] = kubernetes


def accelerate(task: dsl.PipelineTask, count: str) -> None:
    """Request `count` accelerators, a parameter of the pipeline that is set when a run starts; 0 requests none."""
    task.set_accelerator_type(StepConfig().accelerator).set_accelerator_limit(count)


def variable(name: str) -> str:
    """The environment variable of a step for a setting; `start_step` gives it its own name in the step's process."""
    return f"{STEP_PREFIX}{name}" if name.startswith(SHARED) else name


def placed(text: str, cluster: ClusterConfig) -> str:
    """A compiled pipeline as kfp writes it, with what the cluster's settings say of each step."""
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    spec, platform = yaml.safe_load_all(text)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    steps = {label: cluster.steps.get(name, StepConfig()) for label, name in _components(spec).items()}
    for label, step in steps.items():
        container = spec["deploymentSpec"]["executors"][label]["container"]
        container["image"] = cluster.images.qualified(step.image or container["image"])
        asked = container.get("resources", {}).get("accelerator") or _accelerator(step)
        container["resources"] = _resources(step, asked)
        executors[label] = executors.get(label, {}) | _kubernetes(step, cluster)
    for task in _tasks(spec):
        label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
        if label and steps[label].retries.count:
            task["retryPolicy"] = _retry_policy(steps[label].retries)
    return head + yaml.safe_dump_all([spec, platform], sort_keys=True)


def _components(spec: Mapping[str, Any]) -> dict[str, str]:
    """The component of each executor, which two steps of one component share."""
    executors = spec["deploymentSpec"]["executors"]
    arguments = {label: executor["container"]["args"] for label, executor in executors.items()}
    return {label: args[args.index("--function_to_execute") + 1] for label, args in arguments.items()}


def _tasks(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for graph in (spec["root"], *spec["components"].values()):
        yield from graph.get("dag", {}).get("tasks", {}).values()


def _accelerator(step: StepConfig) -> dict[str, Any] | None:
    """The accelerators that the settings give a step, as kfp writes those of a pipeline's parameter."""
    return {"resourceCount": str(step.accelerators), "type": step.accelerator} if step.accelerators else None


def _resources(step: StepConfig, accelerator: Mapping[str, Any] | None) -> dict[str, Any]:
    given = {
        "resourceCpuRequest": step.cpu_request,
        "resourceCpuLimit": step.cpu_limit,
        "resourceMemoryRequest": step.memory_request,
        "resourceMemoryLimit": step.memory_limit,
        "accelerator": accelerator and {**accelerator, "resourceType": step.accelerator},
    }
    return {name: value for name, value in given.items() if value}


def _kubernetes(step: StepConfig, cluster: ClusterConfig) -> dict[str, Any]:
    """A step's KubernetesExecutorConfig in protobuf's JSON, which writes 64-bit integers as text."""
    given: dict[str, Any] = {
        "securityContext": {"runAsNonRoot": True}
        | ({} if cluster.run_as_user is None else {"runAsUser": str(cluster.run_as_user)}),
        "imagePullPolicy": cluster.images.pull_policy,
        "imagePullSecret": [{"secretNameParameter": _constant(name)} for name in cluster.images.pull_secrets],
        "nodeSelector": step.node_selector and {"labels": step.node_selector},
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in step.tolerations],
        "pvcMount": [
            {"pvcNameParameter": _constant(name), "mountPath": path} for name, path in sorted(step.volumes.items())
        ],
        "podMetadata": _without_empty({"labels": {**cluster.labels, **step.labels}, "annotations": step.annotations}),
        "activeDeadlineSeconds": step.deadline_seconds and str(step.deadline_seconds),
    }
    if step.shared_memory:
        shared = {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory"}
        given["emptyDirMounts"] = [{**shared, "sizeLimit": step.shared_memory}]
    return _without_empty(given)


def _retry_policy(retries: RetriesConfig) -> dict[str, Any]:
    return {
        "maxRetryCount": retries.count,
        "backoffDuration": f"{retries.wait_seconds}s",
        "backoffFactor": retries.factor,
        "backoffMaxDuration": f"{retries.longest_wait_seconds}s",
    }


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
