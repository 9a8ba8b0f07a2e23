"""The encoder of serving and indexing: a bundle's ONNX graphs on ONNX Runtime, no torch.

Shapes: N items, B items of one batch, L tokens, H height, W width, D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, Preprocessing, read_spec
from personsearch.errors import UserError
from personsearch.images import normalise
from personsearch.search.golden import verify_golden
from personsearch.tokenizer import Tokenizer, text_lengths

BATCH_SIZE = 32


class OnnxEncoder:
    """Encoder of an ONNX bundle. Safe to call from several threads at once."""

    def __init__(self, bundle: Path, threads: int = 0, *, verify: bool = False) -> None:
        """Load both graphs; `threads` 0 lets ONNX Runtime take every core, `verify` runs the golden inputs.

        Raises:
            UserError: the bundle has no usable ONNX graphs, or fails its golden inputs.
        """
        spec = read_spec(bundle)
        self._preprocessing = spec.preprocessing
        self._embedding_dim = spec.embedding_dim
        self._tokenizer = Tokenizer(bundle / TOKENIZER, spec.context_length)
        self._image_session = _session(bundle / IMAGE_ONNX, threads)
        self._text_session = _session(bundle / TEXT_ONNX, threads)
        if verify:
            verify_golden(bundle, self)

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    @property
    def embedding_dim(self) -> int:
        return self._embedding_dim

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors [N, D] of resized pictures.

        Raises:
            ValueError: the pixels are not uint8 of the model's height and width.
        """
        wanted = (self._preprocessing.height, self._preprocessing.width, 3)
        if pixels_NHW3.shape[1:] != wanted or pixels_NHW3.dtype != np.uint8:
            raise ValueError(f"pixels {pixels_NHW3.dtype} {pixels_NHW3.shape}: uint8 [N, {wanted}] expected")
        vectors_ND = self._empty(len(pixels_NHW3))
        for batch in _batches(len(pixels_NHW3)):
            standard_B3HW = normalise(pixels_NHW3[batch], self._preprocessing.mean, self._preprocessing.std)
            vectors_ND[batch] = _run(self._image_session, standard_B3HW)
        return vectors_ND

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]. Each batch is cut to its longest text: padding changes nothing."""
        vectors_ND = self._empty(len(texts))
        if not texts:
            return vectors_ND
        tokens_NL = self._tokenizer.encode(texts)
        lengths_N = text_lengths(tokens_NL)
        by_length_N = np.argsort(lengths_N, kind="stable")
        for batch in _batches(len(texts)):
            rows_B = by_length_N[batch]
            vectors_ND[rows_B] = _run(self._text_session, tokens_NL[rows_B, : lengths_N[rows_B].max()])
        return vectors_ND

    def _empty(self, length: int) -> NDArray[np.float32]:
        return np.empty((length, self._embedding_dim), dtype=np.float32)


def _batches(length: int) -> Iterator[slice]:
    return (slice(start, start + BATCH_SIZE) for start in range(0, length, BATCH_SIZE))


def _run(session: onnxruntime.InferenceSession, values: NDArray[np.generic]) -> NDArray[np.float32]:
    (vectors_BD,) = session.run(None, {session.get_inputs()[0].name: values})
    result: NDArray[np.float32] = vectors_BD
    return result


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise UserError(f"{path}: missing; run `personsearch compress` to export the model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves busy neighbours
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen exception types without a common base
        raise UserError(f"{path}: ONNX Runtime cannot load it: {str(error)[:200]}") from error
