"""CoOp and CLIP-Adapter: what they change, and what they leave as it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from personsearch.errors import UserError
from personsearch.models.adaptation import make_adaptation


@torch.no_grad()
def test_coop_of_word_embeddings_equals_those_words_in_the_caption(clip: Any, captions: Callable[..., Tensor]) -> None:
    coop, ids = make_adaptation({"kind": "coop", "prompts": 4}, clip), captions(5, 12)
    words = torch.tensor([5, 9, 2, 7])
    coop.context.copy_(clip.token_embedding(words))
    spelled_out = torch.cat([ids[:, :1], words.expand(5, -1), ids[:, 1:], torch.zeros(5, 4, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(coop.text_features(clip, ids), clip.encode_text(spelled_out), atol=1e-5, rtol=1e-4)
    assert coop.caption_length(20) == 16


@torch.no_grad()
def test_coop_does_not_see_padding(plain_clip: Any, captions: Callable[..., Tensor]) -> None:
    coop, ids = make_adaptation({"kind": "coop", "prompts": 4}, plain_clip), captions(6, 16)
    features = coop.text_features(plain_clip, ids)
    for row, end in enumerate(ids.argmax(dim=1)):
        alone = coop.text_features(plain_clip, ids[row : row + 1, : end + 1])
        torch.testing.assert_close(alone[0], features[row], atol=1e-5, rtol=1e-4)


def test_coop_leaves_images_alone_and_learns_its_context(
    plain_clip: Any, pixels: Callable[..., Tensor], captions: Callable[..., Tensor]
) -> None:
    coop, images = make_adaptation({"kind": "coop", "prompts": 4}, plain_clip), pixels(plain_clip, 2)
    assert torch.equal(coop.image_features(plain_clip, images), plain_clip.encode_image(images))
    coop.text_features(plain_clip, captions(3, 9)).square().sum().backward()
    assert (coop.context.grad.abs().sum(dim=1) > 0).all()
    assert set(coop.state_dict()) == {"context"}


def test_coop_refuses_a_context_without_room_for_a_caption(plain_clip: Any) -> None:
    with pytest.raises(UserError, match="19 prompts leave no room for a caption in a context of 20 tokens"):
        make_adaptation({"kind": "coop", "prompts": 19}, plain_clip)


@torch.no_grad()
def test_clip_adapter_mixes_two_fifths_of_its_output_in(
    clip: Any, pixels: Callable[..., Tensor], stir: Callable[[nn.Module], None]
) -> None:
    adapter, images = make_adaptation({"kind": "clip_adapter"}, clip), pixels(clip, 3)
    feature = clip.encode_image(images)
    assert torch.allclose(adapter.image_features(clip, images), 0.6 * feature)
    stir(adapter)
    assert adapter.down.weight.shape == (4, 16)
    expected = 0.4 * torch.relu(feature @ adapter.down.weight.T) @ adapter.up.weight.T + 0.6 * feature
    torch.testing.assert_close(adapter.image_features(clip, images), expected)


@torch.no_grad()
def test_clip_adapter_leaves_texts_alone(plain_clip: Any, captions: Callable[..., Tensor]) -> None:
    adapter, ids = make_adaptation({"kind": "clip_adapter"}, plain_clip), captions(4, 20)
    torch.testing.assert_close(adapter.text_features(plain_clip, ids), plain_clip.encode_text(ids))
    assert set(adapter.state_dict()) == {"down.weight", "up.weight"}
