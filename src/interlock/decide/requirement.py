"""Requirements: what has been shown beside a threshold (docs/semantics.md, rules 29 to 34).

Each becomes a `Node` of the explanation, which holds if the requirement is met.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from interlock.decide.decision import Held, Node, Reason, Requirement, finding_digest, timestamp
from interlock.decide.facts import BEGINNING
from interlock.decide.finding import find
from interlock.decide.leaf import demanded, not_under, reading
from interlock.decide.line import plain
from interlock.decide.view import Sought, least
from interlock.policy import exact
from interlock.policy.model import Approved, At, Attested, Combined, Defined, Hole, Measured, Never, RuledOut
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from fractions import Fraction

    from interlock.decide.decision import Finding, State
    from interlock.decide.facts import Attestation
    from interlock.decide.line import Line
    from interlock.decide.view import Section, View
    from interlock.policy.model import ExceptionRule, Policy, RuleOut, Threshold
    from interlock.policy.model import Requirement as AnyRequirement


def require(view: View, names: Sequence[str], finding: Finding) -> tuple[Requirement, ...]:
    """What stands beside a finding in one cell, met or not."""
    threshold = view.policy.thresholds[finding.threshold]
    closed = any(_never_met(view, name, threshold) for name in names)
    found = []
    for name in names:
        tree = _Requirements(view, finding, exceptions=not closed).node(name)
        found.append(Requirement(name, _kind(view, name), tree.holds, tree))
    return tuple(found)


def attestations(view: View, rule: Attested) -> list[tuple[Attestation, datetime]]:
    """The attestations that meet a requirement, and until when each does (rule 29)."""
    if rule.about == "deployment" and view.deployment is None:
        return []
    about = {"subject": view.subject, "deployment": view.deployment, "developer": None}[rule.about]
    since = incident_against(view, rule.name)
    return [
        (said, expires)
        for said in view.index.attestations.get(rule.name, ())
        if rule.by in said.signers
        and said.about == about
        and said.digest not in view.index.withdrawn
        and _on_these_words(view, rule, said.at)
        and (since is None or said.at > since)
        and not view.passed(expires := rule.fresh_for.after(said.at))
    ]


def _on_these_words(view: View, rule: Attested | Approved, moment: datetime) -> bool:
    """Whether a word of that moment counts, and was given when the requirement asked for the same in the same words."""
    if not view.counts_from("requirements", rule.name, moment):
        return False
    past = view.at(moment).requirements[rule.name]
    if not isinstance(past, (Attested, Approved)) or type(past) is not type(rule):
        return False
    standards = {getattr(it, "standard", "") for it in (past, rule)}
    return (past.what, past.about) == (rule.what, rule.about) and len(standards) == 1


def incident_against(view: View, name: str) -> datetime | None:
    """When the last incident against a requirement was, or against anything that rests on it (rule 34)."""
    naming = [it for it in view.index.incidents if it.requirements]
    named = resting_on(view.policy, name) if naming else set()
    against = (it for it in naming if it.requirements & named)
    return max((it.at for it in against if it.subject is None or it.subject in view.kin(it.at)), default=None)


def resting_on(policy: Policy, name: str) -> set[str]:
    """The requirement, all that are combined of it, and all for which it stands in, however far."""
    found = {name}
    while True:
        combined = {it.name for it in policy.requirements.values() if isinstance(it, Combined) and found & {*it.of}}
        avoided = {one for rule in policy.exceptions.values() if found & {*rule.requires} for one in rule.instead_of}
        if combined | avoided <= found:
            return found
        found |= combined | avoided


def _kind(view: View, name: str) -> str:
    rule = view.policy.requirements[name]
    return "ruled-out" if isinstance(rule, RuledOut) else type(rule).__name__.lower()


def _never_met(view: View, name: str, threshold: Threshold) -> bool:
    """Whether a requirement, however deep, is a hole or `never`: no exception opens its cell."""
    rule = view.policy.requirements[name]
    if isinstance(rule, (Hole, Never)) or _badly_filled(view, rule, threshold):
        return True
    return isinstance(rule, Combined) and any(_never_met(view, part, threshold) for part in rule.of)


def _badly_filled(view: View, rule: AnyRequirement, threshold: Threshold) -> bool:
    """Whether a hole of an earlier version was filled, at takeover level, by anything but an understanding that is
    measured (rule 32).
    """
    past = (version.policy.requirements.get(rule.name) for version in view.case.versions[: view.current])
    if not threshold.takeover_potential or not any(isinstance(it, Hole) for it in past):
        return False
    bases = plain(view.policy, rule.measure) if isinstance(rule, Measured) else ()
    return not bases or any(measure.kind != "understanding" for measure, _ in bases)


class _Requirements:
    """The requirements of one cell. `exceptions`: whether an approved way round may stand in for one."""

    def __init__(self, view: View, finding: Finding, *, exceptions: bool) -> None:
        self.view, self.finding, self.exceptions = view, finding, exceptions

    def node(self, name: str) -> Node:
        """Whether the requirement is met, by itself or by an exception (rule 33)."""
        after = incident_against(self.view, name)
        own = self._own(name, after)
        rules = [rule for rule in self.view.policy.exceptions.values() if name in rule.instead_of]
        ways = [own, *(self._exception(rule, after) for rule in rules if self.exceptions)]
        if len(ways) == 1:
            return own
        best = max((way for way in ways if way.holds), key=_lasting, default=None)
        if best is None:
            return Node("either", name, holds=False, parts=tuple(ways), need=1)
        return Node("either", name, holds=True, parts=tuple(ways), need=1, expires=best.expires, reach=best.reach)

    def _own(self, name: str, after: datetime | None) -> Node:  # noqa: PLR0911  one line a kind
        rule = self.view.policy.requirements[name]
        if _badly_filled(self.view, rule, self.view.policy.thresholds[self.finding.threshold]):
            text = f"`{name}` was a hole; at takeover level only a measured understanding fills it"
            return Node("hole", name, holds=False, reasons=(Reason("hole", text),))
        if isinstance(rule, Attested):
            return self._attested(rule, after)
        if isinstance(rule, Approved):
            return self._approved(rule, after)
        if isinstance(rule, Measured):
            return self._measured(rule, after)
        if isinstance(rule, (Defined, RuledOut)):
            return self._known(rule, after)
        if isinstance(rule, Combined):
            return self._combined(rule)
        if isinstance(rule, Hole):
            text = f"`{name}` is a hole: {rule.what} (owner `{rule.owner}`)"
            return Node("hole", name, holds=False, reasons=(Reason("hole", text),))
        return Node("never", name, holds=False, reasons=(Reason("never", "the policy says never"),))

    # -- by a role's word ----------------------------------------------------------------------------------------------

    def _attested(self, rule: Attested, after: datetime | None) -> Node:
        until = max((expires for _, expires in attestations(self.view, rule)), default=None)
        if until is not None:
            text = f"`{rule.name}` is attested by `{rule.by}` until {timestamp(until)}"
            return Node("attested", rule.name, holds=True, reasons=(Reason("attested", text),), expires=until)
        resume = f"`{rule.by}` attests it: interlock attest --requirement {rule.name} {self._about(rule.about)}"
        text = f"`{rule.name}` ({rule.what}) is not attested by `{rule.by}`{_since(after)}"
        return Node("attested", rule.name, holds=False, reasons=(Reason("not-attested", text, resume),))

    def _approved(self, rule: Approved, after: datetime | None) -> Node:
        view = self.view
        about = {"subject": view.subject, "deployment": view.deployment, "developer": None}[rule.about]
        nobody = rule.about == "deployment" and view.deployment is None
        saw, worst = saw_finding(view, self.finding, self.finding.state), saw_finding(view, self.finding, "reached")
        free = self.finding.state == "not ruled out"
        silent = view.silent()
        hidden = view.blocking(silent)
        until = (
            []
            if hidden
            else [
                expires if worst in said.findings else min(expires, self.finding.unreached)
                for said in view.index.approvals.get(rule.name, ())
                if not nobody
                and rule.by in said.signers
                and said.about == about
                and (saw in said.findings or (free and worst in said.findings))
                and said.digest not in view.index.withdrawn
                and _on_these_words(view, rule, said.at)
                and (after is None or said.at > after)
                and not view.passed(expires := rule.fresh_for.after(said.at))
            ]
        )
        if until:
            ends = min([max(until), *(view.due(plan) for plan in silent)])
            text = f"`{rule.name}` is approved by `{rule.by}` until {timestamp(ends)}"
            return Node("approved", rule.name, holds=True, reasons=(Reason("approved", text),), expires=ends)
        resume = f"`{rule.by}` approves what stands now: interlock approve {rule.name} {self._about(rule.about)}"
        text = f"`{rule.name}` ({rule.what}) is not approved by `{rule.by}` on these findings{_since(after)}"
        return Node("approved", rule.name, holds=False, reasons=(Reason("not-approved", text, resume), *hidden))

    def _about(self, about: str) -> str:
        if about == "developer":
            return "--about developer"
        return f"--subject {self.view.model.name}" if about == "subject" else "--deployment NAME"

    # -- by evaluation, by definition ----------------------------------------------------------------------------------

    def _measured(self, rule: Measured, after: datetime | None) -> Node:
        """Rule 31: like a leaf that is below, of the subject's own results and without kin."""
        view, rule_out = self.view, rule.rule_out
        owner: tuple[Section, str] = ("requirements", rule.name)
        own, alpha = view.own_line(owner, At(rule.measure, rule.level), rule_out), 1 - rule_out.confidence
        reasons, held, shown = list[Reason](), Held(LATEST, None), []
        margin, _ = view.margin(own, rule.measure)
        ours = partial(view.counting, subject=view.subject)
        for measure, _ in own.bases:
            sought = Sought(owner, rule_out, measure, (view.subject,), after)
            against, more = demanded(view, sought, multiple=_multiple(rule_out))
            reasons += [reason for reason in against if reason not in reasons]
            held = Held(min(held.expires, more.expires), least([held.reach, more.reach]))
            share, told = alpha / len(own.bases), ours(measure)
            shown.append(reading(view, sought, told, level=rule.level, margin=margin, alpha=share))
        earlier = self._earlier(rule)
        lines = [*earlier, own]
        against, until = not_under(view, lines, ours, lambda line: 1 - line.rule.confidence)
        against += [reason for line in lines for reason in self._shown_nearby(line)]
        plans = [plan for line in earlier for base, _ in line.bases for plan in view.open_plans(base, owner)]
        against += [reason for reason in view.blocking(plans) if reason not in reasons]
        reasons = reasons + list(dict.fromkeys(against))
        expires = min([held.expires, until, *(view.due(plan) for plan in plans)])
        text = f"{rule.measure} {'>=' if own.bases[0][0].danger == 'lower' else '<='} {exact(rule.level)}"
        found = Node(
            "measured",
            text,
            holds=not reasons,
            reasons=tuple(reasons),
            parts=() if own.plain else tuple(Node("measure", it.measure, holds=True, reading=it) for it in shown),
            reading=shown[0] if own.plain else None,
        )
        if reasons:
            return found
        reason = Reason("measured", f"`{rule.name}` is shown: {text}, until {timestamp(expires)}")
        return replace(found, reasons=(reason,), expires=expires, reach=held.reach)

    def _earlier(self, rule: Measured) -> list[Line]:
        view, found = self.view, []
        for place in range(view.current):
            past = view.case.versions[place].policy.requirements.get(rule.name)
            if isinstance(past, Measured):
                at = At(past.measure, past.level)
                found.append(view.line(place, ("requirements", rule.name), at, past.rule_out))
        return found

    def _shown_nearby(self, line: Line) -> Iterator[Reason]:
        """What was made of the subject at little cost shows the level: then the subject does, too."""
        view, alpha = self.view, 1 - line.rule.confidence
        share = view.case.versions[line.version].policy.attacker_budget
        for source in view.index.cheap(view.subject, share):
            if view.at_level(line, [source], alpha):
                text = (
                    f"{view.name(source)}, made from it at little cost, shows {line.measure} at {exact(line.written)}"
                )
                yield Reason("reached-derivative", text)

    def _known(self, rule: Defined | RuledOut, after: datetime | None) -> Node:
        """Whether a threshold is defined, or below; never again once an incident was against it (rules 32 and 34)."""
        kind = "defined" if isinstance(rule, Defined) else "ruled-out"
        if after is not None:
            reason = Reason("incident-against", f"an incident is against `{rule.name}`{_since(after)}")
            return Node(kind, rule.name, holds=False, reasons=(reason,))
        if isinstance(rule, RuledOut):
            tree = find(self.view, rule.threshold).tree
            if not tree.holds:
                return Node(kind, rule.name, holds=False, parts=(tree,), need=1)
            reason = Reason(kind, f"`{rule.threshold}` is ruled out until {timestamp(tree.expires)}")
            return Node(kind, rule.name, True, None, (reason,), (tree,), expires=tree.expires, reach=tree.reach)  # noqa: FBT003
        threshold = self.view.policy.thresholds.get(rule.threshold)
        if threshold is not None and not threshold.hole:
            return Node(kind, rule.name, holds=True, reasons=(Reason(kind, f"`{rule.threshold}` is defined"),))
        reason = Reason("undefined", f"`{rule.threshold}` is not defined yet; an amendment has to")
        return Node(kind, rule.name, holds=False, reasons=(reason,))

    def _combined(self, rule: Combined) -> Node:
        parts = tuple(self.node(name) for name in rule.of)
        met = sorted((part for part in parts if part.holds), key=lambda part: part.expires, reverse=True)[: rule.count]
        holds = 0 < rule.count == len(met)
        word = {1: "any of", len(parts): "all of"}.get(rule.count, f"at least {rule.count} of")
        text = f"{rule.claim + ': ' if rule.claim else ''}{word} {', '.join(rule.of)}"
        found = Node("combined", text, holds, parts=parts, need=rule.count)
        if not holds:
            return found
        return replace(found, expires=min(part.expires for part in met), reach=least(part.reach for part in met))

    # -- exceptions ----------------------------------------------------------------------------------------------------

    def _exception(self, rule: ExceptionRule, after: datetime | None) -> Node:
        """An approved, published, ending way round (rule 33)."""
        view = self.view
        ends = [
            end
            for said in view.index.facts.amendments
            if said.exception == rule.name
            and said.published.strip()
            and rule.approved_by
            and said.signers.issuperset(rule.approved_by)
            and said.subject in {None, view.subject}
            and said.digest not in view.index.withdrawn
            and view.counts_from("exceptions", rule.name, said.at)
            and (after is None or said.at > after)
            and not view.passed(end := min([rule.lasts.after(said.at), *([rule.until] if rule.until else [])]))
        ]
        inner = _Requirements(view, self.finding, exceptions=False)
        parts = tuple(inner.node(name) for name in rule.requires)
        text = f"{rule.kind} exception `{rule.name}`"
        reasons = []
        if not ends:
            who = " and ".join(f"`{role}`" for role in rule.approved_by)
            resume = f"{who} approve and publish the exception `{rule.name}`"
            reasons.append(Reason("exception-closed", f"{text} is not open{_since(after)}", resume))
        holds = bool(ends) and bool(parts) and all(part.holds for part in parts)
        found = Node("exception", text, holds, reasons=tuple(reasons), parts=parts, need=len(parts))
        if not holds:
            return found
        expires = min([max(ends), *(part.expires for part in parts)])
        return replace(found, expires=expires, reach=least(part.reach for part in parts))


