"""Policies and ledgers for the laws: well typed, small, near a permit, and with every defect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from decide.cases import (
    AT,
    CHILD,
    DAY,
    FOUNDATION,
    HOUR,
    MODEL,
    SECOND,
    SIBLING,
    Run,
    attested,
    digest,
    facts,
    family,
    policy,
    rule_out,
    run,
    stated,
)
from interlock.decide.facts import Facts, Step
from interlock.decide.rule import decide
from interlock.policy.model import (
    ASSUMED,
    ELICITATIONS,
    Assumption,
    Attested,
    Duration,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Threshold,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from interlock.decide.decision import Decision

ROLES = ("lab", "auditor", "board")
ACTIONS = ("scale", "deploy-api", "release-weights", "lend")
KIN = (MODEL, FOUNDATION, CHILD, SIBLING)

rarely = st.integers(0, 9).map(lambda n: n == 0)
mostly = st.integers(0, 9).map(lambda n: n != 0)


@dataclass(frozen=True, slots=True)
class Case:
    """One question to `decide`."""

    policy: Policy
    facts: Facts
    subject: str
    action: str
    at: datetime

    def decide(self) -> Decision:
        """The answer."""
        return decide(
            self.policy,
            self.facts,
            policy_digest=digest("policy"),
            subject=self.subject,
            action=self.action,
            at=self.at,
        )

    @property
    def permits(self) -> bool:
        """Whether the answer is a permit."""
        return self.decide().verdict == "permit"

    def knowing(self, **changes: Any) -> Case:
        """The same question to a ledger that differs."""
        return replace(self, facts=replace(self.facts, **changes))


def durations(*days: int) -> st.SearchStrategy[Duration]:
    return st.sampled_from(
        [Duration(0, count * 86400) for count in days] + [Duration(count // 30, 0) for count in days]
    )


@st.composite
def thresholds(draw: Callable[..., Any], name: str, measures: list[str]) -> Threshold:
    level = draw(st.sampled_from(["0.2", "0.5", "3/4", "1"]))
    rule = rule_out(
        confidence=Fraction(draw(st.sampled_from(["0.6", "0.95"]))),
        elicitation=tuple(draw(st.lists(st.sampled_from(ELICITATIONS), min_size=1, max_size=2, unique=True))),
        demonstrations=draw(st.sampled_from([1, 8])),
        buffer=Fraction(draw(st.sampled_from(["2", "6"]))),
        margin=Fraction(draw(st.sampled_from(["0", "0.05", "0.1"]))),
        coverage=Fraction(draw(st.sampled_from(["0.8", "1"]))),
        run_by=draw(st.sampled_from(["lab", "lab", "board"])),
    )
    return Threshold(name, draw(st.sampled_from(measures)), Fraction(level), rule, takeover_potential=False, sources=())


@st.composite
def requirements(draw: Callable[..., Any], name: str) -> Any:
    if draw(rarely):
        return draw(st.sampled_from([Hole(name, "not known yet", "board", AT), Never(name)]))
    about = draw(st.sampled_from(["subject", "developer"]))
    return Attested(name, "a check", draw(st.sampled_from(["auditor", "board"])), about, draw(durations(60, 360)))


@st.composite
def policies(draw: Callable[..., Any]) -> Policy:
    """Policies as `policy.load` lets them pass."""
    measures = [f"measure-{n}" for n in range(draw(st.integers(1, 2)))]
    levels = [f"level-{n}" for n in range(draw(st.integers(1, 3)))]
    needs = [f"need-{n}" for n in range(draw(st.integers(1, 3)))]
    gate = {
        level: tuple(draw(st.lists(st.sampled_from(needs), min_size=1, max_size=2, unique=True)))
        for level in draw(st.lists(st.sampled_from(levels), min_size=1, max_size=2, unique=True))
    }
    return policy(
        effective=AT + draw(st.sampled_from([-900 * DAY] * 30 + [DAY])),
        measures={name: Measure(name, "capability", f"task/{name}", 1, "accuracy") for name in measures},
        assumptions={
            name: Assumption(name, "auditor", draw(durations(60, 360))) for names in ASSUMED.values() for name in names
        },
        thresholds={name: draw(thresholds(name, measures)) for name in levels},
        requirements={name: draw(requirements(name)) for name in needs},
        gates=dict.fromkeys(ACTIONS, gate),
        refresh_multiple=Fraction(draw(st.sampled_from(["2", "5/2", "4"]))),
        refresh_period=draw(durations(30, 90)),
        attacker_budget=Fraction(draw(st.sampled_from(["0", "0.01", "0.1"]))),
        permits=Permits(draw(durations(30)), Duration(0, 3600), "lab"),
        report_within=draw(durations(30)),
    )


#: What may be different about an evaluation. Forty samples, none of them dangerous, is how it starts.
CHANGES: tuple[dict[str, Any], ...] = (
    *({"correct": correct} for correct in (1, 2, 4, 9, 15, 40)),
    *({"scored": scored} for scored in (39, 32, 31, 0)),
    *({"samples": samples} for samples in (10, 1, 0)),
    *({"planned_at": AT - age * DAY} for age in (0, 29, 89, 400)),
    *({"report_by": AT + left * DAY} for left in (-9, 0, 1, 9000)),
    *({who: by} for who in ("signers", "plan_signers") for by in (["auditor"], ["lab", "board"])),
    *({flag: False} for flag in ("planned", "planned", "reported", "reported")),
    *({"shots": 0}, {"demonstrations": 0}, {"version": 2}, {"metric": "f1"}, {"seed": 1}),
)


@st.composite
def runs(
    draw: Callable[..., Any], under: Policy, level: Threshold, elicitation: str, subject: str, sound: int = 100
) -> Run:
    """An evaluation for one threshold; the larger `sound`, the less often something is different about it."""
    change = st.sampled_from([*CHANGES, *[{}] * sound])
    made = {**draw(change), **draw(change)}
    samples = made.pop("samples", 40)
    scored = min(samples, made.pop("scored", samples))
    planned_at = made.pop("planned_at", AT - 20 * DAY)
    return run(
        elicitation,
        subject=subject,
        samples=samples,
        scored=scored,
        correct=min(scored, made.pop("correct", 0)),
        demonstrations=made.pop("demonstrations", 8 if elicitation == "fine-tuned" else 0),
        task=under.measures[level.measure].task,
        planned_at=planned_at,
        at=planned_at + HOUR,
        **{"signers": [level.rule_out.run_by], "plan_signers": [level.rule_out.run_by], **made},
    )


@st.composite
def more_runs(draw: Callable[..., Any], under: Policy) -> Run:
    """An evaluation that need not be demanded, of anybody in the family."""
    level = under.thresholds[draw(st.sampled_from(sorted(under.thresholds)))]
    elicitation, subject = draw(st.sampled_from(ELICITATIONS)), draw(st.sampled_from(KIN))
    return draw(runs(under, level, elicitation, subject, sound=10))


@st.composite
def words(draw: Callable[..., Any], under: Policy) -> Any:
    """A signed word, seven times in ten the one that the policy wants."""
    names = [*under.assumptions, *under.requirements]
    name = draw(st.sampled_from(names))
    at = AT - draw(st.sampled_from([1, 20, 59, 200])) * DAY
    by = draw(st.sets(st.sampled_from(ROLES), min_size=1, max_size=2))
    made = stated if draw(st.booleans()) else attested
    return made(name, about=draw(st.sampled_from([None, *KIN])), by=by, at=at)


@st.composite
def families(draw: Callable[..., Any]) -> Any:
    """The family of `cases`, with steps that may be within the attacker's budget, and compute in an interval."""
    low = 10**20
    high = low * draw(st.sampled_from([1] * 9 + [2, 2, 3]))
    costs = st.sampled_from([0, 10**18, 10**19, 10**20])
    size = {"training_compute": low, "ec_low": low, "ec_high": high}
    child = [Step(MODEL, "adapter", draw(costs))]
    child += [Step(SIBLING, "merged", draw(costs))] if draw(rarely) else []
    return family(
        foundation=size,
        model={**size, "steps": (Step(FOUNDATION, "continued", draw(costs)),) if draw(st.booleans()) else ()},
        child={**size, "steps": tuple(child)},
        sibling={**size, "steps": (Step(FOUNDATION, "fine-tuned", draw(costs)),)},
    )


