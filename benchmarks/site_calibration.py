"""Claim: verdicts on a site's own footage make right answers reliable that the model's calibration holds back.

Pretends that somebody judged the first three candidates of each description, of people in the footage and of people
who are not, and fits a site's calibration to that. "After" is on searches that the fit had not seen.

    python benchmarks/site_calibration.py BUNDLE [--described FILE] [--clips ../shared/data]
"""

import argparse
from pathlib import Path

import numpy as np
from footage_search import CLIPS, CROPS, DESCRIBED, ROOT

from personsearch.bundle import CALIBRATION, Bundle
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.footage import Footage, FootageFiles, footage_searcher, take_in
from personsearch.evaluation.site_calibration import Fit, Judged, confidences, held_out_confidences, measure_fit
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import features, read_calibration
from personsearch.search.searcher import Searcher, track_of

JUDGED_CANDIDATES = 3


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--described", type=Path, default=DESCRIBED)
    parser.add_argument("--clips", type=Path, default=CLIPS)
    arguments = parser.parse_args()
    own = read_calibration(arguments.bundle / CALIBRATION)
    if own is None:
        print(f"{arguments.bundle} was never calibrated: name a bundle that `personsearch compress` has chosen")
        return
    config = IngestConfig.from_yaml(ROOT / "params.yaml", "ingest")
    footage = take_in(config, FootageFiles(arguments.described, arguments.clips, CROPS, gallery_in))
    encoder = load_encoder(Bundle.open(arguments.bundle))
    judged = judge(footage, footage_searcher(footage, encoder, arguments.bundle / CALIBRATION))
    print(f"{judged.searches} searches, {judged.confirmed} candidates confirmed, {judged.rejected} rejected\n")
    print("| | log loss | Brier | right first answers called reliable | wrong ones |\n|---|---|---|---|---|")
    for name, confidence_N in (
        ("before", confidences(own.curve, judged)),
        ("after", held_out_confidences(own.curve, judged)),
    ):
        print_row(name, measure_fit(confidence_N, judged, own.threshold), judged)


def judge(footage: Footage, searcher: Searcher) -> Judged:
    """The first candidates of every search; one is confirmed if its track shows the person."""
    asked = [(text, footage.tracks_of(person)) for person in footage.described.people for text in person.descriptions]
    asked += [(text, set()) for text in footage.described.absent]
    rows = []
    for number, (text, right) in enumerate(asked):
        answer = searcher.answer(text, k=JUDGED_CANDIDATES)
        for candidate in answer.candidates:
            is_right = track_of(candidate.crop) in right
            inputs = features(candidate.score, candidate.lead, answer.given)
            rows.append((inputs, candidate.rank, number, is_right))
    kinds = (float, int, int, bool)
    return Judged(*(np.array(column, dtype=kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)))


def print_row(name: str, fit: Fit, judged: Judged) -> None:
    first = judged.select(judged.rank_N == 1)
    reliable = f"{fit.right_reliable} of {first.confirmed} | {fit.wrong_reliable} of {first.rejected}"
    print(f"| {name} | {fit.log_loss:.3f} | {fit.brier:.3f} | {reliable} |")


if __name__ == "__main__":
    main()
