"""Policies and ledgers for the laws: well typed, small, near a permit, with every construct and every defect.

A ledger starts with everything that its policies ask for and is then changed here and there; so permits, and holds for
a single reason, are common.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from decide import cases as c
from decide.cases import AT, CHILD, DAY, FOUNDATION, HOUR, MODEL, OFFERED, REFERENCE, SECOND, SIBLING, Run, named
from interlock.decide.facts import Check, Deployment, Facts, Step, Validity, Version
from interlock.decide.rule import Decider, decide
from interlock.policy import model
from interlock.policy._structure.parts import parts_of
from interlock.policy._structure.rules import measured_by
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import AtLeast, Measured
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from interlock.decide.decision import Decision

#: How many times as many examples as in a quick run.
EFFORT = int(os.environ.get("INTERLOCK_EFFORT", "1"))

Draw = Any
ROLES = ("lab", "second", "auditor", "board")
ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights", "lend")
KIN = (MODEL, FOUNDATION, CHILD, SIBLING, REFERENCE)
SAMPLES, COUNT = "5a" * 32, 60
SIZE = 10**20
TRAINABLE = ("prompted", "few-shot", "scaffolded", "fine-tuned", "rl-fine-tuned")
MOMENTS = tuple(AT - days * DAY for days in (0, 1, 5, 10, 16, 20, 40, 120))


@cache
def one_in(n: int) -> st.SearchStrategy[bool]:
    """True once in `n`; shrinks to False."""
    return st.sampled_from([False] * (n - 1) + [True])


def of(*options: Any) -> st.SearchStrategy[Any]:
    """One of these; shrinks to the first."""
    try:
        return _of(options)
    except TypeError:  # not to be hashed
        return st.sampled_from(options)


@cache
def _of(options: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def some(options: Any, most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """One or more of these, without repetition."""
    return _some(tuple(options), most)


@cache
def _some(options: tuple[Any, ...], most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(list(options)), min_size=1, max_size=most, unique=True).map(tuple)


@dataclass(frozen=True, slots=True)
class Case:
    """One question to `decide`."""

    versions: tuple[Version, ...]
    facts: Facts
    subject: str
    action: str
    at: datetime
    deployment: str | None = None

    @property
    def question(self) -> dict[str, Any]:
        """What is asked of policies and facts."""
        return {"subject": self.subject, "action": self.action, "at": self.at, "deployment": self.deployment}

    def decide(self) -> Decision:
        """The answer."""
        return decide(self.versions, self.facts, **self.question)

    @property
    def permits(self) -> bool:
        """Whether the answer is a permit."""
        return self.decide().verdict == "permit"

    def knowing(self, **changes: Any) -> Case:
        """The same question to a ledger that differs."""
        return replace(self, facts=replace(self.facts, **changes))

    def under(self, change: Callable[[model.Policy], model.Policy]) -> Case:
        """The same question under policies that differ."""
        return replace(self, versions=tuple(replace(v, policy=change(v.policy)) for v in self.versions))

    @property
    def in_force(self) -> list[Version]:
        """Of each policy the version in force."""
        found = {v.policy.id: v for v in sorted(self.versions, key=lambda it: it.since) if v.since <= self.at}
        return list(found.values())

    def decider(self) -> Decider:
        """For many questions to the same ledger."""
        return Decider(self.versions, self.facts)


# -- policies ----------------------------------------------------------------------------------------------------------


@cache
def days(*counts: int) -> st.SearchStrategy[Duration]:
    """Lengths of time."""
    return of(*(Duration(0, count * 86400) for count in counts), *(Duration(n // 30, 0) for n in counts if n >= 30))


@st.composite
def measures(draw: Draw) -> dict[str, Any]:
    """One to three plain ones, sometimes a mean; a ratio of compute and a quantity without bounds."""
    understanding = draw(one_in(12))
    kinds = of("understanding") if understanding else of(*["capability"] * 4, "safeguard", "propensity")
    dangers, made = of("higher", "higher", "lower"), []
    for name in "abc"[: draw(st.integers(1, 3))]:
        low, high = draw(of((0, 1), (0, 1), (0, 1), (0, 2), (-1, 1)))
        made.append(
            c.measure(
                name,
                kind=draw(kinds),
                on=draw(of(*["model"] * 6, "deployment")),
                danger=draw(dangers),
                low=Fraction(low),
                high=Fraction(high),
                unit="family" if draw(one_in(8)) else "sample",
                samples_digest=SAMPLES if draw(one_in(6)) else "",
                least_samples=COUNT if draw(one_in(6)) else 1,
            )
        )
    if len(made) > 1 and made[0].danger == made[1].danger and draw(st.booleans()):
        share = draw(of(Fraction(1, 2), Fraction(1, 3)))
        made.append(model.Mean("mean", {made[0].name: share, made[1].name: 1 - share}))
    kind = "safeguard"
    made.append(model.ComputeRatio("ratio", draw(of("foundation", "reference", REFERENCE, "nobody"))))
    made.append(model.Unbounded("wild", kind, "model", "lab/wild", 1, "uplift"))
    return named(*made)


def plain(known: dict[str, Any]) -> list[model.Measure]:
    """The measures with a range of their own."""
    return [it for it in known.values() if isinstance(it, model.Measure)]


@st.composite
def demands(draw: Draw, known: dict[str, Any]) -> tuple[model.Demand, ...]:
    """One or two that suit every measure."""
    kinds = {it.kind for it in plain(known)}
    suited = TRAINABLE[:3] if "propensity" in kinds else TRAINABLE
    names = ("understanding-based",) if "understanding" in kinds else draw(some(suited))
    made = []
    for name in names:
        least = draw(of(1, 8)) if name == "fine-tuned" else draw(of(0, 0, 0, 4))
        made.append(
            model.Demand(
                name,
                demonstrations=least,
                flop=10**12 if draw(one_in(8)) else 0,
                attempts=3 if draw(one_in(8)) else 1,
                tools=draw(one_in(8)),
                safety_ablated=draw(one_in(8)),
                refusals=Fraction(1, 10) if draw(one_in(8)) else Fraction(1),
            )
        )
    return tuple(made)


@st.composite
def refreshes(draw: Draw) -> model.Refresh:
    """How far results reach."""
    return model.Refresh(
        Fraction(draw(of(4, 2, "3/2"))),
        draw(days(90, 30)),
        ("theft",) if draw(one_in(3)) else (),
        "board" if draw(one_in(3)) else "",
    )


@st.composite
def rules(draw: Draw, known: dict[str, Any]) -> model.RuleOut:
    """What a measure is ruled out by."""
    margin, forecast = Fraction(draw(of("0", "0.05", "0.1"))), draw(one_in(6))
    return model.RuleOut(
        confidence=Fraction(draw(of("0.95", "0.9", "0.6"))),
        elicitation=draw(demands(known)),
        buffer=model.Buffer(
            Fraction(draw(of(6, 2, 1))),
            Fraction(0) if forecast else margin,
            "",
            {},
            draw(days(60, 30)) if draw(one_in(6)) else None,
            "auditor" if forecast else "",
            draw(days(60)) if forecast else None,
        ),
        coverage=Fraction(draw(of("0.8", "1"))),
        run_by=draw(of("lab", "lab", "second")),
        refresh=draw(refreshes()),
        assumes=("extra",) if draw(one_in(6)) else (),
    )


def level_of(known: dict[str, Any], name: str, share: Fraction) -> Fraction:
    """The level at a share of a measure's range, from its safe end."""
    weights = known[name].weights if isinstance(known[name], model.Mean) else {name: Fraction(1)}
    low, high = (sum(w * getattr(known[it], end) for it, w in weights.items()) for end in ("low", "high"))
    lower = known[next(iter(weights))].danger == "lower"
    return high - share * (high - low) if lower else low + share * (high - low)


