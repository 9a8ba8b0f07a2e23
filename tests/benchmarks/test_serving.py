"""The load proof, small: replicas, then engines, are killed under load, and nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [[], ["--kill-engines"]])
def test_nothing_fails_and_nothing_is_lost(kills: list[str]) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "serving.py"), "--json", *kills]
    size = ["--clients", "4", "--rate", "2", "--seconds", "60", "--crops", "200"]
    done = subprocess.run([*command, *size], cwd=ROOT, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    zeros = {name: result[name] for name in ("failed", "mismatched", "lost", "erased_returned")}
    assert zeros == dict.fromkeys(zeros, 0), done.stderr
    assert done.returncode == 0
    assert min(result[name] for name in ("requests", "crops", "erased", "replicas_killed", "champion_moved")) > 0
    assert len(result["recoveries"]) == (5 if kills else 0)
