"""The check of manifests finds what a cluster would refuse, and what we ship passes it."""

import copy
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from components.images import PLATFORM_IMAGE, TRAINING_IMAGE
from personsearch.installation.service_commands import KINDS
from pipelines.cluster import ADDRESSES, SETTINGS, VOLUMES

ROOT = Path(__file__).parents[2]


def load_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_manifests", ROOT / "infra" / "check_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check = load_check()


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return check.rendered(check.BASE)


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return copy.deepcopy(found)


def test_what_we_ship_is_in_order(manifests: list[dict[str, Any]]) -> None:
    schemas = check.custom_schemas(check.CRD_DIR)
    assert [problem for manifest in manifests for problem in check.manifest_problems(manifest, schemas)] == []
    assert len(manifests) == 10


def test_an_unknown_field_of_a_core_kind_is_found(manifests: list[dict[str, Any]]) -> None:
    deployment = named(manifests, "Deployment", "personsearch-serving")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    (problem,) = check.manifest_problems(deployment, {})
    assert "livenesProbe" in problem


CRD = {
    "spec": {
        "group": "example.com",
        "names": {"kind": "Watch"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["port"],
                                "properties": {
                                    "port": {"x-kubernetes-int-or-string": True, "anyOf": []},
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "note": {"type": "string", "nullable": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    }
}


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({"port": 80}, 0),
        ({"port": "http", "free": {"any": 1}, "note": None}, 0),
        ({"port": 1.5}, 1),
        ({}, 1),
        ({"port": 80, "prot": 80}, 1),
    ],
)
def test_custom_resources_are_held_against_their_crd(tmp_path: Path, spec: dict[str, Any], problems: int) -> None:
    (tmp_path / "watch.yaml").write_text(yaml.safe_dump(CRD))
    manifest = {"apiVersion": "example.com/v1", "kind": "Watch", "metadata": {"name": "w"}, "spec": spec}
    assert len(list(check.manifest_problems(manifest, check.custom_schemas(tmp_path)))) == problems


def test_pipelines_find_their_settings_and_volumes(manifests: list[dict[str, Any]]) -> None:
    settings = named(manifests, "ConfigMap", SETTINGS)["data"]
    assert set(settings) == set(ADDRESSES)
    claims = {m["metadata"]["name"] for m in manifests if m["kind"] == "PersistentVolumeClaim"}
    assert set(VOLUMES) <= claims
    assert settings["PERSONSEARCH_CHECKPOINTS"] == VOLUMES["personsearch-checkpoints"]
    assert settings["PERSONSEARCH_GALLERY"] == VOLUMES["personsearch-gallery"]


def test_serving_runs_without_privileges(manifests: list[dict[str, Any]]) -> None:
    pod = named(manifests, "Deployment", "personsearch-serving")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_image_serves_as_an_installation_does() -> None:
    """Its flags too: without a limit a half-sent request would outlive the 30 s that a cluster grants."""
    (dockerfile,) = check.DOCKERFILES
    (command,) = re.findall(r"^CMD (\[.*?\])$", dockerfile.read_text().replace("\\\n", ""), re.MULTILINE)
    in_image, here = json.loads(command), KINDS["serving"].command(Path(), 8000)
    listens = in_image.index("--host"), here.index("--fd")
    assert in_image[: listens[0]] == here[here.index("uvicorn") : listens[1]]
    assert in_image[listens[0] + 4 :] == here[listens[1] + 2 :]
    assert "serving.connections:Connection" in in_image


def test_dockerfile_is_clean_and_builds_the_images_that_components_name(tmp_path: Path) -> None:
    (dockerfile,) = check.DOCKERFILES
    assert check.dockerfile_problems(dockerfile) == []
    text = dockerfile.read_text()
    for image in (TRAINING_IMAGE, PLATFORM_IMAGE):
        assert f"AS {image.partition(':')[0].removeprefix('personsearch-')}\n" in text
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN pip install torch\n")
    assert check.dockerfile_problems(bad) != []
