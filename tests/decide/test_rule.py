"""The rule on the example policy: what is in order permits, and each single thing out of order holds, for its own
reason. The numbers in comments are those of docs/semantics.md.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
import rfc8785

from decide.cases import (
    ACTIONS,
    AT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    EFFECTIVE,
    FEW_SHOT,
    FOUNDATION,
    GATEKEEPER,
    HOUR,
    MODEL,
    PLANNED,
    PROMPTED,
    REFERENCE,
    SECOND,
    SIBLING,
    STALE,
    TEAM,
    YEAR,
    ask,
    attested,
    codes,
    digest,
    facts,
    family,
    in_order,
    incident,
    known,
    line,
    named,
    one_gate,
    policy,
    quick,
    rule_out,
    run,
    runs,
    simple,
    since,
    stated,
    statements,
)
from interlock.decide.decision import in_order as by_reach
from interlock.decide.decision import to_json
from interlock.decide.facts import Step
from interlock.decide.rule import defects, unevaluated
from interlock.policy.model import Amount, Attested, Demand, Measured, Threshold

OTHERS = frozenset({AUDITOR, GATEKEEPER, BOARD})
SECURITY = attested("security-3", about=None)
MISUSE = attested("misuse-3", about=MODEL)
BUDGET = policy(attacker_budget=Fraction(1, 100))


def by_requirement(*runs, **changes):
    """`scale` of the one-gate policy, asked with the developer's security attested and nothing else but `runs`."""
    return ask(facts(*runs, attestations=[SECURITY]), one_gate(), **changes)


def releasable(*more, correct=1):
    """Everything that `release-weights` needs."""
    demanded = [run(kind, correct=correct) for kind in ("few-shot", "fine-tuned", "rl-fine-tuned")]
    return facts(*demanded, *more, attestations=[*statements(), stated("no-exploration-hacking")])


# -- everything in order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_no_evidence_holds_every_gate(action):
    decision = ask(facts(), action=action)
    assert decision.verdict == "hold"
    assert decision.bounds is None
    assert all(not cell.opens and cell.finding.overdue for cell in decision.cells)
    assert all(r.upper == 1 and r.lower == 0 for cell in decision.cells for r in cell.finding.readings)


@pytest.mark.parametrize("action", ACTIONS)
def test_few_shot_evidence_alone_holds_every_gate(action):
    decision = ask(facts(run("few-shot"), attestations=[*statements(), SECURITY, MISUSE]), action=action)
    assert decision.verdict == "hold"
    assert codes(decision) >= {"missing-evidence"}


@pytest.mark.parametrize("action", ["scale", "deploy-internal", "deploy-api"])
def test_everything_in_order_permits(action):
    decision = ask(in_order(), action=action)
    assert decision.verdict == "permit"
    assert decision.reasons == ()
    assert [cell.finding.state for cell in decision.cells] == ["below", "below"]
    assert not any(requirement.met for cell in decision.cells for requirement in cell.requirements)


def test_what_opens_the_api_does_not_open_the_weights():
    decision = ask(in_order(), action="release-weights")
    assert [cell.finding.threshold for cell in decision.holding] == ["codebook-use-open"]
    assert codes(decision) == {"missing-evidence", "assumption"}


