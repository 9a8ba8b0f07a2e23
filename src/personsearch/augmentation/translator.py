"""A translation model from a local folder, as `save_pretrained` of transformers writes it (MarianMT, for example).

In a file of its own because it imports torch, which looking up stored translations does not need.

Shapes: N texts, L tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from personsearch.errors import UserError


class Translator:
    """Sequence-to-sequence translation by beam search; nothing is downloaded.

    Raises:
        UserError: the folder holds no translation model, or a tokenizer with more tokens than the model has.
    """

    def __init__(self, folder: Path, device: torch.device, *, num_beams: int, max_tokens: int) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        if not (folder / "config.json").is_file():
            raise UserError(f"{folder}: not a translation model (config.json is missing)")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).to(device).eval()
        except Exception as error:  # transformers fails in many ways here, all of them the folder's fault
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"{folder}: a translation model and its tokenizer expected: {reason}") from error
        if len(self._tokenizer) > self._model.config.vocab_size:
            known = self._model.config.vocab_size
            raise UserError(f"{folder}: the tokenizer has {len(self._tokenizer)} tokens, the model {known}")
        self._device = device
        self._num_beams = num_beams
        self._max_tokens = min(max_tokens, getattr(self._model.config, "max_position_embeddings", max_tokens))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Translate each text into one line; an empty text stays empty, one over `max_tokens` is cut."""
        full = [text for text in texts if text]
        if not full:
            return ["" for _ in texts]
        tokens = self._tokenizer(
            full, return_tensors="pt", padding=True, truncation=True, max_length=self._max_tokens
        ).to(self._device)
        ids_NL = self._model.generate(**tokens, num_beams=self._num_beams, max_length=self._max_tokens)
        decoded = self._tokenizer.batch_decode(ids_NL, skip_special_tokens=True)
        translations = iter(" ".join(text.split()) for text in decoded)
        return [next(translations) if text else "" for text in texts]
