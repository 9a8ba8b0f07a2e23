"""`personsearch import`."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from personsearch.bundle import Bundle
from personsearch.cli.app import command_line
from personsearch.cli.importing import Method
from personsearch.errors import UserError
from personsearch.models.authors import RECIPES
from tests.models.authors_models import Irra


def run(*words: str) -> None:
    command_line()(args=["import", *words], prog_name="personsearch", standalone_mode=False)


def test_a_checkpoint_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    torch.save({"model": Irra().state_dict(), "epoch": 7}, tmp_path / "best.pth")
    out = str(tmp_path / "bundle")
    run(str(tmp_path / "best.pth"), "--from", "irra", "--out", out, "--image-size", "32x16", "--json")
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["fingerprint"] == Bundle.open(tmp_path / "bundle").fingerprint
    assert result["left_out"] == ["classifier: 2 tensors", "cross_attn: 4 tensors", "mlm_head: 2 tensors"]
    assert (result["image_size"], result["context_length"]) == ("32×16", 20)
    assert [line.partition(" (")[0] for line in shown.err.splitlines()] == [
        f"reading {tmp_path / 'best.pth'}",
        f"writing {out}",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["absent.pth", "--from", "irra", "--out", "b"],
            r"absent\.pth: no such file or folder; a checkpoint such as best\.pth expected",
        ),
        (
            [__file__, "--from", "irra", "--out", "b"],
            r"\.py: is a text file that begins with .*; a file that torch\.save or safetensors wrote expected",
        ),
        (
            [__file__, "--from", "irra", "--out", "b", "--image-size", "384"],
            "--image-size '384': height and width",
        ),
    ],
)
def test_a_mistake_is_one_line(words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=reason):
        run(*words)


def test_the_command_knows_every_method() -> None:
    assert set(get_args(Method)) == set(RECIPES)