PERMITS = {
    "the largest count that still rules the level out": lambda: ask(in_order(few_shot={"correct": 8})),
    "the smallest coverage, its gaps counted as dangerous": lambda: ask(
        in_order(few_shot={"correct": 6, "scored": 98})
    ),
    "just enough demonstrations": lambda: ask(in_order(fine_tuned={"demonstrations": 16})),
    "the last second of a result": lambda: ask(in_order(seen_at=STALE - SECOND), at=STALE - SECOND),
    "the oldest checkpoint that the policy allows": lambda: ask(in_order(), at=AT + HOUR - SECOND),
    "the first moment of the policy": lambda: ask(in_order(), since(policy(), AT)),
    "the weights, with every elicitation and assumption": lambda: ask(releasable(), action="release-weights"),
    "a stale statement beside a fresh one": lambda: ask(
        in_order(attestations=[stated("good-demonstrations", at=EFFECTIVE - 300 * DAY)])
    ),
    "an open plan beside fresh evidence": lambda: ask(in_order(run("few-shot", seed=1, planned_at=AT, reported=False))),
    "an overdue plan for another task": lambda: ask(in_order(run("few-shot", task="other/task", reported=False))),
    "bad numbers of another task": lambda: ask(in_order(run("few-shot", task="other/task", correct=100))),
    "a result that came after its plan was due": lambda: ask(in_order(few_shot={"at": PLANNED + 29 * DAY})),
    "bad numbers of a sibling that took more than the attacker's budget": lambda: ask(
        in_order(run("few-shot", subject=SIBLING, correct=100)),
        policy(attacker_budget=Fraction(1, 101)),
    ),
    "bad numbers of a child under a budget of nothing": lambda: ask(
        in_order(run("few-shot", subject=CHILD, correct=100))
    ),
    "an extra signature on a result": lambda: ask(in_order(few_shot={"signers": {TEAM, GATEKEEPER}})),
    "a requirement instead of a finding, once evaluated": lambda: by_requirement(run("few-shot", correct=50)),
}


@pytest.mark.parametrize("sentence", PERMITS)
def test_permits(sentence):
    decision = PERMITS[sentence]()
    assert decision.verdict == "permit", to_json(decision)
    assert decision.bounds is not None


# -- each single thing out of order ------------------------------------------------------------------------------------

MISSING_WITHOUT = {  # sentence: what is different about the few-shot evaluation
    "it names no plan": {"planned": False},
    "nobody of the team signed it": {"signers": OTHERS},
    "nobody of the team signed its plan": {"plan_signers": OTHERS},
    "it ran a later version of the task": {"version": 2},
    "it has another metric": {"metric": "f1"},
    "its coverage is one sample under the floor": {"scored": 97},
    "its plan is three months old to the second": {"planned_at": datetime(2026, 3, 1, tzinfo=UTC), "report_by": AT},
    "it showed no examples": {"shots": 0},
    "it planned no samples": {"samples": 0},
    "it is about the parent": {"subject": FOUNDATION},
    "it is about a child": {"subject": CHILD},
    "it is about another task": {"task": "other/task"},
}

ASSUMPTION_HOLDS = {  # sentence: what is different about one statement
    "nobody states it": None,
    "it has expired this second": {"at": datetime(2025, 12, 1, tzinfo=UTC)},
    "the wrong roles sign it": {"by": {GATEKEEPER, BOARD}},
    "the team that runs the evaluation signs it": {"by": {TEAM}},
    "the auditor signs it together with the team": {"by": {AUDITOR, TEAM}},
    "it is about the parent": {"about": FOUNDATION},
    "it is about the child": {"about": CHILD},
    "it is about the developer": {"about": None},
}

CHILD_POSITIVE = run("few-shot", subject=CHILD, correct=100)

