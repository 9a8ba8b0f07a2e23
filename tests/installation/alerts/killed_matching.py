"""Compares what is added to a gallery with its watched searches, and tells webhooks, until it is killed:
`killed_matching.py HOME`.

It is promoter and service in one: a collection in its memory follows the gallery, and how far is stored.
"""

import sys
import time
from pathlib import Path

from personsearch.gallery.store import DATABASE
from personsearch.installation.alerts.delivery import Deliverer
from personsearch.installation.alerts.matching import Matcher
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.leadership import Leadership, holder_name
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.audit import DatabaseAudit
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
watches, alerts = DatabaseWatches(database), DatabaseAlerts(database)
matcher = Matcher(gallery, watches, alerts, promotions)
deliverer = Deliverer(alerts, AuditLog(DatabaseAudit(database)), "a-secret-for-the-tests", private=True)
live, followed = live_search(store, gallery), 0
print("ready", flush=True)
while True:
    if lease := leadership.take():
        until = followed + 3  # a few at a time, so that it is killed between them
        followed = follow(store, gallery, followed, until)
        promotions.went_live(Promotion("1", live.collection, followed))
        live.refresh()
        matcher.turn(live, lease)
        alerts.release(watches.enabled(), lease)
        deliverer.turn(lease)
    time.sleep(0.001)
