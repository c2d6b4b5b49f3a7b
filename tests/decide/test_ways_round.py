"""Ways round the rule: each is tried beside what it hides, and beside the honest case, which permits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial

import pytest

from decide import reference
from decide.cases import (
    ACTIONS,
    AT,
    AUDIT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    EFFECTIVE,
    FEW_SHOT,
    FOUNDATION,
    GATEKEEPER,
    HALF_YEAR,
    HONEST,
    MEASURES,
    MODEL,
    MONTH,
    OFFERED,
    PLANNED,
    PROMPTED,
    QUARTER,
    REFERENCE,
    SIBLING,
    STATED,
    WEEK,
    YEAR,
    amended,
    approved,
    aside,
    ask,
    attested,
    buffer,
    codes,
    digest,
    facts,
    family,
    forecast,
    incident,
    judged,
    known,
    line,
    measure,
    named,
    quick,
    refresh,
    runs,
    saw,
    simple,
    since,
    state,
    stated,
    withdrawn,
)
from interlock.decide.facts import Check, Step, Version
from interlock.policy.model import (
    Action,
    Amount,
    Approved,
    Assumption,
    At,
    AtLeast,
    Attested,
    Cell,
    ComputeRatio,
    ExceptionRule,
    Hole,
    Judged,
    Mean,
    Measured,
    Never,
    Permits,
    Policy,
    Ref,
    RuledOut,
    Scope,
    Threshold,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy.time import Duration

#: Before the second version took effect; that is before `PLANNED`.
BEFORE, SECOND_VERSION = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC)
B = At("b", Fraction("0.20"))
API = {"action": "deploy-api"}


def verdict(told, *under, **asked):
    """What the rule says, and its second reading."""
    asked = {**API, **asked}
    versions = [it if isinstance(it, Version) else since(it) for it in under]
    subject, action, at = asked.get("subject", MODEL), asked["action"], asked.get("at", AT)
    second = reference.answer(versions, told, subject=subject, deployment=None, action=action, at=at)
    decision = ask(told, *under, **asked)
    assert decision.verdict == second.verdict
    return decision.verdict


# -- keeping a result back ---------------------------------------------------------------------------------------------

SCREEN = line("s", B, role="watch")
HIGHER = line("h", B, above=("t",))
A, CLEAN_B = runs(), runs("b")
KEPT_BACK = {  # sentence: (policies, what else is known, the evaluation that is kept back, what it could have been)
    "of a threshold that a screen puts below": (
        [simple(line("t", below_if=(UnderScreen("s"),)), SCREEN)], known(CLEAN_B), runs, {"correct": 90}
    ),
    "of a threshold that a quantity puts below": (
        [simple(line("t", below_if=(UnderQuantity("effective_compute", Fraction(10**26)),)))],
        known(), runs, {"correct": 90},
    ),
    "of a judged threshold's own predicate": (
        [simple(Threshold("t", B, quick(), judged=Judged(BOARD, ("a",))))],
        known(A, judgements=[judged("t", "below", A)]), runs, {"name": "b", "correct": 90},
    ),
    "of a higher level": (
        [simple(line("t"), HIGHER, gated=("t",))], known(A), runs, {"name": "b", "correct": 90}
    ),
    "of what an earlier version measured": (
        [since(simple(line("t"))), since(simple(line("t", B)), SECOND_VERSION)],
        known(CLEAN_B), runs, {"correct": 90, "planned_at": BEFORE},
    ),
    "of the subject that it leans on": (
        [simple(line("t", below_if=(UnderReference("reference", ("b",), Fraction(0)),)))],
        known(
            runs(correct=20), runs("b", 10), runs(subject=REFERENCE), runs("b", 95, subject=REFERENCE),
            honest=(MODEL, REFERENCE),
        ),
        runs, {"name": "b", "correct": 1, "subject": REFERENCE, "seed": 7},
    ),
}  # fmt: skip


def add(told, *made):
    return replace(
        told,
        plans=(*told.plans, *(it.plan for it in made if it.plan)),
        results=(*told.results, *(it.result for it in made if it.result)),
    )


@pytest.mark.parametrize("action", ["deploy-api", "release-weights"])
@pytest.mark.parametrize("sentence", KEPT_BACK)
def test_keeping_a_result_back_does_not_help(sentence, action):
    under, told, make, it = KEPT_BACK[sentence]
    gates = {name: {"t": Cell(("audit",))} for name in ACTIONS}  # `simple` lets no weights go
    versions = [one if isinstance(one, Version) else since(one) for one in under]
    open_gates = [replace(it, policy=replace(it.policy, gates=gates)) for it in versions]
    assert verdict(told, *open_gates, action=action) == "permit"
    assert verdict(add(told, make(**it)), *open_gates, action=action) == "hold"
    assert verdict(add(told, make(**it, reported=False)), *open_gates, action=action) == "hold"
    unscored = {**it, "correct": 0, "scored": 0}
    assert verdict(add(told, make(**unscored)), *open_gates, action=action) == "hold"


C = At("c", Fraction("0.20"))
LEANING = {  # sentence: (what `t` refers to, the other thresholds)
    "by a reference": ((Ref("z"),), [line("z", C)]),
    "by a reference of a reference": ((Ref("y"),), [line("y", Ref("z")), line("z", C)]),
    "by one of several references": ((Ref("z"), Ref("b")), [line("z", C), line("b", B)]),
    "beside one that is referred to twice": (
        (Ref("z"), Ref("x"), Ref("y")),
        [line("z", C), line("x", B), line("y", Ref("x"))],
    ),
    "by a higher level": ((B,), [line("z", C, above=("t",))]),
    "by a higher level of what it refers to": ((Ref("b"),), [line("b", B), line("z", C, above=("b",))]),
    "by what a higher level refers to": (
        (B,),
        [line("y", Ref("z"), above=("t",)), line("z", C)],
    ),
}


@pytest.mark.parametrize("sentence", LEANING)
def test_what_is_kept_back_may_show_whatever_leans_on_it(sentence):
    """It is below by its compute: nothing that was measured is asked for."""
    refers, others = LEANING[sentence]
    small = (UnderQuantity("effective_compute", Fraction(10**26)),)
    under = simple(line("t", AtLeast(1, refers), below_if=small), *others, gated=["t"])
    assert verdict(known(), under) == "permit"
    kept_back = known(runs("c", reported=False))
    assert verdict(kept_back, under) == "hold"
    assert [it.code for it in ask(kept_back, under, **API).cells[0].finding.tree.reasons] == ["unreported"]
    running = known(runs("c", reported=False, planned_at=AT - DAY))
    assert verdict(running, under, action="release-weights") == "hold"
    assert state(ask(running, under, action="release-weights")) == "not ruled out"
    apart = simple(line("t", B, below_if=small), line("z", C), gated=["t"])
    assert verdict(known(runs("c", reported=False)), apart) == "permit"


def test_a_judged_level_above_has_no_measures_to_keep_back():
    small = (UnderQuantity("effective_compute", Fraction(10**26)),)
    judged_one = Threshold("z", None, None, judged=Judged(BOARD, ("a",)), above=("t",))
    under = simple(line("t", B, below_if=small), judged_one, gated=["t"])
    assert verdict(known(runs("c", reported=False)), under) == "permit"
    assert verdict(known(runs("b", reported=False)), under) == "hold"


def test_a_permit_ends_when_a_plan_is_due_that_could_show_it_reached():
    under = simple(line("t", below_if=(UnderQuantity("effective_compute", Fraction(10**26)),)))
    late = runs(reported=False, planned_at=AT - DAY, report_by=AT + 3 * DAY)
    assert ask(add(known(), late), under, **API).bounds.not_after == AT + 3 * DAY


def approving(told):
    need = Approved("go", "go", BOARD, "subject", HALF_YEAR)
    return ask(told, simple(requires=("go",), requirements=named(need, Never("never"))), **API)


def test_keeping_back_a_result_does_not_keep_an_approval():
    """Of another task, too: the approval is of all that was known of the kin."""
    bad = known(runs(correct=40))
    told = replace(bad, approvals=(approved("go", saw(bad, "t", "reached"), at=STATED + DAY),))
    assert approving(told).verdict == "permit"
    for name in ("a", "c"):
        for kept in (runs(name, 99, seed=3), runs(name, seed=3, reported=False)):
            assert approving(add(told, kept)).verdict == "hold"
    early = runs("c", reported=False, planned_at=AT - DAY, report_by=AT + 3 * DAY)
    assert approving(add(told, early)).bounds.not_after == AT + 3 * DAY


def test_an_approval_is_over_when_what_it_saw_is_withdrawn_or_set_aside():
    bad, worse = runs(correct=40), runs(correct=50, seed=1)
    base = known(bad, worse)
    told = replace(base, approvals=(approved("go", saw(base, "t", "reached"), at=STATED + DAY),))
    assert approving(told).verdict == "permit"
    for change in ({"withdrawals": (withdrawn(worse.result),)}, {"set_asides": (aside(worse.result),)}):
        assert approving(replace(told, **change)).verdict == "hold"


# -- amending it away --------------------------------------------------------------------------------------------------

NEAR_MISS = runs(correct=20, planned_at=BEFORE)  # its upper bound is 0.28
NEW = runs(seed=9)
LATER = At("a", Fraction("0.50"))
RENAMED = {**MEASURES, "a2": replace(measure("a"), name="a2")}  # the same task
SINCE_THEN = {  # sentence: (the first version's thresholds, the second's, what else the second changes)
    "the level is raised": ([line("t")], [line("t", LATER)], {}),
    "the measure is renamed": ([line("t")], [line("t", At("a2", Fraction("0.50")))], {"measures": RENAMED}),
    "it goes behind a reference": ([line("t")], [line("t", Ref("s")), line("s", LATER)], {}),
    "it comes out of a reference": ([line("t", Ref("s")), line("s")], [line("t", LATER)], {}),
    "the measure is another one": ([line("t")], [line("t", B)], {}),
}


@pytest.mark.parametrize("sentence", SINCE_THEN)
def test_a_near_miss_of_an_earlier_version_stays_one(sentence):
    before, after, changes = SINCE_THEN[sentence]
    versions = [since(simple(*before, gated=("t",))), since(simple(*after, gated=("t",), **changes), SECOND_VERSION)]
    assert verdict(known(NEW, CLEAN_B), *versions) == "permit"
    assert verdict(known(NEAR_MISS, NEW, CLEAN_B), *versions) == "hold"


def test_an_earlier_version_does_not_judge_what_it_has_not_seen():
    """20 in 100 are too many for its level, and not for that of today; the same of a mean of two measures."""
    mean = {**MEASURES, "m": Mean("m", {"a": Fraction(1, 2), "b": Fraction(1, 2)})}
    for names in ("a", "ab"):
        name = "m" if names == "ab" else names
        first, second = (simple(line("t", At(name, Fraction(it))), measures=mean) for it in ("0.20", "0.50"))
        versions = since(first), since(second, SECOND_VERSION)
        clean = [runs(it, planned_at=BEFORE) for it in names]
        close = [runs(it, 20) for it in names]
        assert verdict(known(*clean, *close), *versions) == "permit"
        assert verdict(known(*clean, *close, *(runs(it, 20, planned_at=BEFORE) for it in names)), *versions) == "hold"


def test_a_result_of_an_earlier_version_is_judged_at_its_share_and_its_outer_confidence():
    """8 in 100 rule out 0.15 at 0.05, and neither at 0.025 nor at 0.01."""
    old = runs(correct=8, planned_at=BEFORE)
    whole, strict = simple(line("t")), Threshold("t", Ref("s"), quick(confidence=Fraction("0.99")))
    for first in (
        simple(line("t", AtLeast(2, (At("a", Fraction("0.20")), B)))),
        simple(strict, line("s"), gated=("t",)),
        simple(line("t", below_if=(UnderReference("reference", ("c",), Fraction(0)),))),  # a test of its own
    ):
        assert verdict(known(NEW, old), since(whole), since(whole, SECOND_VERSION)) == "permit"
        assert verdict(known(NEW), since(first), since(whole, SECOND_VERSION)) == "permit"
        assert verdict(known(NEW, old), since(first), since(whole, SECOND_VERSION)) == "hold"


def test_a_near_miss_of_what_the_subject_continues_stays_one():
    theirs = runs("b", 20, subject=FOUNDATION, planned_at=BEFORE)
    versions = since(simple(line("t", B))), since(simple(), SECOND_VERSION)
    for action, expected in (("scale", "hold"), ("deploy-api", "permit")):
        assert verdict(known(NEW), *versions, action=action) == "permit"
        assert verdict(known(NEW, theirs), *versions, action=action) == expected


def test_a_near_miss_is_told_with_what_the_earlier_version_has_not_seen():
    level = line("t", AtLeast(1, (At("a", Fraction("0.20")), B)))
    finding = ask(known(NEAR_MISS, NEW), since(simple(level)), since(simple(), SECOND_VERSION), **API).cells[0].finding
    unseen = "nothing that the version has seen rules out b >= 0.2"
    assert [(it.code, it.text) for it in finding.reasons if it.code == "unseen"] == [("unseen", unseen)]
    assert {"kind": "measure", "text": "b >= 0.2", "holds": False} in [
        {"kind": it.kind, "text": it.text, "holds": it.holds} for it in finding.tree.walk()
    ]


def test_an_earlier_version_reads_a_quantity_as_it_did_then():
    """1 time the reference's compute then, 100 times the foundation's now; either part is enough to be below."""
    both = line("t", AtLeast(2, (B, Amount("growth", Fraction(2)))))
    over = {name: {**MEASURES, "growth": ComputeRatio("growth", name)} for name in ("reference", "foundation")}
    told = known(NEW, runs("b", 20, planned_at=BEFORE))
    second = since(simple(measures=over["foundation"]), SECOND_VERSION)
    assert verdict(told, since(simple(both, measures=over["reference"])), second) == "permit"
    assert verdict(told, since(simple(both, measures=over["foundation"])), second) == "hold"


REFERENCE_RATIO = ComputeRatio("growth", "reference")
MEAN = {"m": Mean("m", {"b": Fraction(1, 2), "c": Fraction(1, 2)})}
BY_SCREEN = line("t", below_if=(UnderScreen("s"),))
BY_REFERENCE = line("t", below_if=(UnderReference("reference", ("b",), Fraction(0)),))
ON_A_MEAN = line("s", At("m", Fraction("0.20")), role="watch")
HIGHER_SCREEN = line("s", At("b", Fraction("0.30")), role="watch")
OTHER_B = {"b": replace(measure("b"), task="lab/d")}
WAYS = {  # sentence: (thresholds, what the second version changes, whether the way is still the same)
    "a screen": ([BY_SCREEN, SCREEN], {}, True),
    "a screen at another level": ([BY_SCREEN, SCREEN], {"thresholds": named(BY_SCREEN, HIGHER_SCREEN)}, False),
    "a screen on another measure of the name": ([BY_SCREEN, SCREEN], {"measures": {**MEASURES, **OTHER_B}}, False),
    "a subject": ([BY_REFERENCE], {}, True),
    "a subject, by another measure of the name": ([BY_REFERENCE], {"measures": {**MEASURES, **OTHER_B}}, False),
    "a screen on a mean": ([BY_SCREEN, ON_A_MEAN], {}, True),
    "a screen on a mean of others": ([BY_SCREEN, ON_A_MEAN], {"measures": {**MEASURES, **MEAN, **OTHER_B}}, False),
    "a new way": ([line("t"), SCREEN], {"thresholds": named(BY_SCREEN, SCREEN)}, False),
}


@pytest.mark.parametrize("sentence", WAYS)
def test_a_near_miss_that_a_way_outweighed_is_outweighed_while_that_way_is_the_same(sentence):
    levels, changes, same = WAYS[sentence]
    first = simple(*levels, gated=("t",), measures={**MEASURES, **MEAN})
    second = replace(first, **changes)
    ours = [runs(name) for name in "bcd"]
    theirs = [runs(name, 95, subject=REFERENCE) for name in "bcd"]
    told = known(NEAR_MISS, runs(subject=REFERENCE), *ours, *theirs, honest=(MODEL, REFERENCE))
    assert verdict(told, since(first), since(second, SECOND_VERSION)) == ("permit" if same else "hold")


POSITIVE = runs("b", 90, planned_at=BEFORE)
SMALL_ENOUGH = (UnderQuantity("effective_compute", Fraction(10**26)),)
JUDGED_B = Threshold("j", None, None, judged=Judged(BOARD, ("c",)))
NAMED_J = incident(thresholds=["j"], at=BEFORE)
DROPPED = {  # sentence: (the first version's thresholds, the second's, what is known beside a new result)
    "a higher level": ([line("t"), HIGHER], [line("t"), replace(HIGHER, above=())], known(NEW, POSITIVE)),
    "a reference to what was judged": (
        [line("t", AtLeast(1, (At("a", Fraction("0.20")), Ref("j")))), JUDGED_B], [line("t"), JUDGED_B],
        known(NEW, judgements=[judged("j", "reached", at=BEFORE)]),
    ),
    "a reference to what an incident named": (
        [line("t", AtLeast(1, (At("a", Fraction("0.20")), Ref("j")))), JUDGED_B], [line("t"), JUDGED_B],
        known(NEW, incidents=[NAMED_J]),
    ),
    "a higher level that an incident names": (
        [line("t"), HIGHER], [line("t"), replace(HIGHER, above=())],
        known(NEW, incidents=[incident(thresholds=["h"], at=BEFORE)]),
    ),
    "the measure, with a higher level that is not reached": (
        [line("t", B, below_if=SMALL_ENOUGH), line("h", At("c", Fraction("0.20")), above=("t",))],
        [line("t"), line("h", At("c", Fraction("0.20")), above=("t",))], known(NEW, POSITIVE),
    ),
    "the threshold from the gate": ([line("u", B), line("t")], [line("u", B), line("t")], known(NEW, POSITIVE)),
    "the threshold from the gate, though a quantity kept it below": (
        [line("u", B, below_if=SMALL_ENOUGH), line("t")], [line("t")],
        known(NEW, POSITIVE),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", DROPPED)
def test_what_made_it_reached_is_not_dropped(sentence):
    before, after, told = DROPPED[sentence]
    gated = ("t", "u") if sentence.startswith("the threshold from the gate") else ("t",)
    first = simple(*before, gated=gated, requires=("never",))
    second = simple(*after, gated=("t",), requires=("never",))
    assert verdict(known(NEW), since(first), since(second, SECOND_VERSION)) == "permit"
    assert verdict(told, since(first), since(second, SECOND_VERSION)) == "hold"


JUDGED_T = Threshold("t", None, None, judged=Judged(BOARD, ("a",)))
STILL_SAID = {  # sentence: (the threshold whose cell is dropped, what is said of it)
    "an incident names it": (line("t"), {"incidents": [incident(thresholds=["t"], at=BEFORE)]}),
    "a member judged it reached": (JUDGED_T, {"judgements": [judged("t", "reached", at=BEFORE)]}),
}


@pytest.mark.parametrize("sentence", STILL_SAID)
def test_what_was_said_of_a_threshold_is_not_dropped_with_its_cell(sentence):
    level, said = STILL_SAID[sentence]
    first = since(simple(level, line("u", B), gated=("t", "u"), requires=("never",)))
    without = simple(line("u", B), gated=("u",), requires=("never",))
    for second in (without, replace(without, thresholds=named(level, line("u", B)))):
        assert verdict(known(CLEAN_B), first, since(second, SECOND_VERSION)) == "permit"
        assert verdict(known(CLEAN_B, **said), first, since(second, SECOND_VERSION)) == "hold"


SAID_BY_OTHERS = {
    "by a stranger": judged("t", "reached", by=[AUDITOR], at=BEFORE),
    "of a stranger": judged("t", "reached", subject=REFERENCE, at=BEFORE),
    "later": judged("t", "reached", at=SECOND_VERSION + DAY),
}


@pytest.mark.parametrize("sentence", SAID_BY_OTHERS)
def test_what_others_judged_of_a_threshold_whose_cell_is_dropped_does_not_count(sentence):
    first = since(simple(JUDGED_T, line("u", B), gated=("t", "u"), requires=("never",)))
    second = since(simple(line("u", B), gated=("u",), requires=("never",)), SECOND_VERSION)
    assert verdict(known(CLEAN_B, judgements=[SAID_BY_OTHERS[sentence]]), first, second) == "permit"


def test_a_permit_ends_where_a_dropped_cell_would_come_back():
    scope = Scope(Amount("effective_compute", Fraction(2 * 10**24)))
    first, second = since(replace(simple(), scope=scope)), since(simple(line("u", B), gated=("u",)), SECOND_VERSION)
    told = known(runs(correct=90, planned_at=BEFORE), CLEAN_B)
    assert ask(told, first, second, **API).bounds.most_effective_compute == 2 * 10**24 - 1
    unscoped = replace(first, policy=simple())
    assert verdict(told, unscoped, second) == "hold"


def test_a_permit_ends_where_a_version_that_is_passed_over_begins_to_govern():
    narrow = replace(simple(), scope=Scope(Amount("effective_compute", Fraction(2 * 10**24))))
    versions = since(simple()), since(narrow, BEFORE), since(simple(), PLANNED + DAY)
    assert ask(known(A), *versions).bounds.most_effective_compute == 2 * 10**24 - 1


def test_a_permit_ends_with_what_keeps_an_earlier_version_from_being_against_it():
    """The first version's margin is a forecast; its other measure was never run, so that it is not below there."""
    kept = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(0, 30 * 86400))
    first = simple(line("t", AtLeast(1, (At("a", Fraction("0.20")), B)), rule_out=quick(buffer=kept)))
    told = known(runs(planned_at=BEFORE), NEW, forecasts=[forecast("a", at=PLANNED + 6 * DAY)])
    decision = ask(told, since(first), since(simple(), SECOND_VERSION), **API)
    assert decision.bounds.not_after == PLANNED + 36 * DAY


