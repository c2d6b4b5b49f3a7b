"""The rule, case by case: what is in order permits, and each single thing out of order holds, for its own reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest

from decide.cases import (
    ACTIONS,
    AT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    EFFECTIVE,
    FOUNDATION,
    GATEKEEPER,
    HOUR,
    MODEL,
    PLANNED,
    SECOND,
    SIBLING,
    STALE,
    TEAM,
    ask,
    attested,
    codes,
    digest,
    facts,
    family,
    in_order,
    one_gate,
    policy,
    rule_out,
    run,
    stated,
    statements,
    threshold,
)
from interlock.decide.decision import Bounds, lifts, to_json
from interlock.decide.facts import Step, Subject
from interlock.decide.rule import unevaluated
from interlock.policy.model import Duration

OTHERS = frozenset({AUDITOR, GATEKEEPER, BOARD})
SECURITY = attested("security-3", about=None)
MISUSE = attested("misuse-3", about=MODEL)
BUDGET = policy(attacker_budget=Fraction(1, 100))
WEEK = Duration(0, 7 * 86400)


def by_requirement(*runs, **changes):
    """`scale` of the one-gate policy, asked with the developer's security attested and nothing else but `runs`."""
    return ask(facts(*runs, attestations=[SECURITY]), under=one_gate(), **changes)


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
    assert all(cell.finding.upper == 1 and cell.finding.lower == 0 for cell in decision.cells)


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
    "the oldest checkpoint that the policy allows": lambda: ask(in_order(), at=AT + HOUR),
    "the first moment of the policy": lambda: ask(in_order(), under=policy(effective=AT)),
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
        under=policy(attacker_budget=Fraction(1, 101)),
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
        lambda: ask(in_order(run("few-shot", subject=SIBLING, reported=False)), under=BUDGET),
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
            under=one_gate(action="hand-over-weights"),
            action="hand-over-weights",
        ),
        "open-plan",
    ),
    "the subject is unknown": (lambda: ask(in_order(), subject=digest("nobody")), "unknown-subject"),
    "the policy is silent about the action": (lambda: ask(in_order(), action="sell"), "silent"),
    "the policy is not yet in force": (lambda: ask(in_order(), under=policy(effective=AT + SECOND)), "not-in-force"),
    "the checkpoint is a second too old": (lambda: ask(in_order(), at=AT + HOUR + SECOND), "stale-ledger"),
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
        lambda: ask(in_order(CHILD_POSITIVE), under=BUDGET),
        "reached-derivative",
    ),
    "a child that took nothing at all reached it, under a budget of nothing": (
        lambda: ask(
            in_order(CHILD_POSITIVE, subjects=family(child={"steps": (Step(MODEL, "quantised", 0),)})),
        ),
        "reached-derivative",
    ),
    "a sibling showed what the common parent could do": (
        lambda: ask(in_order(run("few-shot", subject=SIBLING, correct=100)), under=BUDGET),
        "reached-derivative",
    ),
    "the gate lists no threshold": (lambda: ask(in_order(), under=policy(gates={"scale": {}})), "empty-gate"),
}


@pytest.mark.parametrize("sentence", MISSING_WITHOUT)
def test_a_result_that_is_not_sound_is_missing(sentence):
    changed = {"few_shot": MISSING_WITHOUT[sentence]}
    decision = ask(in_order(**changed))
    assert decision.verdict == "hold"
    assert "missing-evidence" in codes(decision)
    assert unevaluated(policy(), in_order(**changed), threshold="takeover", subject=MODEL, at=AT) == ("few-shot",)


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


# -- kin ---------------------------------------------------------------------------------------------------------------


def test_a_parents_evidence_does_not_serve_its_adapter():
    decision = ask(in_order(), subject=CHILD)
    assert decision.verdict == "hold"
    assert {cell.finding.state for cell in decision.cells} == {"not ruled out"}
    assert all(cell.finding.overdue and not cell.finding.counted for cell in decision.cells)


def test_the_attackers_budget_is_a_share_of_the_parents_training_compute():
    over = family(child={"steps": (Step(MODEL, "adapter", 10**22 + 1),)})
    assert ask(in_order(CHILD_POSITIVE), under=BUDGET).verdict == "hold"
    assert ask(in_order(CHILD_POSITIVE, subjects=over), under=BUDGET).verdict == "permit"


