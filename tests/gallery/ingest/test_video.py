"""Frames come upright, with square pixels and their own times; files that are no videos are refused in one line, and
damaged ones are read around the damage.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest.video import read_frames, read_info

from .clips import Walker, draw, write_clip, write_stream

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
        with pytest.raises(UserError, match="a video file expected"):
            read_info(path)


def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [WALKER], frames=30)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    frames = [frame.index for frame in read_frames(clip)]
    assert 10 <= len(frames) < 30
    assert frames == list(range(len(frames)))


EVEN = [n / 10 for n in range(60)]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_a_stall_and_a_varying_rate_keep_their_times(tmp_path: Path, name: str) -> None:
    times = [t + 60 * (n >= 20) + 0.03 * (n % 2) for n, t in enumerate(EVEN)]
    clip = write_stream(tmp_path / name, [WALKER], times=times)
    frames = list(read_frames(clip))
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=0.002)
    info = read_info(clip)
    assert info.frames_per_second == pytest.approx(10, rel=0.35)
    assert info.frame_count in (0, 60)


def test_a_stream_without_times_needs_a_rate(tmp_path: Path) -> None:
    clip = write_stream(tmp_path / "clip.h264", [WALKER], times=EVEN)
    with pytest.raises(UserError, match=r"clip\.h264: the stream has no timestamps.*--fps"):
        read_info(clip)
    assert read_info(clip, frames_per_second=12.5).frames_per_second == 12.5
    seconds = [frame.seconds for frame in read_frames(clip, frames_per_second=12.5)]
    assert seconds == pytest.approx([n / 12.5 for n in range(60)])


def test_time_that_jumps_back_continues(tmp_path: Path) -> None:
    """Two recordings joined: the second begins at 0 again."""
    first = write_stream(tmp_path / "first.ts", [WALKER], times=EVEN[:30])
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() * 2)
    assert [frame.seconds for frame in read_frames(both)] == pytest.approx(EVEN, abs=0.002)


def test_pixels_are_made_square(tmp_path: Path) -> None:
    wide = write_stream(tmp_path / "wide.mp4", [WALKER], times=EVEN[:10], aspect=Fraction(16, 11))
    assert (read_info(wide).width, read_info(wide).height) == (465, 240)
    high = write_stream(tmp_path / "high.mp4", [WALKER], times=EVEN[:10], aspect=Fraction(1, 2))
    assert next(read_frames(high)).pixels.shape == (480, 320, 3)


def test_a_turned_recording_is_upright(tmp_path: Path) -> None:
    clip = write_stream(tmp_path / "clip.mp4", [WALKER], times=EVEN[:10])
    level = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    turned = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    clip.write_bytes(turned.join(clip.read_bytes().rsplit(level, 1)))
    assert (read_info(clip).width, read_info(clip).height) == (240, 320)
    expected = np.rot90(draw(0, [WALKER]), -1).astype(int)
    assert np.abs(next(read_frames(clip)).pixels - expected).mean() < 6


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_a_damaged_middle_is_left_out(tmp_path: Path, name: str) -> None:
    clip = write_stream(tmp_path / name, [WALKER], times=EVEN)
    content = bytearray(clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 8] = bytes(len(content) // 8)
    clip.write_bytes(content)
    frames = list(read_frames(clip))
    assert len(frames) >= 40
    assert frames[-1].seconds == pytest.approx(5.9, abs=0.01)
    assert np.abs(frames[-1].pixels - draw(59, [WALKER]).astype(int)).mean() < 8


def test_a_playlist_opens_nothing_else(tmp_path: Path) -> None:
    write_stream(tmp_path / "clip.ts", [WALKER], times=EVEN[:10])
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match=r"list\.m3u8"):
        read_info(playlist)
