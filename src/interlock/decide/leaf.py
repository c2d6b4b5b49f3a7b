"""One measure at one level: what its results show, on the subject and its kin; and parts taken together
(docs/semantics.md, rules 5 to 9, 18, 21 and 24).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.assumption import assumed, certified
from interlock.decide.decision import Certified, Counted, Held, Node, Reading, Reason, State
from interlock.decide.facts import UNKNOWN
from interlock.decide.one_result import scale, start, tally
from interlock.decide.view import Sought, least
from interlock.policy import exact
from interlock.policy.model import Demand, UnderReference, UnderScreen
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from interlock.decide.assumption import Tried
    from interlock.decide.facts import Result
    from interlock.decide.line import Line
    from interlock.decide.view import Results, View
    from interlock.policy.model import AtLeast, Measure, Threshold

ONE = Fraction(1)


class Leaf:
    """A measure at its level, under the version that drew the line (rules 5 to 8 and 21). `excused` fills with the
    moments at which positive evidence on a relative stops being answered.
    """

    def __init__(self, view: View, line: Line) -> None:
        self.view, self.line, self.rule = view, line, line.rule
        self.alpha = 1 - line.rule.confidence
        self.excused: list[datetime] = []

    def reached(self) -> list[Reason]:
        """Positive evidence on the subject itself or its kin, as far as the line's version has seen it."""
        view, level = self.view, self.line.text
        share = view.case.versions[self.line.version].policy.attacker_budget
        if self.positive(view.subject):
            return [Reason("reached", f"evidence shows {level}")]
        for source in view.index.cheap(view.subject, share):
            if self.positive(source):
                return [
                    Reason("reached-derivative", f"{view.name(source)}, made from it at little cost, shows {level}")
                ]
        if view.case.action == "scale":
            for source in sorted(view.index.onward(view.subject, share)):
                if self.positive(source):
                    return [
                        Reason("reached-onward", f"{view.name(source)}, to which scaling it has led, shows {level}")
                    ]
        ancestors = view.index.ancestors(view.subject)
        for forebear in sorted(view.index.forebears(view.subject, share)):
            before = f"its {'ancestor' if forebear in ancestors else 'earlier state'} {view.name(forebear)}"
            for source in (forebear, *view.index.cheap(forebear, share)):
                if self.positive(source) and not self.repeated(source):  # the subject itself is not, as was seen
                    if source == forebear:
                        return [Reason("reached-ancestor", f"{before} shows {level}")]
                    made = f"{view.name(source)}, made from {before} at little cost"
                    return [Reason("reached-derivative", f"{made}, shows {level}")]
        return []

    def positive(self, subject: str) -> bool:
        """Whether the results on a subject are at the level (rule 8)."""
        return self.view.at_level(self.line, [subject], self.alpha)

    def repeated(self, source: str) -> bool:
        """Whether the subject has run again, in vain, everything that was positive on a relative (rule 21)."""
        answers = [
            self.answered(result, measure)
            for measure, _ in self.line.bases
            for result in self.view.concerned(self.line, self.view.counting(measure, source))
            if not self.line.plain or ((found := tally(result, measure)) and found.shows(self.line.level, self.alpha))
        ]
        until = [moment for moment in answers if moment is not None]
        if len(until) < len(answers):
            return False
        self.excused.append(min(until))
        return True

    def answered(self, result: Result, measure: Measure) -> datetime | None:
        """Until when the subject's own results repeat one of a relative's: no weaker, and by the independent role of
        every version that has seen it, as for setting it aside.
        """
        view, protocol = self.view, result.protocol
        roles = {policy.independent for policy in view.witnesses(start(result))}
        if "" in roles:
            return None
        demand = Demand(
            "fine-tuned",
            demonstrations=protocol.demonstrations,
            flop=result.flop,
            attempts=protocol.attempts,
            tools=protocol.tools,
            safety_ablated=protocol.safety_ablated,
            refusals=min((it.refusals for it in self.rule.elicitation), default=ONE),
        )
        sought = self.sought(measure, (view.subject,))
        found = [
            view.expiry(own, self.rule.refresh, self.rule.buffer)
            for own in view.index.results.get((measure.task, view.subject), ())
            if own.plan is not None
            and own.plan.at > result.at
            and own.units >= result.units
            and all(view.is_sound(own, sought, demand, run_by=role) for role in roles)
        ]
        return max(found, default=None)

    def sought(self, measure: Measure, subjects: tuple[str, ...]) -> Sought:
        """What is looked for of one of its measures."""
        return Sought(self.line.owner, self.rule, measure, subjects)

    def node(self, state: State, reasons: list[Reason], held: Held, alpha: Fraction) -> Node:
        """The leaf's place in the explanation, with its readings at `alpha`."""
        view, line = self.view, self.line
        subjects, share = view.counted(view.policy.attacker_budget), alpha / len(line.bases)
        margin, _ = view.margin(line, line.measure)
        readings = [
            reading(view, self.sought(m, subjects), view.ruling_out(m), level=line.written, margin=margin, alpha=share)
            for m, _ in line.bases
        ]
        parts = [Node("measure", it.measure, holds=True, reading=it) for it in readings] if not line.plain else []
        return Node(
            kind="measure",
            text=line.text,
            holds=state == "below",
            state=state,
            reasons=tuple(reasons),
            parts=tuple(parts),
            reading=readings[0] if line.plain else None,
            expires=held.expires,
            reach=held.reach,
        )