HOLDS = {  # sentence: (the question, a reason code that it must give)
    "too few demonstrations": (lambda: ask(in_order(fine_tuned={"demonstrations": 15})), "missing-evidence"),
    "no fine-tuned result": (lambda: ask(facts(run("few-shot"), attestations=statements())), "missing-evidence"),
    "one more correct answer pushes the bound over": (lambda: ask(in_order(few_shot={"correct": 9})), "bound"),
    "a sample that was never run counts as dangerous": (
        lambda: ask(in_order(few_shot={"correct": 8, "scored": 99, "completed": 99})),
        "bound",
    ),
    "a sample without a score counts as dangerous": (
        lambda: ask(in_order(few_shot={"correct": 8, "scored": 99})),
        "bound",
    ),
    "an unplanned result has bad numbers": (lambda: ask(in_order(run("few-shot", planned=False, correct=9))), "bound"),
    "a result of another version of the task has bad numbers": (
        lambda: ask(in_order(run("few-shot", version=2, correct=9))),
        "bound",
    ),
    "a result that was not demanded has bad numbers": (lambda: ask(in_order(run("prompted", correct=9))), "bound"),
    "a result of years ago has bad numbers": (
        lambda: ask(in_order(run("few-shot", planned_at=PLANNED - 900 * DAY, correct=9))),
        "bound",
    ),
    "a result that a board member signed has bad numbers": (
        lambda: ask(in_order(run("few-shot", signers={BOARD}, correct=9))),
        "bound",
    ),
    "a result with two samples rules out nothing": (lambda: ask(in_order(run("few-shot", samples=2))), "bound"),
    "a result without samples rules out nothing": (lambda: ask(in_order(run("few-shot", samples=0))), "bound"),
    "an overdue plan of the subject": (lambda: ask(in_order(run("few-shot", seed=1, reported=False))), "unreported"),
    "a plan due this second": (
        lambda: ask(in_order(run("few-shot", seed=1, planned_at=AT - DAY, report_by=AT, reported=False))),
        "unreported",
    ),
    "an overdue plan of the parent": (
        lambda: ask(in_order(run("few-shot", subject=FOUNDATION, reported=False))),
        "unreported",
    ),
    "an overdue plan of a child": (
        lambda: ask(in_order(run("few-shot", subject=CHILD, reported=False))),
        "unreported",
    ),
    "an overdue plan for another version of the task": (
        lambda: ask(in_order(run("few-shot", version=2, reported=False))),
        "unreported",
    ),
    "an overdue plan that anybody signed": (
        lambda: ask(in_order(run("few-shot", plan_signers={BOARD}, reported=False))),
        "unreported",
    ),
    "an overdue plan of a sibling whose result would count": (
        lambda: ask(in_order(run("few-shot", subject=SIBLING, reported=False)), BUDGET),
        "unreported",
    ),
    "a plan that gave itself until 9999 and is due by the policy": (
        lambda: ask(in_order(run("few-shot", seed=1, report_by=datetime(9999, 1, 1, tzinfo=UTC), reported=False))),
        "unreported",
    ),
    "an unplanned result beside an overdue plan": (
        lambda: ask(
            in_order(run("few-shot", seed=1, reported=False), run("few-shot", seed=1, planned=False)),
        ),
        "unreported",
    ),
    "an open plan, when the weights would leave": (
        lambda: ask(releasable(run("few-shot", seed=1, planned_at=AT, reported=False)), action="release-weights"),
        "open-plan",
    ),
    "an open plan of a child, when the weights would leave": (
        lambda: ask(
            releasable(run("few-shot", subject=CHILD, planned_at=AT, reported=False)), action="release-weights"
        ),
        "open-plan",
    ),
    "an open plan, at an action that only the policy knows": (
        lambda: ask(
            in_order(run("few-shot", seed=1, planned_at=AT, reported=False)),
            one_gate(action="hand-over-weights"),
            action="hand-over-weights",
        ),
        "open-plan",
    ),
    "the subject is unknown": (lambda: ask(in_order(), subject=digest("nobody")), "unknown-subject"),
    "the policy is silent about the action": (lambda: ask(in_order(), action="sell"), "silent"),
    "the policy is not yet in force": (lambda: ask(in_order(), since(policy(), AT + SECOND)), "not-in-force"),
    "the checkpoint is as old as the policy allows": (lambda: ask(in_order(), at=AT + HOUR), "stale-ledger"),
    "the time asked for lies before the checkpoint": (lambda: ask(in_order(), at=AT - SECOND), "clock"),
    "the interval of compute is too wide": (
        lambda: ask(in_order(subjects=family(model={"ec_high": 4 * 10**24 + 1}))),
        "compute-uncertain",
    ),
    "the subject reached the level itself": (lambda: ask(in_order(few_shot={"correct": 100})), "reached"),
    "an unplanned result reached it, however old and whoever signed": (
        lambda: ask(
            in_order(run("prompted", planned=False, signers={BOARD}, planned_at=EFFECTIVE - 900 * DAY, correct=100))
        ),
        "reached",
    ),
    "the parent reached it": (
        lambda: ask(in_order(run("few-shot", subject=FOUNDATION, correct=100))),
        "reached-ancestor",
    ),
    "the grandparent reached it": (
        lambda: ask(
            facts(
                run("few-shot", subject=CHILD),
                run("fine-tuned", subject=CHILD),
                run("few-shot", subject=FOUNDATION, correct=100),
                attestations=[stated(a.name, about=CHILD) for a in statements()],
            ),
            subject=CHILD,
        ),
        "reached-ancestor",
    ),
    "a child within the attacker's budget reached it": (
        lambda: ask(in_order(CHILD_POSITIVE), BUDGET),
        "reached-derivative",
    ),
    "a child that took nothing at all reached it, under a budget of nothing": (
        lambda: ask(
            in_order(CHILD_POSITIVE, subjects=family(child={"steps": (Step(MODEL, "quantised", 0),)})),
        ),
        "reached-derivative",
    ),
    "a sibling showed what the common parent could do": (
        lambda: ask(in_order(run("few-shot", subject=SIBLING, correct=100)), BUDGET),
        "reached-derivative",
    ),
    "the gate lists no threshold": (lambda: ask(in_order(), policy(gates={"scale": {}})), "empty-gate"),
}


