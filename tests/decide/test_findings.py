"""Bounds, lines, margins, soundness, plans and expressions: what makes a threshold below (rules 1 to 28)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import exp

import pytest

from decide.cases import (
    AT,
    AUDITOR,
    BOARD,
    DAY,
    HONEST,
    MEASURES,
    MODEL,
    MONTH,
    OFFERED,
    PLANNED,
    PROMPTED,
    REFERENCE,
    SECOND,
    STATED,
    TEAM,
    aside,
    ask,
    buffer,
    cell,
    codes,
    digest,
    facts,
    family,
    forecast,
    incident,
    known,
    line,
    measure,
    named,
    quick,
    refresh,
    run,
    runs,
    simple,
    since,
    state,
    stated,
    withdrawn,
)
from interlock.decide.bounds import Tally, decays_under, lower, upper
from interlock.decide.facts import Check, Step, Validity
from interlock.decide.rule import defects
from interlock.policy.model import (
    ASSUMED,
    Amount,
    Assumption,
    At,
    AtLeast,
    ComputeRatio,
    Demand,
    Mean,
    Ref,
    Threshold,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy.time import Duration

ONE, HALF, FIFTH = Fraction(1), Fraction(1, 2), Fraction("0.20")
A, B, C = (At(name, FIFTH) for name in "abc")
ALPHA = Fraction(1, 20)


def found(told, *lines, **changes):
    """The state of the first of these thresholds, of `a` at 0.20 if there are none."""
    return state(ask(told, simple(*lines, **changes)), lines[0].name if lines else "t")


# -- the six conditions (DESIGN 3.1) -----------------------------------------------------------------------------------

CONDITIONS = ("demanded", "assumed", "run by", "covered", "reported", "under")


@pytest.mark.parametrize("holds", list(product([True, False], repeat=6)))
def test_only_all_six_conditions_together_are_below(holds):
    demanded, assumed, by_the_role, covered, reported, under = holds
    signers = [TEAM] if by_the_role else [BOARD]
    # 8 of 100 are under; 96 scored and 4 harmful count as 8 too
    bad = 8 if under else 12
    made = [
        runs(
            elicitation="prompted" if demanded else "few-shot",
            scored=100 if covered else 96,
            correct=bad if covered else bad - 4,
            signers=signers,
            plan_signers=signers,
        )
    ]
    made += [] if reported else [runs(seed=1, reported=False)]
    told = facts(*made, attestations=[stated(HONEST)] if assumed else [])
    assert (found(told) == "below") == all(holds)
    assert found(told) != "reached"


# -- bounds (1 to 5) ---------------------------------------------------------------------------------------------------

EDGES = {  # sentence: (samples, dangerous, below?)
    "eight of a hundred": (100, 8, "below"),
    "nine of a hundred": (100, 9, "not ruled out"),
    "none of a few": (18, 0, "not ruled out"),
    "none of one more": (19, 0, "below"),  # 0.85 ** 19 < 0.05 < 0.85 ** 18
    "twenty-seven of a hundred do not show 0.20": (100, 27, "not ruled out"),
    "twenty-eight of a hundred show it": (100, 28, "reached"),
}


@pytest.mark.parametrize("sentence", EDGES)
def test_counts(sentence):
    samples, bad, expected = EDGES[sentence]
    assert found(known(runs(samples=samples, correct=bad))) == expected


def test_a_measure_of_which_less_is_dangerous_is_turned():
    safe = simple(line("t", At("a", Fraction("0.80"))), measures=named(measure("a", danger="lower")))
    for good, expected in ((92, "below"), (91, "not ruled out"), (73, "not ruled out"), (72, "reached")):
        assert state(ask(known(runs(correct=good)), safe)) == expected


def test_a_sample_without_a_score_is_dangerous_on_either_side():
    for danger, level, good in (("higher", "0.20", 0), ("lower", "0.80", 91)):
        under = simple(line("t", At("a", Fraction(level))), measures=named(measure("a", danger=danger)))
        full = known(runs(correct=8 if danger == "higher" else 92))
        less = known(runs(correct=8 if danger == "higher" else 91, scored=99))
        assert (state(ask(full, under)), state(ask(less, under))) == ("below", "not ruled out"), good


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 10), (-3, 7)])
def test_sums_are_bounded_by_hoeffding(low, high):
    """exp(-2 n gap^2 / range^2) < 0.05 from a gap of 0.1224 of the range on, at 100 samples."""
    wide = named(measure("a", low=Fraction(low), high=Fraction(high)))
    whole = Fraction(high - low)
    under = simple(
        line("t", At("a", low + whole / 2), rule_out=quick(buffer=buffer(margin=Fraction(0)))), measures=wide
    )
    for gap, expected in (
        ("0.1223", "not ruled out"),
        ("0.1224", "below"),
        ("-0.1224", "reached"),
        ("-0.1223", "not ruled out"),
    ):
        total = 100 * (low + whole * (HALF - Fraction(gap)))
        assert state(ask(known(runs(total=total)), under)) == expected, gap


def test_the_exponential_is_enclosed_on_the_right_side():
    for n in range(1, 60):
        x = Fraction(n, 7)
        assert decays_under(x, Fraction(exp(-x)) * Fraction(1000001, 1000000))
        assert not decays_under(x, Fraction(exp(-x)) * Fraction(999999, 1000000))


def test_an_upper_and_a_lower_bound_enclose_what_was_seen_and_meet_at_the_level():
    for total in (0, 100, 250, 999):
        it = Tally(100, Fraction(total), Fraction(total), Fraction(0), Fraction(10), binary=False)
        up, low = it.upper(ALPHA), it.lower(ALPHA)
        assert 0 <= low <= Fraction(total, 100) <= up <= 10
        assert it.puts_under(up, ALPHA) or up == 10
        assert it.shows(low, ALPHA)


UNREADABLE = {  # sentence: (ends of the measure, what the result gave)
    "zeros and ones for a measure that is not a share": ((0, 2), {"correct": 0}),
    "a sum over the upper end": ((0, 1), {"total": Fraction(101)}),
    "a sum under the lower end": ((0, 1), {"total": Fraction(-1)}),
}


@pytest.mark.parametrize("sentence", UNREADABLE)
def test_what_cannot_be_read_rules_out_nothing_and_shows_nothing(sentence):
    (low, high), gave = UNREADABLE[sentence]
    wide, half = named(measure("a", low=Fraction(low), high=Fraction(high))), line("t", At("a", HALF))
    good = runs(total=Fraction(0))
    assert found(known(good), half, measures=wide) == "below"
    assert found(known(runs(**gave)), half, measures=wide) == "not ruled out"
    assert found(known(good, runs(seed=1, **gave)), half, measures=wide) == "not ruled out"


MEAN = {**MEASURES, "mean": Mean("mean", {"a": HALF, "b": HALF})}


def test_a_mean_is_bounded_by_its_parts_at_a_share_of_alpha():
    """0 of 100 have U = 0.0363 at 0.025; with another at U = 0.5 the mean is 0.268."""
    under = simple(
        line("t", At("mean", Fraction("0.30")), rule_out=quick(buffer=buffer(margin=Fraction(0)))), measures=MEAN
    )
    cases = {
        "below": known(runs("a"), runs("b", correct=40)),
        "not ruled out": known(runs("a"), runs("b", correct=60)),
        "reached": known(runs("a", correct=60), runs("b", correct=60)),
    }
    for expected, told in cases.items():
        assert state(ask(told, under)) == expected
    assert state(ask(known(runs("a")), under)) == "not ruled out"
    assert "missing-evidence" in codes(ask(known(runs("a")), under))


def test_a_mean_of_which_less_is_dangerous_is_turned():
    lower = named(measure("a", danger="lower"), measure("b", danger="lower"), MEAN["mean"])
    under = simple(
        line("t", At("mean", Fraction("0.70")), rule_out=quick(buffer=buffer(margin=Fraction(0)))), measures=lower
    )
    assert state(ask(known(runs("a", 100), runs("b", 60)), under)) == "below"
    assert state(ask(known(runs("a", 40), runs("b", 40)), under)) == "reached"


# -- what counts (6 to 9) ----------------------------------------------------------------------------------------------

COUNTS = {  # whatever is wrong with a bad result beside a good one, it counts
    "unplanned": {"planned": False},
    "another version": {"version": 7},
    "another metric": {"metric": "f1"},
    "another unit": {"unit": "family"},
    "another elicitation": {"elicitation": "scaffolded"},
    "nobody asked signed": {"signers": [BOARD], "plan_signers": [BOARD]},
    "years old": {"planned_at": PLANNED - 900 * DAY},
    "other samples": {"samples_digest": "00" * 32},
    "of a deployment": {"deployment": OFFERED},
    "almost nothing scored": {"scored": 40, "correct": 40},
}


@pytest.mark.parametrize("sentence", COUNTS)
def test_a_bad_result_counts_whatever_is_wrong_with_it(sentence):
    bad = runs(**{"correct": 100, "seed": 1, **COUNTS[sentence]})
    assert found(known(runs(), bad)) == "reached"


def test_a_run_of_the_bare_model_is_no_run_of_a_deployment():
    under = simple(measures=named(measure("a", on="deployment")))
    assert "no-deployment" in codes(ask(known(runs()), under))
    assert "no deployment is asked about" in defects(
        [since(under)], known(runs()), threshold="t", result=known(runs()).results[0], at=AT
    )


def test_results_are_not_pooled():
    for bad in (5, 9):
        told = known(runs(correct=bad), runs(seed=1, correct=0), runs(seed=2, correct=0))
        assert found(told) == ("below" if bad == 5 else "not ruled out")


def test_a_measure_of_a_deployment_counts_only_what_ran_there():
    offered = simple(measures=named(measure("a", on="deployment")))
    there, bare = known(runs(deployment=OFFERED)), known(runs())
    assert state(ask(there, offered, deployment=OFFERED)) == "below"
    assert state(ask(bare, offered, deployment=OFFERED)) == "not ruled out"
    assert state(ask(there, offered)) == "not ruled out"
    assert "no-deployment" in codes(ask(there, offered))
    bad_elsewhere = known(
        runs(deployment=OFFERED), runs(correct=100, deployment="00", seed=1), runs(correct=100, seed=2)
    )
    assert state(ask(bad_elsewhere, offered, deployment=OFFERED)) == "below"


FORECASTS = {  # sentence: (forecasts, below?) for 8 of 100 at 0.20, which stands up to a margin of 0.05
    "none": ([], False),
    "one that fits": ([forecast()], True),
    "of more growth": ([forecast(multiple=10)], True),
    "of less growth": ([forecast(multiple=5)], False),
    "of another measure": ([forecast("b")], False),
    "of another role": ([forecast(by=[BOARD])], False),
    "an old one": ([forecast(at=AT - 46 * DAY)], False),
    "one that expires this second": ([forecast(at=AT - 45 * DAY)], False),
    "a larger margin": ([forecast(margin="0.07")], False),
    "an old one that said more": ([forecast(), forecast(margin="0.1", at=AT - 300 * DAY)], False),
    "one of less growth that said more": ([forecast(), forecast(margin="0.1", multiple=2)], False),
}
FORECAST = simple(
    line("t", rule_out=quick(buffer=buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=Duration(0, 45 * 86400))))
)


@pytest.mark.parametrize("sentence", FORECASTS)
def test_a_margin_may_come_from_forecasts(sentence):
    told, below = FORECASTS[sentence]
    decision = ask(known(runs(correct=8), forecasts=told), FORECAST)
    assert (state(decision) == "below") == below
    if below:
        assert cell(decision).finding.tree.expires == STATED + 45 * DAY


def test_a_forecast_that_was_taken_back_stands_for_nothing_and_keeps_its_margin():
    mine, larger = forecast(), forecast(margin="0.1")
    told = known(runs(correct=8), forecasts=[mine], withdrawals=[withdrawn(mine, by=[AUDITOR])])
    assert state(ask(told, FORECAST)) == "not ruled out"
    told = known(runs(correct=8), forecasts=[mine, larger], withdrawals=[withdrawn(larger, by=[AUDITOR])])
    assert state(ask(told, FORECAST)) == "not ruled out"


OPEN_LINE = simple(line("t", Amount("training_compute", Fraction(1))))

# -- soundness (10 to 14) ----------------------------------------------------------------------------------------------

HARD = Demand(
    "fine-tuned", demonstrations=16, flop=10**15, attempts=10, tools=True, safety_ablated=True, refusals=Fraction(1, 50)
)
ENOUGH = {
    "elicitation": "fine-tuned", "demonstrations": 16, "flop": 10**15, "attempts": 10, "tools": True,
    "safety_ablated": True, "refused_at_most": 2,
}  # fmt: skip
WEAK = {
    "too few demonstrations": {"demonstrations": 15},
    "too little compute": {"flop": 10**15 - 1},
    "too few attempts": {"attempts": 9},
    "no tools": {"tools": False},
    "refusals not trained away": {"safety_ablated": False},
    "too many refusals": {"refused_scores": 3, "refused_at_most": 3},
    "too many that may have been refusals": {"refused_at_most": 3},
    "another elicitation": {"elicitation": "rl-fine-tuned"},
}


def test_a_rule_that_demands_no_elicitation_is_met_by_nothing():
    decision = ask(known(runs()), simple(line("t", rule_out=quick(elicitation=()))))
    assert decision.verdict == "hold"
    assert [(it.code, it.text) for it in cell(decision).finding.reasons] == [
        ("missing-evidence", "the policy demands no elicitation at all"),
        ("overdue", "no sound evaluation of `a` within the last refresh period"),
    ]


@pytest.mark.parametrize(("on", "code"), [("model", "missing-evidence"), ("deployment", "no-deployment")])
def test_what_was_not_evaluated_is_told_before_what_was_not_stated(on, code):
    decision = ask(facts(), simple(measures=named(measure("a", on=on))))
    assert [it.code for it in cell(decision).finding.reasons][:2] == [code, "assumption"]


def test_a_margin_that_nobody_forecast_is_told_before_anything_is_evaluated():
    kept = buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=MONTH)
    assert "no-forecast" in codes(ask(known(), simple(line("t", rule_out=quick(buffer=kept)))))


def test_an_assumption_that_the_policy_does_not_define_is_not_discharged():
    (reason, *_) = cell(ask(known(runs()), simple(assumptions={}))).finding.reasons
    assert (reason.code, reason.text) == ("assumption", f"`{HONEST}` is not defined by the policy")


def test_a_quotient_by_nothing_may_be_anything():
    growth = simple(line("t", Amount("growth", Fraction(2))), measures={"growth": ComputeRatio("growth", "reference")})
    told = known(subjects=family(reference={"ec_low": 0}))
    (reason, *_) = cell(ask(told, growth)).finding.reasons
    assert reason.text == "growth may be anything, or grow there: not certainly under 2"


def test_attack_a_subject_is_named_like_the_digest_that_a_policy_refers_to():
    under = [Threshold("t", Amount("growth", Fraction(2)), None)]
    for meant, expected in (
        ("reference", "below"),
        (digest("not here yet"), "not ruled out"),
        ("E" * 64, "not ruled out"),
    ):
        told = known(subjects=family(reference={"name": meant}))
        assert state(ask(told, simple(*under, measures={"growth": ComputeRatio("growth", meant)}))) == expected


def test_an_amount_of_what_is_no_quantity_is_not_below():
    for name in ("a", "nothing"):
        assert state(ask(known(), simple(line("t", Amount(name, Fraction(1)))))) == "not ruled out"


def test_large_quantities_are_told_in_three_digits():
    for spent, told in ((10**6 - 1, "999999"), (10**6, "1e+06"), (1234567, "1.23e+06")):
        subjects = family(model={"training_compute": spent, "steps": ()})
        (reason, *_) = cell(ask(known(subjects=subjects), OPEN_LINE)).finding.reasons
        assert reason.text == f"training_compute >= 1: it is at least {told}"


def test_a_demand_is_met_by_just_enough():
    under = simple(line("t", rule_out=quick(elicitation=(HARD,))))
    words = [stated(name) for name in ASSUMED["fine-tuned"]]
    assert state(ask(facts(runs(**ENOUGH), attestations=words), under)) == "below"


@pytest.mark.parametrize("sentence", WEAK)
def test_a_demand_is_not_met_by_less(sentence):
    under = simple(line("t", rule_out=quick(elicitation=(HARD,))))
    told = facts(runs(**{**ENOUGH, **WEAK[sentence]}), attestations=[stated(name) for name in ASSUMED["fine-tuned"]])
    assert state(ask(told, under)) == "not ruled out"
    assert codes(ask(told, under)) == {"missing-evidence", "overdue"}


MEASURED_WRONG = {  # sentence: (the measure, the run)
    "a sample, where families count": ({"unit": "family"}, {}),
    "other samples than those pinned": ({"samples_digest": "5a" * 32}, {}),
    "fewer than the least": ({"least_samples": 101}, {}),
}


@pytest.mark.parametrize("sentence", MEASURED_WRONG)
def test_a_result_must_fit_its_measure(sentence):
    changes, made = MEASURED_WRONG[sentence]
    under = simple(measures=named(measure("a", **changes)))
    assert state(ask(known(runs(**made)), under)) == "not ruled out"
    right = {"unit": changes.get("unit", "sample"), "samples": 101, "samples_digest": "5a" * 32}
    assert state(ask(known(runs(**right)), under)) == "below"


def test_few_shot_counts_the_examples_that_were_shown():
    under = simple(line("t", rule_out=quick(elicitation=(Demand("few-shot", demonstrations=4),))))
    for shots, expected in ((3, "not ruled out"), (4, "below")):
        told = known(runs(elicitation="few-shot", shots=shots, demonstrations=99))
        assert state(ask(told, under)) == expected


ENDS = {  # sentence: (the refresh, the buffer's period, incidents, below?)
    "nothing happened": (refresh(), None, [], True),
    "the buffer's period is over": (refresh(), MONTH, [], False),
    "the event happened": (refresh(events=("theft",)), None, [incident("theft")], False),
    "another event happened": (refresh(events=("theft",)), None, [incident("leak")], True),
    "it happened before the plan": (refresh(events=("theft",)), None, [incident("theft", at=PLANNED - SECOND)], True),
    "it happened with the plan": (refresh(events=("theft",)), None, [incident("theft", at=PLANNED)], False),
    "it happened to another family": (refresh(events=("theft",)), None, [incident("theft", subject=REFERENCE)], True),
    "it happened to the subject": (refresh(events=("theft",)), None, [incident("theft", subject=MODEL)], False),
    "a member asks for a refresh": (refresh(discretion=BOARD), None, [incident("refresh", members=[BOARD])], False),
    "a stranger asks for a refresh": (refresh(discretion=BOARD), None, [incident("refresh", members=[TEAM])], True),
    "a member asks, nobody may": (refresh(), None, [incident("refresh", members=[BOARD])], True),
}


@pytest.mark.parametrize("sentence", ENDS)
def test_a_result_ends(sentence):
    renewed, period, happened, below = ENDS[sentence]
    under = simple(line("t", rule_out=quick(refresh=renewed, buffer=buffer(period=period))))
    assert (state(ask(known(runs(), incidents=happened), under)) == "below") == below


TAKEN_BACK = {  # sentence: (what was taken back, by whom, does the result still serve?)
    "the result, by its signer": ("result", TEAM, False),
    "the plan, by its signer": ("plan", TEAM, False),
    "the result, by another": ("result", BOARD, True),
}


@pytest.mark.parametrize("sentence", TAKEN_BACK)
def test_a_result_that_was_taken_back_serves_no_more_and_counts_still(sentence):
    what, by, serves = TAKEN_BACK[sentence]
    for bad, expected in ((0, "below" if serves else "not ruled out"), (100, "reached")):
        made = runs(correct=bad)
        told = known(made, withdrawals=[withdrawn(getattr(made, what), by=[by])])
        assert state(ask(told, simple())) == expected


SPOILT = {  # sentence: (what is said of the first of two results of a run, is the other one still sound?)
    "nothing": (None, True),
    "its signer takes it back": ("withdrawals", False),
    "the independent role sets it aside": ("set_asides", False),
}


def refuted(said, *ran):
    """What is known of runs, of which the first one's result was refuted."""
    first = ran[0].result
    words = {"withdrawals": [withdrawn(first)], "set_asides": [aside(first)]}
    return known(*ran, **({said: words[said]} if said else {}))


