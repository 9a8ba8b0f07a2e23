"""Every alert fires on what it is for and not before; what alerts and dashboard read is what the service reports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from personsearch.addresses import direct_opener
from personsearch.gallery.watch.health import StreamState, write_health
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.installation.process_metrics import BackupMetrics, PromoterMetrics, StreamMetrics, answering
from serving.app import create_app
from serving.settings import ServingSettings
from tests.serving.colours import ColourSource
from tests.serving.conftest import home, settings, source

__all__ = ["home", "settings", "source"]  # fixtures of the service's tests

PROMETHEUS = Path(__file__).parents[2] / "infra" / "kubernetes" / "components" / "prometheus"
FETCHED = Path.home() / ".cache" / "personsearch" / "prometheus" / "usr" / "bin" / "promtool"
ADDED_BY_PROMETHEUS = {"namespace", "pod", "le"}
OF_KUBE_STATE_METRICS = {"kube_cronjob_created", "kube_deployment_status_replicas_available", "kube_job_status_failed"}
HERE = 'namespace="here"'


@dataclass(frozen=True)
class Case:
    """What an alert does, minute by minute, with these series; `fires` is None where it never should."""

    alert: str
    series: dict[str, str]
    quiet: int
    fires: int | None
    labels: dict[str, str] = field(default_factory=lambda: dict(WARNING))


WARNING = {"namespace": "here", "severity": "warning"}
CRITICAL = {"namespace": "here", "severity": "critical"}
READY = f"personsearch_ready{{{HERE},pod="
REQUESTS = f"personsearch_http_requests_total{{{HERE},status="
BUCKET = f"personsearch_search_seconds_bucket{{{HERE},le="
CROPS = f"personsearch_live_crops{{{HERE},pod="
REFUSED = f"personsearch_refused_total{{{HERE},reason="
ENGINE = f'personsearch_engine_failures_total{{{HERE},engine="vectors"}}'
LEADS = f"personsearch_promoter_leads{{{HERE},pod="
UP = f"personsearch_stream_up{{{HERE},camera="
LOST = f'personsearch_stream_lost_total{{{HERE},camera="gate 3"}}'
WATCHES = f'kube_deployment_status_replicas_available{{{HERE},deployment="personsearch-watch"}}'
SHIFT = f"personsearch_camera_shift{{{HERE},camera="
FIRST = f"personsearch_first_candidates_total{{{HERE},camera="
ONCE = "0 0 1 1x30"
BACKED_UP = f'personsearch_last_backup_timestamp_seconds{{{HERE},pod="a"}}'
NIGHTLY = f'kube_cronjob_created{{{HERE},cronjob="personsearch-backup"}}'

CASES = (
    Case("PersonsearchDown", {}, 1, 3, {"severity": "critical"}),
    Case("PersonsearchDown", {READY + '"a"}': "0x30", READY + '"b"}': "0x30"}, 1, 3, CRITICAL),
    Case("PersonsearchDown", {READY + '"a"}': "0x30", READY + '"b"}': "1x30"}, 30, None),
    Case(
        "PersonsearchReplicaNotReady",
        {READY + '"a"}': "0x30", READY + '"b"}': "1x30"},
        9,
        11,
        WARNING | {"pod": "a"},
    ),
    Case("PersonsearchErrors", {REQUESTS + '"200"}': "0+98x30", REQUESTS + '"503"}': "0+2x30"}, 9, 12, CRITICAL),
    Case("PersonsearchErrors", {REQUESTS + '"200"}': "0+995x30", REQUESTS + '"503"}': "0+5x30"}, 30, None),
    Case("PersonsearchErrors", {REQUESTS + '"200"}': "0+9x30", REQUESTS + '"404"}': "0+9x30"}, 30, None),
    Case(
        "PersonsearchSlow",
        {BUCKET + '"1"}': "0+90x30", BUCKET + '"2.5"}': "0+99x30", BUCKET + '"+Inf"}': "0+99x30"},
        9,
        12,
    ),
    Case(
        "PersonsearchSlow",
        {BUCKET + '"1"}': "0+96x30", BUCKET + '"2.5"}': "0+99x30", BUCKET + '"+Inf"}': "0+99x30"},
        30,
        None,
    ),
    Case("PersonsearchAuditNotWritten", {f"personsearch_audit_failures_total{{{HERE}}}": ONCE}, 1, 3, CRITICAL),
    Case("PersonsearchAuditHeadsNotKept", {f"personsearch_audit_anchor_failures_total{{{HERE}}}": ONCE}, 1, 3),
    Case("PersonsearchCollectionRefused", {f"personsearch_live_failures_total{{{HERE}}}": ONCE}, 1, 3),
    Case("PersonsearchReplicasDisagree", {CROPS + '"a"}': "1000x30", CROPS + '"b"}': "900x30"}, 14, 16),
    Case("PersonsearchReplicasDisagree", {CROPS + '"a"}': "1000x30", CROPS + '"b"}': "995x30"}, 30, None),
    Case("PersonsearchCamerasRefused", {REFUSED + '"backlog"}': "0+1x30"}, 14, 17),
    Case("PersonsearchCamerasRefused", {REFUSED + '"rate"}': "0+1x30"}, 30, None),
    Case("PersonsearchKeysGuessed", {REFUSED + '"key"}': "0+120x30"}, 4, 10),
    Case("PersonsearchKeysGuessed", {REFUSED + '"key"}': "0+30x30"}, 30, None),
    Case("PersonsearchEngineFails", {ENGINE: "0+1x30"}, 9, 12, WARNING | {"engine": "vectors"}),
    Case("PersonsearchEngineFails", {ENGINE: "5x30"}, 30, None),
    Case("PersonsearchNobodyIndexes", {}, 1, 3, {"severity": "critical"}),
    Case("PersonsearchNobodyIndexes", {LEADS + '"a"}': "0x30", LEADS + '"b"}': "0x30"}, 1, 3, CRITICAL),
    Case("PersonsearchNobodyIndexes", {LEADS + '"a"}': "0x30", LEADS + '"b"}': "1x30"}, 30, None),
    Case("PersonsearchPromoterFails", {f"personsearch_promoter_failures_total{{{HERE}}}": "0+9x30"}, 9, 12),
    Case(
        "PersonsearchCameraDark",
        {UP + '"gate 3"}': "0x30", UP + '"hall"}': "1x30"},
        4,
        6,
        WARNING | {"camera": "gate 3"},
    ),
    Case("PersonsearchCameraDark", {WATCHES: "0x30"}, 4, 6, WARNING | {"deployment": "personsearch-watch"}),
    Case("PersonsearchCameraDark", {UP + '"gate 3"}': "1x30", WATCHES: "1x30"}, 30, None),
    Case("PersonsearchPeopleLost", {LOST: ONCE}, 1, 3, CRITICAL | {"camera": "gate 3"}),
    Case(
        "PersonsearchCameraDrifts",
        {SHIFT + '"gate 3"}': "0.4x120 0.55x100", SHIFT + '"hall"}': "0.4x120 0.45x100"},
        148,
        154,
        WARNING | {"camera": "gate 3"},
    ),
    Case("PersonsearchCameraDrifts", {SHIFT + '"gate 3"}': "0.9x60 0.4x100 0.9x60"}, 219, None),
    Case(
        "PersonsearchCameraUnsure",
        {FIRST + '"gate 3",outcome="no_reliable_match"}': "0+1x300", FIRST + '"hall",outcome="match"}': "0+1x300"},
        100,
        130,
        WARNING | {"camera": "gate 3"},
    ),
    Case(
        "PersonsearchCameraUnsure",
        {FIRST + '"a",outcome="no_reliable_match"}': "0+9x300", FIRST + '"a",outcome="match"}': "0+1x300"},
        300,
        None,
    ),
    Case("PersonsearchBackupOld", {BACKED_UP: "0x1700"}, 1564, 1567, CRITICAL),  # minutes; 26 hours are 1560
    Case("PersonsearchBackupOld", {NIGHTLY: "0x1700"}, 1564, 1567, CRITICAL),
    Case("PersonsearchBackupOld", {NIGHTLY: "0x1700", BACKED_UP: "0x700 42000x1000"}, 1700, None),
    Case(
        "PersonsearchJobFailed",
        {f'kube_job_status_failed{{{HERE},job_name="personsearch-audit-29"}}': "0 1x30"},
        0,
        1,
        CRITICAL | {"job_name": "personsearch-audit-29"},
    ),
    Case("PersonsearchJobFailed", {f'kube_job_status_failed{{{HERE},job_name="backup-29"}}': "1x30"}, 30, None),
)


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    """The rules as Prometheus reads them: what the operator takes out of the object."""
    return yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["spec"]


def promtool(*arguments: str) -> str:
    """Run it; returns what it said where something is wrong."""
    command = shutil.which("promtool") or str(FETCHED)
    assert Path(command).is_file(), "promtool is missing: run infra/require_promtool.sh"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def of_promtool(case: Case) -> dict[str, Any]:
    """A case as `promtool test rules` reads it."""
    moments: list[dict[str, Any]] = [{"eval_time": f"{case.quiet}m", "alertname": case.alert, "exp_alerts": []}]
    if case.fires is not None:
        moments.append(
            {"eval_time": f"{case.fires}m", "alertname": case.alert, "exp_alerts": [{"exp_labels": case.labels}]}
        )
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {"interval": "1m", "input_series": series, "alert_rule_test": moments}


def test_the_rules_are_written_as_prometheus_reads_them(rules: dict[str, Any], tmp_path: Path) -> None:
    """Expressions, and the templates of their annotations."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    assert promtool("check", "rules", str(tmp_path / "rules.yaml")) == ""