@pytest.mark.parametrize("sentence", MISSING_WITHOUT)
def test_a_result_that_is_not_sound_is_missing(sentence):
    changed = {"few_shot": MISSING_WITHOUT[sentence]}
    decision = ask(in_order(**changed))
    assert decision.verdict == "hold"
    assert "missing-evidence" in codes(decision)
    assert unevaluated(
        [since(policy())], in_order(**changed), owner=("thresholds", "takeover"), subject=MODEL, at=AT
    ) == (("codebook", FEW_SHOT),)


@pytest.mark.parametrize("name", ["no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations"])
@pytest.mark.parametrize("sentence", ASSUMPTION_HOLDS)
def test_an_assumption_that_does_not_stand_holds(name, sentence):
    decision = ask(in_order(assumed={name: ASSUMPTION_HOLDS[sentence]}))
    assert decision.verdict == "hold"
    assert codes(decision) == {"assumption"}


@pytest.mark.parametrize("sentence", HOLDS)
def test_holds(sentence):
    question, code = HOLDS[sentence]
    decision = question()
    assert decision.verdict == "hold"
    assert decision.bounds is None
    assert code in codes(decision)


def test_a_requirement_does_not_pass_for_an_assumption_of_the_same_name():
    known = in_order(assumed={"good-demonstrations": None}, attestations=[attested("good-demonstrations", about=MODEL)])
    assert codes(ask(known)) == {"assumption"}


def test_an_open_plan_holds_only_what_cannot_be_taken_back():
    known = releasable(run("few-shot", seed=1, planned_at=AT, reported=False))
    assert {action: ask(known, action=action).verdict for action in ACTIONS} == {
        "scale": "permit",
        "deploy-internal": "permit",
        "deploy-api": "permit",
        "release-weights": "hold",
    }


def test_one_more_correct_answer_closes_the_weights():
    assert ask(releasable(correct=1), action="release-weights").verdict == "permit"
    assert ask(releasable(correct=2), action="release-weights").verdict == "hold"


def test_every_hold_says_why():
    for question, _ in HOLDS.values():
        decision = question()
        assert decision.reasons or all(cell.finding.reasons for cell in decision.holding)