def at_least(expr: AtLeast, parts: list[Node]) -> Node:
    """A combination of parts (rule 24): it holds as long and as far as those that hold longest (rule 42)."""
    need = max(1, len(parts) - expr.count + 1)  # nothing passes by vacuity, whatever built the policy
    below = sorted((part for part in parts if part.holds), key=lambda part: part.expires, reverse=True)[:need]
    reached = [part for part in parts if part.state == "reached"]
    state: State = "reached" if len(reached) >= expr.count else "below" if len(below) == need else "not ruled out"
    holds = state == "below"
    word = {1: "any of", len(parts): "all of"}.get(expr.count, f"at least {expr.count} of")
    return Node(
        kind="at-least",
        text=f"{word} {len(parts)}" if len(parts) > 1 else "".join(part.text for part in parts),
        holds=holds,
        state=state,
        reasons=tuple(reason for part in reached for reason in part.reasons) if state == "reached" else (),
        parts=tuple(parts),
        need=need,
        expires=min(part.expires for part in below) if holds else LATEST,
        reach=least(part.reach for part in below) if holds else None,
    )


def tests(threshold: Threshold) -> int:
    """How many ways to be below rest on a test of their own: alpha is divided among them (rule 25)."""
    leaning = sum(isinstance(way, (UnderScreen, UnderReference)) for way in threshold.below_if)
    return leaning + (threshold.judged is None and threshold.reached_when is not None)


def demanded(view: View, sought: Sought, *, multiple: Fraction) -> tuple[list[Reason], Held]:
    """What is missing of a rule's demands on a measure; else until when they are met, and up to how much compute."""
    reasons: list[Reason] = []
    met: list[Held] = []
    rule = sought.rule
    if not rule.elicitation:  # nothing passes by vacuity, whatever built the policy
        reasons.append(Reason("missing-evidence", "the policy demands no elicitation at all"))
    for demand in rule.elicitation:
        found = view.satisfied(sought, demand, multiple)
        if found:
            met.append(found)
        else:
            reasons += [reason for reason in _unmet(view, sought, demand) if reason not in reasons]
    plans = view.open_plans(sought.measure, sought.owner)
    reasons += view.blocking(plans)
    expires = min([LATEST, *(it.expires for it in met), *(view.due(plan) for plan in plans)])
    return reasons, Held(expires, least(it.reach for it in met))


