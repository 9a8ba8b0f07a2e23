"""What a stage writes of its run is read again; a record that is damaged counts as none."""

from pathlib import Path

import pytest

from personsearch import __version__
from personsearch.config import Config
from personsearch.run_record import RUN_RECORD, RunRecord, git_commit, read_run_record, write_run_record


class Settings(Config):
    folder: Path
    epochs: int = 3


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_run_record(
        tmp_path, "train", Settings(folder=Path("data")), {"r1": 57.5, "steps": 12}, {"dataset_hash": "ab"}
    )
    assert read_run_record(tmp_path) == RunRecord(
        stage="train",
        config={"folder": "data", "epochs": 3},
        metrics={"r1": 57.5, "steps": 12},
        lineage={"version": __version__, "git_commit": git_commit(), "dataset_hash": "ab"},
    )


@pytest.mark.parametrize(
    "content", [None, b"", b'{"stage": "tr', b"[]", b"{}", b"\xff", b'{"stage": "train", "metrics": {}}']
)
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / RUN_RECORD).write_bytes(content)
    assert read_run_record(tmp_path) is None
