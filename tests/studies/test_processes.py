"""Commands as processes: their share of the machine, how they ended, the lock that outlives a killed study."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from personsearch.files import locked
from personsearch.studies.processes import Place, Subprocesses
from personsearch.studies.runs import run_folder
from personsearch.studies.schedule import shares

PYTHON = (sys.executable, "-c")


def test_a_process_keeps_to_its_share_and_tells_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "of the study")
    code = """
        import os, sys, time
        held = bytearray(80 << 20)
        print(*map(os.environ.get, ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MLFLOW_RUN_ID")), flush=True)
        time.sleep(1)
        sys.exit(3)
    """
    with (tmp_path / "lock").open("w") as lock:
        ended = Subprocesses(PYTHON)([textwrap.dedent(code)], tmp_path / "log", Place(2, gpu=1), lock=lock.fileno())
    assert ended.code == 3
    assert 80 < ended.peak_memory_mib < 120
    assert (tmp_path / "log").read_text() == "2 1 None\n"


def test_stop_ends_what_runs(tmp_path: Path) -> None:
    run = Subprocesses(PYTHON)
    codes: list[int] = []
    with (tmp_path / "lock").open("w") as lock:
        code = "import time; print('up', flush=True); time.sleep(60)"
        thread = threading.Thread(
            target=lambda: codes.append(run([code], tmp_path / "log", Place(1), lock=lock.fileno()).code)
        )
        thread.start()
        while not (tmp_path / "log").is_file() or not (tmp_path / "log").read_text():
            time.sleep(0.01)
        run.stop()
        thread.join()
    assert codes == [-signal.SIGTERM]


ORPHAN = """
    import sys
    from pathlib import Path
    from personsearch.files import locked
    from personsearch.studies.processes import Place, Subprocesses
    folder = Path(sys.argv[1])
    with locked(folder / ".lock") as lock:
        code = "import time; print('up', flush=True); time.sleep(2)"
        Subprocesses((sys.executable, "-c"))([code], folder / "log", Place(1), lock=lock)
"""


def test_a_killed_study_leaves_its_run_locked_until_that_ends(tmp_path: Path) -> None:
    study = subprocess.Popen([*PYTHON, textwrap.dedent(ORPHAN), tmp_path])
    while not (tmp_path / "log").is_file() or not (tmp_path / "log").read_text():
        time.sleep(0.01)
    up = time.monotonic()
    study.kill()
    study.wait()
    with locked(tmp_path / ".lock"):
        assert time.monotonic() - up > 1


def test_the_machine_is_divided() -> None:
    cores = len(os.sched_getaffinity(0))
    assert [place.threads for place in shares(1)] == [cores]
    assert [place.threads for place in shares(4 * cores)] == [1] * 4 * cores


def test_a_run_keeps_the_folder_it_was_first_given(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "losses/N-ITC + R-ITC, seed 0", "0123456789ab")
    assert folder == tmp_path / "losses-n-itc-r-itc-seed-0-0123456789ab"
    folder.mkdir()
    assert run_folder(tmp_path, "another name", "0123456789ab") == folder
