"""`POST /v1/search`: takes descriptions, a picture and filters, records the search, returns candidates."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, time
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from personsearch.errors import UserError
from personsearch.gallery.cameras import NoSuchGroup, PlaceAndTime
from personsearch.installation.audited_search import search_record
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter, Moment
from personsearch.search.index import CollectionProperties
from personsearch.search.order import SORTED_AMONG, Sort, in_order
from personsearch.search.query import PICTURE_WEIGHT, Query
from personsearch.search.searcher import Answer, Candidate, Match, track_of
from serving.json_body import JsonRoute
from serving.live import LiveSearch
from serving.paging import DEEPEST, Position, PositionInTime, digest
from serving.problems import Problem, WrongField, responses
from serving.security import SearchingCaller
from serving.sent_picture import SentPicture, file_of, pixels_of
from serving.service import Service, ServiceDep
from serving.written_text import Purpose, Text

NOTICE = "Candidates for a person to confirm."
MAX_K = 200
MAX_CAMERAS = 200
MAX_CURSOR = 1000
MAX_TERMS = 8

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)


CropId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
CameraId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
GroupName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class SearchRequest(BaseModel):
    """Whom to search for, where and when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "a woman in a red jacket and blue jeans", "cameras": ["junction"]}]},
    )

    text: Text | None = Field(default=None, description="Description of the person, in English.")
    also: list[Text] = Field(
        default=[], max_length=MAX_TERMS, description="Other descriptions of the same person, averaged with the first."
    )
    without: list[Text] = Field(
        default=[], max_length=MAX_TERMS, description='What the person does not have: "a hat". Lowers its candidates.'
    )
    image: SentPicture | None = None
    like: CropId | None = Field(
        default=None, description="A crop of the gallery to search for instead of an image; its own track is left out."
    )
    image_weight: float = Field(
        default=PICTURE_WEIGHT, ge=0, le=1, description="Of an image or a crop beside descriptions: 0 none, 1 alone."
    )
    cameras: list[CameraId] | None = Field(default=None, min_length=1, max_length=MAX_CAMERAS)
    camera_groups: list[GroupName] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CAMERAS,
        description="Groups of cameras, beside `cameras`: a crop of any of them may be found.",
    )
    after: Moment | None = Field(default=None, description="Inclusive; ISO 8601 with a zone.")
    before: Moment | None = Field(default=None, description="Exclusive; ISO 8601 with a zone.")
    daily_after: ClockTime | None = Field(
        default=None,
        description="Inclusive time of day, HH:MM by the clock of each camera; after `daily_before` it is the evening "
        "before. From midnight if only `daily_before` is given.",
        examples=["22:00"],
    )
    daily_before: ClockTime | None = Field(
        default=None, description="Exclusive; until midnight if only `daily_after` is given.", examples=["06:00"]
    )
    k: int = Field(default=20, ge=1, le=MAX_K, description="Largest number of candidates.")
    group_by_track: bool = Field(default=True, description="Return only the best crop of each track.")
    sort: Sort = Field(
        default="score",
        description=f"newest and oldest order the {SORTED_AMONG} best candidates by `captured_at`, all pages together; "
        "`match` and confidence are those of the order by score.",
    )
    purpose: Purpose = Field(default="", description="Purpose or case; kept in the audit log.")
    cursor: str = Field(
        default="", max_length=MAX_CURSOR, description="`next` of the page before; all other fields as there."
    )

    @model_validator(mode="after")
    def _has_something_to_search_for(self) -> "SearchRequest":
        if self.image is not None and self.like is not None:
            raise ValueError("image or like expected, not both")
        if self.text is None and self.image is None and self.like is None:
            raise ValueError("text, image or like expected")
        if self.text is None and self.also:
            raise ValueError("also continues text, which is missing")
        if "image_weight" in self.model_fields_set and (self.text is None or (self.image or self.like) is None):
            raise ValueError("image_weight weighs image or like against text: text and one of them expected")
        return self

    @model_validator(mode="after")
    def _after_before_before(self) -> "SearchRequest":
        if self.after and self.before and self.after >= self.before:
            raise ValueError("after must be earlier than before")
        return self

    @model_validator(mode="after")
    def _two_times_of_day(self) -> "SearchRequest":
        if "00:00" in (self.daily_after, self.daily_before) and None in (self.daily_after, self.daily_before):
            raise ValueError("daily_after and daily_before: from midnight to midnight is no restriction")
        if self.daily_after is not None and self.daily_after == self.daily_before:
            raise ValueError("daily_after and daily_before: two different times expected")
        return self

    def place_and_time(self) -> PlaceAndTime:
        """Where and when to search."""
        return PlaceAndTime(
            cameras=tuple(self.cameras) if self.cameras is not None else None,
            groups=tuple(self.camera_groups or ()),
            after=self.after,
            before=self.before,
            daily_after=time.fromisoformat(self.daily_after) if self.daily_after else None,
            daily_before=time.fromisoformat(self.daily_before) if self.daily_before else None,
        )


