"""The state of an installation, as the operations view shows it."""

from fastapi.testclient import TestClient

from personsearch.gallery.builds import Shard
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.promotions import Promotion
from personsearch.integrations.database.schema import open_database
from serving.settings import ServingSettings


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
    service.drift._found = {}  # what its thread may have seen already
    client.post("/v1/search", json={"text": "red"})
    client.post("/v1/search", json={"text": "nothing of this", "cameras": ["junction"]})
    before = client.get("/v1/status").json()["drift"]
    assert [(each["camera_id"], each["shift"]) for each in before] == [("junction", None), ("north-door", None)]
    assert [(each["first_candidates"], each["no_reliable_match"]) for each in before] == [(2, 1), (0, 0)]
    service.drift.look()
    after = client.get("/v1/status").json()["drift"]
    assert [each["quality"] for each in after] == [0.9, 0.9]
    assert [each["shift"] for each in after] == [
        round(service.drift.found[camera].shift, 3) for camera in ("junction", "north-door")
    ]
