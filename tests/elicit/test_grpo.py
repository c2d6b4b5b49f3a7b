"""Reinforcement learning: it lifts a model that explores, leaves one that does not, and says which of them it had."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tiny_model
import tiny_policy
from interlock.elicit import asking, elicitors, training
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import Adapted, NothingLearnedError, attempt, recipe
from interlock.elicit.few_shot import FewShot
from interlock.elicit.grpo import Grpo, advantages
from interlock.elicit.items import Material
from interlock.elicit.monitor import Rule
from interlock.elicit.supervised import Supervised
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")

MATERIAL = Material(tiny_policy.questions(4), tiny_policy.questions(2, start=4), "exact", 3)
CONTROL = tiny_policy.questions(2, word="other")
SHORT = Grpo(steps=10, questions=4, group=8, learning_rate=1e-2, weights="all", control=CONTROL, rule=Rule(steps=5))


class KilledError(Exception):
    pass


def run(subject, settings=SHORT, *, cap=10**13, work=None, killed_at=None):
    def progress(stage, done, total, note=""):
        if done == killed_at:
            raise KilledError

    meter = Meter(cap)
    elicited, _ = attempt(settings, subject, MATERIAL, meter=meter, seed=0, work=work, progress=progress)
    assert elicited.flop == meter.spent <= cap
    return elicited


def steps(elicited):
    return [event for event in elicited.transcript if event["event"] == "step"]


@pytest.fixture(scope="module")
def lifted(explorer):
    return run(explorer)


def test_a_model_that_explores_learns_what_is_rewarded_on_questions_it_was_not_trained_on_too(explorer, lifted):
    def right(model):
        return sum(it.correct for it in asking.ask(model, MATERIAL.dev, grade="exact", max_new_tokens=3))

    first, last = steps(lifted)[0]["target"], steps(lifted)[-1]["target"]
    assert first["reward"] < 0.5 < 0.9 < last["reward"]
    assert right(lifted.adapted) == 2
    took = next(event for event in lifted.transcript if event["event"] == "took")
    assert took["weights_changed"] > 0 < took["logits_moved"]
    assert not lifted.transcript[-1]["exploration_hacking_suspected"]


def test_the_subject_is_not_changed(explorer):
    before = local.fingerprint(explorer)
    for weights in ("all", "adapter"):
        run(explorer, Grpo(steps=1, questions=2, group=2, weights=weights))
    assert local.fingerprint(explorer) == before


def test_another_architecture_is_trained_too():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=259, n_positions=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, eos_token_id=1
    )
    gpt2 = local.LocalModel(local.ready(GPT2LMHeadModel(config)), tiny_model._tokenizer(), torch.float32)
    greedy = asking.ask(Adapted(gpt2), MATERIAL.demonstrations[:1], grade="exact", max_new_tokens=1)[0].text
    one = Material(tiny_policy.questions(1, greedy), (), "exact", 1)
    settings = Grpo(steps=8, questions=1, group=16, learning_rate=1e-2, weights="all")
    told = settings.elicit(gpt2, one, meter=Meter(10**13), seed=0, work=None, progress=lambda *_: None)
    assert steps(told)[0]["target"]["reward"] < 0.9 < steps(told)[-1]["target"]["reward"]


def test_an_adapter_learns_too(explorer):
    elicited = run(explorer, Grpo(steps=10, questions=4, group=8, learning_rate=3e-2, weights="adapter"))
    assert steps(elicited)[-1]["target"]["reward"] > 0.9


def silent(*told):
    pass


def elicit(elicitor, subject, material=MATERIAL):
    return elicitor.elicit(subject, material, meter=Meter(10**13), seed=0, work=None, progress=silent)


def test_without_variance_in_reward_not_one_weight_moves_and_the_monitor_says_so(stuck):
    """What the model shows then is not what reinforcement could bring out: no result of such an elicitation is made."""
    with pytest.raises(NothingLearnedError, match=r"did not take: in 10 steps .* the same reward \(0\.00 on") as caught:
        elicit(SHORT, stuck)
    elicited = caught.value.elicited
    assert {event["target"]["zero_variance"] for event in steps(elicited)} == {1.0}
    finished, subject = (dict(one.model.named_parameters()) for one in (elicited.adapted.local, stuck))
    assert all(torch.equal(finished[name], subject[name].to(finished[name].dtype)) for name in subject)
    last = elicited.transcript[-1]
    assert last["exploration_hacking_suspected"]
    assert last["flags"] == [
        {"kind": "no-reward-variance", "step": 5, "lead": 5},
        {"kind": "entropy-collapse", "step": 5, "lead": 5},
    ]


def test_a_model_that_is_always_right_was_not_reinforced_either(stuck):
    solved = Material(tiny_policy.questions(4, "A"), (), "exact", 3)
    with pytest.raises(NothingLearnedError, match=r"the same reward \(1\.00 on average\)"):
        elicit(Grpo(steps=2, questions=2, group=4), stuck, solved)


def test_attack_the_penalty_alone_moves_weights_and_looks_like_learning(stuck, monkeypatch):
    """Where a number format rounds the start differently, there is a gradient with no reward behind it."""
    from interlock.elicit import rollouts

    real = rollouts.log_probabilities

    def rounded(*given, **named):
        return [it if torch.is_grad_enabled() else it * 1.001 for it in real(*given, **named)]

    monkeypatch.setattr(rollouts, "log_probabilities", rounded)
    before = local.fingerprint(stuck)
    with pytest.raises(NothingLearnedError) as caught:
        elicit(Grpo(steps=2, questions=2, group=4, weights="all", penalty=1.0), stuck)
    assert local.fingerprint(caught.value.elicited.adapted.local) != before


IDLE = Grpo(steps=1, questions=2, group=2)


def test_after_fine_tuning_that_took_reinforcement_with_nothing_to_learn_is_flagged_and_the_taught_model_stands(stuck):
    """Else a model that cannot do it at all would never have a result; what it is worth is an assumption's to say."""
    first = Supervised(weights="all", steps=2, learning_rates=(1e-5,))
    chain = Chain(Chain(first, IDLE), FewShot(shots=1))
    assert chain.kind == "rl-fine-tuned"
    left = elicit(chain, stuck)
    assert local.fingerprint(left.adapted.local) != local.fingerprint(stuck)
    assert len(left.adapted.shots) == 1
    told = {event["event"]: event for event in left.transcript}
    assert told.keys() >= {"trained", "took", "exploration"}
    assert "the same reward" in told["nothing-learned"]["why"]


