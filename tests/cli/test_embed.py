"""`personsearch embed` prints the vectors of the live collection's model, and is recorded before it shows anything."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from personsearch.cli import main
from personsearch.images import open_image, resize
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.settings import Settings
from personsearch.search.exact import ExactStore
from personsearch.search.searcher import Searcher
from tests.audit import audited, refused
from tests.serving.colours import ColourEncoder, add_figures, build_collection, figure


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live collection, without Milvus and MLflow."""
    store = ExactStore()
    build_collection(store, add_figures(tmp_path / "gallery", ["red"]), "persons_v1_1")
    properties, searcher = store.properties("persons_v1_1"), Searcher(ColourEncoder(), store.open("persons_v1_1"))
    opened = SimpleNamespace(collection="persons_v1_1", properties=properties, searcher=searcher)
    monkeypatch.setattr("personsearch.cli.search.open_live_index", lambda: opened)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "embed", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_line_is_a_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "red.jpg"
    picture.write_bytes(figure("red"))
    assert run(monkeypatch, " a red coat ", "green", "--image", str(picture), "--purpose", "case 17") == 0
    printed_ND = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    encoder, pixels_HW3 = ColourEncoder(), resize(open_image(figure("red")), 32, 16)
    expected_ND = [*encoder.encode_texts(["a red coat", "green"]), *encoder.encode_images(pixels_HW3[None])]
    np.testing.assert_allclose(printed_ND, expected_ND, atol=1e-6)
    (record,) = audited(Settings())
    assert (record["event"], record["who"], record["purpose"]) == ("embed", "local:ada", "case 17")
    assert record["texts"] == ["a red coat", "green"]
    assert record["images"] == [hashlib.sha256(figure("red")).hexdigest()]


def test_json_says_which_collection_the_vectors_belong_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "red", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["collection"], told["model_version"], told["fingerprint"]) == ("persons_v1_1", "1", "fingerprint-1")
    assert [len(vector) for vector in told["texts"]] == [told["dimensions"]]
    assert told["images"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a description, --image or both expected"),
        (["  "], "the description is empty"),
        (["--image", "nowhere.jpg"], "--image nowhere.jpg: no such file"),
        (["--image", __file__], "not an image in one of the formats"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_what_cannot_be_recorded_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_audit(Settings())
    with refused(Settings().database_address):
        assert run(monkeypatch, "red") == 2
    told = capsys.readouterr()
    assert "the request cannot be recorded, so its results are not shown" in told.err
    assert told.out == ""
