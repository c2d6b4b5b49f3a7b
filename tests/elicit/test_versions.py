"""What each elicitor does at a fixed seed is pinned beside its version, so that nobody changes the one alone.

A recipe is a hash of settings. A certificate of a recipe stands for other training than was certified if the training
changes and the recipe does not. Pinned are, exactly, the tokens that are trained on and asked, adapter, optimizer,
rates and clipping; and, to a thousandth, the norm of each step's gradient, which the loss makes.
"""

from __future__ import annotations

import hashlib
import json

import pytest

import tiny_model
from interlock.elicit import asking
from interlock.elicit.best_of_k import BestOfK
from interlock.elicit.budget import Meter
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import recipe
from interlock.elicit.elicitors import ELICITORS
from interlock.elicit.expert_iteration import ExpertIteration
from interlock.elicit.few_shot import FewShot
from interlock.elicit.grpo import Grpo
from interlock.elicit.items import Item, Material
from interlock.elicit.prompted import Prompted
from interlock.elicit.supervised import Supervised
from interlock.evaluate import choices, local

torch = pytest.importorskip("torch")

EACH = {
    "prompted": Prompted(),
    "few-shot": FewShot(2),
    "best-of-k": BestOfK(2, (0.7,), shots=1),
    "fine-tune-lora": Supervised(steps=3, rank=2, layers=1, batch=2),
    "fine-tune-full": Supervised(weights="all", steps=3, batch=2, learning_rates=(1e-4,)),
    "expert-iteration": ExpertIteration(rounds=1, questions=2, attempts=4, updates=2, batch=4, rank=2, layers=1),
    "grpo": Grpo(steps=2, questions=2, group=4, rank=2, layers=1),
    "A+B": Chain(FewShot(1), Supervised(steps=3, rank=2, layers=1, batch=2)),
}
#: The version, the digest of what is done at it, and the norms of the gradients.
PINNED = {
    "prompted": (1, "76dd5b85d63a9699", []),
    "few-shot": (1, "ba20f4e9d3d42cb5", []),
    "best-of-k": (2, "a13c7bc10ff541a9", []),
    "fine-tune-lora": (2, "6b14eadcf2f98762", [0.67474, 0.67479, 0.68212]),
    "fine-tune-full": (2, "ddd1cc13c506916a", [10.589, 10.745, 11.072]),
    "expert-iteration": (2, "160c2188456c7bc2", [0.78787, 0.78639]),
    "grpo": (2, "cf7ff5471725b017", [0.33134, 0.77878]),
    "A+B": (1, "a9bf45d0b176204e", [0.67474, 0.67479, 0.68212]),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "number_format", lambda: torch.float32)  # as on a CPU that is slow at bfloat16
        return local.load(tiny_model.build(tmp_path_factory.mktemp("versions") / "model"))


@pytest.fixture
def done(monkeypatch):
    """What is trained on and how, as it is done."""
    import peft
    from transformers import LlamaForCausalLM

    told, norms = [], []
    forward, adapter, step = LlamaForCausalLM.forward, peft.LoraConfig, torch.optim.AdamW.step
    clip, begun = torch.nn.utils.clip_grad_norm_, torch.optim.AdamW.__init__

    def passing(self, *args, **given):
        if torch.is_grad_enabled():
            told.append(["pass", [_unpadded(row) for row in given["input_ids"].tolist()]])
        return forward(self, *args, **given)

    def beginning(self, learned, **given):
        told.append(["optimizer", given, [list(it.shape) for it in learned]])
        begun(self, learned, **given)

    def stepping(self, *args, **given):
        told.append(["rate", [group["lr"] for group in self.param_groups]])
        return step(self, *args, **given)

    def clipping(learned, most, *args, **given):
        told.append(["clip", most])
        norms.append(float(clip(learned, most, *args, **given)))

    def shaped(**given):
        told.append(["adapter", given | {"target_modules": sorted(given["target_modules"])}])
        return adapter(**given)

    monkeypatch.setattr(LlamaForCausalLM, "forward", passing)
    monkeypatch.setattr(torch.optim.AdamW, "__init__", beginning)
    monkeypatch.setattr(torch.optim.AdamW, "step", stepping)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipping)
    monkeypatch.setattr(peft, "LoraConfig", shaped)
    return told, norms


def _unpadded(row):
    while row and not row[-1]:
        row.pop()
    return row


def item(name, target, *options):
    return Item(name, name, ({"role": "user", "content": name},), target, options)


def asked(adapted, question, weighed, monkeypatch):
    """How a question is asked afterwards, and one with choices: its tokens, and how each attempt is answered."""
    attempts = []

    def noting(name):
        answer = getattr(local, name)

        def noted(*args, **given):
            attempts.append([name, {key: value for key, value in given.items() if key != "max_new_tokens"}])
            return answer(*args, **given)

        return noted

    for name in ("generate", "sample"):
        monkeypatch.setattr(local, name, noting(name))
    asking.ask(adapted, [question], grade="exact", max_new_tokens=1)
    parts = choices.encode(adapted.local, asking.question(adapted, weighed))
    told = [[*parts.prefix, *parts.rest], [list(tokens) for tokens in parts.choices]]
    prompt = local.encode(adapted.local, asking.conversation(question, adapted.shots))
    return [prompt, told, attempts]


@pytest.mark.parametrize("name", EACH)
def test_who_changes_what_an_elicitor_does_raises_its_version(model, done, name, monkeypatch):
    told, norms = done
    first, weighed, last = item("one?", "x"), item("which?", "b", "a", "b"), item("two?", "y")
    open_ones = tuple(item(f"say {place}", said(model, f"say {place}")) for place in (1, 2))
    shown = (first, last) if EACH[name].kind == "few-shot" else (first, weighed)
    material = Material(open_ones if EACH[name].kind == "rl-fine-tuned" else shown, (), "exact", 1)
    given = EACH[name].elicit(model, material, meter=Meter(), seed=0, work=None, progress=lambda *_: None)
    does = json.dumps([told, asked(given.adapted, last, weighed, monkeypatch)], sort_keys=True)
    version, digest, expected = PINNED[name]
    assert EACH[name].version == version, "pin anew what this version does"
    assert (hashlib.sha256(does.encode()).hexdigest()[:16], norms) == (digest, pytest.approx(expected, rel=1e-3)), (
        f"`{name}` trains or asks otherwise: raise its `version`, then pin what is done"
    )


def said(model, question):
    """What the model says to a question, so that some drawn answers are right."""
    return local.generate(model, [({"role": "user", "content": question},)], max_new_tokens=1)[0].text


def test_the_version_is_a_part_of_the_recipe():
    assert EACH.keys() == {*ELICITORS, "A+B"}
    for name, elicitor in EACH.items():
        before = recipe(elicitor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(elicitor), "version", elicitor.version + 1)
            assert recipe(elicitor) != before, name
