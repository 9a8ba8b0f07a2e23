"""Files that are no videos are refused in one line; broken ones are read as far as they go."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest.video import read_frames, read_info

from .clips import Walker, draw, write_clip

WALKER = Walker((30, 30, 180), 60, 4)


def test_frames_come_in_order_and_skip(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [WALKER], frames=10)
    info = read_info(clip)
    assert (info.width, info.height, info.frames_per_second, info.frame_count) == (320, 240, 10.0, 10)
    frames = list(read_frames(clip, every=3))
    assert [frame.index for frame in frames] == [0, 3, 6, 9]
    assert np.abs(frames[2].pixels.astype(int) - draw(6, [WALKER])).mean() < 6


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x00\x00\x00\x00AVI LIST", bytes(5000), "🙂".encode() * 99])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.avi"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"video\.avi") as refusal:
        read_info(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.avi", tmp_path):
        with pytest.raises(UserError, match="no such video file"):
            read_info(path)


def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [WALKER], frames=30)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    frames = [frame.index for frame in read_frames(clip)]
    assert 10 <= len(frames) < 30
    assert frames == list(range(len(frames)))
