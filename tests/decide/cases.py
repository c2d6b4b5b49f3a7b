"""Two policies, and ledgers in which everything is in order. Every builder takes what should be different.

`policy` has the shape of `policies/example-lab.yaml`; `simple` has whatever thresholds a test is about, each under one
demand and one assumption, at one gate. Numbers to know at 95 %: of 100 samples, 8 dangerous ones rule out 0.15 (0.20
less the margin of 0.05) and 9 do not; 1 rules out 0.05 and 2 do not; 28 show 0.20 and 27 do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from decide import reference
from interlock.decide.decision import finding_digest
from interlock.decide.facts import (
    Amendment,
    Approval,
    Attestation,
    Check,
    Checkpoint,
    Deployment,
    Facts,
    Forecast,
    Incident,
    Judgement,
    Plan,
    Protocol,
    Result,
    SetAside,
    Step,
    Subject,
    Version,
    Withdrawal,
)
from interlock.decide.rule import decide
from interlock.policy.model import (
    Amendments,
    Assumption,
    At,
    Attested,
    Buffer,
    Cell,
    Context,
    Demand,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Refresh,
    Role,
    RuleOut,
    Scope,
    Threshold,
)
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interlock.decide.decision import Cell as Found
    from interlock.decide.decision import Decision
    from interlock.policy.model import Expr

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
EFFECTIVE = datetime(2026, 1, 1, tzinfo=UTC)
PLANNED = datetime(2026, 5, 1, tzinfo=UTC)
STATED = datetime(2026, 5, 2, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
STALE = datetime(2026, 8, 1, tzinfo=UTC)  # three months after PLANNED
WEEK, MONTH, QUARTER = Duration(0, 7 * 86400), Duration(1, 0), Duration(3, 0)
HALF_YEAR, YEAR = Duration(6, 0), Duration(12, 0)

TEAM, AUDITOR, GATEKEEPER, BOARD = "evaluation-team", "external-auditor", "gatekeeper", "board"
STATEMENTS = ("no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations")
ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")
CODEBOOK = "interlock/codebook"


def digest(text: str) -> str:
    """A SHA-256 that is always the same for the same text."""
    return sha256(text.encode()).hexdigest()


def named(*entries: Any) -> dict[str, Any]:
    """Entries by their names."""
    return {entry.name: entry for entry in entries}


# -- the parts of a policy ---------------------------------------------------------------------------------------------

FEW_SHOT, FINE_TUNED = Demand("few-shot"), Demand("fine-tuned", demonstrations=16)
PROMPTED = Demand("prompted")


def measure(name: str = "codebook", **changes: Any) -> Measure:
    """A share of samples, of the bare model, run by the task of its name."""
    task = CODEBOOK if name == "codebook" else f"lab/{name}"
    plain = Measure(name, "capability", "model", "higher", Fraction(0), Fraction(1), task, 1, "accuracy")
    return replace(plain, **changes)


def refresh(**changes: Any) -> Refresh:
    """4x of compute or three months."""
    return replace(Refresh(Fraction(4), QUARTER), **changes)


def buffer(**changes: Any) -> Buffer:
    """A margin of 0.05 for 6x of compute."""
    return replace(Buffer(Fraction(6), Fraction("0.05"), "illustrative", {}), **changes)


def rule_out(*demands: Demand, **changes: Any) -> RuleOut:
    """What `codebook-use` demands before it is ruled out; with other demands, if there are any."""
    rule = RuleOut(
        confidence=Fraction("0.95"),
        elicitation=demands or (FEW_SHOT, FINE_TUNED),
        buffer=buffer(),
        coverage=Fraction("0.98"),
        run_by=TEAM,
        refresh=refresh(),
    )
    return replace(rule, **changes)


def threshold(name: str, level: str, **changes: Any) -> Threshold:
    """A level of `codebook`; `changes` are those of its `rule_out`."""
    made = Threshold(name, At("codebook", Fraction(level)), rule_out(**changes))
    return replace(made, takeover_potential=name == "takeover")


def cells(**more: tuple[str, ...]) -> dict[str, Cell]:
    """The cells of a gate, by threshold (with `_` for `-`)."""
    return {name.replace("_", "-"): Cell(required) for name, required in more.items()}


def policy(**changes: Any) -> Policy:
    """The example policy, with some of its fields changed."""
    everything = (FEW_SHOT, FINE_TUNED, Demand("rl-fine-tuned"))
    made = Policy(
        id="example-lab/rsp",
        version="1.0.0",
        title="Example Lab responsible scaling policy",
        effective=EFFECTIVE,
        expires=None,
        supersedes="",
        imposed_by="",
        scope=Scope(),
        roles=named(*(Role(name, (f"ed25519:{name}",), 1, ()) for name in (TEAM, AUDITOR, GATEKEEPER, BOARD))),
        measures=named(measure()),
        assumptions=named(*(Assumption(name, AUDITOR, HALF_YEAR) for name in (*STATEMENTS, "no-exploration-hacking"))),
        thresholds=named(
            threshold("codebook-use", "0.20"),
            threshold("codebook-use-open", "0.10", elicitation=everything),
            threshold("takeover", "0.50"),
        ),
        requirements=named(
            Attested("security-3", "weight security level 3 audit", AUDITOR, "developer", YEAR),
            Attested("misuse-3", "safeguards withstood red teaming", AUDITOR, "subject", HALF_YEAR),
            Hole("understanding", "not known yet", BOARD, datetime(2027, 6, 1, tzinfo=UTC)),
            Never("never"),
        ),
        exceptions={},
        gates={
            "scale": cells(codebook_use=("security-3",), takeover=("security-3", "understanding")),
            "deploy-internal": cells(codebook_use=("security-3",), takeover=("understanding",)),
            "deploy-api": cells(codebook_use=("security-3", "misuse-3"), takeover=("understanding",)),
            "release-weights": cells(codebook_use_open=("never",), takeover=("understanding",)),
        },
        not_governed={},
        actions={},
        refresh=refresh(),
        attacker_budget=Fraction(0),
        attacker_budget_source="the word list is not public",
        permits=Permits(Duration(0, 30 * 86400), Duration(0, 3600), GATEKEEPER),
        report_within=Duration(0, 21 * 86400),
        independent="",
        on_hold={},
        duties={},
        amendments=Amendments((BOARD,)),
        context=Context({}, {}, {}, {}, {}, {}),
        sources=(),
    )
    return replace(made, **changes)


def one_gate(requirements: tuple[str, ...] = ("security-3",), action: str = "scale", **changes: Any) -> Policy:
    """The policy with a single gate on `codebook-use` alone, so that nothing else can hold or open it."""
    return policy(gates={action: {"codebook-use": Cell(requirements)}}, **changes)


def quick(**changes: Any) -> RuleOut:
    """A rule with one demand, `prompted`, under one assumption."""
    return rule_out(PROMPTED, **changes)


def line(name: str, expr: Expr | None = None, **changes: Any) -> Threshold:
    """A threshold at `a` >= 0.20, or at another expression, under the quick rule."""
    made = Threshold(name, At("a", Fraction("0.20")) if expr is None else expr, quick())
    return replace(made, **changes)


MEASURES = named(measure("a"), measure("b"), measure("c"))
AUDIT = Attested("audit", "an audit", AUDITOR, "subject", HALF_YEAR)


def simple(*thresholds: Threshold, gated: Iterable[str] = (), requires: Iterable[str] = (), **changes: Any) -> Policy:
    """A policy of these thresholds, by default `t` at `a` >= 0.20. All those in `gated` (the first, if none) stand at
    every standard gate, and ask for what is in `requires` (an audit, if nothing).
    """
    lines = thresholds or (line("t"),)
    gate = {name: Cell(tuple(requires) or ("audit",)) for name in tuple(gated) or (lines[0].name,)}
    defaults: dict[str, Any] = {
        "id": "simple",
        "measures": MEASURES,
        "thresholds": named(*lines),
        "requirements": named(AUDIT, Never("never")),
        "gates": dict.fromkeys(ACTIONS, gate),
        "independent": AUDITOR,
    }
    return policy(**{**defaults, **changes})


# -- the ledger --------------------------------------------------------------------------------------------------------

FOUNDATION, MODEL, CHILD, SIBLING = (digest(name) for name in ("foundation", "model", "child", "sibling"))
REFERENCE = digest("reference")
OFFERED = digest("api")


def family(**changes: Mapping[str, Any]) -> dict[str, Subject]:
    """`model` continues `foundation`; `child` was made from `model`, and `sibling` from `foundation`, for 1 % each;
    `reference` is of another family.
    """
    base, own = 10**22, 10**24
    made = {
        "foundation": Subject(FOUNDATION, "foundation", base, base, base, ()),
        "model": Subject(MODEL, "model", own, own, own, (Step(FOUNDATION, "continued", own - base),)),
        "child": Subject(CHILD, "child", own, own, own, (Step(MODEL, "adapter", own // 100),)),
        "sibling": Subject(SIBLING, "sibling", base, base, base, (Step(FOUNDATION, "fine-tuned", base // 100),)),
        "reference": Subject(REFERENCE, "reference", own, own, own, ()),
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
    elicitation: str = "prompted",
    *,
    subject: str = MODEL,
    samples: int = 100,
    completed: int | None = None,
    scored: int | None = None,
    correct: int = 0,
    total: Fraction | None = None,
    refused_scores: int = 0,
    refused_at_most: int | None = None,
    flop: int | None = None,
    shots: int | None = None,
    demonstrations: int | None = None,
    task: str = CODEBOOK,
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
    samples_digest: str | None = None,
    stopped_at: int | None = None,
    **protocol: Any,
) -> Run:
    """One evaluation. Not `planned`: its result names no plan. Not `reported`: its plan has no result."""
    ran = Protocol(
        task=task,
        task_version=version,
        metric=metric,
        samples=samples,
        samples_digest=digest(f"{task} {samples}") if samples_digest is None else samples_digest,
        elicitation=elicitation,
        shots=(5 if elicitation == "few-shot" else 0) if shots is None else shots,
        demonstrations=(16 if elicitation == "fine-tuned" else 0) if demonstrations is None else demonstrations,
        seed=seed,
        **protocol,
    )
    by = planned_at + 20 * DAY if report_by is None else report_by
    name = digest(f"plan {subject} {ran} {planned_at} {by} {sorted(plan_signers)}")
    plan = Plan(0, name, subject, ran, frozenset(plan_signers), planned_at, by) if planned else None
    scored = (samples if stopped_at is None else stopped_at) if scored is None else scored
    correct = 0 if total is not None else correct
    result = Result(
        entry=0,
        digest=digest(
            f"result {name} {planned} {scored} {correct} {total} {refused_scores} {refused_at_most} {flop} "
            f"{sorted(signers)} {at} {stopped_at}"
        ),
        subject=subject,
        protocol=ran,
        completed=samples if completed is None else completed,
        scored=scored,
        correct=correct,
        refused_scores=refused_scores,
        refused_at_most=refused_scores if refused_at_most is None else refused_at_most,
        flop=(0 if elicitation in ("few-shot", "prompted") else 10**15) if flop is None else flop,
        signers=frozenset(signers),
        plan=plan,
        at=planned_at + DAY if at is None else at,
        total=total,
        stopped_at=stopped_at,
    )
    return Run(plan, result if reported else None)


def runs(name: str = "a", correct: int = 0, **changes: Any) -> Run:
    """A prompted evaluation of the measure of this name."""
    return run(changes.pop("elicitation", "prompted"), task=f"lab/{name}", correct=correct, **changes)


def stated(
    name: str,
    *,
    about: str | None = MODEL,
    by: Iterable[str] = (AUDITOR,),
    at: datetime = STATED,
    check: Check | None = None,
) -> Attestation:
    """A role states an assumption, or shows it by a check."""
    told = digest(f"assumption {name} {about} {sorted(by)} {at} {check}")
    return Attestation(0, name, is_assumption=True, about=about, signers=frozenset(by), at=at, check=check, digest=told)


def attested(
    name: str, *, about: str | None = MODEL, by: Iterable[str] = (AUDITOR,), at: datetime = STATED
) -> Attestation:
    """A role attests a requirement."""
    told = digest(f"requirement {name} {about} {sorted(by)} {at}")
    return Attestation(0, name, is_assumption=False, about=about, signers=frozenset(by), at=at, digest=told)


def approved(
    name: str,
    *saw: str,
    about: str | None = MODEL,
    by: Iterable[str] = (BOARD,),
    at: datetime = STATED,
) -> Approval:
    """A role approves, having seen these findings."""
    told = digest(f"approval {name} {saw} {about} {sorted(by)} {at}")
    return Approval(0, told, name, about, frozenset(saw), frozenset(by), at)


def saw(
    told: Facts,
    threshold: str,
    state: Any,
    *,
    under: str = "simple",
    subject: str = MODEL,
    share: Fraction = Fraction(0),
) -> str:
    """The digest of a finding, with all that the ledger says about it (rule 30); `share` is the attacker's budget."""
    where = {"policy": under, "threshold": threshold, "subject": subject}
    if subject not in told.subjects:
        return finding_digest(where, state, [])
    kin = reference.kin(told, subject, share)
    items = [it.digest for it in told.results if it.subject in kin]
    items += [it.digest for it in told.incidents if it.subject is None or it.subject in kin]
    items += [it.digest for it in told.judgements if it.threshold == threshold and it.subject in kin]
    return finding_digest(where, state, items)


