"""Where the rule would come out otherwise if one comparison, one condition or one element of it were another."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from unittest import mock

import pytest

from decide.cases import (
    AT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    FOUNDATION,
    HALF_YEAR,
    MEASURES,
    MODEL,
    MONTH,
    OFFERED,
    PLANNED,
    QUARTER,
    REFERENCE,
    SECOND,
    SIBLING,
    STATED,
    TEAM,
    amended,
    approved,
    aside,
    ask,
    attested,
    buffer,
    cell,
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
    met,
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
from interlock.decide import bounds
from interlock.decide.bounds import Tally, is_under, rules_out, shows
from interlock.decide.decision import to_json
from interlock.decide.facts import Check, Protocol, Step, Subject
from interlock.decide.index import Index
from interlock.decide.one_result import tally
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import (
    Amount,
    Approved,
    Assumption,
    At,
    AtLeast,
    ComputeRatio,
    Demand,
    Judged,
    Mean,
    Threshold,
    Unbounded,
    UnderReference,
)
from interlock.policy.time import Duration

ALPHA, FIFTH = Fraction(1, 20), Fraction(1, 5)
BAD = {"correct": 100}

# -- bounds (1, 2) -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1000, 5000])
def test_a_long_tail_that_is_clear_is_decided_without_the_whole_sum(n):
    with mock.patch.object(bounds, "_ways", side_effect=AssertionError("the whole sum")):
        assert is_under(n // 100, n, Fraction(1, 50), ALPHA)
        assert not is_under(n // 40, n, Fraction(1, 50), ALPHA)


def test_a_long_tail_that_is_closer_than_its_enclosure_is_decided_by_the_whole_sum():
    tail = bounds.at_most(40, 1200, Fraction(1, 20))
    assert is_under(40, 1200, Fraction(1, 20), tail + tail / 2**400)
    assert not is_under(40, 1200, Fraction(1, 20), tail)


def test_of_many_samples_too_none_rules_out_a_level_of_zero():
    assert not rules_out(1, 2000, Fraction(0), ALPHA)


@pytest.mark.parametrize("count", range(6))
def test_no_count_shows_a_level_above_one(count):
    assert not any(shows(count, n, level, ALPHA) for n in (4, 5) for level in (Fraction(3, 2), Fraction(2)))


def test_a_sum_over_nothing_shows_nothing_and_rules_nothing_out():
    nothing = Tally(0, Fraction(0), Fraction(0), binary=False)
    assert not nothing.puts_under(Fraction(1, 2), ALPHA)
    assert not nothing.shows(Fraction(1, 2), ALPHA)


def test_one_score_can_be_enough_where_little_confidence_is_asked():
    """exp(-2) is 0.135."""
    assert Tally(1, Fraction(0), Fraction(0), binary=False).puts_under(Fraction(1), FIFTH)
    assert Tally(1, Fraction(1), Fraction(1), binary=False).shows(Fraction(1, 100), FIFTH)


# -- facts -------------------------------------------------------------------------------------------------------------


def test_what_a_protocol_is_not_said_to_do_it_does_not():
    plain = Protocol("task", 1, "accuracy", 100, "", "prompted", 0, 0, 0)
    assert (plain.deployment, plain.attempts, plain.tools, plain.safety_ablated, plain.unit) == (
        None, 1, False, False, "sample",
    )  # fmt: skip


def test_a_subject_is_no_derivative_of_its_own():
    assert facts().derivatives(MODEL) == {CHILD: 10**22}


# -- who is whose kin --------------------------------------------------------------------------------------------------


def test_relatives_are_those_of_the_subject_at_the_budget():
    index, cheap = Index(facts()), Fraction(1, 100)
    for _ in range(2):  # also when it is remembered
        assert index.relatives(MODEL, Fraction(0)) == {MODEL, FOUNDATION}
        assert index.relatives(MODEL, cheap) == {MODEL, FOUNDATION, CHILD, SIBLING}
        assert index.relatives(REFERENCE, cheap) == {REFERENCE}


def test_of_several_cheap_derivatives_the_same_one_is_told_of_in_whatever_order_they_were_registered():
    kin = family(sibling={"steps": family()[CHILD].steps})
    told = known(runs(), runs(subject=CHILD, **BAD), runs(subject=SIBLING, **BAD), subjects=kin)
    turned = replace(told, subjects=dict(reversed(kin.items())))
    under = simple(attacker_budget=Fraction(1, 100))
    assert cell(ask(told, under)).finding.reasons == cell(ask(turned, under)).finding.reasons


# -- withdrawals -------------------------------------------------------------------------------------------------------

SIGNED = Approved("signed", "the board accepts the risk", BOARD, "subject", HALF_YEAR)


def test_an_approval_that_was_withdrawn_is_none():
    under = simple(requires=["signed"], requirements=named(SIGNED))
    open_ = known(runs(correct=15))
    word = approved("signed", saw(open_, "t", "not ruled out"))
    told = replace(open_, approvals=(word,))
    assert met(ask(told, under)) == {"signed": True}
    assert met(ask(replace(told, withdrawals=(withdrawn(word, by=[BOARD]),)), under)) == {"signed": False}


def test_the_withdrawal_of_what_nobody_said_takes_nothing_back():
    told = known(runs(), withdrawals=[withdrawn(attested("nothing"))])
    assert ask(told, simple()).verdict == "permit"


# -- amounts (22, 41) --------------------------------------------------------------------------------------------------

RATIO = {**MEASURES, "growth": ComputeRatio("growth", "reference")}


def amount(quantity, level, **changes):
    """The part of the finding on an amount."""
    under = simple(Threshold("t", Amount(quantity, Fraction(level)), None), measures=RATIO)
    return cell(ask(known(subjects=family(**changes)), under)).finding.tree.parts[0]


def test_a_ratio_to_what_has_no_compute_at_all_has_no_end():
    nothing = {"ec_low": 0, "ec_high": 0}
    assert amount("growth", 2, reference=nothing).state == "not ruled out"
    assert amount("growth", "1/2", reference=nothing).state == "not ruled out"


# -- who has seen what (7, 38, 40) -------------------------------------------------------------------------------------

LATE = AT - 20 * DAY  # when a second version takes effect; a third one five days later
FRESH = {"planned_at": LATE + 5 * DAY, "seed": 9}


def three(first, *more):
    """Versions of one policy, five days apart."""
    return [since(first), *(since(it, LATE + 5 * place * DAY) for place, it in enumerate(more))]


def at_level(level, **changes):
    """One threshold of `a`, at a level."""
    return simple(line("t", At("a", Fraction(level))), **changes)


STRICT, LOOSE = at_level("0.20"), at_level("0.60")
LINES = {  # sentence: (when it was planned, what is found: 40 of 100 are at 0.20, and rule out 0.55)
    "when the strict one was in force": (PLANNED, "reached"),
    "in the last second of the strict one": (LATE - SECOND, "reached"),
    "as soon as it was not": (LATE, "below"),
    "under the loose one after it": (LATE + DAY, "below"),
    "under the last one": (LATE + 5 * DAY, "below"),
}


@pytest.mark.parametrize("sentence", LINES)
@pytest.mark.parametrize("later", [1, 2])
def test_a_line_concerns_what_its_version_has_seen_however_many_come_after(sentence, later):
    planned, expected = LINES[sentence]
    told = known(runs(correct=40, planned_at=planned), attestations=[stated("no-evaluation-gaming", at=LATE + DAY)])
    assert state(ask(told, *three(STRICT, *[LOOSE] * later))) == expected


def test_the_line_of_a_version_between_the_first_and_the_last_counts():
    told = known(runs(correct=40, planned_at=LATE + DAY))
    assert state(ask(told, *three(LOOSE, STRICT, LOOSE))) == "reached"
    assert state(ask(told, *three(LOOSE, LOOSE, LOOSE))) == "below"


def test_every_earlier_line_is_to_be_ruled_out():
    """13 of 100 are not at 0.20, and do not rule out 0.15."""
    told = known(runs(correct=13))
    assert state(ask(told, *three(LOOSE, LOOSE, LOOSE))) == "below"
    for order in ((STRICT, LOOSE, LOOSE), (LOOSE, STRICT, LOOSE)):
        assert state(ask(known(runs(correct=13, planned_at=LATE - DAY)), *three(*order))) == "not ruled out"


def test_a_budget_that_no_version_had_any_more_makes_no_kin():
    generous, stingy = simple(attacker_budget=Fraction(1, 100)), simple()
    for at, expected in ((LATE - DAY, "reached"), (LATE + DAY, "below")):
        told = known(runs(), incidents=[incident(thresholds=["t"], subject=SIBLING, at=at)])
        assert state(ask(told, *three(generous, stingy))) == expected


def test_what_was_planned_the_second_that_a_threshold_began_counts_for_it():
    told = known(runs(planned_at=LATE), attestations=[stated("no-evaluation-gaming", at=LATE)])
    assert ask(told, *three(simple(line("u")), simple())).verdict == "permit"
    told = known(runs(planned_at=LATE - SECOND), attestations=[stated("no-evaluation-gaming", at=LATE)])
    assert ask(told, *three(simple(line("u")), simple())).verdict == "hold"


# -- what counts (5, 6) ------------------------------------------------------------------------------------------------


def test_nothing_counts_for_a_deployment_where_none_is_asked_about():
    under = simple(measures=named(measure("a", on="deployment")))
    assert state(ask(known(runs(correct=100)), under)) == "not ruled out"


def test_a_set_aside_counts_from_the_horizon_to_the_checkpoint():
    bad = runs(correct=100, seed=1)
    from_then = replace(since(simple()), entered=PLANNED)
    for at, expected in ((PLANNED, "below"), (AT, "below"), (PLANNED - SECOND, "reached"), (AT + SECOND, "reached")):
        told = known(runs(), bad, set_asides=[aside(bad.result, at=at)])
        assert state(ask(told, from_then)) == expected


def test_a_role_without_a_name_sets_nothing_aside():
    bad = runs(correct=100, seed=1)
    told = known(runs(), bad, set_asides=[aside(bad.result, by=[""])])
    assert state(ask(told, simple(independent=""))) == "reached"


def test_a_plain_measure_is_decided_exactly_and_not_on_the_grid_of_the_printed_bounds():
    """The bounds of 665 in 1892 and of 499 in 1591 lie between 1/3 and the next steps of the grid."""
    low, high = bounds.lower(665, 1892, ALPHA), bounds.upper(499, 1591, ALPHA)
    assert (low, high) == (Fraction("0.3333"), Fraction("0.3334"))
    third, none = Fraction(1, 3), quick(buffer=buffer(margin=Fraction(0)))
    under = simple(line("t", At("a", third), rule_out=none))
    assert state(ask(known(runs(correct=665, samples=1892)), under)) == "reached"
    assert state(ask(known(runs(correct=499, samples=1591)), under)) == "below"


HALVES = {"a": Fraction(1, 2), "b": Fraction(1, 2)}
MEANS = {**MEASURES, "mean": Mean("mean", HALVES)}


def mean(level, *made, **changes):
    """What is found about a mean of `a` and `b` at a level, without a margin."""
    rule = quick(buffer=buffer(margin=Fraction(0)))
    return state(ask(known(*made), simple(line("t", At("mean", level), rule_out=rule), measures=MEANS, **changes)))


def test_a_mean_is_at_a_level_that_its_lower_bounds_just_reach():
    made, half = (runs("a", 50), runs("b", 60)), ALPHA / 2
    level = (bounds.lower(50, 100, half) + bounds.lower(60, 100, half)) / 2
    assert mean(level, *made) == "reached"
    assert mean(level + Fraction(1, 10**6), *made) == "not ruled out"


def test_a_mean_is_under_a_level_that_its_upper_bounds_at_a_share_of_alpha_just_reach():
    made, half = (runs("a", 5), runs("b", 6)), ALPHA / 2
    level = (bounds.upper(5, 100, half) + bounds.upper(6, 100, half)) / 2
    assert mean(level, *made) == "below"
    assert mean(level - Fraction(1, 10**6), *made) == "not ruled out"


def test_of_a_sum_what_was_not_scored_counts_at_the_ends_of_the_scale():
    """From 1 to 5; 8 of 10 were scored, with 20 in all, which is 28 where less is more dangerous."""
    result = runs(samples=10, scored=8, total=Fraction(20)).result
    for danger, total in (("higher", 20), ("lower", 28)):
        scored = tally(result, measure("a", low=Fraction(1), high=Fraction(5), danger=danger))
        assert (scored.dangerous, scored.harmless) == (total + 2 * 5, total + 2 * 1)


def test_a_mean_may_be_of_one_measure():
    only = {**MEASURES, "mean": Mean("mean", {"a": Fraction(1)})}
    assert state(ask(known(runs()), simple(line("t", At("mean", FIFTH)), measures=only))) == "below"


# -- soundness (10 to 14) ----------------------------------------------------------------------------------------------


def test_an_evaluation_of_no_samples_is_none_and_of_one_is_one():
    for samples, overdue in ((0, True), (1, False)):
        assert ("overdue" in codes(ask(known(runs(samples=samples)), simple()))) is overdue


def test_no_measure_asks_for_so_little_that_no_samples_are_an_evaluation():
    under = simple(measures=named(measure("a", least_samples=0)))
    assert "overdue" in codes(ask(known(runs(samples=0)), under))


def test_a_rule_that_two_thresholds_share_finds_for_each_what_counts_for_it():
    """What was planned before the policy had one of them shows nothing about that one, whichever is asked first."""
    shared = quick()
    first, second = line("t", rule_out=shared), line("u", rule_out=shared)
    for lines in ((first, second), (second, first)):
        decision = ask(known(runs()), *three(simple(first), simple(*lines, gated=["t", "u"])))
        assert (state(decision, "t"), state(decision, "u")) == ("below", "not ruled out")


@pytest.mark.parametrize(("on", "ran", "said"), [
    ("deployment", None, "it ran another deployment"),
    ("deployment", digest("other"), "it ran another deployment"),
    ("model", OFFERED, "it ran a deployment, not the model"),
])  # fmt: skip
def test_a_result_of_the_wrong_deployment_is_told_as_such(on, ran, said):
    under = simple(measures=named(measure("a", on=on)))
    (missing,) = (
        reason.text
        for reason in cell(ask(known(runs(deployment=ran)), under, deployment=OFFERED)).finding.reasons
        if reason.code == "missing-evidence"
    )
    assert missing == f"`prompted` evidence missing (entry 2: {said})"


def test_a_result_that_was_withdrawn_evaluates_nothing():
    made = runs(correct=100)
    told = known(made, attestations=[attested("audit")])
    assert ask(told, simple()).verdict == "permit"
    back = replace(told, withdrawals=(withdrawn(made.result),))
    assert ask(back, simple()).verdict == "hold"
    assert "overdue" in codes(ask(back, simple()))


ENDS = {  # sentence: (the incident, does it end the evaluation?)
    "a refresh that the role's member calls for": (incident("refresh", members=[BOARD]), True),
    "one that somebody else calls for": (incident("refresh", members=[TEAM]), False),
    "something else that the role's member tells of": (incident("theft", members=[BOARD]), False),
}


@pytest.mark.parametrize("sentence", ENDS)
def test_only_the_roles_member_calls_for_a_refresh_and_only_by_that_name(sentence):
    happened, ends = ENDS[sentence]
    under = simple(line("t", rule_out=quick(refresh=refresh(discretion=BOARD))))
    assert ("overdue" in codes(ask(known(runs(), incidents=[happened]), under))) is ends


# -- demands and assumptions (16 to 18) --------------------------------------------------------------------------------


def test_of_two_stand_ins_that_last_as_long_the_one_that_reaches_further_counts():
    """The parent has 10^22 and the one before it twice as much."""
    low, high = 10**22, 2 * 10**22
    eldest = Subject(digest("eldest"), "eldest", low, high, high, ())
    kin = family(
        foundation={"steps": (Step(eldest.digest, "continued", 1),)}, model={"ec_low": 3 * low, "ec_high": 4 * low}
    )
    made = [runs(subject=FOUNDATION), runs(subject=eldest.digest)]
    told = known(*made, subjects={**kin, eldest.digest: eldest}, honest=(FOUNDATION, eldest.digest))
    assert ask(told, simple()).bounds.most_effective_compute == 4 * high


def test_who_ran_one_evaluation_may_vouch_for_another_one_only():
    own = line("u", At("b", FIFTH), rule_out=quick(run_by=AUDITOR))
    audited = runs("b", plan_signers=[AUDITOR], signers=[AUDITOR])
    for gated in (["t", "u"], ["u", "t"]):
        decision = ask(known(runs(), audited), simple(line("t"), own, gated=gated))
        assert (state(decision, "t"), state(decision, "u")) == ("below", "not ruled out")


CHECKED = Assumption("no-evaluation-gaming", AUDITOR, MONTH, checked="a-check", coverage=Fraction(9, 10))


def checked(*words):
    """What is found where the assumption has to be shown by a check."""
    return state(ask(facts(runs(), attestations=words), simple(assumptions=named(CHECKED))))


def word(name="a-check", *, passed=True, at=STATED + DAY, by=(AUDITOR,)):
    """A statement that rests on a check."""
    check = Check(name, passed=passed, caught=29, organisms=29)
    return stated("no-evaluation-gaming", check=check, at=at, by=by)


def test_a_check_that_failed_the_same_second_undoes_one_that_passed():
    assert checked(word()) == "below"
    assert checked(word(), word(passed=False, by=[BOARD])) == "not ruled out"


@pytest.mark.parametrize("passed", [True, False])
def test_what_a_check_showed_is_nobodys_word_where_the_assumption_is_stated(passed):
    told = [stated("no-evaluation-gaming"), word(passed=passed)]
    by_word = named(Assumption("no-evaluation-gaming", AUDITOR, MONTH))
    for words, expected in ((told[:1], "below"), (told[1:], "not ruled out"), (told, "below")):
        assert state(ask(facts(runs(), attestations=words), simple(assumptions=by_word))) == expected


def test_another_check_that_failed_undoes_nothing():
    assert checked(word(), word("b-check", passed=False, at=STATED + 2 * DAY)) == "below"


def test_an_assumption_that_was_taken_back_is_not_discharged():
    said = stated("no-evaluation-gaming")
    told = facts(runs(), attestations=[said])
    assert state(ask(told, simple())) == "below"
    assert state(ask(replace(told, withdrawals=(withdrawn(said, by=[AUDITOR]),)), simple())) == "not ruled out"


def test_fine_tuned_on_nothing_is_not_fine_tuned():
    under = simple(line("t", rule_out=quick(elicitation=(Demand("fine-tuned"),))))
    words = [stated(name) for name in ("no-gradient-hacking", "good-demonstrations")]
    for demonstrations, expected in ((0, "not ruled out"), (1, "below")):
        told = facts(runs(elicitation="fine-tuned", demonstrations=demonstrations), attestations=words)
        assert state(ask(told, under)) == expected


def test_what_a_rule_assumes_that_goes_without_saying_is_told_once():
    under = simple(line("t", rule_out=quick(assumes=("no-evaluation-gaming",))))
    (part,) = cell(ask(facts(runs()), under)).finding.tree.parts
    assert [reason.code for reason in part.reasons] == ["assumption"]


def test_understanding_a_propensity_takes_no_behaviour_for_granted():
    lies = named(measure("a", kind="propensity"))
    under = simple(
        line("t", rule_out=quick(elicitation=(Demand("understanding-based"),))),
        measures=lies,
        assumptions=named(*(Assumption(name, AUDITOR, MONTH) for name in ("valid-understanding", "no-test-awareness"))),
    )
    for name, expected in (("valid-understanding", "below"), ("no-test-awareness", "not ruled out")):
        made = runs(elicitation="understanding-based")
        assert state(ask(facts(made, attestations=[stated(name)]), under)) == expected


# -- margins (9) -------------------------------------------------------------------------------------------------------


def forecasting(**changes):
    """A line whose margin is forecast."""
    forecast_by = {"margin": Fraction(0), "forecast_by": AUDITOR, "fresh_for": HALF_YEAR, **changes}
    return simple(line("t", rule_out=quick(buffer=buffer(**forecast_by))))


FORECASTS = {  # sentence: (correct, the margin that is forecast, state)
    "9 do not rule out 0.15": (9, "0.05", "not ruled out"),
    "8 do": (8, "0.05", "below"),
    "no less than nothing is asked for: 14 do not rule out 0.20": (14, "-0.05", "not ruled out"),
    "12 do": (12, "-0.05", "below"),
}


@pytest.mark.parametrize("sentence", FORECASTS)
def test_the_margin_is_the_greatest_that_is_forecast_and_no_less_than_nothing(sentence):
    correct, margin, expected = FORECASTS[sentence]
    assert state(ask(known(runs(correct=correct), forecasts=[forecast(margin=margin)]), forecasting())) == expected


def test_a_margin_that_nobody_has_forecast_is_told_as_nothing():
    (ruling,) = to_json(ask(known(runs()), forecasting()))["rulings"]
    assert ruling["cells"][0]["finding"]["tree"]["parts"][0]["reading"]["margin"] == "0"


def test_a_forecast_without_an_end_stands_for_nothing():
    told = known(runs(), forecasts=[forecast()])
    assert codes(ask(told, forecasting(fresh_for=None))) == {"no-forecast"}


# -- plans (19) --------------------------------------------------------------------------------------------------------


def test_a_plan_on_the_deployment_that_is_asked_about_matters():
    under = simple(measures=named(measure("a", on="deployment")))
    told = known(runs(deployment=OFFERED), runs(deployment=OFFERED, seed=1, reported=False))
    assert "unreported" in codes(ask(told, under, deployment=OFFERED))


def test_attack_a_plan_is_reported_by_all_who_signed_it():
    """Who signs another's plan as well cannot report on it alone."""
    both = {"seed": 1, "plan_signers": [TEAM, BOARD]}
    for signers, code in (([BOARD], True), ([TEAM], True), ([TEAM, BOARD], False), ([TEAM, BOARD, AUDITOR], False)):
        assert ("unreported" in codes(ask(known(runs(), runs(**both, signers=signers)), simple()))) == code


