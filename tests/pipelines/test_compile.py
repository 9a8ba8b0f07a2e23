"""The compiled pipelines: what is committed, strictly parsed, and what a cluster needs of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.images import PLATFORM_IMAGE, TRAINING_IMAGE
from pipelines.cluster import ADDRESSES, VOLUMES, cluster_config, variable
from pipelines.compile import COMPILED, PIPELINES, compile_objects, compile_pipeline, stale

ALWAYS_RUN = {"gate", "register", "plan-index", "index-shard", "index-gallery"}


def documents(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text(encoding="utf-8"))
    return spec, platform


def tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    graphs = [spec["root"], *spec["components"].values()]
    every = {name: task for graph in graphs for name, task in graph.get("dag", {}).get("tasks", {}).items()}
    return {
        name: task
        for name, task in every.items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }


@pytest.mark.parametrize("name", PIPELINES)
def test_committed_yaml_is_what_the_source_compiles_to(name: str, tmp_path: Path) -> None:
    assert compile_pipeline(name, tmp_path).read_bytes() == (COMPILED / f"{name}.yaml").read_bytes()


def test_an_edited_or_missing_yaml_is_stale(tmp_path: Path) -> None:
    committed, work = tmp_path / "committed", tmp_path / "work"
    for name in PIPELINES:
        compile_pipeline(name, committed)
        compile_objects(name, committed)
    assert stale(work, committed) == []
    (committed / "training.yaml").write_bytes((committed / "training.yaml").read_bytes() + b"\n")
    (committed / "indexing.yaml").unlink()
    assert stale(work, committed) == ["training", "indexing"]


@pytest.mark.parametrize("name", PIPELINES)
def test_the_objects_for_gitops_are_stale_too(name: str, tmp_path: Path) -> None:
    committed, work = tmp_path / "committed", tmp_path / "work"
    for each in PIPELINES:
        compile_pipeline(each, committed)
        compile_objects(each, committed)
    (committed / f"kubernetes/{name}.yaml").write_bytes(b"")
    assert stale(work, committed) == [name]


@pytest.mark.parametrize("name", PIPELINES)
def test_objects_hold_the_whole_pipeline_under_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    pipeline, version = yaml.safe_load_all((COMPILED / f"kubernetes/{name}.yaml").read_text(encoding="utf-8"))
    assert (pipeline["kind"], pipeline["metadata"]["name"]) == ("Pipeline", f"personsearch-{name}")
    assert (version["kind"], version["spec"]["pipelineName"]) == ("PipelineVersion", f"personsearch-{name}")
    assert (version["spec"]["pipelineSpec"], version["spec"]["platformSpec"]) == documents(name)
    other = cluster_config(images={"tag": "0.2.0"})
    _, changed = yaml.safe_load_all(compile_objects(name, tmp_path, other).read_text(encoding="utf-8"))
    assert changed["metadata"]["name"] != version["metadata"]["name"], "a version cannot be changed"


@pytest.mark.parametrize("name", PIPELINES)
def test_spec_parses_strictly(name: str) -> None:
    """An unknown field or a task without an executor would only show on a cluster."""
    content, platform = documents(name)
    spec = json_format.ParseDict(content, pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    labels = {component.executor_label for component in spec.components.values() if component.executor_label}
    assert labels == set(deployment.executors)
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    assert set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == labels


@pytest.mark.parametrize("name", PIPELINES)
def test_steps_install_nothing_and_run_in_our_images(name: str) -> None:
    text = (COMPILED / f"{name}.yaml").read_text(encoding="utf-8")
    assert "pip install" not in text
    executors = documents(name)[0]["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} <= {TRAINING_IMAGE, PLATFORM_IMAGE}


@pytest.mark.parametrize("name", PIPELINES)
def test_what_reads_or_writes_a_service_is_never_cached(name: str) -> None:
    for task_name, task in tasks(documents(name)[0]).items():
        cached = task.get("cachingOptions", {}).get("enableCache", False)
        assert cached is (task_name not in ALWAYS_RUN), task_name


def test_cached_steps_depend_on_the_code_and_on_the_content_of_their_inputs() -> None:
    """Kubeflow's cache sees arguments, not the content of artifacts."""
    for name, task in tasks(documents("training")[0]).items():
        if name in ALWAYS_RUN:
            continue
        inputs = task["inputs"]["parameters"]
        assert "code_version" in inputs, name
        assert any("hash" in parameter for parameter in inputs), name
        if "model" in task["inputs"].get("artifacts", {}):
            assert "fingerprint" in inputs, name


