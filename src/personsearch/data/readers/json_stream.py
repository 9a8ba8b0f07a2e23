"""Reads annotation files of any size: one item at a time from a JSON array or object, or from JSON Lines."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from personsearch.errors import UserError, explain

CHUNK_CHARACTERS = LONGEST_FIRST_LINE = 1 << 20
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def stream_items(path: Path) -> Iterator[object]:
    """Yield the items of a top-level array, the values of a top-level object or the objects of JSON Lines.

    Only a chunk of the text is in memory.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or is not such JSON.
    """
    done = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for item in _items(_JsonText(file)):
                yield item
                done += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {explain(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason}") from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply after item {done}") from error
    except ValueError as error:  # json.JSONDecodeError, and numbers of thousands of digits
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UserError(f"{path}: not valid JSON after item {done}: {reason}") from error


class _JsonText:
    """A window onto the file's text that grows only when one value does not fit into it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._position = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not white space; "" at the end of the file."""
        while True:
            match = WHITE_SPACE.match(self._text, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_more():
                return ""

    def take(self, allowed: str) -> str:
        """Consume the next character, which must be one of `allowed`."""
        found = self.peek()
        if not found or found not in allowed:
            expected = " or ".join(allowed)
            raise json.JSONDecodeError(f"{expected} expected, {found or 'end of file'} found", "", 0)
        self._position += 1
        return found

    def value(self) -> object:
        """Consume one whole JSON value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError:
                if self._read_more():
                    continue
                raise
            # The window may end inside a number: of 0.5 it may show "0" or "0.", and both decode as 0.
            following = self._text[end : end + 1]
            if (following and following not in ".eE") or not self._read_more():
                self._position = end
                return value

    def is_lines(self) -> bool:
        """Whether this is JSON Lines: the first line is a whole object, and another object follows."""
        self.peek()
        while True:
            first, _, rest = self._text[self._position :].partition("\n")
            if rest.strip() or len(self._text) > LONGEST_FIRST_LINE or not self._read_more():
                return rest.lstrip().startswith("{") and _is_object(first)

    def _read_more(self) -> bool:
        rest = self._text[self._position :]
        chunk = self._file.read(max(CHUNK_CHARACTERS, len(rest)))
        self._text, self._position = rest + chunk, 0
        return bool(chunk)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _items(text: _JsonText) -> Iterator[object]:
    if text.is_lines():
        while text.peek():
            yield text.value()
        return
    opening = text.take("[{")
    closing = "]" if opening == "[" else "}"
    if text.peek() != closing:
        yield _item(text, opening)
        while text.take("," + closing) == ",":
            yield _item(text, opening)
    else:
        text.take(closing)
    if text.peek():
        raise json.JSONDecodeError("more text after the end", "", 0)


def _item(text: _JsonText, opening: str) -> object:
    if opening == "{":
        if not isinstance(text.value(), str):
            raise json.JSONDecodeError("a key must be text", "", 0)
        text.take(":")
    return text.value()
