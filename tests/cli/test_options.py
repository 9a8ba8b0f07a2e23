"""What options mean in every command, and how its output can be copied."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch.bundle import Bundle, write_spec
from personsearch.cli import output
from personsearch.cli.app import command_line, main
from personsearch.cli.options import configured, moment, start_moment
from personsearch.compression.compress import CompressConfig
from personsearch.compression.probing import ProbeConfig
from personsearch.data.prepare import PrepareConfig
from personsearch.errors import UserError
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.mlflow.registry import ModelRegistry
from tests.cli.test_help import commands

ROOT = Path(__file__).parents[2]
LONG = "a folder [v1] with a name that is longer than eighty columns, so that any table would have to break it [/b]"


def run(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """A real command in a pipe of 40 columns."""
    environment = os.environ | {"COLUMNS": "40", "PERSONSEARCH_HOME": "home", "TZ": "Asia/Kolkata"} | variables
    command = [sys.executable, "-m", "personsearch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_params_are_the_given_file_else_params_yaml_else_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured(PrepareConfig, "prepare", None) == PrepareConfig()
    Path("params.yaml").write_text("")
    assert configured(PrepareConfig, "prepare", None) == PrepareConfig()
    Path("params.yaml").write_text("prepare: {max_caption_words: 3}")
    Path("other.yaml").write_text("prepare: {max_caption_words: 4}")
    assert configured(PrepareConfig, "prepare", None).max_caption_words == 3
    assert configured(PrepareConfig, "prepare", Path("other.yaml")).max_caption_words == 4
    assert configured(ProbeConfig, "probe", None) == ProbeConfig()
    assert configured(ProbeConfig, "probe", Path("other.yaml")) == ProbeConfig()
    Path("empty.yaml").write_text("")
    assert configured(PrepareConfig, "prepare", Path("empty.yaml")) == PrepareConfig()
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read"):
        configured(PrepareConfig, "prepare", Path("absent.yaml"))


def test_compress_makes_the_seven_forms_of_params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    assert len(configured(CompressConfig, "compress", None).forms) == 7
    assert configured(IngestConfig, "ingest", None) == IngestConfig()


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "bundle", "--dataset", "data", "--out", "out"),
        ("compress", "bundle", "--dataset", "data", "--out", "out"),
        ("gate", "metrics.json"),
        ("probe", "bundle", "--before", "bundle", "--dataset", "data", "--out", "out"),
        ("data", "prepare", "raw", "prepared"),
        ("ingest", "video.avi", "--camera", "gate", "--start", "2026-03-01T09:00:00Z"),
        ("index",),
        ("pipeline", "run", "indexing"),
    ],
)
def test_a_params_file_that_is_absent_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    result = run(tmp_path, *command, "--params", "absent.yaml")
    assert result.returncode == 2
    assert result.stderr == "personsearch: absent.yaml: cannot be read: no such file or folder\n"


def test_one_name_and_one_meaning_for_an_option() -> None:
    helps: dict[str, set[str]] = {}
    for _, command in commands(command_line()):
        for parameter in command.params:
            if parameter.name in {"params", "gallery"}:
                helps.setdefault(parameter.name, set()).add(parameter.help)
    assert {name: len(texts) for name, texts in helps.items()} == {"params": 1, "gallery": 1}


TIMED = (
    ("search", "x", "--after"),
    ("search", "x", "--before"),
    ("gallery", "erase", "--yes", "--after"),
    ("gallery", "erase", "--yes", "--before"),
    ("gallery", "add-dataset", "--dataset", "data", "--start"),
    ("ingest", "video.avi", "--camera", "gate", "--start"),
)


@pytest.mark.parametrize("command", TIMED)
def test_a_time_without_a_zone_is_refused_with_what_to_write(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(tmp_path, *command, "2026-03-01T09:10")
    assert result.returncode == 2
    assert result.stderr == (
        f"personsearch: {command[-1]} '2026-03-01T09:10': the time zone is missing; "
        "write 2026-03-01T09:10:00Z for UTC or 2026-03-01T09:10:00+05:30 for local time\n"
    )


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="outside the years 1 to 9999 in UTC"):
        moment("--after", text)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59"])
def test_the_ends_of_the_calendar_have_a_zone_to_suggest(text: str) -> None:
    with pytest.raises(UserError, match=r"the time zone is missing; write .*Z for UTC"):
        moment("--after", text)


def test_every_time_option_states_the_rule() -> None:
    texts = [
        parameter.help
        for _, command in commands(command_line())
        for parameter in command.params
        if parameter.metavar == "TIME"
    ]
    assert len(texts) > len(TIMED)  # and `alerts watch`, which asks the service
    assert all("ISO 8601 with a time zone" in text for text in texts)


def test_a_table_neither_cuts_nor_wraps_nor_reads_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(["name", "人", "n"], [[LONG, "[red]x[/red]", 1], ["b\nc\x1b[31m", "–", 23]], numeric=True)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.startswith("name ")
    assert first.startswith(f"{LONG}  [red]x[/red]  ")
    assert second.startswith(r"b\nc\x1b[31m ")
    assert (first[-2:], second[-2:]) == (" 1", "23")


def test_a_result_shows_whole_paths(tmp_path: Path) -> None:
    folder = tmp_path / LONG.replace("/", "-")
    gallery_in(folder)
    result = run(tmp_path, "gallery", "show", "--gallery", folder)
    assert result.returncode == 0, result.stderr
    assert f"{folder}\n" in result.stdout


def test_a_wrong_command_line_shows_whole_paths(tmp_path: Path) -> None:
    name = LONG.replace("/", "-")
    result = run(tmp_path, "evaluate", "bundle", "--dataset", "data", "--out", "out", "--split", name)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert name in line
    missing = run(tmp_path, "train", name, "--out", name)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
    assert "Missing option '--dataset'" in missing.stderr
    unread = run(tmp_path, "describe", name)
    assert unread.stderr.startswith(f"personsearch: {name}: cannot be read")
    assert len(unread.stderr.splitlines()) == 1


def test_a_group_without_a_command_prints_its_help(tmp_path: Path) -> None:
    result = run(tmp_path, "gallery")
    assert result.returncode == 2
    assert "add-dataset" in result.stderr
    assert "Usage: python -m personsearch gallery" in result.stderr.splitlines()[0]


def test_models_shows_whole_hashes_and_tags(tmp_path: Path, tiny_bundle: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
    (tmp_path / "home").mkdir()
    registry = ModelRegistry(uri, "personsearch", cache=tmp_path / "cache")
    tags = {"validation_status": "[v1] refused", "dataset_hash": "0" * 64}
    registry.register(Bundle.open(tiny_bundle), metrics={}, tags=tags)
    shutil.copytree(tiny_bundle, tmp_path / "openvino")
    form = {"variant": "onnx-fp32", "runtime": "openvino"}
    write_spec(tmp_path / "openvino", Bundle.open(tiny_bundle).spec.model_copy(update=form))
    registry.register(Bundle.open(tmp_path / "openvino"), metrics={}, tags=tags)
    result = run(tmp_path, "models")
    assert "onnx-fp32  openvino  " in result.stdout.splitlines()[1]
    assert result.returncode == 0, result.stderr
    row = result.stdout.splitlines()[2]
    assert "[v1] refused" in row
    assert "onnxruntime" not in row  # torch weights
    assert "…" not in row


def test_counts_are_integers(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Image.fromarray(np.zeros((16, 8, 3), np.uint8)).save(tmp_path / "raw" / "[1].png")
    (tmp_path / "raw" / "captions.csv").write_text("image,person_id,caption\n[1].png,1,a coat\n")
    for _ in range(2):  # made, then found finished
        result = run(tmp_path, "data", "prepare", "raw", "prepared", "--json")
        assert result.returncode == 0, result.stderr
        assert {type(value) for value in json.loads(result.stdout).values()} == {int}


def test_home_holds_for_local_runs(tmp_path: Path) -> None:
    run(tmp_path, "pipeline", "run", "training", "--set", "model_name=x")
    assert (tmp_path / "home" / "pipelines").is_dir()
    assert not (tmp_path / "var").exists()


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", "from personsearch.cli import main; main()", *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"gaate: {min_r1: 90}", "section 'gaate': unknown; did you mean gate?"),
        (b"gate: {min_r: 90}", "section 'gate': min_r: unknown; did you mean min_r1?"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"gate: [1, 2", "not valid YAML: expected ',' or ']'"),
        (b"[1, 2]", "a YAML mapping of sections expected, found list"),
    ],
)
def test_a_wrong_params_file_is_one_readable_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"t2i_r1": 40}')
    (tmp_path / "given.yaml").write_bytes(content)
    result = command("gate", tmp_path / "metrics.json", "--params", tmp_path / "given.yaml")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    result = command("models", PERSONSEARCH_HOME=str(tmp_path), PERSONSEARCH_MILVUS_INDEX="FOO")
    assert result.returncode == 2
    assert result.stderr.startswith("personsearch: PERSONSEARCH_MILVUS_INDEX='FOO': 'AUTO', 'FLAT', 'HNSW' or")


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    result = command("models", PERSONSEARCH_HOME=str(tmp_path / "home"))
    assert result.returncode == 2
    assert result.stderr.startswith(f"personsearch: {tmp_path / 'home'}")
    assert result.stderr.count("\n") == 1


def test_a_start_that_leaves_no_time_for_frames_is_refused() -> None:
    with pytest.raises(UserError, match="a year before the last one"):
        start_moment("--start", "9999-12-31T23:59:59Z")
    assert start_moment("--start", "9998-01-01T00:00:00Z").year == 9998


def test_a_tag_without_a_value_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    result = command("register", tiny_bundle, "--tag", "foo", PERSONSEARCH_HOME=str(tmp_path))
    assert (result.returncode, result.stderr) == (2, "personsearch: --tag 'foo': KEY=VALUE expected\n")


def test_a_recipe_decides_the_device_unless_the_option_does(tmp_path: Path, tiny_dataset: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("model: {weights: random}\ndevice: tpu\n")
    arguments = ("train", "recipe.yaml", "--dataset", tiny_dataset, "--out", "out")
    assert "tpu" in run(tmp_path, *arguments).stderr
    assert "abacus" in run(tmp_path, *arguments, "--device", "abacus").stderr


def test_indexing_needs_no_params_file(tmp_path: Path) -> None:
    result = run(tmp_path, "pipeline", "run", "indexing", "--set", "model_version=99")
    assert "index_config" not in result.stderr
    assert "has no version '99'" in result.stderr


def test_commands_that_add_nothing_make_no_gallery(tmp_path: Path) -> None:
    expected = "personsearch: nope: no gallery; `personsearch ingest` and `personsearch gallery add-dataset` make one\n"
    for arguments in (
        ("gallery", "show"),
        ("gallery", "erase", "--camera", "gate", "--dry-run"),
        ("search", "a man"),
        ("index",),
        ("rollback",),
    ):
        result = run(tmp_path, *arguments, "--gallery", "nope")
        assert (result.returncode, result.stderr) == (2, expected), arguments
    assert not (tmp_path / "nope").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", " "), "the description is empty; describe what the person looks like"),
        (("search", "a man", "--save", "x.gif"), "--save x.gif: a file name ending in .png or .jpg or .jpeg expected"),
        (
            ("data", "synthesize", "out", "--contact-sheet", "x.txt"),
            "--contact-sheet x.txt: a file name ending in .png expected",
        ),
        (
            ("data", "synthesize", "out", "--contact-sheet", "."),
            "--contact-sheet .: a file name ending in .png expected",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(tmp_path, *arguments)
    assert (result.returncode, result.stderr) == (2, f"personsearch: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_lists_and_mappings_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(
        {
            "passed": True,
            "reasons": ["one", "two"],
            "cameras": {"gate": {"crops": 3, "first": None}, "yard": {"crops": 1, "first": "9:00"}},
            "erased": [],
        },
        as_json=False,
    )
    assert capsys.readouterr().out.splitlines() == [
        "passed   yes",
        "reasons  one",
        "         two",
        "cameras  gate: crops 3, first –",
        "         yard: crops 1, first 9:00",
        "erased   none",
    ]


def test_synthesize_takes_settings_from_params_and_options_go_before_them(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "synthesize: {identities_train: 1, identities_val: 0, identities_test: 0, images_per_identity: 1, workers: 1}"
    )
    made = run(tmp_path, "data", "synthesize", "out", "--images-per-identity", "2", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["images"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ingest", "a.mp4", "--camera", "a", "--start", "2026-03-01T09:00:00Z", "--fps", "0"], "'--fps'"),
        (["ingest", "a.mp4", "--camera", "a", "--start", "2026-03-01T09:00:00Z", "--fps", "1e400"], "'--fps'"),
        (["import", "a.pth", "--from", "clip", "--out", "b"], "'--from': 'clip' is not one of 'tbps-clip'"),
    ],
)
def test_a_wrong_value_is_said_in_one_line_that_names_the_option(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["personsearch", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert said in line


def test_a_missing_choice_is_told_in_one_line(tmp_path: Path) -> None:
    missing = run(tmp_path, "import", "best.pth", "--out", "imported")
    (line,) = missing.stderr.splitlines()
    assert "Missing option '--from'. Choose from: tbps-clip, irra, cskt, ctlg, rde; see `" in line
