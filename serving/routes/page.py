"""Serves the search page; it loads nothing from other sites."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

WEB = Path(__file__).parent.parent / "web"

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> FileResponse:
    """The page itself; it asks for the key, which is never part of an address."""
    return _file("index.html")


@router.get("/web/{name}")
def asset(name: Literal["app.js", "api.js", "detail.js", "view.js", "style.css", "icon.svg"]) -> FileResponse:
    """A file of the page: script, style or icon."""
    return _file(name)


def _file(name: str) -> FileResponse:
    return FileResponse(WEB / name, headers={"Cache-Control": "no-cache"})
