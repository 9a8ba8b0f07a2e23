"""What Prometheus reads from `personsearch watch` and `personsearch promoter`."""

from pathlib import Path

import pytest

from personsearch.addresses import direct_opener
from personsearch.errors import EngineFailed, UserError
from personsearch.gallery.watch.health import StreamState, write_health
from personsearch.installation.process_metrics import BackupMetrics, PromoterMetrics, StreamMetrics, answering
from personsearch.integrations.database.notices import BACKED_UP, DatabaseNotices
from personsearch.integrations.database.schema import open_database


def read(port: int) -> dict[str, float]:
    """Values by name and labels."""
    with direct_opener().open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_streams_have_their_figures_by_camera(tmp_path: Path) -> None:
    state = StreamState("gate 3", "rtsp://10.0.0.7/stream1", clock="ours")
    for _ in range(2):
        state.connected()
        state.count_frame()
    state.dropped, state.people, state.crops, state.lag, state.clock_offset = 7, 1, 3, 0.25, -181.0
    health = state.health()
    write_health(tmp_path, health)
    write_health(tmp_path, health.model_copy(update={"camera": "of another process"}))
    with answering("127.0.0.1:0", StreamMetrics(tmp_path, ["gate 3"])) as port:
        seen = read(port)
    of_streams = {name: value for name, value in seen.items() if name.startswith("personsearch_stream_")}
    assert of_streams.pop('personsearch_stream_last_frame_timestamp_seconds{camera="gate 3"}') == health.last_frame_at
    assert of_streams == {
        f'personsearch_stream_{name}{{camera="gate 3"}}': value
        for name, value in {
            "frames_total": 2,
            "dropped_total": 7,
            "damaged_total": 0,
            "reconnects_total": 1,
            "people_total": 1,
            "crops_total": 3,
            "lost_total": 0,
            "up": 1,
            "waiting": 0,
            "lag_seconds": 0.25,
            "clock_offset_seconds": -181,
        }.items()
    }


class Promoter:
    failures = 3
    leads = True


def test_a_promoter_says_whether_it_leads_and_what_failed() -> None:
    with answering("127.0.0.1:0", PromoterMetrics(Promoter())) as port:
        seen = read(port)
    assert (seen["personsearch_promoter_leads"], seen["personsearch_promoter_failures_total"]) == (1, 3)


def test_the_time_of_the_last_backup_is_told_where_there_was_one(tmp_path: Path) -> None:
    notices = DatabaseNotices(open_database(f"sqlite:///{tmp_path / 'gallery' / 'gallery.db'}"))
    with answering("127.0.0.1:0", BackupMetrics(lambda: notices.number(BACKED_UP))) as port:
        name = "personsearch_last_backup_timestamp_seconds"
        assert name not in read(port)
        notices.note(BACKED_UP, 1_772_366_400_500)
        assert read(port)[name] == 1_772_366_400.5

    def unreachable() -> int:
        raise EngineFailed("database", "cannot be reached")

    with answering("127.0.0.1:0", BackupMetrics(unreachable)) as port:
        assert name not in read(port)


def test_what_engines_refuse_is_counted() -> None:
    with answering("127.0.0.1:0") as port:
        name = 'personsearch_engine_failures_total{engine="vectors"}'
        before = read(port)[name]
        EngineFailed("vectors", "Milvus cannot be reached")
        assert read(port)[name] == before + 1


@pytest.mark.parametrize("address", ["9464", "127.0.0.1:x", "127.0.0.1:99999", ":9464", "no.such.host.invalid:9464"])
def test_an_address_that_cannot_be_used_is_one_line(address: str) -> None:
    with pytest.raises(UserError, match=f"PERSONSEARCH_METRICS '{address}'"), answering(address):
        pass


def test_without_an_address_nothing_listens() -> None:
    with answering(None) as port:
        assert port == 0
