"""Alerts: a watched search is compared with every crop that becomes searchable, and a track that fits raises one alert.

`integrations/database/watches.py` and `alerts.py` keep both, `installation/alerts` compares and delivers.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.searcher import track_of

Delivery = Literal["none", "waiting", "delivered", "failed"]
"""Of an alert's webhook: the search has none, it is on its way, the receiver has taken it, or it was given up."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to before `end` every day, by the clock of a time zone; over midnight if `end` is the earlier."""

    start: time
    end: time
    time_zone: str

    def hold(self, now: datetime) -> bool:
        """Whether it is quiet now."""
        local = now.astimezone(ZoneInfo(self.time_zone)).time()
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


@dataclass(frozen=True, slots=True)
class WatchedSearch:
    """A description that somebody watches for, and whom to tell.

    owner           name of the API key that made it
    threshold       confidence from which a crop raises an alert
    webhook         address that alerts are sent to, "" for none
    most_per_hour   alerts that are shown and sent in any hour; more of them wait
    sequence        change of the gallery up to which crops were compared
    ended           why it was switched off other than by its owner, "" if it was not
    """

    watch_id: str
    owner: str
    name: str
    text: str
    crop_filter: CropFilter
    threshold: float
    created_at: datetime
    changed_at: datetime
    webhook: str = ""
    quiet_hours: QuietHours | None = None
    most_per_hour: int = 60
    enabled: bool = True
    sequence: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A crop that reaches the threshold of a watched search."""

    watch_id: str
    crop: Crop
    confidence: float
    score: float

    @property
    def alert_id(self) -> str:
        """The same for every crop of a track, however often and wherever it is computed: a repeat is recognised."""
        content = json.dumps([self.watch_id, *track_of(self.crop)])
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Alert:
    """A track that fits a watched search; `crop_id` is the best crop of it that was compared.

    number        in the order in which alerts were raised
    change        in the order in which alerts were released, or got a better crop since; 0 while it waits
    raised_at     when its first crop was compared
    released_at   when it was shown and sent, None while it waits for the end of quiet hours or for the limit
    attempts      of its webhook that failed; `failure` is the reason of the last
    """

    alert_id: str
    watch_id: str
    number: int
    change: int
    camera_id: str
    track_id: str
    crop_id: str
    captured_at: datetime
    confidence: float
    score: float
    threshold: float
    raised_at: datetime
    released_at: datetime | None
    delivery: Delivery = "none"
    attempts: int = 0
    failure: str = ""
