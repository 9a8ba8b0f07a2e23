"""The service object that every route uses, created once per application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from personsearch.gallery.store import Gallery
from personsearch.installation.audit.anchor import AnchorSchedule
from personsearch.installation.audit.log import AuditLog
from personsearch.integrations.database.cameras import DatabaseCameras
from personsearch.integrations.database.notices import DatabaseNotices
from personsearch.integrations.database.promotions import DatabasePromotions
from serving.alert_streams import Streams
from serving.alert_watch import AlertWatch
from serving.backlog import Backlog
from serving.drift import DriftWatch
from serving.footage import FootageViewer
from serving.given_verdicts import GivenVerdicts
from serving.live import LiveWatcher
from serving.metrics import Metrics
from serving.security import AcceptedKeys, RateLimit
from serving.settings import ServingSettings
from serving.shown_crops import ShownCrops


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service."""

    settings: ServingSettings
    keys: AcceptedKeys
    audit: AuditLog
    anchor: AnchorSchedule
    shown: ShownCrops
    verdicts: GivenVerdicts
    gallery: Gallery
    footage: FootageViewer
    cameras: DatabaseCameras
    live: LiveWatcher
    backlog: Backlog
    notices: DatabaseNotices
    promotions: DatabasePromotions
    drift: DriftWatch
    alerts: AlertWatch
    alert_streams: Streams
    metrics: Metrics
    search_limit: RateLimit
    image_limit: RateLimit


async def service_of(request: Request) -> Service:
    """The service of the application that a request reached."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDep = Annotated[Service, Depends(service_of)]