def judged(
    threshold: str,
    verdict: Any = "below",
    *on: Run | Attestation,
    subject: str = MODEL,
    by: Iterable[str] = (BOARD,),
    members: Iterable[str] | None = None,
    at: datetime = STATED + DAY,
) -> Judgement:
    """A role judges, naming these runs and attestations."""
    items = frozenset(it.result.digest if isinstance(it, Run) and it.result else it.digest for it in on)  # type: ignore[union-attr]
    told = digest(f"judgement {threshold} {verdict} {sorted(items)} {subject} {sorted(by)} {members} {at}")
    everybody = frozenset(by if members is None else members)
    return Judgement(0, told, threshold, subject, verdict, items, frozenset(by), everybody, at)


def withdrawn(of: Any, *, by: Iterable[str] = (TEAM,), at: datetime = STATED) -> Withdrawal:
    """Somebody takes a statement back."""
    return Withdrawal(0, digest(f"withdrawal {of.digest} {sorted(by)}"), of.digest, frozenset(by), at)


def aside(of: Any, *, by: Iterable[str] = (AUDITOR,), at: datetime = STATED) -> SetAside:
    """Somebody sets a result or an incident aside."""
    return SetAside(0, digest(f"aside {of.digest} {sorted(by)}"), of.digest, "a bug", frozenset(by), at)


