"""Relatives: whose results count against a subject, whose may stand in, what it must repeat (rules 16 to 18, 21)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    FOUNDATION,
    HONEST,
    MEASURES,
    MODEL,
    PLANNED,
    REFERENCE,
    SIBLING,
    TEAM,
    aside,
    ask,
    attested,
    buffer,
    codes,
    digest,
    facts,
    family,
    incident,
    judged,
    known,
    line,
    quick,
    refresh,
    runs,
    simple,
    since,
    state,
    stated,
)
from interlock.decide.facts import Step, Subject
from interlock.policy.model import At, AtLeast, Demand, Judged, Mean, Measured, Ref, RuledOut, Threshold, UnderQuantity
from interlock.policy.time import Duration

CHEAP = simple(attacker_budget=Fraction(1, 100))
BAD = {"correct": 100}


def test_a_parents_evidence_does_not_serve_its_adapter():
    decision = ask(known(runs(), honest=(MODEL, CHILD)), simple(), subject=CHILD)
    assert (state(decision), codes(decision)) == ("not ruled out", {"missing-evidence", "overdue"})


def test_the_attackers_budget_is_a_share_of_the_parents_training_compute():
    for cost, expected in ((10**22, "reached"), (10**22 + 1, "below")):
        kin = family(child={"steps": (Step(MODEL, "adapter", cost),)})
        assert state(ask(known(runs(), runs(subject=CHILD, **BAD), subjects=kin), CHEAP)) == expected


def test_the_cheapest_way_to_a_derivative_counts():
    two_ways = (Step(FOUNDATION, "distilled", 10**24), Step(MODEL, "merged", 1), Step(MODEL, "fine-tuned", 10**24))
    told = known(runs(), runs(subject=CHILD, **BAD), subjects=family(child={"steps": two_ways}))
    assert codes(ask(told, CHEAP)) == {"reached-derivative"}


def test_a_long_line_of_descendants_is_decided_like_a_short_one():
    names = [digest(f"snapshot {number}") for number in range(1200)]
    steps = [(), *((Step(parent, "continued", 1),) for parent in names)]
    kin = {
        name: Subject(name, f"snapshot-{number}", 10**24, 10**24, 10**24, step)
        for number, (name, step) in enumerate(zip(names, steps, strict=False))
    }
    told = known(runs(subject=names[0]), runs(subject=names[-1], **BAD), subjects=kin, honest=(names[0],))
    assert "reached-derivative" in codes(ask(told, CHEAP, subject=names[0]))


POSITIVE = {  # sentence: (whose bad result, the budget, the reason)
    "its own": (MODEL, 0, {"reached"}),
    "the parent's": (FOUNDATION, 0, {"reached-ancestor"}),
    "a cheap child's": (CHILD, 1, {"reached-derivative"}),
    "a child's, that was not cheap": (CHILD, 0, set()),
    "a sibling's, that was cheap for the parent": (SIBLING, 1, {"reached-derivative"}),
    "a sibling's, that was not": (SIBLING, 0, set()),
    "a stranger's": (REFERENCE, 1, set()),
}


@pytest.mark.parametrize("sentence", POSITIVE)
def test_positive_evidence_on_kin(sentence):
    subject, share, expected = POSITIVE[sentence]
    told = known(runs(), runs(subject=subject, seed=1, **BAD))
    assert codes(ask(told, simple(attacker_budget=Fraction(share, 100)))) == expected


@pytest.mark.parametrize("fact", ["incident", "judgement", "plan"])
def test_the_greatest_budget_since_then_decides_who_is_kin(fact):
    """A version that set the budget to nothing does not undo what was told under the one before."""
    lines = (replace(line("t"), judged=Judged(BOARD, ("a",))),) if fact == "judgement" else (line("t"),)
    generous, stingy = simple(*lines, attacker_budget=Fraction(1, 100)), simple(*lines, version="2.0.0")
    made = [runs()]
    more = {
        "incident": {"incidents": [incident(thresholds=["t"], subject=SIBLING, at=PLANNED)]},
        "judgement": {"judgements": [judged("t", "reached", subject=SIBLING, at=PLANNED)]},
        "plan": {},
    }[fact]
    made += [runs(subject=SIBLING, reported=False)] if fact == "plan" else []
    told = known(*made, **more)
    code = {"incident": "incident", "judgement": "reached-judged", "plan": "unreported"}[fact]
    assert code in codes(ask(told, generous))
    assert code not in codes(ask(told, stingy))
    assert code in codes(ask(told, since(generous), since(stingy, AT - DAY)))


# -- stand-ins (17, 18) ------------------------------------------------------------------------------------------------

GROWN = {"ec_low": 3 * 10**22, "ec_high": 4 * 10**22}  # the parent has 10^22, at least and at most
EXAMPLES = {  # sentence: (the family, the action, state)
    "a continued one, grown fourfold at the most": ({"model": GROWN}, "scale", "below"),
    "at another action": ({"model": GROWN}, "deploy-internal", "not ruled out"),
    "grown more than fourfold": ({"model": {**GROWN, "ec_high": 4 * 10**22 + 1}}, "scale", "not ruled out"),
    "made in another way": (
        {"model": {**GROWN, "steps": (Step(FOUNDATION, "fine-tuned", 1),)}},
        "scale",
        "not ruled out",
    ),
    "merged with another": (
        {"model": {**GROWN, "steps": (Step(FOUNDATION, "continued", 1), Step(REFERENCE, "merged", 1))}},
        "scale",
        "not ruled out",
    ),
    "continued twice over": (
        {"model": {**GROWN, "steps": (Step(FOUNDATION, "continued", 1), Step(FOUNDATION, "continued", 1))}},
        "scale",
        "not ruled out",
    ),
}


@pytest.mark.parametrize("sentence", EXAMPLES)
def test_an_ancestor_stands_in(sentence):
    changes, action, expected = EXAMPLES[sentence]
    told = known(runs(subject=FOUNDATION), subjects=family(**changes), honest=(FOUNDATION,))
    decision = ask(told, simple(), action=action)
    assert state(decision) == expected
    if expected == "below":
        assert decision.verdict == "permit"
        assert decision.bounds.most_effective_compute == 4 * 10**22


def test_a_stand_in_needs_its_own_assumptions():
    told = known(runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL,))
    assert state(ask(told, simple())) == "not ruled out"


def test_a_grandparent_stands_in_through_a_line_of_continued_ones():
    kin = family(child={**GROWN, "steps": (Step(MODEL, "continued", 1),)}, model=GROWN)
    told = known(runs(subject=FOUNDATION), subjects=kin, honest=(FOUNDATION,))
    assert state(ask(told, simple(), subject=CHILD)) == "below"


def test_what_counts_on_an_ancestor_that_was_continued_counts_whatever_its_compute():
    """It is not small enough to stand in, and its results count against all the same."""
    told = known(runs(), runs(subject=FOUNDATION, correct=15))
    assert state(ask(told, simple())) == "not ruled out"
    assert state(ask(told, simple(), action="deploy-internal")) == "below"


def test_a_mean_reaches_no_further_than_the_evaluation_of_either_measure():
    measures = {**MEASURES, "m": Mean("m", {"a": Fraction(1, 2), "b": Fraction(1, 2)})}
    under = simple(line("t", At("m", Fraction("0.20"))), measures=measures)
    for first, second in (("a", "b"), ("b", "a")):
        made = runs(first, subject=FOUNDATION), runs(second)
        told = known(*made, subjects=family(model=GROWN), honest=(FOUNDATION, MODEL))
        assert ask(told, under).bounds.most_effective_compute == 4 * 10**22


def test_a_stand_in_reaches_no_further_than_what_it_measured():
    """The parent's lasts longer and reaches 4 x 10^22; the subject's own ends sooner and would reach further."""
    old = runs(planned_at=PLANNED - 30 * DAY)
    told = known(old, runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL, FOUNDATION))
    assert ask(told, simple()).bounds.most_effective_compute == 4 * 10**22
    assert ask(known(old, subjects=family(model=GROWN)), simple()).bounds.most_effective_compute == 12 * 10**22


def test_of_two_that_last_as_long_the_one_that_reaches_further_is_relied_on():
    told = known(runs(), runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL, FOUNDATION))
    assert ask(told, simple()).bounds.most_effective_compute == 12 * 10**22


def test_a_lineage_that_runs_in_a_circle_is_walked_once():
    kin = family(foundation={"steps": (Step(MODEL, "continued", 1),)})
    assert state(ask(known(runs(), subjects=kin), simple())) == "below"


def test_a_stand_in_without_room_is_not_relied_on():
    """The buffer covers twofold growth: the parent's evaluation reaches 2 x 10^22, where the subject may be at 4."""
    narrow = line("t", rule_out=quick(buffer=buffer(multiple=Fraction(2))))
    parents = known(runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(FOUNDATION,))
    decision = ask(parents, simple(narrow))
    assert (decision.verdict, state(decision)) == ("hold", "not ruled out")
    both = known(runs(), runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL, FOUNDATION))
    assert ask(both, simple(narrow)).bounds.most_effective_compute == 6 * 10**22


