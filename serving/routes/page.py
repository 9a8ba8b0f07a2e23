"""Serves the search page, which loads nothing from other sites."""

from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from serving.problems import Problem

WEB = Path(__file__).parent.parent / "web"
ASSETS = (".css", ".js", ".svg")

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> FileResponse:
    """The page; it asks for the API key, which never becomes part of a URL."""
    return _file("index.html")


@router.get("/web/{name}")
def asset(name: str) -> FileResponse:
    """A script, the style sheet or the icon."""
    if name not in {path.name for path in WEB.iterdir() if path.suffix in ASSETS}:
        raise Problem(HTTPStatus.NOT_FOUND, f"The page has no part {name!r}.")
    return _file(name)


def _file(name: str) -> FileResponse:
    return FileResponse(WEB / name, headers={"Cache-Control": "no-cache"})
