"""Errors as RFC 9457 problem details: always the same fields, a readable sentence, the request id."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from personsearch.errors import UserError
from personsearch.installation.audit.log import AuditUnavailable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # an answer stays short, whatever the request holds
MAX_FIELD = 80


class WrongField(BaseModel):
    """One field of a request that was refused."""

    field: str
    message: str


class ProblemDetails(BaseModel):
    """The body of every error."""

    title: str
    status: int
    detail: str
    request_id: str
    errors: list[WrongField] = []


class Problem(Exception):
    """An error for the client: a status and a sentence, and what is wrong with single fields."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[WrongField] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.errors = errors or []


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of a route's errors; the middleware refuses bodies of every route."""
    statuses = (*statuses, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status.value: {"description": status.phrase, "content": content} for status in sorted(statuses)}


def install(app: FastAPI) -> None:
    """Answer every exception with problem details."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(AuditUnavailable, _on_audit_unavailable)
    app.add_exception_handler(UserError, _on_unavailable)
    app.add_exception_handler(Exception, _on_exception)


def listed(errors: list[WrongField]) -> str:
    """What is wrong with each field, in one line; of many, the first and how many more there are."""
    line = "; ".join(f"{wrong.field}: {wrong.message}" for wrong in errors[:MAX_ERRORS])
    more = len(errors) - MAX_ERRORS
    return f"{line}; and {more:,} more" if more > 0 else line


def problem_response(
    status: HTTPStatus,
    detail: str,
    request_id: str,
    *,
    errors: list[WrongField] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error as a response."""
    body = ProblemDetails(title=status.phrase, status=status, detail=detail, request_id=request_id, errors=errors or [])
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)


def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_response(
        error.status, error.detail, _request_id(request), errors=error.errors[:MAX_ERRORS], headers=error.headers
    )


def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return problem_response(HTTPStatus(error.status_code), str(error.detail), _request_id(request), headers=headers)


def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [WrongField(field=_field_name(problem), message=_message(problem)) for problem in error.errors()]
    return _on_problem(request, Problem(HTTPStatus.UNPROCESSABLE_ENTITY, listed(errors), errors=errors))


def _on_audit_unavailable(request: Request, error: Exception) -> JSONResponse:
    logger.error("audit log cannot be written: %s", error)
    request.app.state.service.metrics.audit_failures.inc()
    detail = "The audit log cannot be written, so the request was refused. The service's log says what to do."
    headers = {"Retry-After": "5"}
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, _request_id(request), headers=headers)


def _on_unavailable(request: Request, error: Exception) -> JSONResponse:
    """Mistakes of the client were refused earlier, so a store or a file cannot be reached."""
    logger.error("request %s: %s", _request_id(request), error)
    detail = "The index or the gallery cannot be reached. The service's log says why."
    headers = {"Retry-After": "5"}
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, _request_id(request), headers=headers)


def _on_exception(request: Request, error: Exception) -> JSONResponse:
    detail = "Internal error. The service's log has the details under this request id."
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail, _request_id(request))


def _field_name(problem: dict[str, Any]) -> str:
    location = () if problem["type"] == "json_invalid" else problem["loc"]  # there it is a position in the text
    name = ".".join(str(part) for part in location if part not in ("body", "query", "path")) or "body"
    return name if len(name) <= MAX_FIELD else f"{name[:MAX_FIELD]}…"


def _message(problem: dict[str, Any]) -> str:
    """What is wrong with a field, without pydantic's words before ours."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] == "json_invalid":
        return f"no JSON: {problem['ctx']['error']} at character {problem['loc'][-1]}"
    return str(problem["msg"])


def _request_id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))
