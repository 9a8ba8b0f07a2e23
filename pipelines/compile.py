"""Writes the compiled pipelines that are committed beside this file, and checks that they are up to date."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kfp import compiler

from personsearch.config import nearest
from personsearch.errors import UserError
from personsearch.files import replacing
from pipelines.indexing import indexing_pipeline
from pipelines.training import training_pipeline

PIPELINES: dict[str, Callable[..., Any]] = {"training": training_pipeline, "indexing": indexing_pipeline}
COMPILED = Path(__file__).parent / "compiled"


def compile_pipeline(name: str, folder: Path = COMPILED) -> Path:
    """Compile one pipeline into `folder`; equal sources give equal bytes.

    Raises:
        UserError: there is no such pipeline.
    """
    if name not in PIPELINES:
        raise UserError(f"pipeline {name!r}: unknown; {nearest(name, PIPELINES)}")
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(PIPELINES[name], str(path))
    return path


def stale(folder: Path, committed: Path = COMPILED) -> list[str]:
    """Names of the pipelines whose committed YAML differs from what the sources compile to; works in `folder`."""
    return [name for name in PIPELINES if not _equal(compile_pipeline(name, folder), committed / f"{name}.yaml")]


def check_compiled() -> None:
    """Compile into a temporary folder and compare byte for byte.

    Raises:
        UserError: a committed file is missing or differs from what its source compiles to.
    """
    with TemporaryDirectory() as folder:
        changed = stale(Path(folder))
    if changed:
        raise UserError(f"compiled pipelines are stale: {', '.join(changed)}; run `personsearch pipeline compile`")


def with_registry(spec: Path, registry: str, destination: Path) -> Path:
    """A copy of a compiled pipeline whose images come from `registry` ("registry.example.com/team")."""
    documents = list(yaml.safe_load_all(spec.read_text(encoding="utf-8")))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = f"{registry.rstrip('/')}/{executor['container']['image']}"
    with replacing(destination) as temporary:
        temporary.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return destination


def _equal(fresh: Path, committed: Path) -> bool:
    return committed.is_file() and fresh.read_bytes() == committed.read_bytes()
