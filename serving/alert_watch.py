"""Watches live ingest for alerts, in a thread of its own: one replica compares and delivers, by a lease; all of them
see when there is something to show.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from personsearch.errors import LeaseLost, UserError
from personsearch.gallery.alerts import WatchedSearch
from personsearch.gallery.store import Gallery
from personsearch.installation.alerts.delivery import Deliverer, watch_record
from personsearch.installation.alerts.matching import Matcher
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.leadership import Leadership, holder_name
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.promotions import DatabasePromotions
from personsearch.integrations.database.watches import DatabaseWatches
from serving.live import LiveWatcher
from serving.metrics import Metrics
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

LEASE = "alerts"
LOOK_SECONDS = 0.5
SERVICE = "service"  # who has changed a search, where nobody asked for it
KEY_ENDED = "the API key of its owner is no longer accepted"


@dataclass(frozen=True, slots=True)
class Alerting:
    """Watched searches and alerts of an installation."""

    watches: DatabaseWatches
    alerts: DatabaseAlerts


class AlertWatch:
    """Compares and delivers while this process leads. `change` is the latest that there is to show."""

    def __init__(
        self,
        settings: ServingSettings,
        database: Database,
        *,
        gallery: Gallery,
        live: LiveWatcher,
        audit: AuditLog,
        metrics: Metrics,
        accepted_owners: Callable[[Iterable[str]], set[str]],
    ) -> None:
        """`accepted_owners` says which of some names a key is accepted under."""
        self.change = 0
        self.stored = Alerting(DatabaseWatches(database), DatabaseAlerts(database))
        self._settings = settings
        self._database = database
        self._live = live
        self._audit = audit
        self._metrics = metrics
        self._accepted_owners = accepted_owners
        promotions = DatabasePromotions(database)
        self._matcher = Matcher(gallery, self.stored.watches, self.stored.alerts, promotions)
        secret, private = settings.alert_secret.get_secret_value(), settings.alert_private_webhooks
        self._deliverer = Deliverer(self.stored.alerts, audit, secret, private=private) if secret else None
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work, name), name=name, daemon=True)
            for name, work in (("alerts", self.compare), ("webhooks", self.deliver))
        ]
        self._leadership: Leadership | None = None
        self._lease: Lease | None = None
        self._ask_at = 0.0  # when a replica that stands by asks again whether it leads

    def start(self) -> None:
        """Begin to watch, where alerts are switched on."""
        if self._settings.alerts:
            self._lead()
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """Watch no more, and let another replica take over at once."""
        self._stopping.set()
        if self._leadership is not None:
            try:
                self._leadership.close()
            except UserError as error:
                logger.warning("the lease of alerts ends by itself: %s", error)

    @property
    def problem(self) -> str:
        """Why nothing can be compared, "" if it can. Raises UserError where the database cannot be read."""
        return self._matcher.problem(self._live.current)

    def compare(self) -> float:
        """Compare what is new, if this process leads. Returns the seconds until there may be more."""
        wait = LOOK_SECONDS
        if lease := self._led():
            self._end_revoked()
            turn = self._matcher.turn(self._live.current, lease)
            now = self.stored.alerts.now()
            awake = [each for each in self.stored.watches.enabled() if not is_quiet(each, now)]
            self.stored.alerts.release(awake, lease)
            self._metrics.alerts_raised.inc(len(turn.raised))
            self._metrics.alerts_behind.set(turn.behind)
            wait = 0.0 if turn.behind else LOOK_SECONDS
        self.change = self.stored.alerts.latest_change()
        return wait

    def deliver(self) -> float:
        """Tell webhooks what is due, if this process leads. Returns the seconds until there may be more."""
        lease = self._lease
        if lease is None or self._deliverer is None:
            return LOOK_SECONDS
        told = self._deliverer.turn(lease)
        self._metrics.alert_webhooks.labels("delivered").inc(told.taken)
        self._metrics.alert_webhooks.labels("failed").inc(told.failed)
        return 0.0 if told.taken else LOOK_SECONDS

    def _led(self) -> Lease | None:
        """The lease, if this process leads."""
        if self._lease is not None or time.monotonic() >= self._ask_at:
            self._lease = self._lead().take()
            self._ask_at = time.monotonic() + self._settings.lease_seconds / 6
        return self._lease

    def _lead(self) -> Leadership:
        if self._leadership is None:
            seconds, silence = self._settings.lease_seconds, self._settings.index_stall_seconds
            leases = DatabaseLeases(self._database)
            self._leadership = Leadership(leases, LEASE, holder=holder_name(), seconds=seconds, silence=silence)
        return self._leadership

    def _end_revoked(self) -> None:
        """Switch off what somebody watches whose key has ended: it would tell a webhook for ever."""
        owners = {watched.owner for watched in self.stored.watches.enabled()}
        if ended := owners - self._accepted_owners(owners):
            for watched in self.stored.watches.enabled():
                if watched.owner in ended:
                    self._audit.append("watch", watch_record(watched, "ended", who=SERVICE) | {"reason": KEY_ENDED})
            count = self.stored.watches.end(ended, KEY_ENDED)
            logger.warning("%d watched searches are switched off: %s", count, KEY_ENDED)

    def _run(self, work: Callable[[], float], what: str) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                wait = work()
            except LeaseLost as error:
                logger.warning("%s", error)
                self._lease = None
                self._lead().lose()
                wait = LOOK_SECONDS
            except Exception as error:  # whatever fails in a platform, the service continues
                logger.warning("%s: %s", what, error)
                wait = 2 * LOOK_SECONDS


def is_quiet(watched: WatchedSearch, now: datetime) -> bool:
    """Whether a search is in its quiet hours."""
    return watched.quiet_hours is not None and watched.quiet_hours.hold(now)
