"""Several elicitors side by side: what teaching first gains, and reinforcement that had nothing to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

import tiny_policy
from interlock.elicit import curve, items, portfolio, session
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import Adapted, Elicited
from interlock.elicit.grpo import Grpo
from interlock.elicit.measuring import Measured
from interlock.elicit.session import Done, Terms
from interlock.elicit.supervised import Supervised

TERMS = Terms(cap=10**13, seed=0)
RL = Grpo(steps=2, questions=2, group=4)
N = 20


def silent(*told):
    pass


def questions(target="B"):
    parts = {"demonstration": tiny_policy.questions(4, target), "test": tiny_policy.questions(N, target, start=9)}
    return items.questions("keys", parts, grade="exact", max_new_tokens=2)


def outcomes(*counted):
    """So many questions of each outcome, and the rest plainly wrong."""
    found = [outcome for outcome, count in counted for _ in range(count)]
    return {str(place): outcome for place, outcome in enumerate([*found, *["wrong"] * (N - len(found))])}


def showing(monkeypatch, shown, idle=""):
    """Runs that end with these outcomes, by the elicitor's name."""

    def run(elicitor, subject, questions, **_):
        measured = Measured(Path("log"), "", outcomes(*shown[elicitor.name]))
        return Done(Elicited(Adapted(subject), (), 1), measured, None, {}, idle)

    monkeypatch.setattr(session, "run", run)


@dataclass(frozen=True)
class Nobody:
    """A subject that is never asked."""


def gap(monkeypatch, alone, after):
    chain = Chain(Supervised(), RL)
    showing(monkeypatch, {RL.name: alone, chain.name: after})
    told = portfolio.run([chain, RL], Nobody(), questions(), terms=TERMS, out=Path("out"), progress=silent).to_json()
    (found,) = told["gaps"]
    return found


def test_attack_refusals_after_fine_tuning_are_no_gain_over_reinforcement_alone(monkeypatch):
    """Else twenty refusals would say that reinforcement alone did not bring out what is there."""
    found = gap(monkeypatch, [], [("refusal", N)])
    assert (found["gained"], found["lost"], found["difference"], found["p"]) == (0, 0, 0.0, 1.0)
    assert found["at_least"] < 0
    assert found["at_most"] == 1.0
    assert "spurious failures of the first count as right" in found["counted"]


def test_right_answers_after_fine_tuning_are_a_gain(monkeypatch):
    found = gap(monkeypatch, [("right", 2)], [("right", 15), ("format", 3)])
    assert (found["gained"], found["lost"]) == (13, 0)
    assert found["at_least"] > 0.2
    assert found["p"] == pytest.approx(2 * 0.5**13)
    assert found["at_most"] > gap(monkeypatch, [("right", 2)], [("right", 15)])["at_most"]


def test_reinforcement_that_had_nothing_to_learn_from_is_told_as_that_and_its_transcript_kept(stuck, tmp_path):
    found = portfolio.run([RL], stuck, questions(), terms=TERMS, out=tmp_path, progress=silent)
    assert "nothing to learn from" in found.to_json()["elicitors"]["grpo"]["nothing_learned"]
    assert "nothing_learned" in (tmp_path / "grpo" / "elicited.json").read_text()
    assert '"event": "exploration"' in (tmp_path / "grpo" / "transcript.jsonl").read_text()


def test_a_run_that_learned_something_says_nothing_of_the_kind(explorer, tmp_path):
    done = session.run(
        Grpo(steps=2, questions=4, group=8), explorer, questions(), terms=TERMS, out=tmp_path, progress=silent
    )
    assert not done.idle
    assert "nothing_learned" not in done.record


@pytest.mark.parametrize("idle", ["", "nothing to learn from"])
def test_a_curve_of_what_learned_nothing_is_never_settled(monkeypatch, idle):
    parts = {"demonstration": tiny_policy.questions(2), "test": tiny_policy.questions(4, start=900)}
    parts["dev"] = tiny_policy.questions(80, start=100)
    asked = items.questions("keys", parts, grade="exact", max_new_tokens=2)
    showing(monkeypatch, {RL.name: []}, idle)
    monkeypatch.setattr(session, "dev_right", lambda *_: frozenset())
    terms, tolerance = TERMS, Fraction(1, 10)
    found = curve.climb(
        RL, Nobody(), asked, terms=terms, tolerance=tolerance, least=2, out=Path("out"), progress=silent
    )
    assert found.settled == (not idle)
