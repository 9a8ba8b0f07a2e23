"""The report's section on what the model sees."""

import re
from html.parser import HTMLParser

from personsearch.evaluation.attributes.figures import AttributeFigures, AttributeScore, LeftOut, QueryFigures
from personsearch.evaluation.attributes.section import seen_section
from personsearch.evaluation.attributes.swapped import SwapFigures

FIGURES = AttributeFigures(
    images=40,
    from_captions=0,
    queries=(QueryFigures("a <b> man", 10, 40, 80.0, 75.0), QueryFigures("a cap", 4, 40, 20.0, 25.0)),
    left_out=(LeftOut("a bald man", "2 people fit and 30 do not; 5 of each needed"),),
    groups=(
        AttributeScore("gender", "gender", "a man against a woman", 20, 40, 0.75, 1.0),
        AttributeScore("glasses", "glasses", "a person with glasses", 8, 40, 0.45, None),
    ),
    facts=(AttributeScore("cap", "cap", "a person wearing a cap", 4, 40, 0.6),),
    swaps=(SwapFigures("upper garment", 30, 90.0),),
)


def widths(html: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect class="series\d" [^>]*width="([\d.]+)"', html)]


def test_a_bar_is_as_long_as_the_area_is_above_a_coin_toss() -> None:
    words, probe, blind = widths(seen_section(FIGURES))
    assert words == probe / 2
    assert blind == 0


def test_it_says_in_words_and_tables_what_was_measured() -> None:
    html = seen_section(FIGURES)
    assert "<li>It does not see glasses (0.45).</li><li>It sees in part gender (0.75).</li>" in html
    assert "a &lt;b&gt; man" in html
    assert "<td>10 of 40</td><td>25.0</td><td>80</td><td>75.0</td>" in html
    assert "<td>3.0</td>" in html  # three times the base rate
    assert "<td>17.5</td><td>50</td><td><b>50.0</b></td>" in html  # means of the base rates, of P@10, of AP
    assert "a bald man: 2 people fit and 30 do not; 5 of each needed" in html
    assert "<td>upper garment</td><td>30</td><td>90</td>" in html
    assert "lower bound" not in html


def test_it_is_well_formed() -> None:
    class Open(HTMLParser):
        tags: list[str] = []  # noqa: RUF012 (one use)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.tags.pop() == tag

    Open().feed(re.sub(r"<(rect|polyline)([^>]*)/>", r"<\1\2></\1>", seen_section(FIGURES)))
    assert Open.tags == []


def test_it_says_where_captions_alone_tell_and_where_nothing_does() -> None:
    told = AttributeFigures(40, 40, FIGURES.queries, (), (), (), ())
    assert "What 40 images show is known from their captions only" in seen_section(told)
    assert "<svg" not in seen_section(told)
    assert seen_section(None).startswith("<p>Not measured.")