def test_the_cheapest_way_to_a_derivative_counts():
    two_ways = (Step(FOUNDATION, "distilled", 10**24), Step(MODEL, "merged", 1), Step(MODEL, "fine-tuned", 10**24))
    known = in_order(CHILD_POSITIVE, subjects=family(child={"steps": two_ways}))
    assert codes(ask(known, under=BUDGET)) == {"reached-derivative"}


def test_a_long_line_of_descendants_is_decided_like_a_short_one():
    names = [digest(f"snapshot {number}") for number in range(1200)]
    line = {
        name: Subject(name, f"snapshot-{number}", 10**24, 10**24, 10**24, steps)
        for number, (name, steps) in enumerate(
            zip(names, [(), *((Step(parent, "continued", 1),) for parent in names)], strict=False)
        )
    }
    known = facts(run("few-shot", subject=names[0]), run("prompted", subject=names[-1], correct=100), subjects=line)
    decision = ask(known, under=one_gate(attacker_budget=Fraction(1, 100)), subject=names[0])
    assert "reached-derivative" in codes(decision)


# -- requirements, holes, overdue --------------------------------------------------------------------------------------


def test_security_lifts_codebook_use_but_not_the_hole_of_takeover():
    decision = ask(in_order(few_shot={"correct": 100}, attestations=[SECURITY]))
    assert decision.verdict == "hold"
    opens = {cell.finding.threshold: (cell.finding.state, cell.opens) for cell in decision.cells}
    assert opens == {"codebook-use": ("reached", True), "takeover": ("reached", False)}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_hole_and_never_hold_whatever_is_attested(action):
    every = [attested(name, about=about) for name in policy().requirements for about in (None, MODEL)]
    decision = ask(in_order(few_shot={"correct": 100}, attestations=every), action=action)
    held = {cell.finding.threshold for cell in decision.holding}
    assert decision.verdict == "hold"
    assert held == {"takeover", "codebook-use-open"} & set(policy().gates[action])
    assert all(lifts(cell) == () for cell in decision.holding)


NOT_ATTESTED = {
    "wrong role": attested("security-3", about=None, by={TEAM, GATEKEEPER, BOARD}),
    "about the subject, where the developer is meant": attested("security-3", about=MODEL),
    "expired this second": attested("security-3", about=None, at=datetime(2025, 6, 1, tzinfo=UTC)),
    "another requirement": attested("misuse-3", about=None),
    "stated as an assumption": stated("security-3", about=None),
}


@pytest.mark.parametrize("sentence", NOT_ATTESTED)
def test_a_requirement_that_is_not_attested_as_demanded_holds(sentence):
    decision = ask(facts(run("few-shot"), attestations=[NOT_ATTESTED[sentence]]), under=one_gate())
    assert decision.verdict == "hold"
    assert [r.reason.code for r in decision.cells[0].requirements] == ["not-attested"]


@pytest.mark.parametrize("about", [None, FOUNDATION, CHILD])
def test_what_is_attested_about_the_developer_or_kin_does_not_serve_the_subject(about):
    both = [SECURITY, attested("misuse-3", about=about)]
    under = one_gate(("security-3", "misuse-3"))
    assert ask(facts(run("few-shot"), attestations=both), under=under).verdict == "hold"
    assert ask(facts(run("few-shot"), attestations=[*both, MISUSE]), under=under).verdict == "permit"


OVERDUE = {  # a security attestation opens this gate, and none of these lets it
    "nothing was evaluated": (),
    "the last evaluation is stale": (run("few-shot", planned_at=PLANNED - 90 * DAY),),
    "only an unplanned result is there": (run("few-shot", planned=False),),
    "only a child was evaluated": (run("few-shot", subject=CHILD),),
    "only an unplanned result is there, and it reaches the level": (run("few-shot", planned=False, correct=100),),
    "the last evaluation is stale, and it reaches the level": (
        run("few-shot", planned_at=PLANNED - 90 * DAY, correct=100),
    ),
    "only the parent was evaluated, and it reaches the level": (run("few-shot", subject=FOUNDATION, correct=100),),
}