def repeated(told, *, plan=None):
    """The same, with the first result once more."""
    first = told.results[0]
    again = replace(first, digest=digest(f"again {plan}"), flop=first.flop + 1, plan=plan or first.plan)
    return replace(told, results=(*told.results, again))


@pytest.mark.parametrize("sentence", SPOILT)
def test_attack_a_result_that_was_refuted_is_reported_once_more(sentence):
    said, serves = SPOILT[sentence]
    made, anew = runs(), runs(planned_at=AT - DAY, seed=2)
    assert state(ask(repeated(refuted(said, made)), simple())) == ("below" if serves else "not ruled out")
    assert state(ask(repeated(refuted(said, made, anew)), simple())) == "below"


@pytest.mark.parametrize("sentence", SPOILT)
@pytest.mark.parametrize("later", [False, True])
def test_attack_a_result_that_was_refuted_is_reported_on_a_twin_of_its_plan(sentence, later):
    """Announced beforehand it is the same run; announced after the refutation it is a new one."""
    said, serves = SPOILT[sentence]
    told = repeated(refuted(said, runs()))  # its own plan is reported, too
    plan = told.results[0].plan
    twin = replace(plan, digest=digest("twin"), at=STATED + DAY if later else plan.at)
    told = repeated(replace(told, plans=(*told.plans, twin)), plan=twin)
    assert state(ask(told, simple())) == ("below" if serves or later else "not ruled out")


