"""The record that every stage writes beside its output: its configuration, metrics and lineage."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personsearch import __version__
from personsearch.config import Config
from personsearch.files import write_json

RUN_RECORD = "run.json"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The content of `run.json`."""

    stage: str
    config: dict[str, Any]
    metrics: dict[str, float]
    lineage: dict[str, str]


def write_run_record(
    out_dir: Path, stage: str, config: Config, metrics: Mapping[str, float], lineage: Mapping[str, str]
) -> None:
    """Write `run.json`: the stage, its resolved configuration, its metrics, what it read and which code ran."""
    write_json(
        out_dir / RUN_RECORD,
        {
            "stage": stage,
            "config": config.model_dump(mode="json"),
            "metrics": dict(metrics),
            "lineage": {"version": __version__, "git_commit": git_commit(), **lineage},
        },
    )


def read_run_record(out_dir: Path) -> RunRecord | None:
    """The record of the stage that finished there; None if it is missing or damaged, so the stage must run again."""
    try:
        return RunRecord(**json.loads((out_dir / RUN_RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def git_commit() -> str:
    """The commit of the checkout this code runs from, "" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
