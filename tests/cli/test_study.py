"""The commands study, transfer and describe as a person types them; the runs themselves are tested in training."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from personsearch.cli import study
from personsearch.errors import UserError

ROOT = Path(__file__).parents[2]
RECIPE = str(ROOT / "recipes" / "paper" / "tbps-clip-simplified.yaml")


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    study.register(app)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


def test_describe_prints_json_for_programs() -> None:
    result = run("describe", RECIPE, "--set", "chunk_size=40", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["parameters"]["total"] == {"total": 149_620_737, "trained": 149_030_913}
    passes = {"image_forward": 2, "image_backward": 1, "text_forward": 2, "text_backward": 1, "teacher_forward": 0}
    assert printed["passes"] == passes
    assert printed["image_size"] == [224, 224]


def test_describe_prints_tables_for_people() -> None:
    result = run("describe", RECIPE)
    assert result.exit_code == 0, result.output
    for part in ("224 × 224 pixels, 197 tokens", "1 n_itc + 1 r_itc", "149,030,913", "image 1 forward, 1 backward"):
        assert part in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "absent.yaml"], "absent.yaml: cannot be read"),
        (["describe", RECIPE, "--set", "model.architecture=ViT-B-17"], "open_clip has no 'ViT-B-17'"),
        (["study", "absent.yaml", "--dataset", "data", "--out", "out"], "absent.yaml: cannot be read"),
        (["transfer", "{transfer}", "--dataset", "folder", "--out", "out"], "NAME=FOLDER wanted"),
        (["transfer", "{transfer}", "--dataset", "a=x", "--dataset", "a=y", "--out", "out"], "every name once"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], message: str) -> None:
    transfer = ROOT / "recipes" / "studies" / "transfer-tiny.yaml"
    result = run(*(argument.format(transfer=transfer) for argument in arguments))
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
