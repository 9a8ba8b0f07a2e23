"""Compares each crop that became searchable with every watched search, by the confidence that a search would show.

It runs beside the live collection and behind whoever feeds it. The promoter stores up to which change of the gallery
the live collection holds everything; up to there crops are compared, each search from where it stopped. How far it came
and the alerts of what matched are stored in one transaction, on behalf of a lease. So it may be killed at any moment,
and whoever takes over continues: every crop is compared, and a track raises one alert.

Shapes: N crops, D embedding dimension.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.alerts import Match, WatchedSearch
from personsearch.gallery.store import Gallery
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter

if TYPE_CHECKING:
    from personsearch.integrations.database.alerts import DatabaseAlerts
    from personsearch.integrations.database.leases import Lease
    from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
    from personsearch.integrations.database.watches import DatabaseWatches

CROPS_AT_ONCE = 500
NOTHING_LIVE = "no collection is live yet"
NOT_FOLLOWED = "no promoter has said how far the live collection holds the gallery; `personsearch status` shows it"
NOT_CALIBRATED = "the live model was never calibrated, so no crop has a confidence"


class Collection(Protocol):
    """The live collection, with the model that made its vectors."""

    @property
    def collection(self) -> str: ...

    @property
    def is_calibrated(self) -> bool:
        """Whether it can say how likely it is that a candidate is right."""
        ...

    def stored(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        """Those of these crops that the collection itself holds now, with their vectors [N, D]."""
        ...

    def confidences(
        self, text: str, crops: Sequence[Crop], vectors_ND: NDArray[np.float32], crop_filter: CropFilter
    ) -> list[tuple[float, float]]:
        """The score of each of these crops, and the confidence that a search for `text` shows for it."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did: crops compared, the ids of new alerts, and how many changes of the gallery are left to compare.
    `problem` says why nothing can be compared, "" if it can.
    """

    crops: int = 0
    raised: tuple[str, ...] = ()
    behind: int = 0
    problem: str = ""


class Matcher:
    """Compares in turns, each of them small."""

    def __init__(
        self,
        gallery: Gallery,
        watches: "DatabaseWatches",
        alerts: "DatabaseAlerts",
        promotions: "DatabasePromotions",
    ) -> None:
        self._gallery = gallery
        self._watches = watches
        self._alerts = alerts
        self._promotions = promotions

    def turn(self, live: Collection | None, lease: "Lease") -> Turn:
        """Compare the next crops with the searches that are furthest behind.

        Raises:
            UserError: an engine cannot be reached.
            LeaseLost: another process compares now.
        """
        searches = self._watches.enabled()
        if not searches:
            return Turn()
        followed = self._promotions.live()
        if problem := _problem(live, followed):
            return Turn(problem=problem)
        assert live is not None
        assert followed is not None
        groups = defaultdict(list)
        for watched in searches:
            groups[watched.sequence].append(watched)
        since = min(groups)
        if since >= followed.sequence:
            return Turn()
        # no further than where others stopped: from there on they are compared together
        until = min(followed.sequence, since + CROPS_AT_ONCE, *(each for each in groups if each > since))
        crops = list(self._gallery.crops_since(since, until))
        raised = self._alerts.advance(groups[since], until, list(_matches(live, groups[since], crops)), lease)
        return Turn(len(crops), tuple(raised), followed.sequence - until)

    def problem(self, live: Collection | None) -> str:
        """Why nothing can be compared, "" if it can. Raises UserError where the database cannot be read."""
        return _problem(live, self._promotions.live())


def _problem(live: Collection | None, followed: "Promotion | None") -> str:
    if live is None:
        return NOTHING_LIVE
    if followed is None or followed.collection != live.collection:
        return NOT_FOLLOWED
    return "" if live.is_calibrated else NOT_CALIBRATED


def _matches(live: Collection, searches: Iterable[WatchedSearch], crops: Sequence[Crop]) -> Iterable[Match]:
    """What reaches the threshold of each search. A crop that the collection does not hold was erased, or is one whose
    picture cannot be read.
    """
    if not crops:
        return
    held, vectors_ND = live.stored([crop.crop_id for crop in crops])
    order = {crop.crop_id: place for place, crop in enumerate(crops)}
    for watched in searches:
        rows = [row for row, crop in enumerate(held) if watched.crop_filter.admits(crop)]
        rows.sort(key=lambda row: order[held[row].crop_id])
        if not rows:
            continue
        admitted = [held[row] for row in rows]
        judged = live.confidences(watched.text, admitted, vectors_ND[rows], watched.crop_filter)
        for crop, (score, confidence) in zip(admitted, judged, strict=True):
            if confidence >= watched.threshold:
                yield Match(watched.watch_id, crop, confidence, score)
