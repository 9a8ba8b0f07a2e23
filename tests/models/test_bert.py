"""BERT as text tower: transformers' own output whatever the padding, and the folders that it is loaded from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.bert import Bert, BertSettings, read_settings
from personsearch.models.pretrained import bert_folder

SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
}
LENGTH = 16


def tower(seed: int = 0, **changes: Any) -> Bert:
    torch.manual_seed(seed)
    return Bert(BertSettings(**{"context_length": LENGTH} | SMALL | changes)).eval()


def texts(count: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded ids [N, 16] and how many of each row are tokens."""
    numbers = torch.Generator().manual_seed(2)
    ids_NL = torch.randint(1, 60, (count, LENGTH), generator=numbers)
    lengths_N = torch.randint(2, LENGTH + 1, (count,), generator=numbers)
    ids_NL[torch.arange(LENGTH)[None] >= lengths_N[:, None]] = 0
    return ids_NL, lengths_N


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as its authors publish it: with the heads of its pretraining."""
    from transformers import BertConfig, BertForPreTraining

    path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(5)
    BertForPreTraining(BertConfig(**SMALL)).save_pretrained(path)
    return path


def changed(folder: Path, target: Path, **values: Any) -> Path:
    target.mkdir()
    config = json.loads((folder / "config.json").read_text()) | values
    (target / "config.json").write_text(json.dumps(config))
    (target / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return target


@torch.no_grad()
def test_it_is_transformers_bert_and_padding_changes_nothing() -> None:
    bert, (ids_NL, lengths_N) = tower(), texts()
    found = bert(ids_NL)
    alone = torch.cat([bert(row[None, :length]) for row, length in zip(ids_NL, lengths_N.tolist(), strict=True)])
    bert.bert.set_attn_implementation("sdpa")  # transformers' own
    wanted = bert.bert(input_ids=ids_NL, attention_mask=(ids_NL != 0).long()).pooler_output
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(found, alone, atol=1e-6)


@torch.no_grad()
def test_a_folder_is_loaded_without_its_heads(folder: Path) -> None:
    from transformers import BertModel

    settings = read_settings(folder, LENGTH)
    assert settings | SMALL == settings
    bert, (ids_NL, _) = tower(seed=1), texts()
    bert.load_pretrained(bert_folder(str(folder)))
    wanted = BertModel.from_pretrained(folder).eval()(input_ids=ids_NL, attention_mask=(ids_NL != 0).long())
    assert torch.allclose(bert(ids_NL), wanted.pooler_output, atol=1e-6)


def test_a_bert_without_a_pooler_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    BertForMaskedLM(BertConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"2 tensors are missing: pooler"):
        tower().load_pretrained(tmp_path)


def test_weights_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"embeddings.position_embeddings.weight is \(24, 32\), expected \(20, 32\)"):
        tower(max_position_embeddings=20).load_pretrained(folder)
    with pytest.raises(UserError, match="cannot be read"):
        tower().load_pretrained(tmp_path)
    damaged = changed(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        tower().load_pretrained(damaged)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', expected 'bert'"),
        ({"pad_token_id": 1}, "pad_token_id is 1, expected 0"),
        ({"position_embedding_type": "relative_key"}, "expected 'absolute'"),
        ({"max_position_embeddings": 8}, "context_length 16: it has 8 positions"),
    ],
)
def test_what_the_tower_does_not_compute_is_refused(
    values: dict[str, Any], reason: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=reason):
        read_settings(changed(folder, tmp_path / "bert", **values), LENGTH)


def test_a_bert_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder with"):
        bert_folder("bert-base-uncased")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids fetching google-bert/bert-base-uncased"):
        bert_folder("hf-hub:google-bert/bert-base-uncased")


def test_attention_dropout_acts_in_training_alone() -> None:
    bert, (ids_NL, _) = tower(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), texts()
    assert torch.equal(bert.train()(ids_NL), bert(ids_NL))
    bert.set_attention_dropout(0.5)
    assert not torch.equal(bert(ids_NL), bert(ids_NL))
    assert torch.equal(bert.eval()(ids_NL), bert(ids_NL))


def test_an_unknown_activation_is_named() -> None:
    with pytest.raises(UserError, match="transformers cannot build it: 'sine'"):
        tower(hidden_act="sine")
