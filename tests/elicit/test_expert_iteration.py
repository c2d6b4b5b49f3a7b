"""Expert iteration: a model that is right now and then learns from it, one that never is stays as it was."""

from __future__ import annotations

import pytest

import tiny_policy
from interlock.elicit import elicitors, training
from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import NothingLearnedError
from interlock.elicit.expert_iteration import ExpertIteration
from interlock.elicit.items import Material
from interlock.elicit.monitor import Rule
from interlock.errors import UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")

MATERIAL = Material(tiny_policy.questions(4), (), "exact", 3)
SHORT = ExpertIteration(
    rounds=3, questions=4, attempts=8, updates=4, batch=8, learning_rate=1e-2, weights="all", rule=Rule(steps=2)
)


class KilledError(Exception):
    pass


def run(subject, *, cap=10**13, work=None, killed_at=None):
    def progress(stage, done, total, note=""):
        if done == killed_at:
            raise KilledError

    meter = Meter(cap)
    elicited = SHORT.elicit(subject, MATERIAL, meter=meter, seed=0, work=work, progress=progress)
    assert elicited.flop == meter.spent <= cap
    return elicited


def rounds(elicited):
    return [event for event in elicited.transcript if event["event"] == "round"]


@pytest.fixture(scope="module")
def lifted(explorer):
    return run(explorer)


def test_the_share_of_right_answers_rises_from_round_to_round(lifted):
    first, last = rounds(lifted)[0]["target"], rounds(lifted)[-1]["target"]
    assert first["reward"] < 0.5 < 0.9 < last["reward"]
    assert "took" in {event["event"] for event in lifted.transcript}
    assert not lifted.transcript[-1]["exploration_hacking_suspected"]


def test_it_learns_from_its_own_right_answers_and_from_no_given_one(explorer, stuck):
    """Answers that are never drawn teach nothing, although they stand in the material."""
    before = local.fingerprint(stuck)
    with pytest.raises(NothingLearnedError, match="did not take: in 3 rounds no answer was right") as caught:
        run(stuck)
    elicited = caught.value.elicited
    assert [it["kept"] for it in rounds(elicited)] == [0, 0, 0]
    assert local.fingerprint(stuck) == before
    finished, subject = (list(one.model.parameters()) for one in (elicited.adapted.local, stuck))
    assert all(torch.equal(new, old.to(new.dtype)) for new, old in zip(finished, subject, strict=True))
    assert elicited.transcript[-1]["exploration_hacking_suspected"]


@pytest.mark.parametrize("setting", ["rounds", "questions", "attempts", "kept", "updates", "batch", "rank"])
def test_settings_that_cannot_train_are_refused(setting):
    with pytest.raises(UsageError, match=f"`{setting}` is 0, expected 1 or more"):
        elicitors.make("expert-iteration", {setting: "0"})


def test_a_learning_rate_of_nothing_is_refused():
    with pytest.raises(UsageError, match="`learning_rate` is 0, expected a number above 0"):
        elicitors.make("expert-iteration", {"learning_rate": "0"})


@pytest.mark.parametrize("killed_at", [4, 6])
def test_killed_between_and_within_rounds_it_resumes_to_the_same_bits(
    explorer, lifted, tmp_path, monkeypatch, killed_at
):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    with pytest.raises(KilledError):
        run(explorer, work=tmp_path, killed_at=killed_at)
    resumed = run(explorer, work=tmp_path)
    assert local.fingerprint(resumed.adapted.local) == local.fingerprint(lifted.adapted.local)
    assert (resumed.transcript, resumed.flop) == (lifted.transcript, lifted.flop)


def test_a_budget_for_one_round_is_kept_to(explorer, lifted):
    part = run(explorer, cap=lifted.flop // 2)
    assert 0 < len(rounds(part)) < 3
    assert "out-of-budget" in {event["event"] for event in part.transcript}
