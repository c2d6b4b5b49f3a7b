"""What `loosened` does not name never turns a hold into a permit, whenever the evidence is from.

Each change that a version may make, in either direction, is tried on small ledgers near a permit: those with which a
change that looks like tightening was once found to open a gate, and whatever chance adds.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from decide import cases as c
from decide.strategies import EFFORT
from interlock.decide.facts import Version
from interlock.policy import model
from interlock.policy.tighter import loosened

A, B = model.At("a", Fraction("0.2")), model.At("b", Fraction("0.2"))
OTHER = model.Attested("other", "another word", c.BOARD, "subject", c.HALF_YEAR)
BOTH = model.Combined("both", 2, ("audit", "other"))
SHOWN = model.Measured("shown", "b", Fraction("0.2"), c.quick())
EITHER = model.Combined("either", 1, ("shown", "other"))
WAY = model.ExceptionRule("way", "interim", ("other", "both"), ("audit",), (c.BOARD,), c.MONTH)
SAMPLES = "5a" * 32
LIKE = model.UnderReference("reference", ("b",), Fraction(0))
SMALL = model.UnderQuantity("training_compute", Fraction(10**23))  # as the reference is, and nothing else

#: The policy that is changed: each gate has another way to open.
OLD = c.simple(
    model.Threshold("t", A, c.quick()),
    model.Threshold("u", B, c.quick(), below_if=(LIKE, SMALL)),
    model.Threshold("judged", None, None, judged=model.Judged(c.BOARD, ("a",), c.MONTH)),
    requirements=c.named(c.AUDIT, OTHER, BOTH, SHOWN, EITHER, model.Never("never")),
    exceptions=c.named(WAY),
    gates={
        "scale": {"t": model.Cell(("never",))},
        "deploy-internal": {"u": model.Cell(("never",))},
        "deploy-api": {"t": model.Cell(("audit",))},
        "lend": {"judged": model.Cell(("never",))},
        "give": {"t": model.Cell(("other",))},
        "show": {"t": model.Cell(("either",))},
        "sell": {"u": model.Cell(("shown",)), "t": model.Cell(("audit",))},
    },
    attacker_budget=Fraction(1, 100),
    actions=c.named(model.Action("lend", reversible=True), model.Action("show", reversible=True)),
)


def ruled(name: str = "t", **changes: Any) -> dict[str, Any]:
    """The rule of a threshold changed."""
    it = OLD.thresholds[name]
    return lined(replace(it, rule_out=replace(it.rule_out, **changes)))


def lined(it: model.Threshold) -> dict[str, Any]:
    return {"thresholds": {**OLD.thresholds, it.name: it}}


def needed(it: Any) -> dict[str, Any]:
    return {"requirements": {**OLD.requirements, it.name: it}}


def measured(**changes: Any) -> dict[str, Any]:
    return needed(replace(SHOWN, rule_out=replace(SHOWN.rule_out, **changes)))


def of_b(**changes: Any) -> dict[str, Any]:
    return {"measures": {**OLD.measures, "b": replace(OLD.measures["b"], **changes)}}


def assumed(**changes: Any) -> dict[str, Any]:
    return {"assumptions": {**OLD.assumptions, c.HONEST: replace(OLD.assumptions[c.HONEST], **changes)}}


def excepted(**changes: Any) -> dict[str, Any]:
    return {"exceptions": c.named(replace(WAY, **changes))}


def gated(action: str, **cells: tuple[str, ...]) -> dict[str, Any]:
    return {"gates": {**OLD.gates, action: c.cells(**cells)}}


T, U, JUDGED = (OLD.thresholds[name] for name in ("t", "u", "judged"))
BUFFER, REFRESH = c.buffer(), c.refresh()
MORE, LESS = Fraction("0.9999"), Fraction("0.6")
CHANGES: dict[str, dict[str, Any]] = {
    "more confidence": ruled(confidence=MORE),
    "less confidence": ruled(confidence=LESS),
    "more confidence in what is measured": measured(confidence=MORE),
    "less confidence in what is measured": measured(confidence=LESS),
    "another elicitation": ruled(elicitation=(c.PROMPTED, c.FINE_TUNED)),
    "another elicitation of what is measured": measured(elicitation=(c.PROMPTED, c.FINE_TUNED)),
    "a harder elicitation": ruled(elicitation=(replace(c.PROMPTED, attempts=2),)),
    "an easier one beside it": ruled(elicitation=(replace(c.PROMPTED, attempts=2), c.PROMPTED)),
    "more coverage": ruled(coverage=Fraction(1)),
    "less coverage": ruled(coverage=Fraction("0.5")),
    "a greater margin": ruled(buffer=replace(BUFFER, margin=Fraction("0.1"))),
    "no margin": ruled(buffer=replace(BUFFER, margin=Fraction(0))),
    "a greater multiple": ruled(buffer=replace(BUFFER, multiple=Fraction(8))),
    "a smaller multiple": ruled(buffer=replace(BUFFER, multiple=Fraction(2))),
    "a period": ruled(buffer=replace(BUFFER, period=c.WEEK)),
    "a shorter refresh": ruled(refresh=replace(REFRESH, period=c.WEEK)),
    "a longer refresh": ruled(refresh=replace(REFRESH, period=c.YEAR)),
    "a smaller refresh": ruled(refresh=replace(REFRESH, multiple=Fraction(2))),
    "an event": ruled(refresh=replace(REFRESH, events=("theft",))),
    "somebody's discretion": ruled(refresh=replace(REFRESH, discretion=c.BOARD)),
    "another assumption": ruled(assumes=("good-demonstrations",)),
    "another who runs it": ruled(run_by=c.AUDITOR),
    "a lower level": lined(replace(T, reached_when=replace(A, level=Fraction("0.1")))),
    "a higher level": lined(replace(T, reached_when=replace(A, level=Fraction("0.9")))),
    "one more measure": lined(replace(T, reached_when=model.AtLeast(1, (A, B)))),
    "all of two measures": lined(replace(T, reached_when=model.AtLeast(2, (A, B)))),
    "a threshold above": {"thresholds": {**OLD.thresholds, "v": replace(U, name="v", above=("t",))}},
    "a threshold that names one above": lined(replace(U, above=("t",))),
    "takeover": lined(replace(T, takeover_potential=True)),
    "another way to be below": lined(replace(T, below_if=(LIKE,))),
    "no other way to be below": lined(replace(U, below_if=())),
    "a way by compute": lined(replace(T, below_if=(model.UnderQuantity("training_compute", Fraction(10**30)),))),
    "a judgement of more": lined(replace(JUDGED, judged=replace(JUDGED.judged, on=("a", "b")))),
    "a judgement of another": lined(replace(JUDGED, judged=replace(JUDGED.judged, on=("b",)))),
    "a judgement for less long": lined(replace(JUDGED, judged=replace(JUDGED.judged, fresh_for=c.WEEK))),
    "only some samples": of_b(samples_digest=SAMPLES),
    "more samples": of_b(least_samples=100),
    "less danger": of_b(danger="lower"),
    "a stricter level of what is measured": needed(replace(SHOWN, level=Fraction("0.1"))),
    "an easier level of what is measured": needed(replace(SHOWN, level=Fraction("0.9"))),
    "a word for less long": needed(replace(c.AUDIT, fresh_for=c.WEEK)),
    "a word of another": needed(replace(c.AUDIT, by=c.BOARD)),
    "a word that is never met": needed(model.Never("other")),
    "a combination that is never met": needed(model.Never("both")),
    "a combination of more": needed(replace(BOTH, count=3, of=(*BOTH.of, "shown"))),
    "a combination of fewer": needed(replace(BOTH, count=1, of=("audit",))),
    "both of either": needed(replace(EITHER, count=2)),
    "an assumption for less long": assumed(fresh_for=c.WEEK),
    "an assumption of another": assumed(by=c.BOARD),
    "a void assumption": assumed(void_at=("judged",)),
    "no exception": {"exceptions": {}},
    "an exception from more": excepted(instead_of=("other", "both", "shown")),
    "an exception from fewer": excepted(instead_of=("both",)),
    "an exception for more": excepted(requires=("audit", "shown")),
    "a shorter exception": excepted(lasts=c.WEEK),
    "an exception of two": excepted(approved_by=(c.BOARD, c.AUDITOR)),
    "another exception": {"exceptions": c.named(WAY, replace(WAY, name="another", instead_of=("both",)))},
    "a cell more": gated("deploy-api", t=("audit",), u=("audit",)),
    "a requirement more": gated("deploy-api", t=("audit", "both")),
    "another requirement": gated("deploy-api", t=("other",)),
    "a cell less": gated("sell", t=("audit",)),
    "a gate less": {"gates": {name: it for name, it in OLD.gates.items() if name != "show"}},
    "another refresh": {"refresh": replace(REFRESH, period=c.WEEK)},
    "a greater attacker's budget": {"attacker_budget": Fraction(1)},
    "no attacker's budget": {"attacker_budget": Fraction(0)},
    "a shorter lease": {"permits": replace(OLD.permits, lease=c.WEEK)},
    "less time to report": {"report_within": c.WEEK},
    "more time to report": {"report_within": c.QUARTER},
    "nobody independent": {"independent": ""},
    "no action taken back": {"actions": {}},
    "every action taken back": {"actions": c.named(*(model.Action(it, reversible=True) for it in OLD.gates))},
}

EARLY, LATE = c.PLANNED, c.PLANNED + 10 * c.DAY


def told_at(at: Any) -> dict[str, Any]:
    """What a ledger may say at a time: runs, and all else."""
    words, by, when = at + c.DAY, {c.TEAM}, {"planned_at": at}
    return {
        "a is low": c.runs("a", 0, **when),
        "a is nearly low": c.runs("a", 9, **when),
        "a is tried twice": c.runs("a", 0, attempts=2, **when),
        "a is high": c.runs("a", 60, **when),
        "a is high, unplanned": c.runs("a", 60, planned=False, at=words),
        "a is planned": c.runs("a", 0, seed=4, reported=False, **when),
        "a is planned for later": c.runs("a", 0, seed=5, reported=False, report_by=c.AT + c.DAY, **when),
        "a is low, trained": c.runs("a", 0, elicitation="fine-tuned", **when),
        "a is just at it on a derivative": c.runs("a", 30, subject=c.CHILD, **when),
        "a is at it beside": c.runs("a", 60, subject=c.SIBLING, **when),
        "b is low": c.runs("b", 0, **when),
        "b is 30": c.runs("b", 30, **when),
        "b is low, trained": c.runs("b", 0, elicitation="fine-tuned", **when),
        "b is low on the samples": c.runs("b", 0, samples_digest=SAMPLES, **when),
        "b is just at it on a derivative": c.runs("b", 30, subject=c.CHILD, **when),
        "b is 8 on the samples": c.runs("b", 8, samples_digest=SAMPLES, **when),
        "the reference is low": c.runs("b", 0, subject=c.REFERENCE, **when),
        "the reference is 21 on the samples": c.runs(
            "b", 215, samples=1000, subject=c.REFERENCE, samples_digest=SAMPLES, **when
        ),
        "honest": c.stated(c.HONEST, at=words),
        "honest of the reference": c.stated(c.HONEST, about=c.REFERENCE, at=words),
        "no hacking": c.stated("no-gradient-hacking", at=words),
        "demonstrations": c.stated("good-demonstrations", at=words),
        "an audit": c.attested("audit", at=words),
        "the other word": c.attested("other", by=(c.BOARD,), at=words),
        "a way round": c.amended("way", by=(c.BOARD, c.AUDITOR), at=words),
        **{
            f"an incident against {name}": c.incident(requirements=(name,), at=words + c.DAY, members=by)
            for name in ("audit", "other", "both", "shown")
        },
        "an incident at t": c.incident("leak", thresholds=("t",), at=words, members=by),
        "a theft": c.incident(at=words + c.DAY, members=(c.BOARD,)),
        "told to look again": c.incident("refresh", at=words + c.DAY, members=(c.BOARD,)),
        "judged below": lambda runs: c.judged("judged", "below", *runs, at=words + 2 * c.DAY),
        "judged reached": lambda runs: c.judged("judged", "reached", *runs, at=words + 2 * c.DAY),
    }


POOL = {f"{name}, {when}": it for when, at in (("early", EARLY), ("late", LATE)) for name, it in told_at(at).items()}
KINDS = {
    "Attestation": "attestations",
    "Amendment": "amendments",
    "Incident": "incidents",
    "function": "judgements",
    "Run": "runs",
}
#: What opens most gates: chance adds to it, and takes from it.
ENOUGH = ("a is low", "b is low", "honest", "an audit", "the other word")


def ledger(names: Any) -> Any:
    """What a ledger says that says these."""
    told: dict[str, list[Any]] = {kind: [] for kind in KINDS.values()}
    for name in sorted(names):
        told[KINDS[type(POOL[name]).__name__]].append(POOL[name])
    runs = list({it.name: it for it in told.pop("runs")}.values())
    judgements = [made([it for it in runs if it.result]) for made in told.pop("judgements")]
    subjects = c.family(reference={"training_compute": 10**22})
    return c.facts(*runs, judgements=judgements, subjects=subjects, **told)


def permits(told: Any, action: str, *versions: Version) -> bool:
    return c.ask(told, *versions, action=action).verdict == "permit"


def both(early: Any = (), late: Any = ()) -> frozenset[str]:
    return frozenset([*(f"{name}, early" for name in early), *(f"{name}, late" for name in late)])


#: Changes that look tighter, and are not: (what is named, at which gate a ledger that says these tells them apart).
OPENS: dict[str, tuple[str, str, frozenset[str]]] = {
    "more confidence": (
        "thresholds.t.rule_out.confidence changed",
        "scale",
        both(late=("a is low", "honest", "a is just at it on a derivative")),
    ),
    "more confidence in what is measured": (
        "requirements.shown.rule_out.confidence changed",
        "show",
        both(late=("a is high", "b is low", "honest", "b is just at it on a derivative")),
    ),
    "another elicitation": (
        "thresholds.t.rule_out.elicitation takes `fine-tuned` too, which did not do",
        "deploy-api",
        both(late=("a is high, unplanned", "a is low, trained", "an audit")),
    ),
    "no exception": (
        "exceptions.way is gone",
        "deploy-api",
        both(late=("a is high", "an audit", "an incident against other")),
    ),
    "a combination that is never met": (
        "requirements.both is of another kind",
        "give",
        both(late=("a is high", "the other word", "an incident against both")),
    ),
    "only some samples": (
        "measures.b.samples_digest changed, and another subject is compared by it",
        "deploy-internal",
        both(late=("b is 8 on the samples", "the reference is low", "the reference is 21 on the samples", "honest")),
    ),
    "an exception from fewer": (
        "exceptions.way.instead_of changed",
        "deploy-api",
        both(late=("a is high", "an audit", "an incident against other")),
    ),
}

WHEN = {
    "before all evidence": EARLY - 30 * c.DAY,
    "in between": EARLY + 5 * c.DAY,
    "after all evidence": c.AT - c.HOUR,
}
chance = st.sets(st.sampled_from(sorted(POOL)), max_size=6)
usual = st.sampled_from([both(ENOUGH), both(late=ENOUGH), both(ENOUGH, ENOUGH), both()])
less = st.sets(st.sampled_from(sorted(both(ENOUGH, ENOUGH))), max_size=2)
#: Nothing is shrunk: the names say what is there.
quickly = settings(
    max_examples=12 * EFFORT,
    deadline=None,
    derandomize=EFFORT == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=(Phase.explicit, Phase.generate),
)


@pytest.mark.parametrize("name", CHANGES)
def test_a_version_that_loosens_nothing_opens_nothing(name):
    new = replace(OLD, version="2.0.0", **CHANGES[name])
    if not loosened([OLD], new):
        never_opens(OLD, new)


@pytest.mark.parametrize("name", CHANGES)
def test_nor_does_one_that_takes_a_change_back(name):
    changed, back = replace(OLD, **CHANGES[name]), replace(OLD, version="2.0.0")
    if not loosened([changed], back):
        never_opens(changed, back)


def never_opens(old: model.Policy, new: model.Policy) -> None:
    """Whatever a ledger says, at every gate, and whenever the new version came."""

    def tried(names, without, more):
        said = (names - without) | more
        told, first = ledger(said), c.since(old)
        held = [action for action in old.gates if not permits(told, action, first)]
        for when, at in WHEN.items():
            opened = [it for it in held if permits(told, it, first, Version(new, c.digest("new"), at, at))]
            assert not opened, (when, opened, sorted(said))

    for _, _, names in OPENS.values():
        tried = example(names, frozenset(), frozenset())(tried)
    quickly(given(usual, less, chance)(tried))()


@pytest.mark.parametrize("name", OPENS)
def test_what_looks_tighter_and_opens_a_gate_is_named(name):
    """Each on a ledger on which the old version holds and the new one permits."""
    said, action, names = OPENS[name]
    new, told = replace(OLD, version="2.0.0", **CHANGES[name]), ledger(names)
    at = WHEN["before all evidence"]
    assert not permits(told, action, c.since(OLD))
    assert permits(told, action, c.since(OLD), Version(new, c.digest("new"), at, at))
    assert said in loosened([OLD], new)
