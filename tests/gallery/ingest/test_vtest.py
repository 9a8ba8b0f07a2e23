"""Ingest of real footage against frames annotated by eye (docs/ingest.md); FOOTAGE_DIR names where vtest.avi lies."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from personsearch.gallery.ingest.scoring import Agreement, agreement

ROOT = Path(__file__).parents[3]
VIDEO = Path(os.environ.get("FOOTAGE_DIR", ROOT.parent / "shared" / "data")) / "vtest.avi"


@pytest.mark.slow
@pytest.mark.skipif(not VIDEO.is_file(), reason=f"{VIDEO} is absent; FOOTAGE_DIR names another folder")
def test_the_people_a_viewer_sees_are_found() -> None:
    specification = importlib.util.spec_from_file_location("benchmark_ingest", ROOT / "benchmarks" / "ingest.py")
    assert specification is not None
    assert specification.loader is not None
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    config = benchmark.IngestConfig.from_yaml(ROOT / "params.yaml", "ingest")
    found = benchmark.found_boxes(benchmark.take_in(config, VIDEO).tracks)
    total = Agreement(0, 0, 0)
    for index, people in benchmark.read_people(benchmark.PEOPLE).items():
        total += agreement(people, np.array(found[index]).reshape(-1, 4))
    assert total.people == 124
    assert total.recall > 0.9
    assert total.precision > 0.95
