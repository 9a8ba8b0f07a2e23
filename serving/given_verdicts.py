"""The verdicts of the audit log by crop, kept in memory: a look at them reads only the records that have come since."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from personsearch.installation.audit.log import AuditLog

WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """What somebody said of a crop last, in answer to a query. `beside_text` is as in the record of a search."""

    crop_id: str
    verdict: str
    note: str
    who: str
    at: str
    search_request_id: str
    text: str
    beside_text: dict[str, Any]


class GivenVerdicts:
    """Follows the verdicts of a log, whichever replica wrote them."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._lock = threading.Lock()
        self._sequence = -1
        self._by_crop: defaultdict[str, dict[tuple[str, str, str], GivenVerdict]] = defaultdict(dict)

    def of(self, crop_ids: Iterable[str]) -> list[GivenVerdict]:
        """What is said of these crops, oldest first; a person's latest verdict in answer to a query replaces the ones
        before.

        Raises:
            UserError: the database cannot be read.
            AuditUnavailable: the same, of a search.
        """
        with self._lock:
            for record in self._audit.records("verdict", after=self._sequence):
                self._take(record)
                self._sequence = record["sequence"]
            found = [said for crop_id in crop_ids for said in self._by_crop.get(crop_id, {}).values()]
        return sorted(found, key=lambda said: said.at)

    def _take(self, record: dict[str, Any]) -> None:
        search = self._audit.find("search", record["search_request_id"]) or {}
        text, beside_text = search.get("query", ""), search.get("beside_text", {})
        said = GivenVerdict(
            crop_id=record["crop_id"],
            verdict=record["verdict"],
            note=record.get("note", ""),
            who=record["who"],
            at=record["at"],
            search_request_id=record["search_request_id"],
            text=text,
            beside_text=beside_text,
        )
        place = said.who, text.casefold(), repr(sorted(beside_text.items()))
        of_crop = self._by_crop[said.crop_id]
        of_crop.pop(place, None)
        if said.verdict != WITHDRAWN:
            of_crop[place] = said
