"""Reads a body that must be JSON: another media type is refused as such, and a number of any length has its field."""

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.problems import Problem

MAX_DIGITS = 100
MAX_QUOTE = 80


class JsonRoute(APIRoute):
    """A route that takes its body as JSON only."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            read = _JsonRequest(request.scope, request.receive)
            if await read.body():
                _refuse_other_media_types(read.headers.get("content-type", ""))
            return await handle(read)

        return read_and_handle


class _JsonRequest(Request):
    async def json(self) -> Any:
        return json.loads(await self.body(), parse_int=_integer)


def _integer(digits: str) -> int:
    """Python refuses to read thousands of digits, and its error names no field. This many exceed every field's range,
    so the field itself refuses the number.
    """
    return int(digits[:MAX_DIGITS])


def _refuse_other_media_types(content_type: str) -> None:
    media_type = Message()
    media_type["content-type"] = content_type
    subtype = media_type.get_content_subtype()
    is_json = subtype == "json" or subtype.endswith("+json")
    if not content_type or media_type.get_content_maintype() != "application" or not is_json:
        found = f"not {content_type[:MAX_QUOTE]}" if content_type else "but there is no Content-Type"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be application/json, {found}.")
