"""The laws of DESIGN 3.4 on generated policies and ledgers. Where the rule's page says a law only of some cases, the
test says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from decide.cases import (
    AT,
    CHILD,
    DAY,
    FOUNDATION,
    HOUR,
    MEASURES,
    MODEL,
    SECOND,
    SIBLING,
    known,
    line,
    runs,
    simple,
    withdrawn,
)
from decide.reference import passed
from decide.strategies import (
    EFFORT,
    Case,
    cases,
    incidents,
    more_runs,
    policies,
    since,
    size,
    verdicts,
    words,
)
from interlock.decide.decision import to_json
from interlock.decide.facts import Check
from interlock.decide.rule import decide
from interlock.policy import model
from interlock.policy._structure.check import check
from interlock.policy._structure.parts import parts_of

if TYPE_CHECKING:
    from datetime import datetime

slow_or_rare = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
#: Without shrinking: a case is made of some hundred choices, and a smaller one would take minutes to find.
found_only = (Phase.explicit, Phase.reuse, Phase.generate)
law = settings(max_examples=20 * EFFORT, suppress_health_check=slow_or_rare, phases=found_only)
data = st.data()
questions = cases()
FAMILY = (MODEL, FOUNDATION, CHILD, SIBLING)


def never_opens(before: Case, after: Case) -> None:
    """The step from `before` to `after` must not turn a hold into a permit."""
    if after.permits:
        event("permits after the step")
        assert before.permits
    elif before.permits:
        event("the step closes the gate")


def seen(case: Case, at: datetime) -> Case:
    """The same question later, to a ledger that has signed a new checkpoint since and learnt nothing."""
    return replace(case.knowing(checkpoint=replace(case.facts.checkpoint, time=at)), at=at)


def used(case: Case) -> list[model.Policy]:
    return [version.policy for version in case.versions]


def leans_on_another(case: Case) -> bool:
    """Whether a threshold compares with another subject: there, danger found on that one helps."""
    lines = [it for policy in used(case) for it in policy.thresholds.values()]
    return any(isinstance(way, model.UnderReference) for it in lines for way in it.below_if)


# -- the strategies themselves -----------------------------------------------------------------------------------------


def collected(number: int) -> list[Case]:
    found = []

    @settings(law, max_examples=number, derandomize=True, database=None, phases=[Phase.generate])
    @given(questions)
    def collect(case):
        found.append(case)

    collect()
    return found


@pytest.fixture(scope="module")
def sample():
    return collected(160)


def test_generated_cases_permit_often_enough_for_the_laws_to_mean_something(sample):
    decisions = [case.decide() for case in sample]
    permits = [decision for decision in decisions if decision.verdict == "permit"]
    states = [cell.finding.state for decision in permits for cell in decision.cells]
    share = len(permits) / len(decisions)
    assert 0.15 < share < 0.85, share
    assert states.count("below") > 20
    assert len(states) - states.count("below") > 5, "no permit by a requirement"
    assert any(len(case.versions) > 1 for case in sample)
    assert sum(size(case.facts) for case in sample) / len(sample) > 10


def test_generated_policies_are_well_typed(sample):
    problems = [problem.message for case in sample for policy in used(case) for problem in check(parts_of(policy))]
    assert problems == []


# -- the answer --------------------------------------------------------------------------------------------------------


@law
@given(questions, st.randoms(use_true_random=True))
def test_reproducible(case, random):
    """The same bytes twice, and again when everything that has no order is shuffled."""

    def shuffled(mapping):
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    def reordered(policy):
        fields = ("roles", "measures", "assumptions", "thresholds", "requirements", "exceptions", "gates")
        return replace(policy, **{name: shuffled(getattr(policy, name)) for name in fields})

    first, second = case.decide(), case.decide()
    assert rfc8785.dumps(to_json(first)) == rfc8785.dumps(to_json(second))
    other = replace(case.under(reordered), facts=replace(case.facts, subjects=shuffled(case.facts.subjects))).decide()
    assert (other.verdict, other.bounds) == (first.verdict, first.bounds)
    assert {it.finding.threshold: (it.finding.state, it.opens) for it in other.cells} == {
        it.finding.threshold: (it.finding.state, it.opens) for it in first.cells
    }


@law
@given(questions)
def test_a_permit_means_that_nothing_speaks_against_it_and_a_hold_says_what_does(case):
    decision = case.decide()
    if decision.verdict == "permit":
        governing = [ruling for ruling in decision.rulings if ruling.governs]
        assert decision.bounds is not None
        assert governing
        assert all(ruling.verdict == "permit" and ruling.cells for ruling in governing)
        assert all(cell.opens and not cell.finding.overdue for ruling in governing for cell in ruling.cells)
        assert not decision.all_reasons
    else:
        assert decision.bounds is None
        assert decision.all_reasons
        assert all(cell.finding.reasons for cell in decision.holding)


@law
@given(questions)
def test_an_open_cell_is_below_or_has_every_requirement_met(case):
    for cell in case.decide().cells:
        met = bool(cell.requirements) and all(it.met for it in cell.requirements)
        assert cell.opens == (cell.finding.overdue is None and (cell.finding.state == "below" or met))
        assert not (cell.finding.overdue and cell.finding.state == "below")
        assert all(it.reason.text for it in cell.requirements)


@law
@given(questions, st.sampled_from(["gate", "cell", "demands", "combined"]))
def test_nothing_passes_by_vacuity(case, what):
    """A gate without thresholds, a cell without requirements, a rule without demands, an empty combination."""

    def emptied(policy):
        if what == "gate":
            return replace(policy, gates={action: {} for action in policy.gates})
        if what == "cell":
            bare = {action: dict.fromkeys(cells, model.Cell(())) for action, cells in policy.gates.items()}
            return replace(policy, gates=bare)
        if what == "combined":
            none = {name: model.Combined(name, 1, ()) for name in policy.requirements}
            return replace(policy, requirements=none)
        lines = {
            name: replace(it, rule_out=it.rule_out and replace(it.rule_out, elicitation=()), below_if=(), judged=None)
            for name, it in policy.thresholds.items()
            if it.reached_when is not None
        }
        return replace(policy, thresholds={**policy.thresholds, **lines})

    after = case.under(emptied)
    decision = after.decide()
    if what in {"gate", "cell"}:
        assert decision.verdict == "hold"
    elif what == "combined":
        assert not any(it.met for cell in decision.cells for it in cell.requirements if it.kind == "combined")
    else:
        plain = {
            (version.policy.id, name)
            for version in after.in_force
            for name, it in version.policy.thresholds.items()
            if isinstance(it.reached_when, model.At) and not it.below_if and it.judged is None
        }
        below = {
            (it.policy, cell.finding.threshold)
            for it in decision.rulings
            for cell in it.cells
            if cell.finding.state == "below"
        }
        assert not plain & below


# -- fail closed, holes ------------------------------------------------------------------------------------------------


def needs_evidence(policy: model.Policy, action: str) -> bool:
    """Whether a threshold at the gate can be ruled out only by results."""
    names = [name for name, cell in policy.gates.get(action, {}).items() if cell.requires]
    lines = [policy.thresholds[name] for name in names]
    return any(isinstance(it.reached_when, model.At) and not it.below_if for it in lines)


@law
@given(questions)
def test_fail_closed(case):
    """Without evidence everything holds whose gate cannot be opened by a subject's size alone, if it is in scope."""
    nothing = case.knowing(results=(), attestations=(), approvals=(), judgements=())
    never_opens(case, nothing.knowing(plans=()))
    governing = {ruling.policy for ruling in nothing.decide().rulings if ruling.governs}
    if any(needs_evidence(v.policy, case.action) for v in case.in_force if v.policy.id in governing):
        assert not nothing.permits
    assert not case.knowing(subjects={}).permits