def test_of_parts_either_of_which_is_enough_the_one_that_lasts_keeps_an_earlier_version_from_being_against_it():
    kept = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(0, 30 * 86400))
    level = line("t", AtLeast(2, (At("a", Fraction("0.20")), B)), rule_out=quick(buffer=kept))
    said = [forecast("a", at=PLANNED + 6 * DAY), forecast("b", at=PLANNED + 8 * DAY)]
    told = known(runs(planned_at=BEFORE), runs("b", planned_at=BEFORE), NEW, forecasts=said)
    decision = ask(told, since(simple(level)), since(simple(), SECOND_VERSION), **API)
    assert decision.bounds.not_after == PLANNED + 38 * DAY


def test_a_permit_ends_with_the_first_thing_that_keeps_an_earlier_version_from_being_against_it():
    """Two forecasts, of which the second lasts longer; a cap of compute; a third measure was never run."""
    kept = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(0, 30 * 86400))
    third = At("c", Fraction("0.20"))
    level = line("t", AtLeast(1, (At("a", Fraction("0.20")), B, third)), rule_out=quick(buffer=kept))
    said = [forecast("a", at=PLANNED + 6 * DAY), forecast("b", at=PLANNED + 8 * DAY)]
    told = known(runs(planned_at=BEFORE), runs("b", planned_at=BEFORE), NEW, forecasts=said)
    second = since(simple(), SECOND_VERSION)
    assert ask(told, since(simple(level)), second, **API).bounds.not_after == PLANNED + 36 * DAY
    capped = line("t", AtLeast(1, (Amount("effective_compute", Fraction(2 * 10**24)), third)))
    assert ask(known(NEW), since(simple(capped)), second, **API).bounds.most_effective_compute == 2 * 10**24 - 1