def test_only_the_independent_role_sets_a_result_aside():
    bad = runs(correct=100, seed=1)
    for by, role, expected in ((AUDITOR, AUDITOR, "below"), (BOARD, AUDITOR, "reached"), (AUDITOR, "", "reached")):
        told = known(runs(), bad, set_asides=[aside(bad.result, by=[by])])
        assert state(ask(told, simple(independent=role))) == expected


def test_a_result_that_anybody_set_aside_is_not_sound():
    made = runs()
    for by in (AUDITOR, BOARD, TEAM):
        assert found(known(made, set_asides=[aside(made.result, by=[by])])) == "not ruled out"


def test_a_set_aside_that_was_taken_back_takes_nothing_out():
    bad = runs(correct=100, seed=1)
    out = aside(bad.result)
    assert found(known(runs(), bad, set_asides=[out], withdrawals=[withdrawn(out, by=[AUDITOR])])) == "reached"


# -- assumptions (15, 16) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elicitation", [name for name in ASSUMED if name != "understanding-based"])
def test_each_elicitation_takes_its_own_things_for_granted(elicitation):
    demand = Demand(elicitation, demonstrations=1 if elicitation in {"fine-tuned", "few-shot"} else 0)
    names = {name for group in ASSUMED.values() for name in group}
    under = simple(
        line("t", rule_out=quick(elicitation=(demand,))),
        assumptions=named(*(Assumption(name, AUDITOR, MONTH) for name in names)),
    )
    needed = ASSUMED[elicitation]
    at = AT - DAY
    all_said = [stated(name, at=at) for name in needed]
    assert state(ask(facts(runs(elicitation=elicitation), attestations=all_said), under)) == "below"
    for missing in needed:
        said = [stated(name, at=at) for name in names if name != missing]
        assert state(ask(facts(runs(elicitation=elicitation), attestations=said), under)) == "not ruled out"


