"""`personsearch search` tells what a model did not read, and is recorded before it shows anything."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from personsearch.cli import main
from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.platforms import open_cameras
from personsearch.installation.settings import Settings
from personsearch.search.exact import ExactStore
from personsearch.search.searcher import Searcher
from tests.audit import audited, is_intact, refused
from tests.serving.colours import COLOURS, WORDS_READ, ColourEncoder, add_figures, build_collection, figure

READ = " ".join(["red"] * WORDS_READ)


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live collection, without Milvus and MLflow."""
    store = ExactStore()
    build_collection(store, add_figures(tmp_path / "gallery", COLOURS), "persons_v1_1")
    properties, searcher = store.properties("persons_v1_1"), Searcher(ColourEncoder(), store.open("persons_v1_1"))
    opened = SimpleNamespace(collection="persons_v1_1", properties=properties, searcher=searcher)
    monkeypatch.setattr("personsearch.cli.search.open_live_index", lambda: opened)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))


def search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> None:
    command = ["personsearch", "search", "--gallery", str(tmp_path / "gallery"), "-k", "1", *arguments]
    assert run(monkeypatch, command) == 0


def run(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> int:
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_camera_is_shown_by_its_name_and_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_cameras(Settings()).put([CameraDetails("junction", "Die Kreuzung", "outside")])
    search(monkeypatch, tmp_path, "red", "--camera", "junction")
    assert "  Die Kreuzung (junction)  " in capsys.readouterr().out
    search(monkeypatch, tmp_path, "red", "--camera", "junction", "--json")
    [found] = json.loads(capsys.readouterr().out)["candidates"]
    assert (found["camera"], found["camera_name"]) == ("junction", "Die Kreuzung")
    search(monkeypatch, tmp_path, "red", "--camera", "north-door")
    assert "  north-door  " in capsys.readouterr().out


@pytest.mark.parametrize(("text", "unread"), [(f"  {READ} but  green ", "but  green"), (READ, "")])
def test_the_unread_end_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, unread: str
) -> None:
    search(monkeypatch, tmp_path, text)
    told = capsys.readouterr().out
    assert (f"the model did not read “{unread}”" in told) == bool(unread)
    search(monkeypatch, tmp_path, text, "--json")
    assert json.loads(capsys.readouterr().out)["text_cut_after"] == (len(READ) if unread else None)


def test_a_search_is_recorded_as_the_service_records_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    search(monkeypatch, tmp_path, "a red coat", "--camera", "junction", "--purpose", " case 17 ", "--json")
    shown = json.loads(capsys.readouterr().out)["candidates"]
    (record,) = audited(Settings())
    assert (record["who"], record["purpose"], record["query"]) == ("local:ada", "case 17", "a red coat")
    assert record["results"] == [candidate["crop_id"] for candidate in shown]
    assert record["scores"] == [pytest.approx(candidate["score"], abs=1e-4) for candidate in shown]
    assert record["filters"] == {
        "cameras": ["junction"], "camera_groups": None, "after": None, "before": None, "daily_after": None,
        "daily_before": None, "k": 1, "sort": "score", "group_by_track": True,
    }  # fmt: skip
    assert record["fingerprint"] == "fingerprint-1"
    assert is_intact(Settings())


def test_groups_times_of_day_and_the_order_narrow_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_cameras(Settings()).put([CameraDetails("junction", group="outside", zone="Europe/Vienna")])
    where = ["--camera-group", "outside", "--daily-after", "10:00", "--daily-before", "11:00"]
    search(monkeypatch, tmp_path, "a red coat", *where, "--sort", "newest", "-k", "9", "--json")
    found = json.loads(capsys.readouterr().out)["candidates"]
    assert {each["camera"] for each in found} == {"junction"}
    assert [each["rank"] for each in found] == [1, 2, 3]
    assert [each["captured_at"] for each in found] == sorted((each["captured_at"] for each in found), reverse=True)
    (record,) = audited(Settings())
    assert record["filters"]["camera_groups"] == ["outside"]
    assert (record["filters"]["daily_after"], record["filters"]["sort"]) == ("10:00", "newest")
    search(monkeypatch, tmp_path, "a red coat", "--camera-group", "outside", "--daily-before", "10:00")
    assert "Nothing in the gallery passes the filters." in capsys.readouterr().out


@pytest.fixture
def blue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture in the folder in which the test stands."""
    (tmp_path / "IMAGE").write_bytes(figure("blue"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that searches for the best candidate and returns what is printed."""

    def ask(*arguments: str) -> str:
        search(monkeypatch, tmp_path, *arguments)
        return capsys.readouterr().out

    return ask


@pytest.mark.parametrize(
    ("arguments", "first", "kept"),
    [
        (["--like", "red-0-0"], "", {"like": "red-0-0", "image_weight": 0.5}),
        (["--image", "IMAGE"], "blue", {"image": hashlib.sha256(figure("blue")).hexdigest(), "image_weight": 0.5}),
        (["red green", "--without", "green"], "red", {"without": ["green"]}),
        (["white", "--also", "white coat"], "white", {"also": ["white coat"]}),
    ],
)
@pytest.mark.usefixtures("blue")
def test_other_ways_to_ask(
    searched: Callable[..., str], arguments: list[str], first: str, kept: dict[str, object]
) -> None:
    [best] = json.loads(searched(*arguments, "--json"))["candidates"]
    assert best["confidence"] is None
    assert best["crop_id"].startswith(first)
    assert not best["crop_id"].startswith("red-") or first == "red"
    (record,) = audited(Settings())
    assert record["beside_text"] == kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a description, --image or --like expected"),
        (["--also", "red"], "a description, --image or --like expected"),
        (["--like", "nobody"], "--like 'nobody': the live collection holds no such crop"),
        (["--image", "nowhere.jpg"], "--image nowhere.jpg: no such file"),
        (["--image", __file__], "--image: not an image"),
        (["--image", __file__, "--like", "red-0-0"], "--image or --like expected, not both"),
        (["red", "--camera-group", "inside"], "no group 'inside'; there is none"),
        (["red", "--daily-after", "25:00"], "--daily-after '25:00': HH:MM expected"),
        (["red", "--daily-after", "22:00+01:00"], "without a zone expected"),
        (["red", "--daily-after", "22:00", "--daily-before", "22:00"], "two different times of day expected"),
        (["red", "--image-weight", "0.9"], "--image-weight weighs --image or --like against a description"),
        (
            ["--like", "red-0-0", "--image-weight", "0.9"],
            "--image-weight weighs --image or --like against a description",
        ),
    ],
)
def test_a_mistaken_query_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    command = ["personsearch", "search", "--gallery", str(tmp_path / "gallery"), *arguments]
    assert run(monkeypatch, command) == 2
    assert said in capsys.readouterr().err


def test_a_search_that_cannot_be_recorded_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_audit(Settings())
    picture = tmp_path / "grid.png"
    command = ["personsearch", "search", "--gallery", str(tmp_path / "gallery"), "a red coat", "--save", str(picture)]
    with refused(Settings().database_address):
        assert run(monkeypatch, command) == 2
    told = capsys.readouterr()
    assert "the search cannot be recorded, so its results are not shown" in told.err
    assert told.out == ""
    assert not picture.exists()
