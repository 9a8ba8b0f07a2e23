"""Makes every check in turn.

One that cannot be made because an earlier one failed is skipped; one that fails in a way that nobody foresaw counts as
wrong, so that nothing unknown passes for well.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from personsearch.addresses import hide_credentials
from personsearch.errors import UserError
from personsearch.installation.doctor import machine, stores
from personsearch.installation.doctor.patient import Finding, Patient, Skipped
from personsearch.installation.settings import Settings

Check = Callable[[Patient], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "settings": machine.check_settings,
    "versions": machine.check_versions,
    "permissions": machine.check_permissions,
    "disk": machine.check_disk,
    "database": stores.check_database,
    "pictures": stores.check_pictures,
    "audit": stores.check_audit,
    "milvus": stores.check_milvus,
    "mlflow": stores.check_mlflow,
    "model": stores.check_model,
    "vectors": stores.check_vectors,
    "clock": machine.check_clock,
    "services": machine.check_services,
    "search": machine.check_search,
}
ADVICE = {
    "database": "start it, or correct PERSONSEARCH_DATABASE",
    "pictures": "start the store, or correct PERSONSEARCH_CROPS and its credentials (docs/operate.md)",
    "audit": "run `personsearch audit verify`",
    "milvus": "run `personsearch up`, or correct PERSONSEARCH_MILVUS_URI and PERSONSEARCH_MILVUS_TOKEN",
    "mlflow": "run `personsearch up`, or correct PERSONSEARCH_MLFLOW_URI",
    "model": "register and promote the model again, or roll back: `personsearch rollback`",
    "vectors": "build it again: `personsearch index --rebuild`",
    "services": "run `personsearch up`",
    "search": "start it, or correct --service",
}


def examine(settings: Settings, variables: Collection[str] = (), service: str | None = None) -> Iterator[Finding]:
    """Every check in turn. `variables` are the names of settings that exist, `service` the search service's address."""
    with tempfile.TemporaryDirectory(prefix="personsearch-doctor-") as scratch:
        patient = Patient(settings, variables, service, Path(scratch))
        try:
            for name, check in CHECKS.items():
                for finding in _guarded(name, check, patient):
                    found, advice = hide_credentials(finding.found), hide_credentials(finding.advice)
                    yield Finding(finding.check, finding.state, found, advice)
        finally:
            patient.close()


def _guarded(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except Skipped:
        yield Finding(name, "skipped", "not checked: what it needs is missing or wrong, see above")
    except UserError as error:
        yield Finding(name, "wrong", str(error), ADVICE.get(name, ""))
    except Exception as error:  # a doctor that fails must not say that all is well
        yield Finding(name, "wrong", f"the check failed: {type(error).__name__}: {error}", "report this as a bug")