class Box(BaseModel):
    """Pixels in the frame: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


class CropView(BaseModel):
    """A crop as clients see it."""

    crop_id: str
    camera_id: str
    captured_at: datetime
    track_id: str
    bbox: Box
    image_url: str = Field(description="Path of its image, below the address of the service.")


class CandidateView(CropView):
    """A crop that may show the person."""

    rank: int
    score: float = Field(description="Cosine similarity of the description and the image.")
    confidence: float | None = Field(
        description="Estimated probability that this person is the one searched for; null if the model has no "
        "calibration for such a query."
    )


class ModelView(BaseModel):
    """The model that encoded the crops and the query."""

    name: str
    version: str
    fingerprint: str


class SearchResponse(BaseModel):
    """Candidates in the order that was asked for, best first if it was none."""

    request_id: str
    notice: str = NOTICE
    no_reliable_match: bool | None = Field(
        description="True if no candidate is likely to be right; null if the model was never calibrated."
    )
    match: Match | None = Field(
        description="none: the first candidate's confidence is below the calibration's threshold, or there is none; "
        "`no_reliable_match` is true. some: it reaches the threshold, and at most two of the ten best tracks do. many: "
        "it does, and so do three or more of them, whom the description does not tell apart. null: the model was never "
        "calibrated."
    )
    fitting: int | None = Field(
        description="How many of the ten best tracks reach the calibration's threshold; null if the model was never "
        "calibrated."
    )
    uncalibrated: str | None = Field(
        description="Why no candidate has a confidence, in words; null where they have one."
    )
    text_cut_after: int | None = Field(
        description="How many characters of the description the model read, in whole words; null if it read all."
    )
    candidates: list[CandidateView]
    next: str | None = Field(description="The cursor of the next page; null after the last one.")
    collection: str
    model: ModelView
    seconds: float


@router.post(
    "/search",
    response_model=SearchResponse,
    responses=responses(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def search(body: SearchRequest, request: Request, service: ServiceDep, caller: SearchingCaller) -> Response:
    """Rank the gallery's crops by how well they match a description."""
    start = perf_counter()
    live, page = _answered(service, body)
    candidates = _still_held(service, page.answer.candidates)
    seconds = perf_counter() - start
    is_empty = page.first_rank == 1 and not candidates
    reliable, fitting = (False, 0) if is_empty else (page.answer.reliable, page.answer.fitting)
    page = replace(page, answer=replace(page.answer, candidates=candidates, reliable=reliable, fitting=fitting))
    request_id = request.scope["request_id"]
    # before the answer: if the log cannot be written, nobody gets results that were not recorded
    service.audit.append("search", _record(body, live, page, caller=caller, request_id=request_id))
    service.shown.add(caller, [candidate.crop.crop_id for candidate in candidates])
    service.metrics.search_seconds.observe(seconds)
    service.metrics.searches.labels(_outcome(reliable)).inc()
    if candidates and page.first_rank == 1 and body.sort == "score":
        service.metrics.first_candidates.labels(candidates[0].crop.camera_id, _outcome(reliable)).inc()
    # here, because FastAPI would check the answer again, in another turn of a thread
    answer = _response(live, page, request_id, seconds).model_dump_json()
    return Response(answer, media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Page:
    """Part of an answer, and where it stands in the whole."""

    answer: Answer
    first_rank: int
    next: str | None


def _answered(service: Service, body: SearchRequest) -> tuple[LiveSearch, _Page]:
    """The page, and the collection that gave it: an erasure may have dropped the one that was live a moment ago."""
    live = live_or_unavailable(service)
    crop_filter = _crop_filter(service, body)
    try:
        return live, _ask(live, body, crop_filter)
    except UserError:
        successor = service.live.successor(live)
        if successor is None:
            raise
        return successor, _ask(successor, body, crop_filter)


def _crop_filter(service: Service, body: SearchRequest) -> CropFilter:
    """Where and when to search, with each group resolved into its cameras.

    Raises:
        Problem: 422, a group is none.
    """
    try:
        return body.place_and_time().crop_filter(service.gallery, service.cameras, service.settings.time_zone)
    except NoSuchGroup as error:
        errors = [WrongField(field="camera_groups", message=str(error))]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"camera_groups: {error}", errors=errors) from error


def _ask(live: LiveSearch, body: SearchRequest, crop_filter: CropFilter) -> _Page:
    asked = digest(body.model_dump(mode="json", exclude={"cursor", "k", "purpose"}), live.collection)
    if body.sort != "score":
        return _ask_in_time(live, body, crop_filter, asked)
    start = Position.read(body.cursor, asked) if body.cursor else Position(asked=asked)
    ranks = min(start.ranks + body.k, DEEPEST)
    answer = live.search_for(_query(live, body), k=ranks, crop_filter=crop_filter, group_by_track=body.group_by_track)
    candidates = start.after(answer.candidates)[: body.k]
    may_be_more = len(answer.candidates) == ranks < DEEPEST
    following = start.moved(ranks, candidates).cursor if may_be_more else None
    return _Page(replace(answer, candidates=candidates), start.ranks + 1, following)