def test_a_propensity_takes_it_for_granted_that_no_test_is_noticed():
    lies = named(measure("a", kind="propensity"))
    under = simple(measures=lies, assumptions=named(Assumption("no-test-awareness", AUDITOR, MONTH)))
    assert state(ask(facts(runs(), attestations=[stated("no-test-awareness", at=AT - DAY)]), under)) == "below"
    assert state(ask(facts(runs(), attestations=[stated(HONEST)]), under)) == "not ruled out"


CHECKED = Assumption(HONEST, AUDITOR, MONTH, checked="a-check", coverage=Fraction(9, 10))
CHECKS = {  # sentence: (the check, discharged?); 29 of 29 show 0.9 at 95 %, 28 of 28 do not
    "it passed, and is known to work": (Check("a-check", passed=True, caught=29, organisms=29), True),
    "it is hardly known to work": (Check("a-check", passed=True, caught=28, organisms=28), False),
    "it missed too many": (Check("a-check", passed=True, caught=28, organisms=29), False),
    "it did not pass": (Check("a-check", passed=False, caught=29, organisms=29), False),
    "it is another check": (Check("b-check", passed=True, caught=29, organisms=29), False),
    "there is none": (None, False),
}


RAN, OTHER = "1f" * 32, "2e" * 32
SHARP = replace(CHECKED, sharpness=Fraction(4, 5), least_parameters=500_000)


def certified(**changes):
    """A check of the elicitor that ran, as the policy wants it but for some things; 14 of 14 show 0.8 at 95 %."""
    made = {
        "recipe": RAN, "demonstrations": 16, "ruled_out": 14, "honest": 14, "at": Fraction(1, 2),
        "least_parameters": 500_000, "confidence": Fraction(19, 20),
    }  # fmt: skip
    return Check("a-check", passed=True, caught=29, organisms=29, validity=Validity(**{**made, **changes}))


