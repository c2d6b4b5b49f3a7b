"""Judged thresholds: what a role's signed judgements show (docs/semantics.md, rules 25, 27 and 28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import Held, Node, Reason
from interlock.decide.facts import BEGINNING, is_later
from interlock.decide.leaf import no_room
from interlock.decide.one_result import fits, scored, start
from interlock.policy.model import Attested, Judged, Measure, Threshold, Unbounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from fractions import Fraction

    from interlock.decide.facts import Judgement, Plan, Result
    from interlock.decide.view import View


class Bench:
    """The judgements on one threshold, seen for one subject. Empty for a threshold that is not judged."""

    def __init__(self, view: View, threshold: Threshold) -> None:
        self.view, self.threshold, self.rule = view, threshold, threshold.rule_out
        self.judged: Judged | None = threshold.judged

    # -- reached -------------------------------------------------------------------------------------------------------

    def reached(self) -> tuple[list[Reason], list[datetime]]:
        """The judgements that a relative has reached it, of one member of a role that judged it under any version that
        has seen them; and until when those on an ancestor's side are answered by the subject's own.
        """
        view, reasons, excused = self.view, [], []
        for said in view.index.judgements.get(self.threshold.name, ()):
            if said.verdict != "reached" or said.subject not in view.relatives(said.at):
                continue
            role = next((role for role in self._judges(said.at) if role in said.members), None)
            if role is None:
                continue
            own = said.subject in view.near(said.at)
            answers = [] if own else [until for it, until in self._showing() if is_later(it, said)]
            if answers:
                excused.append(max(answers))
            else:
                whom = view.name(said.subject)
                text = f"entry {said.entry}: a member of `{role}` judged {whom} to have reached it"
                reasons.append(Reason("reached-judged", text))
        return reasons, excused

    def _judges(self, moment: datetime) -> list[str]:
        past = [policy.thresholds.get(self.threshold.name) for policy in self.view.witnesses(moment)]
        return [it.judged.by for it in past if it is not None and it.judged is not None]

    # -- below ---------------------------------------------------------------------------------------------------------

    def node(self) -> Node:
        """Whether a judgement shows the subject to be below (rule 27)."""
        assert self.judged is not None  # noqa: S101  asked of judged thresholds only
        text = f"judged by `{self.judged.by}` on {', '.join(self.judged.on)}"
        showing, reach = self._showing(), self._reach()
        if showing and self.view.has_room(reach):
            due = [self.view.due(plan) for measure in self._measures() for plan in self._plans(measure)]
            expires = min([max(until for _, until in showing), *due])
            return Node("judgement", text, holds=True, state="below", expires=expires, reach=reach)
        if showing:
            return Node("judgement", text, holds=False, state="not ruled out", reasons=(no_room(self.view),))
        said = f"no standing judgement of `{self.judged.by}` says that it is below"
        late = [reason for measure in self._measures() for reason in self.view.blocking(self._plans(measure))]
        reasons = (Reason("not-judged", said, self.resume()), *late)
        return Node("judgement", text, holds=False, state="not ruled out", reasons=reasons)

    def resume(self) -> str:
        """What would make a judgement stand."""
        assert self.judged is not None  # noqa: S101  asked of judged thresholds only
        return f"`{self.judged.by}` judges it, on fresh evidence: {', '.join(self.judged.on)}"

    def evaluated(self) -> Held | None:
        """Until when a judgement of either verdict is supported, and up to how much compute; None: none is."""
        until, reach = max((until for _, until in self._supported()), default=None), self._reach()
        return Held(until, reach) if until is not None and self.view.has_room(reach) else None

    def _reach(self) -> Fraction:
        """Up to how much effective compute a judgement on the subject's own results reaches (rule 27)."""
        multiples = [self.rule.refresh.multiple, self.rule.buffer.multiple] if self.rule else []
        return self.view.model.ec_low * min(multiples, default=self.view.policy.refresh.multiple)

    def _showing(self) -> list[tuple[Judgement, datetime]]:
        """The supported judgements `below` that nothing adverse came after, and until when each is supported."""
        measures = self._measures()
        if any(self.view.blocking(self._plans(measure)) for measure in measures):
            return []
        latest = max((r.at for measure in measures for r in self._on_relatives(measure)), default=None)
        return [
            (said, until)
            for said, until in self._supported()
            if said.verdict == "below" and (latest is None or latest < said.at)
        ]

    def _on_relatives(self, measure: Measure | Unbounded) -> Iterator[Result]:
        """Every result wherever positive evidence would be positive for the subject."""
        for subject in self.view.relatives(BEGINNING):
            for result in self.view.counting(measure, subject):
                if subject in self.view.relatives(start(result)):
                    yield result

    def _measures(self) -> list[Measure | Unbounded]:
        found = (self.view.policy.measures.get(name) for name in (self.judged.on if self.judged else ()))
        return [measure for measure in found if isinstance(measure, (Measure, Unbounded))]

    def _plans(self, measure: Measure | Unbounded) -> list[Plan]:
        return self.view.open_plans(measure, ("thresholds", self.threshold.name))

    # -- support -------------------------------------------------------------------------------------------------------

    def _supported(self) -> list[tuple[Judgement, datetime]]:
        view, judged = self.view, self.judged
        if judged is None:
            return []
        return [
            (said, until)
            for said in view.index.judgements.get(self.threshold.name, ())
            if said.subject == view.subject
            and judged.by in said.signers
            and said.digest not in view.index.withdrawn
            and view.counts_from("thresholds", self.threshold.name, said.at)
            and (until := self._until(judged, said)) is not None
            and not view.passed(until)
        ]

    def _until(self, judged: Judged, said: Judgement) -> datetime | None:
        """Until when all that a judgement names lasts; None: it does not name all that it must."""
        items = [self._items(name, said) for name in judged.on]
        if not items or not all(items):
            return None
        own = [judged.fresh_for.after(said.at)] if judged.fresh_for else []
        named = [self._expiry(result) for result in self.view.index.facts.results if result.digest in said.on]
        return min([*own, *named, *(moment for moments in items for moment in moments)])

    def _items(self, name: str, said: Judgement) -> list[datetime]:
        """When the items that a judgement names for one of its grounds expire."""
        from interlock.decide.requirement import attestations

        view = self.view
        measure, requirement = view.policy.measures.get(name), view.policy.requirements.get(name)
        if isinstance(measure, (Measure, Unbounded)):
            found = (r for r in view.counting(measure, view.subject) if r.digest in said.on and r.at < said.at)
            return [self._expiry(result) for result in found if self._complete(result, measure)]
        if isinstance(requirement, Attested):
            told = attestations(view, requirement)
            return [expires for it, expires in told if it.digest in said.on and it.at <= said.at]
        return []

    def _expiry(self, result: Result) -> datetime:
        refresh = self.rule.refresh if self.rule else self.view.policy.refresh
        return self.view.expiry(result, refresh, self.rule.buffer if self.rule else None)

    def _complete(self, result: Result, measure: Measure | Unbounded) -> bool:
        """Whether a judgement may rest on a result while it is fresh: planned, complete, and of the measure."""
        view, plan, samples = self.view, result.plan, result.protocol.samples
        return (
            plan is not None
            and fits(result, measure)
            and not {result.digest, plan.digest} & view.index.withdrawn
            and not view.index.spoilt(result)
            and view.counts_from("thresholds", self.threshold.name, start(result))
            and samples > 0
            and scored(result, measure) >= (self.rule.coverage if self.rule else 1) * samples
        )
