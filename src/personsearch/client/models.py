"""What the service answers. A field that this version does not know is ignored, so a newer service can be asked."""

from datetime import datetime, time
from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["confirmed", "rejected", "withdrawn"]


class Answered(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Box(Answered):
    """Pixels in the frame: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


class Crop(Answered):
    """One picture of one person at one camera and time."""

    crop_id: str
    camera_id: str
    captured_at: datetime
    track_id: str
    bbox: Box
    image_url: str


class Candidate(Crop):
    """A crop that may show the person. `confidence` is None where the search has no calibration."""

    rank: int
    score: float
    confidence: float | None


class Model(Answered):
    """The model that encoded the crops and the query."""

    name: str
    version: str
    fingerprint: str


class Found(Answered):
    """One page of candidates, best first; `next` continues it, None at the end.

    `match` is "none" for no reliable match, "some" or "many"; None, as `fitting`, where the search has no calibration;
    `uncalibrated` says why.
    """

    request_id: str
    no_reliable_match: bool | None
    match: Literal["none", "some", "many"] | None
    fitting: int | None
    uncalibrated: str | None = None
    text_cut_after: int | None
    candidates: list[Candidate]
    next: str | None = None
    collection: str
    model: Model
    seconds: float


class Embedded(Answered):
    """Unit vectors in the order of the inputs, and the collection whose model made them."""

    request_id: str
    text_vectors: list[list[float]]
    text_cut_after: list[int | None]
    image_vectors: list[list[float]]
    dimensions: int
    collection: str
    model: Model


class HeatMap(Answered):
    """Where one phrase of a description, its `text[start:end]`, is seen: rows from the top, columns from the left."""

    text: str
    start: int
    end: int
    heat: list[list[float]]


class HeatMaps(Answered):
    """One map for each thing that a description names."""

    request_id: str
    crop_id: str
    rows: int
    columns: int
    maps: list[HeatMap]
    collection: str
    model: Model
    seconds: float


class Camera(Answered):
    """A camera, its number of crops in the gallery, and the times of the first and the last."""

    camera_id: str
    name: str = ""
    group: str = ""
    zone: str = ""
    crops: int
    first: datetime
    last: datetime


class Cameras(Answered):
    """All cameras in the gallery, by name."""

    cameras: list[Camera]


class Track(Answered):
    """The crops of one person passing a camera, in order of time."""

    track_id: str
    crops: list[Crop]


class QuietHours(Answered):
    """Every day from `start` to before `end`, by the clock of a time zone; over midnight if `end` is the earlier."""

    start: time
    end: time
    time_zone: str


class WatchedSearch(Answered):
    """A search that is compared with every crop that arrives. `ended` says why the service switched it off."""

    watch_id: str
    name: str
    text: str
    cameras: list[str] | None
    after: datetime | None
    before: datetime | None
    threshold: float
    webhook: str
    quiet_hours: QuietHours | None
    quiet: bool
    most_per_hour: int
    enabled: bool
    ended: str
    alerts: int
    waiting: int
    created_at: datetime
    changed_at: datetime


class WatchedSearches(Answered):
    """The caller's watched searches, oldest first."""

    watched_searches: list[WatchedSearch]


class Alert(Crop):
    """A track that fits a watched search, by the best crop of it. `released_at` is None while it waits for the end of
    quiet hours or for the limit.
    """

    alert_id: str
    watch_id: str
    name: str
    confidence: float
    score: float
    threshold: float
    raised_at: datetime
    released_at: datetime | None
    delivery: Literal["none", "waiting", "delivered", "failed"]
    attempts: int
    failure: str


class Alerts(Answered):
    """One page of alerts, the latest first; `next` continues it, None at the end."""

    alerts: list[Alert]
    next: str | None


class AlertEvent(Answered):
    """An alert as it is released, or as its track gets a better crop. A stream continues behind `event_id`."""

    event_id: str
    alert: Alert


class Point(Answered):
    """What alerts at a threshold were; `precision` is None without any."""

    threshold: float
    alerts: int
    right: int
    precision: float | None
    recall: float


class Stream(Answered):
    """A measured stream of crops, `synthetic` or `footage`: descriptions watched for, those of nobody in it, tracks,
    and tracks that could be found.
    """

    name: str
    searches: int
    absent: int
    tracks: int
    passes: int
    points: list[Point]


class Figures(Answered):
    """How precise and complete alerts were, and with which model."""

    fingerprint: str
    streams: list[Stream]


class AlertFigures(Answered):
    """Whether searches can be watched, and how right alerts were. `problem` says why no crop is compared at the
    moment.
    """

    enabled: bool
    problem: str
    webhooks: bool
    most_searches: int
    measured: Figures


class RecordedVerdict(Answered):
    """The record of a verdict in the audit log."""

    request_id: str
    record_hash: str


class ReportedCandidate(Answered):
    """A candidate for a report, and the search that showed it."""

    search_request_id: str
    crop_id: str


class Build(Answered):
    """How far the build of a collection is."""

    collection: str
    crops: int
    done: int
    crops_per_second: float
    seconds_left: float | None


class Promotion(Answered):
    """A promotion: the collection that it made live, or why it failed."""

    version: str
    collection: str
    failure: str
    attempts: int
    began_at: datetime
    changed_at: datetime


class Promoter(Answered):
    """What a promoter saw."""

    leads: bool
    state: str
    failed: bool
    seconds_ago: float


class Drift(Answered):
    """How a camera's newest crops differ from those of the calibration, and how its answers are; see docs/feedback.md.

    `shift` and `quality` are None before the service's first look, and with too few crops.
    """

    camera_id: str
    shift: float | None
    quality: float | None
    first_candidates: int
    no_reliable_match: int


class Status(Answered):
    """The state of an installation. `problem` says why the collection that should be live is not; "" if it is."""

    problem: str
    collection: str | None
    model: Model | None
    crops: int
    waiting: int
    cameras: list[Camera]
    drift: list[Drift]
    builds: list[Build]
    promotions: list[Promotion]
    promoters: list[Promoter]


class Readiness(Answered):
    """Whether searches are answered, and what is wrong."""

    ready: bool
    problem: str
    collection: str | None
    model_version: str | None
    sequence: int


class WrongField(Answered):
    """One field of a request that was refused."""

    field: str
    message: str


class ProblemDetails(Answered):
    """The body of every error."""

    title: str
    status: int
    detail: str
    request_id: str
    errors: list[WrongField] = []