BOTH = {  # sentence: (a quantity and its level, whether an earlier version calls it reached beside a positive result)
    "as large as the level": (Amount("training_compute", Fraction(10**24)), "hold"),
    "smaller": (Amount("training_compute", Fraction(10**24 + 1)), "permit"),
    "perhaps as large": (Amount("effective_compute", Fraction(11 * 10**23)), "permit"),
    "of an unknown subject": (Amount("growth", Fraction(2)), "permit"),
}


@pytest.mark.parametrize("sentence", BOTH)
def test_an_earlier_version_that_asks_for_a_quantity_too_calls_it_reached_where_it_is_certain(sentence):
    quantity, expected = BOTH[sentence]
    measures = {**MEASURES, "growth": ComputeRatio("growth", "nobody")}
    level = line("t", AtLeast(2, (B, quantity)), below_if=SMALL_ENOUGH)
    told = known(NEW, POSITIVE, subjects=family(model={"ec_high": 12 * 10**23}))
    versions = (
        since(simple(level, measures=measures, requires=("never",))),
        since(simple(requires=("never",)), SECOND_VERSION),
    )
    assert verdict(told, *versions) == expected


def test_nothing_is_against_what_an_earlier_version_combined_of_no_parts():
    """No policy that loads has one, and it is never below by itself."""
    empty, second = simple(line("t", AtLeast(1, ()))), since(simple(), SECOND_VERSION)
    assert verdict(known(NEW, NEAR_MISS), since(empty)) == "hold"
    assert verdict(known(NEW), since(empty), second) == "permit"


def test_a_hole_that_a_later_version_fills_is_below_by_what_is_evaluated_then():
    hole = Threshold("t", None, None)
    assert verdict(known(NEW), since(simple(hole)), since(simple(), SECOND_VERSION)) == "permit"
    assert verdict(known(NEW), since(simple(hole))) == "hold"


def test_a_way_that_means_something_else_is_another_way():
    """It is 100 times the foundation, and as large as the reference."""
    level = line("t", below_if=(UnderQuantity("growth", Fraction(2)),))
    over = {
        name: since(simple(level, measures={**MEASURES, "growth": ComputeRatio("growth", name)}), at)
        for name, at in (("foundation", BEFORE - DAY), ("reference", SECOND_VERSION))
    }
    told = known(NEAR_MISS)
    assert verdict(told, replace(over["reference"], since=BEFORE - DAY), over["reference"]) == "permit"
    assert verdict(told, over["foundation"], over["reference"]) == "hold"


def test_a_dropped_cell_that_another_way_kept_below_is_not_left_while_it_does():
    """A near miss that a screen outweighed under the version that had the cell."""
    first = since(simple(line("t", below_if=(UnderScreen("s"),)), SCREEN))
    second = since(simple(line("u", At("c", Fraction("0.20"))), gated=("u",)), SECOND_VERSION)
    told, screened = known(NEAR_MISS, runs("c")), runs("b", planned_at=BEFORE)
    assert verdict(told, first, second) == "hold"
    assert verdict(add(told, screened), first, second) == "permit"
    assert ask(add(told, screened), first, second, **API).bounds.not_after == QUARTER.after(BEFORE)


def test_a_dropped_cell_that_a_comparison_kept_below_is_not_left_while_it_does():
    first = since(simple(BY_REFERENCE))
    second = since(simple(line("u", At("c", Fraction("0.20"))), gated=("u",)), SECOND_VERSION)
    theirs = [runs(subject=REFERENCE), runs("b", 95, subject=REFERENCE)]
    told = known(NEAR_MISS, runs("c"), *theirs, honest=(MODEL, REFERENCE))
    assert verdict(told, first, second) == "hold"
    assert verdict(add(told, CLEAN_B), first, second) == "permit"


def test_what_is_left_of_an_earlier_gate_opens_by_its_own_requirements():
    """And a permit does not outlive them."""
    first, second = simple(line("t"), line("u", B), gated=("t", "u")), simple(line("t"), line("u", B), gated=("t",))
    told = known(NEW, POSITIVE, runs("b", 90, seed=4), attestations=[attested("audit", at=STATED)])
    decision = ask(told, since(first), since(second, SECOND_VERSION), **API)
    assert {cell.finding.threshold: cell.opens for cell in decision.cells} == {"t": True, "u": True}
    assert decision.verdict == "permit"
    assert (
        verdict(replace(told, attestations=told.attestations[:-1]), since(first), since(second, SECOND_VERSION))
        == "hold"
    )


STRICT, LOOSE = simple(line("t")), simple(line("t", At("a", Fraction("0.90"))), id="authority/base")
LEFT_OPEN = {
    "by `not_governed`": {
        "gates": {action: cells for action, cells in STRICT.gates.items() if action != "deploy-api"},
        "not_governed": {"deploy-api": "section 9"},
    },
    "by its scope": {"scope": Scope(Amount("training_compute", Fraction(10**25)))},
}


@pytest.mark.parametrize("sentence", LEFT_OPEN)
def test_leaving_an_action_open_does_not_open_it_to_what_was_reached(sentence):
    second = since(replace(STRICT, **LEFT_OPEN[sentence]), PLANNED + 10 * DAY)
    for correct, expected in ((0, "permit"), (60, "hold")):
        assert verdict(known(runs(correct=correct)), since(STRICT), second, since(LOOSE)) == expected
    audited = known(runs(correct=60), attestations=[attested("audit")])
    decision = ask(audited, since(STRICT), second, since(LOOSE), **API)
    assert decision.verdict == "permit"
    assert [ruling.governs for ruling in decision.rulings] == [True, False]


def test_a_policy_that_never_governed_bounds_no_permit():
    day = replace(STRICT.permits, lease=Duration(0, 86400))
    apart = replace(STRICT, **LEFT_OPEN["by `not_governed`"], permits=day)
    decision = ask(known(runs()), since(apart), since(LOOSE), **API)
    assert (decision.verdict, decision.bounds.not_after) == ("permit", LOOSE.permits.lease.after(AT))


def test_of_what_an_earlier_version_has_against_it_all_parts_are_told():
    judged_one = Threshold("z", None, None, judged=Judged(BOARD, ("c",)))
    first = simple(line("t", AtLeast(2, (Ref("z"), At("a", Fraction("0.20"))))), judged_one)
    both = AtLeast(2, (Ref("z"), At("a", Fraction("0.50"))))
    second = simple(line("t", both), judged_one)
    seen = known(runs(correct=20, planned_at=BEFORE), runs(seed=9), honest=(MODEL,))
    tree = ask(seen, since(first), since(second, SECOND_VERSION), **API).cells[0].finding.tree
    told = next(it for it in tree.walk() if it.kind == "version" and it.text == "z")
    assert [(it.code, it.text) for it in told.reasons] == [("unseen", "nothing that the version has seen rules out z")]


LONG = Permits(YEAR, Duration(0, 3600), GATEKEEPER)
YEARLY = quick(refresh=refresh(period=YEAR))
LASTING = simple(line("t", At("a", Fraction("0.90")), rule_out=YEARLY), id="authority/base", permits=LONG)
REACH = {  # sentence: (what was gated, how the later version leaves it open, how far a permit reaches)
    "as far as the gate that was": (3 * 10**24, {"not_governed": {"deploy-api": "section 9"}}, 3 * 10**24 - 1),
    "as far as the other policy": (9 * 10**24, {"not_governed": {"deploy-api": "section 9"}}, 4 * 10**24),
    "as far as the scope leaves it out": (
        9 * 10**24,
        {"scope": Scope(Amount("effective_compute", Fraction(2 * 10**24)))},
        2 * 10**24 - 1,
    ),
    "as far as the gate, within the scope": (
        3 * 10**24,
        {"scope": Scope(Amount("effective_compute", Fraction(9 * 10**24)))},
        3 * 10**24 - 1,
    ),
    "as far as the other policy, whatever the scope, where the action is left open": (
        9 * 10**24,
        {
            "not_governed": {"deploy-api": "section 9"},
            "scope": Scope(Amount("effective_compute", Fraction(2 * 10**24))),
        },
        4 * 10**24,
    ),
}