def _ask_in_time(live: LiveSearch, body: SearchRequest, crop_filter: CropFilter, asked: str) -> _Page:
    """A page of the best candidates in the order of time; what confidence says is said of the best of them."""
    start = PositionInTime.read(body.cursor, asked) if body.cursor else None
    query = replace(_query(live, body), ingested_until=start.newest if start else None)
    answer = live.search_for(query, k=SORTED_AMONG, crop_filter=crop_filter, group_by_track=body.group_by_track)
    found = start.among(answer.candidates) if start else answer.candidates
    ordered = in_order(found, body.sort)
    left = start.after(ordered, body.sort) if start else ordered
    page, ranks = left[: body.k], start.ranks if start else 0
    following = None
    if len(left) > len(page):
        following = (start or PositionInTime.before_the_first(asked, found)).moved(page, body.sort).cursor
    return _Page(replace(answer, candidates=page), ranks + 1, following)


def _query(live: LiveSearch, body: SearchRequest) -> Query:
    """What a request asks for.

    Raises:
        Problem: 404 for a crop that the collection does not hold, 422 for an image that is none.
    """
    texts = (body.text, *body.also) if body.text is not None else ()
    picture_D, own_track = None, None
    if body.image is not None:
        pixels_HW3 = pixels_of(file_of(body.image, "image"), "image", live.encoder.preprocessing)
        picture_D = live.encoder.encode_images(pixels_HW3[None])[0]
    elif body.like is not None:
        found = live.vector_of(body.like)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"The live collection holds no crop {body.like!r}.")
        picture_D, own_track = found[1], track_of(found[0])
    return Query(texts, tuple(body.without), picture_D, body.image_weight, own_track)


def live_or_unavailable(service: Service) -> LiveSearch:
    """The live collection.

    Raises:
        Problem: 503 with the reason if there is none yet.
    """
    live = service.live.current
    if live is None:
        detail = f"Not ready: {service.live.problem}."
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})
    return live


def model_view(properties: CollectionProperties) -> ModelView:
    """The model that a collection names."""
    return ModelView(name=properties.model_name, version=properties.model_version, fingerprint=properties.fingerprint)


def crop_view(crop: Crop) -> dict[str, Any]:
    """The fields of a CropView."""
    box = crop.bbox
    return {
        "crop_id": crop.crop_id,
        "camera_id": crop.camera_id,
        "captured_at": crop.captured_at,
        "track_id": crop.track_id,
        "bbox": Box(x=box.x, y=box.y, width=box.width, height=box.height),
        "image_url": f"/v1/crops/{crop.crop_id}/image",
    }


def _still_held(service: Service, candidates: list[Candidate]) -> list[Candidate]:
    """Leave out crops that were erased from the gallery after the index was built."""
    held = service.gallery.held_among([candidate.crop.crop_id for candidate in candidates])
    return [candidate for candidate in candidates if candidate.crop.crop_id in held]


def _outcome(reliable: bool | None) -> str:
    return {True: "match", False: "no_reliable_match", None: "not_calibrated"}[reliable]


def _record(body: SearchRequest, live: LiveSearch, page: _Page, *, caller: str, request_id: str) -> dict[str, Any]:
    apart = {"text", "purpose", "cursor", "also", "without", "image", "like", "image_weight"}
    filters = body.model_dump(mode="json", exclude=apart)
    return search_record(
        body.text or "",
        page.answer,
        who=caller,
        purpose=body.purpose,
        request_id=request_id,
        filters=filters | {"first_rank": page.first_rank},
        beside_text=_beside_text(body),
        collection=live.collection,
        properties=live.properties,
    )


def _beside_text(body: SearchRequest) -> dict[str, Any]:
    """What the audit log keeps of a query beside its text; of an image, the hash of its file."""
    given: dict[str, Any] = {"also": body.also, "without": body.without, "like": body.like}
    if body.image is not None:
        given["image"] = hashlib.sha256(file_of(body.image, "image")).hexdigest()
    given = {name: value for name, value in given.items() if value}
    if {"image", "like"} & given.keys():
        given["image_weight"] = body.image_weight
    return given


def _response(live: LiveSearch, page: _Page, request_id: str, seconds: float) -> SearchResponse:
    properties, answer = live.properties, page.answer
    candidates = [
        CandidateView(**crop_view(candidate.crop), rank=rank, score=candidate.score, confidence=candidate.confidence)
        for rank, candidate in enumerate(answer.candidates, start=page.first_rank)
    ]
    return SearchResponse(
        request_id=request_id,
        no_reliable_match=None if answer.reliable is None else not answer.reliable,
        match=answer.match,
        fitting=answer.fitting,
        uncalibrated=answer.uncalibrated or None,
        text_cut_after=answer.text_cut_after,
        candidates=candidates,
        next=page.next,
        collection=live.collection,
        model=model_view(properties),
        seconds=round(seconds, 6),
    )
