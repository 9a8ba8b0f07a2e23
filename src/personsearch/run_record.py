"""The record that every stage writes beside its output: its configuration, metrics and lineage."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from personsearch import __version__
from personsearch.config import Config
from personsearch.files import write_json

RUN_RECORD = "run.json"


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


def git_commit() -> str:
    """The commit of the checkout this code runs from, "" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
