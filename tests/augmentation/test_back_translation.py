"""Captions through two tiny MarianMT models made here: the real loading code, the journal, the mistakes."""

import json
from pathlib import Path

import pytest
import torch

from personsearch.augmentation.augment import AugmentConfig, augment
from personsearch.augmentation.back_translation import BackTranslateConfig, back_translate, read_translations
from personsearch.augmentation.translator import Translator
from personsearch.data.records import ImageRecord, write_manifest
from personsearch.errors import UserError

TEXTS = ["a man in a red coat", "a woman with blue jeans and a bag", "the person wears a hat", "A Red  hat"]
SIZE = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


def write_model(folder: Path, seed: int) -> Path:
    """A MarianMT folder as people download it, with a sentencepiece tokenizer learnt from TEXTS."""
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir()
    (folder / "texts").write_text("\n".join(TEXTS * 5))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "texts"), model_prefix=str(folder / "source"), vocab_size=40, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    learnt = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    pieces = [learnt.id_to_piece(index) for index in range(3, learnt.vocab_size())]
    vocabulary = {piece: index for index, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    padding = vocabulary["<pad>"]
    torch.manual_seed(seed)
    sides = {f"{side}_{what}": value for side in ("encoder", "decoder") for what, value in SIZE.items()}
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=32, pad_token_id=padding, decoder_start_token_id=padding, eos_token_id=0,
        max_position_embeddings=32, **sides,
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)
    files = (str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    MarianTokenizer(*files).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder / "there", 0), write_model(folder / "back", 1)


@pytest.fixture
def config(models: tuple[Path, Path]) -> BackTranslateConfig:
    there, back = models
    return BackTranslateConfig(there=there, back=back, num_beams=2, max_tokens=12, batch_size=2, device="cpu")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Five training captions, four of them different; one of another split."""
    folder = tmp_path / "prepared"
    (folder / "images").mkdir(parents=True)
    rows = [("train", TEXTS[:2]), ("train", [*TEXTS[2:], "a red hat"]), ("test", ["nobody translates this"])]
    records = []
    for number, (split, captions) in enumerate(rows):
        (folder / f"images/{number}.jpg").write_bytes(bytes([number]))
        records.append(ImageRecord(str(number), f"images/{number}.jpg", number, split, captions, "test"))
    write_manifest(folder, records)
    return folder


def test_the_file_is_what_augment_reads(config: BackTranslateConfig, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "translations.jsonl"
    metrics = back_translate(config, dataset, out)
    assert metrics == {"captions": 5, "distinct": 4, "translated": 4, "empty": 0, "unchanged": 0}
    there, back = (Translator(f, torch.device("cpu"), num_beams=2, max_tokens=12) for f in (config.there, config.back))
    expected = {text: back(there([text]))[0] for text in TEXTS}
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["caption"]: line["translation"] for line in lines} == expected
    assert len(read_translations(out)) == 4
    augmented = augment(AugmentConfig(translations=out), dataset, tmp_path / "augmented")
    assert (augmented["translated"], augmented["untranslated"]) == (5, 1)


def test_a_killed_run_resumes_and_only_new_captions_are_translated(
    config: BackTranslateConfig, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    back_translate(config, dataset, out)
    whole, first = journal.read_bytes(), out.read_bytes()
    journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]) + b'["the per')
    out.unlink()
    capsys.readouterr()
    back_translate(config, dataset, out)
    assert "translate: captions: 2/2 done" in capsys.readouterr().err
    assert (journal.read_bytes(), out.read_bytes()) == (whole, first)
    back_translate(config, dataset, out)
    assert "captions" not in capsys.readouterr().err
    other = config.model_copy(update={"num_beams": 1})
    back_translate(other, dataset, out)
    assert "translate: captions: 4/4 done" in capsys.readouterr().err


def test_empty_texts_stay_empty(config: BackTranslateConfig) -> None:
    there = Translator(config.there, torch.device("cpu"), num_beams=1, max_tokens=12)
    assert there(["", ""]) == ["", ""]
    assert there(["", TEXTS[0]]) == ["", *there([TEXTS[0]])]


def test_mistakes_are_one_line(config: BackTranslateConfig, dataset: Path, tmp_path: Path) -> None:
    empty, strange = tmp_path / "empty", tmp_path / "strange"
    empty.mkdir()
    strange.mkdir()
    (strange / "config.json").write_text('{"model_type": "clip"}')
    for folder, message in (
        (tmp_path / "absent", "absent: no such file or folder; the folder of a translation model expected"),
        (empty, "empty: not a translation model"),
        (strange, "strange: a translation model and its tokenizer expected"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            back_translate(config.model_copy(update={"back": folder}), dataset, tmp_path / "out.jsonl")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_models_that_say_nothing_are_a_mistake(config: BackTranslateConfig, dataset: Path, tmp_path: Path) -> None:
    from transformers import MarianMTModel, MarianTokenizer

    mute = tmp_path / "mute"
    model = MarianMTModel.from_pretrained(config.back)
    model.final_logits_bias[0, 0] = 1e4  # the end of the text before anything else
    model.save_pretrained(mute)
    MarianTokenizer.from_pretrained(config.back).save_pretrained(mute)
    with pytest.raises(UserError, match="returned 4 empty texts"):
        back_translate(config.model_copy(update={"back": mute}), dataset, tmp_path / "out.jsonl")


def test_a_tokenizer_of_another_model_is_refused(config: BackTranslateConfig, tmp_path: Path) -> None:
    from transformers import MarianMTModel, MarianTokenizer

    mixed = tmp_path / "mixed"
    MarianMTModel.from_pretrained(config.there).save_pretrained(mixed)
    tokenizer = MarianTokenizer.from_pretrained(config.there)
    tokenizer.add_tokens(["umbrella"])
    tokenizer.save_pretrained(mixed)
    with pytest.raises(UserError, match=r"the tokenizer has \d+ tokens, the model \d+"):
        Translator(mixed, torch.device("cpu"), num_beams=1, max_tokens=12)
