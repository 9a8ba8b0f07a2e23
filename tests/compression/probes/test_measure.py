"""What a probe has measured survives a kill, and belongs to one model and data set."""

from pathlib import Path

from personsearch.compression.probes.measure import ProbeJournal
from personsearch.compression.probes.walk import Probe

REMOVED, BLENDED = Probe(3, "attention"), Probe(3, "layer", 57 / 100)


def test_measurements_are_found_again(tmp_path: Path) -> None:
    ProbeJournal(tmp_path / "a" / "probes.jsonl", "key").record("text", {REMOVED: 31.25, BLENDED: 59.1})
    found = ProbeJournal(tmp_path / "a" / "probes.jsonl", "key")
    assert found.r1("text", REMOVED) == 31.25
    assert found.r1("text", BLENDED) == 59.1
    assert found.r1("image", REMOVED) is None
    assert found.r1("text", Probe(3, "attention", 0.0)) is None


def test_half_a_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    ProbeJournal(path, "key").record("text", {REMOVED: 31.25})
    path.write_bytes(path.read_bytes() + b'{"tower": "text", "lay')
    ProbeJournal(path, "key").record("text", {BLENDED: 59.1})
    found = ProbeJournal(path, "key")
    assert (found.r1("text", REMOVED), found.r1("text", BLENDED)) == (31.25, 59.1)


def test_another_key_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    ProbeJournal(path, "key").record("text", {REMOVED: 31.25})
    other = ProbeJournal(path, "other")
    assert other.r1("text", REMOVED) is None
    other.record("text", {BLENDED: 59.1})
    assert ProbeJournal(path, "key").r1("text", REMOVED) is None
