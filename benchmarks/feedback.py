"""Do a hundred verdicts on cameras unlike those of training raise R@1 there?

A model that was trained by day searches at night. Somebody asks for one person after the other, confirms the right ones
among the first five candidates and rejects the wrong ones above them, until a hundred verdicts are recorded. They are
exported as `personsearch feedback export` does, beside people by day, and `recipes/tiny/feedback.yaml` trains on that.
R@1 is that of captions, among 360 images of 120 other people at night, and of as many by day. The last row is the most
that could be learnt there: the truth of all images that were searched.

    python benchmarks/feedback.py [BUNDLE] [--verdicts 100] [--seeds 1]
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.embeddings import embed_records
from personsearch.gallery.add_dataset import add_dataset, crop_id_of
from personsearch.images import open_image, resize
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.audited_search import search_record
from personsearch.installation.feedback.export import ExportConfig, export_feedback, plan_export
from personsearch.installation.platforms import open_gallery
from personsearch.installation.settings import Settings
from personsearch.search.exact import ExactIndex
from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import Searcher
from personsearch.training.recipe import read_recipe
from personsearch.training.train import train

RECIPE = Path("recipes/tiny/feedback.yaml")
CACHE = Path("var/benchmark-feedback")
COUNTS = {"identities_val": 20, "identities_test": 120, "images_per_identity": 3, "workers": 1}
DAY = SynthesizeConfig(identities_train=60, seed=83, **COUNTS)
NIGHT = SynthesizeConfig(identities_train=150, domain="night", seed=84, **COUNTS)
SHOWN = 5
WITHOUT_REJECTED = ["objective.losses={n_itc: 1.0, r_itc: 1.0}"]
ARMS = {
    "trained on people by day alone": ("day/prepared", WITHOUT_REJECTED),
    "and on confirmed crops": ("verdicts", WITHOUT_REJECTED),
    "and on rejected ones": ("verdicts", []),
    "on all 450 images at night and their captions": ("night/prepared", WITHOUT_REJECTED),
}


@dataclass(frozen=True)
class Site:
    """A gallery at night that a model searches, with the person of each crop."""

    settings: Settings
    dataset: Dataset
    searcher: Searcher
    properties: CollectionProperties

    @classmethod
    def open(cls, home: Path, night: Path, encoder: Encoder) -> "Site":
        shutil.rmtree(home, ignore_errors=True)
        settings, dataset, size = Settings(home=home), Dataset.open(night), encoder.preprocessing
        gallery = open_gallery(settings)
        add_dataset(night, gallery, split="train", start=datetime(2026, 1, 1, tzinfo=UTC))
        crops = list(gallery.crops())
        pixels = (resize(open_image(gallery.picture(crop)), size.height, size.width) for crop in crops)
        index = ExactIndex(encoder.embedding_dim)
        index.upsert(crops, encoder.encode_images(np.stack(list(pixels))))
        properties = CollectionProperties("benchmark", "1", "benchmark", dataset.hash, encoder.embedding_dim)
        return cls(settings, dataset, Searcher(encoder, index), properties)

    def judge(self, verdicts: int) -> None:
        """Search for one person after the other until so many verdicts are recorded."""
        log, records = open_audit(self.settings), self.dataset.records("train")
        person_of = {crop_id_of(record): record.person_id for record in records}
        asked = {record.person_id: record.captions[0] for record in reversed(records)}
        for person, text in list(asked.items()):
            answer = self.searcher.answer(text, k=SHOWN)
            request = uuid4().hex
            origin = {"collection": "benchmark", "properties": self.properties}
            log.append(
                "search",
                search_record(text, answer, who="benchmark", purpose="", request_id=request, filters={}, **origin),
            )
            right = [person_of[candidate.crop.crop_id] == person for candidate in answer.candidates]
            looked_at = len(right) - right[::-1].index(True) if any(right) else 0
            for candidate, is_right in list(zip(answer.candidates, right, strict=True))[: min(looked_at, verdicts)]:
                said = {"crop_id": candidate.crop.crop_id, "verdict": "confirmed" if is_right else "rejected"}
                log.append("verdict", {"request_id": uuid4().hex, "search_request_id": request, **said})
                verdicts -= 1
            if verdicts <= 0:
                return


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--verdicts", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    day, night = prepare_people(DAY, CACHE / "day"), prepare_people(NIGHT, CACHE / "night")
    encoder = load_encoder(Bundle.open(given.bundle))
    site = Site.open(CACHE / "home", night, encoder)
    site.judge(given.verdicts)
    config, gallery = ExportConfig(base=day), open_gallery(site.settings)
    counts = export_feedback(
        config, plan_export(config, open_audit(site.settings), gallery), gallery, CACHE / "verdicts"
    )
    print({name: int(value) for name, value in counts.items() if value}, "\n")
    print("| model | R@1 at night | by day |\n|---|---|---|")
    print(f"| as it was | {_r1(encoder, night):.1f} | {_r1(encoder, day):.1f} |")
    for name, (data, settings) in ARMS.items():
        figures = [
            (_r1(trained, night), _r1(trained, day)) for trained in _trained(given, CACHE / data, name, settings)
        ]
        at_night, by_day = (f"{np.mean(each):.1f} ± {np.std(each):.1f}" for each in zip(*figures, strict=True))
        print(f"| {name} | {at_night} | {by_day} |", flush=True)


def _trained(given: argparse.Namespace, dataset: Path, name: str, settings: list[str]) -> Iterator[Encoder]:
    for seed in range(given.seeds):
        out = CACHE / "runs" / f"{name} {seed}"
        shutil.rmtree(out, ignore_errors=True)
        train(
            read_recipe(RECIPE, [f"model.weights={given.bundle}", f"seed={seed}", *settings, *given.set]), dataset, out
        )
        yield load_encoder(Bundle.open(out / "bundle"))


def _r1(encoder: Encoder, prepared: Path) -> float:
    """Percentage of test captions whose best image shows the person."""
    records = Dataset.open(prepared).records("test")
    folder = CACHE / "embeddings"
    shutil.rmtree(folder, ignore_errors=True)
    found = embed_records(encoder, prepared, records, folder)
    best_Q = (found.text_QD @ found.image_GD.T).argmax(axis=1)
    return 100 * float((found.image_ids[best_Q] == found.caption_ids).mean())


if __name__ == "__main__":
    main()
