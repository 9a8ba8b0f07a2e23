"""Settings from YAML and from a command line: what is wrong is one line, what is not given stays."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from personsearch.config import Config
from personsearch.errors import UserError


class Ratio(Config):
    least: float = Field(default=0.5, gt=0)


class Disc(Config):
    kind: Literal["disc"]
    radius: int


class Box(Config):
    kind: Literal["box"]
    width: int = Field(default=1, ge=1)


class Example(Config):
    name: str = "a"
    every: int = Field(default=2, ge=1)
    ratio: Ratio = Ratio()
    ratios: tuple[Ratio, ...] = ()
    best: dict[str, Ratio] | None = None
    size: int | str = 1
    colour: Literal["red", "green"] = "red"
    shape: Annotated[Disc | Box, Field(discriminator="kind")] | None = None
    even: int = 2

    @field_validator("even")
    @classmethod
    def _even(cls, even: int) -> int:
        if even % 2:
            raise ValueError(f"{even} is odd")
        return even


def test_options_take_the_place_of_settings_and_none_leaves_them() -> None:
    config = Example(name="b", ratio=Ratio(least=0.25))
    assert config.overridden({"every": 7, "name": None}) == Example(name="b", every=7, ratio=Ratio(least=0.25))


def test_an_option_that_cannot_be_is_named() -> None:
    with pytest.raises(UserError, match=r"^--every=0: at least 1 expected$"):
        Example().overridden({"every": 0})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("other: {}", "section 'example' is missing"),
        ("example: {evry: 3}", r"evry: unknown; did you mean every\?"),
        ("example: {xyz: red}", "xyz: unknown; known: name, every, ratio, ratios, best, size, colour, shape, even$"),
        ("example: {ratio: {leest: 1}}", r"ratio\.leest: unknown; did you mean least\?"),
        ("example: {ratios: [{}, {leest: 1}]}", r"ratios\.1\.leest: unknown; did you mean least\?"),
        ("example: {best: {red: {leest: 1}}}", r"best\.red\.leest: unknown; did you mean least\?"),
        ("example: {ratio: {least: 0}}", r"ratio\.least=0: a number above 0 expected"),
        ("example: {ratio: {least: .inf}}", r"ratio\.least=inf: a finite number expected"),
        ("example: {ratio: 3}", "ratio=3: a mapping expected"),
        ("example: {every: 1.5}", r"every=1\.5: an integer expected"),
        ("example: {every: two}", "every='two': an integer expected"),
        ("example: {name: }", "name=None: text expected"),
        ("example: {size: [1]}", r"size=\[1\]: an integer or text expected"),
        ("example: {colour: cyan, every: 0}", "every=0: at least 1 expected; colour='cyan': 'red' or 'green' expected"),
        ("example: {shape: {kind: star}}", "shape.kind='star': one of 'disc', 'box' expected"),
        ("example: {shape: {}}", "shape.kind: missing"),
        ("example: {shape: {kind: box, widht: 1}}", r"shape\.widht: unknown; did you mean width\?"),
        ("example: {shape: {kind: box, width: 0}}", r"shape\.width=0: at least 1 expected"),
        ("example: {shape: {kind: disc}}", r"shape\.radius: missing"),
        ("example: {even: 3}", "even: 3 is odd"),
        ("example: [", "not valid YAML"),
        ("example: {}\nother: {}\nexample: {}", r"key 'example' appears twice \(line 3, column 1\)"),
        ("example:\n  name: a\n  every: 3\n  name: b\n", r"key 'name' appears twice \(line 4, column 3\)"),
        ("example: {? [1, 2] : 3}", "not valid YAML"),
        ("example: {name: 2026-99-99}", "not valid YAML: a value cannot be read: month must be in 1..12"),
        ("example: {name: !!bool maybe}", "not valid YAML: a value cannot be read: 'maybe'"),
        ("example: {name: !!timestamp now}", "not valid YAML: a value cannot be read"),
        ("example: {every: !!int ''}", "not valid YAML: a value cannot be read"),
        (f"example: {{every: {'9' * 5000}}}", "not valid YAML: a value cannot be read"),
        (f"example: {'[' * 5000}", "not valid YAML: lists or mappings nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(UserError, match=rf"params\.yaml: .*{message}"):
        Example.from_yaml(tmp_path / "params.yaml", "example")


def test_a_merged_mapping_may_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "base: {inner: &base {<<: &least {name: a}, name: c, every: 3}}\nexample: {<<: *base, name: b}"
    )
    assert Example.from_yaml(tmp_path / "params.yaml", "example") == Example(name="b", every=3)


def test_an_empty_section_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("example:")
    assert Example.from_yaml(tmp_path / "params.yaml", "example") == Example()
