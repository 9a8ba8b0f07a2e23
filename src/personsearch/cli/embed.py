"""`personsearch embed`: descriptions and pictures as the vectors that the live collection holds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from personsearch.encoders.encoder import Encoder

DECIMALS = 7


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(embed)


def embed(
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Descriptions, each in quotes: “a man in a dark jacket”."),
    ] = None,
    *,
    image: Annotated[list[Path] | None, typer.Option(help="A picture of one person; may be repeated.")] = None,
    purpose: Annotated[str, typer.Option(help="Purpose or case; kept in the audit log.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Turn descriptions and pictures into unit vectors of the live collection's model, for any Milvus client.

    Prints one JSON list for each input, texts first. With --json one object: vectors, collection, model version. It is
    recorded in the audit log before anything is shown, as a search is.
    """
    from personsearch.cli.search import open_live_index, record
    from personsearch.installation.audited_search import embed_record, local_user
    from personsearch.search.searcher import checked_text

    texts, files = [checked_text(each) for each in text or []], [_read(path) for path in image or []]
    if not (texts or files):
        raise UserError("embed: a description, --image or both expected")
    live = open_live_index()
    encoder = live.searcher.encoder
    vectors = {"texts": _rows(encoder.encode_texts(texts)), "images": _rows(_encode(encoder, image or [], files))}
    values = embed_record(
        texts,
        files,
        who=local_user(),
        purpose=purpose.strip(),
        request_id=f"cli-{uuid4().hex}",
        collection=live.collection,
        properties=live.properties,
    )
    record("embed", values)
    if as_json:
        properties = live.properties
        made_by = {"model_version": properties.model_version, "fingerprint": properties.fingerprint}
        show({**vectors, "dimensions": encoder.embedding_dim, "collection": live.collection, **made_by}, as_json=True)
        return
    for vector in [*vectors["texts"], *vectors["images"]]:
        typer.echo(json.dumps(vector))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"--image {path}: no such file")
    return path.read_bytes()


def _encode(encoder: "Encoder", paths: list[Path], files: list[bytes]) -> "NDArray[np.float32]":
    import numpy as np

    from personsearch.images import SENT_FORMATS, ImageRejected, open_image, resize

    size = encoder.preprocessing
    pixels = np.empty((len(files), size.height, size.width, 3), dtype=np.uint8)
    for number, (path, file) in enumerate(zip(paths, files, strict=True)):
        try:
            pixels[number] = resize(open_image(file, formats=SENT_FORMATS), size.height, size.width, size.interpolation)
        except ImageRejected as error:
            raise UserError(f"--image {path}: {error}") from error
    return encoder.encode_images(pixels)


def _rows(vectors_ND: "NDArray[np.float32]") -> list[list[float]]:
    return [[round(float(value), DECIMALS) for value in row] for row in vectors_ND]