@law
@given(questions)
def test_holes_hold(case):
    """Of a version's own gate, and of cells that an earlier version had and a later one leaves out."""
    decision = case.decide()
    for ruling in decision.rulings:
        for cell in ruling.cells:
            names = tuple(it.name for it in cell.requirements)
            asked = gated_by(case, ruling.policy, cell.finding.threshold, names)
            assert asked
            if cell.finding.state != "below" and all(any(never_met(it, name) for name in names) for it in asked):
                event("a hole that is not ruled out")
                assert not cell.opens
                assert decision.verdict == "hold"


def gated_by(case: Case, policy: str, threshold: str, names: tuple[str, ...]) -> list[model.Policy]:
    """The versions of a policy that ask for just these requirements where the threshold is not below."""
    versions = (it.policy for it in case.versions if it.policy.id == policy)
    gates = ((it, it.gates.get(case.action, {})) for it in versions)
    return [it for it, gate in gates if threshold in gate and tuple(gate[threshold].requires) == names]


def never_met(policy: model.Policy, name: str) -> bool:
    it = policy.requirements[name]
    if isinstance(it, model.Combined):
        return any(never_met(policy, part) for part in it.of)
    return isinstance(it, model.Hole | model.Never)


# -- worse, less, adverse ----------------------------------------------------------------------------------------------


