"""What a cluster's settings become in a compiled pipeline."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig

from personsearch.errors import UserError
from pipelines.cluster import PACKAGED, VOLUMES, cluster_config
from pipelines.compile import COMPILED, PIPELINES, compile_pipeline

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def override(folder: Path, text: str) -> Path:
    path = folder / "ours.yaml"
    path.write_text(text)
    return path


def compiled(folder: Path, text: str = "{}", name: str = "training", **images: Any) -> tuple[Any, Any]:
    path = compile_pipeline(name, folder, cluster_config(override(folder, text), images))
    spec, platform = yaml.safe_load_all(path.read_text())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def container(spec: Any, step: str) -> Any:
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def test_every_component_of_the_pipelines_has_a_section() -> None:
    labels = [
        label for each in COMPILED.glob("*.yaml") for label in next(yaml.safe_load_all(each.read_text()))["components"]
    ]
    steps = {label.removeprefix("comp-").removesuffix("-2").replace("-", "_") for label in labels}
    assert set(cluster_config().steps) == {step for step in steps if not step.startswith(("condition", "for_loop"))}


def test_every_volume_that_steps_mount_is_one_of_the_installation() -> None:
    mounted = {name: path for step in cluster_config().steps.values() for name, path in step.volumes.items()}
    assert mounted.items() <= VOLUMES.items()


def test_nothing_of_ours_means_the_packaged_settings(tmp_path: Path) -> None:
    path = compile_pipeline("training", tmp_path, cluster_config(override(tmp_path, "{}")))
    assert path.read_bytes() == (COMPILED / "training.yaml").read_bytes()


def test_requests_are_apart_from_limits(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "steps: {train: {memory_request: 40Gi, memory_limit: 64Gi, cpu_limit: null}}")
    resources = container(spec, "train")["resources"]
    assert resources.pop("accelerator")["resourceType"] == "nvidia.com/gpu"
    assert resources == {"resourceCpuRequest": "4", "resourceMemoryRequest": "40Gi", "resourceMemoryLimit": "64Gi"}


def test_one_section_places_every_step_of_its_component(tmp_path: Path) -> None:
    ours = """
    labels: {team: search}
    run_as_user: null
    images: {pull_secrets: [registry-key], pull_policy: Always}
    steps:
      evaluate:
        node_selector: {pool: big}
        tolerations: [{key: spot, operator: Equal, value: "yes"}]
        labels: {cost: low}
        annotations: {sidecar.istio.io/inject: "false"}
        deadline_seconds: 3600
        shared_memory: 1Gi
    """
    _, executors = compiled(tmp_path, ours)
    for label in ("exec-evaluate", "exec-evaluate-2"):
        placed = executors[label]
        assert placed["nodeSelector"] == {"labels": {"pool": "big"}}
        assert placed["tolerations"] == [{"key": "spot", "operator": "Equal", "value": "yes"}]
        assert placed["podMetadata"] == {
            "labels": {"team": "search", "cost": "low"},
            "annotations": {"sidecar.istio.io/inject": "false"},
        }
        assert placed["activeDeadlineSeconds"] == "3600"
        assert placed["emptyDirMounts"] == [
            {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "1Gi"}
        ]
    assert executors["exec-gate"]["podMetadata"] == {"labels": {"team": "search"}}
    assert executors["exec-gate"]["securityContext"] == {"runAsNonRoot": True}
    assert executors["exec-gate"]["imagePullPolicy"] == "Always"
    assert executors["exec-gate"]["imagePullSecret"] == [
        {"secretNameParameter": {"runtimeValue": {"constant": "registry-key"}}}
    ]


def test_every_setting_of_a_step_is_one_that_kubeflow_knows(tmp_path: Path) -> None:
    """Its backend ignores nothing and explains little: here each field is parsed as Kubeflow's own message."""
    everything = """
    images: {pull_secrets: [a], pull_policy: Always}
    labels: {a: b}
    steps: {train: {node_selector: {a: b}, annotations: {a: b}, deadline_seconds: 60, shared_memory: 1Gi}}
    """
    for name in PIPELINES:
        for executor in compiled(tmp_path, everything, name)[1].values():
            json_format.ParseDict(executor, KubernetesExecutorConfig())