def incident(
    kind: str = "theft",
    *,
    subject: str | None = None,
    thresholds: Iterable[str] = (),
    requirements: Iterable[str] = (),
    members: Iterable[str] = (),
    at: datetime = STATED,
    **changes: Any,
) -> Incident:
    """Something happened."""
    told = digest(f"incident {kind} {subject} {sorted(thresholds)} {sorted(requirements)} {at}")
    made = Incident(
        0, told, kind, subject, frozenset(thresholds), frozenset(requirements), frozenset(members), frozenset(members),
        at, {"event": at},
    )  # fmt: skip
    return replace(made, **changes)


def forecast(
    of: str = "a",
    *,
    margin: str = "0.05",
    multiple: int = 6,
    by: Iterable[str] = (AUDITOR,),
    at: datetime = STATED,
) -> Forecast:
    """How far a measure is expected to move."""
    told = digest(f"forecast {of} {margin} {multiple} {sorted(by)} {at}")
    return Forecast(0, told, of, Fraction(multiple), Fraction(margin), frozenset(by), at)


def amended(
    exception: str,
    *,
    subject: str | None = None,
    published: str = "https://example.org",
    by: Iterable[str] = (BOARD,),
    at: datetime = STATED,
) -> Amendment:
    """An exception is approved and published."""
    told = digest(f"amendment {exception} {subject} {published} {sorted(by)} {at}")
    return Amendment(0, told, exception, subject, published, frozenset(by), at)


