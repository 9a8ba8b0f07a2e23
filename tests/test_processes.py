"""Commands of our own run in their own process; a failed one says why."""

from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.processes import last_line, run_python


def test_what_a_process_printed_comes_back_and_its_log_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print(sys.argv[1]); print('a log', file=sys.stderr)"
    assert run_python("-c", script, "two words") == "two words\n"
    assert capfd.readouterr() == ("", "")
    run_python("-c", script, "two words", echo=True)
    assert capfd.readouterr() == ("", "a log\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; print('a log', file=sys.stderr); sys.exit('personsearch: no such file')", "no such file"),
        ("import sys; sys.exit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("raise ValueError('seven')", "ValueError: seven"),
    ],
)
def test_a_failed_process_says_why(script: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        run_python("-c", script)
    assert str(caught.value) == message


def test_the_last_line_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"")
    assert last_line(log) == ""
    log.write_bytes(b"first\n" + "é".encode() * 3000 + b"\n  last \xff\n\n")
    assert last_line(log) == "last \ufffd"
