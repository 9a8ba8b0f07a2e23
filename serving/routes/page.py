"""Serves the search page, which loads nothing from other sites."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

WEB = Path(__file__).parent.parent / "web"

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> FileResponse:
    """The page; it asks for the API key, which never becomes part of a URL."""
    return _file("index.html")


@router.get("/web/{name}")
def asset(
    name: Literal["app.js", "api.js", "detail.js", "times.js", "view.js", "style.css", "icon.svg"],
) -> FileResponse:
    """A script, the style sheet or the icon."""
    return _file(name)


def _file(name: str) -> FileResponse:
    return FileResponse(WEB / name, headers={"Cache-Control": "no-cache"})