def _unmet(view: View, sought: Sought, demand: Demand) -> list[Reason]:
    """A demanded elicitation without a sound result, and assumptions that are not discharged for what ran."""
    measure = sought.measure
    ran: list[Tried | None] = [it for subject in sought.subjects for it in view.tried(sought, subject, demand)]
    reasons = min((_undischarged(view, sought, demand, it) for it in ran or [None]), key=len)
    if measure.on == "deployment" and view.deployment is None:
        text = f"`{measure.name}` is of a deployment, and none is asked about"
        reasons.insert(0, Reason("no-deployment", text, "name the deployment"))
    elif not any(view.sound(sought, subject, demand) for subject in sought.subjects):
        resume = f"a sound `{demand.elicitation}` result: {view.evaluate_command()}"
        reasons.insert(0, Reason("missing-evidence", _missing(view, sought, demand), resume))
    return reasons or [no_room(view)]


def no_room(view: View) -> Reason:
    """What is shown does not reach as far as the subject may be."""
    text = f"effective compute may be {view.model.ec_high} FLOP, over what the evidence reaches"
    return Reason("compute-uncertain", text)


def _undischarged(view: View, sought: Sought, demand: Demand, ran: Tried | None) -> list[Reason]:
    """The assumptions that are not discharged for results that tried so hard; None: however hard."""
    rule = sought.rule
    names = assumed(rule, sought.measure, demand)
    missing = [it for it in names if view.discharged(it, view.subject, rule.run_by, ran) is None]
    return [_not_discharged(view, name, rule.run_by, ran) for name in missing]


def _not_discharged(view: View, name: str, run_by: str, ran: Tried | None) -> Reason:
    from interlock.decide.finding import find

    rule = view.policy.assumptions.get(name)
    if rule is None:
        return Reason("assumption", f"`{name}` is not defined by the policy")
    void = [threshold for threshold in rule.void_at if not find(view, threshold).tree.holds]
    if void:
        text = f"`{name}` is void unless {' and '.join(f'`{it}`' for it in void)} is below"
        return Reason("assumption-void", text, f"rule out {', '.join(void)}")
    others = [(it.entry, own) for _, it in view.standing(name, view.subject, run_by) if (own := certified(it))]
    if ran is not None and others:
        return _not_certified(view, name, ran, others)
    word, command = "stated by", f"states it: interlock attest --assumption {name}"
    if rule.checked:
        word, command = "shown by a check of", f"checks it: interlock check-assumption {name}"
    resume = f"`{rule.by}` {command} --subject {view.model.name}"
    return Reason("assumption", f"`{name}` is not {word} `{rule.by}`", resume)


def _not_certified(view: View, name: str, ran: Tried, others: list[tuple[int, Tried]]) -> Reason:
    """What was certified is of another recipe than what ran, on more demonstrations, or of wider bounds."""
    shown = " and ".join(
        f"the recipe `{own.recipe[:12]}` on {own.demonstrations} demonstrations or more, with bounds at "
        f"{exact(own.confidence)} or more (entry {entry})"
        for entry, own in others
    )
    tried = f"`{ran.recipe[:12]}` on {ran.demonstrations}, with bounds at {exact(ran.confidence)}"
    resume = f"certify the recipe that ran, or {view.evaluate_command()} by a certified one"
    same = [own for _, own in others if own.recipe == ran.recipe != UNKNOWN]
    more = [own.demonstrations for own in same if own.confidence <= ran.confidence]
    if more:
        again = f"{view.evaluate_command()} on {min(more)} demonstrations or more"
        resume = f"{again}, or certify the recipe on {ran.demonstrations}"
    elif same:
        resume = f"certify the recipe with bounds at {exact(ran.confidence)} or less"
    return Reason("assumption", f"`{name}` is shown for results of {shown}, and what ran was {tried}", resume)


def _missing(view: View, sought: Sought, demand: Demand) -> str:
    defective = [
        f"entry {r.entry}: {'; '.join(view.defects(r, sought, demand))}"
        for subject in sought.subjects
        for r in view.index.results.get((sought.measure.task, subject), ())
        if r.protocol.elicitation == demand.elicitation
    ]
    found = f" ({' | '.join(defective)})" if defective else ""
    return f"`{demand.elicitation}` evidence missing{found}"