def statements(**changes: Mapping[str, Any] | None) -> tuple[Attestation, ...]:
    """Every assumption that the example policy demands. A change of None leaves that one out; `_` stands for `-`."""
    told = {name.replace("_", "-"): change for name, change in changes.items()}
    return tuple(stated(name, **change) for name in STATEMENTS if (change := told.get(name, {})) is not None)


def facts(
    *made: Run,
    subjects: Mapping[str, Subject] | None = None,
    attestations: Iterable[Attestation] = (),
    seen_at: datetime = AT,
    **others: Iterable[Any],
) -> Facts:
    """What the ledger says, entries numbered in order; `others` are further fields of `Facts`."""
    number = iter(range(1, 10_000))
    kin = family() if subjects is None else subjects
    plans, results = [], []
    for it in made:
        plan = replace(it.plan, entry=next(number)) if it.plan else None
        plans += [plan] if plan else []
        results += [replace(it.result, entry=next(number), plan=plan)] if it.result else []
    signed = tuple(replace(a, entry=next(number)) for a in attestations)
    told: dict[str, Any] = {
        field: tuple(replace(it, entry=next(number)) for it in values) for field, values in others.items()
    }
    size = next(number)
    checkpoint = Checkpoint(size, digest(str(size)), seen_at)
    offered = {OFFERED: Deployment(OFFERED, "api", MODEL)}
    return Facts(checkpoint, kin, tuple(plans), tuple(results), signed, deployments=offered, **told)


