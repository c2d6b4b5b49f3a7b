"""Which policies and versions govern, and from when evidence counts (rules 7, 35, 37 to 40)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    AUDIT,
    AUDITOR,
    BOARD,
    DAY,
    EFFECTIVE,
    FOUNDATION,
    HALF_YEAR,
    HONEST,
    HOUR,
    MEASURES,
    MODEL,
    OFFERED,
    PLANNED,
    REFERENCE,
    SECOND,
    TEAM,
    amended,
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
    named,
    quick,
    runs,
    simple,
    since,
    state,
    stated,
)
from interlock.decide.decision import Reason
from interlock.decide.facts import Version
from interlock.decide.rule import Decider, decide
from interlock.policy.model import (
    Amount,
    Assumption,
    At,
    AtLeast,
    Attested,
    Cell,
    ExceptionRule,
    Judged,
    Mean,
    Measured,
    Permits,
    Ref,
    Scope,
    Threshold,
)
from interlock.policy.time import Duration

LATE = AT - 10 * DAY  # when a second version takes effect
FRESH = {"planned_at": LATE + DAY, "seed": 9}


def versions(*policies, at=LATE):
    """A first version, and later ones a day apart."""
    return [since(policies[0]), *(since(it, at + place * DAY) for place, it in enumerate(policies[1:]))]


def at_level(level, **changes):
    """One threshold of `a`, at a level."""
    return simple(line("t", At("a", Fraction(level)), **changes))


# -- standing (38) -----------------------------------------------------------------------------------------------------

STANDING = {  # sentence: (question, reason)
    "nobody knows the subject": ({"subject": digest("nobody")}, "unknown-subject"),
    "nobody knows the deployment": ({"deployment": digest("nothing")}, "unknown-deployment"),
    "it is a time before the ledger's": ({"at": AT - SECOND}, "clock"),
    "the ledger's checkpoint is too old": ({"at": AT + HOUR}, "stale-ledger"),
    "no policy is in force": ({"at": EFFECTIVE - SECOND}, "not-in-force"),
}


@pytest.mark.parametrize("sentence", STANDING)
def test_without_standing_every_policy_holds(sentence):
    question, code = STANDING[sentence]
    decision = ask(known(runs()), simple(), **question)
    assert decision.verdict == "hold"
    assert code in codes(decision)
    assert all(ruling.verdict == "hold" for ruling in decision.rulings)


def test_a_subject_that_nobody_knows_holds_also_where_the_action_is_left_open():
    decision = ask(known(runs()), simple(), OPEN_SCALE, subject=digest("nobody"))
    assert (decision.verdict, decision.rulings[0].governs) == ("hold", False)


def test_a_subject_of_unknown_parents_says_what_to_do():
    told = known(runs(), subjects={it.digest: it for it in family().values() if it.digest != FOUNDATION})
    (reason,) = ask(told, simple()).reasons
    expected = Reason(
        "unknown-parent", "the ledger does not know what the subject was made from", "register its parents"
    )
    assert reason == expected


def test_while_no_policy_is_in_force_the_hold_says_when_the_first_will_be():
    told = known(runs())
    later = (since(simple(), AT + 2 * DAY), since(simple(id="other"), AT + DAY))
    (reason,) = ask(told, *later).reasons
    assert reason.text == "no policy is in force; the first takes effect at 2026-06-02T00:00:00Z"
    (reason,) = decide([], told, subject=MODEL, action="scale", at=AT).reasons
    assert reason.text == "no policy is in force"


def test_a_deployment_of_another_subject_is_none_of_this():
    told = known(runs())
    told = replace(told, deployments={OFFERED: replace(told.deployments[OFFERED], subject=digest("foundation"))})
    assert codes(ask(told, simple(), deployment=OFFERED)) == {"unknown-deployment"}


def test_what_is_dated_after_the_checkpoint_serves_nothing_and_counts_still():
    good = known(runs(planned_at=AT + HOUR))
    assert state(ask(good, simple(), at=AT)) == "not ruled out"
    assert state(ask(known(runs(at=AT + SECOND)), simple())) == "not ruled out"
    assert state(ask(facts(runs(), attestations=[stated(HONEST, at=AT + SECOND)]), simple())) == "not ruled out"
    assert state(ask(known(runs(), runs(correct=100, seed=1, planned_at=AT + HOUR)), simple())) == "reached"


QUESTIONS = (
    {"subject": MODEL, "action": "scale", "at": AT},
    {"subject": REFERENCE, "action": "scale", "at": AT},
    {"subject": MODEL, "action": "sell", "at": AT},
    {"subject": MODEL, "action": "scale", "at": AT, "deployment": digest("nothing")},
    *({"subject": MODEL, "action": "scale", "at": AT + step} for step in (-SECOND, SECOND, HOUR - SECOND, HOUR)),
)


@pytest.mark.parametrize("first", QUESTIONS)
def test_what_was_asked_before_changes_no_answer(first):
    told = known(runs())
    decider = Decider([since(simple())], told)
    for question in (first, *QUESTIONS, first):
        assert decider.decide(**question) == decide([since(simple())], told, **question)


def test_a_hold_is_told_with_every_reason_and_a_permit_with_none():
    two = simple(line("t"), line("u", At("b", Fraction("0.20"))), gated=["t", "u"])
    told = known(runs(correct=15), runs("b"))
    assert [it.code for it in ask(told, two).all_reasons] == ["bound", "not-attested"]
    nowhere = ask(told, two, deployment=digest("nothing"), at=AT + HOUR)
    assert [it.code for it in nowhere.all_reasons] == ["unknown-deployment", "stale-ledger", "bound", "not-attested"]
    for permitted in (known(runs(), runs("b")), replace(told, attestations=(*told.attestations, attested("audit")))):
        decision = ask(permitted, two)
        assert (decision.verdict, decision.all_reasons) == ("permit", ())


# -- regimes (39, 40) --------------------------------------------------------------------------------------------------

OPEN_SCALE = replace(simple(id="open"), gates={}, not_governed={"scale": "section 1"})
SILENT = replace(simple(id="silent"), gates={})
HOLDING = simple(line("t", At("b", Fraction("0.20"))), id="holding")
SMALL = replace(SILENT, id="small", scope=Scope(Amount("training_compute", Fraction(10**25))))
REGIMES = {  # sentence: (policies, verdict, reason)
    "one that permits": ([simple()], "permit", None),
    "two that permit": ([simple(), simple(id="other")], "permit", None),
    "one that permits and one that holds": ([simple(), HOLDING], "hold", "missing-evidence"),
    "one that permits and one that leaves it open": ([simple(), OPEN_SCALE], "permit", None),
    "one that leaves it open": ([OPEN_SCALE], "hold", "ungoverned"),
    "one that permits and one that is silent": ([simple(), SILENT], "hold", "silent"),
    "one that permits and one that is not about this subject": ([simple(), SMALL], "permit", None),
    "one that is not about this subject": ([SMALL], "hold", "ungoverned"),
    "one that permits and one that is not in force yet": ([simple(), since(HOLDING, AT + DAY)], "permit", None),
    "one that permits and one whose time is over": (
        [simple(), simple(id="old", expires=AT)],
        "hold",
        "policy-expired",
    ),
    "one that permits and one with an empty gate": (
        [simple(), simple(id="x", gates={"scale": {}})],
        "hold",
        "empty-gate",
    ),
}


@pytest.mark.parametrize("sentence", REGIMES)
def test_every_policy_that_governs_must_permit_and_one_must(sentence):
    policies, verdict, code = REGIMES[sentence]
    decision = ask(known(runs()), *policies)
    assert decision.verdict == verdict
    assert code is None or code in codes(decision)


BIG, HUGE = Amount("training_compute", Fraction(10**24)), Amount("effective_compute", Fraction(10**25))
SCOPES = {  # sentence: (scope, does it govern?)
    "every subject": (None, True),
    "at the level": (BIG, True),
    "certainly under it": (HUGE, False),
    "any of two, one true": (AtLeast(1, (BIG, HUGE)), True),
    "all of two, one false": (AtLeast(2, (BIG, HUGE)), False),
    "perhaps under it": (Amount("effective_compute", Fraction(2 * 10**24)), True),
}


@pytest.mark.parametrize("sentence", SCOPES)
def test_a_policy_binds_whom_its_scope_is_not_certainly_false_of(sentence):
    scope, binds = SCOPES[sentence]
    kin = family(model={"ec_high": 2 * 10**24})
    (ruling,) = ask(known(runs(), subjects=kin), simple(scope=Scope(scope))).rulings
    assert ruling.governs == binds


@pytest.mark.parametrize("never", [AtLeast(1, ()), AtLeast(3, (HUGE, HUGE))])
def test_a_policy_whose_scope_nothing_could_satisfy_binds_everybody(never):
    """Such a scope says nothing, and nothing opens a gate."""
    (ruling,) = ask(known(runs()), simple(scope=Scope(never))).rulings
    assert ruling.governs


def test_cells_without_requirements_do_not_gate():
    gate = {"t": Cell(("audit",)), "u": Cell((), (("intends", "audit"),))}
    both = simple(line("t"), line("u", At("b", Fraction("0.20"))), gates={"scale": gate})
    decision = ask(known(runs()), both)
    assert (decision.verdict, [it.finding.threshold for it in decision.cells]) == ("permit", ["t"])
    weak = replace(both, gates={"scale": {"t": Cell((), (("intends", "audit"),))}})
    assert codes(ask(known(runs()), weak)) == {"empty-gate"}


# -- versions (7, 35) --------------------------------------------------------------------------------------------------


def test_a_stricter_version_counts_at_once():
    strict, loose = at_level("0.20"), at_level("0.50")
    told = known(runs(correct=15))
    assert ask(told, loose).verdict == "permit"
    assert ask(told, *versions(loose, strict)).verdict == "hold"
    assert ask(told, *versions(loose, strict, at=AT)).verdict == "hold"
    assert ask(told, *versions(loose, strict, at=AT + SECOND)).verdict == "permit"


def test_a_looser_version_helps_only_later_evidence():
    strict, loose = at_level("0.20"), at_level("0.50")
    word = stated(HONEST, at=LATE + DAY)
    old, new = runs(correct=15), runs(correct=15, **FRESH)
    ledgers = {
        "old evidence": (known(old), "hold"),
        "old evidence and a new word": (facts(old, attestations=[word]), "hold"),
        "new evidence and an old word": (known(new), "hold"),
        "new evidence and a new word": (facts(new, attestations=[word]), "permit"),
        "old evidence beside the new": (known(old, new, attestations=[word]), "hold"),
    }
    for sentence, (told, verdict) in ledgers.items():
        assert ask(told, *versions(strict, loose)).verdict == verdict, sentence


LOOSER = {  # sentence: (the stricter first version, the looser second one)
    "a higher level": (at_level("0.20"), at_level("0.50")),
    "a smaller margin": (
        at_level("0.40", rule_out=quick(buffer=buffer(margin=Fraction("0.25")))),
        at_level("0.40"),
    ),
    "less confidence": (
        at_level("0.27", rule_out=quick(confidence=Fraction("0.999"))),
        at_level("0.27", rule_out=quick(confidence=Fraction("0.90"))),
    ),
    "another role that runs it": (at_level("0.50", rule_out=quick(run_by=BOARD)), at_level("0.50")),
    "less coverage": (
        at_level("0.50", rule_out=quick(coverage=Fraction(1))),
        at_level("0.50", rule_out=quick(coverage=Fraction("0.98"))),
    ),
    "fewer assumptions": (at_level("0.50", rule_out=quick(assumes=("extra",))), at_level("0.50")),
}


@pytest.mark.parametrize("sentence", LOOSER)
def test_every_way_to_be_looser(sentence):
    strict, loose = LOOSER[sentence]
    made = {"correct": 15 if "level" in sentence or "margin" in sentence or "confidence" in sentence else 0}
    made |= {"scored": 98, "correct": 0} if "coverage" in sentence else {}
    old, new = known(runs(**made)), facts(runs(**made, **FRESH), attestations=[stated(HONEST, at=LATE + DAY)])
    assert ask(old, strict).verdict == "hold"
    assert ask(old, loose).verdict == "permit"
    assert ask(old, *versions(strict, loose)).verdict == "hold"
    assert ask(new, *versions(strict, loose)).verdict == "permit"


def test_a_new_threshold_needs_later_plans():
    """What was planned before the policy had it shows nothing about it."""
    first = simple(line("t"))
    second = simple(line("t"), line("u"), gated=["t", "u"])
    old = known(runs())
    assert ask(old, second).verdict == "permit"
    decision = ask(old, *versions(first, second))
    assert (state(decision), state(decision, "u"), decision.verdict) == ("below", "not ruled out", "hold")
    assert ask(known(runs(), runs(**FRESH)), *versions(first, second)).verdict == "permit"


def test_a_new_requirement_needs_a_later_word():
    reached = Threshold("t", Amount("training_compute", Fraction(1)), None)
    first = simple(reached, requires=["audit"])
    second = simple(reached, requires=["other"], requirements=named(Attested("other", "", BOARD, "subject", HALF_YEAR)))
    for at, stands in ((LATE - DAY, False), (LATE + DAY, True)):
        told = facts(attestations=[attested("other", by=[BOARD], at=at), attested("audit")])
        assert ask(told, *versions(first, second)).cells[0].requirements[0].met == stands


@pytest.mark.parametrize("what", ["assumption", "exception", "forecast", "judgement"])
def test_a_new_name_of_any_kind_needs_what_is_later(what):
    """A result, though, that the threshold knew before it serves."""
    extra = Assumption("extra", BOARD, HALF_YEAR)
    way = ExceptionRule("way", "interim", ("audit",), ("other",), (BOARD,), HALF_YEAR)
    other = Attested("other", "", BOARD, "subject", HALF_YEAR)
    first = simple(requirements=named(AUDIT, other))
    forecasting = quick(buffer=buffer(margin=Fraction(0), forecast_by=BOARD, fresh_for=HALF_YEAR))
    second = {
        "assumption": simple(
            line("t", rule_out=quick(assumes=("extra",))), assumptions={**first.assumptions, "extra": extra}
        ),
        "exception": simple(
            Threshold("t", Amount("training_compute", Fraction(1)), None),
            requirements=named(AUDIT, other),
            exceptions=named(way),
        ),
        "forecast": simple(line("t", rule_out=forecasting), measures=first.measures),
        "judgement": simple(line("v", judged=Judged(BOARD, ("a",)))),
    }[what]
    if what == "forecast":
        first = replace(first, measures={}, thresholds=named(Threshold("t", HUGE, None)))
    for at, stands in ((LATE - DAY, False), (LATE + DAY, True)):
        made = runs() if stands is False or what != "forecast" else runs(**FRESH)
        made = runs(**FRESH) if what in {"forecast", "judgement"} else made
        told = known(
            made,
            attestations=[
                stated("extra", by=[BOARD], at=at),
                attested("other", by=[BOARD]),
                stated(HONEST, at=LATE + DAY),
            ],
            amendments=[amended("way", at=at)],
            forecasts=[forecast(by=[BOARD], at=at)],
            judgements=[judged("v", "below", made, at=at + 3 * DAY if stands else at)],
        )
        decision = ask(told, *versions(first, second))
        assert decision.cells[0].opens == stands, at


def test_what_an_earlier_version_called_reached_stays_reached():
    low, high = at_level("0.20"), at_level("0.90")
    told = known(runs(correct=40))
    assert state(ask(told, high)) == "below"
    assert state(ask(told, *versions(low, high))) == "reached"
    late = facts(runs(correct=40, **FRESH), attestations=[stated(HONEST, at=LATE + DAY)])
    assert state(ask(late, *versions(low, high))) == "below"


def ladder(rungs, level):
    """Levels of `b`, each of which lists all lower ones in `above`; the highest is at a level of `a`."""
    names = [f"t{place}" for place in range(rungs)]
    lines = [line(name, At("b", Fraction("0.90")), above=tuple(names[:place])) for place, name in enumerate(names)]
    return simple(*lines[:-1], replace(lines[-1], reached_when=At("a", Fraction(level))))


@pytest.mark.parametrize("rungs", [3, 12, 40])
def test_what_an_earlier_version_found_at_the_top_of_a_ladder_is_told_once_at_its_foot(rungs):
    """There are two to the power of `rungs` - 2 ways from the foot to the top."""
    decision = ask(known(runs(correct=40)), *versions(ladder(rungs, "0.20"), ladder(rungs, "0.90")))
    found = decision.cells[0].finding
    assert found.state == "reached"
    assert [it.text for it in found.tree.reasons if it.code == "reached"] == [
        "version 1.0.0: evidence shows a >= 0.2",
    ]


def test_quantities_alone_are_judged_by_the_version_of_today():
    """An earlier version's expression stays reached, or not ruled out, only if a result contributes to that."""
    big, huge = Amount("training_compute", Fraction(1)), Amount("training_compute", Fraction(10) ** 30)
    leaf = At("a", Fraction("0.20"))
    now = simple(Threshold("t", AtLeast(2, (huge, At("a", Fraction("0.90")))), quick()))
    for earlier, correct, expected in (
        (big, 40, "below"),  # reached by a quantity, whatever was measured
        (AtLeast(2, (big, leaf)), 40, "reached"),
        (AtLeast(2, (big, leaf)), 15, "not ruled out"),
        (AtLeast(1, (big, leaf)), 15, "not ruled out"),
        (AtLeast(2, (huge, leaf)), 15, "below"),
    ):
        first = simple(Threshold("t", earlier, quick()))
        assert state(ask(known(runs(correct=correct)), *versions(first, now))) == expected, (earlier, correct)


