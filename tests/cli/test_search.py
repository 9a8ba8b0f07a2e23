"""`personsearch search` tells what a model did not read."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from personsearch.cli import main
from personsearch.search.exact import ExactStore
from personsearch.search.searcher import Searcher
from tests.serving.colours import COLOURS, WORDS_READ, ColourEncoder, add_figures, build_collection

READ = " ".join(["red"] * WORDS_READ)


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live collection, without Milvus and MLflow."""
    store = ExactStore()
    build_collection(store, add_figures(tmp_path / "gallery", COLOURS), "persons_v1_1")
    properties, searcher = store.properties("persons_v1_1"), Searcher(ColourEncoder(), store.open("persons_v1_1"))
    opened = SimpleNamespace(collection="persons_v1_1", properties=properties, searcher=searcher)
    monkeypatch.setattr("personsearch.cli.search._open_live", lambda: opened)


def search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> None:
    command = ["personsearch", "search", "--gallery", str(tmp_path / "gallery"), "-k", "1", *arguments]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)


@pytest.mark.parametrize(("text", "unread"), [(f"  {READ} but  green ", "but  green"), (READ, "")])
def test_the_unread_end_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, unread: str
) -> None:
    search(monkeypatch, tmp_path, text)
    told = capsys.readouterr().out
    assert (f"the model did not read “{unread}”" in told) == bool(unread)
    search(monkeypatch, tmp_path, text, "--json")
    assert json.loads(capsys.readouterr().out)["text_cut_after"] == (len(READ) if unread else None)