@st.composite
def amounts(draw: Draw) -> tuple[str, Fraction]:
    """A signed quantity and a level."""
    quantity = draw(of("effective_compute", "training_compute", "ratio"))
    level = of("2", "1/2", "5") if quantity == "ratio" else of(2 * SIZE, SIZE // 10, 10 * SIZE, SIZE)
    return quantity, Fraction(draw(level))


@st.composite
def expressions(draw: Draw, known: dict[str, Any], refs: tuple[str, ...], depth: int = 2) -> model.Expr:
    """Any expression; `refs` are the thresholds that it may name."""
    kinds = ["at"] * 5 + ["amount"] + ["ref"] * bool(refs) + ["at-least"] * 3 * bool(depth)
    kind = draw(st.sampled_from(kinds))
    if kind == "at":
        name = draw(of(*(n for n, it in known.items() if isinstance(it, model.Measure | model.Mean))))
        return model.At(name, level_of(known, name, Fraction(draw(of("1/2", "3/10", "3/4")))))
    if kind == "amount":
        return model.Amount(*draw(amounts()))
    if kind == "ref":
        return model.Ref(draw(of(*refs)))
    parts = draw(st.lists(expressions(known, refs, depth - 1), min_size=1, max_size=3))
    return AtLeast(draw(st.integers(1, len(parts))), tuple(parts))


@st.composite
def ways(draw: Draw, known: dict[str, Any], refs: tuple[str, ...]) -> model.BelowIf:
    """Another way to be below."""
    on = [it.name for it in plain(known) if it.on == "model"]
    kind = draw(of("quantity", *["screen"] * bool(refs), *["reference"] * 2 * bool(on)))
    if kind == "quantity":
        return model.UnderQuantity(*draw(amounts()))
    if kind == "screen":
        return model.UnderScreen(draw(of(*refs)))
    who = draw(of("reference", REFERENCE, "foundation", "model", "nobody"))
    return model.UnderReference(who, draw(some(on)), Fraction(draw(of("0", "1/50"))))


@st.composite
def thresholds(draw: Draw, name: str, known: dict[str, Any], refs: tuple[str, ...]) -> model.Threshold:
    """A threshold that may lean on those in `refs`: numeric, judged, both, or a hole."""
    if draw(one_in(16)):
        return model.Threshold(name, None, None, model.Judged("board", ()))
    judged = None
    if draw(one_in(5)):
        on = draw(some([*(it.name for it in plain(known)), "wild", "need-0"]))
        judged = model.Judged("board", on, draw(days(30)) if draw(st.booleans()) else None)
    expr = None if judged is not None and draw(st.booleans()) else draw(expressions(known, refs))
    found = draw(st.lists(ways(known, refs), max_size=1)) if draw(one_in(4)) else []
    parts = list(model.walk(expr)) if expr is not None else []
    ruled = any(isinstance(it, model.At) for it in parts) or any(isinstance(it, model.UnderReference) for it in found)
    ruled = ruled or ((judged is not None or any(isinstance(it, model.Ref) for it in parts)) and draw(st.booleans()))
    rule = draw(rules(known)) if ruled else None
    return model.Threshold(name, expr, rule, judged, tuple(found))


@st.composite
def requirements(draw: Draw, known: dict[str, Any], lines: list[model.Threshold]) -> dict[str, model.Requirement]:
    """Six or so, of every kind; `need-0` is attested, and later ones may combine earlier ones."""
    about = of("subject", "developer", "subject", "deployment")
    made: list[Any] = [model.Attested("need-0", "", "auditor", draw(about), draw(days(60, 30)))]
    for place in range(1, draw(st.integers(2, 4))):
        name = f"need-{place}"
        kind = draw(of("attested", "approved", "measured", "ruled-out", "combined", "attested", "defined", "hole"))
        if kind == "attested":
            made.append(model.Attested(name, "", draw(of("auditor", "board")), draw(about), draw(days(60, 30))))
        elif kind == "approved":
            made.append(model.Approved(name, "", "board", draw(about), draw(days(60, 30))))
        elif kind == "measured":
            of_what = draw(of(*(n for n, it in known.items() if isinstance(it, model.Measure | model.Mean))))
            level = level_of(known, of_what, Fraction(draw(of("1/2", "3/10"))))
            made.append(Measured(name, of_what, level, draw(rules(known))))
        elif kind == "ruled-out":
            made.append(model.RuledOut(name, draw(of(*(it.name for it in lines)))))
        elif kind == "combined":
            parts = draw(some([it.name for it in made], 3))
            empty = any(_empty(part, named(*made)) for part in parts)
            made.append(model.Combined(name, len(parts) if empty else draw(st.integers(1, len(parts))), parts))
        elif kind == "defined":
            made.append(model.Defined(name, draw(of(lines[0].name, "nothing"))))
        else:
            made.append(model.Hole(name, "not known yet", "board", AT))
    return named(*made, model.Never("never"))


def _empty(name: str, known: dict[str, Any]) -> bool:
    """Whether a requirement is, or combines, a hole or `never`."""
    it = known[name]
    if isinstance(it, model.Combined):
        return any(_empty(part, known) for part in it.of)
    return isinstance(it, model.Hole | model.Never)


@st.composite
def exceptions(draw: Draw, known: dict[str, Any]) -> dict[str, model.ExceptionRule]:
    """One in three policies has one."""
    met = [name for name in known if not _empty(name, known)]
    if not draw(one_in(3)):
        return {}
    kind, until = draw(of("interim", "marginal-risk", "emergency")), draw(of(None, AT + 5 * DAY, AT))
    by = draw(some(["board", "auditor"]))
    rule = model.ExceptionRule("way", kind, draw(some(met)), draw(some(known)), by, draw(days(30, 7)), until)
    return named(rule)


@st.composite
def gates(draw: Draw, names: list[str], needs: list[str], met: list[str]) -> dict[str, dict[str, model.Cell]]:
    """Every standard action and one more, mostly gated by all thresholds, mostly with what can be `met`."""
    made = {}
    for action in ACTIONS:
        listed = names if draw(st.booleans()) else draw(some(names))
        cells = {}
        for name in listed:
            required = draw(some(needs if draw(one_in(5)) else met))
            weaker = (("intends", needs[0]),) if draw(one_in(8)) and needs[0] not in required else ()
            cells[name] = model.Cell(required, weaker)
        if len(cells) > 1 and draw(one_in(8)):
            cells[listed[-1]] = model.Cell((), (("recommends", needs[0]),))
        made[action] = cells
    return made


DUTIES = named(
    Duty("stop", "stop", "lab", Start("hold", ACTIONS), Clock(Duration(0, 3600))),
    Duty("publish", "publish", "lab", Start("permit", ("scale",)), Clock(Duration(1, 0))),
    Duty("tell", "tell", "lab", Start("reached", ("t0",)), Clock(Duration(0, 3600))),
    Duty("evaluate", "evaluate", "lab", Start("overdue", ("t0",)), Clock(Duration(0, 3600))),
    Duty("report", "report", "lab", Start("incident", ("theft",)), Clock(None, 3)),
)


def settled(policy: model.Policy) -> model.Policy:
    """The same policy without what a rule asks for and nothing is decided by: no policy with that loads."""
    lines = (replace(it, rule_out=_used(it, policy.refresh)) for it in policy.thresholds.values())
    return replace(policy, thresholds=named(*lines))


def _used(line: model.Threshold, refresh: model.Refresh) -> model.RuleOut | None:
    rule, uses = line.rule_out, line.uses
    if rule is None or not uses or uses == model.RULE_FIELDS:
        return rule if uses else None
    left = {
        "confidence": model.NO_CONFIDENCE,
        "elicitation": (),
        "coverage": Fraction(1),
        "run_by": "",
        "assumes": (),
        "refresh": refresh,
    }
    none = model.Buffer(rule.buffer.multiple, Fraction(0), "", {})
    return replace(rule, buffer=none, **{field: it for field, it in left.items() if field not in uses})


@st.composite
def policies(draw: Draw, name: str = "lab", known: dict[str, Any] | None = None) -> model.Policy:
    """Policies as `policy.load` lets them pass."""
    known = draw(measures()) if known is None else known
    names = [f"t{place}" for place in range(draw(st.integers(1, 3)))]
    lines: list[model.Threshold] = []
    for place in reversed(range(len(names))):  # later ones first: earlier ones lean on them
        lines.insert(0, draw(thresholds(names[place], known, tuple(names[place + 1 :]))))
    if len(lines) > 1 and draw(one_in(4)):
        lines[-1] = replace(lines[-1], above=(names[0],))
    void = draw(one_in(5))
    watch = model.Threshold("auto", model.Amount(*draw(amounts())), None, role="watch")
    needs = draw(requirements(known, lines))
    listed = draw(gates(names, list(needs), [name for name in needs if not _empty(name, needs)]))
    placed = {it for cells in listed.values() for it in cells}
    lines = [it if it.name in placed else replace(it, role="watch") for it in lines]
    left = draw(one_in(10))
    open_ = {draw(of(*ACTIONS)): "section 1"} if left else {}
    scope = model.Amount("training_compute", Fraction(draw(of(SIZE // 10, 10 * SIZE)))) if draw(one_in(8)) else None
    made = c.policy(
        id=name,
        version="1.0.0",
        expires=draw(of(AT + 3 * DAY, AT + 300 * DAY)) if draw(one_in(8)) else None,
        scope=model.Scope(scope),
        roles=named(*(model.Role(role, (f"ed25519:{role}",), 1, ()) for role in ROLES)),
        measures=known,
        assumptions=draw(assumptions(void=void)),
        thresholds=named(*lines, watch),
        requirements=needs,
        exceptions=draw(exceptions(needs)),
        gates={action: cells for action, cells in listed.items() if action not in open_},
        not_governed=open_,
        actions=named(model.Action("lend", reversible=draw(st.booleans()))),
        refresh=draw(refreshes()),
        attacker_budget=Fraction(draw(of("1/100", "0", "1/5"))),
        permits=model.Permits(draw(days(30, 7)), Duration(0, 3600 * draw(of(1, 2))), "board", ()),
        report_within=draw(days(21, 7)),
        independent=draw(of("auditor", "board", "")),
        on_hold={"t0": (Response("pause-training", ("reached", "unmet:need-0")),), "scale": (Response("recall"),)},
        duties=DUTIES,
        amendments=model.Amendments(("board",)),
    )
    return settled(made)


@st.composite
def assumptions(draw: Draw, *, void: bool) -> dict[str, model.Assumption]:
    """Every assumption that any elicitation makes, and one more; sometimes void at `auto`."""
    names = dict.fromkeys([*(n for names in model.ASSUMED.values() for n in names), "no-test-awareness", "extra"])
    checked = draw(of("", "extra", "no-evaluation-gaming"))
    made = []
    for name in names:
        it = model.Assumption(name, "auditor", draw(days(60, 30)) if name == "extra" else Duration(2, 0))
        if name in (checked, "valid-understanding"):
            it = replace(it, checked="a-check", coverage=Fraction(4, 5), confidence=Fraction(draw(of("0.95", "0.6"))))
            sharp = {"sharpness": Fraction(4, 5), "sharp_at": Fraction(draw(of("0.5", "0.3")))}
            it = replace(
                it, **draw(of({}, {}, sharp, {"least_parameters": 10**6}, {**sharp, "least_parameters": 10**5}))
            )
        made.append(replace(it, void_at=("auto",)) if void and draw(st.booleans()) else it)
    return named(*made)


@st.composite
def amended(draw: Draw, before: model.Policy) -> model.Policy:
    """A later version: some thresholds, rules, requirements, gates and limits looser, stricter, or gone."""
    lines, needs = dict(before.thresholds), dict(before.requirements)
    for name, it in before.thresholds.items():
        if it.reached_when is not None and draw(st.booleans()):
            lines[name] = replace(it, reached_when=_moved(it.reached_when, before, draw))
        if it.rule_out is not None and draw(st.booleans()):
            lines[name] = replace(lines[name], rule_out=draw(changed_rules(it.rule_out)))
    for name, need in before.requirements.items():
        if isinstance(need, Measured) and draw(st.booleans()):
            needs[name] = replace(need, rule_out=draw(changed_rules(need.rule_out)))
        elif isinstance(need, model.Attested) and draw(one_in(4)):
            changed = {"what": "other words"} if draw(one_in(4)) else {"fresh_for": draw(days(60, 30))}
            needs[name] = replace(need, **changed)
    changes: list[dict[str, Any]] = [
        {},
        {"permits": replace(before.permits, lease=Duration(0, 3 * 86400))},
        {"attacker_budget": Fraction(0)},
        {"independent": ""},
        {"refresh": replace(before.refresh, multiple=Fraction(1))},
        {"report_within": Duration(0, 86400)},
        {"not_governed": {}, "gates": {**before.gates, **dict.fromkeys(before.not_governed, before.gates["lend"])}}
        if "lend" in before.gates
        else {},
        {"exceptions": {}},
        {"scope": model.Scope(model.Amount("training_compute", Fraction(draw(of(SIZE // 10, 10 * SIZE)))))},
        draw(dropped(before)),
        draw(dropped(before)),
    ]
    after = replace(before, version="2.0.0", thresholds=lines, requirements=needs, **draw(st.sampled_from(changes)))
    after = settled(after)
    return draw(extended(after)) if draw(one_in(4)) and "new" not in before.thresholds else after


@st.composite
def dropped(draw: Draw, before: model.Policy) -> dict[str, Any]:
    """A gate of a version less: the whole of it, left open, or one of its cells, of a threshold gated elsewhere."""
    action = draw(of(*before.gates)) if before.gates else ""
    others = {name for other, cells in before.gates.items() if other != action for name in cells}
    if not before.gates.keys() - {action} or not others.issuperset(before.gates[action]):
        return {}
    if draw(st.booleans()):
        left = {other: cells for other, cells in before.gates.items() if other != action}
        return {"gates": left, "not_governed": {**before.not_governed, action: "section 2"}}
    cells = dict(before.gates[action])
    del cells[draw(of(*cells))]
    return {"gates": {**before.gates, action: cells}} if any(it.requires for it in cells.values()) else {}


@st.composite
def extended(draw: Draw, before: model.Policy) -> model.Policy:
    """With names that the version before did not have: a threshold, its assumption, its requirement."""
    expr = draw(expressions(dict(before.measures), (), 0))
    rule = replace(draw(rules(dict(before.measures))), assumes=draw(of((), ("later",))))
    new = model.Threshold("new", expr, rule if isinstance(expr, model.At) else None)
    need = model.Attested("need-new", "", "auditor", "developer", Duration(2, 0))
    later = model.Assumption("later", "auditor", Duration(2, 0))
    gates_ = {action: {**cells, "new": model.Cell(("need-new",))} for action, cells in before.gates.items()}
    return replace(
        before,
        thresholds={**before.thresholds, "new": new},
        requirements={**before.requirements, "need-new": need},
        assumptions={**before.assumptions, "later": later},
        gates=gates_,
    )


def _moved(expr: model.Expr, before: model.Policy, draw: Draw) -> model.Expr:
    if isinstance(expr, model.At):
        share = Fraction(draw(of("1/2", "3/10", "3/4", "9/10")))
        return model.At(expr.measure, level_of(dict(before.measures), expr.measure, share))
    if isinstance(expr, AtLeast):
        return AtLeast(expr.count, tuple(_moved(part, before, draw) for part in expr.parts))
    return expr


@st.composite
def changed_rules(draw: Draw, rule: model.RuleOut) -> model.RuleOut:
    """The rule with one thing changed."""
    looser = model.Buffer(Fraction(1), Fraction(0), "", {})
    return replace(
        rule,
        **draw(
            of(
                {"confidence": Fraction(draw(of("0.95", "0.6")))},
                {"coverage": Fraction(draw(of("0.8", "0.5", "1")))},
                {"elicitation": rule.elicitation[:1]},
                {"run_by": draw(of("lab", "second"))},
                {"buffer": looser},
                {"assumes": ()},
                {"buffer": replace(rule.buffer, multiple=Fraction(3))},
            )
        ),
    )


# -- evidence ----------------------------------------------------------------------------------------------------------

RECIPES = (c.digest("recipe"), c.digest("another recipe"))
#: How many demonstrations an elicitor was certified on, as a rule: more than any policy demands; and now and then.
CERTIFIED_ON, COUNTS = 12, (0, 11, 13, 17)
#: What may be different about one evaluation.
CHANGES: tuple[dict[str, Any], ...] = (
    *({"bad": bad} for bad in (2, 5, 12, 20, 45, COUNT)),
    *({"scored": scored} for scored in (COUNT - 1, COUNT - 8, COUNT // 2, 0)),
    *({"samples": samples} for samples in (0, 2, 15)),
    *({"planned_at": AT - n * DAY} for n in (1, 5, 28, 40, 100, 900)),
    *({"signers": {"board"}}, {"plan_signers": {"board"}}, {"signers": {"lab", "second", "auditor", "board"}}),
    *({"planned": False}, {"reported": False}, {"reported": False, "planned_at": AT - 3 * DAY}),
    *({"subject": who} for who in (FOUNDATION, CHILD, SIBLING)),
    *({"version": 2}, {"metric": "f1"}, {"unit": "family"}, {"unit": "sample"}, {"seed": 1}),
    *({"shots": 0}, {"demonstrations": 0}, {"flop": 0}, {"attempts": 1}, {"tools": False}, {"safety_ablated": False}),
    *({"refused_scores": 20}, {"refused_at_most": 20}, {"samples_digest": "00" * 32}),
    *({"deployment": OFFERED}, {"deployment": None}),
    *({"unreadable": True}, {"elicitation": "prompted"}, {"late": True}),
    *({"recipe": recipe} for recipe in ("unknown", *RECIPES)),
    *({"demonstrations": n} for n in (1, *COUNTS)),
    *({"stopped_at": n} for n in (COUNT, COUNT // 2, 20, 3, 0, COUNT + 1)),
    *({"stopped_at": 30, **it} for it in ({"stopping": "fixed"}, {"order_seed": None}, {"bad": 5}, {"bad": 28})),
    *({"stopped_at": n, "samples": 500} for n in (COUNT, 200)),
    *({"stopped_at": COUNT, "order_by": who} for who in ((), ("board",), ("auditor", "board"))),
)


def evaluation(of_what: Any, elicitation: str, made: dict[str, Any]) -> Run:
    """A run of a measure, with `bad` dangerous units."""
    made = dict(made)
    samples = made.setdefault("samples", COUNT)
    if "stopped_at" in made:
        made = {"stopping": "e-process", "order_seed": 3, **made}
        order_by = made.pop("order_by", ("auditor",))
        made |= {who: {*made.get(who, {"lab"}), *order_by} for who in ("plan_signers", "signers")}
    scored = made["scored"] = min(samples, made.get("scored", samples), made.get("stopped_at", samples))
    bad = min(scored, made.pop("bad", 0))
    planned_at = made.setdefault("planned_at", AT - 20 * DAY)
    made.setdefault("at", planned_at + (19 * DAY if made.pop("late", False) else HOUR))
    made["at"] = min(made["at"], max(planned_at, AT))
    low, high = getattr(of_what, "low", Fraction(0)), getattr(of_what, "high", Fraction(1))
    count = scored - bad if getattr(of_what, "danger", "higher") == "lower" else bad
    if (low, high) == (0, 1) and not made.pop("unreadable", False):
        made["correct"] = count
    else:
        over = 1 if made.pop("unreadable", False) or (low, high) == (0, 1) else 0
        made["total"] = scored * low + count * (high - low) + over * (scored * (high - low) + 1)
    made.setdefault("samples_digest", SAMPLES)
    made.setdefault("recipe", RECIPES[0])
    made.setdefault("task", of_what.task)
    made.setdefault("report_by", planned_at + 20 * DAY)
    return c.run(made.pop("elicitation", elicitation), **made)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that some policy asks for."""

    measure: Any
    elicitation: str
    protocol: dict[str, Any]


def wanted(used: list[model.Policy]) -> Iterator[Wanted]:
    """What all rules and judged thresholds ask for, each once, as hard as any asks."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    about: dict[tuple[str, str], Any] = {}
    for policy in used:
        parts = parts_of(policy)
        owners = [*policy.thresholds.values(), *policy.requirements.values()]
        for owner in owners:
            for demand in getattr(getattr(owner, "rule_out", None), "elicitation", ()):
                for it in measured_by(parts, owner):
                    key = (it.task, demand.elicitation)
                    about[key] = it
                    _harder(found.setdefault(key, {}), demand, it)
            for name in owner.judged.on if isinstance(owner, model.Threshold) and owner.judged else ():
                it = policy.measures.get(name)
                if it is not None and not any(key[0] == it.task for key in found):
                    about[it.task, "prompted"] = it
                    found[it.task, "prompted"] = {"deployment": OFFERED if it.on == "deployment" else None}
    for key, protocol in found.items():
        yield Wanted(about[key], key[1], protocol)


def _harder(protocol: dict[str, Any], demand: model.Demand, it: model.Measure) -> None:
    shown = "shots" if demand.elicitation == "few-shot" else "demonstrations"
    least = max(1 if demand.elicitation in {"few-shot", "fine-tuned"} else 0, demand.demonstrations)
    protocol[shown] = max(protocol.get(shown, 0), least)
    protocol["demonstrations"] = max(protocol.get("demonstrations", 0), CERTIFIED_ON)
    protocol["flop"] = max(protocol.get("flop", 0), demand.flop)
    protocol["attempts"] = max(protocol.get("attempts", 1), demand.attempts)
    protocol["tools"] = protocol.get("tools", False) or demand.tools
    protocol["safety_ablated"] = protocol.get("safety_ablated", False) or demand.safety_ablated
    protocol["deployment"] = OFFERED if it.on == "deployment" else None
    protocol["unit"] = it.unit


@st.composite
def evaluations(draw: Draw, used: list[model.Policy], subject: str, bad: int = 0) -> list[Run]:
    """Everything that is wanted, on one subject, with few things different."""
    runners = {it.rule_out.run_by for p in used for it in (*p.thresholds.values(),) if it.rule_out}
    runners |= {it.rule_out.run_by for p in used for it in p.requirements.values() if isinstance(it, Measured)}
    made = []
    for want in wanted(used):
        change = draw(st.sampled_from([{}] * 250 + list(CHANGES)))
        few = {"demonstrations": CERTIFIED_ON - 1} if draw(one_in(3)) else {}
        signed = {"signers": runners | {"lab"}, "plan_signers": runners | {"lab"}}
        made.append(
            evaluation(
                want.measure,
                want.elicitation,
                {"subject": subject, "bad": bad, **signed, **want.protocol, **few, **change},
            )
        )
    return made


@st.composite
def more_runs(draw: Draw, used: list[model.Policy], subjects: tuple[str, ...] = KIN) -> Run:
    """An evaluation that need not be demanded, of anybody in the family."""
    about = draw(of(*(it for p in used for it in p.measures.values() if hasattr(it, "task"))))
    signers = draw(st.sets(of(*ROLES), min_size=1, max_size=3))
    change = {**draw(st.sampled_from(CHANGES)), **draw(st.sampled_from(CHANGES))}
    made = {
        "subject": draw(of(*subjects)),
        "signers": signers,
        "plan_signers": signers,
        "planned_at": draw(of(*MOMENTS)),
        "bad": draw(of(COUNT, 45, 0)),
        "seed": draw(st.integers(2, 9)),
        "demonstrations": draw(of(0, 16)),
        "deployment": OFFERED if about.on == "deployment" and draw(st.booleans()) else None,
        **change,
    }
    if draw(one_in(4)):
        made["report_by"] = draw(of(AT, AT + 5 * DAY))
    return evaluation(about, draw(of(*TRAINABLE)), made)


# -- words -------------------------------------------------------------------------------------------------------------


@st.composite
def words(draw: Draw, used: list[model.Policy]) -> Any:
    """A signed word, of anybody about anything."""
    names = [name for p in used for name in (*p.assumptions, *p.requirements)]
    at, by = draw(of(*MOMENTS)), draw(st.sets(of(*ROLES), min_size=1, max_size=2))
    about, name = draw(of(None, OFFERED, *KIN)), draw(st.sampled_from(names))
    if draw(st.booleans()):
        return c.attested(name, about=about, by=by, at=at)
    return c.stated(name, about=about, by=by, at=at, check=draw(of(None, *CHECKS)))


def valid(**changes: Any) -> Check:
    """A check of an elicitor that is as it should be, but for some things."""
    made = {
        "recipe": RECIPES[0], "demonstrations": CERTIFIED_ON, "ruled_out": 20, "honest": 20, "at": Fraction(3, 10),
        "least_parameters": 10**6, "confidence": Fraction(6, 10),
    }  # fmt: skip
    return Check("a-check", passed=True, caught=20, organisms=20, validity=Validity(**{**made, **changes}))


CHECKS = (
    valid(),
    Check("a-check", passed=True, caught=20, organisms=20),
    valid(recipe=RECIPES[1]),
    *(valid(**it) for it in ({"ruled_out": 15}, {"honest": 0, "ruled_out": 0}, {"at": Fraction("0.31")})),
    *(valid(**it) for it in ({"at": Fraction("0.51")}, {"least_parameters": 10**6 - 1}, {"least_parameters": 99_999})),
    *(valid(**it) for it in ({"recipe": "unknown"}, *({"demonstrations": n} for n in COUNTS))),
    *(valid(confidence=Fraction(it)) for it in ("0.61", "0.9", "0.96")),
    Check("a-check", passed=True, caught=15, organisms=20),
    Check("a-check", passed=False, caught=20, organisms=20),
    Check("other", passed=True, caught=20, organisms=20),
)


@st.composite
def doubts(draw: Draw, used: list[model.Policy], about: str) -> Any:
    """A check that failed on one of the family."""
    names = dict.fromkeys(name for p in used for name, it in p.assumptions.items() if it.checked)
    check = Check("a-check", passed=False, caught=20, organisms=20)
    return c.stated(draw(of(*names)), about=about, by=["auditor"], at=draw(of(*MOMENTS)), check=check)


def said(used: list[model.Policy], subject: str, others: tuple[str, ...], *, at: datetime) -> list[Any]:
    """Every word that the policies ask for."""
    made = []
    for policy in used:
        for name, it in policy.assumptions.items():
            check = CHECKS[0 if it.sharpness or it.least_parameters else 1] if it.checked else None
            made += [c.stated(name, about=who, by=[it.by], at=at, check=check) for who in (subject, *others)]
        for name, need in policy.requirements.items():
            if isinstance(need, model.Attested):
                about = {"subject": subject, "deployment": OFFERED, "developer": None}[need.about]
                made.append(c.attested(name, about=about, by=[need.by], at=at))
    return list(dict.fromkeys(made))


def judgements(used: list[model.Policy], subject: str, made: list[Run], words_: list[Any]) -> list[Any]:
    """What the judges say when everything is in order."""
    items = [it for it in made if it.result is not None and it.result.subject == subject]
    found = []
    for policy in used:
        for name, it in policy.thresholds.items():
            if it.judged is not None and it.judged.on:
                about = (subject, OFFERED, None)
                named_words = [w for w in words_ if not w.is_assumption and w.about in about]
                found.append(c.judged(name, "below", *items, *named_words, subject=subject, at=AT - 5 * DAY))
    return list({it.digest: it for it in found}.values())


@st.composite
def families(draw: Draw) -> Any:
    """The family of `cases`, with steps that may be within the attacker's budget, and compute in an interval."""
    costs = of(SIZE, SIZE // 100, 0, SIZE // 10)

    def size() -> dict[str, int]:
        low = draw(of(SIZE, SIZE, SIZE // 4))
        high = low * draw(of(*[1] * 9, 2, 2, 3))
        return {"training_compute": low, "ec_low": low, "ec_high": high}

    continued = draw(of("continued", "continued", "fine-tuned"))
    steps = (Step(FOUNDATION, continued, draw(costs)),) if draw(st.booleans()) else ()
    child = [Step(MODEL, draw(of("continued", "adapter")), draw(costs))]
    child += [Step(draw(of(SIBLING, FOUNDATION)), "merged", draw(costs))] if draw(one_in(6)) else []
    unknown = (Step(c.digest("nobody"), "continued", 0),) if draw(one_in(40)) else ()
    return c.family(
        foundation={**size(), "steps": unknown},
        model={**size(), "steps": steps},
        child={**size(), "steps": tuple(child)},
        sibling={**size(), "steps": (Step(FOUNDATION, draw(of(*["fine-tuned"] * 3, "continued")), draw(costs)),)},
        reference={**size(), "steps": (Step(FOUNDATION, "adapter", draw(costs)),) if draw(one_in(8)) else ()},
    )


@st.composite
def snapshots(draw: Draw, subject: str, other: str) -> dict[str, tuple[Step, ...]]:
    """Steps by which two were continued from the foundation, near or far, for no little; at times twice over, or
    from a copy.
    """
    between = next(iter({MODEL, CHILD, SIBLING} - {subject, other}))

    def step(sizes: Any, *parents: str) -> Step:
        return Step(draw(of(*parents)), "continued", draw(sizes) * SIZE // 2)

    far = [step(of(1, 1, 2), between, between, FOUNDATION)]
    far += [step(of(1, 4), FOUNDATION, between)] * draw(one_in(6))
    near = [step(of(2, 3, 4), FOUNDATION, FOUNDATION, between)]
    first = step(of(1, 1, 2), FOUNDATION)
    copied = Step(FOUNDATION, draw(of("edited", "fine-tuned")), draw(of(0, SIZE // 100, SIZE // 10)))
    ways = {between: (copied if draw(one_in(3)) else first,), subject: tuple(far), other: tuple(near)}
    return ways if draw(st.booleans()) else {**ways, subject: tuple(near), other: tuple(far)}


# -- what else happens -------------------------------------------------------------------------------------------------


@st.composite
def incidents(draw: Draw, used: list[model.Policy]) -> Any:
    """An incident; one in two ends results or names something."""
    names = [name for p in used for name in p.thresholds]
    needs = [name for p in used for name in p.requirements]
    return c.incident(
        draw(of("theft", "refresh", "other")),
        subject=draw(of(None, *KIN)),
        thresholds=draw(some(names, 1)) if draw(one_in(3)) else (),
        requirements=draw(some(needs, 1)) if draw(one_in(2)) else (),
        members=draw(some(ROLES)),
        at=draw(of(*MOMENTS)),
    )


@st.composite
def forecasts(draw: Draw, used: list[model.Policy]) -> Any:
    """A forecast of a measure."""
    about = [name for p in used for name, it in p.measures.items() if isinstance(it, model.Measure | model.Mean)]
    return c.forecast(
        draw(st.sampled_from(about)),
        margin=draw(of("0.05", "0", "0.4")),
        multiple=draw(of(6, 2, 1)),
        by=draw(some(["auditor", "board"])),
        at=draw(of(*MOMENTS[1:])),
    )


@st.composite
def verdicts(draw: Draw, used: list[model.Policy], made: list[Run]) -> Any:
    """A judgement of anybody, on some of the runs."""
    names = [name for p in used for name, it in p.thresholds.items() if it.judged is not None] or ["t0"]
    members = draw(some(ROLES))
    return c.judged(
        draw(st.sampled_from(names)),
        draw(of("reached", "below")),
        *[it for it in made if it.result is not None],
        subject=draw(of(*KIN)),
        by=draw(of((), members)),
        members=members,
        at=draw(of(*MOMENTS[:5])),
    )


@st.composite
def ledgers(draw: Draw, used: list[model.Policy], versions: tuple[Version, ...], subject: str) -> Facts:
    """Everything that is asked for, but for what this changes."""
    calm = draw(one_in(3))
    leaning = any(
        isinstance(way, model.UnderReference) for p in used for it in p.thresholds.values() for way in it.below_if
    )
    tested = FOUNDATION if draw(one_in(8)) else subject
    bad = draw(of(*[0] * 5, 12, 25, 45))
    made = draw(evaluations(used, tested, bad)) if not draw(one_in(12)) else []
    made += draw(evaluations(used, REFERENCE, bad=16)) if leaning else []
    more = [] if calm else draw(st.lists(more_runs(used), max_size=1 + draw(one_in(4))))
    family, doubted = draw(families()), []
    if draw(one_in(2)):
        other = draw(st.sampled_from([it for it in (SIBLING, CHILD, MODEL) if it != subject]))
        family |= {it: replace(family[it], steps=way) for it, way in draw(snapshots(subject, other)).items()}
        more += draw(evaluations(used, other, draw(of(COUNT, COUNT, 12, 0))))
        doubted = draw(st.lists(doubts(used, other), max_size=1))
    made = list({it.name: it for it in [*made, *more]}.values())
    told = said(
        used,
        subject,
        (FOUNDATION,) * (tested != subject) + (REFERENCE,) * leaning,
        at=draw(of(*[AT - 10 * DAY] * 3, AT - DAY)),
    )
    missing = draw(st.sets(st.integers(0, 6 * len(told)), max_size=2))
    told = [word for place, word in enumerate(told) if place not in missing]
    told += [] if calm or not draw(one_in(3)) else draw(st.lists(words(used), max_size=2))
    told = [*doubted, *told] if draw(st.booleans()) else [*told, *doubted]
    judged = judgements(used, subject, made, told)
    foreseen = [
        c.forecast(name, margin="0.05", by=["auditor"], at=AT - 10 * DAY)
        for name in dict.fromkeys(
            n for p in used for n, it in p.measures.items() if not isinstance(it, model.Unbounded)
        )
        if not draw(one_in(10))
    ]
    opened = [c.amended("way", by=["board", "auditor"], at=AT - draw(of(2, 20)) * DAY)] if draw(one_in(2)) else []
    happened = []
    if not calm:
        judged += draw(st.lists(verdicts(used, made), max_size=1)) if draw(one_in(4)) else []
        foreseen += draw(st.lists(forecasts(used), max_size=1))
        happened = draw(st.lists(incidents(used), max_size=1)) if draw(one_in(3)) else []
        opened += [
            c.amended(
                "way", subject=draw(of(*KIN)), published=draw(of("x", " ")), by=draw(some(ROLES)), at=draw(of(*MOMENTS))
            )
        ] * draw(one_in(6))
    known = c.facts(
        *made,
        subjects=family,
        attestations=told,
        judgements=judged,
        forecasts=foreseen,
        incidents=happened,
        amendments=opened,
    )
    known = replace(known, deployments={OFFERED: Deployment(OFFERED, "api", subject)})
    if not calm:
        known = draw(taken_back(known))
    return replace(known, approvals=draw(approvals(known, versions, subject)))


@st.composite
def taken_back(draw: Draw, known: Facts) -> Facts:
    """With a withdrawal, or something set aside; perhaps after a plan was reported once more."""
    withdrawals, asides = (), ()
    planned = [it for it in known.results if it.plan]
    if planned and draw(one_in(4)):
        it = draw(st.sampled_from(planned))
        again = replace(it, digest=c.digest(f"again {it.digest}"), entry=it.entry + 1000)
        if draw(one_in(2)):  # on a twin of its plan
            at = it.plan.at + draw(of(0, 0, 5)) * DAY
            again = replace(again, plan=replace(it.plan, digest=c.digest(f"twin {it.plan.digest}"), at=at))
            known = replace(known, plans=(*known.plans, again.plan))
        known = replace(known, results=(*known.results, again))
        at = it.at + draw(of(0, 0, 10)) * DAY
        withdrawals = (c.withdrawn(it, by=sorted(it.signers), at=at),) if draw(st.booleans()) else ()
    lists = (known.results, known.plans, known.attestations, known.judgements, known.forecasts, known.amendments)
    everything = [it for told in lists for it in told]
    if everything and draw(one_in(4)):
        it = draw(st.sampled_from(everything))
        by = draw(of(sorted(it.signers) or ["lab"], ["board"]))
        withdrawals += (c.withdrawn(it, by=by, at=draw(of(*MOMENTS[:4]))),)
    against = [*known.results, *known.incidents]
    if against and draw(one_in(4)):
        it = draw(st.sampled_from(against))
        asides = (c.aside(it, by=[draw(of("auditor", "board"))], at=draw(of(*MOMENTS[:5]))),)
    return replace(known, withdrawals=withdrawals, set_asides=asides)


@st.composite
def approvals(draw: Draw, known: Facts, versions: tuple[Version, ...], subject: str) -> tuple[Any, ...]:
    """Approvals that saw what is found now, and some that did not."""
    wanted_ = [
        (v.policy, need)
        for v in versions
        for need in v.policy.requirements.values()
        if isinstance(need, model.Approved)
    ]
    if not wanted_ or subject not in known.subjects:
        return ()
    states = ("below", "reached", "not ruled out") if draw(one_in(8)) else ()
    seen = []
    for version in versions:
        for action in version.policy.gates:
            found = decide([version], known, subject=subject, action=action, at=AT, deployment=OFFERED)
            shares = [it.policy.attacker_budget for it in versions if it.policy.id == version.policy.id]
            seen += [
                c.saw(known, cell.finding.threshold, state, under=version.policy.id, subject=subject, share=max(shares))
                for cell in found.cells
                for state in (cell.finding.state, *states)
            ]
    saw = draw(of(*[tuple(dict.fromkeys(seen))] * 4, ("00",)))
    made = []
    for _, need in wanted_:
        about = {"subject": subject, "deployment": OFFERED, "developer": None}[need.about]
        made.append(c.approved(need.name, *saw, about=about, by=[need.by], at=AT - draw(of(2, 2, 40)) * DAY))
    return tuple({it.digest: it for it in made}.values())


# -- questions ---------------------------------------------------------------------------------------------------------


def since(used: model.Policy, name: str, at: datetime, entered: datetime | None = None) -> Version:
    """A version that the ledger took in when it took effect, or earlier."""
    return Version(used, c.digest(name), at, entered or at)


@st.composite
def histories(draw: Draw) -> tuple[Version, ...]:
    """One or two policies, in one to three versions."""
    first = draw(policies())
    policy_versions = [since(first, "1", AT - draw(of(200, 200, 15)) * DAY, AT - 200 * DAY)]
    if draw(one_in(3)):
        second = draw(amended(first))
        begins = draw(of(AT - 15 * DAY, AT - 30 * DAY, AT - 8 * DAY, AT - 2 * DAY, AT, AT + 5 * DAY))
        policy_versions.append(since(second, "2", begins))
        if draw(one_in(4)):
            third = replace(draw(amended(second)), version="3.0.0")
            policy_versions.append(since(third, "3", begins + draw(of(DAY, 3 * DAY))))
    if draw(one_in(5)):
        more = first.measures if draw(st.booleans()) else None
        policy_versions.append(since(draw(policies("state", more)), "4", AT - draw(of(200, 15, -3)) * DAY))
    return tuple(policy_versions)


@st.composite
def cases(draw: Draw) -> Case:
    """A question, mostly one that might be permitted."""
    versions = draw(histories())
    subject = draw(of(MODEL, MODEL, MODEL, CHILD))
    used = [v.policy for v in versions]
    known = draw(ledgers(used, versions, subject))
    asked = subject if not draw(one_in(40)) else c.digest("nobody")
    action = draw(of(*ACTIONS)) if not draw(one_in(30)) else "sell"
    at = AT + draw(of(*[0 * DAY] * 30, HOUR, HOUR + SECOND, 2 * HOUR, -SECOND))
    deployment = draw(of(*[OFFERED] * 6, *[None] * 4, c.digest("no deployment")))
    if any(getattr(m, "on", "") == "deployment" for p in used for m in p.measures.values()) and not draw(one_in(6)):
        deployment = OFFERED
    return Case(versions, known, asked, action, at, deployment)


def size(known: Facts) -> int:
    """How much a ledger says."""
    return sum(len(getattr(known, it.name)) for it in fields(known) if it.name != "checkpoint")