def test_no_step_runs_as_root() -> None:
    for path in COMPILED.glob("*.yaml"):
        _, platform = yaml.safe_load_all(path.read_text())
        for label, executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            assert executor["securityContext"] == {"runAsNonRoot": True, "runAsUser": "10001"}, label


def test_a_step_that_failed_is_tried_again_with_longer_and_longer_waits(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "steps: {train: {retries: {count: 7, factor: 3}}, prepare: {retries: {count: 0}}}")
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["train"]["retryPolicy"] == {
        "maxRetryCount": 7,
        "backoffDuration": "60s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "1800s",
    }
    assert "retryPolicy" not in tasks["prepare"]
    (condition,) = (c for name, c in spec["components"].items() if name.startswith("comp-condition"))
    assert condition["dag"]["tasks"]["register"]["retryPolicy"]["maxRetryCount"] == 3, "in a branch too"


def test_images_are_qualified_by_registry_tag_and_digest(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, registry="registry.example.com/team/", tag="0.2.0", digests={"training": DIGEST})
    assert container(spec, "train")["image"] == f"registry.example.com/team/personsearch-training@{DIGEST}"
    assert container(spec, "gate")["image"] == "registry.example.com/team/personsearch-platform:0.2.0"


def test_each_shard_of_an_index_may_be_encoded_on_an_accelerator(tmp_path: Path) -> None:
    ours = "steps: {index_shard: {image: personsearch-platform-gpu, accelerators: 1}}"
    shard = container(compiled(tmp_path, ours, "indexing")[0], "index-shard")
    assert shard["image"] == "personsearch-platform-gpu:0.1.0"
    expected = {"resourceCount": "1", "type": "nvidia.com/gpu", "resourceType": "nvidia.com/gpu"}
    assert shard["resources"]["accelerator"] == expected
    assert "accelerator" not in container(compiled(tmp_path, "{}", "indexing")[0], "index-shard")["resources"]


