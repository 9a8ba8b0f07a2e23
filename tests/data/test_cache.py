"""The packed image cache: right pixels, once, also after kill -9."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from personsearch.data import cache
from personsearch.data.cache import open_cache
from personsearch.data.records import read_manifest
from personsearch.errors import UserError
from personsearch.images import open_image, resize


def test_rows_are_the_resized_images_in_manifest_order(tiny_dataset: Path, tmp_path: Path) -> None:
    pixels = open_cache(tiny_dataset, tmp_path, "val", (32, 16))
    records = read_manifest(tiny_dataset, "val")
    assert pixels.shape == (len(records), 32, 16, 3)
    assert isinstance(pixels, np.memmap)
    for row, record in zip(pixels, records, strict=True):
        assert np.array_equal(row, resize(open_image(tiny_dataset / record.path), 32, 16))


def test_a_finished_cache_needs_no_images(tiny_dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_dataset, tmp_path / "copy")
    first = np.array(open_cache(copy, tmp_path / "cache", "test", (16, 8)))
    shutil.rmtree(copy / "images")
    assert np.array_equal(open_cache(copy, tmp_path / "cache", "test", (16, 8)), first)
    with pytest.raises(UserError, match=r"0_0.png: file is missing; run `personsearch data prepare` again"):
        open_cache(copy, tmp_path / "cache", "val", (16, 8))


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from personsearch.data import cache
    cache.IMAGES_PER_ADVANCE = 4
    decode, count = cache.resize, 0
    def resize(*arguments):
        global count
        count += 1
        if count == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(*arguments)
    cache.resize = resize
    cache.open_cache(Path(sys.argv[1]), Path(sys.argv[2]), "val", (32, 16))
"""


def test_a_killed_process_leaves_a_cache_that_is_gone_on_with(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(tiny_dataset), str(tmp_path)]
    assert subprocess.run(script, check=False, env=os.environ).returncode == -signal.SIGKILL
    (home,) = tmp_path.iterdir()
    assert (home / "done.json").is_file()
    assert not (home / "index.json").is_file()
    decoded = []
    monkeypatch.setattr(cache, "resize", lambda *arguments: decoded.append(1) or resize(*arguments))
    resumed = open_cache(tiny_dataset, tmp_path, "val", (32, 16))
    assert 0 < len(decoded) < len(resumed)
    monkeypatch.undo()
    assert np.array_equal(resumed, open_cache(tiny_dataset, tmp_path / "fresh", "val", (32, 16)))
