"""Claim: PDG without weights recolours the right garment: median overlap with the truth above 0.75, upper and lower.

Run: `python benchmarks/proximity.py [--pictures 200]`; draws synthetic pedestrians, whose garments' pixels are known,
and prints one row per part: phrases tried, regions found, and how well they overlap the garment.
"""

import argparse
import time
from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from personsearch.augmentation.pdg.generator import GenerationRefused
from personsearch.augmentation.pdg.phrases import ColourPhrase, colour_phrases
from personsearch.augmentation.pdg.recolour import Recolour
from personsearch.augmentation.pdg.region import find_region, where_worn
from personsearch.data.synthetic.attributes import draw_person
from personsearch.data.synthetic.camera import develop, draw_camera, encode, for_one_shot
from personsearch.data.synthetic.captions import Sight, write_captions
from personsearch.data.synthetic.figure import PART_INDEX, View, draw_figure
from personsearch.data.synthetic.snapshot import compose, draw_light, draw_pose, facing, jittered_box, visible_parts

DRAWN_PARTS = {"upper": ("upper", "pattern", "hood"), "lower": ("lower",), "whole": ("upper", "lower", "pattern")}
CAMERAS = 40

Bytes = NDArray[np.uint8]


def main() -> None:
    """Compare the regions found for all colour phrases with the drawn garments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    overlaps: dict[str, list[float]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    seconds = 0.0
    for index in range(options.pictures):
        image, parts, phrases = draw(index)
        for phrase in phrases:
            start = time.process_time()
            try:
                region = find_region(image, where_worn(phrase.part, phrase.garment), phrase.cloth, shared=phrase.shared)
                truth = np.isin(parts, [PART_INDEX[name] for name in DRAWN_PARTS[phrase.part]])
                overlaps[phrase.part].append(float((truth & (region == 1)).sum() / (truth | (region == 1)).sum()))
            except GenerationRefused:
                refused[phrase.part] += 1
            seconds += time.process_time() - start
    table = Table("part", "phrases", "found", "median overlap", "overlap under .5")
    for part, values in overlaps.items():
        bad = f"{100 * np.mean(np.array(values) < 0.5):.0f} %"
        table.add_row(part, str(len(values) + refused[part]), str(len(values)), f"{np.median(values):.2f}", bad)
    Console(width=100).print(table)
    tried = sum(map(len, overlaps.values())) + sum(refused.values())
    print(f"{1000 * seconds / tried:.0f} ms of one core per phrase")


def draw(index: int) -> tuple[Bytes, Bytes, list[ColourPhrase]]:
    """A picture, the part of the body at each pixel, and the colour phrases about clothes in its captions."""
    rng = np.random.default_rng([7, index])
    person, camera = draw_person(rng), draw_camera("camera", np.random.default_rng([7, index % CAMERAS, 2]))
    pose, light = draw_pose(person, rng), draw_light(camera, rng)
    yaw, phase = float(rng.uniform(-np.pi, np.pi)), float(rng.random())
    figure = draw_figure(person, pose, View(yaw, camera.pitch), light, pixels_per_metre=80, phase=phase)
    canvas, parts = compose(figure, jittered_box(figure, rng), camera, light, rng)
    height = int(rng.uniform(*camera.person_height))
    size = (max(12, round(height * canvas.shape[1] / canvas.shape[0])), max(28, height))
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    jpeg = encode(develop(small, for_one_shot(camera, rng), rng), camera, rng)
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    sight = Sight(visible_parts(parts, figure.parts, height), facing(yaw), pose.walking)
    phrases = {
        (phrase.part, phrase.cloth): phrase
        for caption in write_captions(person, sight, rng).captions
        for phrase in colour_phrases(caption)
        if phrase.part in Recolour().parts
    }
    return image, cv2.resize(parts, image.shape[1::-1], interpolation=cv2.INTER_NEAREST), list(phrases.values())


if __name__ == "__main__":
    main()
