"""What `make` would do, without doing it."""

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def removed(**environment: str) -> set[str]:
    """What `make clean` removes."""
    given = {name: value for name, value in os.environ.items() if name != "PERSONSEARCH_HOME"} | environment
    planned = subprocess.run(["make", "-n", "clean"], cwd=ROOT, env=given, capture_output=True, text=True, check=True)
    lines = [line for line in planned.stdout.splitlines() if line.startswith("rm -rf")]
    return {path for line in lines for path in shlex.split(line)[2:]}


def test_clean_removes_what_runs_wrote_and_nothing_else() -> None:
    assert {"var/gallery", "var/services.json", "demo"} <= removed()
    elsewhere = removed(PERSONSEARCH_HOME="/srv/person search")
    assert {"/srv/person search/gallery", "/srv/person search/pipelines", "demo"} <= elsewhere
    assert {"/srv/person search/calibrations", "/srv/person search/dvc-remote"} <= elsewhere
    assert "/srv/person search" not in elsewhere
    assert not any(path.startswith("var") for path in elsewhere)
