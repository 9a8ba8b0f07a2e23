"""Shows what every image operation does to a synthetic pedestrian, what it costs, and how text edits change a caption.

Run: `python benchmarks/augmentation_sheet.py [SHEET.png]`; draws the sheet, prints CPU milliseconds per image and the
captions.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from torch import Tensor

from personsearch.augmentation.images import PRESETS, ImageAugmentationConfig, augment_images
from personsearch.augmentation.operations import OPERATIONS
from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator, uniform_rows
from personsearch.augmentation.text import EDITS, TextAugmentationConfig, augment_caption
from personsearch.data.records import ImageRecord
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize

ROOT = Path(__file__).parent.parent
HEIGHT, WIDTH, GAP, LABEL = 128, 64, 2, 16
SAMPLES, BLOCKS = 8, 2
BATCH = 96
PERSON, PAIR = 7, 6  # a picture and random numbers for which every operation shows
PARAMETERS: dict[str, dict[str, Any]] = {
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "rotation": {"degrees": 15},
    "resized_crop": {"scale": (0.3, 1.0)},
    "pad_crop": {"padding": 10},
    "grayscale": {"probability": 0.5},
    "horizontal_flip": {"probability": 0.5},
    "vertical_flip": {"probability": 0.5},
    "erasing": {"probability": 1.0, "area": (0.1, 0.2)},
    "gaussian_blur": {"kernel": 7},
}
PER_CAPTION = ("approximate_text",)


def main() -> None:
    """Draw the sheet, time each row, print the captions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path, nargs="?", default=ROOT / "docs" / "pictures" / "augmentations.png")
    sheet = parser.parse_args().sheet
    torch.set_num_threads(1)
    picture, caption = pedestrian()
    table = Table("operation", "CPU ms per image", title=f"{HEIGHT}×{WIDTH} pixels, batches of {BATCH}, one core")
    rows = {}
    for name, config in configs().items():
        rows[name] = torch.cat([picture, augmented(config, picture.expand(SAMPLES - 1, -1, -1, -1))])
        table.add_row(name, f"{cost(config, picture):.3f}")
    draw(rows, sheet)
    Console().print(table)
    Console().print(captions(caption))


def pedestrian() -> tuple[Tensor, str]:
    """One picture [1, 3, H, W] in [0, 1] and its caption."""
    with tempfile.TemporaryDirectory() as folder:
        config = SynthesizeConfig(
            identities_train=PERSON + 1, identities_val=1, identities_test=1, images_per_identity=1, seed=7, workers=1
        )
        synthesize(config, Path(folder))
        entry = json.loads((Path(folder) / "reid_raw.json").read_text(encoding="utf-8"))[PERSON]
        image = Image.open(Path(folder) / "imgs" / entry["file_path"]).convert("RGB").resize((WIDTH, HEIGHT))
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255, entry["captions"][0]


def configs() -> dict[str, ImageAugmentationConfig]:
    """Each operation alone, then the presets."""
    alone = {
        name: ImageAugmentationConfig(policy="stack", operations=({"name": name, **PARAMETERS.get(name, {})},))
        for name in OPERATIONS
    }
    return alone | {f"preset {name}": ImageAugmentationConfig.model_validate(name) for name in PRESETS}


def augmented(config: ImageAugmentationConfig, pixels_N3HW: Tensor) -> Tensor:
    """The pictures, augmented with the random numbers of the first pairs."""
    return augment_images(
        config, pixels_N3HW, torch.from_numpy(uniform_rows(0, 0, range(len(pixels_N3HW)), config.draws))
    )


def cost(config: ImageAugmentationConfig, picture: Tensor) -> float:
    """CPU milliseconds per image, including random numbers; the best of five batches."""
    batch, seconds = picture.repeat(BATCH, 1, 1, 1), []
    for _ in range(5):
        start = time.process_time()
        augmented(config, batch)
        seconds.append(time.process_time() - start)
    return 1000 * min(seconds) / BATCH


def draw(rows: dict[str, Tensor], path: Path) -> None:
    """Save one labelled strip per row, in blocks side by side."""
    font = ImageFont.load_default(12)
    block, strip, deep = SAMPLES * (WIDTH + GAP) + 8, HEIGHT + LABEL, -(-len(rows) // BLOCKS)
    sheet = Image.new("RGB", (BLOCKS * block, deep * strip), "white")
    for place, (name, pixels_N3HW) in enumerate(rows.items()):
        left, top = place // deep * block, place % deep * strip
        ImageDraw.Draw(sheet).text((left + 2, top + 1), name, fill="black", font=font)
        for number, image in enumerate((pixels_N3HW * 255).round().byte().permute(0, 2, 3, 1).numpy()):
            sheet.paste(Image.fromarray(image), (left + number * (WIDTH + GAP), top + LABEL))
    sheet.quantize(256).save(path, optimize=True)


def captions(caption: str) -> Table:
    """The caption after each edit alone, at 0.3 per word; an edit with a probability per caption is always applied."""
    record = ImageRecord("1", "", 1, "train", [caption], "synthetic")
    table = Table("edit", "caption", show_lines=True)
    table.add_row("", caption)
    for name in EDITS:
        config = TextAugmentationConfig.model_validate(
            {"random_deletion": 0.0, name: 1.0 if name in PER_CAPTION else 0.3}
        )
        table.add_row(name, augment_caption(config, record, 0, sample_generator(0, 0, PAIR, TEXT_STREAM)))
    return table


if __name__ == "__main__":
    main()
