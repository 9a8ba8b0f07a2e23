"""`personsearch` commands of the group "data"."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from personsearch.cli import output
from personsearch.cli.options import Params, configured, picture_file
from personsearch.data.readers import FormatName

data = typer.Typer(
    name="data",
    help="Data sets: synthesise, prepare, version, fetch, describe, translate, augment; footage to try.",
    no_args_is_help=True,
)


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
    params: Params = None,
    format_name: Annotated[
        FormatName | None, typer.Option("--format", help="Layout of SOURCE; auto looks for its files.")
    ] = None,
    strict: Annotated[bool | None, typer.Option(help="Stop with exit code 2 at the first refusal.")] = None,
    max_caption_words: Annotated[int | None, typer.Option(min=1, help="Longer captions are refused.")] = None,
    val_fraction: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Share of train identities to hold out as val.")
    ] = None,
    keep_duplicates: Annotated[
        bool | None, typer.Option(help="Keep images with equal bytes, as published protocols do.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it; default: as in dataset.json, or its format.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence, for the data card; default: as in dataset.json.")
    ] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Check every image and caption of a data set and bring it into the one form that all stages read.

    Reads CUHK-PEDES, ICFG-PEDES, RSTPReid, UFine6926, TBPS-CLIP's pre-split files, and a folder of images with a CSV
    file (columns image, person_id, caption; optional split, camera_id, caption_bt, attributes). What is refused is
    listed in OUT/rejected.jsonl with the reason; the rest is kept. Run it again after an interruption: it continues.
    """
    from personsearch.data.prepare import PrepareConfig
    from personsearch.data.prepare import prepare as run

    flags = {
        "format": format_name,
        "strict": strict,
        "max_caption_words": max_caption_words,
        "val_fraction": val_fraction,
        "keep_duplicates": keep_duplicates,
        "name": name,
        "licence": licence,
    }
    config = configured(PrepareConfig, "prepare", params).overridden(flags)
    output.show(run(config, source, out), as_json=as_json)


@data.command()
def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder to write in CUHK-PEDES's format (imgs/, reid_raw.json).")],
    *,
    params: Params = None,
    identities_train: Annotated[int | None, typer.Option(min=0, help="People to train on.")] = None,
    identities_val: Annotated[int | None, typer.Option(min=0, help="People to select the model on.")] = None,
    identities_test: Annotated[
        int | None, typer.Option(min=0, help="People to test on; half are near twins of another.")
    ] = None,
    images_per_identity: Annotated[
        int | None, typer.Option(min=1, max=12, help="Pictures of each, by other cameras.")
    ] = None,
    cameras: Annotated[int | None, typer.Option(min=1, max=200, help="Cameras, each with its own look.")] = None,
    domain: Annotated[
        Literal["day", "night"] | None, typer.Option(help="Night: dim, orange and grainy, to study transfer.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same data set, whatever the number of workers.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that draw.")] = None,
    contact_sheet: Annotated[Path | None, typer.Option(help="Also save a sheet of samples to this .png file.")] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Invent pedestrians: draw them as surveillance cameras would see them, and describe them.

    Settings without an option come from section `synthesize` of --params (docs/settings.md). Run it again after an
    interruption: it continues.
    """
    from personsearch.data.synthetic.synthesize import SynthesizeConfig, save_contact_sheet
    from personsearch.data.synthetic.synthesize import synthesize as run

    flags = {
        "identities_train": identities_train,
        "identities_val": identities_val,
        "identities_test": identities_test,
        "images_per_identity": images_per_identity,
        "cameras": cameras,
        "domain": domain,
        "seed": seed,
        "workers": workers,
    }
    config = configured(SynthesizeConfig, "synthesize", params).overridden(flags)
    if contact_sheet is not None:
        picture_file("--contact-sheet", contact_sheet, (".png",))
    output.show(run(config, out), as_json=as_json)
    if contact_sheet is not None:
        save_contact_sheet(out, contact_sheet)


@data.command()
def footage(
    out: Annotated[Path, typer.Argument(help="Video to write, NAME.avi; the ground truth goes to NAME.json.")],
    *,
    people: Annotated[int, typer.Option(min=1, max=500, help="People who walk through.")] = 12,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of the video.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Same seed, same video.")] = 0,
    as_json: output.JsonFlag = False,
) -> None:
    """Render synthetic people walking through a scene that a fixed camera watches, with boxes and descriptions."""
    from personsearch.data.synthetic.footage import FootageConfig
    from personsearch.data.synthetic.footage import footage as run

    output.show(run(FootageConfig(people=people, seconds=seconds, seed=seed), out), as_json=as_json)


@data.command()
def augment(
    dataset: Annotated[Path, typer.Argument(help="A prepared data set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; images are hard links where possible.")],
    *,
    params: Params = None,
    translations: Annotated[
        Path | None, typer.Option(help="JSON lines {caption, translation}, or a file of TBPS-CLIP with captions_bt.")
    ] = None,
    proximity: Annotated[
        bool | None, typer.Option(help="Also make images of each train identity in other colours, as new people.")
    ] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Give every caption a second wording, from stored translations, and make proximity images (docs/pdg.md).

    Run it again after an interruption: finished images are not made again.
    """
    from personsearch.augmentation.augment import AugmentConfig, switch_proximity
    from personsearch.augmentation.augment import augment as run

    config = configured(AugmentConfig, "augment", params).overridden({"translations": translations})
    config = switch_proximity(config, on=proximity)
    output.show(run(config, dataset, out), as_json=as_json)


