"""The size of a batch, by the shapes of what a model is called with."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from interlock.gate import batches
from interlock.gate.batches import Size
from interlock.gate.permit import Held


class _Model:
    def forward(self, input_ids=None, attention_mask=None, past_key_values=None, inputs_embeds=None, **more):
        """What models of transformers take."""


IDS = torch.zeros((2, 8), dtype=torch.long)
CACHE = DynamicCache()


def _size(*positional, **named):
    return batches.size(_Model(), positional, named)


@pytest.mark.parametrize(
    ("named", "size"),
    {
        "ids": ({"input_ids": IDS}, Size(16, 8)),
        "ids of 32 bits": ({"input_ids": IDS.int()}, Size(16, 8)),
        "embeddings": ({"inputs_embeds": torch.zeros((2, 8, 4))}, Size(16, 8)),
        "a longer mask": ({"input_ids": IDS, "attention_mask": torch.ones((2, 20))}, Size(40, 20)),
        "a mask of pairs": ({"input_ids": IDS, "attention_mask": torch.ones((2, 1, 8, 8))}, Size(16, 8)),
        "a mask of pairs in whole numbers": (
            {"input_ids": IDS, "attention_mask": torch.ones((2, 1, 8, 8), dtype=torch.long)},
            Size(16, 8),
        ),
        "positions of three kinds": (
            {"input_ids": IDS, "position_ids": torch.ones((3, 2, 8), dtype=torch.long)},
            Size(16, 8),
        ),
        "masks by kind of layer": ({"input_ids": IDS, "attention_mask": {"full": torch.ones(2)}}, Size(16, 8)),
        "whole numbers of any shape": ({"input_ids": IDS, "others": torch.zeros((2, 3, 9)).long()}, Size(54, 9)),
        "positions and counts": (
            {"input_ids": IDS, "cache_position": torch.arange(8), "num_items_in_batch": torch.tensor(3), "use": True},
            Size(16, 8),
        ),
        "nothing": ({"labels": None}, Size()),
    }.values(),
)
def test_the_largest_argument_counts(named, size):
    assert _size(**named) == size


def test_what_is_given_by_its_place_counts_as_by_its_name():
    assert _size(IDS, None) == Size(16, 8)
    with pytest.raises(Held, match="`input_ids` has the shape"):
        _size(IDS[None])
    with pytest.raises(Held, match="`past_key_values`, a DynamicCache"):
        _size(IDS, None, CACHE)
    with pytest.raises(Held, match="`argument 6`, a DynamicCache"):
        _size(IDS, None, None, None, None, CACHE)


@pytest.mark.parametrize(
    ("named", "match"),
    {
        "three dimensions": ({"input_ids": IDS[None]}, r"`input_ids` has the shape \(1, 2, 8\), expected 2 dimensions"),
        "one dimension": ({"input_ids": IDS[0]}, r"`input_ids` has the shape \(8,\)"),
        "of a decoder": ({"decoder_input_ids": IDS[None]}, "`decoder_input_ids` has the shape"),
        "embeddings of four": ({"inputs_embeds": torch.zeros((1, 2, 8, 4))}, "expected 3 dimensions"),
        "embeddings of two": ({"inputs_embeds": torch.zeros((8, 4))}, "expected 3 dimensions"),
        "a cache": ({"input_ids": IDS, "past_key_values": CACHE}, "`past_key_values`, a DynamicCache"),
        "a cache under another name": ({"input_ids": IDS, "more": CACHE}, "`more`, a DynamicCache"),
        "a cache of old": ({"past_key_values": ((IDS, IDS),)}, "`past_key_values`, a tuple"),
    }.values(),
)
def test_what_cannot_be_counted_holds(named, match):
    with pytest.raises(Held, match=match):
        _size(**named)