def test_attack_a_plan_that_no_role_signed_is_reported_by_nobody():
    told = known(runs(), runs(seed=1, plan_signers=[]))
    assert "unreported" in codes(ask(told, simple()))


NEW_TASK = simple(measures=named(measure("a", task="lab/new"), measure("b")))


def test_a_plan_for_a_task_that_a_measure_had_matters_and_for_one_that_it_will_have_does_not():
    told = known(runs("new", planned_at=LATE), runs(reported=False))
    assert "unreported" in codes(ask(told, *three(simple(), NEW_TASK)))
    told = known(runs(), runs("new", reported=False))
    assert "unreported" not in codes(ask(told, since(simple()), since(NEW_TASK, AT + DAY)))


def test_a_plan_for_a_task_by_which_a_measure_had_no_bounds_matters():
    unbounded = Unbounded("a", "capability", "model", "lab/old", 1, "accuracy")
    old = simple(measures={**MEASURES, "a": unbounded}, gates={}, thresholds={})
    told = known(runs(), runs("old", reported=False))
    assert "unreported" in codes(ask(told, *three(old, simple())))


def test_a_version_without_the_threshold_asks_no_report_of_a_plan():
    """A report of 99 in 100 is enough for the one version that has it."""
    told = known(runs(**FRESH), runs(scored=99), attestations=[stated("no-evaluation-gaming", at=LATE + DAY)])
    assert codes(ask(told, *three(simple(line("u")), simple()))) == set()