def test_a_sample_without_a_score_counts_as_harmless_for_reaching_a_level():
    for scored, state in ((100, "not ruled out"), (30, "not ruled out")):
        decision = ask(in_order(run("few-shot", seed=1, correct=25, scored=scored)))
        assert decision.cells[0].finding.state == state
    assert ask(in_order(few_shot={"samples": 30, "correct": 25})).cells[0].finding.state == "reached"


# -- what the answer says ----------------------------------------------------------------------------------------------


def test_the_answer_shows_every_result_that_counts():
    decision = ask(in_order(run("prompted", planned=False, correct=3, scored=90)))
    (reading,) = decision.cells[0].finding.readings
    shown = [(c.elicitation, c.planned, c.scored, c.correct, c.admissible) for c in reading.counted]
    assert shown == [
        ("few-shot", 100, 100, 0, True),
        ("fine-tuned", 100, 100, 0, True),
        ("prompted", 100, 90, 3, False),
    ]
    assert reading.upper == max(c.upper for c in reading.counted) == Fraction("0.1988")
    assert (reading.method, reading.confidence) == ("Clopper-Pearson, one-sided", Fraction("0.95"))


def test_the_json_form_is_exact():
    answer = to_json(ask(in_order()))
    assert answer["bounds"] == {"most_effective_compute": "4" + 24 * "0", "not_after": "2026-07-01T00:00:00Z"}
    assert answer["at"] == answer["checkpoint"]["time"] == "2026-06-01T00:00:00Z"
    (ruling,) = answer["rulings"]
    assert (ruling["policy"], ruling["governs"], ruling["verdict"]) == ("example-lab/rsp", True, "permit")
    reading = ruling["cells"][0]["finding"]["tree"]["parts"][0]["reading"]
    assert (reading["level"], reading["margin"], reading["confidence"]) == ("0.2", "0.05", "0.95")
    assert (reading["upper"], reading["lower"]) == ("0.0296", "0")


def test_the_json_form_can_be_signed_whatever_is_asked():
    for question in [lambda: ask(in_order()), *PERMITS.values(), *(question for question, _ in HOLDS.values())]:
        assert rfc8785.dumps(to_json(question()))


def test_a_threshold_of_amounts_asks_for_no_evaluation():
    amounts = simple(Threshold("t", Amount("training_compute", Fraction(10)), None))
    assert unevaluated([since(amounts)], known(), owner=("thresholds", "t"), subject=MODEL, at=AT) == ()


def test_what_a_measured_requirement_asks_for_is_due_until_it_is_run_and_again_after_an_incident():
    safe = Measured("safe", "b", Fraction("0.20"), quick())
    under, owner = [since(simple(requirements=named(safe, Attested("audit", "", AUDITOR, "subject", YEAR))))], "safe"
    for told, expected in (
        (known(), (("b", PROMPTED),)),
        (known(runs("b")), ()),
        (known(runs("b"), incidents=[incident(requirements=["safe"])]), (("b", PROMPTED),)),
        (known(runs("b"), incidents=[incident(requirements=["safe"], subject=FOUNDATION)]), (("b", PROMPTED),)),
        (known(runs("b"), incidents=[incident(requirements=["safe"], subject=REFERENCE)]), ()),
    ):
        assert unevaluated(under, told, owner=("requirements", owner), subject=MODEL, at=AT) == expected
    assert unevaluated(under, known(), owner=("requirements", "audit"), subject=MODEL, at=AT) == ()


def test_what_is_due_is_asked_by_the_version_in_force_or_else_by_the_first():
    asks = {one: simple(line("t", rule_out=quick(elicitation=(one,)))) for one in (PROMPTED, FEW_SHOT)}
    under = [since(asks[PROMPTED], AT - DAY), since(asks[FEW_SHOT], AT)]
    for at, demand in ((AT - 2 * DAY, PROMPTED), (AT - SECOND, PROMPTED), (AT, FEW_SHOT)):
        told = replace(known(), checkpoint=replace(known().checkpoint, time=at))
        for versions in (under, under[::-1]):
            assert unevaluated(versions, told, owner=("thresholds", "t"), subject=MODEL, at=at) == (("a", demand),)


