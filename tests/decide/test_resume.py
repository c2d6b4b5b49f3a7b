"""What would lift a hold: the smallest sets, the cheapest first, and enough where everything turns out well."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import chain, combinations, combinations_with_replacement

import pytest
from hypothesis import assume, given, settings

from decide.cases import (
    AT,
    AUDIT,
    AUDITOR,
    BOARD,
    DAY,
    HALF_YEAR,
    HONEST,
    HOUR,
    MODEL,
    OFFERED,
    WEEK,
    amended,
    approved,
    ask,
    attested,
    buffer,
    facts,
    forecast,
    in_order,
    judged,
    known,
    line,
    measure,
    named,
    one_gate,
    quick,
    runs,
    saw,
    simple,
    since,
    stated,
)
from decide.strategies import EFFORT, cases
from decide.test_laws import law
from interlock.decide.decision import Cell, Finding, Node, Reason, Requirement
from interlock.decide.facts import Facts
from interlock.decide.resume import resume, ways
from interlock.policy.model import (
    Amount,
    Approved,
    At,
    AtLeast,
    Attested,
    Combined,
    Defined,
    ExceptionRule,
    Hole,
    Judged,
    Measured,
    Never,
    RuledOut,
    Threshold,
)

B = At("b", Fraction("0.20"))
OPEN = Threshold("t", Amount("training_compute", Fraction(1)), None)


def added(told: Facts, **more) -> Facts:
    """With more facts of some kinds, all of now."""
    return replace(told, **{name: (*getattr(told, name), *values) for name, values in more.items()})


def evaluated(told: Facts, under, **changes) -> Facts:
    """With a good result of every measure, planned now."""
    made = [
        runs(name, planned_at=AT, at=AT, deployment=OFFERED if it.on == "deployment" else None, seed=50, **changes)
        for name, it in under.measures.items()
        if it.kind
    ]
    return added(told, plans=[it.plan for it in made], results=[it.result for it in made])


def reported(told: Facts) -> Facts:
    """With a good report of every open plan."""
    done = {it.plan.digest for it in told.results if it.plan}
    template = runs().result
    late = [
        replace(template, digest=f"late {it.digest}", subject=it.subject, protocol=it.protocol, plan=it, at=AT)
        for it in told.plans
        if it.digest not in done
    ]
    return added(told, results=late)


def carried_out(step: str, told: Facts, under, question: dict) -> tuple[Facts, dict]:
    """The ledger, and the question, once a step is done and all turns out well."""
    name = (
        re.findall(r"--(?:assumption|requirement) (\S+)|approve (\S+)|of `(\w+)`|exception `(\w+)`", step) or [[""]]
    )[0]
    name = next(filter(None, name), "")
    if "attest --assumption" in step:
        return added(told, attestations=[stated(name, at=AT)]), question
    if "attest --requirement" in step:
        about = None if "developer" in step else OFFERED if "--deployment" in step else MODEL
        return added(told, attestations=[attested(name, about=about, at=AT)]), question
    if "approves what stands now" in step:
        seen = [saw(told, "t", it, under=under.id) for it in ("reached", "not ruled out", "below")]
        return added(told, approvals=[approved(name, *seen, at=AT)]), question
    if "signs a forecast" in step:
        return added(told, forecasts=[forecast(name, at=AT)]), question
    if "approve and publish" in step:
        return added(told, amendments=[amended(name, at=AT)]), question
    if "judges it" in step:
        made = runs(planned_at=AT - HOUR, at=AT - HOUR, seed=60)
        said = judged("t", "below", made, at=AT)
        return added(told, plans=[made.plan], results=[made.result], judgements=[said]), question
    if "new checkpoint" in step:
        return replace(told, checkpoint=replace(told.checkpoint, time=question["at"])), question
    if step == "name the deployment":
        return told, {**question, "deployment": OFFERED}
    if step.startswith("run it"):
        return reported(told), question
    assert "interlock plan" in step, step
    return evaluated(told, under), question


def follow(way, told, under, question):
    """The decision after every step of a way: evaluations first, so that what is approved is what stands then."""
    for step in sorted(way, key=lambda it: ("interlock plan" not in it, "approves" in it, it)):
        told, question = carried_out(step, told, under, question)
    return ask(told, under, **question)


FORECASTING = line("t", rule_out=quick(buffer=buffer(margin=Fraction(0), forecast_by=AUDITOR, fresh_for=HALF_YEAR)))
OTHER = Attested("other", "", AUDITOR, "subject", HALF_YEAR)
LIFTED = {  # sentence: (ledger, policy, question, how many steps the first way has)
    "a word is missing": (facts(runs()), simple(), {}, 1),
    "nothing is there": (facts(), simple(), {}, 2),
    "a requirement is missing": (facts(), simple(OPEN), {}, 1),
    "a requirement of the developer": (
        facts(),
        simple(OPEN, requirements=named(replace(AUDIT, about="developer"))),
        {},
        1,
    ),
    "a requirement of the deployment": (
        facts(),
        simple(OPEN, requirements=named(replace(AUDIT, about="deployment"))),
        {"deployment": OFFERED},
        1,
    ),
    "a plan is due": (known(runs(), runs(seed=1, reported=False)), simple(), {}, 1),
    "a plan is open": (
        known(runs(), runs(seed=1, reported=False, planned_at=AT - DAY)),
        simple(),
        {"action": "release-weights"},
        1,
    ),
    "a forecast is missing": (known(runs(correct=8)), FORECASTING, {}, 1),
    "a judgement is missing": (known(), simple(Threshold("t", None, None, Judged(BOARD, ("a",)))), {}, 1),
    "an approval is missing": (
        facts(),
        simple(OPEN, requires=["signed"], requirements=named(Approved("signed", "", BOARD, "subject", HALF_YEAR))),
        {},
        1,
    ),
    "the checkpoint is old": (known(runs()), simple(), {"at": AT + 2 * HOUR}, 1),
    "no deployment is named": (
        known(runs(deployment=OFFERED)),
        simple(measures=named(measure("a", on="deployment"))),
        {},
        1,
    ),
    "an evaluation is missing for a requirement": (
        known(),
        simple(OPEN, requires=["safe"], requirements=named(Measured("safe", "b", Fraction("0.20"), quick()))),
        {},
        1,
    ),
    "two requirements": (facts(), simple(OPEN, requires=["audit", "other"], requirements=named(AUDIT, OTHER)), {}, 2),
    "any of two requirements": (
        facts(),
        simple(OPEN, requires=["any"], requirements=named(AUDIT, OTHER, Combined("any", 1, ("audit", "other")))),
        {},
        1,
    ),
    "an exception": (
        facts(attestations=[attested("other")]),
        simple(
            OPEN,
            requirements=named(replace(AUDIT, about="deployment"), OTHER),
            exceptions=named(ExceptionRule("way", "interim", ("audit",), ("other",), (BOARD,), WEEK)),
        ),
        {"deployment": OFFERED},
        1,
    ),
    "a part of all": (known(runs("a", 15)), simple(line("t", AtLeast(2, (At("a", Fraction("0.20")), B)))), {}, 1),
    "ruled out by another": (
        known(runs("b", 15)),
        simple(line("t", B), line("u"), gated=["t"], requires=["out"], requirements=named(RuledOut("out", "u"))),
        {},
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", LIFTED)
def test_the_first_way_lifts_the_hold_and_no_part_of_it_does(sentence):
    told, under, question, steps = LIFTED[sentence]
    under = simple(under) if isinstance(under, Threshold) else under
    question = {"at": AT, **question}
    decision = ask(told, under, **question)
    assert decision.verdict == "hold"
    way = resume(decision)[0]
    assert len(way) == steps
    assert follow(way, told, under, question).verdict == "permit"
    for fewer in range(len(way)):
        for part in combinations(way, fewer):
            assert follow(part, told, under, question).verdict == "hold", part


STOPS = {  # sentence: (ledger, policy)
    "never": (known(runs(correct=15)), simple(requires=["never"])),
    "a hole": (known(runs(correct=15)), simple(requires=["hole"], requirements=named(Hole("hole", "", BOARD, AT)))),
    "a hole among others": (
        known(runs(correct=15)),
        simple(requires=["audit", "hole"], requirements=named(AUDIT, Hole("hole", "", BOARD, AT))),
    ),
    "a hole, however deep": (
        known(runs(correct=15)),
        simple(
            requires=["all"],
            requirements=named(AUDIT, Hole("hole", "", BOARD, AT), Combined("all", 2, ("audit", "hole"))),
        ),
    ),
    "nobody said when it is reached": (known(), simple(Threshold("t", None, None, Judged(BOARD, ())))),
    "what is to be defined": (
        facts(),
        simple(OPEN, requires=["next"], requirements=named(Defined("next", "nothing"))),
    ),
    "an exception in a cell with a hole": (
        facts(attestations=[attested("other")]),
        simple(
            OPEN,
            requires=["audit", "never"],
            requirements=named(AUDIT, OTHER, Never("never")),
            exceptions=named(ExceptionRule("way", "interim", ("audit",), ("other",), (BOARD,), WEEK)),
        ),
    ),
    "the policy is silent": (known(runs()), simple(gates={})),
    "it reached it, and only never is listed": (known(runs(correct=100)), simple(requires=["never"])),
}


@pytest.mark.parametrize("sentence", STOPS)
def test_a_stop_until_amended_has_no_way(sentence):
    told, under = STOPS[sentence]
    decision = ask(told, under)
    assert decision.verdict == "hold"
    assert resume(decision) == ()


def test_a_permit_has_nothing_to_lift():
    assert resume(ask(known(runs()), simple())) == ()


def test_a_hold_for_want_of_evidence_says_what_lifts_it():
    (use, takeover) = ask(in_order(assumed={"good-demonstrations": None}), action="deploy-internal").cells
    states = "`external-auditor` states it: interlock attest --assumption good-demonstrations --subject model"
    attests = "`external-auditor` attests it: interlock attest --requirement security-3 --about developer"
    assert set(ways(use)) == {(states,), (attests,)}
    assert ways(takeover) == ((states,),)


def test_a_reached_threshold_is_lifted_by_its_requirement_alone():
    (cell,) = ask(in_order(few_shot={"correct": 100}), one_gate()).cells
    attests = "`external-auditor` attests it: interlock attest --requirement security-3 --about developer"
    assert ways(cell) == ((attests,),)


def test_a_bound_that_is_too_high_has_no_way_back_but_the_requirement():
    (cell,) = ask(in_order(few_shot={"correct": 9}), one_gate(("never",))).cells
    assert cell.finding.state == "not ruled out"
    assert ways(cell) == ()


def test_paper_comes_before_people_and_people_before_evaluations():
    signed = Approved("signed", "", BOARD, "subject", HALF_YEAR)
    safe = Measured("safe", "b", Fraction("0.20"), quick())
    needs = named(safe, signed, AUDIT, Combined("any", 1, ("safe", "signed", "audit")))
    decision = ask(known(), simple(OPEN, requires=["any"], requirements=needs))
    kinds = [re.search(r"attests|approves|sound", way[0]).group() for way in resume(decision)]
    assert kinds == ["attests", "approves", "sound"]


def test_a_step_that_serves_twice_is_taken_once():
    both = simple(line("t"), line("u", B), gated=["t", "u"], requires=["never"])
    (way, *_) = resume(ask(facts(runs("a"), runs("b")), both))
    assert way == (f"`{AUDITOR}` states it: interlock attest --assumption {HONEST} --subject model",)


def test_many_ways_are_cut_to_the_eight_cheapest():
    needs = [Attested(f"n{place}", "", AUDITOR, "subject", HALF_YEAR) for place in range(12)]
    under = simple(
        OPEN, requires=["any"], requirements=named(*needs, Combined("any", 1, tuple(it.name for it in needs)))
    )
    assert len(resume(ask(facts(), under))) == 8


#: How much work the step is that lifts a reason: paper, a word, people, a run that was planned, an evaluation.
WORK = {
    **dict.fromkeys(("stale-ledger", "unknown-subject", "unknown-parent", "unknown-deployment", "no-deployment"), 1),
    **dict.fromkeys(("assumption", "not-attested", "no-forecast"), 2),
    **dict.fromkeys(("not-approved", "not-judged"), 3),
    **dict.fromkeys(("unreported", "open-plan"), 5),
    **dict.fromkeys(("missing-evidence", "overdue"), 8),
}


def first_way(*choices: tuple[str, ...]) -> tuple[str, ...]:
    """The codes of the reasons that the first way lifts, where any one of the choices is enough."""
    reasons = [tuple(Reason(code, "", f"{place} {code}") for place, code in enumerate(codes)) for codes in choices]
    tree = Node("any", "", False, parts=tuple(Node("part", "", False, reasons=it) for it in reasons), need=1)  # noqa: FBT003
    reached = Finding("t", "reached", Node("threshold", "t", False), overdue=None, evaluated=None)  # noqa: FBT003
    (first, *_) = ways(Cell(reached, (Requirement("r", "any", met=False, tree=tree),), opens=False))
    return tuple(step.split()[1] for step in sorted(first))


def test_a_step_that_lifts_two_reasons_is_the_lesser_work_of_both():
    def part(code: str, step: str) -> Node:
        return Node("part", "", False, reasons=(Reason(code, "", step),))  # noqa: FBT003

    for codes in (("assumption", "overdue"), ("overdue", "assumption")):
        twice = Node("all", "", False, parts=tuple(part(code, "say it") for code in codes), need=2)  # noqa: FBT003
        tree = Node("any", "", False, parts=(part("not-approved", "approve it"), twice), need=1)  # noqa: FBT003
        reached = Finding("t", "reached", Node("threshold", "t", False), overdue=None, evaluated=None)  # noqa: FBT003
        found = ways(Cell(reached, (Requirement("r", "any", met=False, tree=tree),), opens=False))
        assert found == (("say it",), ("approve it",))


@pytest.mark.parametrize("code", WORK)
def test_less_work_comes_first_and_of_as_much_work_fewer_steps(code):
    kinds = ("stale-ledger", "assumption", "not-approved", "unreported")
    for some in chain.from_iterable(combinations_with_replacement(kinds, steps) for steps in (1, 2, 3)):
        work = sum(WORK[it] for it in some)
        if len(some) > 1 or work != WORK[code]:
            expected = some if work < WORK[code] else (code,)
            assert first_way(some, (code,)) == first_way((code,), some) == expected


def test_every_policy_that_holds_is_lifted():
    needs = {name: named(Attested(name, "", AUDITOR, "subject", HALF_YEAR)) for name in ("one", "two")}
    policies = [simple(OPEN, id=name, requires=[name], requirements=need) for name, need in needs.items()]
    ((first, second),) = resume(ask(facts(), *(since(it) for it in policies)))
    assert {re.search(r"--requirement (\w+)", it).group(1) for it in (first, second)} == {"one", "two"}


@settings(law, max_examples=20 * EFFORT)
@given(cases())
def test_no_way_contains_another_and_none_is_empty(case):
    decision = case.decide()
    assume(decision.verdict == "hold")
    found = resume(decision)
    assert len(found) <= 8
    assert all(found)
    for one in found:
        assert not any(set(other) < set(one) for other in found)