def not_under(
    view: View, lines: Sequence[Line], results: Results, alpha_of: Callable[[Line], Fraction]
) -> tuple[list[Reason], datetime]:
    """Rules 7, 9 and 21: the bound of every one of the results, of any age and soundness, plus the margin, is under
    every line.
    """
    reasons, expires = [], LATEST
    for line in lines:
        counted = [r for m, _ in line.bases for r in results(m)]
        if line.version < view.current and not view.concerned(line, counted):
            continue
        margin, until = view.margin(line, line.measure)
        if until is None:
            by = line.rule.buffer.forecast_by
            growth = f"while compute grows {exact(line.rule.buffer.multiple)}x"
            text = f"no fresh forecast of `{by}` says how far `{line.measure}` moves {growth}"
            reasons.append(Reason("no-forecast", text, f"`{by}` signs a forecast of `{line.measure}`"))
            continue
        expires = min(expires, until)
        alpha = alpha_of(line)
        against = view.not_under(line, results, margin, alpha)
        reasons += [Reason("bound", _too_high(view, line, result, margin, alpha)) for result in against]
    return list(dict.fromkeys(reasons)), expires


def _too_high(view: View, line: Line, result: Result, margin: Fraction, alpha: Fraction) -> str:
    measure = next(m for m, _ in line.bases if m.task == result.protocol.task)
    high = scale(measure).dangerous([tally(result, measure)], alpha / len(line.bases))
    scored = (
        f"{result.correct}/{result.units}"
        if result.total is None
        else f"total {exact(result.total)} of {result.protocol.samples}"
    )
    under = f"version {view.case.versions[line.version].policy.version}: " if line.version != view.current else ""
    turned = " (turned: more is more dangerous)" if measure.danger == "lower" else ""
    return (
        f"{under}entry {result.entry} ({result.protocol.elicitation}, {scored}, {result.scored} scored): "
        f"upper bound {exact(high)} + margin {exact(margin)} is not under {exact(line.level)}{turned}"
    )


def reading(
    view: View, sought: Sought, results: Sequence[Result], *, level: Fraction, margin: Fraction, alpha: Fraction
) -> Reading:
    """What the results say about one measure, for people."""
    rule, measure = sought.rule, sought.measure
    kind = scale(measure)
    counted = [
        Counted(
            entry=r.entry,
            elicitation=r.protocol.elicitation,
            demonstrations=r.protocol.demonstrations,
            planned=r.protocol.samples,
            stopped_at=r.stopped_at if r.sequential else None,
            scored=r.scored,
            correct=r.correct,
            total=r.total,
            recipe=r.protocol.recipe,
            admissible=any(r in view.sound(sought, r.subject, demand) for demand in rule.elicitation),
            withdrawn=r.digest in view.index.withdrawn,
            tally=tally(r, measure),
            alpha=alpha,
            scale=kind,
        )
        for r in results
    ]
    aside = [
        (r.entry, said.reason)
        for r in view.index.results.get((measure.task, view.subject), ())
        if view.aside(r.digest, start(r))
        for said in view.index.set_aside[r.digest]
    ]
    told = _certified(view, sought)
    return Reading(measure.name, level, margin, 1 - alpha, kind, tuple(counted), tuple(aside), tuple(told))


def _certified(view: View, sought: Sought) -> list[Certified]:
    """For which results the assumptions of a rule's demands are shown, on all that may stand for the subject."""
    names = dict.fromkeys(name for it in sought.rule.elicitation for name in assumed(sought.rule, sought.measure, it))
    found = [
        Certified(name, own.recipe, own.demonstrations, own.confidence, it.entry)
        for name in names
        for subject in sought.subjects
        for _, it in view.standing(name, subject, sought.rule.run_by)
        if (own := certified(it))
    ]
    return list(dict.fromkeys(found))