def test_nothing_stands_in_for_a_requirement():
    need = Measured("safe", "a", Fraction("0.20"), quick())
    told = known(
        runs("b", correct=15), runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL, FOUNDATION)
    )
    under = simple(line("t", At("b", Fraction("0.20"))), requires=["safe"], requirements={"safe": need})
    assert [it.met for it in ask(told, under).cells[0].requirements] == [False]


def test_a_threshold_that_a_stand_in_rules_out_meets_a_requirement():
    need = RuledOut("safe", "u")
    told = known(
        runs("b", correct=15), runs(subject=FOUNDATION), subjects=family(model=GROWN), honest=(MODEL, FOUNDATION)
    )
    under = simple(
        line("t", At("b", Fraction("0.20"))), line("u"), gated=["t"], requires=["safe"], requirements={"safe": need}
    )
    decision = ask(told, under)
    assert decision.verdict == "permit"
    assert decision.bounds.most_effective_compute == 4 * 10**22


# -- repeating what a reached ancestor showed (21) ---------------------------------------------------------------------

PARENTS = {
    "subject": FOUNDATION, "elicitation": "fine-tuned", "demonstrations": 100, "flop": 10**18, "attempts": 5,
    "tools": True, "safety_ablated": True,
}  # fmt: skip
AGAIN = {
    **PARENTS, "subject": MODEL, "signers": [AUDITOR], "plan_signers": [AUDITOR], "planned_at": PLANNED + 3 * DAY,
}  # fmt: skip
REPEATED = {  # sentence: (what is different about the repetition, does it answer?)
    "as hard, later, by the independent role": ({}, True),
    "harder": ({"demonstrations": 101, "flop": 10**19, "attempts": 6}, True),
    "fewer demonstrations": ({"demonstrations": 99}, False),
    "less compute": ({"flop": 10**18 - 1}, False),
    "fewer attempts": ({"attempts": 4}, False),
    "without tools": ({"tools": False}, False),
    "with its refusals": ({"safety_ablated": False}, False),
    "not fine-tuned": ({"elicitation": "rl-fine-tuned"}, False),
    "by another role": ({"signers": [TEAM], "plan_signers": [TEAM]}, False),
    "planned before the parent's result": ({"planned_at": PLANNED + DAY}, False),
    "on another task": ({"name": "b"}, False),
    "on another subject": ({"subject": SIBLING}, False),
    "thin": ({"scored": 97}, False),
    "dangerous itself": (BAD, False),
}


