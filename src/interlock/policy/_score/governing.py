"""Questions about risk, and about who decides, who is told, and how the policy changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from interlock.policy._lint.view import listing
from interlock.policy._score.answer import Answer, each, in_part, met, missing
from interlock.policy.model import BINDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.policy._score.asked import Asked
    from interlock.policy.model import ThreatModel


# -- risk


def modelled(asked: Asked) -> Answer:
    """Whether each threshold on a capability belongs to a threat model, or its domain does."""
    models = asked.policy.context.threat_models
    by_domain: dict[str, list[str]] = {}
    for name, it in models.items():
        by_domain.setdefault(it.domain, []).append(name)
    judged = asked.judged(asked.thresholds())
    found = [it for it in asked.thresholds() if it.name in judged or asked.numbered(it.reached_when)]
    linked = [(it.name, [*it.threat_models, *by_domain.get(it.domain, [])]) for it in found]
    return each(
        ((name, [f"threat_models.{model}" for model in own]) for name, own in linked),
        lacks="no threat model stands behind {names}",
        none="no threshold on a capability gates",
    )


def tolerance(asked: Asked, says: Callable[[ThreatModel], bool], lacks: str) -> Answer:
    """Whether each threat model says something."""
    found = asked.policy.context.threat_models.items()
    return each(
        ((name, [f"threat_models.{name}"] if says(it) else []) for name, it in found),
        lacks=lacks,
        none="there is no threat model",
    )


in_words = partial(tolerance, says=lambda it: bool(it.harm), lacks="no `harm` is named for {names}")
in_scenarios = partial(
    tolerance, says=lambda it: it.probability is not None, lacks="no `probability` is tolerated for {names}"
)
in_numbers = partial(
    tolerance,
    says=lambda it: it.probability is not None and it.horizon is not None and any(map(str.isdigit, it.harm)),
    lacks="no `probability` with a `horizon` and a number in its `harm` is tolerated for {names}",
)


# -- who is told


def escalation(asked: Asked) -> Answer:
    """Whether somebody is told of a hold, within a time."""
    told = [
        (f"on_hold.{cause}.{index}", it)
        for cause, responses in asked.policy.on_hold.items()
        for index, it in enumerate(responses)
        if it.notify and it.modality in BINDING
    ]
    timed = [path for path, it in told if it.within is not None]
    if timed:
        return met(timed)
    return in_part([path for path, _ in told], "within no time") if told else missing("nobody is told of a hold")


def oversight(asked: Asked) -> Answer:
    """Whether those who approve changes are told when something holds."""
    policy, board = asked.policy, set(asked.policy.amendments.approved_by)
    told = [
        f"on_hold.{cause}.{index}"
        for cause, responses in policy.on_hold.items()
        for index, it in enumerate(responses)
        if board & set(it.notify) and it.modality in BINDING
    ]
    told += [f"duties.{name}" for name, it in policy.duties.items() if board & set(it.notify) and _binds(it.modality)]
    if told:
        return met(told)
    reported = [f"reports.{name}" for name, it in policy.context.reports.items() if board & set(it.audience)]
    who = listing(sorted(board))
    return (
        in_part(reported, f"{who} gets a report, and is told of no hold")
        if reported
        else missing(f"{who}, who approves changes, is told of nothing")
    )


def _binds(modality: str) -> bool:
    return modality in BINDING


def public(asked: Asked) -> Answer:
    """Whether there is a report for everybody."""
    reports = asked.policy.context.reports
    shown = [f"reports.{name}" for name, it in reports.items() if "public" in it.audience]
    if shown:
        return met(shown)
    inside = [f"reports.{name}" for name in reports]
    return in_part(inside, "no report has the `public` as its audience") if inside else missing("there is no report")


def speak_up(asked: Asked) -> Answer:
    """Whether somebody can report anonymously to more than one role that the policy is not kept."""
    channels = asked.policy.context.channels
    full = [f"channels.{name}" for name, it in channels.items() if it.anonymous and len(it.to) > 1]
    if full:
        return met(full)
    part = [f"channels.{name}" for name in channels]
    return in_part(part, "none is both anonymous and to more than one role") if part else missing("there is no channel")


def incidents_shared(asked: Asked) -> Answer:
    """Whether incidents are reported by a time to somebody outside."""
    started = {name: it for name, it in asked.policy.duties.items() if it.start.on == "incident"}
    timed = {name: it for name, it in started.items() if it.within is not None and _binds(it.modality)}
    shared = [f"duties.{name}" for name, it in timed.items() if it.regime or it.report or it.notify]
    if shared:
        return met(shared)
    part = [f"duties.{name}" for name in started] or [f"incidents.{name}" for name in asked.policy.context.incidents]
    return (
        in_part(part, "no binding duty reports an incident by a time")
        if part
        else missing("no duty starts with an incident")
    )


# -- how it changes


def notice(asked: Asked) -> Answer:
    """Whether changes are published before they take effect."""
    if asked.policy.amendments.notice is None:
        return missing("a change takes effect without having been published (`notice`)")
    return met(["amendments.notice"])


def changelog(asked: Asked) -> Answer:
    """Whether each change says what it changes."""
    if not asked.policy.amendments.changelog_required:
        return missing("no `changelog` goes with a change")
    return met(["amendments.changelog"])


def consulted(asked: Asked) -> Answer:
    """Whether somebody is consulted on changes."""
    who = asked.policy.amendments.consulted
    return met(["amendments.consulted"]) if who else missing("nobody is `consulted` on changes")
