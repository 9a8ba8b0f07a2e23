"""Verdicts given to the running service become a prepared data set, by one command."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from personsearch.cli import main
from personsearch.data.dataset import Dataset
from personsearch.data.image_files import CheckedImage
from personsearch.data.records import SPLITS, ImageRecord, dataset_hash, write_manifest
from personsearch.data.shards import pack_images
from personsearch.data.statistics import describe_dataset
from personsearch.errors import UserError
from personsearch.images import open_image
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.feedback import export as stage
from personsearch.installation.feedback.export import ExportConfig, Plan, export_feedback, plan_export
from personsearch.installation.platforms import open_gallery
from personsearch.search.filters import CropFilter
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited
from tests.serving.colours import ColourSource, figure
from tests.serving.conftest import KEY, home, settings, source

__all__ = ["home", "settings", "source"]  # fixtures of the service's tests

COLOURS = ("red", "green", "blue", "yellow", "black", "white")


@pytest.fixture
def client(settings: ServingSettings, source: ColourSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The service whose home commands find."""
    monkeypatch.setenv("PERSONSEARCH_HOME", str(settings.home))
    app = create_app(settings, source=source)
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        yield client


def judge(client: TestClient, text: str, **said: str) -> None:
    """Search, and judge every candidate whose colour is in `said`."""
    answer = client.post("/v1/search", json={"text": text}).json()
    for candidate in answer["candidates"]:
        if verdict := said.get(candidate["crop_id"].partition("-")[0]):
            body = {"search_request_id": answer["request_id"], "crop_id": candidate["crop_id"], "verdict": verdict}
            assert client.post("/v1/verdicts", json=body).status_code == 201


@pytest.fixture
def judged(client: TestClient) -> TestClient:
    """For each colour, its figure is confirmed and the next one rejected."""
    for colour, other in zip(COLOURS, (*COLOURS[1:], COLOURS[0]), strict=True):
        judge(client, f"a person in {colour}", **{colour: "confirmed", other: "rejected"})
    return client


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "feedback", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def planned(settings: ServingSettings, base: Path | None = None) -> tuple[ExportConfig, Plan]:
    config = ExportConfig(base=base)
    return config, plan_export(config, open_audit(settings), open_gallery(settings))


def of(out: Path, colour: str) -> list[ImageRecord]:
    records = Dataset.open(out).records()
    return [record for record in records if record.origin and record.origin.startswith(colour)]


def test_verdicts_become_a_prepared_data_set(
    judged: TestClient,
    settings: ServingSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "verdicts"
    assert command(monkeypatch, "export", str(out), "--purpose", "next model", "--json") == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["images"], counts["people"], counts["captions"], counts["pictures_refused"]) == (6, 6, 6, 0)
    assert counts["rejections"] + counts["rejections_across_splits"] == 6
    assert sum(counts[f"images_{split}"] for split in SPLITS) == 6
    (red,) = of(out, "red")
    assert red.captions == ["a person in red"]
    assert red.camera_id == "junction"
    assert (out / red.path).read_bytes() == figure("red")
    rejected = [text for colour in COLOURS for record in of(out, colour) for text in record.rejected_for]
    assert len(rejected) == counts["rejections"] > 0
    assert describe_dataset(out)["dataset_hash"] == dataset_hash(out)
    record = next(each for each in audited(settings) if each["event"] == "feedback")
    assert (record["purpose"], len(record["crops"])) == ("next model", 6)


def test_a_dry_run_counts_and_writes_nothing(
    judged: TestClient, settings: ServingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, "export", str(tmp_path / "out"), "--dry-run") == 0
    assert not (tmp_path / "out").exists()
    assert not [each for each in audited(settings) if each["event"] == "feedback"]


def test_erased_crops_are_not_exported(judged: TestClient, settings: ServingSettings, tmp_path: Path) -> None:
    gallery = open_gallery(settings)
    export_feedback(*planned(settings), gallery, tmp_path / "out")
    gallery.erase(CropFilter(tracks=("track/0",)))
    config, plan = planned(settings)
    counts = export_feedback(config, plan, gallery, tmp_path / "out")
    assert counts["images"] == 5
    assert counts["verdicts_on_erased_crops"] == 2
    assert of(tmp_path / "out", "red") == []
    held = {path.read_bytes() for path in (tmp_path / "out/images").rglob("*.jpg")}
    assert figure("red") not in held
    assert len(held) == 5


def test_a_killed_export_resumes_and_ends_the_same(
    judged: TestClient, settings: ServingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, plan = planned(settings)
    gallery = open_gallery(settings)
    export_feedback(config, plan, gallery, tmp_path / "whole")
    read = Counter[str]()
    original = stage.check_image

    def killed_at_the_fourth(content: bytes, shown: str) -> CheckedImage:
        read[shown] += 1
        if sum(read.values()) == 4:
            raise KeyboardInterrupt
        return original(content, shown)

    monkeypatch.setattr(stage, "check_image", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        export_feedback(config, plan, gallery, tmp_path / "out")
    export_feedback(config, plan, gallery, tmp_path / "out")
    assert sorted(read.values()) == [1, 1, 1, 1, 1, 2]
    assert dataset_hash(tmp_path / "out") == dataset_hash(tmp_path / "whole")
    before = (tmp_path / "out/run.json").stat().st_mtime_ns
    export_feedback(config, plan, gallery, tmp_path / "out")
    assert (tmp_path / "out/run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("packed", [False, True])
def test_a_base_comes_first_and_people_whom_it_shows_are_left_out(
    judged: TestClient, settings: ServingSettings, tmp_path: Path, packed: bool
) -> None:
    base = tmp_path / "base"
    red = hashlib.sha256(figure("red")).hexdigest()[:16]
    (base / "images").mkdir(parents=True)
    (base / "images/red.jpg").write_bytes(figure("red"))
    known = ImageRecord(red, "images/red.jpg", 41, "test", ["somebody"], "base")
    write_manifest(base, [known])
    if packed:
        pack_images(base)
    config, plan = planned(settings, base)
    counts = export_feedback(config, plan, open_gallery(settings), tmp_path / "out")
    assert counts["people_of_the_base"] == 1
    assert Dataset.open(tmp_path / "out").records()[0] == known
    assert open_image(Dataset.open(tmp_path / "out").picture(known)) == open_image(figure("red"))
    assert of(tmp_path / "out", "red") == []
    assert min(record.person_id for record in of(tmp_path / "out", "green")) >= 42


def test_without_a_confirmed_crop_there_is_nothing_to_export(
    client: TestClient, settings: ServingSettings, tmp_path: Path
) -> None:
    judge(client, "a person in red", green="rejected")
    with pytest.raises(UserError, match="no confirmed crop to export; left out: 1 × rejections_without_a_confirmed"):
        export_feedback(*planned(settings), open_gallery(settings), tmp_path / "out")