def test_a_set_aside_is_of_the_independent_role_of_every_version_that_saw_the_result():
    first, second = simple(independent=BOARD), simple(independent=AUDITOR)
    bad = runs(correct=100, seed=1)
    for by, expected in (([AUDITOR], "reached"), ([BOARD], "reached"), ([AUDITOR, BOARD], "below")):
        told = known(runs(), bad, set_asides=[aside(bad.result, by=by, at=LATE + DAY)])
        assert state(ask(told, *versions(first, second))) == expected, by
    late = runs(correct=100, **{**FRESH, "seed": 1})
    told = known(runs(), late, set_asides=[aside(late.result, by=[AUDITOR], at=AT)])
    assert state(ask(told, *versions(first, second))) == "below"


@pytest.mark.parametrize(("before", "by", "seen", "expected"), [
    (BOARD, (BOARD,), True, "reached"),
    (BOARD, (AUDITOR,), True, "reached"),
    (BOARD, (BOARD, AUDITOR), True, "below"),
    (BOARD, (AUDITOR,), False, "below"),
    (BOARD, (BOARD,), False, "reached"),
    ("", (BOARD, AUDITOR), True, "reached"),
    ("", (AUDITOR,), False, "below"),
])  # fmt: skip
def test_an_ancestors_result_is_repeated_by_the_independent_role_of_every_version_that_saw_it(
    before, by, seen, expected
):
    """As for a set-aside. The line is the same in both versions."""
    first, second = simple(independent=before), simple(independent=AUDITOR)
    bad = runs(subject=FOUNDATION, correct=100, elicitation="fine-tuned", planned_at=PLANNED if seen else LATE + DAY)
    again = runs(elicitation="fine-tuned", signers=by, plan_signers=by, planned_at=LATE + 4 * DAY)
    told = known(runs(**FRESH), bad, again, subjects=family())
    assert state(ask(told, *versions(first, second), action="deploy-internal")) == expected