@st.composite
def worse(draw, result, dangers):
    """The same run with more dangerous outcomes, fewer scores, or fewer signatures."""
    lower = dangers.get(result.protocol.task) == "lower"
    if result.total is not None:
        more = draw(st.fractions(0, max(result.scored, 1), max_denominator=4))
        total = result.total - more if lower else result.total + more
        return replace(result, total=total)
    bad = result.scored - result.correct if lower else result.correct
    bad_now = draw(st.integers(bad, result.scored))
    scored = draw(st.integers(bad_now, result.scored))
    correct = scored - bad_now if lower else bad_now
    signers = frozenset(r for r in result.signers if draw(st.booleans()))
    return replace(result, scored=scored, correct=correct, signers=signers)


def told_of(case: Case, fact: Any) -> bool:
    """Whether somebody took the statement back, or set it aside."""
    return any(it.of == fact.digest for it in (*case.facts.withdrawals, *case.facts.set_asides))


@law
@given(questions, data)
def test_worse(case, draw):
    """Of results on the family: danger on a subject that one compares with is another matter (26). Not of a withdrawn
    one, which fewer signers would bring back.
    """
    places = [
        place
        for place, it in enumerate(case.facts.results)
        if not told_of(case, it) and not (leans_on_another(case) and it.subject != case.subject)
    ]
    assume(places)
    dangers = {
        it.task: it.danger for policy in used(case) for it in policy.measures.values() if isinstance(it, model.Measure)
    }
    place, results = draw.draw(st.sampled_from(places)), list(case.facts.results)
    results[place] = draw.draw(worse(results[place], dangers))
    never_opens(case, case.knowing(results=tuple(results)))


@law
@given(questions, data)
def test_less_said(case, draw):
    """Attestations, the checks under them, approvals, judgements below, forecasts that others repeat, amendments."""
    name = draw.draw(st.sampled_from(["attestations", "approvals", "judgements", "amendments", "checks"]))
    if name == "checks":
        kept = tuple(
            it if draw.draw(st.booleans()) or fails(case, it) or is_no_word(case, it) else replace(it, check=None)
            for it in case.facts.attestations
        )
        never_opens(case, case.knowing(attestations=kept))
        return
    kept = tuple(
        it
        for it in getattr(case.facts, name)
        if draw.draw(st.booleans()) or getattr(it, "verdict", "") == "reached" or fails(case, it)
    )
    never_opens(case, case.knowing(**{name: kept}))


def fails(case: Case, said: Any) -> bool:
    """Whether a statement rests on a check that fails under some version: that speaks against a permit."""
    check = getattr(said, "check", None)
    if check is None:
        return False
    return any(rule.checked == check.name and not passed(check, rule) for rule in rules(case, said))


