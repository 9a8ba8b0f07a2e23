"""Reading what kfp's runner prints."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from personsearch.integrations.kubeflow.log import StepLog, last_words


def test_lines_split_anywhere_are_read_whole(tmp_path: Path) -> None:
    heard: list[str] = []
    log = StepLog(tmp_path, lambda step, progress: heard.append(f"{step.name} {step.state} {progress}".strip()))
    text = (
        "12:00:00.000 - INFO - Executing task \x1b[96m'train'\x1b[0m\n"
        "    epoch 1: 30/60\n"
        '    {"not": 1}\n'
        '        "neither": 1\n'
        "    epoch 1: val_r1 62.50\n"
        "12:00:09.000 - INFO - Task \x1b[96m'train'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n"
        "Task evaluate cache hit (key=0123456789ab); skipping execution.\n"
    )
    for start in range(0, len(text), 7):
        log.write(text[start : start + 7])
    assert heard == [
        "train running",
        "train running epoch 1: 30/60",
        "train running epoch 1: val_r1 62.50",
        "train succeeded",
        "evaluate cached",
    ]
    assert "epoch 1: 30/60" in (tmp_path / "train.log").read_text()


def test_each_shard_ends_of_those_that_run_at_once(tmp_path: Path) -> None:
    heard: list[str] = []
    log = StepLog(tmp_path, lambda step, progress: heard.append(f"{step.name} {step.state}"))
    log.write("Executing task 'index-shard'\n" * 3)
    log.write("Task 'index-shard' finished with status SUCCESS\n" * 2)
    log.write("Task 'index-shard' finished with status FAILURE\n")
    ended = ["index-shard succeeded", "index-shard succeeded", "index-shard failed"]
    assert heard == ["index-shard running"] * 3 + ended
    assert log.steps["index-shard"].state == "failed"


def test_threads_write_at_once(tmp_path: Path) -> None:
    heard: list[str] = []
    log = StepLog(tmp_path, lambda step, progress: heard.append(f"{step.name} {step.state}"))

    def shard(_: int) -> None:
        log.write("Executing task 'index-shard'\n")
        log.write("Task 'index-shard' finished with status SUCCESS\n")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(shard, range(500)))
    assert sorted(heard) == ["index-shard running"] * 500 + ["index-shard succeeded"] * 500
    assert len((tmp_path / "index-shard.log").read_text().splitlines()) == 999, "all but the first line, which opens it"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("    Traceback (most recent call last):\n    ValueError: too short\n\n\n", ("ValueError", "too short")),
        ("    personsearch.errors.UserError: a.csv: no\n", ("UserError", "a.csv: no")),
        ("    ValueError: first\n    During handling …\n    OSError: second\n", ("OSError", "second")),
        ("    Killed\n\n", ("", "Killed")),
        ("", ("", "no output")),
    ],
)
def test_last_words(tmp_path: Path, log: str, expected: tuple[str, str]) -> None:
    path = tmp_path / "step.log"
    path.write_text(log)
    assert last_words(path) == expected
