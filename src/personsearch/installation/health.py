"""What is wrong with an installation, for `personsearch status` and the machines that watch its exit code."""

from collections.abc import Sequence
from contextlib import closing, suppress

from personsearch.errors import UserError
from personsearch.installation.platforms import open_existing_gallery, open_existing_store
from personsearch.installation.promoter_memory import Memory
from personsearch.installation.services import ServiceState
from personsearch.installation.settings import Settings
from personsearch.search.index import LIVE_ALIAS

OLDEST_HEARTBEAT_SECONDS = 60.0


def find_problems(settings: Settings, services: Sequence[ServiceState], memory: Memory) -> list[str]:
    """One line for each thing that is wrong, none for an installation that is well."""
    if not services:
        return ["no service was started; run `personsearch up`"]
    problems = [f"{each.name}: {_words(each)}" for each in services if each.state != "answers"]
    if any(each.name == "promoter" for each in services):
        problems += _of_promoter(memory, settings.index_stall_seconds)
    return [*problems, *_of_pictures(settings), *_of_index(settings)]


def _words(service: ServiceState) -> str:
    return "does not answer yet" if service.state == "starting" else f"{service.state}; see {service.log}"


def _of_promoter(memory: Memory, stall_seconds: float) -> list[str]:
    """Of the promoter that looked last as a leader: one that stands by has nothing to say of the index."""
    latest = min((beat for beat in memory.heartbeats if beat.leads), key=lambda beat: beat.age, default=None)
    if latest is None:
        return [f"promoter: {memory.state}" if memory.heartbeats or memory.problem else "promoter: has not looked yet"]
    indexing = latest.state.startswith("indexing") and not latest.failed
    if latest.age > (stall_seconds if indexing else OLDEST_HEARTBEAT_SECONDS):
        return [f"promoter: last looked {latest.age:.0f} s ago ({latest.state})"]
    return [f"promoter: {latest.state}"] if latest.failed else []


def _of_pictures(settings: Settings) -> list[str]:
    """A store of pictures that cannot be used; that of a database is a problem of the index."""
    with suppress(UserError):
        if gallery := open_existing_gallery(settings):
            try:
                gallery.pictures.check()
            except UserError as error:
                return [f"pictures: {error}"]
    return []


def _of_index(settings: Settings) -> list[str]:
    """Vectors of crops that the gallery does not hold any more."""
    try:
        gallery = open_existing_gallery(settings)
        store = None if gallery is not None and gallery.count() else open_existing_store(settings)
        if store is None:
            return []
        with closing(store):
            collection = store.alias_target(LIVE_ALIAS)
            vectors = store.open(collection).count() if collection else 0
    except UserError as error:
        return [f"index: {error}"]
    return [f"index: the gallery is empty, but {collection} still holds {vectors} vectors"] if vectors else []
