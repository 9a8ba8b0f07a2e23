"""What the images hold, as the Dockerfile asks for it and the lock resolves it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import yaml
from dvc.dirs import site_cache_dir

from personsearch.encoders import onnx
from personsearch.installation.doctor import machine

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name)[0]).lower()  # type: ignore[index]


def needed_by() -> dict[str, set[str]]:
    """What each locked package is there for, as the comments of the lock say."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.startswith(" "):
            parents = found.setdefault(normal(line), set())
        elif match := re.match(r"    #   (?:via )?(\S+)|    # via (\S+)", line):
            parents.add(normal(match[1] or match[2]))
    return found


def installed(extras: list[str]) -> set[str]:
    """The packages that the project's own dependencies and these extras bring."""
    direct = PROJECT["dependencies"] + [each for name in extras for each in PROJECT["optional-dependencies"][name]]
    packages, parents = {normal(name) for name in direct}, needed_by()
    while more := {name for name, by in parents.items() if by & packages} - packages:
        packages |= more
    return packages


def extras_of(target: str) -> list[str]:
    stage = DOCKERFILE.partition(f"AS build-{target}\n")[2].partition("\nFROM")[0]
    return re.findall(r"--extra (\w+)", stage)


def test_serving_holds_nothing_of_training_and_pipelines() -> None:
    packages = installed(extras_of("serving"))
    assert {"mlflow-skinny", "boto3", "pymilvus", "fastapi", "onnxruntime"} <= packages
    unwanted = {"kfp", "dvc", "kubernetes", "faiss-cpu", "milvus-lite", "torch", "scikit-learn", "matplotlib", "mlflow"}
    assert packages & unwanted == set()
    assert "FROM runtime AS serving" in DOCKERFILE, "the runtime without Git"


def test_steps_find_their_platforms_and_s3() -> None:
    for target in ("training", "platform"):
        assert {"kfp", "dvc", "dvc-s3", "boto3", "mlflow", "pymilvus"} <= installed(extras_of(target))
    assert "torch" in installed(extras_of("training"))
    assert "torch" not in installed(extras_of("platform"))


@pytest.mark.parametrize("target", ["training", "platform", "platform-gpu", "serving"])
def test_doctor_misses_nothing_in_an_image(target: str) -> None:
    packages = installed(extras_of(target.removesuffix("-gpu")))
    if target == "platform-gpu":
        packages = packages - {"onnxruntime"} | set(versions("infra/docker/gpu.lock"))
    assert [names for names in machine.ENGINES if not packages & set(names)] == []


def test_a_changed_line_of_code_leaves_the_layer_of_dependencies_as_it_is() -> None:
    before_code = DOCKERFILE.partition("FROM build AS code")[0]
    copied = re.findall(r"^COPY (.*)$", before_code, re.MULTILINE)
    assert copied == ["pyproject.toml requirements.lock ./", "infra/docker/gpu.lock ./"]
    for stage in ("training", "platform", "platform-gpu", "serving"):
        copied = re.findall(r"COPY --from=(\S+)", DOCKERFILE.partition(f" AS {stage}\n")[2].partition("\nFROM")[0])
        assert copied == [f"build-{stage}", "code"]
        assert "USER 10001:10001" in DOCKERFILE.partition(f" AS {stage}\n")[2]


def test_what_is_copied_is_sent_to_the_engine_and_nothing_else() -> None:
    sent = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    copied = [line.split()[:-1] for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)]
    assert set(sent) == {source for sources in copied for source in sources}
    assert all((ROOT / path).exists() for path in sent)


def test_a_training_step_finds_the_weights_that_a_shipped_recipe_names() -> None:
    stage = DOCKERFILE.partition(" AS training\n")[2].partition("\nFROM")[0]
    assert re.findall(r"^(?:WORKDIR|COPY weights) .*$", stage, re.MULTILINE) == [
        "WORKDIR /opt/shipped",
        "COPY weights weights",
    ], "a step runs in the image's folder, and a recipe names its weights from there"
    read = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "recipes").rglob("*.yaml")]
    named = {
        recipe["model"]["weights"]
        for recipe in read
        if str(recipe.get("model", {}).get("weights")).startswith("weights/")
    }
    assert named == {"weights/tiny-clip", "weights/tiny-ctlg"}
    assert all((ROOT / path / "weights.safetensors").is_file() for path in named)


def test_the_builder_of_the_package_is_locked() -> None:
    assert "hatchling" in needed_by()
    assert "--build-constraint requirements.lock" in DOCKERFILE


def test_any_user_has_a_name_and_a_home() -> None:
    """Without USER, Python's getpass looks for the number's entry in /etc/passwd, and fails where there is none."""
    for setting in ("HOME=/home/personsearch", "USER=personsearch", "LOGNAME=personsearch"):
        assert setting in DOCKERFILE
    assert "chmod --recursive g=u /home/personsearch" in DOCKERFILE