@st.composite
def ledgers(draw: Callable[..., Any], under: Policy, subject: str) -> Facts:
    """For most thresholds all the evidence, for some none; most words; and up to two evaluations and words more."""
    made = [
        draw(runs(under, level, elicitation, subject))
        for level in under.thresholds.values()
        if draw(mostly)
        for elicitation in level.rule_out.elicitation
    ]
    made += draw(st.lists(more_runs(under), max_size=2)) if draw(rarely) or draw(rarely) else []
    distinct = {made_run.name: made_run for made_run in made}
    said = [stated(name, about=subject, by=["auditor"], at=AT - 10 * DAY) for name in under.assumptions]
    for need in under.requirements.values():
        if isinstance(need, Attested):
            about = subject if need.about == "subject" else None
            said.append(attested(need.name, about=about, by=[need.by], at=AT - 10 * DAY))
    missing = draw(st.sets(st.integers(0, 3 * len(said)), max_size=2))
    wanted = [word for place, word in enumerate(said) if place not in missing]
    wanted += draw(st.lists(words(under), max_size=2)) if draw(rarely) or draw(rarely) else []
    return facts(*distinct.values(), subjects=draw(families()), attestations=wanted)


@st.composite
def cases(draw: Callable[..., Any]) -> Case:
    """A question, mostly one that might be permitted."""
    under = draw(policies())
    subject = draw(st.sampled_from([MODEL, MODEL, MODEL, CHILD]))
    known = draw(ledgers(under, subject))
    asked = subject if draw(st.integers(0, 30)) else digest("nobody")
    action = draw(st.sampled_from(ACTIONS)) if draw(st.integers(0, 30)) else "sell"
    at = AT + draw(st.sampled_from([0 * DAY] * 30 + [HOUR, HOUR + SECOND, -SECOND]))
    return Case(under, known, asked, action, at)