@data.command()
def translate(
    dataset: Annotated[Path, typer.Argument(help="A prepared data set.")],
    out: Annotated[Path, typer.Argument(help="JSON lines {caption, translation} to write, for `data augment`.")],
    *,
    there: Annotated[Path, typer.Option(help="Folder of a translation model out of the captions' language.")],
    back: Annotated[Path, typer.Option(help="Folder of a translation model into it again.")],
    num_beams: Annotated[int, typer.Option(min=1, max=64, help="Width of the beam search.")] = 4,
    batch_size: Annotated[int, typer.Option(min=1, help="Captions translated together.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0.")] = "auto",
    as_json: output.JsonFlag = False,
) -> None:
    """Translate the training captions there and back with your own models; run it again after an interruption."""
    from personsearch.augmentation.back_translation import BackTranslateConfig
    from personsearch.augmentation.back_translation import back_translate as run

    config = BackTranslateConfig(there=there, back=back, num_beams=num_beams, batch_size=batch_size, device=device)
    output.show(run(config, dataset, out), as_json=as_json)


@data.command()
def describe(
    dataset: Annotated[Path, typer.Argument(help="A prepared data set.")], *, as_json: output.JsonFlag = False
) -> None:
    """Count what a prepared data set holds, split by split."""
    from personsearch.data.statistics import describe_dataset

    output.show(describe_dataset(dataset), as_json=as_json)


@data.command()
def version(
    dataset: Annotated[Path, typer.Argument(help="Folder to keep a version of.")],
    *,
    repository: Annotated[
        Path | None, typer.Option(help="Git and DVC repository for data; made when absent. Default: below the home.")
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where a new repository's data goes, such as s3://BUCKET/PREFIX. [default: a folder beside it]",
            show_default=False,
        ),
    ] = None,
    message: Annotated[str, typer.Option(help="What changed.")] = "Add a version",
    as_json: output.JsonFlag = False,
) -> None:
    """Keep a version of a data set in a small DVC repository of its own, and print how to fetch it again."""
    from dataclasses import asdict

    from personsearch.installation.settings import Settings
    from personsearch.integrations.dvc.repository import commit_dataset, create_data_repository

    folder = repository or Settings().home / "data-repository"
    create_data_repository(folder, remote=remote)
    output.show(asdict(commit_dataset(folder, dataset, message)), as_json=as_json)


@data.command()
def fetch(
    repository: Annotated[str, typer.Argument(help="Folder or Git URL of a repository with DVC data.")],
    path: Annotated[str, typer.Argument(help="Path of the data set in the repository.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    revision: Annotated[str, typer.Option("--rev", help="Commit, tag or branch.")] = "HEAD",
    remote: Annotated[str | None, typer.Option(help="DVC remote to read from; default: the repository's.")] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Fetch one version of a data set from DVC, every file checked; run it again after an interruption."""
    from personsearch.integrations.dvc.data import fetch as run

    dataset_hash = run(repository, revision, path, out, remote=remote)
    output.show({"dataset_hash": dataset_hash, "folder": str(out)}, as_json=as_json)
