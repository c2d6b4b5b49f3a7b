"""The size of a batch, by the shapes of what a model is called with."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from interlock.gate import _mapped, batches
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
        "labels and kinds of tokens": ({"input_ids": IDS, "labels": IDS, "token_type_ids": IDS}, Size(16, 8)),
        "masks of pairs for a decoder": (
            {"input_ids": IDS, "decoder_attention_mask": torch.ones((2, 1, 8, 8)), "head_mask": torch.ones((1, 2))},
            Size(16, 8),
        ),
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
        "images": ({"input_ids": IDS, "pixel_values": torch.zeros((1, 3, 112, 112))}, r"`pixel_values`.*112\)"),
        "images in whole numbers": ({"input_ids": IDS, "pixel_values": torch.zeros((1, 3, 9, 9)).byte()}, "images"),
        "images in flat pieces": ({"input_ids": IDS, "pixel_values": torch.zeros((256, 1176))}, "of images"),
        "sound": ({"input_ids": IDS, "input_features": torch.zeros((1, 80, 300))}, "`input_features`"),
        "a wave": ({"input_values": torch.zeros((1, 16000))}, "`input_values`"),
        "what an encoder gave": ({"encoder_hidden_states": torch.zeros((1, 900, 8))}, "what an encoder gave"),
        "labels as vectors": ({"input_ids": IDS, "labels": torch.zeros((2, 8, 9))}, "`labels`"),
        "rows of nobody knows what": ({"input_ids": IDS, "others": torch.zeros((2, 3)).long()}, "`others`"),
        "rows of several lengths": (
            {"input_ids": torch.nested.nested_tensor([IDS[0], IDS[0, :3]], layout=torch.jagged)},
            "`input_ids` is a nested tensor",
        ),
        "a cache of old": ({"past_key_values": ((IDS, IDS),)}, "`past_key_values`, a tuple"),
    }.values(),
)
def test_what_cannot_be_counted_holds(named, match):
    with pytest.raises(Held, match=match):
        _size(**named)


def _seen_by(transform):
    """The size of a batch of eight rows, of which `transform` has the model called."""

    def called(row):
        found.append(_size(row[None]))
        return row.float().sum()

    found = []
    transform(called)(torch.zeros((8, 5), dtype=torch.long))
    return found


def _old(function):
    from torch._vmap_internals import _vmap

    return _vmap(function)


@pytest.mark.parametrize(
    "transform",
    {
        "vmap": torch.vmap,
        "vmap of vmap": lambda it: lambda rows: torch.vmap(torch.vmap(it))(rows[None]),
        "vmap of a gradient": lambda it: (
            lambda rows: torch.vmap(torch.func.grad(lambda scale, row: it(row) * scale), in_dims=(None, 0))(
                torch.ones(()), rows
            )
        ),
        "a gradient of vmap": lambda it: (
            lambda rows: torch.func.grad(lambda scale: (torch.vmap(it)(rows) * scale).sum())(torch.ones(()))
        ),
        "the weights alone": lambda it: lambda rows: torch.vmap(lambda weight: it(rows[0]) * weight)(torch.ones(8)),
        "the older vmap": _old,
    }.values(),
)
def test_a_batch_of_which_vmap_shows_a_row_holds(transform):
    with pytest.raises(Held, match=r"within torch.vmap, which shows it one row"):
        _seen_by(transform)


def test_a_gradient_without_vmap_is_counted():
    def gradient(it):
        return lambda rows: torch.func.grad(lambda scale: it(rows[0]) * scale)(torch.ones(()))

    assert _seen_by(gradient) == [Size(5, 5)]
    assert _seen_by(lambda it: lambda rows: it(rows[0])) == [Size(5, 5)]


@pytest.fixture
def another_torch(monkeypatch):
    """Takes functions away that another version of torch may not have."""

    def without(*names):
        for name in names:
            module, _, member = name.rpartition(".")
            monkeypatch.delattr(f"torch._C{module}.{member}")
        _mapped._ways.cache_clear()

    yield without
    _mapped._ways.cache_clear()


def test_a_torch_that_knows_batched_tensors_alone_holds_on_them(another_torch):
    another_torch("._functorch.get_interpreter_stack")
    assert _size(IDS) == Size(16, 8)
    with pytest.raises(Held, match=r"within torch.vmap"):
        torch.vmap(_size)(IDS)


def test_a_torch_that_cannot_be_asked_about_vmap_holds_and_says_so(another_torch):
    another_torch("._functorch.get_interpreter_stack", "._functorch.is_batchedtensor")
    with pytest.raises(Held, match=r"torch \S+ does not say whether a model is called within torch.vmap"):
        _size(IDS)
