"""The facts, arranged for the questions that the rule asks. Nothing is left out and nothing is judged here."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from interlock.decide.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from fractions import Fraction

    from interlock.decide.facts import (
        Approval,
        Attestation,
        Facts,
        Incident,
        Judgement,
        Plan,
        Protocol,
        Result,
        SetAside,
        Subject,
    )

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")

K = TypeVar("K")
T = TypeVar("T")


class Index:
    """One ledger's facts by subject, task and name. Cheap to ask, built once for any number of decisions."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.results: dict[tuple[str, str], tuple[Result, ...]] = _grouped(
            ((r.protocol.task, r.subject), r) for r in facts.results
        )
        self.on_subject: dict[str, tuple[Result, ...]] = _grouped((r.subject, r) for r in facts.results)
        self.reports: dict[str, tuple[Result, ...]] = _grouped(
            (r.plan.digest, r) for r in facts.results if r.plan and frozenset() < r.plan.signers <= r.signers
        )
        self.plans: dict[str, tuple[Plan, ...]] = _grouped((p.protocol.task, p) for p in facts.plans)
        self.statements: dict[str, tuple[Attestation, ...]] = _grouped(
            (a.name, a) for a in facts.attestations if a.is_assumption
        )
        self.attestations: dict[str, tuple[Attestation, ...]] = _grouped(
            (a.name, a) for a in facts.attestations if not a.is_assumption
        )
        self.approvals: dict[str, tuple[Approval, ...]] = _grouped((a.name, a) for a in facts.approvals)
        self.judgements: dict[str, tuple[Judgement, ...]] = _grouped((j.threshold, j) for j in facts.judgements)
        self.withdrawn = self._withdrawn()
        self.set_aside: dict[str, tuple[SetAside, ...]] = _grouped((s.of, s) for s in facts.set_asides)
        self._gone: dict[tuple[str, Protocol], tuple[tuple[Plan, datetime], ...]] = _grouped(
            ((plan.subject, plan.protocol), (plan, moment)) for plan, moment in self._refuted()
        )
        self.incidents: tuple[Incident, ...] = facts.incidents
        self._ancestors: dict[str, frozenset[str]] = {}
        self._derivatives: dict[str, dict[str, int]] = {}
        self._beside: dict[tuple[str, Fraction], frozenset[str]] = {}
        self._relatives: dict[tuple[str, Fraction], frozenset[str]] = {}
        self._onward: dict[tuple[str, Fraction], frozenset[str]] = {}
        self._kin: dict[tuple[str, Fraction], frozenset[str]] = {}
        self._runs: dict[Fraction, Runs] = {}

    def _withdrawn(self) -> frozenset[str]:
        """Statements that one of their own signers took back."""
        facts = self.facts
        if not facts.withdrawals:
            return frozenset()
        signers: dict[str, frozenset[str]] = {}
        for told in (facts.plans, facts.results, facts.attestations, facts.approvals, facts.judgements):
            signers.update((it.digest, it.signers) for it in told)
        for more in (facts.forecasts, facts.amendments, facts.set_asides):
            signers.update((it.digest, it.signers) for it in more)
        return frozenset(w.of for w in facts.withdrawals if signers.get(w.of, frozenset()) & w.signers)

    def _refuted(self) -> Iterator[tuple[Plan, datetime]]:
        """Whose plan's result was taken back, contradicted or set aside, and when."""
        withdrawals = _grouped((it.of, it) for it in self.facts.withdrawals)
        for it in self.facts.results:
            against = [w.at for w in withdrawals.get(it.digest, ()) if w.signers & it.signers]
            against += [s.at for s in self.set_aside.get(it.digest, ())]
            yield from ((it.plan, moment) for moment in against if it.plan)

    def spoilt(self, result: Result) -> bool:
        """Whether a result of its plan was taken back, contradicted or set aside, or one of the same run, between the
        day on which its plan was announced and its own: it is what was refuted, told again.
        """
        plan = result.plan
        return plan is not None and any(
            plan.digest == of.digest or plan.at <= moment <= result.at
            for of, moment in self._gone.get((plan.subject, plan.protocol), ())
        )

    def known(self, subject: str) -> bool:
        """Whether the subject and everything that it came from is in the ledger, with compute that can be."""
        subjects = self.facts.subjects
        lineage = [subjects[it] for it in (subject, *self.ancestors(subject))] if subject in subjects else []
        sane = all(_can_be(it) for it in lineage)
        return bool(lineage) and sane and all(step.parent in subjects for it in lineage for step in it.steps)

    def ancestors(self, subject: str) -> frozenset[str]:
        """Every subject that it was made from."""
        if subject not in self._ancestors:
            self._ancestors[subject] = self.facts.ancestors(subject)
        return self._ancestors[subject]

    def derivatives(self, subject: str) -> dict[str, int]:
        """Every subject made from it, with the least FLOP that leads there."""
        if subject not in self._derivatives:
            self._derivatives[subject] = self.facts.derivatives(subject)
        return self._derivatives[subject]

    def cheap(self, subject: str, share: Fraction) -> list[str]:
        """The derivatives made with at most that share of its training compute."""
        budget = share * self.facts.subjects[subject].training_compute
        return sorted(d for d, cost in self.derivatives(subject).items() if cost <= budget)

    def beside(self, subject: str, share: Fraction) -> frozenset[str]:
        """Others that were continued from where it was, near or far, for no more compute: what one run saved before,
        as far as the ledger can tell.
        """
        key = (subject, share)
        if key not in self._beside:
            self._beside[key] = self._lines(share).before([subject]) - {subject}
        return self._beside[key]

    def forebears(self, subject: str, share: Fraction) -> frozenset[str]:
        """Its ancestors, and what stands beside it and them."""
        ancestors = self.ancestors(subject)
        return (ancestors | self._lines(share).before([subject, *ancestors])) - {subject}

    def continuations(self, subject: str, share: Fraction) -> frozenset[str]:
        """What was continued from it, near and far, or from where it was, for more compute."""
        return self._lines(share).after(subject)

    def _lines(self, share: Fraction) -> Runs:
        if share not in self._runs:
            self._runs[share] = Runs(self.facts.subjects, share)
        return self._runs[share]

    def relatives(self, subject: str, share: Fraction) -> frozenset[str]:
        """Wherever positive evidence is positive for the subject, whatever is to be done with it."""
        key = (subject, share)
        if key not in self._relatives:
            self._relatives[key] = self._with_cheap((subject, *self.forebears(subject, share)), share)
        return self._relatives[key]

    def onward(self, subject: str, share: Fraction) -> frozenset[str]:
        """Wherever positive evidence is positive for scaling the subject on: its continuations' side."""
        key = (subject, share)
        if key not in self._onward:
            self._onward[key] = self._with_cheap(self.continuations(subject, share), share)
        return self._onward[key]

    def kin(self, subject: str, share: Fraction) -> frozenset[str]:
        """Its relatives, all of its derivatives, and its continuations' side."""
        key = (subject, share)
        if key not in self._kin:
            made = self.derivatives(subject).keys()
            self._kin[key] = self.relatives(subject, share) | made | self.onward(subject, share)
        return self._kin[key]

    def _with_cheap(self, subjects: Iterable[str], share: Fraction) -> frozenset[str]:
        return frozenset(it for one in subjects for it in (one, *self.cheap(one, share)))

    def named(self, name: str) -> Subject | None:
        """The subject with this digest, or the only one with this name, with compute that can be."""
        subjects = self.facts.subjects
        alike = () if _DIGEST.fullmatch(name) else subjects.values()  # who means a digest means no name
        found = [subjects[name]] if name in subjects else [it for it in alike if it.name == name]
        return found[0] if len(found) == 1 and _can_be(found[0]) else None

    def line_of_descent(self, subject: str) -> list[str]:
        """The ancestors that a `known` subject only `continued`, the nearest first (rule 17)."""
        found: list[str] = []
        while len(steps := self.facts.subjects[subject].steps) == 1 and steps[0].kind == "continued":
            subject = steps[0].parent
            if subject in found:  # a circle, which no ledger has
                break
            found.append(subject)
        return found


def _can_be(subject: Subject) -> bool:
    return 0 <= subject.ec_low <= subject.ec_high and subject.training_compute >= 0


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}
