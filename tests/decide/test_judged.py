"""Judged thresholds: what a role's judgements show, and when they stop (rules 25, 27, 28)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    BOARD,
    CHILD,
    DAY,
    FOUNDATION,
    MEASURES,
    MONTH,
    OFFERED,
    PLANNED,
    REFERENCE,
    SIBLING,
    TEAM,
    aside,
    ask,
    attested,
    buffer,
    cell,
    codes,
    facts,
    family,
    incident,
    judged,
    line,
    measure,
    named,
    quick,
    refresh,
    runs,
    simple,
    since,
    state,
    withdrawn,
)
from interlock.policy.model import Judged, Ref, Threshold, Unbounded
from interlock.policy.time import Duration

WILD = Unbounded("wild", "capability", "model", "lab/wild", 1, "accuracy")
GOOD, STUDY, WORD = runs(), runs("wild"), attested("audit")
UNDER = simple(Threshold("t", None, None, Judged(BOARD, ("a",))), measures={**MEASURES, "wild": WILD})
SAID = judged("t", "below", GOOD)


def on(*names, **changes):
    """The same policy, judged on other things."""
    return replace(UNDER, thresholds=named(Threshold("t", None, None, Judged(BOARD, names, **changes))))


def finds(told, *under, **question):
    """The state, and whether it is overdue."""
    found = cell(ask(told, *(under or (UNDER,)), **question)).finding
    return found.state, found.overdue is not None


def test_without_a_judgement_it_is_overdue():
    assert finds(facts(GOOD)) == ("not ruled out", True)
    assert finds(facts(GOOD, judgements=[SAID])) == ("below", False)


SUPPORT = {  # sentence: (runs, the judgement, is it supported?)
    "by the role, on what it names": ([GOOD], SAID, True),
    "by another role": ([GOOD], replace(SAID, signers=frozenset([TEAM])), False),
    "by one member": ([GOOD], replace(SAID, signers=frozenset()), False),
    "of another threshold": ([GOOD], replace(SAID, threshold="u"), False),
    "of the parent": ([GOOD], replace(SAID, subject=FOUNDATION), False),
    "of a child": ([GOOD], replace(SAID, subject=CHILD), False),
    "it names nothing": ([GOOD], replace(SAID, on=frozenset()), False),
    "it names what is not there": ([], SAID, False),
    "it names a result of the parent": (
        [it := runs(subject=FOUNDATION)],
        judged("t", "below", it),
        False,
    ),
    "it is as old as the result": ([GOOD], replace(SAID, at=PLANNED + DAY), False),
    "its result was not planned": ([it := runs(planned=False)], judged("t", "below", it), False),
    "its result is of another version": ([it := runs(version=2)], judged("t", "below", it), False),
    "its result has another metric": ([it := runs(metric="f1")], judged("t", "below", it), False),
    "its result ran a deployment": ([it := runs(deployment=OFFERED)], judged("t", "below", it), False),
    "its result cannot be read": ([it := runs(total=500)], judged("t", "below", it), False),
    "its result is on another task": ([it := runs("b")], judged("t", "below", it), False),
    "its result lacks a score": ([it := runs(scored=99)], judged("t", "below", it), False),
    "its result has no samples": ([it := runs(samples=0)], judged("t", "below", it), False),
    "its result is stale": ([it := runs(planned_at=PLANNED - 90 * DAY)], judged("t", "below", it), False),
    "whoever ran it": ([it := runs(signers=[BOARD], plan_signers=[BOARD])], judged("t", "below", it), True),
    "however bad it was": ([it := runs(correct=100)], judged("t", "below", it), True),
    "under whatever elicitation": ([it := runs(elicitation="scaffolded")], judged("t", "below", it), True),
}


@pytest.mark.parametrize("sentence", SUPPORT)
def test_a_judgement_is_supported(sentence):
    made, said, supported = SUPPORT[sentence]
    assert finds(facts(*made, judgements=[said])) == (("below", False) if supported else ("not ruled out", True))


def test_a_judgement_rests_on_one_item_of_each_name_at_the_least():
    under = on("a", "wild", "audit")
    for items, below in (
        ((GOOD, STUDY, WORD), True),
        ((GOOD, STUDY), False),
        ((GOOD, WORD), False),
        ((STUDY, WORD), False),
    ):
        told = facts(GOOD, STUDY, attestations=[WORD], judgements=[judged("t", "below", *items)])
        assert (finds(told, under)[0] == "below") == below


@pytest.mark.parametrize("days", [1, -1])
def test_a_word_is_not_later_than_the_judgement_that_rests_on_it(days):
    word = attested("audit", at=SAID.at + days * DAY)
    told = facts(attestations=[word], judgements=[judged("t", "below", word)])
    assert (finds(told, on("audit"))[0] == "below") == (days < 0)


BACK = {"the judgement": lambda: withdrawn(SAID, by=[BOARD]), "the result": lambda: withdrawn(GOOD.result),
        "the plan": lambda: withdrawn(GOOD.plan)}  # fmt: skip


@pytest.mark.parametrize("what", BACK)
def test_what_was_taken_back_supports_nothing(what):
    assert finds(facts(GOOD, judgements=[SAID], withdrawals=[BACK[what]()])) == ("not ruled out", True)


@pytest.mark.parametrize("role", [BOARD, TEAM])
def test_a_result_that_anybody_set_aside_supports_nothing(role):
    told = facts(GOOD, judgements=[SAID], set_asides=[aside(GOOD.result, by=[role])])
    assert finds(told) == ("not ruled out", True)


LATER = {  # sentence: (what came after the judgement, state, overdue?)
    "a good result": (runs(planned_at=PLANNED + 5 * DAY), "not ruled out", False),
    "an unplanned result": (runs(planned_at=PLANNED + 5 * DAY, planned=False, correct=100), "not ruled out", False),
    "a result in the same second": (runs(planned_at=SAID.at - DAY), "not ruled out", False),
    "a result on another task": (runs("b", planned_at=PLANNED + 5 * DAY), "below", False),
    "a result of the parent": (runs(subject=FOUNDATION, planned_at=PLANNED + 5 * DAY), "not ruled out", False),
    "an earlier result of the parent": (runs(subject=FOUNDATION, correct=100), "below", False),
    "a result of a dear child": (runs(subject=CHILD, planned_at=PLANNED + 5 * DAY), "below", False),
    "a plan that is due": (runs(seed=1, reported=False), "not ruled out", False),
    "a plan that is not due": (runs(seed=1, reported=False, planned_at=AT - DAY), "below", False),
    "a due plan of a child": (runs(subject=CHILD, reported=False), "not ruled out", False),
    "a due plan for half a score": (runs(seed=1, scored=99), "not ruled out", False),
}


@pytest.mark.parametrize("sentence", LATER)
def test_what_comes_later_makes_a_judgement_show_nothing(sentence):
    made, expected, overdue = LATER[sentence]
    assert finds(facts(GOOD, made, judgements=[SAID])) == (expected, overdue)


def test_a_later_result_on_a_relative_disturbs_as_long_as_a_version_was_in_force_that_makes_it_one():
    generous, stingy = since(replace(UNDER, attacker_budget=Fraction(1, 100))), since(UNDER, PLANNED + 2 * DAY)
    for days, expected in ((1, "not ruled out"), (3, "below")):
        late = runs(subject=SIBLING, planned_at=PLANNED + days * DAY)
        assert finds(facts(GOOD, late, judgements=[SAID]), generous, stingy)[0] == expected


def test_an_open_plan_holds_at_once_what_cannot_be_taken_back():
    told = facts(GOOD, runs(seed=1, reported=False, planned_at=AT - DAY), judgements=[SAID])
    assert finds(told, action="release-weights") == ("not ruled out", False)
    assert "open-plan" in codes(ask(told, UNDER, action="release-weights"))
    assert cell(ask(told, UNDER)).finding.tree.expires == AT + 19 * DAY


def test_a_later_result_that_was_set_aside_does_not_disturb():
    late = runs(planned_at=PLANNED + 5 * DAY, correct=100, seed=1)
    assert finds(facts(GOOD, late, judgements=[SAID], set_asides=[aside(late.result)])) == ("below", False)


REACHED = {  # sentence: (the adverse judgement, reached?)
    "one member, without a quorum": (judged("t", "reached", by=(), members=[BOARD]), True),
    "a stranger": (judged("t", "reached", by=[TEAM]), False),
    "of another threshold": (judged("u", "reached"), False),
    "of a stranger": (judged("t", "reached", subject=REFERENCE), False),
    "of a dear sibling": (judged("t", "reached", subject=SIBLING), False),
    "of the parent, later": (judged("t", "reached", subject=FOUNDATION, at=SAID.at), True),
    "of the parent, earlier": (judged("t", "reached", subject=FOUNDATION, at=SAID.at - DAY), False),
    "of the subject, earlier": (judged("t", "reached", at=SAID.at - DAY), True),
}


@pytest.mark.parametrize("sentence", REACHED)
def test_one_member_is_enough_to_say_that_it_is_reached(sentence):
    said, reached = REACHED[sentence]
    for taken_back in ([], [withdrawn(said, by=[BOARD])]):
        told = facts(GOOD, judgements=[said, SAID], withdrawals=taken_back)
        assert finds(told) == ("reached" if reached else "below", False)


def test_attack_a_judgement_that_is_kept_back_is_not_answered_by_what_came_before_it():
    said, _ = REACHED["of the parent, earlier"]
    assert finds(facts(GOOD, judgements=[SAID, said]))[0] == "reached"
    assert finds(facts(GOOD, judgements=[said, SAID]))[0] == "below"


def test_a_judgement_ends():
    """With the oldest thing that it rests on, or at its own age; the latest of several counts."""
    assert cell(ask(facts(GOOD, judgements=[SAID]), UNDER)).finding.tree.expires == refresh().period.after(PLANNED)
    fresh = on("a", fresh_for=MONTH)
    assert cell(ask(facts(GOOD, judgements=[SAID]), fresh)).finding.tree.expires == MONTH.after(SAID.at)
    later = replace(SAID, digest="later", at=SAID.at + DAY)
    assert cell(ask(facts(GOOD, judgements=[SAID, later]), fresh)).finding.tree.expires == MONTH.after(later.at)
    old = replace(SAID, at=AT - 31 * DAY)
    assert finds(facts(runs(planned_at=AT - 40 * DAY), judgements=[old]), fresh) == ("not ruled out", True)


def test_a_numeric_predicate_says_reached_and_never_below():
    both = replace(UNDER, thresholds=named(line("t", judged=Judged(BOARD, ("a",)))))
    bad = runs(correct=100)
    assert finds(facts(GOOD), both) == ("not ruled out", True)
    assert finds(facts(GOOD, judgements=[SAID]), both) == ("below", False)
    assert finds(facts(bad, judgements=[judged("t", "below", bad)]), both) == ("reached", False)


def test_the_rule_of_a_judged_threshold_says_how_much_is_covered_and_how_fresh():
    ruled = line("t", judged=Judged(BOARD, ("a",)), rule_out=quick(refresh=refresh(events=("theft",))))
    under = replace(UNDER, thresholds=named(replace(ruled, reached_when=None)))
    thin = runs(scored=98)
    assert finds(facts(thin, judgements=[judged("t", "below", thin)]), under) == ("below", False)
    stolen = facts(GOOD, judgements=[SAID], incidents=[incident("theft")])
    assert finds(stolen, under) == ("not ruled out", True)
    assert finds(stolen) == ("below", False)


def test_judged_on_a_deployment():
    offered = replace(UNDER, measures=named(measure("a", on="deployment")))
    there = runs(deployment=OFFERED)
    told = facts(there, judgements=[judged("t", "below", there)])
    assert finds(told, offered, deployment=OFFERED) == ("below", False)
    assert finds(told, offered) == ("not ruled out", True)


def test_judged_on_nothing_is_a_hole():
    told = facts(GOOD, judgements=[SAID])
    assert finds(told, on()) == ("not ruled out", True)
    said = judged("t", "reached", by=(), members=[BOARD])
    assert finds(facts(GOOD, judgements=[said]), on()) == ("reached", True)


@pytest.mark.parametrize("name", ["never", "nothing"])
def test_a_judgement_rests_on_no_requirement_of_another_kind(name):
    told = facts(GOOD, judgements=[SAID], attestations=[attested(name)])
    assert finds(told, on("a", name)) == ("not ruled out", True)


def test_what_was_judged_to_be_reached_reaches_as_far_as_its_own_rule_also_through_another():
    wide, narrow = line("t", Ref("u"), rule_out=None), quick(refresh=refresh(multiple=Fraction(2)))
    inner = Threshold("u", None, narrow, Judged(BOARD, ("a",)))
    under = replace(UNDER, thresholds=named(wide, inner))
    told = facts(GOOD, attestations=[WORD], judgements=[judged("u", "reached", GOOD)])
    assert ask(told, under).bounds.most_effective_compute == 2 * 10**24


def test_a_reached_one_opens_by_its_requirements_where_it_was_judged():
    """A supported judgement of either verdict ends overdue."""
    said = judged("t", "reached", GOOD)
    decision = ask(facts(GOOD, attestations=[WORD], judgements=[said]), UNDER)
    assert (state(decision), decision.verdict) == ("reached", "permit")
    unsupported = judged("t", "reached", by=(), members=[BOARD])
    assert ask(facts(GOOD, attestations=[WORD], judgements=[unsupported]), UNDER).verdict == "hold"


def test_a_judgement_reaches_as_far_as_what_it_is_on():
    """Four times the lower end of the subject's effective compute; its upper end may not be beyond."""
    for high, expected in ((4 * 10**24, ("below", False)), (4 * 10**24 + 1, ("not ruled out", True))):
        told = facts(GOOD, judgements=[SAID], subjects=family(model={"ec_high": high}))
        assert finds(told) == expected
    part = ask(told, UNDER).cells[0].finding.tree.parts[0]
    assert (part.kind, part.state, part.holds) == ("judgement", "not ruled out", False)
    assert [it.code for it in part.reasons] == ["compute-uncertain"]


def test_a_judgement_ends_with_the_buffers_period_of_what_it_is_on():
    rule = quick(buffer=buffer(period=Duration(0, 40 * 86400)))
    under = simple(line("t", None, reached_when=None, judged=Judged(BOARD, ("a",)), rule_out=rule))
    decision = ask(facts(GOOD, judgements=[SAID]), under)
    assert decision.cells[0].finding.tree.expires == PLANNED + 40 * DAY


def test_who_judged_whom_is_told():
    told = facts(GOOD, judgements=[judged("t", "reached", subject=FOUNDATION, at=SAID.at)])
    number = told.judgements[0].entry
    reasons = ask(told, UNDER).cells[0].finding.reasons
    assert f"entry {number}: a member of `{BOARD}` judged `foundation` to have reached it" in {
        it.text for it in reasons
    }
