"""Times and memory of real encoders."""

from pathlib import Path

import pytest

from personsearch.compression.speed import measure_speed, peak_memory
from personsearch.errors import UserError
from tests.onnx_bundle import make_onnx_bundle


def test_every_bundle_is_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    graphs = make_onnx_bundle(tmp_path / "bundle")
    speeds = measure_speed({"torch": tiny_bundle, "graphs": graphs}, rounds=3, threads=1)
    assert list(speeds) == ["torch", "graphs"]
    for speed in speeds.values():
        assert min(speed.text_ms, speed.image_ms, speed.images_per_second) > 0
    assert 20 < speeds["graphs"].memory_mib < 0.6 * speeds["torch"].memory_mib  # no torch in it


def test_memory_is_not_that_of_the_process_that_asks(tmp_path: Path) -> None:
    graphs = make_onnx_bundle(tmp_path / "bundle")
    before = peak_memory(graphs, 1)
    ballast = bytearray(b"x") * 2**29
    assert peak_memory(graphs, 1) < before + 100
    del ballast


def test_a_bundle_that_does_not_load_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        peak_memory(tmp_path / "missing", 1)
