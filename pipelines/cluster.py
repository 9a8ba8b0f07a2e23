"""What a step needs of a cluster: resources, addresses and secrets, volumes. The local runner ignores all of it.

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
SECRETS = (
    "PERSONSEARCH_MILVUS_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
VOLUMES = {"personsearch-checkpoints": "/checkpoints", "personsearch-gallery": "/gallery"}
GPU = "nvidia.com/gpu"


def place(task: dsl.PipelineTask, *, cpu: str, memory: str, volume: str | None = None) -> dsl.PipelineTask:
    """Limit a step's resources and give it the installation's addresses, secrets and, if named, one volume."""
    kubernetes: dict[str, Any] = {
        "configMapAsEnv": [
            {
                "configMapNameParameter": _constant(SETTINGS),
                "keyToEnv": [{"configMapKey": name, "envVar": name} for name in ADDRESSES],
            }
        ],
        "secretAsEnv": [
            {
                "secretNameParameter": _constant(SETTINGS),
                "keyToEnv": [{"secretKey": name, "envVar": name} for name in SECRETS],
                "optional": True,
            }
        ],
    }
    if volume is not None:
        kubernetes["pvcMount"] = [{"pvcNameParameter": _constant(volume), "mountPath": VOLUMES[volume]}]
    task.platform_config["kubernetes"] = kubernetes
    return task.set_cpu_limit(cpu).set_memory_limit(memory)


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