def test_a_plan_that_is_due_is_told_of_once():
    told = known(runs(), runs(seed=1, reported=False))
    assert codes(ask(told, simple(), action="release-weights")) == {"unreported"}


# -- judgements (25, 27, 28) -------------------------------------------------------------------------------------------

JUDGING = simple(Threshold("t", None, None, Judged(BOARD, ("a",))))
GOOD = runs()
SAID = judged("t", "below", GOOD)


def judging(*names, **changes):
    """The same policy, judged on other things."""
    return replace(JUDGING, thresholds=named(Threshold("t", None, None, Judged(BOARD, names, **changes))))


def finds(told, *under):
    """The state, and whether it is overdue."""
    found = cell(ask(told, *(under or [JUDGING]))).finding
    return found.state, found.overdue is not None


def test_a_judgement_may_rest_on_one_sample_and_on_a_word_of_the_same_second():
    one, word = runs(samples=1), attested("audit", at=SAID.at)
    assert finds(facts(one, judgements=[judged("t", "below", one)])) == ("below", False)
    assert finds(facts(attestations=[word], judgements=[judged("t", "below", word)]), judging("audit"))[0] == "below"


def test_a_judgement_is_over_at_its_own_age_however_fresh_what_it_rests_on():
    made, fresh = runs(planned_at=AT - 40 * DAY), judging("a", fresh_for=MONTH)
    for days, expected in ((31, ("not ruled out", True)), (30, ("below", False))):
        old = judged("t", "below", made, at=AT - days * DAY)
        assert finds(facts(made, judgements=[old]), fresh) == expected