@pytest.mark.parametrize("sentence", REACH)
def test_what_was_left_open_bounds_what_another_policy_permits(sentence):
    level, opened, most = REACH[sentence]
    first = simple(Threshold("t", Amount("effective_compute", Fraction(level)), None), permits=LONG)
    gates = {} if "not_governed" in opened else first.gates
    second = since(replace(first, gates=gates, **opened), PLANNED + 10 * DAY)
    decision = ask(known(runs()), since(first), second, since(LASTING), **API)
    assert (decision.verdict, decision.bounds.most_effective_compute) == ("permit", most)


def test_a_permit_ends_with_what_keeps_open_a_cell_that_was_left():
    first = simple(line("t", rule_out=YEARLY), permits=LONG)
    second = since(replace(first, gates={}, not_governed={"deploy-api": "section 9"}), PLANNED + 10 * DAY)
    told = known(runs(correct=60), attestations=[attested("audit", at=PLANNED)])
    for under, ends in (([since(first), second], HALF_YEAR.after(PLANNED)), ([], HALF_YEAR.after(STATED))):
        assert ask(told, *under, since(LASTING), **API).bounds.not_after == ends
    short = replace(second, policy=replace(second.policy, permits=simple().permits))
    assert ask(told, since(first), short, since(LASTING), **API).bounds.not_after == AT + 30 * DAY


def up_to(level: int, *names: str, **changes) -> Policy:
    """A policy whose thresholds are reached from so much effective compute on."""
    lines = [Threshold(name, Amount("effective_compute", Fraction(level)), None) for name in names or "t"]
    return simple(*lines, gated=names, permits=LONG, **changes)


def outside(level: int) -> Policy:
    """One that is not about subjects of less effective compute."""
    return up_to(level, scope=Scope(Amount("effective_compute", Fraction(level))))


TWO_LEVELS = simple(
    *(
        Threshold(name, Amount("effective_compute", Fraction(most)), None)
        for name, most in (("t", 3 * 10**24), ("u", 2 * 10**24))
    ),
    gated=("t", "u"),
)
EARLIER = {  # sentence: the versions before one that leaves the action open; the least that any asks for is 2e24
    "the first asks for less, the second is not about it": (up_to(2 * 10**24), outside(3 * 10**24)),
    "the first is not about it, the second asks for less": (outside(3 * 10**24), up_to(2 * 10**24)),
    "a second cell asks for less": (TWO_LEVELS,),
}


@pytest.mark.parametrize("sentence", EARLIER)
def test_every_version_before_one_that_leaves_an_action_open_bounds_a_permit(sentence):
    *before, last = EARLIER[sentence]
    free = replace(last, gates={}, not_governed={"deploy-api": "section 9"}, scope=Scope(None))
    versions = [since(it, EFFECTIVE + place * DAY) for place, it in enumerate((*before, last, free))]
    decision = ask(known(runs()), *versions, since(LASTING), **API)
    assert (decision.verdict, decision.bounds.most_effective_compute) == ("permit", 2 * 10**24 - 1)


def dropping(*before: Threshold, **changes) -> list[Version]:
    """Two versions, of which the second gates `u`, at measure `c`, alone."""
    u = line("u", At("c", Fraction("0.20")), rule_out=YEARLY)
    first = simple(*before, u, gated=tuple(it.name for it in before if it.role != "watch"), permits=LONG, **changes)
    return [since(first), since(simple(*before, u, gated=("u",), permits=LONG), SECOND_VERSION)]


def test_a_permit_ends_with_what_keeps_a_dropped_cell_below():
    """A screen, of half as much compute as the rest; a forecast."""
    screen = replace(SCREEN, rule_out=quick(refresh=refresh(multiple=Fraction(2))))
    told = known(NEAR_MISS, runs("b", planned_at=PLANNED - DAY), runs("c"))
    bounds = ask(told, *dropping(line("t", below_if=(UnderScreen("s"),)), screen), **API).bounds
    assert (bounds.not_after, bounds.most_effective_compute) == (QUARTER.after(PLANNED - DAY), 2 * 10**24)
    kept = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(0, 60 * 86400))
    told = known(runs(planned_at=BEFORE), runs("c"), forecasts=[forecast(at=STATED)])
    assert ask(told, *dropping(line("t", rule_out=quick(buffer=kept))), **API).bounds.not_after == STATED + 60 * DAY


def test_a_permit_ends_with_what_answers_a_relative_at_a_dropped_cell():
    hard = {"elicitation": "fine-tuned", "demonstrations": 100, "flop": 10**18}
    positive = runs(subject=FOUNDATION, planned_at=BEFORE, correct=90, **hard)
    answer = runs(planned_at=PLANNED - 2 * DAY, signers=[AUDITOR], plan_signers=[AUDITOR], **hard)
    for made, ends in (((positive, answer), QUARTER.after(PLANNED - 2 * DAY)), ((answer,), HALF_YEAR.after(STATED))):
        decision = ask(known(*made, runs("c")), *dropping(line("t")), **API)
        assert (decision.verdict, decision.bounds.not_after) == ("permit", ends)
    assert verdict(known(positive, runs("c")), *dropping(line("t"))) == "hold"


def test_a_dropped_cell_opens_by_all_of_its_requirements():
    both = named(AUDIT, Attested("review", "a review", AUDITOR, "subject", HALF_YEAR), Never("never"))
    versions = dropping(line("t"), requires=("audit", "review"), requirements=both)
    for words, expected in ((("audit",), "hold"), (("review",), "hold"), (("audit", "review"), "permit")):
        told = known(runs(correct=90, planned_at=BEFORE), runs("c"), attestations=[attested(it) for it in words])
        assert verdict(told, *versions) == expected


def test_a_dropped_cell_is_clear_by_the_whole_of_its_alpha_and_no_more():
    """At 0.05 the bounds of 8 and 9 in 100 are 0.139 and 0.152; at 0.10 that of 9 is 0.138. The margin leaves 0.15."""
    for correct, expected in ((8, "permit"), (9, "hold")):
        told = known(runs(correct=correct, planned_at=BEFORE), runs("c"))
        assert verdict(told, *dropping(line("t", rule_out=quick(confidence=Fraction("0.95"))))) == expected


def test_what_was_left_open_is_told_only_where_it_holds():
    second = since(replace(STRICT, **LEFT_OPEN["by `not_governed`"]), PLANNED + 10 * DAY)
    for correct, words, cells in ((0, [], ()), (60, [attested("audit")], ()), (60, [], ("t",))):
        told = known(runs(correct=correct), attestations=words)
        decision = ask(told, since(STRICT), second, since(LOOSE), **API)
        (ruling,) = (it for it in decision.rulings if it.policy == "simple")
        assert (tuple(cell.finding.threshold for cell in ruling.cells), ruling.reasons) == (cells, ())
        assert ("reached" in {reason.code for reason in decision.all_reasons}) == bool(cells)


def test_what_is_closed_is_told_by_its_cells_with_or_without_room():
    second = since(replace(STRICT, **LEFT_OPEN["by `not_governed`"]), PLANNED + 10 * DAY)
    wide = known(runs(correct=60), subjects=family(model={"ec_high": 10**25}))
    (ruling,) = (it for it in ask(wide, since(STRICT), second, **API).rulings if it.policy == "simple")
    assert ([cell.opens for cell in ruling.cells], ruling.reasons) == ([False], ())


def test_a_version_that_was_not_about_the_subject_bounds_nothing_where_no_cell_is_missing():
    first = since(simple(scope=Scope(Amount("effective_compute", Fraction(2 * 10**24)))))
    assert ask(known(NEW), first, since(simple(), SECOND_VERSION), **API).bounds.most_effective_compute == 4 * 10**24


def test_a_version_is_not_in_force_before_the_ledger_had_it():
    bad, loose = runs(correct=45, planned_at=BEFORE), simple(line("t", At("a", Fraction("0.60"))))
    for begun in (SECOND_VERSION, BEFORE - 20 * DAY):
        told = known(bad, NEW)
        assert verdict(told, since(simple()), Version(loose, digest("2"), begun, SECOND_VERSION)) == "hold"
    alone = Version(simple(), digest("1"), BEFORE - 20 * DAY, AT + DAY)
    assert ask(known(A), alone).reasons[0].code == "not-in-force"


def test_a_word_is_for_the_requirement_as_it_read_then():
    more = named(Attested("audit", "against state actors", AUDITOR, "subject", HALF_YEAR), Never("never"))
    first, second = simple(), since(simple(requirements=more), PLANNED + 10 * DAY)
    reached = known(runs(correct=90), attestations=[attested("audit")])
    assert verdict(reached, first) == "permit"
    assert verdict(reached, since(first), second) == "hold"
    again = [attested("audit", at=PLANNED + 11 * DAY)]
    for words, expected in (
        (again, "hold"),
        ([attested("audit"), *again], "permit"),
    ):  # the first one wants its own
        assert verdict(known(runs(correct=90), attestations=words), since(first), second) == expected


def test_a_word_is_for_a_requirement_of_its_kind():
    """What was attested while that was asked is no attestation for what was to be approved then."""
    first = simple(requirements=named(Approved("audit", AUDIT.what, AUDITOR, "subject", HALF_YEAR), Never("never")))
    second = since(simple(), PLANNED + 10 * DAY)
    for at, expected in ((STATED, "hold"), (PLANNED + 11 * DAY, "permit")):
        told = known(runs(correct=90, planned_at=PLANNED + 10 * DAY), attestations=[attested("audit", at=at)])
        assert verdict(told, since(first), second) == expected


