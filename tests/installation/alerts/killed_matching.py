"""Compares what is added to a gallery with its watched searches until it is killed: `killed_matching.py HOME`.

It is promoter and comparer in one: a collection in its memory follows the gallery, and how far is stored.
"""

import sys
import time
from pathlib import Path

from personsearch.gallery.store import DATABASE
from personsearch.installation.alerts.matching import Matcher
from personsearch.installation.leadership import Leadership, holder_name
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.watches import DatabaseWatches
from personsearch.search.exact import ExactStore
from tests.installation.alerts.small import follow, live_search

home = Path(sys.argv[1])
gallery, database = gallery_in(home), open_database(f"sqlite:///{home / DATABASE}")
promotions, leases, store = DatabasePromotions(database), DatabaseLeases(database), ExactStore()
leadership = Leadership(leases, "alerts", holder=holder_name(), seconds=1.0, silence=60.0)
matcher = Matcher(gallery, DatabaseWatches(database), DatabaseAlerts(database), promotions)
live, followed = live_search(store, gallery), 0
print("ready", flush=True)
while True:
    if lease := leadership.take():
        until = followed + 3  # a few at a time, so that it is killed between them
        followed = follow(store, gallery, followed, until)
        promotions.went_live(Promotion("1", live.collection, followed))
        live.refresh()
        matcher.turn(live, lease)
    time.sleep(0.001)