def test_an_evaluation_by_judgement_lasts_as_long_as_the_latest_of_several():
    fresh = judging("a", fresh_for=MONTH)
    said = [judged("t", "reached", GOOD, at=SAID.at + days * DAY) for days in (1, 2, 0)]
    decision = ask(facts(GOOD, attestations=[attested("audit")], judgements=said), fresh)
    assert cell(decision).finding.evaluated.expires == MONTH.after(SAID.at + 2 * DAY)


def test_a_judgement_counts_from_when_the_policy_has_its_threshold_to_the_checkpoint():
    begun = SAID.at + DAY
    asking = (since(replace(JUDGING, thresholds={}, gates={})), since(JUDGING, begun))
    late = runs(planned_at=begun)
    for at, supported in ((begun + DAY, False), (begun + DAY + SECOND, True), (AT, True), (AT + SECOND, False)):
        told = facts(late, judgements=[judged("t", "below", late, at=at)])
        assert finds(told, *asking) == (("below", False) if supported else ("not ruled out", True))
    early = runs(planned_at=begun, at=begun - 2 * DAY)
    said = judged("t", "below", early, at=begun - SECOND)
    assert finds(facts(early, judgements=[said]), *asking) == ("not ruled out", True)


def test_a_judgement_lasts_as_long_as_the_oldest_of_the_items_that_it_names():
    made = [runs(seed=days, planned_at=PLANNED + days * DAY, at=PLANNED) for days in (1, 0, 2)]
    told = facts(*made, judgements=[judged("t", "below", *made)])
    assert cell(ask(told, JUDGING)).finding.tree.expires == QUARTER.after(PLANNED)