def in_order(
    *more: Run,
    few_shot: Mapping[str, Any] | None = None,
    fine_tuned: Mapping[str, Any] | None = None,
    assumed: Mapping[str, Mapping[str, Any] | None] | None = None,
    attestations: Iterable[Attestation] = (),
    **others: Any,
) -> Facts:
    """Everything that `scale` and the deployments of `model` need, changed where the case says so."""
    made = (run("few-shot", **(few_shot or {})), run("fine-tuned", **(fine_tuned or {})), *more)
    return facts(*made, attestations=(*statements(**(assumed or {})), *attestations), **others)


HONEST = "no-evaluation-gaming"


def known(
    *made: Run, attestations: Iterable[Attestation] = (), honest: Iterable[str] = (MODEL,), **others: Any
) -> Facts:
    """Evaluations under a `simple` policy; its one assumption is stated about the subjects in `honest`."""
    return facts(*made, attestations=(*(stated(HONEST, about=one) for one in honest), *attestations), **others)


# -- the question ------------------------------------------------------------------------------------------------------


def since(used: Policy, at: datetime = EFFECTIVE) -> Version:
    """A version in force from a time."""
    return Version(used, digest(f"{used.id} {used.version}"), at)


def ask(
    told: Facts,
    *under: Policy | Version,
    subject: str = MODEL,
    action: str = "scale",
    at: datetime = AT,
    deployment: str | None = None,
) -> Decision:
    """The decision, by default under the example policy."""
    versions = [it if isinstance(it, Version) else since(it) for it in under or (policy(),)]
    return decide(versions, told, subject=subject, action=action, at=at, deployment=deployment)


def cell(decision: Decision, threshold: str = "t") -> Found:
    """The cell of one threshold."""
    return next(it for it in decision.cells if it.finding.threshold == threshold)


def state(decision: Decision, threshold: str = "t") -> str:
    """What is found about one threshold."""
    return cell(decision, threshold).finding.state


def codes(decision: Decision) -> set[str]:
    """Every reason code of a decision and its findings, but for those of requirements."""
    reasons = [*decision.reasons, *(reason for ruling in decision.rulings for reason in ruling.reasons)]
    return {reason.code for reason in [*reasons, *(r for it in decision.cells for r in it.finding.reasons)]}


def met(decision: Decision, threshold: str = "t") -> dict[str, bool]:
    """Which requirements of a cell are met."""
    return {it.name: it.met for it in cell(decision, threshold).requirements}
