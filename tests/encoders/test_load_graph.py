"""The engine that a bundle names, without torch and without a word to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from personsearch.bundle import Bundle, Runtime, write_spec
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.encoders.openvino import OpenVinoEncoder
from tests.onnx_bundle import make_onnx_bundle


def bundle_for(runtime: Runtime, folder: Path) -> Path:
    make_onnx_bundle(folder)
    write_spec(folder, Bundle.open(folder).spec.model_copy(update={"runtime": runtime}))
    return folder


@pytest.mark.parametrize(("runtime", "kind"), [("onnxruntime", OnnxEncoder), ("openvino", OpenVinoEncoder)])
def test_the_bundle_names_its_engine(tmp_path: Path, runtime: Runtime, kind: type) -> None:
    assert type(load_graph_encoder(Bundle.open(bundle_for(runtime, tmp_path / "bundle")), 1, verify=True)) is kind


@pytest.mark.parametrize("has_cuda", [True, False])
def test_graphs_run_on_a_gpu_where_onnx_runtime_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_cuda: bool
) -> None:
    """The CPU stays behind it: it takes what the GPU has no kernel for, and all where there is no GPU."""
    cuda = ["TensorrtExecutionProvider", "CUDAExecutionProvider"] if has_cuda else []
    bundle = bundle_for("onnxruntime", tmp_path / "bundle")
    session, asked = onnxruntime.InferenceSession, []

    def start(path: str, options: onnxruntime.SessionOptions, providers: list[str]) -> onnxruntime.InferenceSession:
        asked.append(providers)
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*cuda, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    OnnxEncoder(Bundle.open(bundle), 1, verify=True)
    assert asked == 2 * [[*cuda[1:], "CPUExecutionProvider"]]


def test_the_engine_is_part_of_the_fingerprint_unless_it_is_the_default(tmp_path: Path) -> None:
    plain = Bundle.open(make_onnx_bundle(tmp_path / "plain")).fingerprint
    assert Bundle.open(bundle_for("onnxruntime", tmp_path / "onnxruntime")).fingerprint == plain
    assert Bundle.open(bundle_for("openvino", tmp_path / "openvino")).fingerprint != plain


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_runs_without_torch_and_writes_nothing_at_home(tmp_path: Path, runtime: Runtime) -> None:
    bundle, home = bundle_for(runtime, tmp_path / "bundle"), tmp_path / "home"
    home.mkdir()
    script = (
        "import sys; from pathlib import Path; from personsearch.bundle import Bundle; "
        "from personsearch.encoders.load_graph import load_graph_encoder; "
        f"load_graph_encoder(Bundle.open(Path({str(bundle)!r})), 1, verify=True); "
        "sys.exit('torch' in sys.modules or sys.modules.get('openvino_telemetry') is not None)"
    )
    environment = os.environ | {"HOME": str(home)}
    assert subprocess.run([sys.executable, "-c", script], check=False, env=environment).returncode == 0
    assert not list(home.iterdir())


def test_an_engine_that_is_not_installed_is_named(tmp_path: Path) -> None:
    bundle = bundle_for("openvino", tmp_path / "bundle")
    script = (
        "import sys; sys.modules['openvino'] = None\n"
        "from pathlib import Path; from personsearch.bundle import Bundle; from personsearch.errors import UserError\n"
        "from personsearch.encoders.load_graph import load_graph_encoder\n"
        f"try: load_graph_encoder(Bundle.open(Path({str(bundle)!r})))\n"
        "except UserError as error: sys.exit('personsearch[openvino]' not in str(error))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