@pytest.mark.parametrize("chain", [Chain(FewShot(shots=1), IDLE), Chain(IDLE, FewShot(shots=1))])
def test_attack_examples_around_reinforcement_with_nothing_to_learn_pass_for_reinforcement(stuck, chain):
    with pytest.raises(NothingLearnedError):
        elicit(chain, stuck)


def test_attack_weights_that_were_trained_are_not_those_that_are_asked(explorer, monkeypatch):
    monkeypatch.setattr("interlock.elicit.learner.Learner.finished", lambda self: explorer)
    with pytest.raises(EvidenceError, match="no weight of the model changed"):
        elicit(Grpo(steps=2, questions=4, group=4), explorer)


def test_without_control_questions_collapse_is_not_told_from_a_hard_task(stuck):
    last = run(stuck, Grpo(steps=5, questions=2, group=4, weights="all", rule=Rule(steps=5))).transcript[-1]
    assert [flag["kind"] for flag in last["flags"]] == ["no-reward-variance"]
    assert not last["control"]


def test_the_same_seed_gives_the_same_bits_and_killed_and_resumed_too(explorer, lifted, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    with pytest.raises(KilledError):
        run(explorer, work=tmp_path, killed_at=7)
    resumed = run(explorer, work=tmp_path)
    assert local.fingerprint(resumed.adapted.local) == local.fingerprint(lifted.adapted.local)
    assert (resumed.transcript, resumed.flop) == (lifted.transcript, lifted.flop)


def test_the_state_of_a_run_with_other_settings_is_refused(explorer, tmp_path):
    short = Grpo(steps=1, questions=2, group=2, weights="all")
    run(explorer, short, work=tmp_path)
    with pytest.raises(UsageError, match="holds another job"):
        run(explorer, Grpo(steps=1, questions=2, group=2, weights="all", penalty=0.0), work=tmp_path)


def test_it_stops_before_a_step_that_is_not_afforded_and_goes_on_with_a_larger_budget(explorer, tmp_path, lifted):
    part = run(explorer, cap=lifted.flop // 2, work=tmp_path)
    assert 0 < len(steps(part)) < 10
    assert "out-of-budget" in {event["event"] for event in part.transcript}
    whole = run(explorer, work=tmp_path)
    assert local.fingerprint(whole.adapted.local) == local.fingerprint(lifted.adapted.local)
    assert whole.transcript == lifted.transcript


def test_a_budget_for_no_step_draws_nothing(explorer):
    meter = Meter(10**6)
    with pytest.raises(OutOfBudgetError):
        SHORT.elicit(explorer, MATERIAL, meter=meter, seed=0, work=None, progress=lambda *told: None)
    assert meter.spent == 0


def test_no_questions_cannot_be_learned_from(explorer):
    with pytest.raises(UsageError, match="0 questions"):
        elicit(Grpo(), explorer, Material((), (), "exact", 3))


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("steps", 0, "`steps` is 0, expected 1 or more"),
        ("questions", 0, "`questions` is 0, expected 1 or more"),
        ("rank", 0, "`rank` is 0, expected 1 or more"),
        ("layers", -1, "`layers` is -1, expected 0 or more"),
        ("group", 1, "`group` is 1, expected 2 or more"),
        ("learning_rate", 0.0, "`learning_rate` is 0, expected a number above 0"),
        ("learning_rate", float("nan"), "`learning_rate` is nan, expected a number above 0"),
        ("temperature", float("inf"), "`temperature` is inf, expected a number above 0"),
        ("penalty", -0.1, "`penalty` is -0.1, expected 0 or a number above it"),
        ("warm_up", -1, "`warm_up` is -1, expected 0 or more"),
        ("weights", "some", "`weights` is `some`, expected adapter or all"),
    ],
)
def test_settings_that_cannot_train_are_refused(setting, value, error):
    with pytest.raises(UsageError, match=error):
        Grpo(**{setting: value})
    with pytest.raises(UsageError, match=error):
        elicitors.make("grpo", {setting: str(value)})