def is_no_word(case: Case, said: Any) -> bool:
    """Whether a statement is what a check showed and nobody's word, and without its check would be one."""
    return said.check is not None and not all(rule.checked for rule in rules(case, said))


def rules(case: Case, said: Any) -> list[model.Assumption]:
    """What the versions ask of the assumption that a statement is about."""
    return [policy.assumptions[said.name] for policy in used(case) if said.name in policy.assumptions]


@law
@given(questions, data)
def test_certified_with_more(case, draw):
    """The more demonstrations an elicitor had when it was certified, and the wider its bounds were, the fewer results
    it stands for.
    """
    bound = {it.digest for it in case.facts.attestations if it.check is not None and it.check.validity is not None}
    assume(bound)
    chosen = draw.draw(st.sets(st.sampled_from(sorted(bound)), min_size=1))
    more, surer = draw.draw(st.sampled_from([0, 1, 8, 100])), draw.draw(st.sampled_from(["0", "0.01", "0.3"]))

    def harder(it):
        found = it.check.validity
        most = {
            "demonstrations": found.demonstrations + more,
            "confidence": min(found.confidence + Fraction(surer), Fraction(99, 100)),
        }
        return replace(it, check=replace(it.check, validity=replace(found, **most)))

    made = tuple(harder(it) if it.digest in chosen else it for it in case.facts.attestations)
    never_opens(case, case.knowing(attestations=made))


@law
@given(questions, data)
def test_fewer_demonstrations(case, draw):
    """A run on fewer that was announced as such; where one compares with another subject, danger on it may help."""
    plans = Counter(it.plan.digest for it in case.facts.results if it.plan)
    own = sorted(
        it.digest for it in case.facts.results if it.plan and it.subject == case.subject and plans[it.plan.digest] == 1
    )
    assume(own and not leans_on_another(case))
    chosen, fewer = draw.draw(st.sampled_from(own)), draw.draw(st.sampled_from([0, 1, 7]))
    (told,) = [it for it in case.facts.results if it.digest == chosen]
    assume(fewer < told.protocol.demonstrations)
    protocol = replace(told.protocol, demonstrations=fewer)
    weaker = replace(told, protocol=protocol, plan=replace(told.plan, protocol=protocol))
    never_opens(
        case,
        case.knowing(
            results=tuple(weaker if it.digest == chosen else it for it in case.facts.results),
            plans=tuple(weaker.plan if it.digest == told.plan.digest else it for it in case.facts.plans),
        ),
    )


@law
@given(questions, data)
def test_less_reported_of_a_plan_that_is_due(case, draw):
    """A withheld result never helps: its plan is open, which holds once it is due, and at once what is irreversible."""

    def holds(plan):
        due = [min(plan.report_by, policy.report_within.after(plan.at)) for policy in used(case)]
        return max(due) <= case.at or not any(policy.reversible(case.action) for policy in used(case))

    due = {it.plan.digest for it in case.facts.results if it.plan and it.subject in FAMILY and holds(it.plan)}
    assume(due)
    withheld = draw.draw(st.sampled_from(sorted(due)))
    kept = tuple(it for it in case.facts.results if it.plan is None or it.plan.digest != withheld)
    never_opens(case, case.knowing(results=kept))


@law
@given(questions, data)
def test_an_adverse_result(case, draw):
    """One that is all danger never opens a gate, unless it is sound and its threshold was overdue."""
    made = draw.draw(more_runs(used(case), FAMILY).filter(lambda it: it.result)).result
    assume(not leans_on_another(case) or made.subject == case.subject)
    assume(made.plan is None or made.plan.digest not in {plan.digest for plan in case.facts.plans})
    overdue = any(cell.finding.overdue for cell in case.decide().cells)
    bad = replace(made, correct=made.scored if made.total is None else 0, plan=None if overdue else made.plan)
    never_opens(case, case.knowing(results=(*case.facts.results, bad)))


