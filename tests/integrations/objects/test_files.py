"""Files of a folder or of a bucket come back under their names, whatever these are and however large the files."""

from pathlib import Path

import pytest

from personsearch.integrations.objects import files as module
from personsearch.integrations.objects.files import open_files
from tests.servers.s3 import S3Server

CONTENTS = {
    "1/artifacts/empty": b"",
    "1/artifacts/two pieces.bin": b"abc" * 4,
    "1/artifacts/100%25 ü #1?&=+.txt": b"percent",
    "1/artifacts/[a]{b}~^`|<d>'\"*.txt": b"brackets",
}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_files_come_back_under_their_names(
    kind: str, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 8)
    files = open_files(s3.new_place() if kind == "s3" else str(tmp_path / "files"))
    for name, content in CONTENTS.items():
        files.put(name, [content[start : start + 8] for start in range(0, len(content), 8)])
    held = list(files.all())
    assert {file.name: b"".join(files.pieces(file)) for file in held} == CONTENTS
    assert {file.name: file.size for file in held} == {name: len(content) for name, content in CONTENTS.items()}
