"""A prepared data set is read once and says what is wrong with its folder."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from personsearch.data.dataset import Dataset
from personsearch.data.records import MANIFEST, dataset_hash, read_manifest
from personsearch.errors import UserError


def test_it_gives_the_manifest(tiny_dataset: Path) -> None:
    dataset = Dataset.open(tiny_dataset)
    assert dataset.records() == tuple(read_manifest(tiny_dataset))
    assert dataset.records("val") == tuple(read_manifest(tiny_dataset, "val"))
    assert dataset.hash == dataset_hash(tiny_dataset)
    assert all(dataset.image_path(record).is_file() for record in dataset.records())


def test_what_it_has_read_stays(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes((tiny_dataset / MANIFEST).read_bytes())
    dataset = Dataset.open(tmp_path)
    records, identity = dataset.records("val"), dataset.hash
    (tmp_path / MANIFEST).unlink()
    assert dataset.records("val") is records
    assert dataset.hash == identity


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a prepared data set"):
        Dataset.open(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"text")
    with pytest.raises(UserError, match="not a Parquet file"):
        Dataset.open(tmp_path)
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / MANIFEST)
    with pytest.raises(UserError, match="columns missing: path, person_id"):
        Dataset.open(tmp_path)