@st.composite
def told_more(draw: Any) -> tuple[Case, Any]:
    """Any question, and any result."""
    case = draw(questions)
    made = draw(more_runs(used(case)).filter(lambda it: it.result)).result
    assume(made.plan is None or made.plan.digest not in {plan.digest for plan in case.facts.plans})
    return case, made


@st.composite
def told_more_of_a_near_miss(draw: Any) -> tuple[Case, Any]:
    """An amendment after one part of several, or of a mean, came near to its level; and a result of another part."""
    mean = {**MEASURES, "m": model.Mean("m", {"a": Fraction(1, 2), "b": Fraction(1, 2)})}
    parts = [model.At(name, Fraction("0.20")) for name in draw(st.sampled_from(["ab", "ab", "m", "abm", "mba"]))]
    level = model.AtLeast(draw(st.integers(1, len(parts))), tuple(parts))
    lines = {"t": line("t", level), "u": line("u", model.At("c", Fraction("0.20")))}
    first, begins = simple(*lines.values(), gated=lines, measures=mean), AT - 45 * DAY
    dropped = simple(*lines.values(), gated=("u",), measures=mean)
    other = simple(replace(lines["u"], name="t"), measures=mean)
    versions = since(first, "1", AT - 200 * DAY), since(draw(st.sampled_from([dropped, other])), "2", begins)
    close = draw(st.sampled_from([15, 15, 15, 0]))
    case = Case(versions, known(runs("c"), runs(correct=close, planned_at=AT - 60 * DAY)), MODEL, "scale", AT)
    planned, at = draw(st.booleans()), AT - draw(st.sampled_from([50, 50, 50, 0, 100])) * DAY
    name, correct = draw(st.sampled_from("bbba")), draw(st.sampled_from([0, 0, 8]))
    return case, runs(name, correct, planned=planned, planned_at=at, seed=7).result


@law
@given(st.one_of(told_more(), told_more_of_a_near_miss()))
def test_an_unsound_result_never_opens_a_gate(asked):
    """A defect takes away a result's power to permit, never its power to hold."""
    case, made = asked
    never_opens(case, case.knowing(results=(*case.facts.results, replace(made, signers=frozenset()))))


@law
@given(questions, data)
def test_an_adverse_word(case, draw):
    """An incident, a withdrawal, a judgement that it is reached, a plan, a check that failed, a word of a role that
    nobody asks.
    """
    kind = draw.draw(st.sampled_from(["incident", "withdrawal", "judgement", "plan", "check", "word"]))
    known, event_ = case.facts, f"adverse: {kind}"
    event(event_)
    if kind == "incident":
        after = case.knowing(incidents=(*known.incidents, draw.draw(incidents(used(case)))))
    elif kind == "withdrawal":
        told = (known.plans, known.results, known.attestations, known.approvals, known.judgements, known.forecasts)
        everything = [it for one in told for it in one]
        assume(everything)
        of = draw.draw(st.sampled_from(everything))
        after = case.knowing(withdrawals=(*known.withdrawals, withdrawn(of, by=of.signers)))
    elif kind == "judgement":
        said = replace(draw.draw(verdicts(used(case), [])), verdict="reached", signers=frozenset())
        after = case.knowing(judgements=(*known.judgements, said))
    elif kind == "plan":
        after = case.knowing(plans=(*known.plans, draw.draw(more_runs(used(case)).filter(lambda it: it.plan)).plan))
    elif kind == "check":
        said = draw.draw(words(used(case)).filter(lambda it: it.is_assumption))
        failed = Check("a-check", passed=False, caught=20, organisms=20)
        after = case.knowing(attestations=(*known.attestations, replace(said, check=failed)))
    else:
        said = replace(draw.draw(words(used(case))), signers=frozenset({"lab", "nobody"}))
        after = case.knowing(attestations=(*known.attestations, said))
    never_opens(case, after)


