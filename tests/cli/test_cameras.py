"""The commands of the group "cameras" as a person runs them."""

import json
from pathlib import Path

import pytest

from personsearch.cli import main
from personsearch.installation.platforms import open_cameras
from personsearch.installation.settings import Settings
from tests.serving.colours import COLOURS, add_figures


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path))
    add_figures(tmp_path / "gallery", COLOURS[:2])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "cameras", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_cameras_are_named_grouped_and_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "name", "junction", "Kreuzung Süd") == 0
    assert run(monkeypatch, "group", "outside", "junction", "north-door") == 0
    assert run(monkeypatch, "zone", "Europe/Vienna", "junction") == 0
    capsys.readouterr()
    assert run(monkeypatch, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cameras"] == [
        {"camera_id": "junction", "name": "Kreuzung Süd", "group": "outside", "zone": "Europe/Vienna", "crops": 3},
        {"camera_id": "north-door", "name": "", "group": "outside", "zone": "", "crops": 3},
    ]
    assert run(monkeypatch, "group", "", "north-door") == 0
    assert [each.camera_id for each in open_cameras(Settings()).all()] == ["junction"]
    assert run(monkeypatch, "list") == 0
    assert "Kreuzung Süd" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("name", "north-dor", "Door"), "camera 'north-dor': unknown; did you mean north-door?"),
        (("zone", "Vienna", "junction"), "'Vienna': no time zone"),
        (("group", "a\nb", "junction"), "printable characters expected"),
        (("import", "nowhere.csv"), "nowhere.csv: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert said in capsys.readouterr().err
    assert open_cameras(Settings()).all() == []


@pytest.mark.parametrize("suffix", ["csv", "yaml"])
def test_a_list_goes_out_and_comes_in_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    file = tmp_path / f"cameras.{suffix}"
    assert run(monkeypatch, "export", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    edited = text.replace("junction", "gate").replace("gate,,,", "gate,Gate,,").replace("name: ''", "name: Gate", 1)
    file.write_text(edited, encoding="utf-8")
    assert run(monkeypatch, "import", str(file), "--json") == 0
    assert [(each.camera_id, each.name) for each in open_cameras(Settings()).all()] == [("gate", "Gate")]