def test_a_step_can_run_in_another_image_on_another_accelerator(tmp_path: Path) -> None:
    ours = "steps: {augment: {image: personsearch-training-rocm, accelerator: amd.com/gpu}}"
    spec, _ = compiled(tmp_path, ours, tag="1")
    assert container(spec, "augment")["image"] == "personsearch-training-rocm:1"
    assert container(spec, "augment")["resources"]["accelerator"]["resourceType"] == "amd.com/gpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {trian: {}}", r"ours\.yaml: steps\.trian: unknown; did you mean train\?"),
        ("steps: {train: {gpus: 4}}", r"ours\.yaml: steps\.train\.gpus: unknown"),
        ("steps: {train: {retries: {count: -1}}}", r"ours\.yaml: steps\.train\.retries\.count=-1: at least 0 expected"),
        ("run_as_user: 0", r"ours\.yaml: run_as_user=0: a number above 0 expected"),
        ("[]", r"ours\.yaml: a YAML mapping expected, found list"),
        ("steps: 5", r"ours\.yaml: steps=5: a mapping expected"),
        ("images: 5", r"ours\.yaml: images=5: a mapping expected"),
        ("images: {digests: 5}", r"ours\.yaml: images\.digests=5: a mapping expected"),
        (
            f"images: {{digests: {{trainning: 'sha256:{'0' * 64}'}}}}",
            r"ours\.yaml: .*trainning.* did you mean training",
        ),
        ("steps: {train: {memory_limit: 8GiB}}", r"steps\.train\.memory_limit: '8GiB': .*such as 8Gi or 500Mi"),
        ("steps: {train: {shared_memory: 8 Gi}}", r"steps\.train\.shared_memory: '8 Gi': .*such as 8Gi or 500Mi"),
        ("steps: {train: {cpu_request: 2 cores}}", r"steps\.train\.cpu_request: '2 cores': .*such as 2 or 500m"),
        ("steps: {train: {volumes: {mine: models}}}", r"steps\.train\.volumes\.mine: 'models': .*an absolute path"),
        ("steps: {train: {volumes: {mine: /models/../etc}}}", r"an absolute path below / without : and \.\. expected"),
        ("steps: {train: {volumes: {mine: /}}}", r"steps\.train\.volumes\.mine: '/': an absolute path below /"),
        ("steps: {train: {volumes: {mine: //./}}}", r"'//\./': an absolute path below /"),
        ("steps: {train: {retries: {wait_seconds: 99999999999}}}", r"retries\.wait_seconds.*at most 86400"),
        ("steps: {train: {retries: {longest_wait_seconds: 1000000}}}", r"longest_wait_seconds.*at most 86400"),
        ("steps: {train: {retries: {count: 101}}}", r"retries\.count.*at most 100"),
        ("images: {digests: {training: latest}}", r"ours\.yaml: .*sha256: and 64 hex digits expected"),
    ],
)
def test_a_wrong_setting_is_one_readable_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cluster_config(override(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {train: {memory_request: 64Gi}}", "memory_request 64Gi is above memory_limit 32Gi; no pod starts"),
        ("steps: {gate: {memory_limit: 900Mi}}", "memory_request 1Gi is above memory_limit 900Mi; no pod starts"),
        ("steps: {train: {cpu_request: 8001m}}", "cpu_request 8001m is above cpu_limit 8; no pod starts"),
        ("steps: {train: {cpu_limit: '1٣'}}", "a number of processors expected, such as 2 or 500m"),
        ("images: {registry: 'https://registry.example.com'}", "HOST/PATH without a scheme expected"),
        ("images: {registry: 'registry.example.com/our team'}", "HOST/PATH without a scheme expected"),
        ("images: {tag: 'v 1'}", "'v 1': a tag of letters, digits and _.- expected"),
        ("images: {tag: ''}", "'': a tag of letters, digits and _.- expected"),
        ("steps: {train: {image: 'Our Image'}}", "'Our Image': the name of an image expected"),
        ("labels: {team: computer vision}", "'computer vision': a value of a label expected"),
        ("steps: {train: {node_selector: {pool: a/b}}}", "'a/b': a value of a label expected"),
    ],
)
def test_what_no_cluster_could_start_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Kubeflow would accept the run, and every pod of the step would be refused."""
    with pytest.raises(UserError) as caught:
        cluster_config(override(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "steps: {train: {memory_request: 32768Mi, cpu_request: 8000m}}",
        "steps: {train: {memory_request: 34G}}",  # below 32Gi
        "steps: {train: {memory_request: 64Gi, memory_limit: null}}",
        "images: {registry: 'localhost:5000/team_a/x', tag: v1.0-rc.1}",
        "steps: {train: {image: personsearch-platform-gpu}}",
        "labels: {team: vision, empty: ''}",
    ],
)
def test_what_clusters_take_is_accepted(tmp_path: Path, text: str) -> None:
    cluster_config(override(tmp_path, text))


@pytest.mark.parametrize("value", ["8Gi", "500Mi", "1.5Gi", "16000000000", "16G", "64Ki"])
def test_memory_is_what_kubernetes_takes(tmp_path: Path, value: str) -> None:
    given = cluster_config(override(tmp_path, f"steps: {{train: {{memory_request: null, memory_limit: '{value}'}}}}"))
    assert given.steps["train"].memory_limit == value


def test_the_packaged_settings_hold_no_registry_of_anyone() -> None:
    assert cluster_config().images.registry == ""
    assert PACKAGED.is_file()