def test_advantages_are_standard_deviations_from_the_groups_mean():
    assert advantages([1.0, 0.0, 0.0, 0.0]) == pytest.approx([3**0.5, *[-(3**-0.5)] * 3])
    assert advantages([1.0] * 4) == advantages([0.0] * 4) == [0.0] * 4


def test_the_penalty_keeps_the_model_near_its_start(explorer):
    def apart(penalty):
        settings = Grpo(steps=6, questions=4, group=8, learning_rate=1e-2, weights="all", penalty=penalty)
        model = run(explorer, settings).adapted
        with torch.no_grad():
            ids = torch.tensor([local.encode(explorer, MATERIAL.dev[0].messages)])
            now, then = (it.model(ids).logits[0, -1].float().log_softmax(-1) for it in (model.local, explorer))
        return float((now.exp() * (now - then)).sum())

    assert apart(5.0) < apart(0.0) / 2


def test_memory_that_does_not_suffice_at_any_place_of_a_step_changes_nothing_but_last_bits(
    explorer, lifted, monkeypatch
):
    from interlock.elicit import rollouts

    sizes, real, answered = [], rollouts.log_probabilities, local._continued

    def weighed(model, answers, **named):
        if len(answers) > 4:
            raise RuntimeError("CUDA out of memory")
        sizes.append(len(answers))
        return real(model, answers, **named)

    def small(*given, rows, **named):
        if rows > 4:
            raise MemoryError
        return answered(*given, rows=rows, **named)

    monkeypatch.setattr(rollouts, "log_probabilities", weighed)
    monkeypatch.setattr(local, "_continued", small)
    found = run(explorer, replace(SHORT, steps=1))
    assert set(sizes) == {4}
    assert steps(found) == steps(lifted)[:1]


def test_memory_for_not_even_one_answer_is_one_error(explorer, monkeypatch):
    from interlock.elicit import rollouts

    def none(*_, **__):
        raise MemoryError

    monkeypatch.setattr(rollouts, "log_probabilities", none)
    with pytest.raises(EvidenceError, match="out of memory with one answer at once"):
        run(explorer)


def test_other_control_questions_are_another_recipe():
    assert recipe(SHORT) != recipe(
        Grpo(steps=10, questions=4, group=8, learning_rate=1e-2, weights="all", rule=Rule(5))
    )


def test_the_model_that_is_given_is_asked_greedily_once(lifted):
    assert lifted.adapted == Adapted(lifted.adapted.local)