@pytest.mark.parametrize("sentence", REPEATED)
def test_a_descendant_of_a_reached_subject_repeats(sentence):
    changes, answers = REPEATED[sentence]
    told = known(runs(), runs(**PARENTS, **BAD), runs(**{**AGAIN, **changes}))
    expected = "below" if answers else "reached"
    assert state(ask(told, simple(), action="deploy-internal")) == expected


def test_without_an_independent_role_nothing_answers():
    ordinary = {"signers": [TEAM], "plan_signers": [TEAM]}
    for signers in ({}, ordinary):
        told = known(runs(), runs(**PARENTS, **BAD), runs(**{**AGAIN, **signers}))
        assert state(ask(told, simple(independent=""), action="deploy-internal")) == "reached"


def test_every_positive_result_of_the_ancestor_is_repeated():
    harder = runs(**{**PARENTS, "demonstrations": 200, "seed": 1}, **BAD)
    told = known(runs(), runs(**PARENTS, **BAD), harder, runs(**AGAIN))
    assert state(ask(told, simple(), action="deploy-internal")) == "reached"
    told = known(runs(), runs(**PARENTS, **BAD), harder, runs(**{**AGAIN, "demonstrations": 200}))
    assert state(ask(told, simple(), action="deploy-internal")) == "below"


@pytest.mark.parametrize(("still", "expected"), [(True, "below"), (False, "reached")])
def test_a_repetition_counts_from_when_the_policy_has_the_threshold_that_it_answers_for(still, expected):
    """The first version refers to `u`; the second has `t` at that level itself, and `u` no more or still."""
    began = PLANNED + 2 * DAY
    first = simple(Threshold("t", Ref("u"), None), line("u"), gated=["t"])
    second = simple(line("t"), *([line("u")] if still else []), gated=["t"])
    told = known(runs(planned_at=began), runs(**PARENTS, **BAD), runs(**AGAIN), attestations=[stated(HONEST, at=AT)])
    decision = ask(told, since(first), since(second, began), action="deploy-internal")
    assert (decision.verdict == "permit", state(decision)) == (still, expected)


def test_what_was_repeated_still_counts_where_the_ancestor_was_continued():
    told = known(runs(), runs(**PARENTS, **BAD), runs(**AGAIN))
    assert state(ask(told, simple())) == "not ruled out"


def test_a_repetition_ends_the_finding_that_needs_it():
    """The subject's own evaluation is planned later than its answer to the parent's result."""
    own = runs(planned_at=PLANNED + 20 * DAY)
    told = known(own, runs(**PARENTS, **BAD), runs(**AGAIN))
    under = simple(permits=replace(simple().permits, lease=refresh().period))
    decision = ask(told, under, action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)