def test_a_takeover_hole_is_filled_by_a_measured_understanding_only():
    level = replace(line("t"), takeover_potential=True)
    hole = simple(level, requires=("why",), requirements=named(Hole("why", "?", BOARD, AT), Never("never")))
    word = named(Attested("why", "we understand it", BOARD, "subject", HALF_YEAR), Never("never"))
    known_why = replace(MEASURES["b"], kind="understanding")
    shown = {
        "measures": {**MEASURES, "b": known_why},
        "requirements": named(Measured("why", "b", Fraction("0.2"), quick())),
    }
    told = known(runs(correct=90), CLEAN_B, attestations=[attested("why", by=(BOARD,))])
    assert verdict(told, since(hole), since(replace(hole, requirements=word), BEFORE)) == "hold"
    assert verdict(told, since(hole), since(replace(hole, **shown), BEFORE)) == "permit"
    plain = replace(hole, thresholds=named(line("t")))
    assert verdict(told, since(plain), since(replace(plain, requirements=word), BEFORE)) == "permit"


TAKEOVER = replace(line("t"), takeover_potential=True)
WORD = Attested("why", "we understand it", BOARD, "subject", HALF_YEAR)
UNDERSTOOD = {
    **MEASURES,
    "b": replace(MEASURES["b"], kind="understanding"),
    "both": Mean("both", {"b": Fraction(1, 2), "c": Fraction(1, 2)}),
}
FILLED = {  # sentence: (what fills the hole, verdict)
    "an understanding that is measured": (Measured("why", "b", Fraction("0.2"), quick()), "permit"),
    "a capability that is measured": (Measured("why", "c", Fraction("0.2"), quick()), "hold"),
    "a mean of both": (Measured("why", "both", Fraction("0.2"), quick()), "hold"),
    "a word": (WORD, "hold"),
}


@pytest.mark.parametrize("sentence", FILLED)
@pytest.mark.parametrize("again", [0, 1])
def test_what_fills_a_takeover_hole_however_many_versions_later(sentence, again):
    filled, expected = FILLED[sentence]
    hole = simple(
        TAKEOVER,
        requires=("why",),
        measures=UNDERSTOOD,
        requirements=named(Hole("why", "?", BOARD, AT), Never("never")),
    )
    second = replace(hole, requirements=named(filled, Never("never")))
    made = runs(correct=90), CLEAN_B, runs("c")
    told = known(*made, attestations=[attested("why", by=(BOARD,))])
    versions = [since(second, BEFORE + step * DAY) for step in range(1 + again)]
    assert verdict(told, since(hole), *versions) == expected
    assert verdict(told, since(hole)) == "hold"
    assert verdict(told, *versions) == "permit"  # it never was a hole


def test_a_takeover_hole_is_told_as_one_and_what_filled_it_in_vain_as_well():
    need = named(Hole("why", "what would show it", BOARD, AT), Never("never"))
    hole = simple(TAKEOVER, requires=("why",), requirements=need)
    second = since(replace(hole, requirements=named(WORD, Never("never"))), BEFORE)
    told = known(runs(correct=90), attestations=[attested("why", by=(BOARD,))])
    for versions, text in (
        ([since(hole)], f"`why` is a hole: what would show it (owner `{BOARD}`)"),
        ([since(hole), second], "`why` was a hole; at takeover level only a measured understanding fills it"),
    ):
        (requirement,) = ask(told, *versions, **API).cells[0].requirements
        node = requirement.tree
        assert (node.kind, node.text, node.holds) == ("hole", "why", False)
        assert [(it.code, it.text) for it in node.reasons] == [("hole", text)]


def test_no_exception_stands_in_for_what_filled_a_takeover_hole_in_vain():
    others = (Attested("other", "", AUDITOR, "subject", HALF_YEAR), Never("never"))
    way = named(ExceptionRule("way", "interim", ("why",), ("other",), (BOARD,), HALF_YEAR))
    hole = simple(TAKEOVER, requires=("why",), requirements=named(Hole("why", "?", BOARD, AT), *others), exceptions=way)
    second = replace(hole, requirements=named(WORD, *others))
    told = known(runs(correct=90), attestations=[attested("other")], amendments=[amended("way")])
    assert verdict(told, since(second)) == "permit"
    assert verdict(told, since(hole), since(second, BEFORE)) == "hold"


def test_a_word_is_for_the_standard_that_was_named_then():
    def under(standard):
        return simple(requirements=named(replace(AUDIT, standard=standard), Never("never")))

    told = known(runs(correct=90, planned_at=PLANNED + 10 * DAY), attestations=[attested("audit")])
    for then, now, expected in (("iso", "iso", "permit"), ("iso", "soc", "hold"), ("iso", "", "hold")):
        assert verdict(told, since(under(then)), since(under(now), PLANNED + 9 * DAY)) == expected


def test_an_incident_on_a_relative_by_a_budget_that_no_version_had_any_more_is_none_against_a_requirement():
    generous, stingy = simple(attacker_budget=Fraction(1, 100)), since(simple(), PLANNED + 5 * DAY)
    words = [stated(HONEST, at=PLANNED + 5 * DAY), attested("audit"), attested("audit", at=PLANNED + 5 * DAY)]
    for subject, expected in ((SIBLING, "permit"), (MODEL, "hold")):
        happened = incident(requirements=["audit"], subject=subject, at=PLANNED + 6 * DAY)
        told = known(runs(correct=90, planned_at=PLANNED + 5 * DAY), attestations=words, incidents=[happened])
        assert verdict(told, since(generous), stingy) == expected


# -- numbers that are not what they seem -------------------------------------------------------------------------------


def test_what_was_refused_rules_no_capability_out():
    for refused, expected in ((200, "hold"), (100, "hold"), (10, "hold"), (0, "permit"), (-10, "permit")):
        assert verdict(known(runs(refused_scores=refused)), simple()) == expected, refused
    assert verdict(known(runs(refused_at_most=100)), simple()) == "permit"
    safe = named(measure("a", kind="safeguard"))
    assert verdict(known(runs(refused_scores=100)), simple(measures={**MEASURES, **safe})) == "permit"


def test_refusals_with_sums_are_dangerous_too():
    halves = named(measure("a", high=Fraction(2)))
    for refused, expected in ((0, "below"), (50, "not ruled out")):
        told = known(runs(total=Fraction(0), refused_scores=refused, samples=1000, scored=1000))
        assert state(ask(told, simple(line("t", At("a", Fraction(1))), measures={**MEASURES, **halves}))) in {expected}


@pytest.mark.parametrize("counts", [{"correct": -5}, {"scored": 120, "correct": 2}, {"scored": -1}])
def test_counts_that_cannot_be_rule_nothing_out(counts):
    assert verdict(known(runs(**counts)), simple()) == "hold"


def test_compute_that_cannot_be_is_no_subjects():
    for changes in ({"ec_low": 10**25}, {"ec_low": -1}, {"training_compute": -1}):
        assert verdict(known(A, subjects=family(model=changes)), simple()) == "hold"


def test_nothing_is_measured_by_a_subject_whose_compute_cannot_be():
    growth = simple(line("t", Amount("growth", Fraction(2))), measures={**MEASURES, "growth": REFERENCE_RATIO})
    assert verdict(known(), growth) == "permit"
    for changes in ({"ec_low": 10**26}, {"ec_low": -1}, {"training_compute": -1}):
        assert verdict(known(subjects=family(reference=changes)), growth) == "hold"


def test_a_subject_that_may_have_no_compute_at_all_is_known_and_has_no_room():
    decision = ask(known(A, subjects=family(model={"ec_low": 0})), simple())
    assert (decision.verdict, "unknown-parent" in codes(decision)) == ("hold", False)


def test_what_is_made_of_a_large_subject_is_no_smaller():
    large = {"training_compute": 10**27, "ec_low": 10**27, "ec_high": 10**27}
    kin = family(foundation=large, model={"steps": (Step(FOUNDATION, "distilled", 10**22),)})
    for quantity in ("training_compute", "effective_compute"):
        small = Amount(quantity, Fraction(10**26))
        assert state(ask(known(subjects=kin), simple(Threshold("t", small, None)), **API)) == "reached"
        both = simple(line("t", AtLeast(2, (small, At("a", Fraction("0.20"))))))
        assert state(ask(known(runs(correct=90), subjects=kin), both, **API)) == "reached"


def test_one_sample_repeats_nothing():
    under = simple(line("t", below_if=(UnderQuantity("effective_compute", Fraction(10**26)),)))
    bad = runs(correct=90, subject=FOUNDATION)
    again = {"elicitation": "fine-tuned", "demonstrations": 1, "planned_at": PLANNED + 3 * DAY}
    for samples, expected in ((1, "reached"), (99, "reached"), (100, "below")):
        mine = runs(samples=samples, plan_signers=[AUDITOR], signers=[AUDITOR], **again)
        assert state(ask(known(bad, mine), under, **API)) == expected


def test_what_a_cheap_derivative_shows_a_measured_requirement_does_not_deny():
    need = named(Measured("safe", "b", Fraction("0.20"), quick()), Never("never"))
    under = simple(requires=("safe",), requirements=need, attacker_budget=Fraction(1, 100))
    told = known(runs(correct=90), CLEAN_B)
    assert verdict(told, under) == "permit"
    assert verdict(add(told, runs("b", subject=CHILD)), under) == "permit"
    assert verdict(add(told, runs("b", 25, subject=CHILD)), under) == "permit"  # it does not show 0.20 at 0.05
    shown = add(told, runs("b", 100, subject=CHILD))
    assert verdict(shown, under) == "hold"
    assert "reached-derivative" in {it.code for it in ask(shown, under, **API).cells[0].requirements[0].tree.reasons}
    assert verdict(add(told, runs("b", 100, subject=CHILD)), replace(under, attacker_budget=Fraction(0))) == "permit"


def test_a_plan_by_an_earlier_versions_measure_keeps_a_requirement_from_being_measured():
    """The measure of the name was another one then; a plan for it is open still, and a permit ends when it is due."""
    first, second = (
        simple(requires=("safe",), requirements=named(Measured("safe", name, Fraction("0.20"), quick())))
        for name in "cb"
    )
    versions = since(first), since(second, SECOND_VERSION)
    told = known(runs(correct=90), CLEAN_B)
    late = runs("c", reported=False, planned_at=SECOND_VERSION - DAY, report_by=AT - DAY)
    running = runs("c", reported=False, planned_at=SECOND_VERSION - DAY, report_by=AT + DAY)
    assert verdict(told, *versions) == "permit"
    assert verdict(known(runs(correct=90), runs("b", 40)), *versions) == "hold"  # though nothing was seen of `c`
    assert verdict(add(told, late), *versions) == "hold"
    wide = [since(replace(it.policy, report_within=HALF_YEAR), it.since) for it in versions]
    assert ask(add(told, running), *wide, **API).bounds.not_after == AT + DAY
    assert verdict(add(told, running), *wide, action="release-weights") == "hold"


