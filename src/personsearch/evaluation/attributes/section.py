"""The report's section on what the model sees: words for a newcomer, a picture, and tables."""

from collections.abc import Sequence
from html import escape

from personsearch.evaluation.attributes.figures import AttributeFigures, AttributeScore, QueryFigures
from personsearch.evaluation.attributes.limits import limits
from personsearch.evaluation.attributes.swapped import SwapFigures
from personsearch.evaluation.markup import bar, table

WIDTH, LABELS, END, ROW, TOP = 640, 150, 590, 36, 52
WHY = (
    "A few hundred people can be told apart by the colours of their clothes, so R@1 may be high for a model that sees "
    "nothing else. Here it is asked about one thing at a time. The AUC is the chance that an image with the thing "
    "scores higher than one without it: 0.5 is a coin toss, 1 is perfect. Below 0.7 we say that it does not see it."
)
PROBE = (
    "The second bar is a linear probe: a straight cut through the image vectors, fitted with the labels of other "
    "people. If it is high where the first is low, the image vectors hold the thing and the words miss it; if both are "
    "low, the image encoder drops it."
)
FROM_CAPTIONS = (
    "What {images} images show is known from their captions only: a thing that none of them mentions counts as absent. "
    "Describers leave things out, so these figures are a lower bound."
)
UNKNOWN = "Neither attributes nor captions tell what the images show, or `evaluate.attributes` is null."


def seen_section(figures: AttributeFigures | None) -> str:
    """The section as HTML."""
    if figures is None:
        return f"<p>Not measured. {escape(UNKNOWN)}</p>"
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in limits(figures.metrics()))
    parts = [f"<p>{WHY}</p>"]
    if figures.from_captions:
        parts.append(f"<p>{FROM_CAPTIONS.format(images=f'{figures.from_captions:,}')}</p>")
    if figures.groups:
        parts += [f"<ul>{said}</ul>", _bars(figures.groups)]
        parts += [f"<p>{PROBE}</p>"] if any(group.probe_auc is not None for group in figures.groups) else []
    parts += [_queries(figures), _swaps(figures.swaps), _facts(figures.facts)]
    return "".join(parts)


def _bars(groups: Sequence[AttributeScore]) -> str:
    """The AUC of each attribute, asked in words and by the probe, as inline SVG."""
    height = TOP + ROW * len(groups) + 8
    grid = "".join(
        f'<polyline class="grid" points="{_x(level):.1f},{TOP - 8} {_x(level):.1f},{height - 8}"/>'
        f'<text x="{_x(level):.1f}" y="{TOP - 14}" text-anchor="middle">{level}</text>'
        for level in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    series = ("asked in words", "linear probe")
    legend = "".join(
        f'<text class="series{index}" x="{LABELS + 120 * index}" y="14">{name}</text>'
        for index, name in enumerate(series)
    )
    rows = "".join(_bar_row(group, TOP + ROW * row) for row, group in enumerate(groups))
    label = "How well the model tells each attribute apart, as area under the curve from 0.5 to 1"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{legend}{grid}{rows}</svg>'


def _bar_row(group: AttributeScore, top: int) -> str:
    bars = ""
    for index, auc in enumerate((group.auc, group.probe_auc)):
        if auc is not None:
            y, length = top + 14 * index, max(_x(auc) - LABELS, 0)
            bars += f'<rect class="series{index}" x="{LABELS}" y="{y}" width="{length:.1f}" height="11"/>'
            bars += f'<text x="{LABELS + length + 5:.1f}" y="{y + 10}">{auc:.2f}</text>'
    return f'<text x="0" y="{top + 16}">{escape(group.label)}</text>{bars}'


def _x(auc: float) -> float:
    return LABELS + (auc - 0.5) / 0.5 * (END - LABELS)


def _queries(figures: AttributeFigures) -> str:
    head = [
        "Short query",
        "Images that fit",
        "Base rate, %",
        "Right among the first 10, %",
        "AP, %",
        "",
        "AP ÷ base rate",
    ]
    rows = [_query_row(query) for query in figures.queries]
    if figures.queries:
        metrics = figures.metrics()
        base, ten, ap = (metrics[f"attribute_{name}"] for name in ("base_rate", "short_query_p10", "short_query_map"))
        rows.append(["<b>Mean</b>", "", f"{base:.1f}", f"{ten:.0f}", f"<b>{ap:.1f}</b>", bar(ap), f"{ap / base:.1f}"])
    left_out = "".join(f"<li>{escape(query.text)}: {escape(query.reason)}</li>" for query in figures.left_out)
    missing = f"<details><summary>Not asked</summary><ul>{left_out}</ul></details>" if left_out else ""
    note = "<p>The base rate is what a random order would reach. Images of which it is unknown are left out.</p>"
    return (table(head, rows) + note if figures.queries else "") + missing


def _query_row(query: QueryFigures) -> list[str]:
    fitting = f"{query.fitting:,} of {query.known:,}"
    figures = [f"{query.base_rate:.1f}", f"{query.precision_at_10:.0f}", f"{query.average_precision:.1f}"]
    return [escape(query.text), fitting, *figures, bar(query.average_precision), f"{query.lift:.1f}"]


def _swaps(swaps: Sequence[SwapFigures]) -> str:
    if not swaps:
        return ""
    rows = [[escape(s.kind), f"{s.sentences:,}", f"{s.preferred:.0f}", bar(s.preferred)] for s in swaps]
    note = "Captions that fit their own image better than the same with one thing made wrong; 50 % is a coin toss."
    return f"<p>{note}</p>{table(['Made wrong', 'Captions', 'Right one preferred, %', ''], rows)}"


def _facts(facts: Sequence[AttributeScore]) -> str:
    if not facts:
        return ""
    rows = [
        [escape(fact.label), escape(fact.text), f"{fact.fitting:,} of {fact.known:,}", f"{fact.auc:.2f}"]
        for fact in sorted(facts, key=lambda fact: fact.auc)
    ]
    body = table(["Fact", "Asked as", "Images that fit", "AUC"], rows)
    return f"<details><summary>All {len(facts)} facts, the least seen first</summary>{body}</details>"