def test_a_measure_that_changes_its_task_does_not_lose_its_open_plans():
    """Of any version before, not only of those that have seen the plan."""
    tasks = [{**MEASURES, "a": replace(MEASURES["a"], task=f"lab/{name}")} for name in ("old", "older", "a")]
    old, older, now = (simple(measures=its) for its in tasks)
    for task, expected in (("old", "unreported"), ("older", "unreported"), ("another", "")):
        told = known(runs(), runs(task, reported=False, report_by=LATE + 3 * DAY, planned_at=LATE + 2 * DAY))
        held = codes(ask(told, *versions(old, older, now)))
        assert ("unreported" in held) == bool(expected), task


def test_a_line_of_an_earlier_version_that_no_result_has_seen_asks_for_nothing():
    """Not even for the forecast that its margin would rest on."""
    forecasting = quick(buffer=buffer(margin=Fraction(0), forecast_by=BOARD, fresh_for=HALF_YEAR))
    first, second = simple(line("t", rule_out=forecasting)), simple(line("t"))
    told = facts(runs(**FRESH), attestations=[stated(HONEST, at=LATE + DAY)])
    assert ask(told, *versions(first, second)).verdict == "permit"
    assert ask(known(runs()), *versions(first, second)).verdict == "hold"


def test_nothing_that_is_older_than_the_policy_in_the_ledger_counts_in_favour():
    for entered, verdict in ((PLANNED, "permit"), (PLANNED + SECOND, "hold")):
        version = Version(simple(), "", EFFECTIVE, entered)
        assert ask(known(runs()), version).verdict == verdict
    assert state(ask(known(runs(correct=100)), Version(simple(), "", EFFECTIVE, AT))) == "reached"


