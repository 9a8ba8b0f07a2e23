"""Properties of every component: they are what a container can run, and thin."""

import ast
import builtins
import dis
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import components
from components.images import PLATFORM_IMAGE, TRAINING_IMAGE

FOLDERS = sorted(path.parent for path in Path(components.__path__[0]).glob("*/component.py"))
LONGEST_BODY = 15
NOT_IN = {
    PLATFORM_IMAGE: ("torch", "torchvision", "open_clip", "onnx", "onnxscript", "matplotlib", "fastapi", "uvicorn"),
    TRAINING_IMAGE: ("fastapi", "uvicorn", "prometheus_client"),
}


def component(folder: Path) -> Any:
    return getattr(importlib.import_module(f"components.{folder.name}.component"), folder.name)


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def global_names(code: CodeType) -> set[str]:
    loads = {"LOAD_GLOBAL", "LOAD_NAME"}
    return {i.argval for c in code_objects(code) for i in dis.get_instructions(c) if i.opname in loads}


def test_there_is_one_folder_per_step() -> None:
    assert {folder.name for folder in FOLDERS} == {
        *(
            "fetch_dataset",
            "prepare",
            "augment",
            "train",
            "evaluate",
            "probe",
            "compress",
            "gate",
            "register",
            "plan_index",
            "index_shard",
            "index_gallery",
        )
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_body_uses_no_name_of_its_module(folder: Path) -> None:
    """Only the function's source reaches the container: a module-level name would be missing there."""
    assert global_names(component(folder).python_func.__code__) <= set(dir(builtins))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_body_is_import_parse_call_report(folder: Path) -> None:
    source = inspect.getsource(component(folder).python_func)
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    statements = function.body[1:]
    lines = [line for line in source.splitlines()[statements[0].lineno - 1 : statements[-1].end_lineno] if line.strip()]
    assert len(lines) <= LONGEST_BODY, f"{folder.name}: {len(lines)} lines"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_body_begins_by_comparing_the_code(folder: Path) -> None:
    function = ast.parse(inspect.getsource(component(folder).python_func)).body[0]
    assert isinstance(function, ast.FunctionDef)
    first = next(each for each in function.body[1:] if not isinstance(each, ast.Import | ast.ImportFrom))
    assert ast.unparse(first) == "start_step(code_version)"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_module_imports_only_kfp_and_the_standard_library(folder: Path) -> None:
    tree = ast.parse((folder / "component.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    foreign = {name for name in modules if name and name.split(".")[0] not in {*sys.stdlib_module_names, "kfp"}}
    assert foreign == {"components.images"}
    assert "__future__" not in modules, "kfp reads annotations as objects"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_component_names_one_of_our_images(folder: Path) -> None:
    assert component(folder).component_spec.implementation.container.image in {TRAINING_IMAGE, PLATFORM_IMAGE}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_names_every_input_and_output(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    spec = component(folder).component_spec
    for name in [*(spec.inputs or {}), *(spec.outputs or {})]:
        assert name == "Output" or f"`{name}`" in text, f"{folder.name}/README.md does not mention {name}"


def body_imports(folder: Path) -> list[str]:
    function = ast.parse(inspect.getsource(component(folder).python_func)).body[0]
    return [ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("image", NOT_IN)
def test_what_bodies_import_is_in_their_image(image: str) -> None:
    """The platform image has no torch, the training image no web server; both have what their steps import."""
    folders = [f for f in FOLDERS if component(f).component_spec.implementation.container.image == image]
    imports = [statement for folder in folders for statement in body_imports(folder)]
    program = "\n".join([f"import sys; sys.modules |= dict.fromkeys({NOT_IN[image]!r})", *imports])
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
