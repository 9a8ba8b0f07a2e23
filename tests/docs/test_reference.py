"""docs/settings.md and docs/commands.md are what the code says, and every setting says what it is for."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from personsearch.cli.options import SECTIONS
from personsearch.config import Config
from tests.docs.pages import ROOT

SOURCES = {"personsearch": ROOT / "src", "serving": ROOT, "pipelines": ROOT}
BASES = {Config, BaseSettings}
CONFIGURATION = re.compile(r"^class \w+\(\w*(Config|Settings)\):", re.MULTILINE)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "infra" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def below(model: type) -> Iterator[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from below(child)


def undocumented(model: type[BaseModel], reference: ModuleType) -> list[str]:
    texts = reference.docstrings(model)
    return [f"{model.__name__}.{name}" for name in model.model_fields if not texts.get(name)]


def modules_with_settings() -> Iterator[str]:
    for package, root in SOURCES.items():
        for path in sorted((root / package).rglob("*.py")):
            if CONFIGURATION.search(path.read_text(encoding="utf-8")):
                yield ".".join(path.relative_to(root).with_suffix("").parts)


@pytest.mark.parametrize(("page", "write"), [("settings.md", "settings_page"), ("commands.md", "commands_page")])
def test_the_reference_is_what_the_code_says(page: str, write: str, reference: ModuleType) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == getattr(reference, write)(), "run `make reference`"


def test_the_reference_does_not_depend_on_the_terminal(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = reference.commands_page()
    monkeypatch.setenv("COLUMNS", "40")
    assert reference.commands_page() == wide


def test_every_setting_has_a_docstring(reference: ModuleType) -> None:
    for module in modules_with_settings():
        import_module(module)
    models = {model for base in BASES for model in below(base) if model.__module__.split(".")[0] in SOURCES}
    assert len(models) > 50
    assert sorted(name for model in models for name in undocumented(model, reference)) == []


def test_a_setting_without_a_docstring_is_seen(reference: ModuleType) -> None:
    class Example(Config):
        told: int = 1
        """Said."""

        bare: int = 2

    class Extended(Example):
        more: int = 3
        """Said too."""

    assert undocumented(Example, reference) == ["Example.bare"]
    assert reference.docstrings(Extended) == {"told": "Said.", "more": "Said too."}


def test_the_sections_of_params_are_those_of_the_reference(reference: ModuleType) -> None:
    assert set(SECTIONS) == set(reference.PARAMS)
