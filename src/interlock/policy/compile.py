"""A policy to canonical JSON and back: the bytes that the ledger signs and that every decision reads.

`to_json` and `from_json` are inverses, exactly: whatever `from_json` accepts, `to_json` gives back unchanged, so one
policy has one digest. `from_json` trusts nothing: it checks every range and every reference again, since a compiled
policy may come from anywhere. Neither pydantic nor ruamel.yaml is imported here, so that a decision starts fast.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rfc8785

from interlock.errors import EvidenceError
from interlock.evidence.keys import PublicKey
from interlock.policy import _check
from interlock.policy import _scalar as scalar
from interlock.policy.model import (
    ELICITATIONS,
    Assumption,
    Attested,
    Duration,
    Elicitation,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Requirement,
    Role,
    RuleOut,
    Threshold,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

#: The format that this version writes and reads.
FORMAT: Final = "policy/v1"


def digest(policy: Policy) -> str:
    """SHA-256 of the canonical bytes, in lower-case hexadecimal."""
    return hashlib.sha256(canonical(policy)).hexdigest()


def canonical(policy: Policy) -> bytes:
    """The policy's one byte string (RFC 8785)."""
    return rfc8785.dumps(to_json(policy))


def to_json(policy: Policy) -> dict[str, Any]:
    """The policy as plain JSON values. Numbers that are not whole are texts: `0.05`, `1/3`.

    Raises:
        ValueError: a time has no zone or is not a whole second.
    """
    return {
        "interlock": FORMAT,
        "id": policy.id,
        "version": policy.version,
        "title": policy.title,
        "effective": scalar.stamp(policy.effective),
        "roles": {name: _role_json(role) for name, role in policy.roles.items()},
        "measures": {name: _measure_json(measure) for name, measure in policy.measures.items()},
        "assumptions": {
            name: {"stated_by": it.stated_by, "fresh_for": _duration_json(it.fresh_for)}
            for name, it in policy.assumptions.items()
        },
        "thresholds": {name: _threshold_json(threshold) for name, threshold in policy.thresholds.items()},
        "requirements": {name: _requirement_json(it) for name, it in policy.requirements.items()},
        "gates": {
            action: {threshold: list(needed) for threshold, needed in cells.items()}
            for action, cells in policy.gates.items()
        },
        "refresh": {
            "effective_compute": scalar.exact(policy.refresh_multiple),
            "period": _duration_json(policy.refresh_period),
        },
        "attacker_budget": {
            "share": scalar.exact(policy.attacker_budget),
            "source": policy.attacker_budget_source,
        },
        "permits": {
            "lease": _duration_json(policy.permits.lease),
            "ledger_age": _duration_json(policy.permits.ledger_age),
            "issued_by": policy.permits.issued_by,
        },
        "plans": {"report_within": _duration_json(policy.report_within)},
        "amendments": {"approved_by": policy.approved_by},
    }


def _duration_json(length: Duration) -> dict[str, int]:
    return {"months": length.months, "seconds": length.seconds}


def _role_json(role: Role) -> dict[str, Any]:
    return {"keys": list(role.keys), "quorum": role.quorum, "independent_of": list(role.independent_of)}


def _measure_json(measure: Measure) -> dict[str, Any]:
    return {
        "kind": measure.kind,
        "task": measure.task,
        "task_version": measure.task_version,
        "metric": measure.metric,
    }


def _threshold_json(threshold: Threshold) -> dict[str, Any]:
    rule = threshold.rule_out
    return {
        "measure": threshold.measure,
        "level": scalar.exact(threshold.level),
        "rule_out": {
            "confidence": scalar.exact(rule.confidence),
            "elicitation": list(rule.elicitation),
            "demonstrations": rule.demonstrations,
            "buffer": {
                "effective_compute": scalar.exact(rule.buffer),
                "margin": scalar.exact(rule.margin),
                "source": rule.margin_source,
            },
            "coverage": scalar.exact(rule.coverage),
            "run_by": rule.run_by,
        },
        "takeover_potential": threshold.takeover_potential,
        "sources": list(threshold.sources),
    }


