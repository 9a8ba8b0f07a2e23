"""What a step needs from a cluster: resources, addresses and secrets, volumes. The local runner ignores all of it.

The Kubernetes settings are written as the JSON form of Kubeflow's KubernetesExecutorConfig, the second document of a
compiled pipeline; `infra/kubernetes` has the objects that they name.
"""

from typing import Any

from kfp import dsl

SETTINGS = "personsearch"
ADDRESSES = (
    "PERSONSEARCH_MLFLOW_URI",
    "MLFLOW_TRACKING_URI",
    "PERSONSEARCH_MILVUS_URI",
    "PERSONSEARCH_GALLERY",
    "PERSONSEARCH_CHECKPOINTS",
)
STORAGE_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGISTRY_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", *STORAGE_SECRETS)
VECTOR_SECRETS = ("PERSONSEARCH_MILVUS_TOKEN",)
GALLERY_SECRETS = ("PERSONSEARCH_DATABASE",)
CHECKPOINTS, GALLERY, MODELS = "personsearch-checkpoints", "personsearch-gallery", "personsearch-models"
VOLUMES = {CHECKPOINTS: "/checkpoints", GALLERY: "/gallery", MODELS: "/models"}
GPU = "nvidia.com/gpu"


def place(
    task: dsl.PipelineTask, *, cpu: str, memory: str, secrets: tuple[str, ...] = (), volumes: tuple[str, ...] = ()
) -> None:
    """Limit a step's resources; give it the installation's addresses, and only the secrets and volumes it needs."""
    addresses = [{"configMapKey": name, "envVar": name} for name in ADDRESSES]
    kubernetes: dict[str, Any] = {
        "configMapAsEnv": [{"configMapNameParameter": _constant(SETTINGS), "keyToEnv": addresses}]
    }
    if secrets:
        keys = [{"secretKey": name, "envVar": name} for name in secrets]
        kubernetes["secretAsEnv"] = [{"secretNameParameter": _constant(SETTINGS), "keyToEnv": keys, "optional": True}]
    if volumes:
        kubernetes["pvcMount"] = [{"pvcNameParameter": _constant(name), "mountPath": VOLUMES[name]} for name in volumes]
    task.platform_config["kubernetes"] = kubernetes
    task.set_cpu_limit(cpu).set_memory_limit(memory)


def accelerate(task: dsl.PipelineTask, count: str) -> None:
    """Request `count` GPUs, a parameter of the pipeline that is set when a run starts; 0 requests none."""
    task.set_accelerator_type(GPU).set_accelerator_limit(count)


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