def test_a_judgement_is_over_with_whatever_else_it_names():
    old = runs("b", planned_at=PLANNED - 100 * DAY)
    assert finds(facts(GOOD, old, judgements=[judged("t", "below", GOOD, old)])) == ("not ruled out", True)


def test_a_judgement_on_nothing_answers_nothing():
    theirs = judged("t", "reached", subject=FOUNDATION, at=SAID.at - DAY)
    for fresh_for in (None, MONTH):
        assert finds(facts(GOOD, judgements=[theirs, SAID]), judging(fresh_for=fresh_for)) == ("reached", True)


def test_only_a_judgement_that_says_below_shows_it():
    told = facts(GOOD, judgements=[judged("t", "reached", GOOD)])
    assert [part.holds for part in cell(ask(told, JUDGING)).finding.tree.parts] == [False]


def test_what_no_member_said_does_not_hide_what_one_said():
    theirs, ours = judged("t", "reached", by=[TEAM]), judged("t", "reached", by=(), members=[BOARD])
    for said in ([theirs, ours], [ours, theirs], [SAID, theirs, ours]):
        assert finds(facts(GOOD, judgements=said))[0] == "reached"


def test_what_was_judged_of_a_cheap_child_is_not_answered_and_of_a_cheap_sibling_is():
    near = replace(JUDGING, attacker_budget=Fraction(1, 100))
    for subject, expected in ((CHILD, "reached"), (SIBLING, "below")):
        said = judged("t", "reached", subject=subject, at=SAID.at - DAY)
        assert finds(facts(GOOD, judgements=[said, SAID]), near)[0] == expected