def test_a_set_aside_that_is_older_than_the_horizon_takes_nothing_out():
    """The second version is looser; from its own horizon the bad result counts."""
    strict, loose = at_level("0.20"), at_level("0.50")
    bad, word = runs(correct=60, seed=1), stated(HONEST, at=LATE + DAY)
    new = runs(correct=15, **FRESH)
    for at, verdict in ((LATE - DAY, "hold"), (LATE + DAY, "permit")):
        told = facts(bad, new, attestations=[word], set_asides=[aside(bad.result, at=at)])
        assert ask(told, *versions(strict, loose)).verdict == verdict


def test_versions_that_do_not_govern_are_passed_over():
    strict, loose = at_level("0.20"), at_level("0.50")
    free = replace(loose, gates={}, not_governed={"scale": "section 1"})
    told = known(runs(correct=15))
    assert ask(told, *versions(loose, free, loose)).verdict == "permit"
    assert ask(told, *versions(free, loose)).verdict == "hold"  # none that governs was there when the evidence began
    assert ask(told, *versions(strict, free, loose)).verdict == "hold"
    assert codes(ask(told, *versions(loose, free))) == {"ungoverned"}


def test_the_versions_between_must_permit_too():
    loose, strict = at_level("0.50"), at_level("0.20")
    told = known(runs(correct=15))
    assert ask(told, loose).verdict == "permit"
    assert ask(told, *versions(loose, strict, loose)).verdict == "hold"