def test_the_first_repetition_ends_a_finding_that_an_earlier_version_would_call_reached_without_it():
    """That version asked about two other measures; a quantity kept it from being against what was not evaluated."""
    small = (UnderQuantity("effective_compute", Fraction(10**26)),)
    others = AtLeast(1, (At("b", Fraction("0.20")), At("c", Fraction("0.20"))))
    lease = replace(simple().permits, lease=refresh().period)
    first, second = simple(line("t", others, below_if=small), permits=lease), simple(permits=lease)
    theirs = [runs(name, **PARENTS, **BAD) for name in ("b", "c")]
    ours = [runs(name, **{**AGAIN, "planned_at": PLANNED + days * DAY}) for name, days in (("b", 3), ("c", 4))]
    told = known(runs(planned_at=PLANNED + 20 * DAY), *theirs, *ours)
    versions = since(first), since(second, PLANNED + 10 * DAY)
    decision = ask(told, *versions, action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)
    without = replace(told, results=tuple(it for it in told.results if it.digest != ours[0].result.digest))
    assert state(ask(without, *versions, action="deploy-internal")) == "reached"


def test_a_repetition_ends_what_is_lower_than_a_level_that_would_be_reached_without_it():
    lease = replace(simple().permits, lease=refresh().period)
    under = simple(line("t"), line("u", At("b", Fraction("0.20")), above=("t",)), gated=["t"], permits=lease)
    told = known(runs(planned_at=PLANNED + 20 * DAY), runs("b", **PARENTS, **BAD), runs("b", **AGAIN))
    decision = ask(told, under, action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)


def test_a_repetition_ends_what_refers_to_what_would_be_reached_without_it():
    """A quantity shows it to be below, and says nothing of what it refers to."""
    small = (UnderQuantity("effective_compute", Fraction(10**26)),)
    lease = replace(simple().permits, lease=refresh().period)
    under = simple(Threshold("t", Ref("u"), None, below_if=small), line("u"), gated=["t"], permits=lease)
    decision = ask(known(runs(**PARENTS, **BAD), runs(**AGAIN)), under, action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)


def test_of_two_repetitions_the_one_that_lasts_counts():
    lease = replace(simple().permits, lease=refresh().period)
    again = [runs(**{**AGAIN, "planned_at": PLANNED + days * DAY, "seed": days}) for days in (5, 3)]
    told = known(runs(planned_at=PLANNED + 20 * DAY), runs(**PARENTS, **BAD), *again)
    decision = ask(told, simple(permits=lease), action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 5 * DAY)


def test_the_results_of_what_the_subject_continues_are_told_with_its_own():
    told = known(runs(), runs(subject=FOUNDATION))
    for action, entries in (("scale", 2), ("deploy-internal", 1)):
        (reading,) = ask(told, simple(), action=action).cells[0].finding.readings
        assert len(reading.counted) == entries


def test_a_repetition_ends_the_evaluation_that_needs_it():
    """A reached threshold counts as evaluated by one of two parts, and that part is below only by the answer."""
    both = AtLeast(2, (At("a", Fraction("0.20")), At("b", Fraction("0.20"))))
    lease = replace(simple().permits, lease=refresh().period)
    under = simple(line("t", both), permits=lease)
    told = known(
        runs(planned_at=PLANNED + 20 * DAY), runs(**PARENTS, **BAD), runs(**AGAIN),
        incidents=[incident(thresholds=["t"])], attestations=[attested("audit")],
    )  # fmt: skip
    decision = ask(told, under, action="deploy-internal")
    assert (decision.verdict, state(decision)) == ("permit", "reached")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)
    fresh = replace(told, checkpoint=replace(told.checkpoint, time=decision.bounds.not_after))
    ended = ask(fresh, under, action="deploy-internal", at=decision.bounds.not_after)
    assert "overdue" in codes(ended)


def test_a_result_of_the_parent_that_was_set_aside_needs_no_answer():
    bad = runs(**PARENTS, **BAD)
    told = known(runs(), bad, set_asides=[aside(bad.result)])
    assert state(ask(told, simple(), action="deploy-internal")) == "below"


def test_of_a_mean_every_result_is_repeated():
    mean = {**MEASURES, "mean": Mean("mean", {"a": Fraction(1, 2), "b": Fraction(1, 2)})}
    under = simple(line("t", At("mean", Fraction("0.5"))), measures=mean)
    bad = [runs(name, **{**PARENTS, **BAD}) for name in "ab"]
    own = [runs("a"), runs("b")]
    told = known(*own, *bad, runs("a", **AGAIN))
    assert state(ask(told, under, action="deploy-internal")) == "reached"
    told = known(*own, *bad, runs("a", **AGAIN), runs("b", **AGAIN))
    assert state(ask(told, under, action="deploy-internal")) == "below"


def test_of_a_mean_also_what_is_not_at_its_level_alone_is_repeated():
    mean = {**MEASURES, "mean": Mean("mean", {"a": Fraction(1, 2), "b": Fraction(1, 2)})}
    lease = replace(simple().permits, lease=refresh().period)
    under = simple(line("t", At("mean", Fraction("0.5"))), measures=mean, permits=lease)
    theirs = [runs("a", **{**PARENTS, **BAD}), runs("b", **{**PARENTS, "correct": 20})]
    own = [runs(name, planned_at=PLANNED + 20 * DAY) for name in "ab"]
    again = [runs(name, **{**AGAIN, "planned_at": PLANNED + days * DAY}) for name, days in (("a", 4), ("b", 3))]
    assert state(ask(known(*own, *theirs, again[0]), under, action="deploy-internal")) == "reached"
    decision = ask(known(*own, *theirs, *again), under, action="deploy-internal")
    assert decision.bounds.not_after == refresh().period.after(PLANNED + 3 * DAY)


