"""The paper recipes at their published shapes: built, counted, and trained for two steps."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Trained and total parameters of ViT-B/16 with CLIP's text tower, with SS-I's head, with CSKT (published), and of CTLG.
CLIP, PATCHES, HEAD = 149_620_737, 768 * 3 * 16 * 16, 512 * 128 + 128 + 128 * 512 + 512
WANTED = {
    "tbps-clip-simplified": (CLIP - PATCHES, CLIP),
    "tbps-clip": (CLIP - PATCHES + HEAD, CLIP + HEAD),
    "cskt": (12_117_888, 161_735_552),
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["tbps-clip-simplified", "tbps-clip", "cskt", "ctlg"])
def test_a_paper_recipe_takes_steps_at_its_real_size(recipe: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "paper_scale.py"), "--json", "--recipe"]
    path = ROOT / "recipes" / "paper" / f"{recipe}.yaml"
    done = subprocess.run(
        [*command, str(path)], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True
    )
    (found,) = json.loads(done.stdout)
    assert all(map(math.isfinite, found["losses"]))
    assert found["losses"][0] != found["losses"][1]
    if recipe in WANTED:
        assert (found["trained"], found["total"]) == WANTED[recipe]
    else:
        assert found["trained"] == found["total"] > 190e6
