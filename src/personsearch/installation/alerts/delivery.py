"""Tells webhooks of alerts: at least once each, again after a failure, with an id by which a repeat is recognised.

A try is recorded in the audit log before anything leaves. Its outcome is stored afterwards: who is killed in between
sends the alert again, under the same id.
"""

import json
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from personsearch.gallery.alerts import Alert, WatchedSearch
from personsearch.installation.alerts.webhook import send, signed_headers
from personsearch.installation.audit.log import AuditLog

if TYPE_CHECKING:
    from personsearch.integrations.database.alerts import DatabaseAlerts, Due
    from personsearch.integrations.database.leases import Lease

logger = logging.getLogger(__name__)

AT_ONCE = 4  # receivers told at the same time; a slow one holds up few
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 3600.0
MOST_ATTEMPTS = 30  # with these waits about a day


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many webhooks took their alert, and how many tries failed."""

    taken: int = 0
    failed: int = 0


class Deliverer:
    """Tells the webhooks of one installation."""

    def __init__(self, alerts: "DatabaseAlerts", audit: AuditLog, secret: str, *, private: bool) -> None:
        self._alerts = alerts
        self._audit = audit
        self._secret = secret
        self._private = private

    def turn(self, lease: "Lease") -> Delivered:
        """Tell what is due now, one alert of each search.

        Raises:
            UserError: the database cannot be reached.
            LeaseLost: another process delivers now.
        """
        due, now = self._alerts.due(AT_ONCE), self._alerts.now()
        if not due:
            return Delivered()
        with ThreadPoolExecutor(len(due), thread_name_prefix="webhook") as threads:
            failures = list(threads.map(lambda each: self._tell(each, now), due))
        for each, failure in zip(due, failures, strict=True):
            self._settle(each.alert, failure, lease)
        return Delivered(failures.count(""), sum(map(bool, failures)))

    def _tell(self, due: "Due", now: datetime) -> str:
        """Send an alert. Returns why that failed, "" if it did not."""
        alert, watched = due.alert, due.watched
        body = json.dumps(message(alert, watched), ensure_ascii=False).encode()
        try:
            self._audit.append("alert_sent", sent_record(alert, watched))
            send(
                watched.webhook,
                signed_headers(self._secret, alert.alert_id, int(now.timestamp()), body),
                body,
                private=self._private,
            )
        except Exception as error:  # whatever fails of one, the others are told
            logger.warning("alert %s is not delivered: %s", alert.alert_id, error)
            return str(error) or type(error).__name__
        return ""

    def _settle(self, alert: Alert, failure: str, lease: "Lease") -> None:
        if not failure:
            self._alerts.settle(alert.alert_id, "delivered", lease)
        elif alert.attempts + 1 >= MOST_ATTEMPTS:
            self._alerts.settle(alert.alert_id, "failed", lease, failure=failure)
        else:
            wait = wait_after(alert.attempts)
            self._alerts.settle(alert.alert_id, "waiting", lease, failure=failure, wait_seconds=wait)


def wait_after(attempts: int) -> float:
    """Seconds until the next try; spread, so that those that failed together do not come back together."""
    longest: float = min(FIRST_WAIT_SECONDS * 2.0 ** min(attempts, 30), LONGEST_WAIT_SECONDS)
    return longest * random.uniform(0.75, 1.0)


def message(alert: Alert, watched: WatchedSearch) -> dict[str, Any]:
    """What a receiver is told: no picture, and of the search its name alone."""
    return {
        "type": "alert",
        "alert_id": alert.alert_id,
        "watch_id": alert.watch_id,
        "name": watched.name,
        "camera_id": alert.camera_id,
        "track_id": alert.track_id,
        "crop_id": alert.crop_id,
        "captured_at": alert.captured_at.isoformat(timespec="milliseconds"),
        "raised_at": alert.raised_at.isoformat(timespec="milliseconds"),
        "confidence": round(alert.confidence, 4),
        "threshold": alert.threshold,
    }


def sent_record(alert: Alert, watched: WatchedSearch) -> dict[str, Any]:
    """The record of an event "alert_sent"."""
    return {
        "who": watched.owner,
        "watch_id": watched.watch_id,
        "alert_id": alert.alert_id,
        "webhook": watched.webhook,
        "confidence": round(alert.confidence, 6),
        "results": [alert.crop_id],
    }


def watch_record(watched: WatchedSearch, action: str, *, who: str) -> dict[str, Any]:
    """The record of an event "watch": a watched search was created, changed, deleted or ended."""
    return {
        "who": who,
        "action": action,
        "watch_id": watched.watch_id,
        "owner": watched.owner,
        "name": watched.name,
        "query": watched.text,
        "filters": watched.crop_filter.model_dump(mode="json", exclude_none=True),
        "threshold": watched.threshold,
        "webhook": watched.webhook,
        "enabled": watched.enabled,
    }
