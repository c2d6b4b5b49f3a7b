"""How far a permit reaches: effective compute and time (rules 41 to 43)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    AUDITOR,
    BOARD,
    DAY,
    FOUNDATION,
    HALF_YEAR,
    HONEST,
    MEASURES,
    MODEL,
    MONTH,
    PLANNED,
    QUARTER,
    REFERENCE,
    SECOND,
    STALE,
    STATED,
    WEEK,
    YEAR,
    amended,
    approved,
    ask,
    attested,
    buffer,
    codes,
    digest,
    facts,
    family,
    forecast,
    in_order,
    incident,
    judged,
    known,
    line,
    named,
    one_gate,
    policy,
    quick,
    refresh,
    run,
    runs,
    saw,
    simple,
    stated,
    threshold,
)
from interlock.decide.decision import Bounds
from interlock.decide.facts import Step, Subject
from interlock.policy.model import (
    Amount,
    Approved,
    Assumption,
    At,
    AtLeast,
    Attested,
    Combined,
    ComputeRatio,
    ExceptionRule,
    Judged,
    Measured,
    Permits,
    Ref,
    RuledOut,
    Threshold,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy.time import Duration

LONG = Permits(YEAR, Duration(0, 3600), BOARD)  # a lease that ends nothing
B = At("b", Fraction("0.20"))
OLD = {"planned_at": PLANNED - 20 * DAY}  # 11 April: gone on 11 July
FORECAST = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(2, 0))
OPEN = Threshold("t", Amount("training_compute", Fraction(1)), None)  # reached, and evaluated


def ends(told, under, **question):
    """When a permit ends that no lease does."""
    decision = ask(told, replace(under, permits=LONG), **question)
    assert decision.verdict == "permit", codes(decision)
    return decision.bounds.not_after


def reaches(told, under, **question):
    """How much effective compute a permit reaches."""
    decision = ask(told, under, **question)
    assert decision.verdict == "permit", codes(decision)
    return decision.bounds.most_effective_compute


def by_requirement(*made):
    """`scale` of the one-gate policy, with the developer's security attested."""
    return facts(*made, attestations=[attested("security-3", about=None)]), one_gate()


# -- time (43) ---------------------------------------------------------------------------------------------------------


def test_the_lease_ends_a_permit_that_nothing_else_ends():
    assert ask(in_order()).bounds == Bounds(4 * 10**24, AT + 30 * DAY)


def test_a_lease_of_nothing_is_no_permit():
    decision = ask(in_order(), policy(permits=replace(policy().permits, lease=Duration(0, 0))))
    assert (decision.verdict, codes(decision)) == ("hold", {"expired"})