def test_the_hold_names_the_latest_version_that_stands_in_the_way():
    loose, strict = at_level("0.50"), at_level("0.50", rule_out=quick(run_by=BOARD))
    decision = ask(known(runs()), *versions(strict, loose, loose))
    assert [it.code for it in decision.rulings[0].reasons] == ["superseded"]
    assert f"version {strict.version}, in force before, holds on `t`" in decision.rulings[0].reasons[0].text


def numbered(*policies):
    """The same, each with a version of its own."""
    return versions(*(replace(it, version=f"{place}.0.0") for place, it in enumerate(policies, 1)))


def superseded(told, *policies):
    """Why a policy holds although the version in force would permit."""
    ((reason,),) = [it.reasons for it in ask(told, *numbered(*policies)).rulings]
    assert reason.code == "superseded"
    assert reason.resume is not None
    return reason.text


def test_what_supersedes_is_told_by_the_latest_version_that_holds_and_by_what_it_holds_on():
    two = simple(line("t"), line("u", At("b", Fraction("0.20"))), gated=["t", "u"])
    one, empty, told = simple(), replace(simple(), gates={"scale": {}}), known(runs())
    for policies, where in (
        ((two, one), "version 1.0.0, in force before, holds on `u`"),
        ((two, one, one), "version 1.0.0, in force before, holds on `u`"),
        ((two, two, one), "version 2.0.0, in force before, holds on `u`"),
        ((empty, one), "version 1.0.0, in force before, holds on the gate"),
        ((replace(one, expires=LATE), one), "version 1.0.0, in force before, holds on the gate"),
    ):
        assert superseded(told, *policies) == f"{where}: a looser version helps only later evidence"