@pytest.mark.parametrize("sentence", OVERDUE)
def test_overdue_holds_although_every_requirement_is_met(sentence):
    decision = by_requirement(*OVERDUE[sentence])
    assert decision.verdict == "hold"
    assert [requirement.met for requirement in decision.cells[0].requirements] == [True]
    assert "overdue" in codes(decision)


def test_an_empty_cell_is_no_requirement_met():
    decision = ask(facts(run("few-shot", correct=50)), under=one_gate(()))
    assert decision.verdict == "hold"
    assert lifts(decision.cells[0]) == ()


def test_an_empty_gate_never_permits():
    for known in (facts(), in_order(attestations=[SECURITY, MISUSE])):
        assert ask(known, under=policy(gates={"scale": {}})).verdict == "hold"


# -- how to lift a hold ------------------------------------------------------------------------------------------------


def test_a_hold_for_want_of_evidence_says_what_lifts_it():
    (use, takeover) = ask(in_order(assumed={"good-demonstrations": None}), action="deploy-internal").cells
    states = "`external-auditor` states it: interlock attest --assumption good-demonstrations --subject model"
    attests = "`external-auditor` attests it: interlock attest --requirement security-3 --about developer"
    assert set(lifts(use)) == {(states,), (attests,)}
    assert lifts(takeover) == ((states,),)


def test_a_reached_threshold_is_lifted_by_its_requirement_alone():
    (cell,) = ask(in_order(few_shot={"correct": 100}), under=one_gate()).cells
    assert lifts(cell) == (
        ("`external-auditor` attests it: interlock attest --requirement security-3 --about developer",),
    )


def test_a_bound_that_is_too_high_has_no_way_back_but_the_requirement():
    (cell,) = ask(in_order(few_shot={"correct": 9}), under=one_gate(("never",))).cells
    assert cell.finding.state == "not ruled out"
    assert lifts(cell) == ()


# -- how far a permit reaches ------------------------------------------------------------------------------------------


def test_the_lease_ends_a_permit_that_nothing_else_ends():
    assert ask(in_order()).bounds == Bounds(4 * 10**24, AT + 30 * DAY)


