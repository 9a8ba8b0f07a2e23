"""What `personsearch status` says of a stream."""

from pathlib import Path
from typing import Any

import pytest

from personsearch.gallery.watch.health import StreamState, problems_of, read_health, write_health

NOW = 1_800_000_000.0
WELL = StreamState("gate 3", "rtsp://10.0.0.7/stream1", clock="ours").health()
WATCHING = {"state": "watching", "beat_at": NOW, "last_frame_at": NOW}


def said(**values: Any) -> list[str]:
    return problems_of([WELL.model_copy(update=WATCHING | values)], now=NOW)


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, []),
        ({"clock_offset": -4.9}, []),
        (
            {"clock_offset": -181.2},
            ["the camera's clock is 181 s behind ours; set it by NTP (its crops carry ours)"],
        ),
        (
            {"clock_offset": 60, "clock": "camera"},
            ["the camera's clock is 60 s ahead of ours; set it by NTP (its crops carry the camera's)"],
        ),
        ({"last_frame_at": NOW - 40}, ["no frame for 40 s (watching)"]),
        (
            {"state": "lost", "problem": "refused", "last_frame_at": None},
            ["no frame yet (refused)"],
        ),
        ({"waiting": 3, "problem": "the disk is full"}, ["3 people wait to be stored (the disk is full)"]),
        ({"lost": 2}, ["2 people could not be stored and are lost"]),
        ({"state": "stopped", "beat_at": 0.0, "last_frame_at": 0.0}, []),
        ({"state": "stopped", "lost": 2}, ["2 people could not be stored and are lost"]),
        (
            {"beat_at": NOW - 31},
            ["was being watched until its process ended; start `personsearch watch` again"],
        ),
    ],
)
def test_each_fault_has_its_line(values: dict[str, Any], lines: list[str]) -> None:
    assert said(**values) == [f"gate 3: {line}" for line in lines]


def test_health_is_kept_by_camera_and_a_damaged_file_is_no_stream(tmp_path: Path) -> None:
    assert read_health(tmp_path / "watch") == []
    write_health(tmp_path, WELL)
    write_health(tmp_path, WELL.model_copy(update={"camera": "gate/3"}))
    write_health(tmp_path, WELL.model_copy(update={"people": 7}))
    (tmp_path / "torn.json").write_text('{"camera": "x"')
    assert sorted((each.camera, each.people) for each in read_health(tmp_path)) == [("gate 3", 7), ("gate/3", 0)]


def test_a_state_counts_connections_and_frames() -> None:
    state = StreamState("gate 3", "rtsp://10.0.0.7/stream1", clock="ours")
    assert (state.health().state, state.health().last_frame_at) == ("connecting", None)
    for _ in range(3):
        state.connected()
        state.count_frame()
    assert (state.health().state, state.health().reconnects) == ("watching", 2)
    state.lose("refused")
    state.storing_problem = "the disk is full"
    assert (state.health().state, state.health().problem) == ("lost", "refused")
    state.count_frame()
    assert state.health().problem == "the disk is full"
    state.stop()
    assert state.health().state == "stopped"