def test_what_supersedes_is_told_where_every_version_that_governs_would_permit():
    free = replace(simple(), gates={}, not_governed={"scale": "section 1"})
    narrow = simple(refresh=replace(simple().refresh, multiple=Fraction(1)))
    wide = known(runs(), subjects=family(model={"ec_high": 2 * 10**24}))
    for told, first in ((known(runs()), free), (wide, narrow)):
        assert superseded(told, first, simple()) == "earlier versions do not permit it together"


MEAN = Mean("mean", {"a": Fraction(1, 2), "b": Fraction(1, 2)})


def test_a_mean_that_no_result_of_an_earlier_versions_time_concerns_asks_for_nothing():
    means = {
        level: simple(line("t", At("mean", Fraction(level))), measures={**MEASURES, "mean": MEAN})
        for level in ("0.20", "0.50")
    }
    told = facts(*(runs(name, 15, **FRESH) for name in "ab"), attestations=[stated(HONEST, at=LATE + DAY)])
    assert state(ask(told, means["0.20"])) == "not ruled out"
    assert state(ask(told, *versions(means["0.20"], means["0.50"]))) == "below"


def test_a_requirement_of_the_same_name_draws_its_line_whatever_it_measured():
    """One that measured nothing draws none."""
    reached = Threshold("t", Amount("training_compute", Fraction(1)), None)
    needs = {
        "another measure": Measured("safe", "a", Fraction("0.05"), quick()),
        "a word": Attested("safe", "", BOARD, "subject", HALF_YEAR),
        "the same measure": Measured("safe", "b", Fraction("0.05"), quick()),
    }
    now = simple(reached, requires=["safe"], requirements=named(Measured("safe", "b", Fraction("0.20"), quick())))
    bad = runs("a", 100, planned_at=LATE - DAY)
    told = facts(runs("b", 2, planned_at=LATE - DAY), bad, attestations=[stated(HONEST, at=LATE + DAY)])
    for sentence, need in needs.items():
        first = simple(reached, requires=["safe"], requirements=named(need))
        cell = ask(told, *versions(first, now)).cells[0]
        assert cell.requirements[0].met == (sentence == "a word"), sentence