def test_a_judgement_on_the_parent_is_answered_as_long_as_the_latest_answer_lasts():
    """An earlier judgement rests on a later plan, and outlasts the answers, the second of which outlasts the first."""
    made = [runs(seed=days, planned_at=PLANNED + days * DAY, at=PLANNED) for days in (2, 0, 1)]
    theirs = judged("t", "reached", subject=FOUNDATION, at=PLANNED + 2 * DAY)
    said = [judged("t", "below", it, at=PLANNED + days * DAY) for it, days in zip(made, (1, 3, 4), strict=True)]
    for answers, days in ((said, 1), (said[:2], 0)):
        finding = cell(ask(facts(*made, judgements=[theirs, *answers]), JUDGING)).finding
        assert (finding.state, finding.tree.expires) == ("below", QUARTER.after(PLANNED + days * DAY))


def test_who_judges_is_asked_of_the_versions_that_have_the_threshold():
    without = replace(JUDGING, thresholds={}, gates={})
    said = judged("t", "reached", by=(), members=[BOARD])
    told = facts(GOOD, judgements=[said])
    assert finds(told, since(without), since(JUDGING, AT))[0] == "reached"
    unjudged = replace(JUDGING, thresholds=named(line("t")))
    assert finds(told, since(unjudged), since(JUDGING, AT))[0] == "reached"


