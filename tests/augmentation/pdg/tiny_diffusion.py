"""A Stable Diffusion folder of a few thousand random weights, in the format that real ones come in."""

import json
from pathlib import Path

import torch

CONTEXT = 24


def make_tiny_diffusion(folder: Path, *, prediction_type: str = "epsilon") -> Path:
    """Write UNet, VAE (factor 2), text encoder, tokenizer and DDIM scheduler for images of 64×32 or so."""
    from diffusers import AutoencoderKL, DDIMScheduler

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, prediction_type=prediction_type,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae", safe_serialization=True)
    make_unet(in_channels=4).save_pretrained(folder / "unet", safe_serialization=True)
    scheduler.save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    make_text_encoder(folder / "tokenizer").save_pretrained(folder / "text_encoder")
    return folder


def make_unet(*, in_channels: int, num_class_embeds: int | None = None):  # type: ignore[no-untyped-def]
    """Two levels with attention, 8 and 16 channels wide."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16, in_channels=in_channels, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        norm_num_groups=4, attention_head_dim=4, cross_attention_dim=16, num_class_embeds=num_class_embeds,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def make_text_encoder(tokenizer: Path):  # type: ignore[no-untyped-def]
    """One layer, 16 wide."""
    from transformers import CLIPTextConfig, CLIPTextModel

    size = len(json.loads((tokenizer / "vocab.json").read_text()))
    config = CLIPTextConfig(
        vocab_size=size, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=CONTEXT, bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1,
    )  # fmt: skip
    return CLIPTextModel(config)


def write_tokenizer(folder: Path) -> None:
    """CLIP's own format: vocab.json and merges.txt, over letters and the words red, a, jacket."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz.,"
    vocabulary, merges = [*letters, *(f"{letter}</w>" for letter in letters)], []
    for word in ("red", "jacket"):
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            merges.append(f"{pieces[0]} {pieces[1]}")
            pieces[:2] = ["".join(pieces[:2])]
            vocabulary.append(pieces[0])
    tokens = dict.fromkeys([*vocabulary, "<|startoftext|>", "<|endoftext|>"])
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(dict.fromkeys(merges)) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": CONTEXT, "tokenizer_class": "CLIPTokenizer"})
    )