WORDS = {  # sentence: what the requirement was before
    "it was another kind of word": Approved("go", "go", AUDITOR, "subject", HALF_YEAR),
    "it was measured": Measured("go", "b", Fraction("0.20"), quick()),
    "it was a hole": Hole("go", "not known yet", BOARD, datetime(2027, 6, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("sentence", WORDS)
def test_a_word_is_for_a_requirement_as_it_stood_when_it_was_given(sentence):
    """The version before asked for an audit, and has it: nothing of that one holds."""
    now = Attested("go", "go", AUDITOR, "subject", HALF_YEAR)
    first = simple(requirements=named(AUDIT, WORDS[sentence]))
    second = simple(requires=("go",), requirements=named(AUDIT, now))
    for days, expected in ((-1, "hold"), (1, "permit")):
        words = [attested("go", at=SECOND_VERSION + days * DAY), attested("audit", at=SECOND_VERSION - 2 * DAY)]
        told = known(runs(correct=90), attestations=words)
        assert verdict(told, since(first), since(second, SECOND_VERSION)) == expected
        assert verdict(told, since(second), since(second, SECOND_VERSION)) == "permit"


def test_an_approval_is_not_of_what_somebody_was_to_attest():
    then, now = Attested("go", "go", BOARD, "subject", HALF_YEAR), Approved("go", "go", BOARD, "subject", HALF_YEAR)
    first, second = simple(requirements=named(AUDIT, then)), simple(requires=("go",), requirements=named(AUDIT, now))
    told = known(runs(correct=40), attestations=[attested("audit", at=SECOND_VERSION - 2 * DAY)])
    for days, expected in ((-1, "hold"), (1, "permit")):
        word = approved("go", saw(told, "t", "reached"), at=SECOND_VERSION + days * DAY)
        assert verdict(replace(told, approvals=(word,)), since(first), since(second, SECOND_VERSION)) == expected


def test_a_new_requirement_asks_for_the_plans_of_the_task_that_its_measure_had():
    old = simple(
        requirements=named(AUDIT), requires=("audit",), measures={**MEASURES, "b": measure("b", task="lab/old")}
    )
    new = simple(requires=("safe",), requirements=named(Measured("safe", "b", Fraction("0.20"), quick())))
    versions = since(old), since(new, SECOND_VERSION)
    told = known(runs(correct=90), CLEAN_B)
    assert verdict(told, *versions) == "permit"
    left_out = runs("old", reported=False, planned_at=SECOND_VERSION - DAY, report_by=AT - DAY)
    assert verdict(add(told, left_out), *versions) == "hold"


# -- how far a permit reaches ------------------------------------------------------------------------------------------


def test_a_judgement_reaches_no_further_through_another_threshold():
    tight = quick(refresh=refresh(multiple=Fraction(3, 2)), buffer=buffer(multiple=Fraction(2)))
    level = Threshold("j", None, tight, judged=Judged(BOARD, ("a",)))
    told = known(A, judgements=[judged("j", "below", A)])
    need = named(RuledOut("r", "j"), Never("never"))
    for under in (
        simple(level),
        simple(Threshold("t", Ref("j"), None), level, gated=("t",)),
        simple(line("t", At("c", Fraction("0.20")), below_if=(UnderScreen("j"),)), level, gated=("t",)),
    ):
        assert ask(told, under).bounds.most_effective_compute == 15 * 10**23
        wide = replace(told, subjects=family(model={"ec_high": 3 * 10**24}))
        assert ask(wide, under).verdict == "hold"
    opened = add(told, runs(correct=60, seed=2))
    opened = replace(opened, judgements=(judged("j", "below", A, at=STATED + DAY),))
    under = simple(line("t"), level, gated=("t",), requires=("r",), requirements=need)
    assert ask(opened, under).bounds.most_effective_compute == 15 * 10**23


def test_a_permit_ends_where_another_policy_begins_to_govern():
    base = simple(line("t"), id="authority/base", scope=Scope(Amount("effective_compute", Fraction(11 * 10**23))))
    assert ask(known(A), simple(), base).bounds.most_effective_compute == 11 * 10**23 - 1
    both = AtLeast(
        2, (Amount("effective_compute", Fraction(11 * 10**23)), Amount("training_compute", Fraction(10**25)))
    )
    assert ask(known(A), simple(), replace(base, scope=Scope(both))).bounds.most_effective_compute == 4 * 10**24


def test_a_measured_requirement_reaches_as_far_as_its_own_margin_is_for():
    for multiple, most in ((1, 4), (2, 2), (6, 4)):
        rule = quick(buffer=buffer(multiple=Fraction(multiple)))
        need = named(Measured("safe", "b", Fraction("0.20"), rule), Never("never"))
        told = known(runs(correct=90), CLEAN_B)
        bounds = ask(told, simple(requires=("safe",), requirements=need)).bounds
        assert bounds.most_effective_compute == most * 10**24


def test_a_measured_requirement_is_judged_by_earlier_versions_as_far_as_they_have_seen_results():
    """The first one's margin is a forecast, which nobody has made."""
    unknown = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=QUARTER)
    first, second = (
        simple(requires=("safe",), requirements=named(Measured("safe", "b", Fraction("0.20"), quick(buffer=margin))))
        for margin in (unknown, buffer())
    )
    versions = since(first), since(second, SECOND_VERSION)
    later, earlier = runs("b"), runs("b", 20, planned_at=BEFORE)
    assert verdict(known(runs(correct=90), later), *versions) == "permit"
    assert verdict(known(runs(correct=90), later, earlier), *versions) == "hold"
    (requirement,) = ask(known(runs(correct=90), later, earlier), *versions, **API).cells[0].requirements
    assert [it.code for node in requirement.tree.walk() for it in node.reasons] == ["no-forecast", "bound"]


def test_a_check_that_failed_on_the_subject_is_not_passed_by_its_ancestor():
    checked = Assumption(HONEST, AUDITOR, HALF_YEAR, checked="noise", coverage=Fraction("0.5"))
    kin = family(foundation={"training_compute": 5 * 10**23, "ec_low": 5 * 10**23, "ec_high": 5 * 10**23})
    words = [
        stated(HONEST, about=FOUNDATION, check=Check("noise", True, 100, 100)),  # noqa: FBT003
        stated(HONEST, about=MODEL, check=Check("noise", False, 100, 100), at=STATED + DAY),  # noqa: FBT003
    ]
    for said, expected in ((words[:1], "permit"), (words, "hold")):
        told = facts(runs(subject=FOUNDATION), subjects=kin, attestations=said)
        assert ask(told, simple(assumptions=named(checked))).verdict == expected


CHECKED = simple(assumptions=named(Assumption(HONEST, AUDITOR, HALF_YEAR, checked="noise", coverage=Fraction("0.5"))))
LARGE = {"training_compute": 5 * 10**23, "ec_low": 5 * 10**23, "ec_high": 5 * 10**23}
SCALE = {"action": "scale"}


def probed(about, days, *, passed):
    return stated(HONEST, about=about, check=Check("noise", passed, 100, 100), at=STATED + days * DAY)


COPY = family(foundation=LARGE, child={"steps": (Step(MODEL, "continued", 0),)})
#: What went on from a merge, for less than one of the merged took from the foundation.
MERGE = family(
    foundation=LARGE,
    sibling={**LARGE, "steps": (Step(FOUNDATION, "continued", 10**22),)},
    reference={**LARGE, "steps": (Step(FOUNDATION, "continued", 10**23),)},
    model={"steps": (Step(SIBLING, "merged", 0), Step(REFERENCE, "merged", 0))},
    child={"steps": (Step(MODEL, "continued", 8 * 10**22),)},
)


def of_a_copy(*words, evaluated, kin=COPY):
    """Whether what went on from the model for nothing, or so, may scale."""
    told = facts(*(runs(subject=it) for it in evaluated), subjects=kin, attestations=words)
    return verdict(told, CHECKED, subject=CHILD, **SCALE)


def test_a_check_that_failed_is_not_shed_by_registering_the_subject_once_more():
    """With a file beside it, say: a step that trains nothing."""
    good, bad = probed(FOUNDATION, 0, passed=True), probed(MODEL, 1, passed=False)
    found = partial(of_a_copy, evaluated=(FOUNDATION,))
    assert found(good) == "permit"
    assert found(good, bad) == "hold"
    assert found(good, bad, probed(FOUNDATION, 2, passed=True)) == "hold"  # what failed is further on
    for who in (MODEL, CHILD):
        again = probed(who, 2, passed=True)
        assert found(good, bad, again) == "hold"  # of which nothing was evaluated
        assert found(good, bad, again, evaluated=(FOUNDATION, who)) == "permit"
        assert found(again, replace(bad, at=STATED + 3 * DAY), evaluated=(who,)) == "hold"


@pytest.mark.parametrize("kin", [COPY, MERGE], ids=["for nothing", "from a merge with less"])
def test_a_check_that_failed_on_what_came_of_the_ancestor_is_not_passed_by_it_though_that_stands_beside_it(kin):
    """What went on from it took no more, by some way, than it or one of its ancestors did."""
    good, bad = probed(MODEL, 0, passed=True), probed(CHILD, 1, passed=False)
    found = partial(of_a_copy, evaluated=(MODEL,), kin=kin)
    assert found(good) == "permit"
    assert found(good, bad) == "hold"
    assert found(good, bad, probed(MODEL, 2, passed=True)) == "hold"
    assert found(good, bad, probed(CHILD, 2, passed=True), evaluated=(MODEL, CHILD)) == "permit"


def test_a_check_that_failed_on_what_the_ancestor_came_from_is_passed_by_the_ancestor():
    kin = family(foundation=LARGE, model={"ec_low": 10**24}, child={"steps": (Step(MODEL, "continued", 10**22),)})
    words = [probed(MODEL, 1, passed=True), probed(FOUNDATION, 0, passed=False)]
    for days, expected in ((0, "permit"), (2, "hold")):
        said = sorted([words[0], replace(words[1], at=STATED + days * DAY)], key=lambda it: it.at)
        told = facts(runs(), subjects=kin, attestations=said)
        assert verdict(told, CHECKED, subject=CHILD, **SCALE) == expected


def test_a_check_that_failed_on_a_snapshot_beside_the_subject_speaks_against_it():
    """Whichever way the snapshot came: by a copy, too, as far as a version asked for that which has seen the check."""
    ways = {  # how: (its steps, what else there is, whether it is beside the subject)
        "continued": ((Step(FOUNDATION, "continued", 10**23),), {}, "hold"),
        "fine-tuned": ((Step(FOUNDATION, "fine-tuned", 10**23),), {}, "permit"),
        "from a copy": ((Step(CHILD, "continued", 10**23),), {"steps": (Step(FOUNDATION, "edited", 10**20),)}, "hold"),
    }
    first, second = since(replace(CHECKED, attacker_budget=Fraction(1, 100))), since(CHECKED, SECOND_VERSION)
    good, bad = probed(FOUNDATION, 0, passed=True), probed(SIBLING, 1, passed=False)
    for steps, child, expected in ways.values():
        kin = family(foundation=LARGE, sibling={"steps": steps}, child=child)

        def found(*words, under, kin=kin):
            return verdict(facts(runs(subject=FOUNDATION), subjects=kin, attestations=words), *under, **SCALE)

        assert found(good, under=(first,)) == found(good, under=(first, second)) == "permit"
        assert found(good, bad, under=(first,)) == expected
        assert found(replace(bad, at=BEFORE), good, under=(first, second)) == expected
        assert found(good, bad, under=(first, second)) == ("permit" if child else expected)
        answered = [replace(bad, at=BEFORE), probed(MODEL, 0, passed=True)]  # by a later one of what came after it
        assert verdict(facts(runs(), subjects=kin, attestations=answered), first, second, **SCALE) == "permit"


# -- what an earlier version has seen ----------------------------------------------------------------------------------


def test_a_forecast_that_an_earlier_version_asked_for_is_missed_in_what_it_saw():
    asked = quick(buffer=buffer(forecast_by=AUDITOR, fresh_for=HALF_YEAR))
    first, second = simple(line("t", rule_out=asked)), simple(line("t", LATER))
    told = known(runs(planned_at=BEFORE), runs(seed=9))
    assert verdict(told, since(first), since(second, SECOND_VERSION)) == "hold"
    said = replace(told, forecasts=(forecast(at=SECOND_VERSION - DAY),))
    assert verdict(said, since(first), since(second, SECOND_VERSION)) == "permit"


@pytest.mark.parametrize(("said", "expected"), [("below", "below"), ("reached", "reached")])
def test_a_judgement_of_a_higher_level_that_was_dropped_counts_as_what_it_says(said, expected):
    higher = Threshold("z", None, None, judged=Judged(BOARD, ("a",)), above=("t",))
    word = judged("z", said, at=SECOND_VERSION - DAY)
    told = known(runs(), judgements=[word])
    decision = ask(told, since(simple(line("t"), higher, gated=["t"])), since(simple(), SECOND_VERSION), **API)
    assert state(decision) == expected


def test_of_several_approvals_the_last_counts():
    told = known(runs(correct=40))
    need = Approved("go", "go", BOARD, "subject", WEEK)
    under = simple(requires=("go",), requirements=named(need))
    words = tuple(approved("go", saw(told, "t", "reached"), at=AT - days * DAY) for days in (3, 6))
    for order in (words, words[::-1]):
        assert ask(replace(told, approvals=order), under, **API).bounds.not_after == AT + 4 * DAY


def test_an_approval_is_over_when_something_happens_to_the_kin():
    told = known(runs(correct=40))
    under = simple(requires=("go",), requirements=named(Approved("go", "go", BOARD, "subject", HALF_YEAR)))
    words = replace(told, approvals=(approved("go", saw(told, "t", "reached")),))
    for who, expected in ((CHILD, "hold"), (REFERENCE, "permit"), (None, "hold")):
        happened = incident("theft", subject=who, at=STATED + DAY)
        assert verdict(replace(words, incidents=(happened,)), under) == expected


def test_an_incident_is_not_against_what_an_exception_has_nothing_to_do_with():
    other, own = (Attested(name, name, AUDITOR, "subject", HALF_YEAR) for name in ("other", "own"))
    way = ExceptionRule("e", "interim", ("audit",), ("other",), (BOARD,), MONTH)
    under = simple(requires=("own",), requirements=named(AUDIT, other, own), exceptions=named(way))
    told = known(runs(correct=90), attestations=[attested("own")])
    happened = replace(told, incidents=(incident(requirements=["audit"], at=STATED + DAY),))
    assert verdict(happened, under) == "permit"
    assert verdict(replace(told, incidents=(incident(requirements=["own"], at=STATED + DAY),)), under) == "hold"


def test_a_cell_that_was_dropped_is_about_the_deployment_that_is_asked_about():
    of = measure("d", on="deployment")
    word = named(Attested("safe", "safe", AUDITOR, "deployment", HALF_YEAR))
    lines = line("t"), line("z", At("d", Fraction("0.20")))
    both, one = (
        simple(*lines, gated=gated, requires=("safe",), requirements=word, measures={**MEASURES, "d": of})
        for gated in (("t", "z"), ("t",))
    )
    bad = runs("d", 90, deployment=OFFERED, planned_at=BEFORE)
    asked = {**API, "deployment": OFFERED}
    for about, expected in ((OFFERED, "permit"), (MODEL, "hold")):
        told = known(runs(), bad, attestations=[attested("safe", about=about, at=BEFORE + DAY)])
        assert ask(told, since(both), since(one, SECOND_VERSION), **asked).verdict == expected


def test_what_was_clear_when_its_cell_was_dropped_need_not_be_measured_again():
    early = datetime(2026, 3, 10, tzinfo=UTC)
    told = known(runs(), runs("c", planned_at=early))
    both, one = (simple(line("t"), line("z", C), gated=gated) for gated in (("t", "z"), ("t",)))
    assert ask(told, since(both), **API).bounds.not_after == QUARTER.after(early)
    assert ask(told, since(both), since(one, SECOND_VERSION), **API).bounds.not_after == AT + 30 * DAY


def test_nobody_is_to_evaluate_what_was_dropped():
    happened = incident(thresholds=["z"], at=BEFORE)
    both, one = (simple(line("t"), line("z", C), gated=gated) for gated in (("t", "z"), ("t",)))
    for words, expected in (((attested("audit", at=BEFORE + DAY),), "permit"), ((), "hold")):
        told = known(runs(), attestations=words, incidents=(happened,))
        assert verdict(told, since(both), since(one, SECOND_VERSION)) == expected
        assert verdict(told, since(both)) == "hold"
    held = ask(told, since(both), since(one, SECOND_VERSION), **API).cells
    assert [(it.finding.threshold, it.finding.overdue) for it in held] == [("t", None), ("z", None)]


def test_a_plan_that_several_versions_ask_for_is_told_of_once():
    need = named(Measured("safe", "b", Fraction("0.20"), quick()))
    under = simple(requires=("safe",), requirements=need)
    late = runs("b", seed=1, reported=False, planned_at=SECOND_VERSION - DAY)
    decision = ask(add(known(runs(correct=90), CLEAN_B), late), since(under), since(under, SECOND_VERSION), **API)
    reasons = decision.cells[0].requirements[0].tree.reasons
    assert [it.code for it in reasons].count("unreported") == 1


def test_a_plan_that_was_open_at_an_irreversible_action_is_so_when_an_amendment_calls_it_reversible():
    gates = {"partners": {"t": Cell(("never",))}}
    final, easy = ({"gates": gates, "actions": named(Action("partners", reversible=it))} for it in (False, True))
    effect, partners = AT - 8 * DAY, {"action": "partners"}
    new, words = runs(seed=9, planned_at=AT - 5 * DAY), [stated(HONEST, at=AT - 4 * DAY)]
    told = facts(new, attestations=words)
    versions = since(simple(**final)), since(simple(**easy), effect)
    for name in ("a", "b"):  # what is at stake, and another task
        kept = runs(name, 90, reported=False, planned_at=AT - 10 * DAY)
        expected = "hold" if name == "a" else "permit"
        assert verdict(told, *versions, **partners) == "permit"
        assert verdict(add(told, kept), *versions, **partners) == expected
        assert verdict(add(told, runs(name, planned_at=AT - 10 * DAY)), *versions, **partners) == "permit"
        later = runs(name, 90, reported=False, planned_at=AT - 7 * DAY)  # which the first version has not seen
        assert verdict(add(told, later), *versions, **partners) == "permit"
        assert verdict(add(told, kept), since(simple(**easy)), **partners) == "permit"
    held = ask(add(told, runs(reported=False, planned_at=AT - 10 * DAY)), *versions, **partners)
    assert "open-plan" in codes(held)


def test_an_approval_waits_for_a_plan_that_was_open_at_an_irreversible_action():
    need = named(Approved("go", "go", BOARD, "subject", HALF_YEAR), Never("never"))
    first, second = (
        simple(
            requires=("go",),
            requirements=need,
            gates={"partners": {"t": Cell(("go",))}},
            actions=named(Action("partners", reversible=reversible)),
        )
        for reversible in (False, True)
    )
    versions, partners = (since(first), since(second, AT - 8 * DAY)), {"action": "partners"}
    bad = runs(correct=40, seed=9, planned_at=AT - 5 * DAY)
    for made, expected in ((), "permit"), ((runs("c", reported=False, planned_at=AT - 10 * DAY),), "hold"):
        told = facts(bad, *made, attestations=[stated(HONEST, at=AT - 4 * DAY)])
        word = approved("go", saw(told, "t", "reached"), at=AT - 3 * DAY)
        assert verdict(replace(told, approvals=(word,)), *versions, **partners) == expected


def test_a_near_miss_beside_the_subject_stays_beside_it_when_an_amendment_lowers_the_attackers_budget():
    """It was continued from a copy of what the subject was continued from, for a thousandth of its training."""
    kin = family(
        foundation=LARGE,
        sibling={"steps": (Step(FOUNDATION, "edited", 5 * 10**20),)},
        child={"steps": (Step(SIBLING, "continued", 10**23),)},
    )
    budget = {share: simple(attacker_budget=Fraction(share)) for share in ("1/100", "0")}
    near = runs(correct=20, subject=CHILD, planned_at=BEFORE)
    told = known(NEW, subjects=kin)
    for first, second, expected in (
        ("1/100", "1/100", "hold"),
        ("1/100", "0", "hold"),
        ("0", "1/100", "hold"),
        ("0", "0", "permit"),
    ):
        versions = since(budget[first]), since(budget[second], SECOND_VERSION)
        assert verdict(told, *versions, **SCALE) == "permit"
        assert verdict(add(told, near), *versions, **SCALE) == expected
        assert verdict(add(told, near), *versions) == "permit"  # what stands beside it is not what is deployed
        later = runs(correct=20, subject=CHILD, planned_at=PLANNED)
        assert verdict(add(told, later), *versions, **SCALE) == ("permit" if second == "0" else "hold")
    lowered = since(budget["1/100"]), since(budget["0"], SECOND_VERSION)
    assert "bound" in codes(ask(add(told, near), *lowered))
    assert verdict(add(told, runs(subject=CHILD, planned_at=BEFORE)), *lowered, **SCALE) == "permit"


# -- outweighing what an earlier version has seen ----------------------------------------------------------------------

#: Clean, of a task of which the version before has seen nothing, and announced by nobody.
UNPLANNED = runs("b", planned=False, signers=(), at=BEFORE + DAY)
SOUND = runs("b", planned_at=BEFORE)
CLOSE = runs(correct=15, planned_at=BEFORE)
ALL_OF = line("t", AtLeast(2, (At("a", Fraction("0.20")), B)))
ON_MEAN = {**MEASURES, "m": Mean("m", {"b": Fraction(1, 2), "c": Fraction(1, 2)})}
UNSOUND = {  # sentence: what is no evidence of the version's own demands
    "announced by nobody": UNPLANNED,
    "signed by another role": runs("b", planned_at=BEFORE, signers=(AUDITOR,)),
    "of another elicitation than demanded": runs("b", planned_at=BEFORE, elicitation="few-shot"),
    "of too few samples": runs("b", planned_at=BEFORE, scored=97),
}
AMENDED = {  # sentence: (the second version's thresholds, those that it gates)
    "by asking for another task": ([line("t", C)], ("t",)),
    "by dropping the cell": ([ALL_OF, line("u", C)], ("u",)),
}


@pytest.mark.parametrize("action", ["scale", "deploy-api", "release-weights"])
@pytest.mark.parametrize("unsound", UNSOUND)
@pytest.mark.parametrize("sentence", AMENDED)
def test_what_is_not_sound_outweighs_no_near_miss_that_an_amendment_leaves_behind(sentence, unsound, action):
    lines, gated = AMENDED[sentence]
    first = simple(ALL_OF, line("u", C), gated=("t", "u"))
    versions = since(first), since(simple(*lines, gated=gated), SECOND_VERSION)
    told = known(CLOSE, runs("c"))
    assert verdict(known(runs("c")), *versions, action=action) == "permit"
    assert verdict(told, *versions, action=action) == "hold"
    assert verdict(add(told, UNSOUND[unsound]), *versions, action=action) == "hold"
    assert verdict(add(told, SOUND), *versions, action=action) == "permit"


@pytest.mark.parametrize("unsound", UNSOUND)
@pytest.mark.parametrize("of_what", ["a threshold", "a requirement"])
def test_what_is_not_sound_says_nothing_of_a_mean_whose_other_measure_an_earlier_version_has_seen(of_what, unsound):
    """The one that it has not seen may be as dangerous as can be."""
    lines = [line("t", At(name, Fraction("0.20"))) for name in ("m", "c")]
    first, second = (simple(it, measures=ON_MEAN) for it in lines)
    if of_what == "a requirement":
        needs = [Measured("safe", name, Fraction("0.20"), quick()) for name in ("m", "c")]
        first, second = (
            simple(requires=("safe",), requirements=named(need, Never("never")), measures=ON_MEAN) for need in needs
        )
    versions = since(first), since(second, SECOND_VERSION)
    told = known(runs(correct=90), runs("c"))
    half = add(told, runs("c", 2, planned_at=BEFORE))
    assert verdict(told, *versions) == "permit"
    assert verdict(half, *versions) == "hold"
    assert verdict(add(half, UNSOUND[unsound]), *versions) == "hold"
    assert verdict(add(half, SOUND), *versions) == "permit"


def test_a_mean_takes_a_measure_as_known_by_what_is_sound_for_one_of_its_demands():
    """The others are missing, which is nothing against it."""
    both = quick(elicitation=(PROMPTED, FEW_SHOT))
    first = simple(line("t", At("m", Fraction("0.20")), rule_out=both), measures=ON_MEAN)
    versions = since(first), since(simple(line("t", C), measures=ON_MEAN), SECOND_VERSION)
    half = known(runs("c", planned_at=BEFORE), runs("c"))
    assert verdict(half, *versions) == "hold"
    assert verdict(add(half, SOUND), *versions) == "permit"
    assert verdict(add(half, runs("b", elicitation="few-shot", planned_at=BEFORE)), *versions) == "permit"
    assert verdict(add(half, runs("b", elicitation="scaffolded", planned_at=BEFORE)), *versions) == "hold"


def test_what_outweighs_a_near_miss_of_an_earlier_version_does_so_at_any_age():
    """It was sound, and the version that asked for it is over."""
    versions = since(simple(ALL_OF)), since(simple(line("t", C)), SECOND_VERSION)
    old = {"planned_at": datetime(2026, 2, 1, tzinfo=UTC)}
    assert verdict(known(runs("b", **old), CLOSE, runs("c")), *versions) == "permit"
    assert verdict(known(runs("b", **old), CLOSE, runs("c"), runs("b", 20, planned_at=BEFORE)), *versions) == "hold"


def test_what_outweighs_a_near_miss_is_as_sound_as_every_demand_of_its_version():
    both = replace(ALL_OF, rule_out=replace(quick(), elicitation=(PROMPTED, FEW_SHOT)))
    versions = since(simple(both)), since(simple(line("t", C)), SECOND_VERSION)
    told = known(CLOSE, SOUND, runs("c"))
    assert verdict(told, *versions) == "hold"
    assert verdict(add(told, runs("b", elicitation="few-shot", planned_at=BEFORE)), *versions) == "permit"
    nothing = since(simple(replace(ALL_OF, rule_out=replace(quick(), elicitation=()))))
    assert verdict(told, nothing, versions[1]) == "hold"


def test_what_outweighs_a_near_miss_reaches_as_far_as_what_was_evaluated():
    versions = since(simple(ALL_OF)), since(simple(line("t", C)), SECOND_VERSION)
    theirs = runs("b", subject=FOUNDATION, planned_at=BEFORE)
    for size, most in ((5 * 10**23, 2 * 10**24), (2 * 10**23, None), (10**24, 4 * 10**24)):
        kin = family(foundation={"training_compute": size, "ec_low": size, "ec_high": size})
        told = known(CLOSE, theirs, runs("c"), subjects=kin)
        assert verdict(told, *versions) == "hold"  # a deployment is of what was evaluated itself
        bounds = ask(told, *versions).bounds
        assert (bounds and bounds.most_effective_compute) == most
    near = family(foundation=LARGE, sibling={**LARGE, "steps": (Step(FOUNDATION, "continued", 10**20),)})
    beside = replace(theirs, result=replace(theirs.result, subject=SIBLING), plan=replace(theirs.plan, subject=SIBLING))
    for of_b, most in (([theirs, SOUND], 4 * 10**24), ([theirs, beside], 2 * 10**24), ([beside], None)):
        bounds = ask(known(CLOSE, *of_b, runs("c"), subjects=near), *versions).bounds  # nothing beside it stands in
        assert (bounds and bounds.most_effective_compute) == most
    unopposed = known(runs(subject=FOUNDATION, planned_at=BEFORE), theirs, runs("c"), subjects=near)
    assert ask(unopposed, *versions).bounds.most_effective_compute == 4 * 10**24
    tight = since(simple(replace(ALL_OF, rule_out=quick(buffer=buffer(multiple=Fraction(3, 2))))))
    assert ask(known(CLOSE, SOUND, runs("c")), tight, versions[1]).bounds.most_effective_compute == 15 * 10**23
    wide = family(model={"ec_high": 16 * 10**23})
    assert ask(known(CLOSE, SOUND, runs("c"), subjects=wide), tight, versions[1]).verdict == "hold"


def test_what_outweighs_a_near_miss_is_sound_also_where_nothing_was_trained():
    """No effective compute is no less than what nothing reaches."""
    nothing = {"training_compute": 0, "ec_low": 0, "ec_high": 0}
    untrained = family(foundation=nothing, model=nothing)
    second = since(simple(line("t", C)), SECOND_VERSION)
    no_demand = replace(ALL_OF, rule_out=replace(quick(), elicitation=()))
    for level, of_b, expected in (
        (ALL_OF, UNPLANNED, "hold"),
        (ALL_OF, SOUND, "permit"),
        (no_demand, SOUND, "hold"),
    ):
        told = known(CLOSE, of_b, runs("c"), subjects=untrained)
        assert verdict(told, since(simple(level)), second) == expected


def test_what_outweighs_a_near_miss_does_so_only_in_its_own_part():
    """Either of the parts is enough to be reached there, and one of them was close, but for what outweighs that."""
    level = line("t", AtLeast(1, (C, ALL_OF.reached_when)))
    versions = since(simple(level)), since(simple(line("t", C)), SECOND_VERSION)
    told = known(CLOSE, runs("c"))
    assert verdict(add(told, UNPLANNED), *versions) == "hold"
    assert verdict(add(told, SOUND), *versions) == "permit"
    assert verdict(add(told, SOUND, runs("c", 20, planned_at=BEFORE)), *versions) == "hold"


def test_a_near_miss_that_is_outweighed_is_told_with_what_is_not_sound():
    versions = since(simple(ALL_OF)), since(simple(line("t", C)), SECOND_VERSION)
    finding = ask(known(CLOSE, UNPLANNED, runs("c")), *versions, **API).cells[0].finding
    unseen = "nothing sound that the version has seen rules out b >= 0.2"
    assert [it.text for it in finding.reasons if it.code == "unseen"] == [unseen]
    either = since(simple(line("t", AtLeast(1, ALL_OF.reached_when.parts))))
    for of_b, said in ((UNPLANNED, [unseen]), (SOUND, [])):
        finding = ask(known(CLOSE, of_b, runs("c")), either, versions[1], **API).cells[0].finding
        assert [it.text for it in finding.reasons if it.code == "unseen"] == said
        told = next(it for it in finding.tree.walk() if it.text == "b >= 0.2")
        assert (told.kind, told.holds, [it.text for it in told.reasons]) == ("measure", not said, said)
