"""Part (ii): decisions a second, with reasons, by Interlock, Cedar and Rego at the same number of rules.

Of n rules, half are thresholds with a measure each, half are requirements. In the permit variant all are kept, in the
hold variant none is, and every answer must give all n as its reasons. Interlock's rules are thresholds as its policies
have them: a few-shot and a fine-tuned result each, planned, signed, fresh, bounded exactly, their assumptions stated.
The others' are one comparison each, on a bound that was worked out for them.

What repeats, from the hardest:

- cold: nothing is remembered; policies and facts are prepared, then the first decision;
- new facts: policies are prepared; every decision is on facts that no decision was on before (one entry more);
- warm: policies and facts are prepared; every decision is at another moment.
"""

from __future__ import annotations

import gc
import json
import statistics
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import _lru_cache_wrapper, cache
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from interlock.decide.decision import to_json
from interlock.decide.facts import Attestation, Checkpoint, Facts, Plan, Protocol, Result, Subject, Version
from interlock.decide.rule import Decider
from interlock.evidence.keys import KeyPair
from interlock.policy import compile as compiled
from interlock.policy.load import loads
from interlock.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import cedarpy
    import regopy

    from interlock.decide.decision import Decision

Variant = Literal["permit", "hold"]
Mode = Literal["cold", "new facts", "warm"]
VARIANTS: tuple[Variant, ...] = ("permit", "hold")
MODES: tuple[Mode, ...] = ("cold", "new facts", "warm")
SIZES = (2, 22, 202)
GOAL, GOAL_AT = 5_000, 202  # decisions a second, warm, at so many rules