def test_each_alert_fires_when_it_should_and_not_before(rules: dict[str, Any], tmp_path: Path) -> None:
    alerts = [
        {key: value for key, value in rule.items() if key != "annotations"} for rule in rules["groups"][0]["rules"]
    ]
    assert {case.alert for case in CASES if case.fires is not None} == {rule["alert"] for rule in alerts}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "personsearch", "rules": alerts}]}))
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [of_promtool(case) for case in CASES]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    assert promtool("test", "rules", str(tmp_path / "tests.yaml")) == ""


def expressions(rules: dict[str, Any]) -> Iterator[str]:
    yield from (rule["expr"] for rule in rules["groups"][0]["rules"])
    dashboard = json.loads((PROMETHEUS / "personsearch.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (variable["query"] for variable in dashboard["templating"]["list"])


class LeadingPromoter:
    """What a promoter says of itself."""

    leads, failures = True, 0


def of_promoter_and_watch(folder: Path) -> str:
    """What these two answer to Prometheus."""
    camera = StreamState("gate 3", "rtsp://10.0.0.7/stream1", clock="ours")
    camera.connected()
    camera.count_frame()
    camera.lag, camera.clock_offset = 0.2, 0.0
    write_health(folder, camera.health())
    of_watch, of_backups = StreamMetrics(folder, ["gate 3"]), BackupMetrics(lambda: 1_772_366_400_000)
    with answering("127.0.0.1:0", PromoterMetrics(LeadingPromoter()), of_watch, of_backups) as port:
        return direct_opener().open(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()


@pytest.fixture
def scraped(settings: ServingSettings, source: ColourSource, tmp_path: Path) -> dict[str, set[str]]:
    """The metrics of a service that has answered and refused, a promoter and a watch, each with its labels' names."""
    sending = make_key(open_keys(settings), "gate 3", scopes=["ingest"])
    app = create_app(settings.model_copy(update={"webhook_secret": SecretStr("of-these-tests-alone")}), source=source)
    with TestClient(app, headers={"X-API-Key": settings.api_keys.get_secret_value()}) as client:
        app.state.service.live.look()
        found = client.post("/v1/search", json={"text": "a red coat", "k": 1}).json()
        judged = {"search_request_id": found["request_id"], "crop_id": found["candidates"][0]["crop_id"]}
        client.post("/v1/verdicts", json=judged | {"verdict": "confirmed"})
        client.post("/v1/search", json={"text": "a red coat"}, headers={"X-API-Key": "nobody's"})
        client.post("/v1/embed", json={"texts": ["a red coat"]})
        client.post("/v1/webhooks/mlflow", content="signed by nobody")
        crop = {"crop_id": "gate3-1", "camera_id": "gate 3", "captured_at": "2026-03-01T10:00:00Z", "image": "bm8="}
        client.post("/v1/crops", json={"crops": [crop]}, headers={"X-API-Key": sending})
        app.state.service.drift.look()
        text = client.get("/metrics").text
    text += of_promoter_and_watch(tmp_path / "watch").replace("# EOF", "")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        name: {label for s in samples if s.name == name for label in s.labels} for name in {s.name for s in samples}
    }


def test_the_service_reports_whatever_alerts_and_dashboard_read(
    rules: dict[str, Any], scraped: dict[str, set[str]]
) -> None:
    read = list(expressions(rules))
    names = {name for text in read for name in re.findall(r"\b(?:personsearch|kube)_\w+", text)}
    assert names - set(scraped) == OF_KUBE_STATE_METRICS
    for text in read:
        own = [name for name in re.findall(r"\bpersonsearch_\w+", text) if name in scraped]
        known = {label for name in own for label in scraped[name]} | ADDED_BY_PROMETHEUS
        for labels in re.findall(r"\bby \(([^)]*)\)", text) if own else ():
            assert set(re.split(r", *", labels)) <= known, text
        for name, matchers in re.findall(r"\b(personsearch_\w+)\{([^}]*)\}", text):
            assert set(re.findall(r"(\w+)=", matchers)) <= scraped[name] | ADDED_BY_PROMETHEUS, text


def test_the_dashboard_shows_every_metric_that_the_service_reports(
    rules: dict[str, Any], scraped: dict[str, set[str]]
) -> None:
    families = {re.sub(r"_(total|bucket|count|sum|created)$", "", name) for name in scraped}
    shown = " ".join(expressions(rules))
    assert [name for name in sorted(families) if name not in shown] == []