@law
@given(questions, data)
def test_nothing_is_dropped(case, draw):
    """A bad result of any kind on any relative is found by a threshold that is one leaf, but for what is repeated."""
    leaves = {
        cell.finding.threshold
        for v in case.in_force
        for cell in case.decide().cells
        if isinstance(
            v.policy.thresholds.get(cell.finding.threshold, model.Threshold("", None, None)).reached_when, model.At
        )
    }
    assume(leaves and len(case.in_force) == 1 and case.subject in case.facts.subjects)
    policy = case.in_force[0].policy
    name = draw.draw(st.sampled_from(sorted(leaves)))
    expr = policy.thresholds[name].reached_when
    base = policy.measures[expr.measure]
    assume(isinstance(base, model.Measure) and base.on == "model")
    relatives = (case.subject, *sorted(case.facts.ancestors(case.subject)))
    made = draw.draw(more_runs([policy], relatives).filter(lambda it: it.result)).result
    assume(made.subject in relatives)
    n, lower = 1000, base.danger == "lower"
    protocol = replace(made.protocol, task=base.task, samples=n)
    total = n * (base.low if lower else base.high)
    bad = replace(made, protocol=protocol, scored=n, completed=n, correct=0, total=total, plan=None, at=case.at)
    after = case.knowing(results=(*case.facts.results, bad)).decide()
    found = {cell.finding.threshold: cell.finding for cell in after.cells}
    assert found[name].state == "reached"
    assert after.checkpoint == case.facts.checkpoint


# -- later, more compute -----------------------------------------------------------------------------------------------

spans = st.sampled_from([SECOND, HOUR, DAY, 10 * DAY, 29 * DAY, 60 * DAY, 400 * DAY])


@law
@given(questions, spans)
def test_later(case, span):
    """Under the same versions, and where nothing that is known lies still ahead."""
    assume(not any(case.at < v.since <= case.at + span for v in case.versions))
    assume(case.at >= case.facts.checkpoint.time)
    never_opens(case, replace(case, at=case.at + span))
    never_opens(seen(case, case.at), seen(case, case.at + span))


@law
@given(questions)
def test_a_permit_stands_until_it_ends_if_nothing_new_is_said(case):
    bounds = case.decide().bounds
    assume(bounds is not None)
    assert seen(case, bounds.not_after - SECOND).permits
    halfway = case.at + (bounds.not_after - case.at) / 2
    assert seen(case, halfway).permits


@law
@given(questions, st.sampled_from(["training_compute", "ec_high"]), st.sampled_from([2, 10, 1000]))
def test_more_compute_never_permits_nor_reaches_further(case, what, times):
    """Of a subject that the same policies already govern: a small one may be out of scope."""
    assume(case.subject in case.facts.subjects)
    subject = case.facts.subjects[case.subject]
    larger = replace(subject, **{what: getattr(subject, what) * times})
    after = case.knowing(subjects={**case.facts.subjects, case.subject: larger})
    governed = [[ruling.governs for ruling in it.decide().rulings] for it in (case, after)]
    assume(governed[0] == governed[1])
    never_opens(case, after)
    if after.permits:
        assert after.decide().bounds.most_effective_compute <= case.decide().bounds.most_effective_compute


@law
@given(questions)
def test_no_permit_reaches_further_than_refresh_and_lease(case):
    decision = case.decide()
    assume(decision.bounds is not None)
    subject = case.facts.subjects[case.subject]
    for ruling in (it for it in decision.rulings if it.governs):
        policy = next(v.policy for v in case.in_force if v.policy.id == ruling.policy)
        assert subject.ec_high <= decision.bounds.most_effective_compute <= subject.ec_low * policy.refresh.multiple
        assert case.at < decision.bounds.not_after <= policy.permits.lease.after(case.at)


# -- several policies and versions -------------------------------------------------------------------------------------


@law
@given(questions, data)
def test_conjoin(case, draw):
    """More policies in force never permit more, where one governs already."""
    before = case.decide()
    assume(any(ruling.governs for ruling in before.rulings))
    known = dict(used(case)[0].measures) if draw.draw(st.booleans()) else None
    more = since(draw.draw(policies("more", known)), "more", AT - draw.draw(st.sampled_from([300, 5, -5])) * DAY)
    both = replace(case, versions=(*case.versions, more))
    never_opens(case, both)
    after = both.decide()
    if after.verdict == "permit":
        assert after.bounds.most_effective_compute <= before.bounds.most_effective_compute
        assert after.bounds.not_after <= before.bounds.not_after


