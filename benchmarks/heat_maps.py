"""Do heat maps point at what is asked for? On synthetic people, of whom the generator knows where each part is.

Run: `python benchmarks/heat_maps.py [BUNDLE …] [--dataset PREPARED] [--images 200]`. A map points right if its hottest
cell shows the part; "beside" also counts the eight cells around it. "Chance" is the part's share of the picture.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.facts.layout import LAYOUT_GRID, PARTS, layouts
from personsearch.data.records import ImageRecord
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.load import load_encoder
from personsearch.images import open_image, resize
from personsearch.search.heat_map import COLUMNS, ROWS, heat_maps

PEOPLE = SynthesizeConfig(identities_train=1, identities_val=1, identities_test=200, images_per_identity=1)
LEAST_CELLS = 2
BAGS = {
    "backpack": "with a backpack",
    "shoulder bag": "with a shoulder bag",
    "handbag": "carrying a handbag",
    "plastic bag": "carrying a plastic bag",
    "suitcase": "pulling a suitcase",
    "briefcase": "carrying a briefcase",
}


def main() -> None:
    """Measure every bundle and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="*", default=[Path("weights/tiny-clip")], metavar="BUNDLE")
    parser.add_argument("--dataset", type=Path, help="a prepared data set (default: new synthetic people)")
    parser.add_argument("--images", type=int, default=200, help="of the test split (default: 200)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        dataset = Dataset.open(options.dataset or prepare_people(PEOPLE, Path(folder)))
        records = dataset.records("test")[: options.images]
        for bundle in options.bundles:
            Console().print(measure(bundle, dataset, records))


def measure(path: Path, dataset: Dataset, records: list[ImageRecord]) -> Table:
    """How often the maps of one bundle point at each part."""
    encoder = load_encoder(Bundle.open(path), threads=1)
    size = encoder.preprocessing
    hits: dict[str, list[tuple[bool, bool, float]]] = {}
    seconds = []
    for record, parts_RC in zip(records, layouts(records).reshape(-1, *LAYOUT_GRID), strict=True):
        asked = list(visible(sentences(json.loads(record.attributes or "{}")), parts_RC))
        pixels_HW3 = resize(open_image(dataset.picture(record)), size.height, size.width, size.interpolation)
        start = time.perf_counter()
        [whole_D] = encoder.encode_images(pixels_HW3[None])
        maps_PRC = heat_maps(encoder, pixels_HW3, whole_D, [sentence for _, sentence in asked]) if asked else []
        seconds.append(time.perf_counter() - start)
        for (part, _), map_RC in zip(asked, maps_PRC, strict=True):
            hits.setdefault(part, []).append(pointing(map_RC, parts_RC == PARTS.index(part)))
    title = f"{path}: {np.median(seconds):.2f} s for each picture"
    table = Table("part", "pictures", "right, %", "or beside, %", "chance, %", title=title)
    for part, found in sorted(hits.items()):
        table.add_row(part, str(len(found)), *(f"{100 * share:.0f}" for share in np.mean(found, axis=0)))
    return table


def sentences(person: Mapping[str, str]) -> dict[str, str]:
    """What to ask for each part of a person."""
    asked = {"shoes": f"a person in {person['shoes_colour']} {person['shoes']}"}
    if person["bag"] in BAGS:
        asked["bag"] = f"a person {BAGS[person['bag']]}"
    if person["headwear"] in ("cap", "beanie", "hat"):
        asked["headwear"] = f"a person wearing a {person['headwear']}"
    if person["hair_length"] == "long":
        asked["hair"] = "a person with long hair"
    if person["upper"] != "dress":
        asked["upper"] = f"a person in a {person['upper_colour']} {person['upper']}"
        asked["lower"] = f"a person in {person['lower_colour']} {person['lower']}"
    return asked


def visible(asked: Mapping[str, str], parts_RC: NDArray[np.int8]) -> Iterator[tuple[str, str]]:
    """Those whose part fills cells enough to be pointed at."""
    return ((part, each) for part, each in asked.items() if (parts_RC == PARTS.index(part)).sum() >= LEAST_CELLS)


def pointing(map_RC: NDArray[np.float32], part_RC: NDArray[np.bool_]) -> tuple[bool, bool, float]:
    """Whether the hottest cell shows the part, whether that or one beside it does, and the part's share of cells."""
    row, column = np.unravel_index(int(map_RC.argmax()), (ROWS, COLUMNS))
    around_RC = part_RC[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    return bool(part_RC[row, column]), bool(around_RC.any()), float(part_RC.mean())


if __name__ == "__main__":
    main()