ROLES = ("evaluator", "auditor", "gatekeeper", "board")
ASSUMED = ("no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations")
SUBJECT = "5b" * 32
ACTION = "deploy-internal"
PLANNED = datetime(2026, 5, 1, tzinfo=UTC)
SAID = datetime(2026, 5, 2, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SAMPLES, LEVEL = 200, 5_000  # a level in parts of 10,000, for the others
YEAR = 31_536_000
_MOMENTS = 80_000  # the ledger's checkpoint is good for a day
_DENY = "gate/deny"  # Rego's entrypoint
_BATCH = 100  # requests that Cedar is given at once


@dataclass(frozen=True, slots=True)
class Speed:
    """How many decisions a second one engine made: the median, the least and the greatest of the repeats."""

    engine: str
    rules: int
    variant: Variant
    mode: Mode
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effort:
    """How often, and for how many seconds at least, a figure is measured."""

    repeats: int
    seconds: float


# -- Interlock ---------------------------------------------------------------------------------------------------------


def policy_text(rules: int, keys: Mapping[str, str]) -> str:
    """A policy of so many rules: half thresholds, half requirements, at one gate. `keys` are those of `ROLES`."""
    half = range(rules // 2)
    lines = [
        "interlock: policy/v1",
        "id: benchmark/speed",
        "version: 1.0.0",
        f"title: {rules} rules",
        "effective: 2026-01-01T00:00:00Z",
        "roles:",
        *(f"  {role}: {{keys: ['{keys[role]}'], quorum: 1}}" for role in ROLES),
        "measures:",
        *(
            f"  measure-{i}: {{kind: capability, on: model, danger: higher, range: [0, 1],"
            f" source: {{task: lab/task-{i}@1, metric: accuracy}}}}"
            for i in half
        ),
        "assumptions:",
        *(f"  {name}: {{stated_by: auditor, fresh_for: 6 months}}" for name in ASSUMED),
        "thresholds:",
        *(
            f"  threshold-{i}: {{reached_when: measure-{i} >= 0.50, rule_out: {{confidence: 0.95,"
            " elicitation: [few-shot, fine-tuned], demonstrations: 16,"
            " buffer: {effective_compute: 4x, margin: 0.05, source: benchmark}, coverage: 0.98, run_by: evaluator}}"
            for i in half
        ),
        "requirements:",
        *(
            f"  requirement-{i}: {{attested: audit {i}, by: auditor, about: developer, fresh_for: 12 months}}"
            for i in half
        ),
        "refresh: {effective_compute: 4x, period: 3 months}",
        "permits: {lease: 30 days, ledger_age: 24 hours, issued_by: gatekeeper}",
        "plans: {report_within: 21 days}",
        "gates:",
        f"  {ACTION}: {{{', '.join(f'threshold-{i}: [requirement-{i}]' for i in half)}}}",
        "not_governed: {scale: not measured, deploy-api: not measured, release-weights: not measured}",
        "amendments: {approved_by: [board]}",
    ]
    return "\n".join(lines) + "\n"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _correct(i: int, variant: Variant) -> int:
    """Each threshold has its own counts, so that no bound serves for two."""
    return 10 + i % 60 if variant == "permit" else 130 + i % 60


def facts(rules: int, variant: Variant) -> Facts:
    """The ledger that keeps every rule, or none."""
    evaluator, auditor = frozenset({"evaluator"}), frozenset({"auditor"})
    plans: list[Plan] = []
    results: list[Result] = []
    for i in range(rules // 2):
        for kind, more in (("few-shot", 0), ("fine-tuned", 1)):
            entry = len(plans) + len(results) + 1
            protocol = Protocol(
                task=f"lab/task-{i}",
                task_version=1,
                metric="accuracy",
                samples=SAMPLES,
                samples_digest=_digest("samples"),
                elicitation=kind,
                shots=5 if kind == "few-shot" else 0,
                demonstrations=16 if kind == "fine-tuned" else 0,
                seed=0,
            )
            name = _digest(f"plan {kind} {i}")
            plan = Plan(entry, name, SUBJECT, protocol, evaluator, PLANNED, PLANNED + timedelta(days=20))
            plans.append(plan)
            results.append(
                Result(
                    entry=entry + 1,
                    digest=_digest(f"result {kind} {i}"),
                    subject=SUBJECT,
                    protocol=protocol,
                    completed=SAMPLES,
                    scored=SAMPLES,
                    correct=_correct(i, variant) + more,
                    refused_scores=0,
                    refused_at_most=0,
                    flop=10**15,
                    signers=evaluator,
                    plan=plan,
                    at=SAID,
                )
            )
    number = len(plans) + len(results)
    words = [(name, True, SUBJECT) for name in ASSUMED]
    words += [(f"requirement-{i}", False, None) for i in range(rules // 2)] if variant == "permit" else []
    attestations = tuple(
        Attestation(number + n, name, assumed, about, auditor, SAID, digest=_digest(f"word {name}"))
        for n, (name, assumed, about) in enumerate(words, start=1)
    )
    checkpoint = Checkpoint(number + len(words) + 1, _digest("root"), NOW)
    subject = Subject(SUBJECT, "model", 10**24, 10**24, 10**24, ())
    return Facts(checkpoint, {SUBJECT: subject}, tuple(plans), tuple(results), attestations)


def one_more(base: Facts, number: int) -> Facts:
    """The same ledger with one more entry, that no decision has seen."""
    word = Attestation(
        base.checkpoint.size + number,
        "no-evaluation-gaming",
        is_assumption=True,
        about=SUBJECT,
        signers=frozenset({"auditor"}),
        at=SAID + timedelta(seconds=number),
        digest=_digest(f"more {number}"),
    )
    checkpoint = replace(base.checkpoint, size=base.checkpoint.size + number, root=_digest(f"root {number}"))
    return replace(base, checkpoint=checkpoint, attestations=(*base.attestations, word))


@cache
def _caches() -> list[_lru_cache_wrapper]:
    found = [thing for thing in gc.get_objects() if isinstance(thing, _lru_cache_wrapper)]
    return [it for it in found if (it.__module__ or "").startswith("interlock")]


def forget() -> None:
    """Empty every cache of Interlock's."""
    for it in _caches():
        it.cache_clear()


class Interlock:
    """One policy, as text, compiled and in force, and its ledger."""

    def __init__(self, rules: int, variant: Variant) -> None:
        self.rules, self.variant = rules, variant
        keys = {role: str(KeyPair.generate().public) for role in ROLES}
        policy = loads(policy_text(rules, keys), name="benchmark", folder=None)
        self.json, self.digest = compiled.to_json(policy), compiled.digest(policy)
        self.version = Version(policy, self.digest, policy.effective)
        self.facts = facts(rules, variant)
        self.more = [one_more(self.facts, number) for number in range(1, 33)]
        self.moments = [NOW + timedelta(seconds=second) for second in range(_MOMENTS)]
        self.decider = Decider([self.version], self.facts)

    def cold(self, number: int) -> Decision:
        """From the compiled policy, to an answer."""
        policy = self.read_policy(number)
        return self._told(Decider([Version(policy, self.digest, policy.effective)], self.facts), NOW)

    def new_facts(self, number: int) -> Decision:
        """Bounds that were computed once are remembered; nothing else is."""
        return self._told(Decider([self.version], self.more[number % len(self.more)]), NOW)

    def warm(self, number: int) -> Decision:
        """The answer holds until something expires or falls due; the decider knows until when."""
        return self._told(self.decider, self.moments[number % len(self.moments)])

    def _told(self, decider: Decider, at: datetime) -> Decision:
        decision = decider.decide(subject=SUBJECT, action=ACTION, at=at)
        told, least = (len(decision.all_reasons), self.rules) if self.variant == "hold" else (len(decision.cells), 1)
        if decision.verdict != self.variant or told < least:
            raise RuntimeError(f"{self.rules} rules: {decision.verdict} with {told} reasons, expected {self.variant}")
        return decision

    def as_json(self, _: int) -> object:
        """The whole explanation as JSON values."""
        return to_json(self.decision)

    def read_policy(self, _: int) -> Policy:
        """The compiled policy from its JSON values."""
        return compiled.from_json(self.json)

    @property
    def decision(self) -> Decision:
        """The decision itself."""
        return self.decider.decide(subject=SUBJECT, action=ACTION, at=NOW)


# -- the others --------------------------------------------------------------------------------------------------------


def evidence(rules: int, variant: Variant) -> dict[str, int]:
    """What the others are told: a bound for each threshold, in parts of 10,000, and a date for each requirement."""
    from interlock.decide.bounds import upper

    told: dict[str, int] = {}
    for i in range(rules // 2):
        told[f"upper_{i}"] = int(upper(_correct(i, variant) + 1, SAMPLES, Fraction(1, 20)) * 10_000)
        told[f"audited_{i}"] = int(SAID.timestamp()) - (2 * YEAR if variant == "hold" else 0)
    return told


class Cedar:
    """A permit and n forbids. The facts are the resource's attributes; the moment is in the context."""

    REQUEST = {"principal": 'Gate::"gate"', "action": 'Action::"deploy"', "resource": 'Model::"model"'}  # noqa: RUF012

    def __init__(self, rules: int, variant: Variant) -> None:
        import cedarpy

        self.cedar, self.rules, self.variant = cedarpy, rules, variant
        lines = ["permit (principal, action, resource);"]
        for i in range(rules // 2):
            lines.append(f"forbid (principal, action, resource) when {{ resource.upper_{i} >= {LEVEL} }};")
            age = f"context.now - resource.audited_{i} >= {YEAR}"
            lines.append(f"forbid (principal, action, resource) when {{ {age} }};")
        self.text = "\n".join(lines)
        told = evidence(rules, variant)
        self.entities_text = json.dumps([{"uid": {"type": "Model", "id": "model"}, "attrs": told, "parents": []}])
        self.more = [
            json.dumps([{"uid": {"type": "Entry", "id": str(n)}, "attrs": {"at": n}, "parents": []}]) for n in range(32)
        ]
        start = int(NOW.timestamp())
        self.requests = [{**self.REQUEST, "context": json.dumps({"now": start + s})} for s in range(_MOMENTS)]
        self.policies = cedarpy.PolicySet.from_str(self.text)
        self.entities = cedarpy.Entities.from_json_str(self.entities_text)
        self.answers: list[cedarpy.AuthzResult] = []

    def cold(self, number: int) -> None:
        """Text of policies and facts, to an answer."""
        policies = self.cedar.PolicySet.from_str(self.text)
        entities = self.cedar.Entities.from_json_str(self.entities_text)
        self._told(self.cedar.is_authorized(self.requests[number], policies, entities))

    def new_facts(self, number: int) -> None:
        """One more entity, added to those that are there."""
        entities = self.entities.with_added_json_str(self.more[number % len(self.more)])
        self._told(self.cedar.is_authorized(self.requests[number], self.policies, entities))

    def warm(self, number: int) -> None:
        """Parsed policies and entities; another context each time, a hundred requests at once."""
        if not self.answers:
            begin = number % (_MOMENTS - _BATCH)
            requests = self.requests[begin : begin + _BATCH]
            self.answers = self.cedar.is_authorized_batch(requests, self.policies, self.entities)
        self._told(self.answers.pop())

    def _told(self, said: cedarpy.AuthzResult) -> None:
        told, expected = len(said.diagnostics.reasons), 1 if self.variant == "permit" else self.rules
        if said.allowed != (self.variant == "permit") or told != expected:
            raise RuntimeError(f"{self.rules} rules: {said.decision} with {told} reasons, expected {expected}")


class Rego:
    """n deny rules, built to a bundle. The facts are data; the moment is the input."""

    def __init__(self, rules: int, variant: Variant) -> None:
        import regopy

        self.rego, self.rules, self.variant = regopy, rules, variant
        self.module = self._module("data.evidence")
        self.told = evidence(rules, variant)
        self.start = int(NOW.timestamp())
        self.engine = regopy.Interpreter()
        self.engine.add_data({"evidence": self.told})
        self.engine.add_module("gate", self.module)
        self.bundle = self.engine.build(None, [_DENY])
        self.inputs = [regopy.Input({"now": self.start + s}) for s in range(2_000)]
        self.fresh = regopy.Interpreter()
        self.fresh.add_module("gate", self._module("input.evidence"))
        self.fresh_bundle = self.fresh.build(None, [_DENY])

    def _module(self, where: str) -> str:
        lines = ["package gate", "import rego.v1"]
        for i in range(self.rules // 2):
            lines.append(f'deny contains "threshold-{i}" if {where}.upper_{i} >= {LEVEL}')
            lines.append(f'deny contains "requirement-{i}" if input.now - {where}.audited_{i} >= {YEAR}')
        return "\n".join(lines)

    def cold(self, number: int) -> None:
        """Text of policies and facts, to an answer; a plain query is quicker here than building a bundle."""
        engine = self.rego.Interpreter()
        engine.add_data({"evidence": self.told})
        engine.add_module("gate", self.module)
        engine.set_input(self.inputs[number % len(self.inputs)])
        self._told(engine.query("data.gate.deny"))

    def new_facts(self, number: int) -> None:
        """The facts are the input."""
        self.fresh.set_input({"now": self.start + number, "evidence": {**self.told, "more": number}})
        self._told(self.fresh.query_bundle_entrypoint(self.fresh_bundle, _DENY))

    def warm(self, number: int) -> None:
        """Another input each time, made beforehand."""
        self.engine.set_input(self.inputs[number % len(self.inputs)])
        self._told(self.engine.query_bundle_entrypoint(self.bundle, _DENY))

    def _told(self, said: regopy.Output) -> None:
        expected = 0 if self.variant == "permit" else self.rules
        deny = said.results[0].expressions[0]
        if len(deny) != expected:
            raise RuntimeError(f"{self.rules} rules: {len(deny)} reasons, expected {expected}")


class RegoLoop(Rego):
    """The same in two rules that go through the data: how one would rather write it."""

    def _module(self, where: str) -> str:
        return f"""package gate
import rego.v1
deny contains name if {{ some name, upper in {where}; startswith(name, "upper"); upper >= {LEVEL} }}
deny contains name if {{ some name, at in {where}; startswith(name, "audited"); input.now - at >= {YEAR} }}
"""


# -- measuring ---------------------------------------------------------------------------------------------------------


def rate(ask: Callable[[int], object], effort: Effort, before: Callable[[], None] | None = None) -> list[float]:
    """Answers a second, once a repeat. What must be done `before` each answer is not timed."""
    found = []
    for _ in range(effort.repeats):
        gc.collect()
        spent, count = 0.0, 0
        while spent < effort.seconds:
            if before is not None:
                before()
                start = perf_counter()
                ask(count)
                spent, count = spent + perf_counter() - start, count + 1
                continue
            start = perf_counter()
            for _ in range(max(1, min(count, 1_000))):
                ask(count)
                count += 1
            spent += perf_counter() - start
        found.append(count / spent)
    return found


def measure(effort: Effort, engines: dict[str, type], sizes: tuple[int, ...] = SIZES) -> list[Speed]:
    """Every engine at every size, variant and mode."""
    found = []
    for rules in sizes:
        for variant in VARIANTS:
            for name, engine in engines.items():
                made = engine(rules, variant)
                for mode in MODES:
                    ask = getattr(made, mode.replace(" ", "_"))
                    before = forget if mode == "cold" and engine is Interlock else None
                    got = rate(ask, effort, before)
                    found.append(Speed(name, rules, variant, mode, statistics.median(got), min(got), max(got)))
    return found
