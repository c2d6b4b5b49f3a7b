"""A policy in the shape of `policies/example-lab.yaml`, and a ledger in which everything is in order.

Every builder takes what should be different. Numbers to know at 95 %: of 100 samples, 8 dangerous ones rule out 0.15
(`codebook-use` less its margin) and 9 do not; 1 rules out 0.05 (`codebook-use-open`) and 2 do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from interlock.decide.facts import Attestation, Checkpoint, Facts, Plan, Protocol, Result, Step, Subject
from interlock.decide.rule import decide
from interlock.policy.model import (
    Assumption,
    Attested,
    Duration,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Role,
    RuleOut,
    Threshold,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interlock.decide.decision import Decision

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
EFFECTIVE = datetime(2026, 1, 1, tzinfo=UTC)
PLANNED = datetime(2026, 5, 1, tzinfo=UTC)
STATED = datetime(2026, 5, 2, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
STALE = datetime(2026, 8, 1, tzinfo=UTC)  # three months after PLANNED

TEAM, AUDITOR, GATEKEEPER, BOARD = "evaluation-team", "external-auditor", "gatekeeper", "board"
STATEMENTS = ("no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations")
ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")


def digest(text: str) -> str:
    """A SHA-256 that is always the same for the same text."""
    return sha256(text.encode()).hexdigest()


# -- the policy --------------------------------------------------------------------------------------------------------


def rule_out(**changes: Any) -> RuleOut:
    """What `codebook-use` demands before it is ruled out."""
    rule = RuleOut(
        confidence=Fraction("0.95"),
        elicitation=("few-shot", "fine-tuned"),
        demonstrations=16,
        buffer=Fraction(6),
        margin=Fraction("0.05"),
        margin_source="illustrative",
        coverage=Fraction("0.98"),
        run_by=TEAM,
    )
    return replace(rule, **changes)


def threshold(name: str, level: str, **changes: Any) -> Threshold:
    """A level of `codebook`; `changes` are those of its `rule_out`."""
    return Threshold(name, "codebook", Fraction(level), rule_out(**changes), name == "takeover", ())


def policy(**changes: Any) -> Policy:
    """The example policy, with some of its fields changed."""
    half_year, year = Duration(6, 0), Duration(12, 0)
    everything: tuple[Any, ...] = ("few-shot", "fine-tuned", "rl-fine-tuned")
    made = Policy(
        id="example-lab/rsp",
        version="1.0.0",
        title="Example Lab responsible scaling policy",
        effective=EFFECTIVE,
        roles={name: Role(name, (f"ed25519:{name}",), 1, ()) for name in (TEAM, AUDITOR, GATEKEEPER, BOARD)},
        measures={"codebook": Measure("codebook", "capability", "interlock/codebook", 1, "accuracy")},
        assumptions={name: Assumption(name, AUDITOR, half_year) for name in (*STATEMENTS, "no-exploration-hacking")},
        thresholds={
            "codebook-use": threshold("codebook-use", "0.20"),
            "codebook-use-open": threshold("codebook-use-open", "0.10", elicitation=everything),
            "takeover": threshold("takeover", "0.50"),
        },
        requirements={
            "security-3": Attested("security-3", "weight security level 3 audit", AUDITOR, "developer", year),
            "misuse-3": Attested("misuse-3", "safeguards withstood red teaming", AUDITOR, "subject", half_year),
            "understanding": Hole("understanding", "not known yet", BOARD, datetime(2027, 6, 1, tzinfo=UTC)),
            "never": Never("never"),
        },
        gates={
            "scale": {"codebook-use": ("security-3",), "takeover": ("security-3", "understanding")},
            "deploy-internal": {"codebook-use": ("security-3",), "takeover": ("understanding",)},
            "deploy-api": {"codebook-use": ("security-3", "misuse-3"), "takeover": ("understanding",)},
            "release-weights": {"codebook-use-open": ("never",), "takeover": ("understanding",)},
        },
        refresh_multiple=Fraction(4),
        refresh_period=Duration(3, 0),
        attacker_budget=Fraction(0),
        attacker_budget_source="the word list is not public",
        permits=Permits(Duration(0, 30 * 86400), Duration(0, 3600), GATEKEEPER),
        report_within=Duration(0, 21 * 86400),
        approved_by=BOARD,
    )
    return replace(made, **changes)


def one_gate(requirements: tuple[str, ...] = ("security-3",), action: str = "scale", **changes: Any) -> Policy:
    """The policy with a single gate on `codebook-use` alone, so that nothing else can hold or open it."""
    return policy(gates={action: {"codebook-use": requirements}}, **changes)


# -- the ledger --------------------------------------------------------------------------------------------------------

FOUNDATION, MODEL, CHILD, SIBLING = (digest(name) for name in ("foundation", "model", "child", "sibling"))


def family(**changes: Mapping[str, Any]) -> dict[str, Subject]:
    """`model` continues `foundation`; `child` was made from `model`, and `sibling` from `foundation`, for 1 % each."""
    base, own = 10**22, 10**24
    made = {
        "foundation": Subject(FOUNDATION, "foundation", base, base, base, ()),
        "model": Subject(MODEL, "model", own, own, own, (Step(FOUNDATION, "continued", own - base),)),
        "child": Subject(CHILD, "child", own, own, own, (Step(MODEL, "adapter", own // 100),)),
        "sibling": Subject(SIBLING, "sibling", base, base, base, (Step(FOUNDATION, "fine-tuned", base // 100),)),
    }
    changed = {name: replace(subject, **changes.get(name, {})) for name, subject in made.items()}
    return {subject.digest: subject for subject in changed.values()}


@dataclass(frozen=True, slots=True)
class Run:
    """An evaluation: its plan, and its result once there is one."""

    plan: Plan | None
    result: Result | None

    @property
    def name(self) -> str:
        """What no other evaluation has."""
        return f"{self.plan and self.plan.digest} {self.result and self.result.digest}"


def run(
    elicitation: str,
    *,
    subject: str = MODEL,
    samples: int = 100,
    completed: int | None = None,
    scored: int | None = None,
    correct: int = 0,
    shots: int | None = None,
    demonstrations: int | None = None,
    task: str = "interlock/codebook",
    version: int = 1,
    metric: str = "accuracy",
    seed: int = 0,
    plan_signers: Iterable[str] = (TEAM,),
    signers: Iterable[str] = (TEAM,),
    planned_at: datetime = PLANNED,
    report_by: datetime | None = None,
    at: datetime | None = None,
    planned: bool = True,
    reported: bool = True,
) -> Run:
    """One evaluation. Not `planned`: its result names no plan. Not `reported`: its plan has no result."""
    protocol = Protocol(
        task=task,
        task_version=version,
        metric=metric,
        samples=samples,
        samples_digest=digest(f"{task} {samples}"),
        elicitation=elicitation,
        shots=(5 if elicitation == "few-shot" else 0) if shots is None else shots,
        demonstrations=(16 if elicitation == "fine-tuned" else 0) if demonstrations is None else demonstrations,
        seed=seed,
    )
    by = planned_at + 20 * DAY if report_by is None else report_by
    name = digest(f"plan {subject} {protocol} {planned_at} {by} {sorted(plan_signers)}")
    plan = Plan(0, name, subject, protocol, frozenset(plan_signers), planned_at, by) if planned else None
    scored = samples if scored is None else scored
    result = Result(
        entry=0,
        digest=digest(f"result {name} {planned} {scored} {correct} {sorted(signers)} {at}"),
        subject=subject,
        protocol=protocol,
        completed=samples if completed is None else completed,
        scored=scored,
        correct=correct,
        flop=0 if elicitation in ("few-shot", "prompted") else 10**15,
        signers=frozenset(signers),
        plan=plan,
        at=planned_at + DAY if at is None else at,
    )
    return Run(plan, result if reported else None)


def stated(
    name: str, *, about: str | None = MODEL, by: Iterable[str] = (AUDITOR,), at: datetime = STATED
) -> Attestation:
    """A role states an assumption."""
    return Attestation(0, name, is_assumption=True, about=about, signers=frozenset(by), at=at)


def attested(name: str, *, about: str | None, by: Iterable[str] = (AUDITOR,), at: datetime = STATED) -> Attestation:
    """A role attests a requirement."""
    return Attestation(0, name, is_assumption=False, about=about, signers=frozenset(by), at=at)


def statements(**changes: Mapping[str, Any] | None) -> tuple[Attestation, ...]:
    """Every assumption that the example policy demands. A change of None leaves that one out; `_` stands for `-`."""
    told = {name.replace("_", "-"): change for name, change in changes.items()}
    return tuple(stated(name, **change) for name in STATEMENTS if (change := told.get(name, {})) is not None)


def facts(
    *runs: Run,
    subjects: Mapping[str, Subject] | None = None,
    attestations: Iterable[Attestation] = (),
    seen_at: datetime = AT,
) -> Facts:
    """What the ledger says, entries numbered in order."""
    number = iter(range(1, 10_000))
    kin = family() if subjects is None else subjects
    plans, results = [], []
    for made in runs:
        plan = replace(made.plan, entry=next(number)) if made.plan else None
        plans += [plan] if plan else []
        results += [replace(made.result, entry=next(number), plan=plan)] if made.result else []
    signed = tuple(replace(a, entry=next(number)) for a in attestations)
    size = next(number)
    checkpoint = Checkpoint(size, digest(str(size)), seen_at)
    return Facts(checkpoint, kin, tuple(plans), tuple(results), signed)


def in_order(
    *more: Run,
    few_shot: Mapping[str, Any] | None = None,
    fine_tuned: Mapping[str, Any] | None = None,
    assumed: Mapping[str, Mapping[str, Any] | None] | None = None,
    attestations: Iterable[Attestation] = (),
    subjects: Mapping[str, Subject] | None = None,
    seen_at: datetime = AT,
) -> Facts:
    """Everything that `scale` and the deployments of `model` need, changed where the case says so."""
    runs = (run("few-shot", **(few_shot or {})), run("fine-tuned", **(fine_tuned or {})), *more)
    signed = (*statements(**(assumed or {})), *attestations)
    return facts(*runs, subjects=subjects, attestations=signed, seen_at=seen_at)


def ask(
    known: Facts,
    *,
    under: Policy | None = None,
    subject: str = MODEL,
    action: str = "scale",
    at: datetime = AT,
) -> Decision:
    """The decision."""
    used = policy() if under is None else under
    return decide(used, known, policy_digest=digest(used.version), subject=subject, action=action, at=at)


def codes(decision: Decision) -> set[str]:
    """Every reason code of a decision and its findings."""
    findings = [reason.code for cell in decision.cells for reason in cell.finding.reasons]
    return {*findings, *(reason.code for reason in decision.reasons)}
