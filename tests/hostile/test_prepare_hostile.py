"""Hostile input through the real command line: refused or accepted item by item, and nothing crashes."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.records import read_manifest
from personsearch.errors import UserError
from personsearch.images import open_image

COMMAND = [sys.executable, "-c", "from personsearch.cli import main; main()", "data", "prepare"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)


def refused_rows(out: Path) -> set[int]:
    lines = (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["row"] for line in map(json.loads, lines)}


def test_two_hundred_hostile_inputs_item_by_item(
    write_hostile: Callable[[str], Path], inputs: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run(write_hostile("json"), out, "--json")
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    accepted = {record.person_id: record for record in read_manifest(out)}
    wrong = [
        f"{hostile.name}: {hostile.verdict} expected"
        for number, hostile in enumerate(inputs)
        if (number in accepted) != (hostile.verdict == "accepted")
    ]
    assert not wrong
    assert len(inputs) == 200
    assert json.loads(result.stdout)["rows"] == len(inputs) + 1
    silently_dropped = set(range(1, len(inputs) + 2)) - refused_rows(out) - {number + 1 for number in accepted}
    assert not silently_dropped


def test_what_was_accepted_can_be_decoded_and_written(write_hostile: Callable[[str], Path], tmp_path: Path) -> None:
    for form in ("json", "csv"):
        out = tmp_path / f"out_{form}"
        prepare(PrepareConfig(), write_hostile(form), out)
        records = read_manifest(out)
        assert len(records) > 60
        for record in records:
            assert min(open_image(out / record.path).size) >= 8
            assert (out / record.path).resolve().is_relative_to(out.resolve())
            assert all(caption.encode("utf-8") and len(caption.split()) <= 200 for caption in record.captions)


def test_strict_is_exit_code_2_and_one_readable_line(write_hostile: Callable[[str], Path], tmp_path: Path) -> None:
    result = run(write_hostile("json"), tmp_path / "out", "--strict")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [result.stderr.strip()]
    assert result.stderr.startswith("personsearch: reid_raw.json row 1: image-unreadable: 000.jpg:")


@pytest.mark.parametrize(
    "annotation",
    [
        b"",
        b"{",
        b"[{]",
        b'[{"id": 1},',
        b"null",
        b"[1, 2, 3]",
        b"[" * 50_000,
        b"\x00\xff\xfe",
        b'{"a": {"id": 1}}',
        b"[]",
        b'"' + b"a" * 100_000,
    ],
)
def test_a_broken_annotation_is_one_readable_line(tmp_path: Path, annotation: bytes) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    (source / "reid_raw.json").write_bytes(annotation)
    with pytest.raises(UserError) as caught:
        prepare(PrepareConfig(), source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("id", "split", "file_path", "img_path", "captions", "captions_bt", "camera_id", "attributes")
ANY_ROW = st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.sampled_from(["train", "1.png", ["a coat"]]))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.lists(ANY_ROW | ANYTHING, max_size=5) | st.dictionaries(st.text(max_size=3), ANY_ROW, max_size=3),
    name=st.sampled_from(["reid_raw.json", "ICFG-PEDES.json", "data_captions.json", "UFine6926.json", "val.json"]),
    fraction=st.sampled_from([0.0, 0.5]),
)
def test_any_json_is_prepared_or_refused(
    tmp_path_factory: pytest.TempPathFactory, value: Any, name: str, fraction: float
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "raw").mkdir()
    (folder / "raw" / name).write_text(json.dumps(value))
    try:
        metrics = prepare(PrepareConfig(val_fraction=fraction), folder / "raw", folder / "out")
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 (most examples end here, the others must not raise at all)
    else:
        assert metrics["rows"] == len(value)


KILLED = """
import os, signal, sys
from personsearch.cli import main
from personsearch.files import Journal

append, left = Journal.append, int(sys.argv.pop(1))

def append_then_die(journal, outcome):
    global left
    append(journal, outcome)
    left -= 1
    if not left:
        journal._file.write('{"half": ')
        journal._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

Journal.append = append_then_die
main()
"""


def test_killed_in_the_middle_and_started_again_ends_the_same(
    write_hostile: Callable[[str], Path], tmp_path: Path
) -> None:
    source, out = write_hostile("json"), tmp_path / "killed"
    assert run(source, tmp_path / "whole").returncode == 0
    for rows_before_kill in (50, 70):
        command = [sys.executable, "-c", KILLED, str(rows_before_kill), "data", "prepare", str(source), str(out)]
        assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
        assert not (out / "manifest.parquet").exists()
    assert (out / ".journal.jsonl").read_bytes().count(b"\n") == 1 + 50 + 70
    assert run(source, out).returncode == 0
    assert contents(out) == contents(tmp_path / "whole")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
