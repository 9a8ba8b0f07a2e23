"""The rehearsal's own parts, against kfp's real DockerRunner and a small engine that runs containers as processes."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kfp import compiler, dsl, local

from components.images import PLATFORM_IMAGE, TRAINING_IMAGE
from infra import rehearse
from infra.rehearse import (
    INDEXING,
    LABEL,
    ROOT,
    TRAINING,
    Attempts,
    Killer,
    Rehearsal,
    container_settings,
    containers_of,
    differences,
    environment,
    images_of,
    open_docker,
    outcome,
    seconds_of,
    vectors_of,
)
from personsearch.errors import UserError
from personsearch.integrations.kubeflow.log import Step
from personsearch.integrations.kubeflow.runs import PipelineRun, run_locally
from personsearch.search.exact import ExactStore
from personsearch.search.index import CollectionProperties
from pipelines.arguments import configurations, pipeline_arguments
from tests.crops import make_crop
from tests.servers.docker_engine import Engine, docker_engine
from tests.servers.engines import Engines

PROPERTIES = CollectionProperties("personsearch", "1", "0123456789abcdef", "data", embedding_dim=4)
SECONDS = 60.0  # that the first attempt would take


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def slow(diary: str, seconds: float) -> str:
    import os
    import time
    from pathlib import Path

    first = not Path(diary).exists()
    with Path(diary).open("a") as file:
        file.write("begun\n")
    time.sleep(seconds if first else 0)
    return os.environ["PERSONSEARCH_MILVUS_URI"] + os.environ.get("PERSONSEARCH_HOME", ", no home")


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def after(said: str) -> str:
    return said.upper()


@dsl.pipeline(name="slowly")
def slowly(diary: str, seconds: float = 0.0) -> str:
    said = slow(diary=diary, seconds=seconds).set_retry(num_retries=1, backoff_duration="0s")
    return after(said=said.output).output


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    compiler.Compiler().compile(slowly, str(tmp_path / "slowly.yaml"))
    return tmp_path / "slowly.yaml"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with docker_engine(PLATFORM_IMAGE, TRAINING_IMAGE) as running:
        monkeypatch.setenv("DOCKER_HOST", running.address)
        yield running


@pytest.fixture
def around(tmp_path: Path) -> Engines:
    variables = {"PERSONSEARCH_MILVUS_URI": "http://milvus:1", "AWS_SECRET_ACCESS_KEY": "of the store"}
    return Engines(variables, tmp_path / ".s.PGSQL.5432", tmp_path, "git://127.0.0.1:1", "s3://crops/1")


def test_every_step_has_an_image_that_make_images_builds() -> None:
    images = images_of(TRAINING) | images_of(INDEXING)
    assert {images[step] for step in ("train", "compress", "augment")} == {TRAINING_IMAGE}
    assert {images[step] for step in ("fetch-dataset", "register", "index-shard", "index-gallery")} == {PLATFORM_IMAGE}
    targets = re.search(r"targets=\$\{TARGETS:-([\w ]+)\}", (ROOT / "infra/build_images.sh").read_text())
    assert targets is not None
    tag = yaml.safe_load((ROOT / "pipelines/cluster.yaml").read_text())["images"]["tag"]
    assert set(images.values()) <= {f"personsearch-{target}:{tag}" for target in targets[1].split()}


def test_the_plan_is_one_that_the_stages_take() -> None:
    plan = Rehearsal.from_yaml(ROOT / "infra/rehearsal.yaml")
    recipe = yaml.safe_load((ROOT / plan.recipe).read_text()) | plan.recipe_changes
    for name, values in {**plan.training, **plan.indexing, "train_config": recipe}.items():
        if isinstance(values, dict):
            configurations()[name].model_validate(values)
    assert pipeline_arguments(INDEXING, params=None, arguments=None, settings=[])["code_version"]


def test_a_step_gets_what_restricted_pod_security_leaves_it(
    spec: Path, engine: Engine, around: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", "of the caller")
    runner = local.DockerRunner(**container_settings(around))
    finished = run_locally(spec, {"diary": str(tmp_path / "diary")}, root=tmp_path / "root", containers=runner)
    assert finished.returned == {"slow": "http://milvus:1, no home", "after": "HTTP://MILVUS:1, NO HOME"}
    assert {(step.name, step.state) for step in finished.steps} == {("slow", "succeeded"), ("after", "succeeded")}
    asked, host = engine.created[0], engine.created[0]["HostConfig"]
    assert asked["Image"] == PLATFORM_IMAGE
    assert "User" not in asked, "the image's own"
    assert sorted(asked["Env"]) == sorted(f"{name}={value}" for name, value in around.variables.items())
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert set(host["Tmpfs"]) == {"/tmp", "/home/personsearch"}
    assert host["Binds"][0] == f"{finished.folder}:{finished.folder}:rw"
    assert host["Mounts"] == [
        {"Source": str(around.socket), "Target": str(around.socket), "Type": "bind", "ReadOnly": False}
    ]


def test_a_killed_step_is_tried_again_and_gives_the_same(
    spec: Path, engine: Engine, around: Engines, tmp_path: Path
) -> None:
    client = open_docker([PLATFORM_IMAGE])
    killer = Killer("slow", 3.0, lambda: containers_of(client))
    attempts = Attempts([killer])
    arguments = {"diary": str(tmp_path / "diary"), "seconds": SECONDS}
    runner = local.DockerRunner(**container_settings(around))
    finished = run_locally(spec, arguments, root=tmp_path / "root", announce=attempts, containers=runner)
    killer.check()
    assert [(step.name, step.state) for step in attempts.ended] == [
        ("slow", "failed"),
        ("slow", "succeeded"),
        ("after", "succeeded"),
    ]
    assert (tmp_path / "diary").read_text().count("begun") == 2
    assert finished.returned["after"] == "HTTP://MILVUS:1, NO HOME"
    assert engine.running({LABEL}) == []


def test_killing_too_late_is_said(engine: Engine) -> None:
    client = open_docker([])
    killer = Killer("slow", 0.0, lambda: containers_of(client))
    killer.begin("slow")
    assert killer.timer is not None
    killer.timer.join()
    with pytest.raises(UserError, match=r"^slow ended before it was killed$"):
        killer.check()


def test_what_docker_lacks_is_said(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^Docker has no image personsearch-serving:9; run `make images`$"):
        open_docker([PLATFORM_IMAGE, "personsearch-serving:9"])
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere")
    with pytest.raises(UserError, match=r"^no Docker engine answers: .*; start one, or name it in DOCKER_HOST$"):
        open_docker([PLATFORM_IMAGE])


def test_no_engine_of_the_callers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_GALLERY", "/data/of/the/caller")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    before = dict(os.environ)
    with environment({"PERSONSEARCH_CROPS": "s3://crops/1"}):
        named = {name for name in os.environ if name.startswith(("PERSONSEARCH_", "AWS_"))}
        assert named == {"PERSONSEARCH_CROPS"}
        assert os.environ["PATH"] == before["PATH"]
    assert dict(os.environ) == before


def test_differences_name_what_was_expected() -> None:
    expected = {"model": "ab", "metric: r1": 40.0, "vectors": 90}
    assert differences(expected, dict(expected)) == []
    assert differences(expected, {"model": "cd", "metric: r1": 40.0, "more": 1}) == [
        "model: ab expected, found cd",
        "vectors: 90 expected, found None",
        "more: None expected, found 1",
    ]


def test_vectors_are_compared_in_any_order_and_to_the_last_bit() -> None:
    vectors_ND = np.eye(4, dtype=np.float32)[:2]
    turned_ND = np.array([vectors_ND[1], np.nextafter(vectors_ND[0], 1)], dtype=np.float32)
    crops = [make_crop("a"), make_crop("b")]
    store = ExactStore()
    for name, order, stored_ND in (
        ("a", crops, vectors_ND),
        ("b", crops[::-1], vectors_ND[::-1]),
        ("c", crops[::-1], turned_ND),
    ):
        store.create(name, PROPERTIES).upsert(order, stored_ND)
    first, again, other = (vectors_of(store, name) for name in "abc")
    assert first == again
    assert first["vectors"] == other["vectors"] == 2
    assert first["vectors, hash"] != other["vectors, hash"]


def test_what_two_runs_made_is_equal_though_they_took_other_times(tmp_path: Path) -> None:
    def made(name: str, seconds: str, graph: str) -> dict[str, Any]:
        chosen = tmp_path / name / "chosen"
        chosen.mkdir(parents=True)
        (chosen / "image_encoder.onnx").write_text(graph)
        (chosen / "MODEL_CARD.md").write_text(seconds)
        (tmp_path / name / "metrics").write_text(json.dumps({"t2i_r1": 40.0}))
        store = ExactStore()
        store.create("persons_v1_1", PROPERTIES)
        outputs = {"model": str(chosen.parent), "metrics": str(chosen.parent / "metrics"), "passed": True}
        returned = dict.fromkeys(("prepare", "augment", "train", "compress", "register"), "a hash")
        trained = PipelineRun(tmp_path, 1.0, (), outputs, returned)
        return outcome(trained, PipelineRun(tmp_path, 1.0, (), {}, {"index-gallery": "persons_v1_1"}), store)

    first = made("first", "took 1 s", "graph")
    assert (first["metric: t2i_r1"], first["vectors"]) == (40.0, 0)
    assert differences(first, made("second", "took 2 s", "graph")) == []
    (differs,) = differences(first, made("third", "took 2 s", "another graph"))
    assert differs.startswith("bundle: image_encoder.onnx: ")


def test_a_step_is_killed_at_half_of_its_first_time(tmp_path: Path) -> None:
    ended = [Step("train", "succeeded", 40.0, tmp_path), Step("gate", "succeeded", 2.0, tmp_path)]
    assert seconds_of("train", ended) == 40.0
    with pytest.raises(UserError, match=r"^register did not run$"):
        seconds_of("register", ended)


def test_the_command_teaches_and_refuses_another_step(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in (["--help"], 0), (["--kill", "deploy"], 2):
        with pytest.raises(SystemExit) as ended:
            rehearse.main(arguments)
        assert ended.value.code == code
    shown = capsys.readouterr()
    assert "make images" in shown.out
    assert "index-shard" in shown.err


def test_without_docker_it_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere")
    with pytest.raises(SystemExit) as ended:
        rehearse.main(["--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("rehearse: no Docker engine answers")
    assert not (tmp_path / "out").exists()
