"""What promoters did and saw, in the installation's database.

<home>/promoter.json   the same of an earlier version, moved into the database when it is found
"""

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.gallery.store import DATABASE
from personsearch.installation.settings import Settings

if TYPE_CHECKING:
    from personsearch.integrations.database.promotions import DatabasePromotions, Heartbeat

logger = logging.getLogger(__name__)

MEMORY_FILE = "promoter.json"
OLDEST_STANDBY_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 600.0


def open_memory(settings: Settings) -> "DatabasePromotions":
    """What promoters did; what the file of an earlier version remembers is moved into the database.

    Raises:
        UserError: the database cannot be used.
    """
    from personsearch.integrations.database.promotions import DatabasePromotions
    from personsearch.integrations.database.schema import open_database

    promotions = DatabasePromotions(open_database(settings.database_address))
    file = settings.home / MEMORY_FILE
    if file.exists():
        _take_over(settings, promotions)
        file.unlink(missing_ok=True)  # another process may have been faster
        logger.warning("%s: what it remembers is in the database now; `personsearch status` shows it", file)
    return promotions


@dataclass(frozen=True, slots=True)
class Memory:
    """What promoters saw within the hour, leaders first, the model and collection that one made live, why neither can
    be read if so, and how far each build is that is under way.
    """

    heartbeats: "list[Heartbeat]"
    live: str = ""
    problem: str = ""
    builds: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What the promoter that leads saw last."""
        return self.heartbeats[0].state if self.heartbeats else self.problem or "not running"

    @property
    def standbys(self) -> int:
        """How many stand by."""
        return sum(not beat.leads and beat.age < OLDEST_STANDBY_SECONDS for beat in self.heartbeats)


def read_memory(settings: Settings) -> Memory:
    """What promoters did; empty where nobody has made the database yet. Never raises UserError."""
    if not settings.database and not (settings.gallery_folder / DATABASE).is_file():
        return Memory([])
    try:
        promotions = open_memory(settings)
        live, heartbeats, builds = promotions.live(), promotions.heartbeats(), promotions.builds.progress()
    except UserError as error:
        return Memory([], problem=str(error))
    shown = f"version {live.version}, {live.collection}, change {live.sequence} of the gallery" if live else ""
    under_way = [each for each in builds if each.idle < LONGEST_PAUSE_SECONDS]  # others were given up
    return Memory(heartbeats, shown, builds=tuple(f"{each.collection}: {each.in_words()}" for each in under_way))


def _take_over(settings: Settings, promotions: "DatabasePromotions") -> None:
    """Store what the file says is live, unless a promoter has stored something already."""
    from personsearch.integrations.database.promotions import Promotion

    try:
        held = json.loads((settings.home / MEMORY_FILE).read_text(encoding="utf-8"))
        promotion = Promotion(held["indexed"]["version"], held["collection"], held["indexed"]["sequence"])
    except (OSError, ValueError, TypeError, KeyError):  # it never indexed, or is damaged: the next look tells
        return
    if promotions.live() is None and promotion.collection:
        promotions.went_live(promotion)
