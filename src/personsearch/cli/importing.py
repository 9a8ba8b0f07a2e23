"""`personsearch import`: models that were trained with published methods' own code."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from personsearch.cli import output
from personsearch.errors import UserError, check_exists

# As personsearch.models.authors has it, which needs torch.
Method = Literal["tbps-clip", "irra", "cskt", "ctlg", "rde"]


def register(app: typer.Typer) -> None:
    """Add this group's command to the root command."""
    app.command("import")(import_)


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(help="File that the authors' code wrote: checkpoint_best.pth, best.pth, best.pth.tar.")
    ],
    *,
    method: Annotated[Method, typer.Option("--from", help="Whose code trained it.")],
    out: Annotated[Path, typer.Option(help="Folder to write the bundle to; an older bundle in it is replaced.")],
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Pixels that it was trained with. [default: 224x224 for tbps-clip, 384x128 for the others]",
            show_default=False,
        ),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="A tokenizer.json, its folder or hf-hub:owner/name, where it is not the published one. "
            "[default: CLIP's; for ctlg hf-hub:google-bert/bert-base-uncased]",
            show_default=False,
        ),
    ] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Turn a checkpoint of TBPS-CLIP's, IRRA's, CSKT's, CTLG's or RDE's own code into a bundle.

    The bundle works like one of `personsearch train`: evaluate it, compress it, register it, or name it in a recipe's
    model.weights to train on. Sizes are read off the tensors; images and texts are prepared as the authors do. Heads
    that only training needs are left out and named. No code in the file is run: a configuration in it is skipped.
    """
    from personsearch.training.imported import import_checkpoint

    check_exists(checkpoint, "a checkpoint such as best.pth")
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: not a file; expected a checkpoint such as best.pth")
    size = None if image_size is None else _size(image_size)
    made = import_checkpoint(checkpoint, method, out, image_size=size, vocabulary=vocabulary)
    spec = made.bundle.spec
    output.show(
        {
            "bundle": str(made.bundle),
            "fingerprint": made.bundle.fingerprint,
            "parameters": made.parameters,
            "image_size": f"{spec.preprocessing.height}×{spec.preprocessing.width}",
            "context_length": spec.context_length,
            "left_out": [f"{head}: {count} tensors" for head, count in made.left_out.items()],
        },
        as_json=as_json,
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise UserError(f"--image-size {text!r}: height and width expected, such as 384x128")
    return int(match[1]), int(match[2])
