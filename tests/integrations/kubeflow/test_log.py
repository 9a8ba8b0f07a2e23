"""Reading what kfp's runner prints."""

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