def test_the_shortest_time_to_report_of_any_version_that_saw_the_plan_counts():
    short, long = simple(report_within=Duration(0, 7 * 86400)), simple(report_within=Duration(0, 60 * 86400))
    told = known(runs(), runs(seed=1, reported=False, planned_at=LATE - 2 * DAY, report_by=AT + 90 * DAY))
    assert codes(ask(told, long)) == set()
    assert "unreported" in codes(ask(told, *versions(short, long)))


def test_a_plan_is_open_until_every_version_that_saw_it_is_content():
    strict = simple(line("t", rule_out=quick(coverage=Fraction(1))))
    loose = simple(line("t", rule_out=quick(coverage=Fraction("0.90"))))
    told = known(runs(), runs(seed=1, scored=95))
    assert "unreported" not in codes(ask(told, loose))
    assert "unreported" in codes(ask(told, *versions(strict, loose)))


def test_a_role_that_judged_before_is_heard():
    first, second = (simple(Threshold("t", None, None, Judged(role, ("a",)))) for role in (TEAM, BOARD))
    said = judged("t", "reached", by=(), members=[TEAM])
    told = known(runs(), judgements=[said])
    assert state(ask(told, second)) == "not ruled out"
    assert state(ask(told, *versions(first, second))) == "reached"


