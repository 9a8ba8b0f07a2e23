"""The project's pages in Markdown, taken apart."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
FOLDERS = {name.split("/")[0] for name in TRACKED if "/" in name}
PAGES = [name for name in TRACKED if name.endswith(".md") and not name.startswith("weights/")]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n|\n)+")
INLINE = re.compile(r"`((?:[^`\n]|\n(?!\n))+)`")


def read(page: str) -> str:
    """The text of a page, named from the root."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its code blocks."""
    return INDENTED.sub("\n", FENCED.sub("", read(page)))


def code_blocks(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of each code block; an indented one has no language."""
    yield from FENCED.findall(read(page))
    yield from (("", block) for block in INDENTED.findall(FENCED.sub("", read(page))))


def shell_lines(page: str) -> Iterator[str]:
    """The lines of all code blocks, continued ones joined."""
    for _, text in code_blocks(page):
        yield from re.sub(r"\\\n\s*", "", text).splitlines()


def inline_code(page: str) -> Iterator[str]:
    """What stands between backticks, on one line each."""
    yield from (" ".join(code.split()) for code in INLINE.findall(prose(page)))
