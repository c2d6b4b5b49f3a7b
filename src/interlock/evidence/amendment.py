"""From one version of a policy to the next, by TUF's rule for its root (TUF specification, section 5.3).

Guarantees, of every version after the first: it names the latest one by digest, so that none is skipped, put back or
forked; it is of the same policy, under a version above all that were there; the quorums that approve amendments signed
it, as the version before has them and as it has them itself; no two roles that are kept apart have ever had a key in
common, in whatever versions; it takes effect neither before the version that it follows nor before the notice that
every version promises which is in force, or is to be, when the ledger takes it in; and where one of these is frozen
while a threshold is reached, and one is, or what a plan reported leaves one not ruled out, it only tightens.
docs/adr/0021 says why.

Whatever a version says of when it takes effect, it never does before its notice is over: how long a publication takes
changes when, and never whether, an amendment counts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.decide.facts import Version
from interlock.evidence import canonical
from interlock.evidence.roles import Electorate, in_force, key_ids
from interlock.policy._scalar import numbers
from interlock.policy._structure.parts import parts_of
from interlock.policy._structure.rules import assumed_by
from interlock.policy.compile import from_json
from interlock.policy.model import Measured, Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from interlock.decide.decision import Finding, Node
    from interlock.decide.facts import Facts
    from interlock.decide.line import Line
    from interlock.decide.view import View
    from interlock.evidence.testimony import Said
    from interlock.policy._structure.parts import Parts
    from interlock.policy.model import Measure, Policy, RuleOut


def amended(said: Said, versions: Sequence[Version], facts: Callable[[], Facts]) -> Version:
    """The version that an amendment makes. `facts` is all that the ledger says before it.

    Raises:
        EvidenceError: it breaks one of the rules above, or is malformed.
    """
    fields, latest = said.fields(), versions[-1]
    compiled, supersedes = fields.take("policy"), fields.digest("supersedes")
    fields.text("changes")
    said.dated(fields)
    fields.done()
    policy = from_json(compiled)
    digest = hashlib.sha256(canonical.dumps(compiled)).hexdigest()
    if said.about != digest:
        raise said.wrong(f"about policy {said.about[:12]}, expected {digest[:12]} by its bytes")
    if supersedes != latest.digest:
        raise said.wrong(f"supersedes policy {supersedes[:12]}, expected the latest version, {latest.digest[:12]}")
    problem = next(misfits([it.policy for it in versions], policy), None)
    if problem is not None:
        raise said.wrong(problem)
    for version in (latest, Version(policy, digest, policy.effective)):
        _check_approved(said, version)
    frozen = hindrance(versions, policy, facts(), said.at)
    if frozen is not None:
        raise said.wrong(frozen)
    since = max(policy.effective, latest.since, noticed(versions, said.at))
    return Version(policy, digest, since, said.at, said.entry)


def misfits(versions: Sequence[Policy], policy: Policy) -> Iterator[str]:
    """Why a policy cannot be the next version of another, whoever signs it."""
    latest = versions[-1]
    if policy.id != latest.id:
        yield f"amends `{latest.id}` by `{policy.id}`, expected the same policy"
    highest = max((it.version for it in versions), key=numbers)
    if numbers(policy.version) in {numbers(it.version) for it in versions}:
        yield f"version `{policy.version}` was there before, expected one with numbers that no version had"
    elif numbers(policy.version) < numbers(highest):
        yield f"version `{policy.version}` is below `{highest}`, expected one above all that were there"
    if policy.supersedes not in {"", latest.version}:
        yield f"supersedes version `{policy.supersedes}`, expected `{latest.version}`"
    if policy.effective < latest.effective:
        yield f"effective {timestamp(policy.effective)}, expected {timestamp(latest.effective)} or later"
    if not policy.amendments.approved_by:
        yield "names nobody who approves amendments"
    yield from _dependent([*versions, policy])


def _dependent(versions: Sequence[Policy]) -> Iterator[str]:
    """A key that goes from one role to another that is kept apart from it would sign for both."""
    held: dict[str, dict[str, str]] = {}
    for version in versions:
        for role in version.roles.values():
            for key in sorted(key_ids(role.keys)):
                held.setdefault(role.name, {}).setdefault(key, version.version)
    for name, other, why in _kept_apart(versions):
        ours, theirs = held.get(name, {}), held.get(other, {})
        for key in ours:
            if key in theirs:
                yield f"role `{name}` {why}, and has a key that version {theirs[key]} gave to that"


def _kept_apart(versions: Sequence[Policy]) -> Iterator[tuple[str, str, str]]:
    """Two roles that no one may be both of, and why: as a version says, or because nobody vouches for their own
    evaluations, nor sets them aside.

    Who runs evaluations under any version is apart from the independent role of every one: a result stays, whoever
    runs the next. Who vouches for an assumption is apart from whom its version asks to run what relies on it.
    """
    rules = [rule for version in versions for rule in _rules(version)]
    runners = dict.fromkeys(rule.run_by for _, _, rule in rules)
    for version in versions:
        for role in version.roles.values():
            for other in role.independent_of:
                yield role.name, other, f"is independent of `{other}`"
        for runner in runners:
            yield version.independent, runner, f"is independent of the evaluations of `{runner}`"
    for parts, owner, rule in rules:
        for name in assumed_by(parts, owner):
            why = f"vouches for `{name}` in the evaluations of `{rule.run_by}`"
            yield parts.assumptions[name].by, rule.run_by, why


def _rules(version: Policy) -> Iterator[tuple[Parts, Threshold | Measured, RuleOut]]:
    """How evaluations must be run for each threshold and measured requirement of a version that has any."""
    parts = parts_of(version)
    for owner in (*version.thresholds.values(), *version.requirements.values()):
        if isinstance(owner, (Threshold, Measured)) and owner.rule_out is not None:
            yield parts, owner, owner.rule_out


def _check_approved(said: Said, version: Version) -> None:
    """Check that every role which approves amendments signed, as a version itself has these roles."""
    signers, _ = Electorate().after(version).signed(said.envelope, said.at)
    for role in version.policy.amendments.approved_by:
        if role not in signers:
            raise said.wrong(f"not signed by `{role}` as version {version.policy.version} has it")


def noticed(versions: Sequence[Version], at: datetime) -> datetime:
    """When the longest notice is over that an amendment of this moment must keep."""
    notices = (version.policy.amendments.notice for version in in_force(versions, at))
    return max([at, *(notice.after(at) for notice in notices if notice is not None)])


def hindrance(versions: Sequence[Version], policy: Policy, facts: Facts, at: datetime) -> str | None:
    """Why a policy cannot be the next version as long as a threshold is reached, or nearly; None: it can."""
    from interlock.policy.tighter import loosened

    if not any(version.policy.amendments.frozen_while_reached for version in in_force(versions, at)):
        return None
    looser = loosened([version.policy for version in versions], policy)
    found = freezing(versions, facts) if looser else None
    if found is None:
        return None
    return f"{found}, and amendments are frozen but for what only tightens: {'; '.join(looser[:5])}"


def freezing(versions: Sequence[Version], facts: Facts) -> str | None:
    """One threshold that a subject has reached under a version that is in force or is to be, or that its evaluation
    leaves not ruled out there; None: there is none.

    It does not depend on when it is asked: what is positive stays so on the subject that it was found on, and a bound
    that is not under a level goes with its result alone.
    """
    from interlock.decide.clock import Clock
    from interlock.decide.finding import find
    from interlock.decide.index import Index
    from interlock.decide.rule import in_order
    from interlock.decide.view import Case, View

    at, ordered, index = facts.checkpoint.time, in_order(versions), Index(facts)
    missed: str | None = None
    for place in range(len(ordered) - len(in_force(ordered, at)), len(ordered)):
        case = Case(ordered[: place + 1], index, "", Clock(at))
        for subject in facts.subjects.values():
            offered = [it.digest for it in facts.deployments.values() if it.subject == subject.digest]
            for deployment in (None, *offered):
                view = View(case, place, ordered[0].entered, subject.digest, deployment)
                for name in ordered[place].policy.thresholds:
                    if (finding := find(view, name)).state == "reached":
                        return f"`{subject.name}` has reached `{name}`"
                    if missed is None and _missed(view, finding):
                        missed = f"`{subject.name}` was evaluated, and `{name}` is not ruled out"
    return missed


def _missed(view: View, finding: Finding) -> bool:
    """Whether a threshold is not ruled out by what was reported in full: a bound of its own is not under its level.

    Not: that something is missing, stale, or not vouched for. And whatever is still open, or was withdrawn: no later
    report takes a bound back.
    """
    if finding.state != "not ruled out":
        return False
    against = {node.text for node in _own(finding.tree) if any(it.code == "bound" for it in node.reasons)}
    lines = _lines(view.case.versions, finding.threshold) if against else ()
    return any(line.text in against and all(_whole(view, it, line) for it, _ in line.bases) for line in lines)


def _own(node: Node) -> Iterator[Node]:
    """The parts of a threshold's own expression; those of others, which it refers to or leans on, are theirs."""
    yield node
    for part in node.parts:
        if part.kind not in {"below-if", "ref"}:
            yield from _own(part)


def _lines(versions: Sequence[Version], name: str) -> Iterator[Line]:
    """Every level of a threshold, of whatever version: what an earlier one has seen is held against it, too."""
    from interlock.decide.line import draw, leaves

    for number, version in enumerate(versions):
        threshold = version.policy.thresholds.get(name)
        if threshold is not None and threshold.rule_out is not None:
            for at in leaves(threshold):
                yield draw(number, version.policy, ("thresholds", name), at, threshold.rule_out)


def _whole(view: View, measure: Measure, line: Line) -> bool:
    """Whether a plan of a measure was reported in full, by all who signed it, and the report counts."""
    return any(
        it.plan is not None
        and set() < it.plan.signers <= it.signers
        and it.scored >= line.rule.coverage * it.protocol.samples
        for it in view.counting(measure, view.subject)
    )
