"""Checks of this machine and its services: settings, versions, permissions, disk, clock, what answers."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import OpenerDirector, build_opener

from personsearch import __version__
from personsearch.addresses import direct_opener, is_on_this_machine
from personsearch.config import nearest
from personsearch.errors import UserError
from personsearch.installation.api_keys import LOCAL_KEY_FILE
from personsearch.installation.doctor.patient import Finding, Patient, Skipped, State
from personsearch.installation.health import find_problems
from personsearch.installation.promoter_memory import read_memory
from personsearch.installation.services import service_states

# Each under the names that it has in one image or another: of MLflow serving has only the client.
ENGINES = (("mlflow-skinny",), ("pymilvus",), ("onnxruntime", "onnxruntime-gpu"), ("sqlalchemy",), ("uvicorn",))
GIBIBYTE = 2**30
LEAST_DISK, LITTLE_DISK = 1.0, 5.0  # GiB
CLOCK_SECONDS = 5.0
ASK_SECONDS = 5.0


def check_settings(patient: Patient) -> Iterator[Finding]:
    named = sorted(name for name in os.environ if name.startswith("PERSONSEARCH_"))
    unknown = [name for name in named if patient.variables and name not in patient.variables]
    for name in unknown:
        yield Finding(
            "settings", "wrong", f"{name} is set, but no setting has this name", nearest(name, patient.variables)
        )
    if not unknown:
        yield Finding("settings", "well", f"home {patient.settings.home}; set: {', '.join(named) or 'nothing'}")


def check_versions(patient: Patient) -> Iterator[Finding]:
    found = [f"personsearch {__version__}", f"Python {platform.python_version()}"]
    missing = []
    for names in ENGINES:
        installed = [each for name in names for each in _installed(name)]
        found += installed
        missing += [] if installed else [names[0]]
    if missing:
        yield Finding("versions", "wrong", f"not installed: {', '.join(missing)}", "run `make setup`")
    yield Finding("versions", "well", ", ".join(found))


def _installed(package: str) -> Iterator[str]:
    """The package with its version, if it is installed."""
    with suppress(metadata.PackageNotFoundError):
        yield f"{package} {metadata.version(package)}"


def check_permissions(patient: Patient) -> Iterator[Finding]:
    home = patient.settings.home
    if not home.is_dir():
        advice = "run `personsearch up`, or set PERSONSEARCH_HOME to where the installation is"
        yield Finding("permissions", "wrong", f"{home}: no such folder", advice)
        return
    wrong = [f"{home}: this user cannot write there"] if not os.access(home, os.W_OK | os.X_OK) else []
    for path in (home / LOCAL_KEY_FILE, patient.settings.gallery_folder, home / "logs"):
        with suppress(FileNotFoundError):
            if path.stat().st_mode & 0o007 and home.stat().st_mode & 0o001:
                wrong.append(f"{path}: every user of this machine can open it")
    for line in wrong:
        yield Finding("permissions", "wrong", line, f"`chmod -R o= {home}`, as the user who owns it")
    if not wrong:
        yield Finding("permissions", "well", f"{home} is private and can be written")


def check_disk(patient: Patient) -> Iterator[Finding]:
    folders = [patient.settings.home, patient.settings.gallery_folder, Path(tempfile.gettempdir())]
    devices = {folder.stat().st_dev: folder for folder in reversed(folders) if folder.is_dir()}
    for folder in devices.values():
        usage = shutil.disk_usage(folder)
        free = usage.free / GIBIBYTE
        state: State = "wrong" if free < LEAST_DISK else "note" if free < LITTLE_DISK else "well"
        advice = "" if state == "well" else "free some: `personsearch cache --prune`, old logs, other programs' files"
        yield Finding("disk", state, f"{folder}: {free:.1f} GiB free of {usage.total / GIBIBYTE:.0f}", advice)


def check_clock(patient: Patient) -> Iterator[Finding]:
    now = datetime.now(UTC)
    offsets = {}
    for name, address in (("search", patient.service), ("MLflow", patient.settings.mlflow_address)):
        if address and address.startswith(("http://", "https://")) and (told := _date_of(address)):
            offsets[name] = abs((told - datetime.now(UTC)).total_seconds())
    with suppress(Skipped, UserError):
        if ahead := [camera for camera in patient.gallery.cameras() if camera.last > now + timedelta(seconds=60)]:
            names = ", ".join(camera.camera_id for camera in ahead)
            yield Finding(
                "clock", "note", f"crops of {names} lie in the future", "set this clock, or the cameras', by NTP"
            )
    wrong = {name: offset for name, offset in offsets.items() if offset > CLOCK_SECONDS}
    for name, offset in wrong.items():
        yield Finding("clock", "wrong", f"{offset:.0f} s between this clock and that of {name}", "set both by NTP")
    if not wrong:
        yield Finding(
            "clock", "well", f"{now:%Y-%m-%d %H:%M:%S} UTC; agrees with {', '.join(offsets) or 'nobody asked'}"
        )


def check_services(patient: Patient) -> Iterator[Finding]:
    states = service_states(patient.settings.home)
    if not states:
        yield Finding(
            "services", "note", "none was started here by `personsearch up`", "as expected where they run elsewhere"
        )
        return
    problems = find_problems(patient.settings, states, read_memory(patient.settings))
    for problem in problems:
        yield Finding("services", "wrong", problem, "run `personsearch up`; its log is in the installation's logs")
    if not problems:
        yield Finding("services", "well", ", ".join(f"{each.name} {each.state}" for each in states))


def check_search(patient: Patient) -> Iterator[Finding]:
    if patient.service is None:
        advice = "run `personsearch up`, or give --service ADDRESS where it runs elsewhere"
        yield Finding("search", "note", "not asked: no search service is known", advice)
        return
    told = json.loads(_body_of(f"{patient.service}/readyz"))
    version = json.loads(_body_of(f"{patient.service}/openapi.json"))["info"]["version"]
    if not told["ready"] or told["problem"]:
        yield Finding("search", "wrong", f"{patient.service}: {told['problem']}", "see the checks above, and its log")
        return
    if version != __version__:
        found = f"{patient.service} runs version {version}, this is {__version__}"
        yield Finding("search", "wrong", found, "restart the service: `personsearch down`, `personsearch up`")
    with suppress(Skipped, UserError):
        collection, _ = patient.live
        if told["collection"] != collection:
            found = f"{patient.service} answers from {told['collection']}, {collection} is live"
            yield Finding("search", "wrong", found, "it follows within seconds; else read its log")
            return
    yield Finding("search", "well", f"{patient.service}: ready, {told['collection']}")


def _date_of(address: str) -> datetime | None:
    with suppress(OSError, ValueError, TypeError), _opener(address).open(address, timeout=ASK_SECONDS) as answer:
        return parsedate_to_datetime(answer.headers["Date"])
    return None


def _body_of(address: str) -> bytes:
    try:
        with _opener(address).open(address, timeout=ASK_SECONDS) as answer:
            return bytes(answer.read())
    except HTTPError as error:  # a service that is not ready answers with 503 and says why
        return error.read()
    except OSError as error:
        raise UserError(f"{address}: does not answer: {error}") from error


def _opener(address: str) -> OpenerDirector:
    return direct_opener() if is_on_this_machine(address) else build_opener()