def test_dvc_keeps_its_index_where_a_read_only_image_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it is /var/tmp/dvc, and fetch_dataset fails."""
    for name, value in re.findall(r"^\s+(DVC_\w+)=(\S+)", DOCKERFILE, re.MULTILINE):
        monkeypatch.setenv(name, value)
    assert Path(site_cache_dir()).is_relative_to("/tmp")


def versions(lock: str) -> dict[str, set[str]]:
    """Of each package: some have one for each platform."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_the_gpu_image_has_the_same_versions_and_only_more() -> None:
    """A bundle's golden inputs are compared to digits that another version of ONNX Runtime may change."""
    gpu, everywhere = versions("infra/docker/gpu.lock"), versions("requirements.lock")
    assert gpu["onnxruntime-gpu"] == everywhere["onnxruntime"]
    assert [name for name in gpu if name in everywhere and not gpu[name] <= everywhere[name]] == []
    assert "onnxruntime-gpu" not in everywhere, "both in one environment would overwrite each other's files"
    stage = DOCKERFILE.partition("AS build-platform-gpu\n")[2].partition("\nFROM")[0]
    assert "uv pip uninstall onnxruntime " in stage
    assert "--require-hashes" in stage


def test_libraries_of_cuda_are_loaded_before_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append("cuda"))
    assert onnx._engines() == ["CPUExecutionProvider"]
    assert loaded == []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(onnx.ENGINES))
    assert onnx._engines() == list(onnx.ENGINES)
    assert loaded == ["cuda"]


DIGEST = f"python@sha256:{'0123456789abcdef' * 4}"
DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1" = run ] && echo '{"bomFormat": "CycloneDX"}'
[ "$1" = images ] && echo personsearch-serving
exit 0
"""


def build(folder: Path, **given: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What `make images` says and calls, with an engine that builds nothing."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/docker").write_text(DOCKER)
    (folder / "bin/docker").chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in ("REGISTRY", "TAG", "TARGETS")}
    command = ["bash", str(ROOT / "infra/build_images.sh")]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PATH": path, "CALLS": str(calls)} | given,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PYTHON_IMAGE": "python@sha256:0123"}, "NAME@sha256: and 64 hex digits expected"),
        ({"PYTHON_IMAGE": f"{DIGEST}0"}, "NAME@sha256: and 64 hex digits expected"),
        ({"REGISTRY": "registry.example.com/team"}, "images for registry.example.com/team: the base is the tag in"),
        ({"REGISTRY": "registry.example.com/team", "PYTHON_IMAGE": "python:3.11"}, "python@sha256:… names one content"),
    ],
)
def test_a_base_that_anyone_can_move_is_not_pushed(tmp_path: Path, given: dict[str, str], said: str) -> None:
    done, calls = build(tmp_path, **given)
    assert done.returncode == 2
    assert said in done.stderr
    assert calls == []


def test_images_are_built_on_the_digest_and_say_what_they_hold(tmp_path: Path) -> None:
    done, calls = build(tmp_path, REGISTRY="registry.example.com/team/", TAG="0.2.0", PYTHON_IMAGE=DIGEST)
    assert (done.returncode, done.stderr) == (0, "")
    built = [call for call in calls if call.startswith("build ")]
    assert [call.split("--target ")[1].split()[0] for call in built] == ["training", "platform", "serving"]
    assert all(f"--build-arg PYTHON_IMAGE={DIGEST}" in call for call in built)
    assert "--tag registry.example.com/team/personsearch-serving:0.2.0" in built[2]
    written = sorted(path.name for path in (tmp_path / "sbom").iterdir())
    assert written == [f"personsearch-{name}-0.2.0.cdx.json" for name in ("platform", "serving", "training")]
    warned, calls = build(tmp_path, TARGETS="platform-gpu", PYTHON_IMAGE="")
    assert warned.returncode == 0
    assert "the base is the tag in the Dockerfile" in warned.stderr
    assert sum(call.startswith("build ") for call in calls) == 1


STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 with a line: that continues

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


def sbom(folder: Path) -> Any:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import write_sbom; from pathlib import Path"
    program += "; write_sbom.main('personsearch-test', Path(sys.argv[2]), Path(sys.argv[3]))"
    (folder / "status").write_text(STATUS)
    file = folder / "sbom.json"
    command = [sys.executable, "-c", program, str(ROOT / "infra"), str(file), str(folder / "status")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHON_IMAGE": DIGEST})
    return json.loads(file.read_text())


def test_a_bill_of_materials_names_every_package_with_its_licence(tmp_path: Path) -> None:
    told = sbom(tmp_path)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert told["metadata"]["component"]["properties"] == [{"name": "personsearch:base", "value": DIGEST}]
    components = {each["purl"].partition("@")[0]: each for each in told["components"]}
    installed = {f"pkg:pypi/{normal(each.metadata['Name'])}" for each in distributions()}
    assert {purl for purl in components if purl.startswith("pkg:pypi/")} == installed
    assert all(each["licenses"] for each in components.values())
    named = {purl: json.dumps(each["licenses"]) for purl, each in components.items()}
    assert "BSD" in named["pkg:pypi/numpy"]
    assert "MIT" in named["pkg:pypi/pydantic"]
    assert len([purl for purl, licences in named.items() if "unknown" in licences]) < 10
    assert components["pkg:deb/debian/libssl3"]["version"] == "3.0.15-1~deb12u1"
    assert "pkg:deb/debian/gone" not in components
    assert sbom(tmp_path) == told, "equal images give equal files"
