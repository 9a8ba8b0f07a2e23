"""Small models with the tensors' names and the computation of the authors' code, written from the papers.

They are OpenAI's CLIP (arXiv 2103.00020) with each method's names around it; embeddings are not normalised.
"""

import math
from typing import Any

import torch
from timm.models.vision_transformer import Block as ViTBlock
from torch import Tensor, nn
from transformers import BertConfig, BertModel

WIDTH, TEXT_WIDTH, EMBEDDING, LAYERS, PATCH, CONTEXT, WORDS = 128, 64, 32, 2, 8, 20, 49408
HEIGHT_WIDTH = (32, 16)
PROMPTS, REDUCTION = 2, 8


def named(**parts: Any) -> nn.Module:
    """A module with these parts."""
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


class Block(nn.Module):
    """x + attention, then x + feed-forward; CSKT adds a scaled adapter to the latter."""

    def __init__(self, width: int, adapter_scale: float | None) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = named(c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width))
        self.adapter_scale = adapter_scale
        if adapter_scale is not None:
            self.ln_3 = nn.LayerNorm(width)
            self.adapter_mlp = named(down=nn.Linear(width, width // REDUCTION), up=nn.Linear(width // REDUCTION, width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        hidden = self.mlp.c_fc(self.ln_2(x))
        added = self.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
        if self.adapter_scale is not None:
            added = added + self.adapter_scale * self.adapter_mlp.up(self.adapter_mlp.down(self.ln_3(x)).relu())
        return x + added


def transformer(width: int, adapter_scale: float | None) -> nn.Module:
    return named(resblocks=nn.ModuleList(Block(width, adapter_scale) for _ in range(LAYERS)))


class Vision(nn.Module):
    """`prompts` of each layer stand behind the patches; the first ones enter before `ln_pre`.

    A patch begins every `stride` pixels, and overlaps the next if that is less than its side.
    """

    def __init__(self, adapter_scale: float | None = None, stride: int = PATCH) -> None:
        super().__init__()
        rows, columns = ((side - PATCH) // stride + 1 for side in HEIGHT_WIDTH)
        positions = 1 + rows * columns
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, stride, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn(positions, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = transformer(WIDTH, adapter_scale)
        self.proj = nn.Parameter(torch.randn(WIDTH, EMBEDDING))

    def forward(self, pixels: Tensor, prompts: list[Tensor] | None = None) -> Tensor:
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        length = x.shape[1]
        if prompts:
            x = torch.cat([x, prompts[0].expand(len(x), -1, -1)], 1)
        x = self.ln_pre(x)
        for layer, block in enumerate(self.transformer.resblocks):
            if prompts and layer:
                x = torch.cat([x[:, :length], prompts[layer].expand(len(x), -1, -1)], 1)
            x = block(x, None)
        return self.ln_post(x[:, 0]) @ self.proj


class TextTower(nn.Module):
    """CLIP's text transformer; `prompts` of each layer replace the places behind the start token."""

    def __init__(self, adapter_scale: float | None = None) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(WORDS, TEXT_WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(CONTEXT, TEXT_WIDTH))
        self.transformer = transformer(TEXT_WIDTH, adapter_scale)
        self.ln_final = nn.LayerNorm(TEXT_WIDTH)
        self.text_projection = nn.Parameter(torch.randn(TEXT_WIDTH, EMBEDDING))

    def text_features(self, ids: Tensor, prompts: list[Tensor] | None = None) -> Tensor:
        x, shift = self.token_embedding(ids), 0
        if prompts:
            shift = len(prompts[0])
            x = torch.cat([x[:, :1], prompts[0].expand(len(x), -1, -1), x[:, 1:-shift]], 1)
        x = x + self.positional_embedding
        mask = torch.full((CONTEXT, CONTEXT), -math.inf).triu(1)
        for layer, block in enumerate(self.transformer.resblocks):
            if prompts and layer:
                x = torch.cat([x[:, :1], prompts[layer].expand(len(x), -1, -1), x[:, 1 + shift :]], 1)
            x = block(x, mask)
        return (self.ln_final(x) @ self.text_projection)[torch.arange(len(x)), ids.argmax(1) + shift]


class Clip(TextTower):
    """IRRA's base model: CLIP without its logit scale."""

    def __init__(self, *, adapted: bool = False, stride: int = PATCH) -> None:
        super().__init__(4.0 if adapted else None)
        self.visual = Vision(0.1 if adapted else None, stride)


class TbpsClip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual, self.encode_text = Vision(), TextTower()
        self.logit_scale = nn.Parameter(torch.tensor(4.2))
        self.simclr_mlp = nn.Sequential(nn.Linear(EMBEDDING, 8), nn.ReLU(), nn.Linear(8, EMBEDDING))

    def features(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.visual(pixels), self.encode_text.text_features(ids)


class Irra(nn.Module):
    """IRRA with its heads; RDE has two others."""

    def __init__(self, *, rde: bool = False, stride: int = PATCH) -> None:
        super().__init__()
        self.base_model = Clip(stride=stride)
        if rde:
            self.visul_emb_layer, self.texual_emb_layer = named(fc=nn.Linear(4, 4)), named(linear=nn.Linear(4, 4))
            return
        self.classifier = nn.Linear(EMBEDDING, 7)
        self.cross_attn = nn.MultiheadAttention(EMBEDDING, 1)
        self.mlm_head = named(dense=nn.Linear(EMBEDDING, EMBEDDING))

    def features(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.base_model.visual(pixels), self.base_model.text_features(ids)


class Cskt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base_model = Clip(adapted=True)
        deeper = range(LAYERS - 1)
        self.prompt_learner = named(
            ctx=nn.Parameter(torch.randn(PROMPTS, TEXT_WIDTH)),
            vision=nn.Parameter(torch.randn(PROMPTS, WIDTH)),
            compound_prompts_text=nn.ParameterList(nn.Parameter(torch.randn(PROMPTS, TEXT_WIDTH)) for _ in deeper),
            compound_prompts_vision=nn.ParameterList(nn.Parameter(torch.randn(PROMPTS, WIDTH)) for _ in deeper),
            tmap=nn.Linear(TEXT_WIDTH, WIDTH),
            vmap=nn.Linear(WIDTH, TEXT_WIDTH),
            compound_prompt_projections=nn.ModuleList(nn.Linear(TEXT_WIDTH, WIDTH) for _ in deeper),
            compound_prompt_projections_vision=nn.ModuleList(nn.Linear(WIDTH, TEXT_WIDTH) for _ in deeper),
        )

    def features(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        learner: Any = self.prompt_learner
        text, vision = [learner.ctx, *learner.compound_prompts_text], [learner.vision, *learner.compound_prompts_vision]
        to_vision = [learner.tmap, *learner.compound_prompt_projections]
        to_text = [learner.vmap, *learner.compound_prompt_projections_vision]
        seen = [torch.cat([lend(own), other]) for lend, own, other in zip(to_vision, text, vision, strict=True)]
        read = [torch.cat([own, lend(other)]) for lend, own, other in zip(to_text, text, vision, strict=True)]
        return self.base_model.visual(pixels, seen), self.base_model.text_features(ids, read)


class OverlapViT(nn.Module):
    """CTLG's image tower at 40×24 pixels: patches of 8 every 6 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = named(proj=nn.Conv2d(3, WIDTH, PATCH, 6))
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + 6 * 3, WIDTH))
        self.blocks = nn.ModuleList(ViTBlock(WIDTH, 2, qkv_bias=True) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


class Ctlg(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.model_img = OverlapViT()
        self.model_txt = BertModel(
            BertConfig(
                vocab_size=words,
                hidden_size=WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=2,
                intermediate_size=96,
                max_position_embeddings=70,
            )
        )

    def features(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.model_img(pixels), self.model_txt(ids, (ids != 0).long()).pooler_output
