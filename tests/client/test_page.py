"""The blocks of docs/client.md run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.settings import ServingSettings
from tests.audit import audited
from tests.client.conftest import KEY
from tests.docs.pages import ROOT, code_blocks

BLOCKS = [text for language, text in code_blocks("docs/client.md") if language == "python"]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number: int, address: str, settings: ServingSettings, tmp_path: Path) -> None:
    own = os.environ | {"SEARCH_URI": address, "SEARCH_KEY": KEY, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", BLOCKS[number]]
    done = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if number == 0:
        assert lines[0].split()[0] == "1"
        assert lines[0].endswith("red-0-0")
        assert (tmp_path / "best.jpg").read_bytes().startswith(b"\xff\xd8\xff")
        assert audited(settings)[-1]["verdict"] == "confirmed"
    elif number == 2:
        assert lines == ["alerts here: on"]
    else:
        assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
