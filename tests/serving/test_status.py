"""The state of an installation, as the operations view shows it."""

from datetime import UTC, datetime

from fastapi.testclient import TestClient

from personsearch.gallery.builds import Shard
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.promotions import Promotion
from personsearch.integrations.database.schema import open_database
from serving.settings import ServingSettings
from tests.crops import make_crop
from tests.serving.colours import figure


def test_status_has_what_is_live_built_and_promoted(client: TestClient, settings: ServingSettings) -> None:
    promotions = client.app.state.service.promotions
    lease = DatabaseLeases(open_database(settings.database_address)).acquire("promoter", "test", 600)
    promotions.went_live(Promotion("1", collection="persons_v1_1"), lease)
    promotions.failed("2", "golden vectors differ", 60.0, lease)
    promotions.beat("test", leads=True, state="version 1 is live", failed=False)
    shard = Shard(collection="persons_v3_1", number=0, of=1, crops=200)
    promotions.builds.plan([shard], apart=False)
    promotions.builds.advance(shard, done=50, encoded=50, removed=0, finished=False)
    found = client.get("/v1/status").json()
    assert (found["collection"], found["model"]["version"], found["problem"]) == ("persons_v1_1", "1", "")
    assert (found["crops"], found["waiting"]) == (18, 0)
    assert [(each["version"], each["collection"], each["failure"]) for each in found["promotions"]] == [
        ("2", "", "golden vectors differ"),
        ("1", "persons_v1_1", ""),
    ]
    assert [(each["state"], each["leads"]) for each in found["promoters"]] == [("version 1 is live", True)]
    (build,) = found["builds"]
    assert (build["collection"], build["done"], build["crops"]) == ("persons_v3_1", 50, 200)
    assert [camera["camera_id"] for camera in found["cameras"]] == ["junction", "north-door"]


def test_status_has_the_drift_of_each_camera(client: TestClient) -> None:
    service = client.app.state.service
    at = datetime(2026, 3, 1, tzinfo=UTC)
    service.gallery.add([(make_crop("new", camera_id="gate", captured_at=at), figure("red"))])  # not indexed yet
    client.post("/v1/search", json={"text": "red"})
    client.post("/v1/search", json={"text": "nothing of this", "cameras": ["junction"]})
    service.drift.look()
    drift = {each["camera_id"]: each for each in client.get("/v1/status").json()["drift"]}
    assert list(drift) == ["gate", "junction", "north-door"]
    assert (drift["gate"]["shift"], drift["gate"]["quality"], drift["gate"]["first_candidates"]) == (None, None, 0)
    assert drift["junction"]["shift"] == round(service.drift.found["junction"].shift, 3)
    assert drift["junction"]["quality"] == 0.9
    assert (drift["junction"]["first_candidates"], drift["junction"]["no_reliable_match"]) == (2, 1)
    assert drift["north-door"]["first_candidates"] == 0