EARLIEST = {  # sentence: (ledger, policy, when the permit ends)
    "the result that was planned first": (
        in_order(few_shot={"planned_at": PLANNED - 45 * DAY, "report_by": AT}),
        policy(),
        datetime(2026, 6, 17, tzinfo=UTC),
    ),
    "the freshest result where several serve": (
        in_order(run("few-shot", seed=1, planned_at=PLANNED - 45 * DAY)),
        policy(),
        STALE,
    ),
    "the statement that was made first": (
        in_order(assumed={"good-demonstrations": {"at": datetime(2025, 12, 2, tzinfo=UTC)}}),
        policy(),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "the latest of two statements": (
        in_order(attestations=[stated("good-demonstrations", at=datetime(2025, 12, 2, tzinfo=UTC))]),
        policy(),
        STALE,
    ),
    "the attestation that opens a cell": (
        facts(run("few-shot"), attestations=[attested("security-3", about=None, at=AT - 364 * DAY)]),
        one_gate(),
        AT + DAY,
    ),
    "the evaluation beside that attestation": (
        *by_requirement(run("few-shot", planned_at=datetime(2026, 3, 2, tzinfo=UTC))),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "the freshest evaluation of several beside it": (
        *by_requirement(
            run("few-shot", planned_at=datetime(2026, 3, 2, tzinfo=UTC)),
            run("few-shot", planned_at=datetime(2026, 3, 3, tzinfo=UTC)),
        ),
        datetime(2026, 6, 3, tzinfo=UTC),
    ),
    "the evaluation of a threshold that is reached": (
        *by_requirement(run("few-shot", correct=100, planned_at=datetime(2026, 3, 2, tzinfo=UTC))),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "an open plan's due time": (
        in_order(run("few-shot", seed=1, planned_at=AT - DAY, report_by=AT + DAY, reported=False)),
        policy(),
        AT + DAY,
    ),
    "what the policy leaves an open plan": (
        in_order(run("few-shot", seed=1, planned_at=AT - DAY, report_by=AT + 900 * DAY, reported=False)),
        policy(report_within=WEEK),
        AT + 6 * DAY,
    ),
    "the policy's own end": (in_order(), policy(expires=AT + SECOND), AT + SECOND),
    "the buffer's period": (known(runs()), simple(line("t", rule_out=quick(buffer=buffer(period=QUARTER)))), STALE),
    "the next theft that the ledger knows of": (
        known(runs(), incidents=[incident("theft", at=AT)], seen_at=AT - DAY),
        simple(line("t", rule_out=quick(refresh=refresh(events=("theft",))))),
        AT,
    ),
    "the forecast": (
        known(runs(), forecasts=[forecast(), forecast(at=STATED - DAY)]),
        simple(line("t", rule_out=quick(buffer=FORECAST))),
        Duration(2, 0).after(STATED),
    ),
    "the part of all that is good longest": (
        known(runs("a", **OLD), runs("b")),
        simple(line("t", AtLeast(2, (At("a", Fraction("0.20")), B)))),
        STALE,
    ),
    "the first part of any": (
        known(runs("a", **OLD), runs("b")),
        simple(line("t", AtLeast(1, (At("a", Fraction("0.20")), B)))),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "what a ref refers to": (
        known(runs("b", **OLD)),
        simple(Threshold("t", Ref("u"), None), line("u", B)),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "the screen, which is written first": (
        known(runs("a"), runs("b", **OLD)),
        simple(line("t", below_if=(UnderScreen("u"),)), line("u", B)),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "the judgement's oldest item": (
        known(made := runs(**OLD), judgements=[judged("t", "below", made)]),
        simple(Threshold("t", None, None, Judged(BOARD, ("a",)))),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "the approval": (
        replace(
            (approving := facts()), approvals=(approved("signed", saw(approving, "t", "reached"), at=AT - 30 * DAY),)
        ),
        simple(OPEN, requires=["signed"], requirements=named(Approved("signed", "", BOARD, "subject", MONTH))),
        MONTH.after(AT - 30 * DAY),
    ),
    "what is measured": (
        known(runs("b", **OLD)),
        simple(OPEN, requires=["safe"], requirements=named(Measured("safe", "b", Fraction("0.20"), quick()))),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "an open plan of what is measured": (
        known(runs("b"), runs("b", seed=1, planned_at=AT - DAY, report_by=AT + DAY, reported=False)),
        simple(OPEN, requires=["safe"], requirements=named(Measured("safe", "b", Fraction("0.20"), quick()))),
        AT + DAY,
    ),
    "the forecast of what is measured": (
        known(runs("b"), forecasts=[forecast("b")]),
        simple(
            OPEN,
            requires=["safe"],
            requirements=named(Measured("safe", "b", Fraction("0.20"), quick(buffer=FORECAST))),
        ),
        Duration(2, 0).after(STATED),
    ),
    "what is ruled out": (
        known(runs("b", **OLD)),
        simple(OPEN, line("u", B), gated=["t"], requires=["out"], requirements=named(RuledOut("out", "u"))),
        QUARTER.after(PLANNED - 20 * DAY),
    ),
    "the second latest of three": (
        facts(attestations=[attested(f"n{n}", at=STATED - n * 10 * DAY) for n in range(3)]),
        simple(
            OPEN,
            requires=["two"],
            requirements=named(
                *(Attested(f"n{n}", "", AUDITOR, "subject", HALF_YEAR) for n in range(3)),
                Combined("two", 2, ("n2", "n0", "n1")),
            ),
        ),
        HALF_YEAR.after(STATED - 10 * DAY),
    ),
    "the exception": (
        facts(attestations=[attested("other")], amendments=[amended("way", at=AT - n * DAY) for n in (1, 2)]),
        simple(
            OPEN,
            requirements=named(*(Attested(it, "", AUDITOR, "subject", HALF_YEAR) for it in ("audit", "other"))),
            exceptions=named(ExceptionRule("way", "interim", ("audit",), ("other",), (BOARD,), WEEK)),
        ),
        AT + 6 * DAY,
    ),
    "the way to meet a requirement that is good longest": (
        facts(attestations=[attested("other"), attested("audit")], amendments=[amended("way", at=AT - DAY)]),
        simple(
            OPEN,
            requirements=named(*(Attested(it, "", AUDITOR, "subject", HALF_YEAR) for it in ("audit", "other"))),
            exceptions=named(ExceptionRule("way", "interim", ("audit",), ("other",), (BOARD,), WEEK)),
        ),
        HALF_YEAR.after(STATED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", EARLIEST)
def test_a_permit_ends_with_the_first_thing_it_relies_on(sentence):
    told, under, moment = EARLIEST[sentence]
    at = AT if moment > AT else AT - DAY
    assert ends(told, under, at=at) == moment
    last = replace(told, checkpoint=replace(told.checkpoint, time=moment - SECOND))
    assert ask(last, replace(under, permits=LONG), at=moment - SECOND).verdict == "permit"


def test_what_nothing_relies_on_does_not_shorten_a_permit():
    told = in_order(attestations=[attested("security-3", about=None, at=AT - 364 * DAY)])
    assert ask(told).bounds == Bounds(4 * 10**24, AT + 30 * DAY)
    amount = simple(line("t", below_if=(UnderQuantity("training_compute", Fraction(10**25)),)))
    assert ends(known(runs(**OLD)), amount) == YEAR.after(AT)


THEIRS = {  # sentence: (what is known of the other subject, when a permit that leans on it ends)
    "what it is compared by is old": (
        [runs("a", 35, subject=REFERENCE, **OLD), runs("b", subject=REFERENCE)], QUARTER.after(PLANNED - 20 * DAY)
    ),
    "what shows it to be below is old": (
        [runs("a", 35, subject=REFERENCE), runs("b", subject=REFERENCE, **OLD)], QUARTER.after(PLANNED - 20 * DAY)
    ),
    "another run of it is planned": (
        [
            runs("a", 35, subject=REFERENCE), runs("b", subject=REFERENCE),
            runs("a", seed=1, subject=REFERENCE, reported=False, planned_at=AT - DAY),
        ],
        AT + 19 * DAY,
    ),
    "of two runs that it is compared by one is old": (
        [
            *(runs("a", 35, subject=REFERENCE, seed=seed, **more) for seed, more in enumerate((OLD, {}))),
            runs("b", subject=REFERENCE),
        ],
        STALE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", THEIRS)
def test_a_reference_ends_what_leans_on_it(sentence):
    theirs, end = THEIRS[sentence]
    way = UnderReference("reference", ("a",), Fraction(0))
    under = simple(line("t", AtLeast(1, (At("a", Fraction("0.60")), B)), below_if=(way,)))
    assert ends(known(runs(correct=5), *theirs, honest=(MODEL, REFERENCE)), under) == end


def test_what_a_subject_is_compared_by_ends_with_the_buffers_period_too():
    """The other one is below by its newer results on `b`."""
    way, short = UnderReference("reference", ("a",), Fraction(0)), buffer(period=Duration(0, 60 * 86400))
    either = AtLeast(2, (At("a", Fraction("0.60")), B))
    under = simple(line("t", either, below_if=(way,), rule_out=quick(buffer=short)))
    theirs = [runs("a", 35, subject=REFERENCE, **OLD), runs("b", subject=REFERENCE)]
    assert ends(known(runs(correct=5), *theirs, honest=(MODEL, REFERENCE)), under) == PLANNED + 40 * DAY


def test_what_ends_with_the_other_end_of_the_calendar_does_not_end_before():
    forever = Assumption(HONEST, AUDITOR, Duration(12 * 9000, 0))
    assert ends(known(runs()), simple(assumptions=named(forever))) == STALE


# -- compute (41) ------------------------------------------------------------------------------------------------------

CAPPED = AtLeast(2, (At("a", Fraction("0.20")), Amount("effective_compute", Fraction(2 * 10**24))))


@pytest.mark.parametrize("part", [CAPPED, Ref("u")])
def test_a_permit_reaches_no_further_than_the_amount_by_which_a_part_counts_as_evaluated(part):
    under = simple(line("t", AtLeast(1, (part, B))), line("u", CAPPED), gated=["t"])
    told = known(runs("b", 100), attestations=[attested("audit")])
    assert reaches(told, under) == 2 * 10**24 - 1


COMPUTE = {  # sentence: (refresh, buffer of codebook-use, buffer of takeover, lower and upper end, most)
    "the refresh multiple": ("4", "6", "6", 100, 100, 400),
    "the buffer of any threshold at the gate": ("4", "6", "3", 100, 100, 300),
    "a broken multiple is rounded down": ("7/3", "6", "6", 100, 100, 233),
    "the lower end counts, and the upper end just fits": ("4", "6", "6", 100, 400, 400),
    "no room at all": ("1", "6", "6", 100, 100, 100),
}


@pytest.mark.parametrize("sentence", COMPUTE)
def test_most_compute_is_the_lower_end_times_the_least_multiple(sentence):
    multiple, use, takeover, low, high, most = COMPUTE[sentence]
    renewed = refresh(multiple=Fraction(multiple))
    under = policy(
        refresh=renewed,
        thresholds=named(
            threshold("codebook-use", "0.20", buffer=buffer(multiple=Fraction(use)), refresh=renewed),
            threshold("takeover", "0.50", buffer=buffer(multiple=Fraction(takeover)), refresh=renewed),
        ),
        gates={"scale": policy().gates["scale"]},
    )
    told = in_order(subjects=family(model={"ec_low": low, "ec_high": high}))
    assert reaches(told, under) == most


def test_an_interval_that_is_too_wide_holds():
    for high, verdict in ((4 * 10**24, "permit"), (4 * 10**24 + 1, "hold")):
        decision = ask(known(runs(), subjects=family(model={"ec_high": high})), simple())
        assert decision.verdict == verdict
        assert ("compute-uncertain" in codes(decision)) == (verdict == "hold")


def test_the_refresh_of_the_policy_and_of_the_threshold_both_count():
    twice = refresh(multiple=Fraction(2))
    assert reaches(known(runs()), simple(refresh=twice)) == 2 * 10**24
    assert reaches(known(runs()), simple(line("t", rule_out=quick(refresh=twice)))) == 2 * 10**24


def test_the_buffer_of_a_threshold_that_stands_at_another_gate_does_not_count():
    lines = {
        **policy().thresholds,
        "codebook-use-open": threshold("codebook-use-open", "0.10", buffer=buffer(multiple=Fraction(1))),
    }
    assert reaches(in_order(), policy(thresholds=lines)) == 4 * 10**24


def test_the_buffer_counts_also_where_a_requirement_opens():
    narrow = line("t", rule_out=quick(buffer=buffer(multiple=Fraction(2))))
    told = known(runs(correct=15), attestations=[attested("audit")])
    assert reaches(told, simple(narrow)) == 2 * 10**24


RATIO = {**MEASURES, "growth": ComputeRatio("growth", "reference")}
CAPS = {  # sentence: (quantity, level, the subject's statement, most)
    "effective compute": ("effective_compute", 2 * 10**24, {}, 2 * 10**24 - 1),
    "a broken level": (
        "effective_compute",
        Fraction(2 * 10**24 + 1, 2),
        {"ec_low": 10**23, "ec_high": 10**23},
        4 * 10**23,
    ),
    "training compute, of which there is half as much": (
        "training_compute",
        10**24,
        {"training_compute": 5 * 10**23, "steps": ()},
        2 * 10**24 - 1,
    ),
    "a ratio": ("growth", 3, {}, 3 * 10**24 - 1),
    "no training compute at all": ("training_compute", 1, {"training_compute": 0, "steps": ()}, 10**24),
}


@pytest.mark.parametrize("sentence", CAPS)
def test_an_amount_caps_the_permit_just_under_its_level(sentence):
    quantity, level, changes, most = CAPS[sentence]
    told = known(subjects=family(model=changes, foundation=changes))
    for under in (
        simple(Threshold("t", Amount(quantity, Fraction(level)), None), measures=RATIO),
        simple(line("t", below_if=(UnderQuantity(quantity, Fraction(level)),)), measures=RATIO),
    ):
        assert reaches(told, under) == most


def test_an_amount_without_room_under_its_cap_is_not_below():
    """Twice the training compute would be at the level, and effective compute may be twice what it is at least."""
    under = simple(Threshold("t", Amount("training_compute", Fraction(2 * 10**24)), None))
    decision = ask(known(subjects=family(model={"ec_high": 2 * 10**24})), under)
    assert (decision.verdict, decision.cells[0].finding.state) == ("hold", "not ruled out")


def test_all_of_relies_on_the_part_that_is_good_longest():
    """The amount never ends, so that the permit relies on it and is capped by it, although the measure is below too."""
    both = AtLeast(2, (At("a", Fraction("0.20")), Amount("training_compute", Fraction(2 * 10**24))))
    assert reaches(known(runs()), simple(line("t", both))) == 2 * 10**24 - 1
    assert reaches(known(runs()), simple(line("t", AtLeast(2, (At("a", Fraction("0.20")), B))))) == 4 * 10**24


def test_an_assumption_reaches_no_further_than_the_threshold_at_which_it_is_void():
    small = Threshold("small", Amount("training_compute", Fraction(2 * 10**24)), None)
    void = Assumption(HONEST, AUDITOR, HALF_YEAR, void_at=("small",))
    assert reaches(known(runs()), simple(line("t"), small, assumptions=named(void))) == 2 * 10**24 - 1


def test_a_measured_requirement_reaches_the_refresh_multiple():
    rule = quick(refresh=refresh(multiple=Fraction(2)), buffer=buffer(multiple=Fraction(1)))
    under = simple(OPEN, requires=["safe"], requirements=named(Measured("safe", "b", Fraction("0.20"), rule)))
    assert reaches(known(runs("b")), under) == 2 * 10**24


def test_attack_a_merge_says_less_than_its_branches_took():
    """Each branch by itself is under the level, and the merge says that it has no more than the dearest of them."""
    branches = {
        name: Subject(name, name, 10**24, 10**24, 10**24, (Step(FOUNDATION, "continued", 9 * 10**23),))
        for name in map(digest, "abc")
    }
    merged = {"steps": tuple(Step(name, "merged", 0) for name in branches), "training_compute": 10**24}
    told = known(subjects={**family(model=merged), **branches})
    spent = 10**22 + 3 * 9 * 10**23  # the foundation's own, and each branch's
    for level, verdict in ((spent, "hold"), (spent + 1, "permit")):
        under = simple(line("t", below_if=(UnderQuantity("training_compute", Fraction(level)),)), requires=("never",))
        assert ask(told, under).verdict == verdict
