"""Writes the compiled pipelines that are committed beside this file, and checks that they are up to date."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kfp import compiler

from personsearch.config import nearest
from personsearch.errors import UserError
from personsearch.files import replacing
from pipelines.cluster import ClusterConfig, cluster_config, placed
from pipelines.indexing import indexing_pipeline
from pipelines.training import training_pipeline

PIPELINES: dict[str, Callable[..., Any]] = {"training": training_pipeline, "indexing": indexing_pipeline}
COMPILED = Path(__file__).parent / "compiled"
OBJECTS = "kubernetes"
GROUP = "pipelines.kubeflow.org/v2beta1"


def compile_pipeline(name: str, folder: Path = COMPILED, cluster: ClusterConfig | None = None) -> Path:
    """Compile one pipeline into `folder`, for a cluster or with the packaged settings; equal sources give equal bytes.

    Raises:
        UserError: there is no such pipeline.
    """
    if name not in PIPELINES:
        raise UserError(f"pipeline {name!r}: unknown; {nearest(name, PIPELINES)}")
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        compiled = Path(work) / path.name
        compiler.Compiler().compile(PIPELINES[name], str(compiled))
        text = placed(compiled.read_text(encoding="utf-8"), cluster or cluster_config())
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def compile_objects(name: str, folder: Path = COMPILED, cluster: ClusterConfig | None = None) -> Path:
    """Write one pipeline as a Pipeline and a PipelineVersion, the objects that tools of GitOps apply.

    A version cannot be changed in Kubernetes, so its name holds a hash of the pipeline.

    Raises:
        UserError: there is no such pipeline.
    """
    with TemporaryDirectory() as work:
        text = compile_pipeline(name, Path(work), cluster).read_text(encoding="utf-8")
    spec, platform = yaml.safe_load_all(text)
    pipeline, description = spec["pipelineInfo"]["name"], spec["pipelineInfo"]["description"]
    version = f"{pipeline}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    said = {"displayName": pipeline, "description": description}
    objects = [
        {"apiVersion": GROUP, "kind": "Pipeline", "metadata": {"name": pipeline}, "spec": said},
        {
            "apiVersion": GROUP,
            "kind": "PipelineVersion",
            "metadata": {"name": version},
            "spec": {**said, "displayName": version, "pipelineName": pipeline}
            | {"pipelineSpec": spec, "platformSpec": platform},
        },
    ]
    path = folder / OBJECTS / f"{name}.yaml"
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump_all(objects, sort_keys=True), encoding="utf-8")
    return path


def stale(folder: Path, committed: Path = COMPILED) -> list[str]:
    """Names of the pipelines whose committed YAML differs from what the sources compile to; works in `folder`."""
    return [name for name in PIPELINES if not _is_current(name, folder, committed)]


def _is_current(name: str, folder: Path, committed: Path) -> bool:
    written = (compile_pipeline(name, folder), compile_objects(name, folder))
    return all(_equal(path, committed / path.relative_to(folder)) for path in written)


def check_compiled() -> None:
    """Compile into a temporary folder and compare byte for byte.

    Raises:
        UserError: a committed file is missing or differs from what its source compiles to.
    """
    with TemporaryDirectory() as folder:
        changed = stale(Path(folder))
    if changed:
        raise UserError(f"compiled pipelines are stale: {', '.join(changed)}; run `personsearch pipeline compile`")


def _equal(fresh: Path, committed: Path) -> bool:
    return committed.is_file() and fresh.read_bytes() == committed.read_bytes()
