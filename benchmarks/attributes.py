"""What do models see? 25 short queries, single attributes and swapped sentences, side by side.

Run: `python benchmarks/attributes.py [BUNDLE …] [--dataset PREPARED] [--split test]`; prints three tables. Probes are
fitted on val. Without a data set it draws as many new people as the demo has.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.attributes.figures import AttributeFigures
from personsearch.evaluation.attributes.measure import AttributesConfig, measure_attributes
from personsearch.evaluation.embeddings import embed_records

PEOPLE = SynthesizeConfig(identities_train=1, identities_val=200, identities_test=220, images_per_identity=3)


def main() -> None:
    """Measure every bundle and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="*", default=[Path("weights/tiny-clip")], metavar="BUNDLE")
    parser.add_argument("--dataset", type=Path, help="a prepared data set (default: new synthetic people)")
    parser.add_argument("--split", default="test", choices=["train", "val", "test"])
    parser.add_argument("--swapped-captions", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--facts", action="store_true", help="print the AUC of each fact, too")
    options = parser.parse_args()
    config = AttributesConfig(swapped_captions=options.swapped_captions)
    with TemporaryDirectory() as folder:
        dataset = Dataset.open(options.dataset or prepare_people(PEOPLE, Path(folder)))
        measured = {str(bundle): measure(config, bundle, dataset, options.split) for bundle in options.bundles}
    console = Console(width=max(120, 40 + 24 * len(measured)))
    tables = [queries(measured), attributes(measured), swaps(measured)]
    for table in [*tables, facts(measured)] if options.facts else tables:
        console.print(table)


def measure(config: AttributesConfig, path: Path, dataset: Dataset, split: str) -> AttributeFigures:
    """What one bundle sees of a split."""
    bundle = Bundle.open(path)
    encoder = load_encoder(bundle, threads=1)
    with TemporaryDirectory() as folder:
        embeddings = {
            part: embed_records(encoder, dataset.folder, records, Path(folder) / part, label=f"{path.name}, {part}")
            for part in {split, "val"}
            if (records := dataset.records(part))
        }
    fit = embeddings.get("val") if split != "val" else None
    figures = measure_attributes(config, encoder, embeddings[split], fit)
    if figures is None:
        raise SystemExit(f"{dataset}: nothing is known of the {split} images")
    return figures


def queries(measured: dict[str, AttributeFigures]) -> Table:
    """Each short query: base rate, right ones among the first ten, average precision."""
    table = Table("short query", "fit, %", *(f"{name}: first 10, AP" for name in measured))
    first = next(iter(measured.values()))
    for rows in zip(*(figures.queries for figures in measured.values()), strict=True):
        cells = (f"{row.precision_at_10:.0f}, {row.average_precision:.1f}" for row in rows)
        table.add_row(rows[0].text, f"{rows[0].base_rate:.1f}", *cells)
    metrics = [figures.metrics() for figures in measured.values()]
    if first.queries:
        name = "attribute_short_query"
        cells = (f"{each[f'{name}_p10']:.0f}, {each[f'{name}_map']:.1f}" for each in metrics)
        table.add_row("mean", f"{metrics[0]['attribute_base_rate']:.1f}", *cells)
    for query in first.left_out:
        table.add_row(query.text, query.reason)
    return table


def attributes(measured: dict[str, AttributeFigures]) -> Table:
    """The AUC of each attribute, in words and by a linear probe."""
    table = Table("attribute", "images that fit", *(f"{name}: words, probe" for name in measured))
    for rows in zip(*(figures.groups for figures in measured.values()), strict=True):
        cells = (f"{row.auc:.2f}, {'–' if row.probe_auc is None else f'{row.probe_auc:.2f}'}" for row in rows)
        table.add_row(rows[0].label, f"{rows[0].fitting} of {rows[0].known}", *cells)
    return table


def facts(measured: dict[str, AttributeFigures]) -> Table:
    """The AUC of each fact, asked in words."""
    table = Table("fact", "images that fit", *(f"{name}: AUC" for name in measured))
    for rows in zip(*(figures.facts for figures in measured.values()), strict=True):
        table.add_row(rows[0].label, f"{rows[0].fitting} of {rows[0].known}", *(f"{row.auc:.2f}" for row in rows))
    return table


def swaps(measured: dict[str, AttributeFigures]) -> Table:
    """The share of captions preferred to themselves with one thing made wrong."""
    table = Table("made wrong", "captions", *(f"{name}: right one preferred, %" for name in measured))
    for rows in zip(*(figures.swaps for figures in measured.values()), strict=True):
        table.add_row(rows[0].kind, str(rows[0].sentences), *(f"{row.preferred:.0f}" for row in rows))
    return table


if __name__ == "__main__":
    main()
