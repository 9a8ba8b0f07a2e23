"""The application: `create_app(settings)` assembles the service; importing this module does nothing."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial

from fastapi import FastAPI

from personsearch import __version__
from personsearch.addresses import log_to_standard_error
from personsearch.errors import UserError
from personsearch.installation.audit.anchor import AnchorSchedule, open_anchor
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.platforms import open_gallery
from personsearch.integrations.database.cameras import DatabaseCameras
from personsearch.integrations.database.notices import DatabaseNotices
from personsearch.integrations.database.promotions import DatabasePromotions
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.objects.open import open_footage
from personsearch.integrations.telemetry.tracer import traced, traces_address
from personsearch.processes import ensure_home_folder
from serving import problems
from serving.alert_streams import Streams
from serving.alert_watch import AlertWatch
from serving.backlog import Backlog
from serving.drift import DriftWatch
from serving.footage import FootageViewer
from serving.given_verdicts import GivenVerdicts
from serving.live import LiveSource, LiveWatcher
from serving.metrics import Metrics
from serving.middleware import BodyLimit, LargeBodies, RequestEnvelope, without_query
from serving.openapi import describe
from serving.routes import (
    alerts,
    crops,
    embed,
    frames,
    health,
    heat_maps,
    ingest,
    page,
    reports,
    search,
    status,
    verdicts,
    watches,
    webhooks,
)
from serving.security import AcceptedKeys, RateLimit
from serving.service import Service
from serving.settings import ServingSettings
from serving.shown_crops import ShownCrops
from serving.source import PlatformSource

PICTURES = ("/v1/embed", "/v1/search")  # bodies of these may hold pictures
PARTS = (
    *(search, heat_maps, embed, crops, frames, ingest, verdicts, reports),
    *(watches, alerts, status, health, webhooks, page),
)
DESCRIPTION = (
    "Find a person in surveillance imagery by describing them. Results are candidates for a person to confirm."
)


def application() -> FastAPI:
    """The application, configured by the environment: `uvicorn --factory serving.app:application`."""
    log_to_standard_error()
    ensure_home_folder()
    logging.getLogger("uvicorn.access").addFilter(without_query)
    try:
        return create_app(ServingSettings())
    except UserError as error:
        raise SystemExit(f"personsearch: {error}") from error


def create_app(settings: ServingSettings, *, source: LiveSource | None = None) -> FastAPI:
    """Create the application. `source` replaces Milvus and MLflow.

    Raises:
        UserError: there is no API key, the gallery or the audit log cannot be opened, or traces have no such endpoint.
    """
    traces_address(os.environ)
    service = _service(settings, source)
    app = FastAPI(
        title="personsearch",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    for part in PARTS:
        app.include_router(part.router)
    problems.install(app)
    app.openapi = cache(partial(describe, app))  # type: ignore[method-assign]
    sent = LargeBodies("/v1/crops", settings.max_ingest_bytes, settings.ingest_at_once, when_announced=PICTURES)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, large=sent, metrics=service.metrics)
    app.add_middleware(RequestEnvelope, metrics=service.metrics)
    return app


def _service(settings: ServingSettings, source: LiveSource | None) -> Service:
    metrics = Metrics()
    gallery = open_gallery(settings)
    source = source or PlatformSource(settings, gallery, metrics)
    live = LiveWatcher(source, interval_seconds=settings.watch_seconds, metrics=metrics)
    audit, database = open_audit(settings), open_database(settings.database_address)
    keys, drift = AcceptedKeys(settings), DriftWatch(gallery, live)
    metrics.registry.register(drift)
    return Service(
        settings=settings,
        keys=keys,
        audit=audit,
        anchor=AnchorSchedule(
            audit,
            open_anchor(settings),
            interval_seconds=settings.audit_anchor_seconds,
            failed=metrics.anchor_failures.inc,
        ),
        shown=ShownCrops(),
        verdicts=GivenVerdicts(audit),
        gallery=gallery,
        footage=FootageViewer(open_footage(settings.footage_address), gallery),
        cameras=DatabaseCameras(database),
        live=live,
        backlog=Backlog(gallery, live),
        drift=drift,
        alerts=AlertWatch(
            settings,
            database,
            gallery=gallery,
            live=live,
            audit=audit,
            metrics=metrics,
            accepted_owners=keys.accepted_among,
        ),
        alert_streams=Streams(),
        notices=DatabaseNotices(database),
        promotions=DatabasePromotions(database),
        metrics=metrics,
        search_limit=RateLimit(settings.searches_per_minute),
        image_limit=RateLimit(settings.images_per_minute),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    with traced("personsearch-serving"):
        service.live.start()
        service.anchor.start()
        service.drift.start()
        service.alerts.start()
        yield
        service.alerts.stop()
        service.drift.stop()
        service.live.stop()
        service.anchor.stop()
