"""Every sentence of the page has its German."""

import json
import re
from html.parser import HTMLParser

from serving.routes.page import WEB

SAME_IN_BOTH = {"?", "24", "48", "96", "192", "S", "M", "L", "‹", "›", "✕"}
EXAMPLE = "a woman in a red jacket and blue jeans, carrying a backpack"  # in English, as models read it


class Words(HTMLParser):
    """What a page says: its text and the attributes that are read to somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.said |= {value for name, value in attrs if value and name in ("aria-label", "placeholder", "title")}

    def handle_data(self, data: str) -> None:
        self.said.add(data.strip())


def literals(script: str, pattern: str) -> set[str]:
    return {json.loads(f'"{words}"') for words in re.findall(pattern, script)}


def said_by_the_page() -> set[str]:
    page = Words()
    page.feed((WEB / "index.html").read_text(encoding="utf-8"))
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in WEB.glob("*.js") if path.name != "words.js")
    return (page.said | literals(scripts, r'say\("((?:[^"\\]|\\.)*)"')) - SAME_IN_BOTH - {"", EXAMPLE}


def german() -> dict[str, str]:
    pairs = re.findall(r'^  "(.+?)":\s+"(.+?)",$', (WEB / "german.js").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(pairs)


def test_german_has_every_sentence_and_no_other() -> None:
    assert set(german()) == said_by_the_page()


def test_both_languages_name_the_same_values() -> None:
    def values(words: str) -> list[str]:
        return sorted(re.findall(r"\{\w+\}", words))

    assert [english for english, words in german().items() if values(english) != values(words)] == []
