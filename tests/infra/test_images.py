"""What the images hold, as the Dockerfile asks for it and the lock resolves it."""

import re
import tomllib
from pathlib import Path

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


def test_a_changed_line_of_code_leaves_the_layer_of_dependencies_as_it_is() -> None:
    before_code = DOCKERFILE.partition("FROM build AS code")[0]
    assert re.findall(r"^COPY (.*)$", before_code, re.MULTILINE) == ["pyproject.toml requirements.lock ./"]
    for stage in ("training", "platform", "serving"):
        copied = re.findall(r"COPY --from=(\S+)", DOCKERFILE.partition(f" AS {stage}\n")[2].partition("\nFROM")[0])
        assert copied == [f"build-{stage}", "code"]
        assert "USER 10001:10001" in DOCKERFILE.partition(f" AS {stage}\n")[2]


def test_the_builder_of_the_package_is_locked() -> None:
    assert "hatchling" in needed_by()
    assert "--build-constraint requirements.lock" in DOCKERFILE


def test_any_user_has_a_name_and_a_home() -> None:
    """Without USER, Python's getpass looks for the number's entry in /etc/passwd, and fails where there is none."""
    for setting in ("HOME=/home/personsearch", "USER=personsearch", "LOGNAME=personsearch"):
        assert setting in DOCKERFILE
    assert "chmod --recursive g=u /home/personsearch" in DOCKERFILE
