"""The transfer matrix: every training set against every test set, and the start against all."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from personsearch.data.records import read_manifest, write_manifest
from personsearch.errors import UserError
from personsearch.studies.transfer import TransferConfig, transfer


@pytest.fixture
def config(recipe: Callable[..., Path]) -> TransferConfig:
    return TransferConfig(name="Transfer", recipe=recipe(epochs=1), set={"optimiser.lr": 1e-3})


@pytest.fixture
def other(tested: Path, tmp_path: Path) -> Path:
    """The same test split under fewer persons to train on."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "images").symlink_to(tested / "images")
    write_manifest(folder, [r for r in read_manifest(tested) if r.split != "train" or r.person_id < 8])
    return folder


def test_every_set_is_trained_on_and_tested_on(
    config: TransferConfig, tested: Path, other: Path, here, tmp_path: Path
) -> None:
    datasets = {"one": tested, "two": other}
    result = transfer(config, datasets, tmp_path / "out", execute=here)
    assert not result.failed
    assert here.trained == ["not-trained-seed-0", "one-seed-0", "two-seed-0"]
    assert [command[0] for command in here.commands].count("evaluate") == 6
    assert list(result.runs) == ["(not trained)", "one", "two"]
    record = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert record["mean"]["r1"] == result.matrix("r1")
    assert record["trained_on"] == ["(not trained)", "one", "two"]
    one = result.mean("one", "two", "map")
    assert (
        f"| one | {result.mean('one', 'one', 'map'):.2f} | {one:.2f} |"
        in (tmp_path / "out" / "transfer.md").read_text()
    )
    assert Image.open(tmp_path / "out" / "transfer.png").format == "PNG"
    assert transfer(config, datasets, tmp_path / "out", execute=here).to_json() == result.to_json()
    assert len(here.commands) == 9


def test_a_row_that_fails_leaves_the_others(
    config: TransferConfig, tested: Path, other: Path, here, tmp_path: Path
) -> None:
    large = config.model_copy(update={"set": {"batch_size": 40}})
    result = transfer(large, {"one": tested, "two": other}, tmp_path / "out", execute=here)
    assert list(result.failed) == ["two, seed 0"]
    assert result.matrix("r1")[2] == [None, None]
    assert "| two | – | – |" in (tmp_path / "out" / "transfer.md").read_text()


def test_one_data_set_is_no_transfer(config: TransferConfig, tested: Path, here, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected two or more"):
        transfer(config, {"one": tested}, tmp_path / "out", execute=here)
