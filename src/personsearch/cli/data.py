"""`personsearch` commands of the group "data"."""

from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output
from personsearch.data.readers import FormatName

data = typer.Typer(name="data", help="Data sets: synthesise, prepare, augment, fetch, describe.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""

    @app.callback()
    def root() -> None:
        """Find a person in surveillance imagery by describing them."""

    app.add_typer(data)


@data.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of the raw data set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; empty, or an earlier output of this command.")],
    *,
    format_name: Annotated[
        FormatName, typer.Option("--format", help="Layout of SOURCE; auto looks for its files.")
    ] = "auto",
    strict: Annotated[bool, typer.Option(help="Stop with exit code 2 at the first refusal.")] = False,
    max_caption_words: Annotated[int, typer.Option(min=1, help="Longer captions are refused.")] = 200,
    val_fraction: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of train identities to hold out as val.")
    ] = 0,
    keep_duplicates: Annotated[
        bool, typer.Option(help="Let images with equal bytes in, as published protocols do.")
    ] = False,
    name: Annotated[str, typer.Option(help="What to call the data set; default: its format.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the data, for the data card.")] = "not stated",
    as_json: output.JsonFlag = False,
) -> None:
    """Check every image and caption of a data set and bring it into the one form that all stages read.

    Reads CUHK-PEDES, ICFG-PEDES, RSTPReid, UFine6926, TBPS-CLIP's pre-split files, and a folder of images with a CSV
    file (columns image, person_id, caption; optional split, camera_id, caption_bt, attributes). What is refused stands
    in OUT/rejected.jsonl with the reason; the rest goes on. Run it again after an interruption: it continues.
    """
    from personsearch.data.prepare import PrepareConfig
    from personsearch.data.prepare import prepare as run

    config = PrepareConfig(
        format=format_name,
        strict=strict,
        max_caption_words=max_caption_words,
        val_fraction=val_fraction,
        keep_duplicates=keep_duplicates,
        name=name,
        licence=licence,
    )
    output.show(run(config, source, out), as_json=as_json)