# -- leaning on another subject (26) -----------------------------------------------------------------------------------


def test_whom_one_leans_on_leans_on_nobody():
    """The model is no more capable than the reference, that one no more than the sibling, which alone is below."""
    ways = tuple(UnderReference(name, ("a",), Fraction("0.02")) for name in ("reference", "sibling"))
    under = simple(line("t", AtLeast(1, (At("a", Fraction("0.60")), At("b", FIFTH))), below_if=ways))
    made = [runs("a", bad, samples=1000, subject=one) for bad, one in ((50, MODEL), (250, REFERENCE), (450, SIBLING))]
    kin = family(sibling={"ec_low": 10**24, "ec_high": 10**24})
    told = known(*made, runs("b", subject=SIBLING), subjects=kin, honest=(MODEL, REFERENCE, SIBLING))
    assert state(ask(told, under, subject=REFERENCE)) == "below"
    leaning = replace(under.thresholds["t"], below_if=ways[:1])
    assert state(ask(told, simple(leaning))) == "not ruled out"
    tree = cell(ask(told, under)).finding.tree
    assert [part.holds for part in tree.parts] == [False, True, False]


# -- duties (44) -------------------------------------------------------------------------------------------------------

SOON = Clock(Duration(0, 3600))
OPEN, REACHED, NOTHING = known(runs(correct=15)), known(runs(correct=100)), known()
BOTH = ("audit", "never")


def duty(on, *of):
    """A duty of the team that starts with something."""
    return Duty("do", "do it", TEAM, Start(on, of), SOON)


def begun(told, under, **question):
    """What starts: (duty, what, about, since)."""
    (ruling,) = ask(told, under, **question).rulings
    return [(it.duty, it.what, it.about, it.since) for it in ruling.started]


def answering(**answers):
    """The plain policy, which asks for `audit` and `never` and answers a hold so."""
    return simple(requires=BOTH, on_hold={key: (response,) for key, response in answers.items()})


ANSWERS = {  # sentence: (what it answers, the response, the attestations, what starts)
    "the action": ("scale", Response("recall", (), (BOARD, TEAM)), [], [
        ("on_hold.scale.recall", "recall: board, evaluation-team", "scale"),
    ]),
    "the threshold": ("t", Response("recall"), [], [("on_hold.t.recall", "recall", "t")]),
    "the requirement": ("audit", Response("recall", to=("v1", "v2")), [], [
        ("on_hold.audit.recall", "recall to v1, v2", "audit"),
    ]),
    "the requirement, which is met while another is not": ("audit", Response("recall"), [attested("audit")], []),
    "the threshold where the requirement is unmet": ("t", Response("recall", ("unmet:audit",)), [], [
        ("on_hold.t.recall", "recall", "t"),
    ]),
    "the threshold where the requirement is met": (
        "t", Response("recall", ("unmet:audit",)), [attested("audit")], [],
    ),
    "the threshold, that is not overdue": ("t", Response("recall", ("overdue",)), [], []),
}  # fmt: skip


@pytest.mark.parametrize("sentence", ANSWERS)
def test_an_answer_to_a_hold_is_told_with_what_and_about_what(sentence):
    key, response, words, expected = ANSWERS[sentence]
    told = known(runs(correct=15), attestations=words)
    assert begun(told, answering(**{key: response})) == [(*it, None) for it in expected]


def test_a_clock_runs_from_the_last_result():
    told = known(runs(correct=100), runs(correct=100, seed=1, planned_at=PLANNED + 9 * DAY))
    under = simple(duties=named(duty("reached", "t")))
    assert begun(told, under) == [("do", "do it", "t", PLANNED + 10 * DAY)]


def test_a_duty_of_nothing_in_particular_starts_with_any():
    assert begun(OPEN, simple(duties=named(duty("hold")))) == [("do", "do it", "scale", None)]
    assert begun(OPEN, simple(duties=named(duty("not-ruled-out")))) == [("do", "do it", "t", None)]


def test_only_the_alert_lines_that_are_named_or_else_all_start_a_duty():
    early, other = (line(name, At("a", Fraction("0.10")), role="alert", alert_for="t") for name in ("early", "other"))
    lines = (line("t", At("a", Fraction("0.15"))), early, other)
    for of, expected in (((), ["early", "other"]), (("other",), ["other"]), (("t",), [])):
        under = simple(*lines, gated=["t"], duties=named(duty("alert", *of)))
        assert [about for _, _, about, _ in begun(REACHED, under)] == expected


