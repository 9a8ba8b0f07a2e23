"""What makes a registered bundle a model that MLflow itself can load and serve: texts and pictures to vectors.

MLflow finds this module's name in `MLmodel`, beside the bundle's own files, and calls `_load_pyfunc` with the folder:
the code is this package, and nothing is pickled. Shapes: N rows, H height, W width, D embedding dimension.
"""

import base64
import binascii
import io
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personsearch import __version__
from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.images import ImageRejected, open_image, resize

if TYPE_CHECKING:
    from pandas import DataFrame

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
EXAMPLE = "input_example.json"
SERVED_EXAMPLE = "serving_input_example.json"
FILES = (MLMODEL, REQUIREMENTS, EXAMPLE, SERVED_EXAMPLE)
ADDED_BY_MLFLOW = "registered_model_meta"  # when a version with MLmodel is downloaded
NEEDED = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow", "tokenizers")
TEXTS = ("a woman in a red coat with a black backpack", "a man in a dark jacket")


class VectorModel:
    """The model that MLflow calls: each row is a text or a picture."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def predict(self, model_input: "DataFrame", params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Unit vectors [N, D], one for each row: of its `text`, or of its `image`, a file's bytes or these in base64.

        Raises:
            ValueError: a row has neither or both, or a picture that cannot be read.
        """
        rows = model_input.to_dict("records")
        texts = {number: row["text"] for number, row in enumerate(rows) if _given(row.get("text"))}
        images = {number: row["image"] for number, row in enumerate(rows) if _given(row.get("image"))}
        for number in range(len(rows)):
            if (number in texts) == (number in images):
                found = "both" if number in texts else "none"
                raise ValueError(f"row {number}: a text or an image expected, not {found}")
        vectors_ND = np.empty((len(rows), self._encoder.embedding_dim), dtype=np.float32)
        if texts:
            vectors_ND[list(texts)] = self._encoder.encode_texts(list(texts.values()))
        if images:
            pixels_NHW3 = np.stack([self._pixels(number, image) for number, image in images.items()])
            vectors_ND[list(images)] = self._encoder.encode_images(pixels_NHW3)
        return vectors_ND

    def _pixels(self, number: int, image: str | bytes) -> NDArray[np.uint8]:
        size = self._encoder.preprocessing
        try:
            file = image if isinstance(image, bytes) else base64.b64decode(image, validate=True)
            return resize(open_image(file), size.height, size.width, size.interpolation)
        except (binascii.Error, ImageRejected) as error:
            raise ValueError(f"row {number}: image: {error}") from error


def _load_pyfunc(path: str) -> VectorModel:
    """Called by MLflow with the folder of a version; the model has to reproduce its golden vectors."""
    return VectorModel(load_graph_encoder(Bundle.open(Path(path)), verify=True))


def write_flavour(folder: Path, bundle: Bundle, *, model_id: str, run_id: str) -> None:
    """Write FILES: how MLflow loads the bundle, its signature, an input example."""
    from mlflow.models import Model

    example = {"columns": ["text", "image"], "data": [[text, None] for text in TEXTS] + [[None, _picture(bundle)]]}
    model = Model(
        run_id=run_id,
        model_id=model_id,
        signature=_signature(bundle.spec.embedding_dim),
        saved_input_example_info={
            "artifact_path": EXAMPLE,
            "serving_input_path": SERVED_EXAMPLE,
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    environment = {"virtualenv": REQUIREMENTS}
    model.add_flavor(
        "python_function", loader_module=__name__, python_version=platform.python_version(), env=environment
    )
    model.save(str(folder / MLMODEL))
    (folder / EXAMPLE).write_text(json.dumps(example), encoding="utf-8")
    (folder / SERVED_EXAMPLE).write_text(json.dumps({"dataframe_split": example}), encoding="utf-8")
    pinned = [f"{name}=={metadata.version(name)}" for name in NEEDED]
    (folder / REQUIREMENTS).write_text("\n".join([f"personsearch=={__version__}", *pinned, ""]), encoding="utf-8")


def _signature(embedding_dim: int) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = Schema([ColSpec("string", "text", required=False), ColSpec("string", "image", required=False)])
    vectors = TensorSpec(np.dtype(np.float32), (-1, embedding_dim), "vector")
    return ModelSignature(inputs=inputs, outputs=Schema([vectors]))


def _picture(bundle: Bundle) -> str:
    """A grey picture of the model's size, as PNG in base64."""
    size, file = bundle.spec.preprocessing, io.BytesIO()
    Image.new("RGB", (size.width, size.height), "grey").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _given(value: Any) -> bool:
    """Whether a cell holds something; pandas fills what is missing with None or NaN."""
    return isinstance(value, str | bytes) and len(value) > 0