def _requirement_json(requirement: Requirement) -> dict[str, Any]:
    if isinstance(requirement, Attested):
        return {
            "kind": "attested",
            "what": requirement.what,
            "by": requirement.by,
            "about": requirement.about,
            "fresh_for": _duration_json(requirement.fresh_for),
        }
    if isinstance(requirement, Hole):
        review = scalar.stamp(requirement.review)
        return {"kind": "hole", "what": requirement.what, "owner": requirement.owner, "review": review}
    return {"kind": "never"}


def from_json(obj: object) -> Policy:
    """The policy that `to_json` gave `obj` for.

    Raises:
        EvidenceError: `obj` is anything else, or breaks what a policy must hold.
    """
    policy = _policy(_Object.of(obj))
    problem = next(iter(_check.check(_check.parts_of(policy))), None)
    if problem is not None:
        raise _invalid(problem.path, problem.message)
    if to_json(policy) != obj:  # a second spelling of a number or a time would be a second digest
        raise EvidenceError("compiled policy: expected each number and time in its one exact text, and no other fields")
    return policy


def _policy(top: _Object) -> Policy:
    top.word("interlock", FORMAT)
    refresh, budget, permits = top.object("refresh"), top.object("attacker_budget"), top.object("permits")
    return Policy(
        id=top.read("id", scalar.policy_id),
        version=top.read("version", scalar.version),
        title=top.read("title", scalar.prose),
        effective=top.read("effective", scalar.moment),
        roles=top.entries("roles", _role),
        measures=top.entries("measures", _measure),
        assumptions=top.entries("assumptions", _assumption),
        thresholds=top.entries("thresholds", _threshold),
        requirements=top.entries("requirements", _requirement),
        gates=top.entries("gates", _cells),
        refresh_multiple=refresh.read("effective_compute", scalar.factor),
        refresh_period=refresh.duration("period"),
        attacker_budget=budget.read("share", scalar.proportion),
        attacker_budget_source=budget.read("source", scalar.prose),
        permits=Permits(
            permits.duration("lease"), permits.duration("ledger_age"), permits.read("issued_by", scalar.name)
        ),
        report_within=top.object("plans").duration("report_within"),
        approved_by=top.object("amendments").read("approved_by", scalar.name),
    )


def _role(name: str, it: _Object) -> Role:
    return Role(name, it.texts("keys", _key), it.whole("quorum", least=1), it.texts("independent_of", scalar.name))


def _key(value: object) -> str:
    try:
        return str(PublicKey.parse(scalar.prose(value)))
    except EvidenceError as error:
        raise ValueError(str(error)) from error


def _measure(name: str, it: _Object) -> Measure:
    it.word("kind", "capability")
    version = it.whole("task_version", least=1)
    task, _ = it.read("task", lambda value: scalar.task(f"{scalar.prose(value)}@{version}"))
    return Measure(name, "capability", task, version, it.read("metric", scalar.prose))


def _assumption(name: str, it: _Object) -> Assumption:
    return Assumption(name, it.read("stated_by", scalar.name), it.duration("fresh_for"))


def _threshold(name: str, it: _Object) -> Threshold:
    takeover = it.value("takeover_potential")
    if not isinstance(takeover, bool):
        raise _invalid((*it.path, "takeover_potential"), f"expected true or false, got {scalar.quote(takeover)}")
    return Threshold(
        name=name,
        measure=it.read("measure", scalar.name),
        level=it.read("level", scalar.proportion),
        rule_out=_rule_out(it.object("rule_out")),
        takeover_potential=takeover,
        sources=it.texts("sources", scalar.prose),
    )


def _rule_out(it: _Object) -> RuleOut:
    buffer = it.object("buffer")
    elicitation = it.texts("elicitation", _elicitation)
    if not elicitation or len(set(elicitation)) < len(elicitation):
        raise _invalid((*it.path, "elicitation"), "expected at least one elicitation, none of them twice")
    return RuleOut(
        confidence=it.read("confidence", scalar.confidence),
        elicitation=elicitation,
        demonstrations=it.whole("demonstrations", least=0),
        buffer=buffer.read("effective_compute", scalar.factor),
        margin=buffer.read("margin", scalar.proportion),
        margin_source=buffer.read("source", scalar.prose),
        coverage=it.read("coverage", scalar.coverage),
        run_by=it.read("run_by", scalar.name),
    )