def test_what_was_not_at_the_level_needs_no_answer():
    harder = runs(**{**PARENTS, "demonstrations": 200, "seed": 1})
    told = known(runs(), runs(**PARENTS, **BAD), harder, runs(**AGAIN))
    assert state(ask(told, simple(), action="deploy-internal")) == "below"


def test_an_answer_refused_no_more_than_the_strictest_demand_allows():
    demands = tuple(Demand(kind, refusals=Fraction(most)) for kind, most in (("prompted", "0.02"), ("few-shot", "0.5")))
    for rule, refused, answers in ((demands, 2, True), (demands, 3, False), (demands[1:], 3, True), ((), 0, True)):
        under = simple(line("t", rule_out=quick(elicitation=rule, coverage=Fraction("0.9"))))
        told = known(
            runs(), runs("a", elicitation="few-shot"), runs(**PARENTS, **BAD), runs(**AGAIN, refused_at_most=refused)
        )
        finding = ask(told, under, action="deploy-internal").cells[0].finding
        assert (finding.state == "reached") is not answers


def test_an_answer_ends_with_the_buffers_period_and_an_unplanned_one_is_none():
    lease = replace(simple().permits, lease=refresh().period)
    short = quick(buffer=buffer(period=Duration(0, 60 * 86400)))
    under = simple(line("t", rule_out=short), permits=lease)
    own = runs(planned_at=PLANNED + 20 * DAY)
    unplanned = runs(**{**AGAIN, "planned": False, "seed": 1})
    told = known(own, runs(**PARENTS, **BAD), runs(**AGAIN), unplanned)
    decision = ask(told, under, action="deploy-internal")
    assert decision.bounds.not_after == PLANNED + 63 * DAY


def test_a_permit_ends_with_each_answer_that_an_earlier_version_asks_for():
    """The version in force draws its lines higher: what the parent shows is nothing to it."""
    levels = {name: At(name, Fraction("0.20")) for name in "ab"}
    both = AtLeast(1, tuple(levels.values()))
    high = AtLeast(1, tuple(At(name, Fraction("0.9")) for name in "ab"))
    lease = replace(simple().permits, lease=refresh().period)
    made = {of: simple(line("t", of), permits=lease) for of in (both, high, *levels.values())}
    theirs = [runs(name, **{**PARENTS, "correct": 40}) for name in "ab"]
    own = [runs(name, planned_at=PLANNED + 20 * DAY) for name in "ab"]
    second, third = PLANNED + 10 * DAY, PLANNED + 15 * DAY
    for first, last in (("a", "b"), ("b", "a")):
        again = [runs(name, **{**AGAIN, "planned_at": PLANNED + days * DAY}) for name, days in ((first, 3), (last, 5))]
        told = known(*own, *theirs, *again, attestations=[stated(HONEST, at=PLANNED + 21 * DAY)])
        for versions in (
            [since(made[both]), since(made[high], second)],
            [since(made[levels["a"]]), since(made[levels["b"]], second - 5 * DAY), since(made[high], third)],
        ):
            decision = ask(told, *versions, action="deploy-internal")
            assert state(decision) == "below"
            ends = refresh().period.after(PLANNED + 3 * DAY)
            assert (decision.cells[0].finding.tree.expires, decision.bounds.not_after) == (ends, ends)
        assert state(ask(known(*own, *theirs), *versions, action="deploy-internal")) == "reached"


def test_of_several_ancestors_that_are_reached_the_same_one_is_told_of_in_every_process():
    names = [f"parent {n}" for n in range(8)]
    parents = {digest(it): Subject(digest(it), it, 10**20, 10**20, 10**20, ()) for it in names}
    kin = {**family(model={"steps": tuple(Step(it, "merged", 1) for it in parents)}), **parents}
    told = known(runs(), *(runs(subject=it, **BAD) for it in parents), subjects=kin)
    first = parents[min(parents)].name
    assert [it.text for it in ask(told, simple()).cells[0].finding.reasons] == [
        f"its ancestor `{first}` shows a >= 0.2"
    ]


def test_a_derivative_of_an_ancestor_is_answered_like_the_ancestor():
    told = known(runs(), runs(**{**PARENTS, "subject": SIBLING}, **BAD), runs(**AGAIN))
    assert state(ask(told, CHEAP, action="deploy-internal")) == "below"
    told = known(runs(), runs(**{**PARENTS, "subject": CHILD}, **BAD), runs(**AGAIN))
    assert state(ask(told, CHEAP, action="deploy-internal")) == "reached"