EARLIEST = {  # sentence: (the question, when its permit ends)
    "the result that was planned first": (
        lambda: ask(in_order(few_shot={"planned_at": PLANNED - 45 * DAY, "report_by": AT})),
        datetime(2026, 6, 17, tzinfo=UTC),
    ),
    "the freshest result where several serve": (
        lambda: ask(
            in_order(run("few-shot", seed=1, planned_at=PLANNED - 45 * DAY)),
            under=policy(permits=replace(policy().permits, lease=Duration(12, 0))),
        ),
        STALE,
    ),
    "the statement that was made first": (
        lambda: ask(in_order(assumed={"good-demonstrations": {"at": datetime(2025, 12, 2, tzinfo=UTC)}})),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "the attestation that opens a cell": (
        lambda: ask(
            facts(run("few-shot"), attestations=[attested("security-3", about=None, at=AT - 364 * DAY)]),
            under=one_gate(),
        ),
        AT + DAY,
    ),
    "the evaluation beside that attestation": (
        lambda: by_requirement(run("few-shot", planned_at=datetime(2026, 3, 2, tzinfo=UTC))),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "the freshest evaluation of several beside that attestation": (
        lambda: by_requirement(
            run("few-shot", planned_at=datetime(2026, 3, 2, tzinfo=UTC)),
            run("few-shot", planned_at=datetime(2026, 3, 3, tzinfo=UTC)),
        ),
        datetime(2026, 6, 3, tzinfo=UTC),
    ),
    "the evaluation of a threshold that is reached": (
        lambda: by_requirement(run("few-shot", correct=100, planned_at=datetime(2026, 3, 2, tzinfo=UTC))),
        datetime(2026, 6, 2, tzinfo=UTC),
    ),
    "an open plan's due time": (
        lambda: ask(in_order(run("few-shot", seed=1, planned_at=AT - DAY, report_by=AT + DAY, reported=False))),
        AT + DAY,
    ),
    "what the policy leaves an open plan": (
        lambda: ask(
            in_order(run("few-shot", seed=1, planned_at=AT - DAY, report_by=AT + 900 * DAY, reported=False)),
            under=policy(report_within=WEEK),
        ),
        AT + 6 * DAY,
    ),
}


@pytest.mark.parametrize("sentence", EARLIEST)
def test_a_permit_ends_with_the_first_thing_it_relies_on(sentence):
    question, moment = EARLIEST[sentence]
    bounds = question().bounds
    assert bounds is not None
    assert bounds.not_after == moment


def test_what_nothing_relies_on_does_not_shorten_a_permit():
    known = in_order(attestations=[attested("security-3", about=None, at=AT - 364 * DAY)])
    assert ask(known).bounds == Bounds(4 * 10**24, AT + 30 * DAY)


def test_a_lease_of_nothing_is_no_permit():
    decision = ask(in_order(), under=policy(permits=replace(policy().permits, lease=Duration(0, 0))))
    assert decision.verdict == "hold"
    assert codes(decision) == {"expired"}


COMPUTE = {  # sentence: (refresh, buffer of codebook-use, buffer of takeover, lower and upper end, most)
    "the refresh multiple": ("4", "6", "6", 100, 100, 400),
    "the buffer of any threshold at the gate": ("4", "6", "3", 100, 100, 300),
    "a broken multiple is rounded down": ("7/3", "6", "6", 100, 100, 233),
    "the lower end counts, and the upper end just fits": ("4", "6", "6", 100, 400, 400),
    "no room at all": ("1", "6", "6", 100, 100, 100),
}


@pytest.mark.parametrize("sentence", COMPUTE)
def test_most_compute_is_the_lower_end_times_the_least_multiple(sentence):
    refresh, use, takeover, low, high, most = COMPUTE[sentence]
    under = policy(
        refresh_multiple=Fraction(refresh),
        thresholds={
            "codebook-use": threshold("codebook-use", "0.20", buffer=Fraction(use)),
            "takeover": threshold("takeover", "0.50", buffer=Fraction(takeover)),
        },
        gates={"scale": policy().gates["scale"]},
    )
    bounds = ask(in_order(subjects=family(model={"ec_low": low, "ec_high": high})), under=under).bounds
    assert bounds is not None
    assert bounds.most_effective_compute == most


def test_the_buffer_of_a_threshold_that_stands_at_another_gate_does_not_count():
    thresholds = {
        **policy().thresholds,
        "codebook-use-open": threshold("codebook-use-open", "0.10", buffer=Fraction(1)),
    }
    bounds = ask(in_order(), under=policy(thresholds=thresholds)).bounds
    assert bounds == Bounds(4 * 10**24, AT + 30 * DAY)


# -- what the answer says ----------------------------------------------------------------------------------------------


def test_the_answer_shows_every_result_that_counts():
    decision = ask(in_order(run("prompted", planned=False, correct=3, scored=90)))
    counted = decision.cells[0].finding.counted
    shown = [(c.elicitation, c.planned, c.scored, c.correct, c.admissible) for c in counted]
    assert shown == [
        ("few-shot", 100, 100, 0, True),
        ("fine-tuned", 100, 100, 0, True),
        ("prompted", 100, 90, 3, False),
    ]
    assert decision.cells[0].finding.upper == max(c.upper for c in counted) == Fraction("0.1988")


def test_the_json_form_is_exact():
    answer = to_json(ask(in_order()))
    assert answer["bounds"] == {"most_effective_compute": "4" + 24 * "0", "not_after": "2026-07-01T00:00:00Z"}
    assert answer["at"] == answer["checkpoint"]["time"] == "2026-06-01T00:00:00Z"
    finding = answer["cells"][0]["finding"]
    assert (finding["level"], finding["margin"], finding["confidence"]) == ("0.2", "0.05", "0.95")
    assert (finding["upper"], finding["lower"]) == ("0.0296", "0")


def test_times_are_told_in_utc_wherever_one_asks():
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert to_json(ask(in_order(), at=elsewhere)) == to_json(ask(in_order()))


def test_rule_out_fields_of_one_threshold_do_not_leak_into_another():
    strict = replace(policy().thresholds["takeover"], rule_out=rule_out(run_by=GATEKEEPER))
    decision = ask(in_order(), under=policy(thresholds={**policy().thresholds, "takeover": strict}))
    assert {c.finding.threshold: c.finding.state for c in decision.cells} == {
        "codebook-use": "below",
        "takeover": "not ruled out",
    }
