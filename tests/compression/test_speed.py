"""Times and memory of real encoders."""

import sys
from pathlib import Path

import pytest

from personsearch.bundle import SPEC, Bundle
from personsearch.compression.speed import measure_speed, peak_memory
from personsearch.errors import UserError
from tests.onnx_bundle import make_onnx_bundle


def test_every_bundle_is_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    graphs = Bundle.open(make_onnx_bundle(tmp_path / "bundle"))
    speeds = measure_speed({"torch": Bundle.open(tiny_bundle), "graphs": graphs}, rounds=3, threads=1)
    assert list(speeds) == ["torch", "graphs"]
    for speed in speeds.values():
        assert min(speed.text_ms, speed.image_ms, speed.images_per_second) > 0
    assert 20 < speeds["graphs"].memory_mib < 0.6 * speeds["torch"].memory_mib  # no torch in it


def test_memory_is_not_that_of_the_process_that_asks(tmp_path: Path) -> None:
    graphs = Bundle.open(make_onnx_bundle(tmp_path / "bundle"))
    before = peak_memory(graphs, 1)
    ballast = bytearray(b"x") * 2**29
    assert peak_memory(graphs, 1) < before + 100
    del ballast


def test_a_bundle_that_does_not_load_is_named(tmp_path: Path) -> None:
    gone = Bundle.open(make_onnx_bundle(tmp_path / "missing"))
    gone.path(SPEC).unlink()
    with pytest.raises(UserError, match=r"missing: its memory cannot be measured: \S*UserError: .*bundle\.yaml"):
        peak_memory(gone, 1)


def test_a_measurement_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Bundle.open(make_onnx_bundle(tmp_path / "bundle"))
    (tmp_path / "python").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="bundle: its memory cannot be measured: killed by signal 9"):
        peak_memory(graphs, 1)
