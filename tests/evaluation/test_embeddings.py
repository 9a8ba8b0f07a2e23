"""Embedding a split: parts survive a kill, a damaged image is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import Preprocessing
from personsearch.data.records import read_manifest
from personsearch.errors import UserError
from personsearch.evaluation import embeddings
from personsearch.evaluation.embeddings import embed_records


class MeanColour:
    """Mean colour of the lower and upper half; text by its letters. Counts calls and fails at a chosen one."""

    preprocessing = Preprocessing(height=8, width=4, mean=(0, 0, 0), std=(1, 1, 1))
    embedding_dim = 6

    def __init__(self, dies_at: int | None = None) -> None:
        self.calls, self.dies_at = 0, dies_at

    def encode_images(self, pixels_NHW3: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        halves = pixels_NHW3.reshape(len(pixels_NHW3), 2, -1, 3).mean(axis=2)
        return halves.reshape(-1, 6).astype(np.float32)

    def encode_texts(self, texts) -> np.ndarray:
        return np.array([[len(text)] * 6 for text in texts], dtype=np.float32)


def test_an_interrupted_run_resumes_and_gives_the_same(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "PART", 5)
    records = read_manifest(tiny_dataset, "test")
    whole = embed_records(MeanColour(), tiny_dataset, records, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        embed_records(MeanColour(dies_at=4), tiny_dataset, records, tmp_path / "killed")
    second = MeanColour()
    resumed = embed_records(second, tiny_dataset, records, tmp_path / "killed")
    assert second.calls == 2  # 24 images are 5 parts; 3 were there
    assert np.array_equal(resumed.image_GD, whole.image_GD)
    assert np.array_equal(resumed.text_QD, whole.text_QD)
    assert [len(whole.image_GD), len(whole.text_QD)] == [24, 48]
    assert whole.caption_ids.tolist() == np.repeat(whole.image_ids, 2).tolist()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xd8\xff truncated"])
def test_a_damaged_image_is_named(tiny_dataset: Path, tmp_path: Path, content: bytes | None) -> None:
    dataset = Path(shutil.copytree(tiny_dataset, tmp_path / "data"))
    records = read_manifest(dataset, "test")
    path = dataset / records[3].path
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=path.name):
        embed_records(MeanColour(), dataset, records, tmp_path / "embeddings")
