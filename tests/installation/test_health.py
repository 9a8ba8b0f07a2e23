"""`status` says everything that is wrong, and nothing of an installation that is well."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.health import OLDEST_HEARTBEAT_SECONDS, find_problems
from personsearch.installation.platforms import open_store
from personsearch.installation.promoter_memory import Memory
from personsearch.installation.services import EVERY_SERVICE, ServiceState
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.promotions import Heartbeat
from personsearch.search.index import LIVE_ALIAS, CollectionProperties
from tests.gallery.builds import crop

WELL = [ServiceState(name, "answers", "", 1, f"{name}.log") for name in EVERY_SERVICE]


def beat(*, age: float = 1.0, state: str = "version 1 is live", failed: bool = False, leads: bool = True) -> Memory:
    return Memory([Heartbeat("host/1/a", leads, state, failed, age)])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PERSONSEARCH_GALLERY", "PERSONSEARCH_MILVUS_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return Settings(home=tmp_path / "home")


def test_an_installation_that_is_well_has_no_problems(settings: Settings) -> None:
    assert find_problems(settings, WELL, beat()) == []
    assert find_problems(settings, WELL[:3], Memory([])) == []  # no promoter was started
    indexing = beat(age=settings.index_stall_seconds - 60, state="indexing with version 2")
    assert find_problems(settings, WELL, indexing) == []


def test_services_that_do_not_answer_are_named(settings: Settings) -> None:
    assert find_problems(settings, [], beat()) == ["no service was started; run `personsearch up`"]
    ill = [
        ServiceState("mlflow", "starting", "", 1, "mlflow.log"),
        ServiceState("milvus", "stopped", "", 1, "milvus.log"),
        *WELL[2:],
    ]
    assert find_problems(settings, ill, beat()) == [
        "mlflow: does not answer yet",
        "milvus: stopped; see milvus.log",
    ]


def test_a_promoter_that_failed_or_stands_still_is_named(settings: Settings) -> None:
    def told(memory: Memory) -> str:
        (problem,) = find_problems(settings, WELL, memory)
        return problem

    assert told(Memory([])) == "promoter: has not looked yet"
    assert told(beat(age=OLDEST_HEARTBEAT_SECONDS + 5)) == "promoter: last looked 65 s ago (version 1 is live)"
    assert "last looked" in told(beat(age=settings.index_stall_seconds + 5, state="indexing with version 2"))
    assert told(beat(state="version 2: spread 0", failed=True)) == "promoter: version 2: spread 0"
    assert told(beat(state="stands by: nobody leads", leads=False)) == "promoter: stands by: nobody leads"
    assert told(Memory([], problem="db.example: refused")) == "promoter: db.example: refused"
    dead, alive = beat(age=300).heartbeats, beat(age=1).heartbeats
    assert find_problems(settings, WELL, Memory([*dead, *alive])) == []


def test_a_store_of_pictures_that_does_not_answer_is_named(
    settings: Settings, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_dataset(tiny_dataset, gallery_in(settings.gallery_folder), split="test", start=datetime(2026, 3, 1, tzinfo=UTC))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "something")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    elsewhere = settings.model_copy(update={"crops": "s3://site"})
    assert find_problems(elsewhere, WELL, beat()) == [
        "pictures: s3://site: http://127.0.0.1:9 cannot be reached; is AWS_ENDPOINT_URL right?"
    ]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert find_problems(elsewhere, WELL, beat()) == [
        "index: s3://site: AWS_ACCESS_KEY_ID must be set in the environment"
    ]


def test_vectors_of_an_empty_gallery_are_named(settings: Settings, tiny_dataset: Path) -> None:
    with closing(open_store(settings)) as store:
        index = store.create("persons_v1_1", CollectionProperties("personsearch", "1", "fingerprint", "data", 4))
        index.upsert([crop(1)], np.eye(4, dtype=np.float32)[:1])
        index.flush()
        store.switch_alias(LIVE_ALIAS, "persons_v1_1")
    gallery = gallery_in(settings.gallery_folder)
    assert find_problems(settings, WELL, beat()) == [
        "index: the gallery is empty, but persons_v1_1 still holds 1 vectors"
    ]
    add_dataset(tiny_dataset, gallery, split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert find_problems(settings, WELL, beat()) == []
