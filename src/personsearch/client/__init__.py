"""A typed client of the search service: `Client`, and `AsyncClient` for asyncio. Needs httpx (personsearch[client])."""

from personsearch.client.asynchronous import AsyncClient
from personsearch.client.calls import ApiError, Unreachable
from personsearch.client.models import (
    Alert,
    Alerts,
    Box,
    Build,
    Camera,
    Candidate,
    Crop,
    Embedded,
    Found,
    Model,
    Promoter,
    Promotion,
    QuietHours,
    Readiness,
    RecordedVerdict,
    ReportedCandidate,
    Status,
    Track,
    Verdict,
    WatchedSearch,
    WrongField,
)
from personsearch.client.retries import Retries
from personsearch.client.synchronous import Client

__all__ = [
    "Alert",
    "Alerts",
    "ApiError",
    "AsyncClient",
    "Box",
    "Build",
    "Camera",
    "Candidate",
    "Client",
    "Crop",
    "Embedded",
    "Found",
    "Model",
    "Promoter",
    "Promotion",
    "QuietHours",
    "Readiness",
    "RecordedVerdict",
    "ReportedCandidate",
    "Retries",
    "Status",
    "Track",
    "Unreachable",
    "Verdict",
    "WatchedSearch",
    "WrongField",
]