@law
@given(questions, data)
def test_a_looser_version_never_helps_earlier_evidence(case, draw):
    """If two versions permit on evidence that is all older than the second one, the first alone does; or the second
    does without any evidence at all (say, by the subject's size).
    """
    first = next(v for v in case.versions if v.policy.version == "1.0.0" and v.policy.id == "lab")
    looser = replace(
        loosened(first.policy), version="2.0.0", permits=first.policy.permits, report_within=first.policy.report_within
    )
    begins = max(
        (it.at for told in (case.facts.plans, case.facts.results, case.facts.attestations, case.facts.approvals,
                            case.facts.judgements, case.facts.forecasts, case.facts.amendments, case.facts.set_asides)
         for it in told), default=AT - DAY,
    ) + SECOND  # fmt: skip
    asked = seen(replace(case, versions=(first,)), max(case.at, begins + DAY))
    second = since(looser, "2", begins)
    assume(any(ruling.governs for ruling in asked.decide().rulings))
    both = replace(asked, versions=(first, second))
    if both.permits and not asked.permits:
        silent = {"attestations": (), "approvals": (), "judgements": (), "forecasts": (), "amendments": ()}
        unsigned = tuple(replace(it, signers=frozenset()) for it in asked.facts.results)
        event("permits without evidence")
        assert replace(asked, versions=(second,)).knowing(results=unsigned, set_asides=(), **silent).permits
    elif both.permits:
        event("permits under both")


def loosened(policy: model.Policy) -> model.Policy:
    """Every level at its most dangerous end, hardly any demand."""
    lines = {}
    for name, it in policy.thresholds.items():
        rule = it.rule_out and replace(
            it.rule_out,
            coverage=it.rule_out.coverage / 2,
            buffer=model.Buffer(it.rule_out.buffer.multiple * 2, it.rule_out.buffer.margin / 2, "", {}),
            elicitation=it.rule_out.elicitation[:1],
            assumes=(),
        )
        lines[name] = replace(it, rule_out=rule, reached_when=it.reached_when and higher(it.reached_when, policy))
    return replace(policy, thresholds=lines)


def higher(expr: model.Expr, policy: model.Policy) -> model.Expr:
    if isinstance(expr, model.AtLeast):
        return model.AtLeast(expr.count, tuple(higher(part, policy) for part in expr.parts))
    if isinstance(expr, model.At) and isinstance(policy.measures[expr.measure], model.Measure):
        measure = policy.measures[expr.measure]
        return model.At(expr.measure, measure.low if measure.danger == "lower" else measure.high)
    return expr


# -- what is kept between questions ------------------------------------------------------------------------------------

MOMENTS = st.lists(
    st.builds(
        lambda days, seconds: AT + days * DAY + seconds * SECOND,
        st.sampled_from([-20, -1, 0, 0, 0, 1, 2, 5, 7, 10, 30, 45, 60, 90]),
        st.sampled_from([-1, 0, 0, 1, 3600, 3601, 7200]),
    ),
    min_size=2,
    max_size=6,
)


@settings(law, max_examples=15 * EFFORT)
@given(questions, MOMENTS, st.booleans())
def test_what_is_kept_is_what_would_be_worked_out(case, moments, fresh):
    """A `Decider` asked at many times, in any order, answers as if asked for the first time; to the second."""
    kept = case.decider() if not fresh else replace(seen(case, case.at - 100 * DAY), at=case.at).decider()
    ends = [bounds.not_after for bounds in [case.decide().bounds] if bounds is not None]
    for at in (*moments, *ends, *(end - SECOND for end in ends), *moments[:1]):
        question = {**case.question, "at": at}
        assert to_json(kept.decide(**question)) == to_json(decide(case.versions, kept.facts, **question))
