"""Ingest of real footage against people seen by eye (docs/ingest.md); FOOTAGE_DIR names where the clips lie."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.gallery.ingest.scoring import Agreement, agreement

ROOT = Path(__file__).parents[3]
FOOTAGE = Path(os.environ.get("FOOTAGE_DIR", ROOT.parent / "shared" / "data"))
SECONDS_LONG = [
    "store-aisle-detection.mp4",
    "face-demographics-walking.mp4",
    "worker-zone-detection.mp4",
    "people-detection.mp4",
]
absent = pytest.mark.skipif(not FOOTAGE.is_dir(), reason=f"{FOOTAGE} is absent; FOOTAGE_DIR names another folder")


@pytest.fixture(scope="module")
def benchmark() -> Any:
    specification = importlib.util.spec_from_file_location("benchmark_ingest", ROOT / "benchmarks" / "ingest.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@absent
def test_described_people_are_in_crops_and_nothing_else_is(benchmark: Any) -> None:
    """Four clips of a few seconds; somebody is at the very edge for less than a second."""
    described = json.loads((FOOTAGE / "people.json").read_text())
    config = benchmark.IngestConfig.from_yaml(ROOT / "params.yaml", "ingest")
    found = wrong = 0
    for clip in SECONDS_LONG:
        result = benchmark.take_in(config, FOOTAGE / clip)
        judged = benchmark.judge(described, clip, result.crops, 540)
        found, wrong = found + judged.found, wrong + judged.wrong
    assert (found, wrong) == (7, 0)


@pytest.mark.slow
@absent
def test_the_people_a_viewer_sees_are_found(benchmark: Any) -> None:
    config = benchmark.IngestConfig.from_yaml(ROOT / "params.yaml", "ingest")
    found = benchmark.found_boxes(benchmark.take_in(config, FOOTAGE / "vtest.avi").tracks)
    total = Agreement(0, 0, 0)
    for index, people in benchmark.read_people(benchmark.PEOPLE).items():
        total += agreement(people, np.array(found[index]).reshape(-1, 4))
    assert total.people == 124
    assert total.recall > 0.9
    assert total.precision > 0.95
