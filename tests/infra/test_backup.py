"""The nightly job's own script backs up an installation on real engines, and restores it in the words of the guide."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from personsearch.installation.audit.log import AuditLog
from personsearch.installation.backup.opening import open_archive
from personsearch.installation.platforms import open_gallery
from personsearch.installation.settings import Settings
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.schema import open_database
from personsearch.search.filters import CropFilter
from tests.crops import numbered_crop
from tests.infra.test_manifests import GUIDE, check
from tests.servers.s3 import S3Server
from tests.serving.colours import figure

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "infra/kubernetes/components/backup"


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    pod = manifest["spec"].get("jobTemplate", manifest)["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    return dict(only)


def run(only: dict[str, Any], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a container's command here, with these variables beside its own."""
    own = {each["name"]: each["value"] for each in only.get("env", []) if "PERSONSEARCH" not in each["name"]}
    shell, options, script = only["command"]
    here = script.replace("personsearch backup", f"{shlex.quote(sys.executable)} -m personsearch backup")
    given = os.environ | own | variables
    return subprocess.run([shell, options, here], env=given, capture_output=True, text=True, check=False)


@pytest.fixture
def settings(new_prepared_postgresql: Callable[[], str], s3: S3Server, tmp_path: Path) -> Settings:
    """An installation with some crops, on PostgreSQL and S3."""
    return Settings(home=tmp_path / "home", database=new_prepared_postgresql(), crops=s3.new_place())


def variables(settings: Settings) -> dict[str, str]:
    return {
        "PERSONSEARCH_HOME": str(settings.home),
        "PERSONSEARCH_DATABASE": str(settings.database),
        "PERSONSEARCH_CROPS": str(settings.crops),
    }


def test_the_nightly_job_and_the_restore_of_the_guide(
    settings: Settings, new_prepared_postgresql: Callable[[], str], s3: S3Server, tmp_path: Path
) -> None:
    cronjob = yaml.safe_load((COMPONENT / "backup.yaml").read_text())
    (literals,) = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())["configMapGenerator"]
    nightly = dict(each.split("=", 1) for each in literals["literals"]) | {"BACKUPS": s3.new_place()}
    del nightly["PERSONSEARCH_MLFLOW_ARTIFACTS"]
    gallery = open_gallery(settings)
    gallery.add((numbered_crop(number), figure("red")) for number in range(4))
    head = AuditLog(DatabaseAudit(open_database(settings.database_address))).append("search", {"request_id": "r1"})
    for _ in range(2):
        done = run(container(cronjob), **variables(settings), **nightly)
        assert done.returncode == 0, done.stderr
        gallery.erase(CropFilter(crop_ids=("crop00001",)))
    assert len(open_archive(nightly["BACKUPS"]).manifests()) == 2

    (words,) = re.findall(r"kubectl set env --local --filename restore.yaml (RESTORE=.*?) --output yaml", GUIDE)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "r"}, **cronjob["spec"]["jobTemplate"]}
    (tmp_path / "restore.yaml").write_text(yaml.safe_dump(job))
    command = [
        str(check.kubectl()),
        "set",
        "env",
        "--local",
        "--filename",
        "restore.yaml",
        *words.split(),
        "--output",
        "yaml",
    ]
    written = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    restoring = container(yaml.safe_load(written))
    given = {each["name"]: each.get("value", "") for each in restoring["env"]}
    assert (given["RESTORE"], given["ADOPT"]) == ("database,crops,milvus,mlflow", "yes")
    restoring["env"] = [{"name": "RESTORE", "value": "database,crops"}]  # neither Milvus nor MLflow was used
    there = settings.model_copy(update={"database": new_prepared_postgresql(), "crops": s3.new_place()})
    done = run(restoring, **variables(there), **nightly)
    assert done.returncode == 0, done.stderr
    assert list(open_gallery(there).crops()) == list(gallery.crops())
    assert open_gallery(there).is_erased("crop00001")
    assert AuditLog(DatabaseAudit(open_database(there.database_address))).verify(expected_head=head).intact
    rehearsed = run(container(cronjob), **variables(there), **nightly)
    assert rehearsed.returncode == 2
    assert "keeps the backups of another installation" in rehearsed.stderr
    restoring["env"].append({"name": "ADOPT", "value": "yes"})
    assert run(restoring, **variables(there), **nightly).returncode == 0
    assert run(container(cronjob), **variables(there), **nightly).returncode == 0
    assert run(container(cronjob), **variables(settings), **nightly).returncode == 2
    open_gallery(there).add([(numbered_crop(9), figure("red"))])
    refused = run(restoring, **variables(there), **nightly)
    assert refused.returncode == 2
    assert "holds crops of something else" in refused.stderr


def test_backups_in_a_claim(tmp_path: Path) -> None:
    objects = check.with_components("addresses", "backup", "backup-volume")
    (cronjob,) = (
        each
        for each in objects
        if each["metadata"]["name"] == "personsearch-backup" and "jobTemplate" in each.get("spec", {})
    )
    pod = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    claims = {
        each["name"]: each["persistentVolumeClaim"]["claimName"]
        for each in pod["volumes"]
        if "persistentVolumeClaim" in each
    }
    assert claims == {"backups": "personsearch-backups"}
    mounts = {each["name"]: each["mountPath"] for each in container(cronjob)["volumeMounts"]}
    (told,) = (
        each["data"]
        for each in objects
        if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("personsearch-backup")
    )
    assert mounts["backups"] == told["BACKUPS"]
    assert pod["securityContext"]["fsGroup"] == 10001