def saw_finding(view: View, finding: Finding, state: State) -> str:
    """The digest of a finding as an approval sees it, in a state (rule 30)."""
    index, kin = view.index, view.kin(BEGINNING)
    told = [r.digest for one in kin for r in index.on_subject.get(one, ())]
    told += [it.digest for it in index.incidents if it.subject is None or it.subject in kin]
    told += [it.digest for it in index.judgements.get(finding.threshold, ()) if it.subject in kin]
    seen = set(told)
    told += [it.digest for it in index.facts.withdrawals if it.of in seen]
    told += [it.digest for it in index.facts.set_asides if it.of in seen]
    where = {"policy": view.policy.id, "threshold": finding.threshold, "subject": view.subject}
    return finding_digest(where, state, told)


def _multiple(rule: RuleOut) -> Fraction:
    """How far an evaluation of a measured requirement reaches (rule 18). Without a buffer its multiple is 1."""
    own = rule.buffer.multiple
    return min(rule.refresh.multiple, own) if own > 1 else rule.refresh.multiple


def _lasting(node: Node) -> tuple[datetime, Fraction | float]:
    """What lasts longest, and of that what reaches furthest."""
    return node.expires, inf if node.reach is None else node.reach


def _since(after: datetime | None) -> str:
    return f" since the incident of {timestamp(after)}" if after else ""
