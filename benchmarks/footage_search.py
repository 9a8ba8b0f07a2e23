"""Do descriptions written by a person find people in real footage?

Measures as `personsearch evaluate --footage` does, prints the table, and with `--write` puts it into the guide, with
the five best candidates of each description as a picture.

    python benchmarks/footage_search.py [BUNDLE] [--described FILE] [--clips ../shared/data] [--write]
"""

import argparse
import os
import re
from pathlib import Path

from personsearch.bundle import CALIBRATION, Bundle
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.footage import (
    FootageFiles,
    FootageFindings,
    footage_searcher,
    search_footage,
    take_in,
)
from personsearch.evaluation.footage_report import ranks_table
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.grid import save_grid

ROOT = Path(__file__).parents[1]
DESCRIBED = Path(__file__).parent / "vtest_descriptions.json"
CLIPS = Path(os.environ.get("FOOTAGE_DIR", ROOT.parent / "shared" / "data"))
CROPS = Path("var/footage")
GUIDE = ROOT / "docs" / "footage-search.md"
PICTURES = ROOT / "docs" / "pictures" / "footage"
TABLE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end of table -->)", re.DOTALL)
SHOWN = 5


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--described", type=Path, default=DESCRIBED)
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    config = IngestConfig.from_yaml(ROOT / "params.yaml", "ingest")
    footage = take_in(config, FootageFiles(arguments.described, arguments.clips, CROPS, gallery_in))
    encoder = load_encoder(Bundle.open(arguments.bundle))
    searcher = footage_searcher(footage, encoder, arguments.bundle / CALIBRATION)
    findings = search_footage(footage, searcher)
    print(ranks_table(findings))
    if arguments.write:
        write_guide(findings)
        for number, shown in enumerate(findings.present, start=1):
            page = searcher.answer(shown.asked.text, k=SHOWN)
            save_grid(PICTURES / f"{number:02d}.jpg", shown.asked.text, page, footage.picture)


def write_guide(findings: FootageFindings) -> None:
    """Put the table of the people in the footage into the guide."""
    table = f"\n{ranks_table(findings)}\n"
    GUIDE.write_text(TABLE.sub(lambda _: table, GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