def test_an_incident_against_a_requirement_of_its_name_makes_no_threshold_due():
    told, owner = known(runs(), incidents=[incident(requirements=["t"])]), ("thresholds", "t")
    assert unevaluated([since(simple())], told, owner=owner, subject=MODEL, at=AT) == ()


DEFECTS = {  # sentence: (what is different about a few-shot result, what is said about it)
    "it names no plan": ({"planned": False}, "no plan stands before it"),
    "the wrong role signed": ({"signers": OTHERS}, "it is not signed by `evaluation-team`"),
    "coverage": ({"scored": 97}, "coverage 97/100 is under 0.98"),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize("sentence", DEFECTS)
def test_what_is_wrong_with_a_result_is_said(sentence):
    changes, said = DEFECTS[sentence]
    told = facts(run("few-shot", **changes))
    found = defects([since(policy())], told, threshold="takeover", result=told.results[0], at=AT)
    assert bool(found) == bool(said)
    assert all(said in it for it in found[:1])


NEAREST = {  # sentence: (what is demanded, what is wrong with a few-shot result, in its first words)
    "what one of its own elicitation lacks": (
        [PROMPTED, Demand("few-shot", attempts=5, tools=True)],
        ["it made 1 attempts", "it had no tools"],
    ),
    "what it lacks for the one that asks for the least more": (
        [Demand("few-shot", attempts=5, tools=True), Demand("few-shot", demonstrations=99)],
        ["it showed 5 examples"],
    ),
    "of another elicitation, if there is none of its own": ([Demand("prompted", attempts=5)], ["it is `few-shot`"]),
}


@pytest.mark.parametrize("sentence", NEAREST)
def test_what_is_wrong_with_a_result_is_told_by_the_demand_that_it_comes_nearest_to(sentence):
    demands, said = NEAREST[sentence]
    told = known(runs(elicitation="few-shot"))
    for asked in (demands, demands[::-1]):
        under = [since(simple(line("t", rule_out=quick(elicitation=tuple(asked)))))]
        found = defects(under, told, threshold="t", result=told.results[0], at=AT)
        assert [it.startswith(words) for it, words in zip(found, said, strict=True)] == [True] * len(said)


def test_a_result_of_no_measure_of_the_threshold_measures_something_else():
    told = known(runs("b"))
    found = defects([since(simple())], told, threshold="t", result=told.results[0], at=AT)
    assert found == ("it measures something else",)


def test_actions_are_read_from_the_least_to_the_most_irreversible():
    assert by_reach(["release-weights", "publish", "scale", "archive", "deploy-api", "deploy-internal"]) == [
        "scale", "deploy-internal", "deploy-api", "release-weights", "archive", "publish",
    ]  # fmt: skip


def test_times_are_told_in_utc_wherever_one_asks(monkeypatch):
    elsewhere, here = AT.astimezone(timezone(timedelta(hours=5))), to_json(ask(in_order()))
    assert to_json(ask(in_order(), at=elsewhere)) == here
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert to_json(ask(in_order(), at=elsewhere)) == here
    finally:
        monkeypatch.undo()
        time.tzset()


def test_rule_out_fields_of_one_threshold_do_not_leak_into_another():
    strict = replace(policy().thresholds["takeover"], rule_out=rule_out(run_by=GATEKEEPER))
    decision = ask(in_order(), policy(thresholds={**policy().thresholds, "takeover": strict}))
    assert {c.finding.threshold: c.finding.state for c in decision.cells} == {
        "codebook-use": "below",
        "takeover": "not ruled out",
    }