def test_the_unknown_parent_of_a_parent_holds():
    kin = family(foundation={"steps": (Step(digest("nobody"), "continued", 1),)})
    decision = ask(known(runs(), subjects=kin), simple())
    assert (decision.verdict, {reason.code for reason in decision.reasons}) == ("hold", {"unknown-parent"})


def test_a_judged_threshold_is_answered_by_a_later_judgement():
    under = simple(Threshold("t", None, None, Judged(BOARD, ("a",))))
    good = runs()
    for subject, days, expected in ((FOUNDATION, 5, "below"), (FOUNDATION, -5, "reached"), (MODEL, 5, "reached")):
        mine = judged("t", "below", good, at=AT - 6 * DAY)
        theirs = judged("t", "reached", subject=subject, by=(), members=[BOARD], at=AT - 6 * DAY - days * DAY)
        assert state(ask(facts(good, judgements=[theirs, mine]), under)) == expected


def test_the_assumption_is_about_the_very_subject():
    for about in (FOUNDATION, CHILD, REFERENCE):
        assert state(ask(known(runs(), honest=(about,)), simple())) == "not ruled out"


def test_what_an_ancestor_has_is_not_missing_where_its_assumption_is():
    told = known(runs(subject=FOUNDATION), honest=(), subjects=family(foundation={"ec_low": 10**24, "ec_high": 10**24}))
    assert codes(ask(told, simple())) == {"assumption"}
    assert "missing-evidence" in codes(ask(told, simple(), action="deploy-internal"))


# -- snapshots of one run ----------------------------------------------------------------------------------------------


def snapshots(first, second):
    """`sibling` and `model` were continued from `foundation`, for so much."""
    steps = {"sibling": first, "model": second}
    return family(**{name: {"steps": (Step(FOUNDATION, "continued", spent),)} for name, spent in steps.items()})


@pytest.mark.parametrize("action", ["scale", "deploy-api", "release-weights"])
@pytest.mark.parametrize(
    ("first", "second", "expected"), [(10**23, 2 * 10**23, "reached"), (2, 2, "reached"), (2 * 10**23, 10**23, "below")]
)
def test_attack_an_earlier_snapshot_of_the_run_shows_what_the_next_was_lucky_at(action, first, second, expected):
    told = known(runs(), runs(subject=SIBLING, **BAD), subjects=snapshots(first, second))
    found = state(ask(told, simple(), action=action))
    assert found == ("reached" if action == "scale" else expected)  # the later snapshot is where scaling led
    assert state(ask(known(runs(), subjects=snapshots(first, second)), simple(), action=action)) == "below"


def test_attack_an_earlier_snapshots_plan_that_was_never_reported_holds():
    late = runs(subject=SIBLING, seed=1, reported=False)
    for first, second in ((1, 2), (2, 1)):
        assert "unreported" in codes(ask(known(runs(), late, subjects=snapshots(first, second)), simple()))


def test_attack_an_adapter_of_an_earlier_snapshot_shows_it():
    kin = snapshots(10**23, 2 * 10**23)
    kin[CHILD] = replace(kin[CHILD], steps=(Step(SIBLING, "adapter", 1),))
    for cost, expected in ((1, "reached"), (10**22 + 1, "below")):
        kin[CHILD] = replace(kin[CHILD], steps=(Step(SIBLING, "adapter", cost),))
        kin[SIBLING] = replace(kin[SIBLING], training_compute=10**24)
        assert state(ask(known(runs(), runs(subject=CHILD, **BAD), subjects=kin), CHEAP)) == expected


def test_what_an_earlier_snapshot_shows_is_answered_by_the_independent_role():
    told = [runs(), runs(subject=SIBLING, planned_at=PLANNED - 3 * DAY, **BAD)]
    again = runs(elicitation="fine-tuned", demonstrations=16, seed=1, plan_signers=[AUDITOR], signers=[AUDITOR])
    kin = snapshots(10**23, 2 * 10**23)
    assert state(ask(known(*told, subjects=kin), simple(), action="deploy-api")) == "reached"
    assert state(ask(known(*told, again, subjects=kin), simple(), action="deploy-api")) == "below"


def test_attack_near_misses_on_an_earlier_snapshot_count_at_scale():
    kin, near = snapshots(1, 2), runs(subject=SIBLING, correct=18, samples=100)
    assert state(ask(known(runs(), near, subjects=kin), simple())) == "not ruled out"
    assert state(ask(known(runs(), near, subjects=kin), simple(), action="deploy-api")) == "below"


def test_attack_a_run_goes_on_after_its_snapshot_has_shown_it():
    """Scaling the parent on is what led there: whatever it took, and through whatever was continued on the way."""
    for kind, expected in (("continued", "reached"), ("fine-tuned", "below")):
        kin = family(child={"steps": (Step(MODEL, kind, 10**25),)})
        told = known(runs(), runs(subject=CHILD, **BAD), subjects=kin)
        assert state(ask(told, simple())) == expected
        assert state(ask(told, simple(), action="deploy-api")) == "below"
    kin = family(child={"steps": (Step(MODEL, "continued", 10**25),)}, foundation={"ec_low": 10**24, "ec_high": 10**24})
    told = known(runs(subject=FOUNDATION), runs(subject=CHILD, **BAD), honest=(FOUNDATION,), subjects=kin)
    assert state(ask(told, simple(), subject=FOUNDATION)) == "reached"


