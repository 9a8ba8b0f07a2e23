"""What a model found in described footage, as a table and as one self-contained HTML page with pictures."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from personsearch.bundle import Bundle
from personsearch.evaluation.footage import CUTOFFS, Asked, FootageFindings, Shown
from personsearch.evaluation.report import thumbnail
from personsearch.files import replacing
from personsearch.search.crop import Crop

TEMPLATE = "footage_template.html"
RANKS_HEAD = ("description", "clip", "rank", "best is called reliable")


def ranks_table(findings: FootageFindings) -> str:
    """The searches as a Markdown table, and what they amount to."""
    rows = [RANKS_HEAD, ("---",) * len(RANKS_HEAD), *rank_rows(findings)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{summary(findings)}\n"


def rank_rows(findings: FootageFindings) -> Iterator[tuple[str, ...]]:
    """A row for each search: description, clip, rank of the person by track, whether the best is called reliable."""
    for shown in (*findings.present, *findings.absent):
        asked = shown.asked
        yield asked.text, asked.clip or "(absent)", _rank(asked), _reliable(asked.reliable)


def summary(findings: FootageFindings) -> str:
    """The figures in a few sentences."""
    metrics = findings.metrics()
    found, searches = (round(metrics[f"footage_searches{end}"]) for end in ("_found_by_ingest", ""))
    of_all, of_found = (
        ", ".join(f"R@{k} {metrics[f'{prefix}{k}']:.1f} %" for k in CUTOFFS if f"{prefix}{k}" in metrics)
        for prefix in ("footage_r", "footage_found_r")
    )
    sentences = [f"{findings.people_found} of {findings.people} people found by ingest."]
    sentences.append(f"{findings.crops} crops of {findings.tracks} tracks.")
    sentences.append(f"{searches} descriptions: {of_all} (R@1 by chance {metrics['footage_chance_r1']:.1f} %).")
    if found and found < searches:
        sentences.append(f"Of the {found} whose person ingest found: {of_found}.")
    if found:
        sentences.append(f"Median rank {metrics['footage_median_rank']:g} of {findings.tracks}.")
    return " ".join([*sentences, *_confidence_sentences(findings, metrics)])


def write_footage_report(
    path: Path, findings: FootageFindings, bundle: Bundle, picture: Callable[[Crop], bytes]
) -> None:
    """Write the page atomically; it shows every description with its best candidates."""
    template = Template(files("personsearch.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(f"{bundle.spec.method}, {bundle.spec.variant}, {bundle.fingerprint}"),
        summary=escape(summary(findings)),
        clips=_clips(findings),
        present="".join(_search(shown, picture) for shown in findings.present),
        absent="".join(_search(shown, picture) for shown in findings.absent) or "<p>None.</p>",
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _confidence_sentences(findings: FootageFindings, metrics: dict[str, float]) -> Iterator[str]:
    """How often the best candidate is called reliable, as counts."""
    if "footage_right_reliable" in metrics:
        first = [shown.asked for shown in findings.present if shown.asked.rank == 1]
        yield f"{sum(one.reliable is True for one in first)} of {len(first)} right first answers are called reliable."
    if "footage_absent_reliable" in metrics:
        called = sum(shown.asked.reliable is True for shown in findings.absent)
        yield f"{called} of {len(findings.absent)} searches for absent people are called reliable."


def _clips(findings: FootageFindings) -> str:
    head = ("Clip", "Searches", "Found by ingest", "R@1, %", "R@5, %", "R@10, %", "Median rank")
    names = ("searches", "searches_found_by_ingest", "r1", "r5", "r10", "median_rank")
    rows = [
        [clip, *(f"{figures[name]:.4g}" if name in figures else "–" for name in names)]
        for clip, figures in findings.by_clip().items()
    ]
    lines = [_cells("th", head), *(_cells("td", row) for row in rows)]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _search(shown: Shown, picture: Callable[[Crop], bytes]) -> str:
    asked = shown.asked
    figures = "".join(
        f'<figure class="{"right" if right else "wrong"}"><img src="{thumbnail(picture(candidate.crop))}" '
        f'alt="{"right" if right else "wrong"}"><figcaption>{candidate.rank}. {candidate.score:.3f}'
        f"{'' if candidate.confidence is None else f'<br>{candidate.confidence:.0%}'}</figcaption></figure>"
        for candidate, right in shown.candidates
    )
    notes = [_note(asked), "" if asked.reliable is not False else "No reliable match."]
    return (
        f'<article><p class="caption">“{escape(asked.text)}”</p><div class="row">{figures}</div>'
        f"<small>{escape(' '.join(filter(None, notes)))}</small></article>"
    )


def _note(asked: Asked) -> str:
    if not asked.clip:
        return ""
    return f"{asked.clip}: rank {asked.rank}." if asked.rank else f"{asked.clip}: ingest did not find the person."


def _rank(asked: Asked) -> str:
    return str(asked.rank) if asked.rank else "not found by ingest" if asked.clip else "–"


def _reliable(reliable: bool | None) -> str:
    return {True: "yes", False: "no", None: "–"}[reliable]
