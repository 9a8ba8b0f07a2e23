"""Settings from YAML and from a command line: what is wrong is one line, what is not given stays."""

from pathlib import Path

import pytest
from pydantic import Field

from personsearch.config import Config
from personsearch.errors import UserError


class Ratio(Config):
    least: float = Field(default=0.5, gt=0)


class Example(Config):
    name: str = "a"
    every: int = Field(default=2, ge=1)
    ratio: Ratio = Ratio()
    ratios: tuple[Ratio, ...] = ()
    best: dict[str, Ratio] | None = None


def test_options_take_the_place_of_settings_and_none_leaves_them() -> None:
    config = Example(name="b", ratio=Ratio(least=0.25))
    assert config.overridden({"every": 7, "name": None}) == Example(name="b", every=7, ratio=Ratio(least=0.25))


def test_an_option_that_cannot_be_is_named() -> None:
    with pytest.raises(UserError, match="option: every=0: Input should be greater than or equal to 1"):
        Example().overridden({"every": 0})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("other: {}", "section 'example' is missing"),
        ("example: {evry: 3}", r"evry: unknown; did you mean every\?"),
        ("example: {colour: red}", "colour: unknown; known: name, every, ratio, ratios, best"),
        ("example: {ratio: {leest: 1}}", r"ratio\.leest: unknown; did you mean least\?"),
        ("example: {ratios: [{}, {leest: 1}]}", r"ratios\.1\.leest: unknown; did you mean least\?"),
        ("example: {best: {red: {leest: 1}}}", r"best\.red\.leest: unknown; did you mean least\?"),
        ("example: {ratio: {least: 0}}", r"ratio\.least=0: Input should be greater than 0"),
        ("example: [", "not valid YAML"),
        ("example: {}\nother: {}\nexample: {}", r"key 'example' stands twice \(line 3, column 1\)"),
        ("example:\n  name: a\n  every: 3\n  name: b\n", r"key 'name' stands twice \(line 4, column 3\)"),
        ("example: {? [1, 2] : 3}", "not valid YAML"),
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
