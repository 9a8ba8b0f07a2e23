"""A registered version is a model that MLflow loads and serves: texts and pictures to the bundle's own vectors."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import mlflow
import numpy as np
import pandas as pd
import pytest

from personsearch.bundle import MODEL_CARD, Bundle
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.images import open_image, resize
from personsearch.integrations.mlflow.flavour import FILES
from personsearch.integrations.mlflow.registry import ModelRegistry
from tests.docs.pages import ROOT
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.mlflow_server import mlflow_server
from tests.servers.starting import free_port
from tests.serving.colours import figure

pytestmark = pytest.mark.usefixtures("empty_folder")
TEXTS = ["a man in a red coat", "a woman in a blue coat"]
DIRECT = build_opener(ProxyHandler({}))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = make_onnx_bundle(tmp_path_factory.mktemp("bundle") / "bundle")
    (folder / MODEL_CARD).write_text("# A model\n\n" + "It sees colours. " * 400, encoding="utf-8")
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def address(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server whose champion the bundle is."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        registry = ModelRegistry(running, "personsearch", cache=tmp_path_factory.mktemp("cache"))
        registry.promote(registry.register(bundle, metrics={}, tags={}))
        yield running


@pytest.fixture
def tracking(address: str) -> Iterator[str]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    yield address
    mlflow.set_tracking_uri(before)


def expected(bundle: Bundle) -> np.ndarray:
    """The vectors of TEXTS and of a red figure."""
    encoder, size = load_graph_encoder(bundle), bundle.spec.preprocessing
    pixels_HW3 = resize(open_image(figure("red")), size.height, size.width)
    return np.concatenate([encoder.encode_texts(TEXTS), encoder.encode_images(pixels_HW3[None])])


def sent(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


@pytest.mark.usefixtures("tracking")
def test_the_champion_is_loaded_by_its_alias(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model("models:/personsearch@champion")
    vectors_ND = model.predict(pd.DataFrame({"text": [*TEXTS, None], "image": [None, None, sent(figure("red"))]}))
    np.testing.assert_allclose(vectors_ND, expected(bundle), atol=1e-6)
    np.testing.assert_allclose(model.predict(pd.DataFrame({"text": TEXTS})), expected(bundle)[:2], atol=1e-6)
    pictures = pd.DataFrame({"image": [sent(figure("red"))]})
    np.testing.assert_allclose(model.predict(pictures), expected(bundle)[2:], atol=1e-6)


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a man", "image": sent(figure("red"))}, "row 0: a text or an image expected, not both"),
        ({"text": ""}, "row 0: a text or an image expected, not none"),
        ({"image": sent(b"no picture")}, "row 0: image: not an image"),
        ({"image": "no base64!"}, "row 0: image: "),
    ],
)
def test_a_wrong_row_is_named(row: dict[str, str], said: str) -> None:
    model = mlflow.pyfunc.load_model("models:/personsearch@champion")
    with pytest.raises(Exception, match=said):
        model.predict(pd.DataFrame([row]))


def test_a_version_has_its_card_a_signature_and_an_example(tracking: str, bundle: Bundle) -> None:
    version = mlflow.MlflowClient(tracking).get_model_version_by_alias("personsearch", "champion")
    card = bundle.path(MODEL_CARD).read_text(encoding="utf-8")
    assert version.description.startswith(card[:4000])
    assert version.description.endswith("… the rest is in MODEL_CARD.md among the artifacts.")
    assert len(version.description) == 5000
    info = mlflow.models.get_model_info("models:/personsearch@champion")
    assert info.signature.inputs.input_names() == ["text", "image"]
    assert info.signature.outputs.inputs[0].shape == (-1, bundle.spec.embedding_dim)
    model = mlflow.pyfunc.load_model("models:/personsearch@champion")
    assert model.predict(model.input_example).shape == (3, bundle.spec.embedding_dim)


def test_the_bundle_comes_back_without_what_is_mlflow_s(address: str, bundle: Bundle, tmp_path: Path) -> None:
    fetched = ModelRegistry(address, "personsearch", cache=tmp_path).fetch("1", bundle.fingerprint)
    names = [sorted(path.name for path in each.folder.iterdir()) for each in (fetched, bundle)]
    assert names[0] == names[1]
    assert not [name for name in FILES if fetched.path(name).exists()]


@contextmanager
def served(address: str, folder: Path) -> Iterator[str]:
    """`mlflow models serve` of the champion, in this environment."""
    port, log = free_port(), folder / "serve.log"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/personsearch@champion"]
    network = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--env-manager", "local"]
    # MLflow starts `uvicorn` by its name: it is on PATH where the environment is activated, as this does.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = os.environ | {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT / "src"), "PATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *network], env=own, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + 240
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                DIRECT.open(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        process.terminate()
        process.wait()


def ask(address: str, body: object) -> list[list[float]]:
    headers = {"Content-Type": "application/json"}
    try:
        with DIRECT.open(Request(address, json.dumps(body).encode(), headers), timeout=60) as answer:
            return json.loads(answer.read())["predictions"]
    except HTTPError as error:
        pytest.fail(error.read().decode())


def test_mlflow_serves_the_champion(address: str, bundle: Bundle, tmp_path: Path) -> None:
    with served(address, tmp_path) as invocations:
        rows = [{"text": text} for text in TEXTS] + [{"image": sent(figure("red"))}]
        np.testing.assert_allclose(ask(invocations, {"dataframe_records": rows}), expected(bundle), atol=1e-6)
        split = {"columns": ["text"], "data": [[text] for text in TEXTS]}
        np.testing.assert_allclose(ask(invocations, {"dataframe_split": split}), expected(bundle)[:2], atol=1e-6)