def test_an_incident_and_an_exception_of_the_same_name_start_each_its_own_duty():
    told = known(runs(), incidents=[incident("way")], amendments=[amended("way", at=STATED + DAY)])
    assert [it[-1] for it in begun(told, simple(duties=named(duty("incident", "way"))))] == [STATED]
    assert [it[-1] for it in begun(told, simple(duties=named(duty("exception", "way"))))] == [STATED + DAY]


def test_an_exception_that_is_opened_for_another_subject_starts_nothing():
    told = known(runs(), amendments=[amended("way", subject=REFERENCE)])
    assert begun(told, simple(duties=named(duty("exception", "way")))) == []


# -- what is judged by every version that has seen it ------------------------------------------------------------------


def test_an_incident_that_every_version_set_aside_names_nothing():
    named_it = incident(thresholds=["t"])
    told = known(runs(**FRESH), incidents=[named_it], attestations=[stated(CHECKED.name, at=LATE + DAY)])
    assert state(ask(told, *three(simple(), simple()))) == "reached"
    told = replace(told, set_asides=(aside(named_it),))
    assert state(ask(told, *three(simple(), simple()))) == "below"


@pytest.mark.parametrize(("who", "expected"), [(CHILD, "not ruled out"), (REFERENCE, "below")])
def test_what_happens_to_the_kin_ends_a_result_under_several_versions_too(who, expected):
    stolen = incident("theft", subject=who, at=AT - DAY)
    under = simple(line("t", rule_out=quick(refresh=refresh(events=("theft",)))))
    told = known(runs(**FRESH), incidents=[stolen], attestations=[stated(CHECKED.name, at=LATE + DAY)])
    assert state(ask(told, *three(under, under))) == expected


def test_a_check_that_failed_on_a_stranger_undoes_nothing():
    passed, failed = (Check("a-check", passed=it, caught=29, organisms=29) for it in (True, False))
    for who, expected in ((REFERENCE, "below"), (MODEL, "not ruled out")):
        later = stated(CHECKED.name, about=who, check=failed, at=AT - DAY, by=[BOARD])
        told = facts(runs(), attestations=[stated(CHECKED.name, check=passed, at=AT - 5 * DAY), later])
        assert state(ask(told, simple(assumptions=named(CHECKED)))) == expected


@pytest.mark.parametrize(("who", "expected"), [(REFERENCE, "permit"), (CHILD, "hold")])
def test_what_is_silent_about_a_stranger_undoes_no_approval(who, expected):
    need = Approved("go", "go", BOARD, "subject", HALF_YEAR)
    under = simple(requires=("go",), requirements=named(need))
    bad, silent = runs(correct=40), runs("c", subject=who, reported=False)
    told = known(bad, silent)
    told = replace(told, approvals=(approved("go", saw(told, "t", "reached"), at=STATED + DAY),))
    assert ask(told, under).verdict == expected


# -- counts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, "below"), (-1, 1, "not ruled out"), (0, 2, "not ruled out")]
)
def test_a_number_of_right_answers_is_for_a_measure_from_0_to_1(low, high, expected):
    under = simple(measures=named(measure("a", low=Fraction(low), high=Fraction(high))))
    assert state(ask(known(runs()), under)) == expected


@pytest.mark.parametrize(("refused", "below"), [(0, True), (9, True), (10, False), (60, False)])
def test_a_refused_score_is_a_dangerous_one_where_many_may_be_missing(refused, below):
    """Of 100 samples, at 0.95, 9 dangerous ones rule out 0.16, and 10 do not (0.164; Clopper and Pearson 1934)."""
    rule = quick(coverage=Fraction(0), buffer=buffer(margin=Fraction(0)))
    under = simple(line("t", At("a", Fraction("0.16")), rule_out=rule))
    assert (state(ask(known(runs(refused_scores=refused)), under)) == "below") is below


@pytest.mark.parametrize(("refused", "below"), [(0, True), (15, True), (17, False), (90, False)])
def test_a_refused_score_adds_the_whole_range_to_a_sum(refused, below):
    """1,000 scores from 1 to 4, all 1, of which each refused one counts as 4: the mean 1 + 3 x refused / 1,000, and
    3 x sqrt(ln 20 / 2,000) = 0.116 (Hoeffding 1963), is under 1.163 with 15 of them, and not with 17.
    """
    of = measure("a", low=Fraction(1), high=Fraction(4))
    rule = quick(coverage=Fraction(0), buffer=buffer(margin=Fraction(0)))
    under = simple(line("t", At("a", Fraction("1.163")), rule_out=rule), measures=named(of))
    told = known(runs(total=Fraction(1000), samples=1000, scored=1000, refused_scores=refused))
    assert (state(ask(told, under)) == "below") is below