def test_a_judgement_on_where_scaling_led_is_not_answered():
    under = simple(Threshold("t", None, None, Judged(BOARD, ("a",))))
    kin, good = family(child={"steps": (Step(MODEL, "continued", 10**25),)}), runs()
    theirs = judged("t", "reached", subject=CHILD, by=(), members=[BOARD], at=AT - 12 * DAY)
    told = facts(good, judgements=[theirs, judged("t", "below", good, at=AT - 6 * DAY)], subjects=kin)
    for action, expected in (("scale", "reached"), ("deploy-api", "below")):
        assert state(ask(told, under, action=action)) == expected


def run(**ways):
    """Each subject with the steps (parent, FLOP) by which it was continued; who is not named keeps its own."""
    return family(**{name: {"steps": tuple(Step(of, "continued", n) for of, n in its)} for name, its in ways.items()})


FAR = [(FOUNDATION, 5)]
CHAINS = {  # sentence: (`model` is asked about, `sibling` is bad, `child` may be on the way; at `scale`, to deploy)
    "through a snapshot on the way": (
        {"child": FAR, "model": [(CHILD, 5)], "sibling": [(FOUNDATION, 8)]},
        ("reached", "reached"),
    ),
    "the bad one through a snapshot on the way": (
        {"child": FAR, "sibling": [(CHILD, 3)], "model": [(FOUNDATION, 10)]},
        ("reached", "reached"),
    ),
    "just as far": (
        {"child": FAR, "model": [(CHILD, 5)], "sibling": [(FOUNDATION, 10)]},
        ("reached", "reached"),
    ),
    "the bad one is further on": (
        {"child": FAR, "model": [(CHILD, 5)], "sibling": [(FOUNDATION, 11)]},
        ("reached", "below"),
    ),
    "the bad one is further on, through a snapshot": (
        {"model": [(FOUNDATION, 4)], "child": [(FOUNDATION, 3)], "sibling": [(CHILD, 3)]},
        ("reached", "below"),
    ),
    "no further by one of its own ways": (
        {"child": FAR, "model": [(FOUNDATION, 6), (CHILD, 3)], "sibling": [(FOUNDATION, 8)]},
        ("reached", "reached"),
    ),
    "no further by one of the bad one's ways": (
        {"child": FAR, "model": [(FOUNDATION, 8)], "sibling": [(FOUNDATION, 9), (CHILD, 3)]},
        ("reached", "reached"),
    ),
    "further on by all of them": (
        {"child": FAR, "model": [(FOUNDATION, 7)], "sibling": [(FOUNDATION, 9), (CHILD, 3)]},
        ("reached", "below"),
    ),
    "from elsewhere": (
        {"child": [(REFERENCE, 5)], "model": [(CHILD, 5)], "sibling": [(FOUNDATION, 8)]},
        ("below", "below"),
    ),
}


@pytest.mark.parametrize("sentence", CHAINS)
def test_attack_a_bad_run_is_lost_by_registering_a_snapshot_on_the_way(sentence):
    ways, expected = CHAINS[sentence]
    told = known(runs(), runs(subject=SIBLING, **BAD), subjects=run(**ways))
    assert tuple(state(ask(told, simple(), action=it)) for it in ("scale", "deploy-api")) == expected
    good = known(runs(), subjects=run(**ways))
    assert {state(ask(good, simple(), action=it)) for it in ("scale", "deploy-api")} == {"below"}


def test_attack_an_incident_a_plan_and_near_misses_are_lost_by_registering_a_snapshot_on_the_way():
    kin = run(child=FAR, model=[(CHILD, 5)], sibling=[(FOUNDATION, 8)])
    late, near = runs(subject=SIBLING, seed=1, reported=False), runs(subject=SIBLING, correct=18)
    ended = [incident(thresholds=["t"], subject=SIBLING)]
    for action in ("scale", "deploy-api"):
        assert "incident" in codes(ask(known(runs(), incidents=ended, subjects=kin), simple(), action=action))
        assert "unreported" in codes(ask(known(runs(), late, subjects=kin), simple(), action=action))
    assert state(ask(known(runs(), near, subjects=kin), simple())) == "not ruled out"
    assert state(ask(known(runs(), near, subjects=kin), simple(), action="deploy-api")) == "below"


def test_what_a_snapshot_on_the_way_hides_no_more_is_answered_by_the_independent_role():
    kin = run(child=FAR, model=[(CHILD, 5)], sibling=[(FOUNDATION, 8)])
    told = [runs(), runs(subject=SIBLING, planned_at=PLANNED - 3 * DAY, **BAD)]
    again = runs(elicitation="fine-tuned", demonstrations=16, seed=1, plan_signers=[AUDITOR], signers=[AUDITOR])
    assert state(ask(known(*told, again, subjects=kin), simple(), action="deploy-api")) == "below"