CERTIFIED = {  # sentence: (the assumption, the check, what ran, discharged?)
    "the elicitor that ran is certified": (SHARP, certified(), RAN, True),
    "a strong one is certified, and a weak one ran": (SHARP, certified(recipe=OTHER), RAN, False),
    "nobody says what ran": (SHARP, certified(), "unknown", False),
    "nobody says what ran, nor what is certified": (SHARP, certified(recipe="unknown"), "unknown", False),
    "it is hardly known to be sharp": (SHARP, certified(ruled_out=13, honest=13), RAN, False),
    "its bounds are always 1": (SHARP, certified(ruled_out=0), RAN, False),
    "it was tried on nobody without the skill": (SHARP, certified(ruled_out=0, honest=0), RAN, False),
    "it is sharp at a level where everything is": (SHARP, certified(at=Fraction(51, 100)), RAN, False),
    "its organisms are toys": (SHARP, certified(least_parameters=499_999), RAN, False),
    "nothing is known of it": (SHARP, CHECKS["it passed, and is known to work"][0], RAN, False),
    "nothing is asked, and nothing is known": (CHECKED, CHECKS["it passed, and is known to work"][0], RAN, True),
    "nothing is asked, and another one is certified": (CHECKED, certified(recipe=OTHER), RAN, False),
    "only the level of organisms is asked": (
        replace(CHECKED, least_parameters=500_000), certified(ruled_out=0), RAN, True
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", CERTIFIED)
def test_what_is_certified_is_the_elicitor_that_ran(sentence):
    assumption, check, recipe, works = CERTIFIED[sentence]
    told = facts(runs(demonstrations=16, recipe=recipe), attestations=[stated(HONEST, check=check, at=AT - DAY)])
    decision = ask(told, simple(assumptions=named(assumption)))
    assert (state(decision) == "below") == works
    assert codes(decision) == (set() if works else {"assumption"})


@pytest.mark.parametrize(
    ("certified_on", "ran_on", "works"),
    [(128, 4, False), (16, 15, False), (16, 16, True), (4, 128, True), (0, 0, True)],
)
def test_what_was_certified_on_many_demonstrations_says_nothing_of_a_run_on_few(certified_on, ran_on, works):
    word = stated(HONEST, check=certified(demonstrations=certified_on), at=AT - DAY)
    decision = ask(
        facts(runs(recipe=RAN, demonstrations=ran_on), attestations=[word]), simple(assumptions=named(SHARP))
    )
    assert (state(decision) == "below") == works
    reasons = {it.text: it.resume for it in decision.all_reasons if it.code == "assumption"}
    if not works:
        ((text, resume),) = reasons.items()
        assert f"`{RAN[:12]}` on {certified_on} demonstrations or more" in text
        assert f"what ran was `{RAN[:12]}` on {ran_on}" in text
        assert f"interlock evaluate --subject model on {certified_on} demonstrations or more" in resume


@pytest.mark.parametrize(("certified_at", "read_at", "works"), [
    ("0.95", "0.94", False), ("0.95", "0.95", True), ("0.9", "0.95", True), ("0.99", "0.95", False),
])  # fmt: skip
def test_what_was_certified_with_wide_bounds_says_nothing_of_narrow_ones(certified_at, read_at, works):
    """At less confidence the upper bound of the same result is lower: it covers less than what was certified did."""
    word = stated(HONEST, check=certified(confidence=Fraction(certified_at)), at=AT - DAY)
    under = simple(line("t", rule_out=quick(confidence=Fraction(read_at))), assumptions=named(SHARP))
    decision = ask(facts(runs(recipe=RAN, demonstrations=16), attestations=[word]), under)
    assert (state(decision) == "below") == works
    reasons = {it.text: it.resume for it in decision.all_reasons if it.code == "assumption"}
    if not works:
        ((text, resume),) = reasons.items()
        assert f"with bounds at {certified_at} or more" in text
        assert f"on 16, with bounds at {read_at}" in text
        assert f"with bounds at {read_at} or less" in resume


def test_attack_one_run_on_many_demonstrations_carries_another_on_few():
    """A demand lasts as long as the results that tried as hard as what was certified, whatever tried less later."""
    word = stated(HONEST, check=certified(), at=AT - DAY)
    hard = runs(recipe=RAN, demonstrations=16)
    easy = runs(recipe=RAN, demonstrations=15, seed=1, planned_at=AT - 2 * DAY)
    under = simple(assumptions=named(SHARP))
    alone = cell(ask(facts(hard, attestations=[word]), under)).finding.tree.expires
    assert cell(ask(facts(hard, easy, attestations=[word]), under)).finding.tree.expires == alone
    assert state(ask(facts(easy, attestations=[word]), under)) == "not ruled out"


def test_attack_one_recipe_is_certified_for_each_assumption_on_other_counts_and_no_run_has_both():
    extra = replace(SHARP, name="extra")
    under = simple(line("t", rule_out=quick(assumes=("extra",))), assumptions=named(SHARP, extra))
    counts = {HONEST: 8, "extra": 64}
    words = [stated(name, check=certified(demonstrations=n), at=AT - DAY) for name, n in counts.items()]
    assert state(ask(facts(runs(recipe=RAN, demonstrations=16), attestations=words), under)) == "not ruled out"
    assert state(ask(facts(runs(recipe=RAN, demonstrations=64), attestations=words), under)) == "below"


def test_attack_one_elicitor_is_certified_for_each_assumption_and_neither_ran_alone():
    extra = replace(SHARP, name="extra")
    under = simple(line("t", rule_out=quick(assumes=("extra",))), assumptions=named(SHARP, extra))
    words = [stated(name, check=certified(recipe=it), at=AT - DAY) for name, it in ((HONEST, RAN), ("extra", OTHER))]
    both = [runs(demonstrations=16, recipe=RAN), runs(demonstrations=16, recipe=OTHER, seed=1)]
    assert state(ask(facts(*both, attestations=words), under)) == "not ruled out"
    more = stated("extra", check=certified(), at=AT - DAY)
    assert state(ask(facts(*both, attestations=[*words, more]), under)) == "below"


def test_a_demand_lasts_as_long_as_the_results_of_a_certified_elicitor():
    word = stated(HONEST, check=certified(), at=AT - DAY)
    early, late = (
        runs(demonstrations=16, recipe=RAN),
        runs(demonstrations=16, recipe=OTHER, seed=1, planned_at=AT - 2 * DAY),
    )
    under = simple(assumptions=named(SHARP))
    alone = cell(ask(facts(early, attestations=[word]), under)).finding.tree.expires
    assert cell(ask(facts(early, late, attestations=[word]), under)).finding.tree.expires == alone


def test_the_explanation_says_which_elicitor_was_certified_and_which_ran():
    told = facts(
        runs(demonstrations=16, recipe=RAN), attestations=[stated(HONEST, check=certified(recipe=OTHER), at=AT - DAY)]
    )
    decision = ask(told, simple(assumptions=named(SHARP)))
    (reading,) = cell(decision).finding.readings
    assert [(it.recipe, it.demonstrations) for it in reading.certified] == [(OTHER, 16)]
    assert [it.recipe for it in reading.counted] == [RAN]
    reason = next(it for it in decision.all_reasons if it.code == "assumption")
    assert OTHER[:12] in reason.text
    assert RAN[:12] in reason.text


def test_a_failing_check_of_any_elicitor_counts_whoever_signs_it():
    word = stated(HONEST, check=certified(), at=AT - 5 * DAY)
    blunt = stated(HONEST, check=certified(recipe=OTHER, ruled_out=0), by=[BOARD], at=AT - DAY)
    told = facts(runs(demonstrations=16, recipe=RAN), attestations=[word, blunt])
    assert state(ask(told, simple(assumptions=named(SHARP)))) == "not ruled out"


@pytest.mark.parametrize("sentence", CHECKS)
def test_an_assumption_may_need_a_check_that_works(sentence):
    check, works = CHECKS[sentence]
    under = simple(assumptions=named(CHECKED))
    told = facts(runs(), attestations=[stated(HONEST, check=check, at=AT - DAY)])
    assert (state(ask(told, under)) == "below") == works


def test_a_check_that_failed_later_undoes_one_that_passed():
    passed, failed = CHECKS["it passed, and is known to work"][0], CHECKS["it did not pass"][0]
    under = simple(assumptions=named(CHECKED))
    good = stated(HONEST, check=passed, at=AT - 5 * DAY)
    for days, expected in ((1, "not ruled out"), (9, "below")):
        bad = stated(HONEST, check=failed, at=AT - days * DAY, by=[BOARD])
        assert state(ask(facts(runs(), attestations=[bad, good]), under)) == expected


def test_a_check_that_failed_before_and_was_kept_back_undoes_one_that_passed():
    passed, failed = CHECKS["it passed, and is known to work"][0], CHECKS["it did not pass"][0]
    under = simple(assumptions=named(CHECKED))
    good, bad = stated(HONEST, check=passed, at=AT - 5 * DAY), stated(HONEST, check=failed, at=AT - 9 * DAY)
    assert state(ask(facts(runs(), attestations=[good, bad]), under)) == "not ruled out"
    again = stated(HONEST, check=passed, at=AT - 4 * DAY)
    assert state(ask(facts(runs(), attestations=[good, bad, again]), under)) == "below"


def test_a_rule_may_assume_more():
    extra = named(Assumption(HONEST, AUDITOR, MONTH), Assumption("extra", AUDITOR, MONTH))
    under = simple(line("t", rule_out=quick(assumes=("extra",))), assumptions=extra)
    told = facts(runs(), attestations=[stated(HONEST, at=AT - DAY)])
    assert codes(ask(told, under)) == {"assumption"}
    told = facts(runs(), attestations=[stated(HONEST, at=AT - DAY), stated("extra", at=AT - 2 * DAY)])
    assert state(ask(told, under)) == "below"
    assert cell(ask(told, under)).finding.tree.expires == MONTH.after(AT - 2 * DAY)


def test_an_assumption_that_nobody_defines_is_not_discharged():
    assert found(known(runs()), assumptions={}) == "not ruled out"


@pytest.mark.parametrize("checked", [True, False])
def test_an_assumption_is_void_unless_a_threshold_is_below(checked):
    base = CHECKED if checked else Assumption(HONEST, AUDITOR, MONTH)
    check = CHECKS["it passed, and is known to work"][0] if checked else None
    words = [stated(HONEST, at=AT - DAY, check=check)]
    for level, expected in ((10**25, "below"), (10**24, "not ruled out"), (10**23, "not ruled out")):
        small = Threshold("small", Amount("training_compute", Fraction(level)), None)
        under = simple(line("t"), small, assumptions=named(replace(base, void_at=("small",))))
        decision = ask(facts(runs(), attestations=words), under)
        assert state(decision) == expected
        assert ("assumption-void" in codes(decision)) == (expected != "below")


def test_an_assumption_lasts_no_longer_than_the_threshold_at_which_it_is_void():
    other = Assumption("other", AUDITOR, MONTH)
    precursor = line(
        "precursor", B, rule_out=quick(elicitation=(Demand("rl-fine-tuned"),), refresh=refresh(period=MONTH))
    )
    names = ("no-gradient-hacking", "no-exploration-hacking")
    under = simple(
        line("t"),
        precursor,
        assumptions=named(
            Assumption(HONEST, AUDITOR, MONTH, void_at=("precursor",)),
            other,
            *(Assumption(it, AUDITOR, MONTH) for it in names),
        ),
    )
    words = [stated(it, at=AT - DAY) for it in (HONEST, *names)]
    told = facts(runs(), runs("b", elicitation="rl-fine-tuned", planned_at=AT - 20 * DAY), attestations=words)
    assert state(ask(told, under)) == "below"
    assert cell(ask(told, under)).finding.tree.expires == MONTH.after(AT - 20 * DAY)


# -- plans (19, 20) ----------------------------------------------------------------------------------------------------

PLANS = {  # sentence: (the second plan's run, holds a reversible action?)
    "it is due and not reported": ({"reported": False}, True),
    "it is not due yet": ({"reported": False, "planned_at": AT - DAY}, False),
    "its report covers too little": ({"scored": 90}, True),
    "its report is by somebody else": ({"signers": [BOARD]}, True),
    "it and its report are by somebody else": ({"signers": [BOARD], "plan_signers": [BOARD]}, False),
    "it is for another version of the task": ({"reported": False, "version": 2}, True),
    "it is for another task": ({"reported": False, "name": "other"}, False),
    "it is reported": ({}, False),
}


@pytest.mark.parametrize("sentence", PLANS)
def test_an_open_plan_that_is_due_blocks(sentence):
    made, blocks = PLANS[sentence]
    told = known(runs(samples=1000), runs(**{"seed": 1, "samples": 1000, **made}))
    decision = ask(told, simple())
    assert ("unreported" in codes(decision)) == blocks


def test_a_report_that_was_taken_back_leaves_its_plan_open():
    made = runs(seed=1)
    told = known(runs(), made, withdrawals=[withdrawn(made.result)])
    assert codes(ask(told, simple())) == {"unreported"}


def test_a_plan_of_no_deployment_is_not_of_the_one_asked_for():
    """A plan of the bare model does not matter to a measure of a deployment, even where none is asked about."""
    offered = simple(measures=named(measure("a", on="deployment")))
    told = known(runs(deployment=OFFERED), runs(seed=1, reported=False))
    assert "unreported" not in codes(ask(told, offered, deployment=OFFERED))
    assert "unreported" not in codes(ask(told, offered))


IRREVERSIBLE = {"scale": False, "deploy-internal": False, "deploy-api": False, "release-weights": True, "lend": True}


@pytest.mark.parametrize("action", IRREVERSIBLE)
def test_an_open_plan_blocks_at_once_what_cannot_be_taken_back(action):
    told = known(runs(), runs(seed=1, reported=False, planned_at=AT - DAY))
    under = simple()
    under = replace(under, gates={**under.gates, "lend": under.gates["scale"]})
    decision = ask(told, under, action=action)
    ways = [it.resume for it in decision.cells[0].finding.reasons if it.code == "open-plan"]
    assert ways == ["run it: interlock evaluate --subject model"] * IRREVERSIBLE[action]


# -- expressions (21 to 24) --------------------------------------------------------------------------------------------

U, R = {"correct": 15}, {"correct": 100}  # not ruled out at 0.20, and reached
EXPRESSIONS = {  # (count, states of three parts, state of all)
    (1, "bbb", "below"), (1, "bbu", "not ruled out"), (1, "bbr", "reached"), (1, "uur", "reached"),
    (2, "bbu", "below"), (2, "buu", "not ruled out"), (2, "bbr", "below"), (2, "brr", "reached"), (2, "urr", "reached"),
    (3, "bur", "below"), (3, "uur", "not ruled out"), (3, "brr", "below"), (3, "rrr", "reached"),
}  # fmt: skip


@pytest.mark.parametrize("row", sorted(EXPRESSIONS), ids=str)
def test_at_least(row):
    count, states, expected = row
    changes = {"b": {}, "u": U, "r": R}
    made = [runs(name, **changes[it]) for name, it in zip("abc", states, strict=True)]
    assert found(known(*made), line("t", AtLeast(count, (A, B, C)))) == expected


NO_MARGIN = quick(buffer=buffer(margin=Fraction(0)))


def test_alpha_is_divided_by_the_count():
    """Without a margin, of 100: 13 rule out 0.20 at 0.05, 11 at 0.05 / 2, 10 at 0.05 / 4; no more."""
    any_of, all_of = AtLeast(1, (A, B)), AtLeast(2, (A, B))
    nested = AtLeast(2, (AtLeast(2, (A, C)), B))
    for expr, most in ((any_of, 13), (all_of, 11), (nested, 10)):
        other = 13 if expr is any_of else 20
        for bad, expected in ((most, "below"), (most + 1, "not ruled out")):
            told = known(runs("a", bad), runs("b", other), runs("c", 20))
            assert found(told, line("t", expr, rule_out=NO_MARGIN)) == expected


def test_reaching_is_never_divided():
    """28 of 100 show 0.20 at 0.05, and not at 0.025."""
    assert found(known(runs("a", 28), runs("b", 28)), line("t", AtLeast(2, (A, B)))) == "reached"


def test_a_ref_takes_the_lesser_alpha_and_the_share():
    """At 99 %: 6 of 100 rule out 0.15, 7 do not."""
    strict = line("t", Ref("u"), rule_out=quick(confidence=Fraction("0.99")))
    for bad, expected in ((6, "below"), (7, "not ruled out"), (28, "reached")):
        under = simple(strict, line("u"))
        assert state(ask(known(runs(correct=bad)), under)) == expected
    bare = Threshold("t", AtLeast(2, (Ref("u"), Amount("training_compute", Fraction(1)))), None)
    for bad, expected in ((7, "below"), (8, "not ruled out"), (28, "reached")):
        assert state(ask(known(runs(correct=bad)), simple(bare, line("u")))) == expected


RATIO = {**MEASURES, "growth": ComputeRatio("growth", "reference")}
AMOUNTS = {  # sentence: (quantity, level, the subject's statement, state); the reference has 10^24
    "training compute at the level": ("training_compute", 10**24, {}, "reached"),
    "training compute under it": ("training_compute", 10**24 + 1, {}, "below"),
    "effective compute surely at it": ("effective_compute", 10**24, {}, "reached"),
    "effective compute that may be": ("effective_compute", 2 * 10**24, {"ec_high": 2 * 10**24}, "not ruled out"),
    "effective compute surely under it": ("effective_compute", 2 * 10**24, {"ec_high": 2 * 10**24 - 1}, "below"),
    "a ratio at it": ("growth", 1, {}, "reached"),
    "a ratio that may be": ("growth", 2, {"ec_high": 2 * 10**24}, "not ruled out"),
    "a ratio under it": ("growth", 2, {}, "below"),
}


@pytest.mark.parametrize("sentence", AMOUNTS)
def test_amounts(sentence):
    quantity, level, changes, expected = AMOUNTS[sentence]
    under = simple(Threshold("t", Amount(quantity, Fraction(level)), None), measures=RATIO)
    assert state(ask(known(subjects=family(model=changes)), under)) == expected


@pytest.mark.parametrize(
    ("reference", "expected"), [({"ec_low": 0}, "not ruled out"), ({"name": "x"}, "not ruled out")]
)
def test_a_ratio_to_nothing_and_to_nobody_is_not_ruled_out(reference, expected):
    under = simple(Threshold("t", Amount("growth", Fraction(2)), None), measures=RATIO)
    assert state(ask(known(subjects=family(reference=reference)), under)) == expected


# -- other ways to be below (26) ---------------------------------------------------------------------------------------


def test_under_a_quantity():
    for level, expected in ((10**25, "below"), (10**24, "not ruled out")):
        way = UnderQuantity("effective_compute", Fraction(level))
        decision = ask(known(), simple(line("t", below_if=(way,))))
        assert (state(decision), cell(decision).opens) == (expected, expected == "below")


def test_under_a_screen_by_a_share_of_alpha():
    """The screen and the expression are two tests: each has half of alpha. 7 of 100 rule out 0.15 at that, 8 do not."""
    for bad, expected in ((7, "below"), (8, "not ruled out")):
        under = simple(line("t", A, below_if=(UnderScreen("cheap"),)), line("cheap", B))
        assert state(ask(known(runs("b", bad)), under)) == expected
        assert state(ask(known(runs("a", bad)), under)) == expected


def test_a_screen_that_is_below_does_not_help_a_threshold_that_is_reached():
    under = simple(line("t", A, below_if=(UnderScreen("cheap"),)), line("cheap", B))
    assert state(ask(known(runs("b"), runs("a", 100)), under)) == "reached"


WAY = UnderReference("reference", ("a",), Fraction("0.02"))
LEANING = simple(line("t", AtLeast(1, (At("a", Fraction("0.60")), B)), below_if=(WAY,)), independent="")


def leaning(mine=5, theirs=35, *more, honest=(MODEL, REFERENCE), **changes):
    """The reference is below at `a` and `b`; the subject has no results on `b`."""
    other = [runs("a", theirs, subject=REFERENCE), runs("b", 0, subject=REFERENCE)]
    return known(runs("a", mine), *other, *more, honest=honest, **changes)


REFERENCES = {  # sentence: (ledger, state)
    "much less capable than one that is below": (leaning, "below"),
    "hardly less capable": (lambda: leaning(theirs=12), "not ruled out"),
    "the other one is not below": (lambda: leaning(theirs=55), "not ruled out"),
    "the other one is reached": (lambda: leaning(theirs=80), "not ruled out"),
    "nobody vouches for the other one": (lambda: leaning(honest=(MODEL,)), "not ruled out"),
    "nobody vouches for this one": (lambda: leaning(honest=(REFERENCE,)), "not ruled out"),
    "a plan of this one is due": (lambda: leaning(5, 35, runs("a", seed=1, reported=False)), "not ruled out"),
    "another result of this one is worse": (lambda: leaning(5, 35, runs("a", 25, seed=1)), "not ruled out"),
    "another sound result of the other one is lower": (
        lambda: leaning(5, 35, runs("a", 10, seed=1, subject=REFERENCE)),
        "not ruled out",
    ),
    "an unsound result of the other one is lower": (
        lambda: leaning(5, 35, runs("a", 10, seed=1, subject=REFERENCE, planned=False)),
        "below",
    ),
    "nobody knows the other one": (lambda: leaning(subjects=family(reference={"name": "x"})), "not ruled out"),
    "nobody knows what the other one was made from": (
        lambda: leaning(subjects=family(reference={"steps": (Step(digest("nothing"), "merged", 1),)})),
        "not ruled out",
    ),
    "the other one is so much smaller that its evidence does not reach": (
        lambda: leaning(subjects=family(reference={"ec_low": 10**23, "ec_high": 10**23})),
        "not ruled out",
    ),
    "a plan of the other one is due": (
        lambda: leaning(5, 35, runs("a", seed=1, reported=False, subject=REFERENCE)),
        "not ruled out",
    ),
}


@pytest.mark.parametrize("sentence", REFERENCES)
def test_no_more_capable_than_another_that_is_below(sentence):
    told, expected = REFERENCES[sentence]
    finding = cell(ask(told(), LEANING)).finding
    assert finding.state == expected
    assert finding.tree.parts[0].state in {expected, None}  # None: there is nobody to compare it with


def test_what_is_kept_back_of_the_other_one_by_the_measure_that_they_are_compared_by():
    """Its threshold is below by others: so only the way itself asks for the plan, and ends when it is due."""
    way = replace(WAY, on=("c",))
    under = replace(LEANING, thresholds=named(replace(LEANING.thresholds["t"], below_if=(way,))))
    compared = [runs("c", 5), runs("c", 35, subject=REFERENCE)]
    assert state(ask(leaning(5, 35, *compared), under)) == "below"
    late = runs("c", seed=1, reported=False, subject=REFERENCE)
    assert state(ask(leaning(5, 35, *compared, late), under)) == "not ruled out"
    running = runs("c", seed=1, reported=False, subject=REFERENCE, planned_at=AT - DAY, report_by=AT + 3 * DAY)
    told = leaning(5, 35, *compared, running)
    assert cell(ask(told, under)).finding.tree.expires == AT + 3 * DAY
    assert state(ask(told, under, action="release-weights")) == "not ruled out"


def test_without_a_rule_nobody_is_less_capable_than_another():
    by_amount = Threshold("t", Amount("training_compute", Fraction(10**24)), None, below_if=(WAY,))
    under = replace(LEANING, thresholds={**LEANING.thresholds, "t": by_amount})
    assert state(ask(leaning(subjects=family(model={"ec_high": 10**25})), under)) == "reached"
    by_effective = replace(by_amount, reached_when=Amount("effective_compute", Fraction(2 * 10**24)))
    under = replace(under, thresholds={"t": by_effective})
    assert state(ask(leaning(subjects=family(model={"ec_high": 10**25})), under)) == "not ruled out"


def test_what_keeps_another_threshold_from_being_below_is_told_there():
    outer, small = Threshold("t", Ref("u"), None), UnderQuantity("training_compute", Fraction(10**26))
    told = known(runs(reported=False))
    part = cell(ask(told, simple(outer, line("u", below_if=(small,))))).finding.tree.parts[0]
    assert (part.reasons, [it.code for it in part.parts[0].reasons]) == ((), ["unreported"])
    part = cell(ask(known(runs(correct=100)), simple(outer, line("u")))).finding.tree.parts[0]
    assert (part.state, bool(part.reasons)) == ("reached", True)


def test_a_part_that_is_below_by_its_compute_need_not_be_evaluated():
    small = UnderQuantity("training_compute", Fraction(10**26))
    for way, overdue in (((small,), False), ((), True)):
        under = simple(line("t", AtLeast(1, (Ref("u"), A))), line("u", B, below_if=way))
        finding = cell(ask(known(runs("a", 15)), under)).finding
        assert (finding.state, finding.overdue is not None) == ("not ruled out", overdue)


def test_a_threshold_that_two_refer_to_is_found_for_each_as_surely_as_it_asks():
    """6 of 100 rule out 0.15 at 0.01, and 7 do not."""
    outer = [line("s", Ref("u")), line("t", Ref("u"), rule_out=quick(confidence=Fraction("0.99")))]
    for bad, expected in ((6, ["below", "below"]), (7, ["below", "not ruled out"])):
        for order in (outer, outer[::-1]):
            decision = ask(known(runs("a", bad)), simple(*order, line("u"), gated=["s", "t"]))
            assert [state(decision, name) for name in "st"] == expected


def test_a_screen_is_below_as_surely_as_the_threshold_asks():
    strict = line("t", A, below_if=(UnderScreen("cheap"),), rule_out=quick(confidence=Fraction("0.99")))
    for bad, expected in ((3, "below"), (7, "not ruled out")):
        assert state(ask(known(runs("b", bad)), simple(strict, line("cheap", B)))) == expected


def test_what_is_below_by_another_one_is_so_as_far_as_the_evidence_on_both():
    """Four times the lesser effective compute, which is the other one's."""
    small = leaning(subjects=family(reference={"ec_low": 5 * 10**23, "ec_high": 5 * 10**23}))
    tree = cell(ask(small, LEANING)).finding.tree
    assert (tree.state, tree.reach, tree.parts[0].reach) == ("below", 2 * 10**24, 2 * 10**24)


def test_a_threshold_that_two_refer_to_is_found_for_each_with_its_share():
    """7 of 100 rule out 0.15 at half of 0.05, 9 only at 0.05."""
    inner = line("u", rule_out=quick())
    outer = [line("s", Ref("u")), line("t", AtLeast(2, (Ref("u"), B)))]
    for bad, expected in ((7, ["below", "below"]), (8, ["below", "not ruled out"])):
        for order in (outer, outer[::-1]):
            under = simple(*order, inner, gated=["s", "t"])
            decision = ask(known(runs("a", bad), runs("b", 90)), under)
            assert [state(decision, name) for name in "st"] == expected


def test_the_margin_counts_to_the_last_digit():
    """At a quarter of 0.05: half for the way, of which half for each subject."""
    apart = lower(35, 100, Fraction("0.0125")) - upper(5, 100, Fraction("0.0125"))
    for margin, expected in ((apart, "below"), (apart + Fraction(1, 10**6), "not ruled out")):
        level = replace(LEANING.thresholds["t"], below_if=(replace(WAY, margin=margin),))
        assert state(ask(leaning(), replace(LEANING, thresholds=named(level)))) == expected


def test_one_sound_result_of_the_other_one_is_needed():
    """It is below by another measure; what it is compared by is of any age, but not all of it may be stale."""
    either = replace(LEANING.thresholds["t"], reached_when=AtLeast(2, (At("a", Fraction("0.05")), B)))
    under = replace(LEANING, thresholds=named(either))
    stale = runs("a", 35, subject=REFERENCE, planned_at=AT - 100 * DAY)
    others = [runs("a", 5), runs("b", subject=REFERENCE), stale]
    assert state(ask(known(*others, honest=(MODEL, REFERENCE)), under)) == "not ruled out"
    fresh = runs("a", 35, seed=1, subject=REFERENCE)
    assert state(ask(known(*others, fresh, honest=(MODEL, REFERENCE)), under)) == "below"


@pytest.mark.parametrize("on", [(), ("m",), ("a", "m")])
def test_nobody_is_less_capable_by_no_measure_or_by_a_mean(on):
    measures = {**MEASURES, "m": Mean("m", {"a": Fraction(1)})}
    under = replace(
        LEANING, measures=measures, thresholds=named(replace(LEANING.thresholds["t"], below_if=(replace(WAY, on=on),)))
    )
    assert state(ask(leaning(), under)) == "not ruled out"


def test_the_other_one_is_below_as_surely_as_the_outer_threshold_asks():
    """7 of 100 rule out 0.15 at half of 0.05, and not at half of 0.01."""
    told = known(
        runs("a", 5), runs("a", 35, subject=REFERENCE), runs("b", 7, subject=REFERENCE), honest=(MODEL, REFERENCE)
    )
    inner = replace(LEANING.thresholds["t"], name="s")
    for rule, expected in ((None, "below"), (quick(confidence=Fraction("0.99")), "not ruled out")):
        assert state(ask(told, simple(Threshold("t", Ref("s"), rule), inner, gated=["t"]))) == expected


def test_nobody_is_less_capable_than_itself():
    own = replace(WAY, subject="model")
    under = simple(line("t", AtLeast(1, (At("a", Fraction("0.60")), B)), below_if=(own,)))
    assert state(ask(leaning(), under)) == "not ruled out"


# -- thresholds (25, 28) -----------------------------------------------------------------------------------------------

NAMING = {  # sentence: (the incident, reached?)
    "it names the threshold": (incident(thresholds=["t"]), True),
    "it names another": (incident(thresholds=["u"]), False),
    "it names it of another family": (incident(thresholds=["t"], subject=REFERENCE), False),
    "it names it of this subject": (incident(thresholds=["t"], subject=MODEL), True),
}


@pytest.mark.parametrize("sentence", NAMING)
def test_an_incident_is_positive_evidence(sentence):
    happened, reached = NAMING[sentence]
    assert found(known(runs(), incidents=[happened])) == ("reached" if reached else "below")
    out = known(runs(), incidents=[happened], set_asides=[aside(happened)])
    assert found(out) == "below"


def test_a_higher_level_that_is_reached_reaches_the_lower():
    under = simple(line("t"), line("u", B, above=("t",)))
    assert state(ask(known(runs("a"), runs("b", 100)), under)) == "reached"
    assert state(ask(known(runs("a", 100), runs("b")), under)) == "reached"
    assert state(ask(known(runs("a"), runs("b", 20)), under)) == "below"


def test_a_hole_is_never_below_and_always_overdue():
    hole = Threshold("t", None, None, below_if=(UnderQuantity("training_compute", Fraction(10**30)),))
    decision = ask(known(runs()), simple(hole))
    assert (state(decision), "overdue" in codes(decision)) == ("not ruled out", True)


EVALUATED = {  # sentence: (expression, runs, overdue?)
    "both parts of any": (AtLeast(1, (A, B)), [runs("a", 15), runs("b", 15)], False),
    "one part of any": (AtLeast(1, (A, B)), [runs("a", 15)], True),
    "one part of all, which is below": (AtLeast(2, (A, B)), [runs("a", 0)], False),
    "one part of all, which is not": (AtLeast(2, (A, B)), [runs("a", 15)], True),
    "an amount": (Amount("training_compute", Fraction(1)), [], False),
    "a ref to what is below": (Ref("u"), [runs("c", 0)], False),
    "a ref to what was evaluated": (Ref("u"), [runs("c", 15)], False),
    "a ref to what was not": (Ref("u"), [], True),
    "no part at all": (AtLeast(1, ()), [runs("a"), runs("b")], True),
}


@pytest.mark.parametrize("sentence", EVALUATED)
def test_overdue(sentence):
    expr, made, overdue = EVALUATED[sentence]
    rule = None if isinstance(expr, Amount) else quick()
    decision = ask(known(*made), simple(line("t", expr, rule_out=rule), line("u", C)))
    assert (cell(decision).finding.overdue is not None) == overdue


@pytest.mark.parametrize("expr", [AtLeast(1, ()), AtLeast(2, (A,)), AtLeast(3, (A, B))])
def test_no_part_that_is_below_is_not_below(expr):
    assert ask(known(), simple(line("t", expr))).verdict == "hold"


def test_what_is_evaluated_by_being_below_is_so_at_the_outer_confidence_and_share():
    """10 of 120 rule out 0.15 at half of 0.05, and neither at half of 0.01 nor at a quarter of 0.05."""
    told = known(runs("a", 10, samples=120, scored=120), runs("c", 20))
    inner = line("u", AtLeast(2, (A, B)))
    for outer, overdue in (
        (Threshold("t", Ref("u"), None), False),
        (Threshold("t", Ref("u"), quick(confidence=Fraction("0.99"))), True),
        (Threshold("t", AtLeast(2, (Ref("u"), C)), quick()), True),
    ):
        found = cell(ask(told, simple(outer, inner, gated=["t"]))).finding
        assert (found.overdue is not None) == overdue


def test_one_sound_result_of_any_demand_ends_overdue():
    both = quick(elicitation=(PROMPTED, Demand("few-shot")))
    decision = ask(known(runs()), simple(line("t", rule_out=both)))
    assert (state(decision), cell(decision).finding.overdue) == ("not ruled out", None)


def test_run_is_the_same_whoever_builds_it():
    assert run("prompted", task="lab/a") == runs("a")