def test_where_nobody_judges_any_more_nothing_answers_a_judgement_on_the_parent():
    judging = simple(Threshold("t", None, None, Judged(BOARD, ("a",))))
    mine = runs()
    theirs = judged("t", "reached", subject=FOUNDATION, by=(), members=[BOARD], at=LATE - 2 * DAY)
    told = known(mine, judgements=[theirs, judged("t", "below", mine, at=LATE - DAY)])
    assert state(ask(told, judging)) == "below"
    assert state(ask(told, *versions(judging, simple()))) == "reached"


# -- room and time of several (41, 43) ---------------------------------------------------------------------------------


def test_a_permit_ends_with_the_next_version_of_any_policy():
    for later in (simple(version="2.0.0"), simple(id="other"), OPEN_SCALE):
        assert ask(known(runs()), simple(), since(later, AT + DAY)).bounds.not_after == AT + DAY


def test_the_least_of_all_versions_and_policies_bounds_a_permit():
    week = Permits(Duration(0, 7 * 86400), Duration(0, 3600), BOARD)
    hasty, narrow = simple(permits=week), simple(refresh=replace(simple().refresh, multiple=Fraction(2)))
    for first, second in ((hasty, narrow), (narrow, hasty)):
        bounds = ask(known(runs()), *versions(first, second)).bounds
        assert (bounds.not_after, bounds.most_effective_compute) == (AT + 7 * DAY, 2 * 10**24)
        other = replace(second, id="other")
        bounds = ask(known(runs()), first, other).bounds
        assert (bounds.not_after, bounds.most_effective_compute) == (AT + 7 * DAY, 2 * 10**24)


def test_the_ledgers_age_is_that_of_every_policy_that_governs():
    patient = Permits(Duration(0, 30 * 86400), Duration(0, 7200), BOARD)
    for second in (simple(id="other"), simple(id="other", permits=patient)):
        decision = ask(known(runs()), simple(permits=patient), second, at=AT + HOUR)
        assert decision.verdict == ("hold" if second.permits != patient else "permit")
        assert {it.verdict for it in decision.rulings} == {decision.verdict}


def test_a_policy_that_does_not_govern_asks_for_no_fresh_ledger():
    patient = Permits(Duration(0, 30 * 86400), Duration(0, 7200), BOARD)
    assert ask(known(runs()), simple(permits=patient), OPEN_SCALE, at=AT + HOUR).verdict == "permit"


def test_a_permit_by_requirements_reaches_no_further_than_the_evaluation():
    """Of another threshold, or of an ancestor that stands in."""
    narrow = line("u", rule_out=quick(buffer=buffer(multiple=Fraction(2))))
    audited = {"attestations": [attested("audit")]}
    refers = simple(Threshold("t", Ref("u"), None), narrow, gated=["t"])
    decision = ask(known(runs(correct=15), **audited), refers)
    assert (state(decision), decision.bounds.most_effective_compute) == ("not ruled out", 2 * 10**24)
    grown = family(model={"ec_low": 2 * 10**22, "ec_high": 2 * 10**22})
    decision = ask(known(runs(correct=15, subject=FOUNDATION), subjects=grown, **audited), simple())
    assert (state(decision), decision.bounds.most_effective_compute) == ("not ruled out", 4 * 10**22)


def test_a_permit_that_would_be_over_at_once_is_none_and_says_what_to_do():
    under = simple(permits=replace(simple().permits, lease=Duration(0, 0)))
    ((reason,),) = [it.reasons for it in ask(known(runs()), under).rulings]
    assert (reason.code, reason.resume) == ("expired", "evaluate again")


def test_an_incident_does_not_need_a_version_to_be_heard():
    told = known(runs(), incidents=[incident(thresholds=["t"], at=EFFECTIVE - 300 * DAY)])
    assert state(ask(told, simple())) == "reached"