def _elicitation(value: object) -> Elicitation:
    word = scalar.one_of(*ELICITATIONS)(value)
    return next(elicitation for elicitation in ELICITATIONS if elicitation == word)


def _requirement(name: str, it: _Object) -> Requirement:
    kind = it.read("kind", scalar.one_of("attested", "hole", "never"))
    if kind == "never":
        return Never(name)
    what = it.read("what", scalar.prose)
    if kind == "hole":
        return Hole(name, what, it.read("owner", scalar.name), it.read("review", scalar.moment))
    about = it.read("about", scalar.one_of("subject", "developer"))
    return Attested(
        name=name,
        what=what,
        by=it.read("by", scalar.name),
        about="subject" if about == "subject" else "developer",
        fresh_for=it.duration("fresh_for"),
    )


def _cells(_action: str, it: _Object) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({threshold: it.texts(threshold, scalar.name) for threshold in it.fields})


def _invalid(path: tuple[str | int, ...], message: str) -> EvidenceError:
    where = ".".join(scalar.quote(step).strip("`") for step in path)
    return EvidenceError(f"compiled policy: {where}: {message}" if where else f"compiled policy: {message}")


@dataclass(frozen=True, slots=True)
class _Object:
    """One JSON object of a compiled policy and where it stands. `from_json` catches a field too many at its end."""

    fields: dict[str, Any]
    path: tuple[str, ...]

    @classmethod
    def of(cls, obj: object, path: tuple[str, ...] = ()) -> _Object:
        if not isinstance(obj, dict) or not all(isinstance(key, str) for key in obj):
            raise _invalid(path, f"expected an object, got {scalar.quote(obj)}")
        return cls(obj, path)

    def value(self, field: str) -> object:
        """The value of `field`, which must be there."""
        if field not in self.fields:
            raise _invalid((*self.path, field), "expected this field, got nothing")
        return self.fields[field]

    def read(self, field: str, reader: Callable[[object], T]) -> T:
        """The value of `field` as `reader` takes it."""
        value = self.value(field)
        try:
            return reader(value)
        except ValueError as error:
            raise _invalid((*self.path, field), str(error)) from error

    def word(self, field: str, wanted: str) -> None:
        """Demand one exact text."""
        self.read(field, scalar.one_of(wanted))

    def whole(self, field: str, *, least: int) -> int:
        """A whole number of at least `least` that every JSON reader keeps exact (RFC 8785, section 3.2.2.3)."""
        value = self.value(field)
        if type(value) is not int or not least <= value < 2**53:  # bool is an int to isinstance
            raise _invalid(
                (*self.path, field), f"expected a whole number of at least {least}, got {scalar.quote(value)}"
            )
        return value

    def texts(self, field: str, reader: Callable[[object], T]) -> tuple[T, ...]:
        """A list, each item as `reader` takes it."""
        value = self.value(field)
        if not isinstance(value, list):
            raise _invalid((*self.path, field), f"expected a list, got {scalar.quote(value)}")
        items = _Object({str(place): item for place, item in enumerate(value)}, (*self.path, field))
        return tuple(items.read(place, reader) for place in items.fields)

    def object(self, field: str) -> _Object:
        """The object in `field`."""
        return _Object.of(self.value(field), (*self.path, field))

    def entries(self, field: str, reader: Callable[[str, _Object], T]) -> Mapping[str, T]:
        """The named objects in `field`, each as `reader` takes it."""
        inner = self.object(field)
        for name in inner.fields:
            try:
                scalar.name(name)
            except ValueError as error:
                raise _invalid(inner.path, str(error)) from error
        return MappingProxyType({name: reader(name, inner.object(name)) for name in inner.fields})

    def duration(self, field: str) -> Duration:
        """A duration from its two parts."""
        it = self.object(field)
        months, seconds = it.whole("months", least=0), it.whole("seconds", least=0)
        try:
            return scalar.span(months=months, seconds=seconds)
        except ValueError as error:
            raise _invalid(it.path, str(error)) from error
