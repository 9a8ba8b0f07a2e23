"""Every setting, variable, file and link that the pages name exists."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from personsearch.augmentation.augment import AugmentConfig
from personsearch.compression.compress import CompressConfig
from personsearch.compression.probing import ProbeConfig
from personsearch.evaluation.evaluate import EvaluateConfig
from personsearch.evaluation.gate import GateConfig
from personsearch.gallery.indexing import IndexConfig
from personsearch.gallery.watch.streams import StreamsConfig
from personsearch.studies.config import StudyConfig
from personsearch.training.config import TrainConfig
from serving.settings import ServingSettings
from tests.docs.pages import FOLDERS, PAGES, ROOT, TRACKED, code_blocks, inline_code, prose, read, shell_lines

STAGES = {
    "augment": AugmentConfig,
    "compress": CompressConfig,
    "evaluate": EvaluateConfig,
    "gate": GateConfig,
    "index": IndexConfig,
    "probe": ProbeConfig,
}
RECIPE = yaml.safe_load((ROOT / "recipes/tiny/tbps-clip-simplified.yaml").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def check_settings(values: dict[str, Any]) -> None:
    """Refuse what is neither a study, nor streams, nor sections of params.yaml, nor a part of a recipe."""
    if "arms" in values or "stages" in values:
        StudyConfig.model_validate(values)
    elif "streams" in values:
        StreamsConfig.model_validate(values)
    elif values.keys() & STAGES.keys():
        for section, settings in values.items():
            STAGES[section].model_validate(settings)
    else:
        TrainConfig.model_validate(RECIPE | values)


def paths(page: str) -> Iterator[str]:
    """Words of code that name a file or folder of the repository; a source file may be named from the library."""
    for code in [*inline_code(page), *shell_lines(page)]:
        for word in re.findall(r"[\w./*-]+", code):
            first, *others = word.split("/")
            if others and (first in FOLDERS or word.endswith(".py")):
                yield word


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page))]
    return {heading.strip().replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_settings_is_valid(page: str) -> None:
    for language, text in code_blocks(page):
        if language == "yaml":
            check_settings(yaml.safe_load(text))


@pytest.mark.parametrize("values", [{"index": {"vector": "int8"}}, {"noises": {}}, {"stages": [{"nme": "a"}]}])
def test_an_unknown_setting_is_seen(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check_settings(values)


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_exists(page: str) -> None:
    settings = {f"PERSONSEARCH_{name.upper()}" for name in ServingSettings.model_fields}
    sources = "".join(read(name) for name in TRACKED if name.startswith("src/") and name.endswith(".py"))
    constants = set(re.findall(r'"(PERSONSEARCH_[A-Z_]+)"', sources))
    assert set(re.findall(r"PERSONSEARCH_[A-Z_]+", read(page))) <= settings | constants


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page: str) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(str(target.resolve().relative_to(ROOT))), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    roots = (ROOT, ROOT / "src/personsearch", (ROOT / page).parent)
    assert [path for path in paths(page) if not any(any(root.glob(path)) for root in roots)] == []