def test_what_may_use_an_accelerator_asks_for_as_many_as_the_caller_says() -> None:
    executors = documents("training")[0]["deploymentSpec"]["executors"]
    asking = {name: e["container"]["resources"].get("accelerator") for name, e in executors.items()}
    accelerator = {name: value for name, value in asking.items() if value}
    assert set(accelerator) == {"exec-train", "exec-augment", "exec-compress"}
    assert {asked["resourceType"] for asked in accelerator.values()} == {"nvidia.com/gpu"}
    given = documents("training")[0]["root"]["inputDefinitions"]["parameters"]
    for step, parameter, default in (
        ("train", "accelerators", "1"),
        ("augment", "augment_accelerators", "0"),
        ("compress", "compress_accelerators", "0"),
    ):
        named = f"pipelinechannel--{parameter}"
        assert accelerator[f"exec-{step}"]["resourceCount"] == f"{{{{$.inputs.parameters['{named}']}}}}"
        inputs = tasks(documents("training")[0])[step]["inputs"]["parameters"]
        assert inputs[named] == {"componentInputParameter": parameter}
        assert given[parameter]["defaultValue"] == default


@pytest.mark.parametrize("name", PIPELINES)
def test_steps_get_addresses_and_volumes_from_the_cluster(name: str) -> None:
    executors = documents(name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        given = {pair["configMapKey"]: pair["envVar"] for pair in executor["configMapAsEnv"][0]["keyToEnv"]}
        assert given == {name: variable(name) for name in ADDRESSES}
        for mount in executor.get("pvcMount", []):
            assert VOLUMES[mount["pvcNameParameter"]["runtimeValue"]["constant"]] == mount["mountPath"]


def test_steps_that_read_what_users_bring_see_its_folder() -> None:
    """A Stable Diffusion folder, a judge or translations in `augment`; weights to start from in `train`."""
    executors = documents("training")[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = {name: [m["mountPath"] for m in e.get("pvcMount", [])] for name, e in executors.items()}
    assert {name: paths for name, paths in mounted.items() if paths} == {
        "exec-augment": ["/models"],
        "exec-train": ["/models"],
    }


def test_a_step_gets_no_secret_that_it_does_not_need() -> None:
    executors = documents("training")[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    needing = {name for name, executor in executors.items() if "secretAsEnv" in executor}
    assert needing == {"exec-fetch-dataset", "exec-train", "exec-compress", "exec-gate", "exec-register"}
    assert "MILVUS" not in str(executors["exec-register"]["secretAsEnv"])


@pytest.mark.parametrize("name", PIPELINES)
def test_no_variable_is_one_that_kubeflows_launcher_reads_or_sets(name: str) -> None:
    """The launcher fetches artifacts with AWS_… of its container, and Kubeflow may set MLFLOW_TRACKING_URI itself."""
    executors = documents(name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    sources = [source for e in executors for source in [*e["configMapAsEnv"], *e.get("secretAsEnv", [])]]
    names = {pair["envVar"] for source in sources for pair in source["keyToEnv"]}
    assert "PERSONSEARCH_STEP_MLFLOW_TRACKING_URI" in names
    assert [each for each in names if each.startswith(("AWS_", "MLFLOW_"))] == []