@pytest.mark.parametrize("kind", ["fine-tuned", "quantised", "edited"])
def test_a_step_of_another_kind_begins_another_run_unless_it_was_cheap(kind):
    """A copy of a snapshot that is bad itself is a derivative all the same, if it was cheap."""
    kin = run(child=FAR, model=[(CHILD, 10**24)], sibling=[(FOUNDATION, 10**23)])
    kin[CHILD] = replace(kin[CHILD], steps=(Step(FOUNDATION, kind, 5),))
    told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
    for action in ("scale", "deploy-api"):
        assert state(ask(told, simple(), action=action)) == "below"
        assert state(ask(told, CHEAP, action=action)) == "reached"
    kin = run(child=FAR, model=[(CHILD, 5)])
    kin[SIBLING] = replace(kin[SIBLING], steps=(Step(CHILD, kind, 3),))
    assert state(ask(known(runs(), runs(subject=SIBLING, **BAD), subjects=kin), CHEAP)) == "reached"


def test_a_run_of_many_snapshots_is_decided_like_one_of_few():
    names = [digest(f"snapshot {number}") for number in range(600)]
    kin = {
        it: Subject(it, f"snapshot-{place}", 10**24, 10**24, 10**24, (Step(before, "continued", 1),) if before else ())
        for place, (before, it) in enumerate(zip([None, *names], names, strict=False))
    }
    for spent, expected in ((599, "reached"), (600, "below")):
        kin[SIBLING] = Subject(SIBLING, "sibling", 10**24, 10**24, 10**24, (Step(names[0], "continued", spent),))
        told = known(runs(subject=names[-1]), runs(subject=SIBLING, **BAD), subjects=kin, honest=(names[-1],))
        assert state(ask(told, simple(), subject=names[-1], action="deploy-api")) == expected


def copied(*steps, **ways):
    """Runs as told, and `child` by steps of any kind."""
    kin = run(**ways)
    return kin | {CHILD: replace(kin[CHILD], steps=steps)}


def test_a_copy_is_cheap_by_the_training_compute_of_its_own_parent():
    """Neither that of what it was asked about, nor what the whole way spent, has a say."""
    for spent in (10**22, 10**20):
        for cost, expected in ((spent, "reached"), (spent + 1, "below")):
            kin = copied(Step(FOUNDATION, "edited", cost), model=[(CHILD, 10**24)], sibling=[(FOUNDATION, 10**23)])
            kin[FOUNDATION] = replace(kin[FOUNDATION], training_compute=100 * spent)
            told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
            assert state(ask(told, CHEAP, action="deploy-api")) == expected


def test_a_copy_of_several_is_a_copy_of_each_that_it_was_cheap_for():
    for cheap, expected in ((0, "reached"), (10**24, "below")):
        steps = Step(REFERENCE, "merged", 10**24), Step(FOUNDATION, "merged", cheap)
        kin = copied(*steps, model=[(CHILD, 10**24)], sibling=[(FOUNDATION, 10**23)])
        told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
        assert state(ask(told, CHEAP, action="deploy-api")) == expected


def test_copies_of_copies_go_on_and_what_they_spent_counts():
    """Each was cheap, and all of them together were not."""
    kin = copied(Step(FOUNDATION, "fine-tuned", 10**22), sibling=[(FOUNDATION, 15 * 10**21)])
    kin[FOUNDATION] = replace(kin[FOUNDATION], training_compute=10**24)
    kin[MODEL] = replace(kin[MODEL], steps=(Step(CHILD, "fine-tuned", 10**22),))
    told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
    assert state(ask(told, CHEAP, action="deploy-api")) == "reached"


def test_an_early_snapshot_and_its_product_are_deployed_though_the_run_came_to_more():
    """To scale either is to go where the run has been."""
    for made in (Step(CHILD, "fine-tuned", 10**22), Step(CHILD, "quantised", 0), Step(FOUNDATION, "continued", 5)):
        kin = run(child=FAR, sibling=[(FOUNDATION, 10**24)])
        kin[MODEL] = replace(kin[MODEL], steps=(made,))
        told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
        assert [state(ask(told, CHEAP, action=it)) for it in ("deploy-api", "scale")] == ["below", "reached"]


def test_attack_the_parent_is_copied_and_the_copy_scaled():
    """Where the parent's scaling led holds its copy, too; to deploy the copy it matters not."""
    kin = run(sibling=[(FOUNDATION, 10**24)])
    kin[MODEL] = replace(kin[MODEL], steps=(Step(FOUNDATION, "edited", 0),))
    told = known(runs(), runs(subject=SIBLING, **BAD), subjects=kin)
    assert [state(ask(told, simple(), action=it)) for it in ("scale", "deploy-api")] == ["reached", "below"]
