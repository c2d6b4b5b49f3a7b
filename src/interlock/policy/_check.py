"""What must hold between the parts of a policy, wherever they come from: YAML or compiled JSON.

Every reference resolves, no gate and no cell is empty, nobody vouches for their own work, and no threshold is written
that could never be ruled out. A single value's range is `_scalar.py`'s business. A problem names a path; `load.py`
turns it into a line and a column.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.policy._scalar import exact, suggest
from interlock.policy.model import ASSUMED, Attested, Hole, Never

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.policy.model import Assumption, Measure, Policy, Requirement, Role, Threshold

#: What every policy must gate. Silence about one of these would hold it for ever without saying so (DESIGN 3.3).
STANDARD_ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")

_SINGULAR = {
    "roles": "role",
    "measures": "measure",
    "assumptions": "assumption",
    "thresholds": "threshold",
    "requirements": "requirement",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake at `path`: at the value there, or with `at_key` at the key that names it."""

    path: tuple[str | int, ...]
    message: str
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a policy that refer to one another, as far as they could be read.

    `names` has every name that a section defines, readable or not, so that one mistake is not reported as many; a
    section that could not be read at all is absent from it. `listed` are the thresholds that stand at some gate.
    """

    roles: Mapping[str, Role]
    measures: Mapping[str, Measure]
    assumptions: Mapping[str, Assumption]
    thresholds: Mapping[str, Threshold]
    requirements: Mapping[str, Requirement]
    gates: Mapping[str, Mapping[str, tuple[str, ...]]]
    issued_by: str | None
    approved_by: str | None
    names: Mapping[str, frozenset[str]]
    listed: frozenset[str]


def parts_of(policy: Policy) -> Parts:
    """All parts of a whole policy."""
    sections = ("roles", "measures", "assumptions", "thresholds", "requirements", "gates")
    return Parts(
        roles=policy.roles,
        measures=policy.measures,
        assumptions=policy.assumptions,
        thresholds=policy.thresholds,
        requirements=policy.requirements,
        gates=policy.gates,
        issued_by=policy.permits.issued_by,
        approved_by=policy.approved_by,
        names={section: frozenset(getattr(policy, section)) for section in sections},
        listed=frozenset(name for cells in policy.gates.values() for name in cells),
    )


def check(parts: Parts) -> Iterator[Problem]:
    """Everything wrong between the parts."""
    yield from _roles(parts)
    yield from _assumptions(parts)
    yield from _thresholds(parts)
    yield from _requirements(parts)
    yield from _gates(parts)
    if parts.issued_by is not None:
        yield from refers(parts.names, "roles", parts.issued_by, ("permits", "issued_by"))
    if parts.approved_by is not None:
        yield from refers(parts.names, "roles", parts.approved_by, ("amendments", "approved_by"))


def refers(
    names: Mapping[str, frozenset[str]],
    section: str,
    name: str,
    path: tuple[str | int, ...],
    *,
    at_key: bool = False,
) -> Iterator[Problem]:
    """The problem with a mention of `name` at `path`, if `section` does not define it."""
    known = names.get(section)
    if known is not None and name not in known:
        yield Problem(path, f"{_SINGULAR[section]} `{name}` is not defined{suggest(name, known)}", at_key)


def _shared(parts: Parts, one: str, other: str) -> bool:
    """Whether the two roles have a key in common. A role that could not be read has none."""
    if one not in parts.roles or other not in parts.roles:
        return one == other
    return one == other or not set(parts.roles[one].keys).isdisjoint(parts.roles[other].keys)


def _roles(parts: Parts) -> Iterator[Problem]:
    for name, role in parts.roles.items():
        path = ("roles", name)
        for place, key in enumerate(role.keys):
            if key in role.keys[:place]:
                yield Problem((*path, "keys", place), f"key `{key}` is used twice in role `{name}`")
        distinct = len(set(role.keys))
        if not 1 <= role.quorum <= distinct:
            yield Problem(
                (*path, "quorum"), f"expected a quorum from 1 to the number of keys, {distinct}, got `{role.quorum}`"
            )
        for place, other in enumerate(role.independent_of):
            at = (*path, "independent_of", place)
            yield from refers(parts.names, "roles", other, at)
            if other == name:
                yield Problem(at, f"role `{name}` cannot be independent of itself")
            elif _shared(parts, name, other):
                yield Problem(at, f"role `{name}` is independent of `{other}` and yet shares a key with it")


def _assumptions(parts: Parts) -> Iterator[Problem]:
    for name, assumption in parts.assumptions.items():
        yield from refers(parts.names, "roles", assumption.stated_by, ("assumptions", name, "stated_by"))


def _thresholds(parts: Parts) -> Iterator[Problem]:
    for name, threshold in parts.thresholds.items():
        path, rule = ("thresholds", name), threshold.rule_out
        yield from refers(parts.names, "measures", threshold.measure, (*path, "reached_when"))
        yield from refers(parts.names, "roles", rule.run_by, (*path, "rule_out", "run_by"))
        if rule.margin >= threshold.level:
            yield Problem(
                (*path, "rule_out", "buffer", "margin"),
                f"threshold `{name}` could never be ruled out: expected a margin below its level "
                f"`{exact(threshold.level)}`, got `{exact(rule.margin)}`",
            )
        if "fine-tuned" in rule.elicitation and rule.demonstrations < 1:
            yield Problem(
                (*path, "rule_out", "demonstrations"),
                "elicitation `fine-tuned` needs `demonstrations`, the fewest to train on: expected at least 1, "
                f"got `{rule.demonstrations}`",
            )
    for name in sorted(parts.names.get("thresholds", frozenset()) - parts.listed):
        if "gates" in parts.names:
            yield Problem(("thresholds", name), f"threshold `{name}` stands at no gate", at_key=True)
    yield from _assumed(parts)


def _assumed(parts: Parts) -> Iterator[Problem]:
    """What the demanded elicitations take for granted must be stated, and by somebody else (DESIGN section 5)."""
    relies: dict[str, dict[str, str]] = {}  # assumption -> role that runs -> first threshold
    needed: dict[str, tuple[str, str]] = {}  # assumption -> first elicitation and threshold
    for name, threshold in parts.thresholds.items():
        for elicitation in threshold.rule_out.elicitation:
            for assumption in ASSUMED[elicitation]:
                needed.setdefault(assumption, (elicitation, name))
                relies.setdefault(assumption, {}).setdefault(threshold.rule_out.run_by, name)
    defined = parts.names.get("assumptions")
    for assumption, (demanded, name) in needed.items():
        if defined is not None and assumption not in defined:
            yield Problem(
                ("thresholds", name, "rule_out", "elicitation"),
                f"elicitation `{demanded}` takes `{assumption}` for granted, which is not defined under `assumptions`",
            )
    for assumption, runners in relies.items():
        stated = parts.assumptions.get(assumption)
        for role, name in runners.items():
            if stated is not None and _shared(parts, stated.stated_by, role):
                yield Problem(
                    ("assumptions", assumption, "stated_by"),
                    f"expected a role that shares no key with `{role}`, which runs the evaluations of threshold "
                    f"`{name}` that rely on this, got `{stated.stated_by}`",
                )


def _requirements(parts: Parts) -> Iterator[Problem]:
    for name, requirement in parts.requirements.items():
        if (name == "never") is not isinstance(requirement, Never):
            yield Problem(
                ("requirements", name),
                "`never` is built in and cannot be defined; expected another name",
                at_key=True,
            )
        if isinstance(requirement, Attested):
            yield from refers(parts.names, "roles", requirement.by, ("requirements", name, "by"))
        elif isinstance(requirement, Hole):
            yield from refers(parts.names, "roles", requirement.owner, ("requirements", name, "owner"))


def _gates(parts: Parts) -> Iterator[Problem]:
    known = parts.names.get("gates")
    for action in STANDARD_ACTIONS:
        if known is not None and action not in known:
            yield Problem(("gates",), f"expected a gate for `{action}`, got none{suggest(action, known)}", at_key=True)
    for action, cells in parts.gates.items():
        path = ("gates", action)
        if not cells:
            yield Problem(path, f"expected at least one threshold at gate `{action}`, got none")
        for threshold, needed in cells.items():
            yield from refers(parts.names, "thresholds", threshold, (*path, threshold), at_key=True)
            if not needed:
                yield Problem((*path, threshold), "expected at least one requirement, got an empty cell")
            for twice in (name for name, count in Counter(needed).items() if count > 1):
                yield Problem((*path, threshold), f"requirement `{twice}` is listed twice")
            for place, name in enumerate(needed):
                yield from refers(parts.names, "requirements", name, (*path, threshold, place))
