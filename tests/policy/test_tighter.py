"""A change counts as tightening only where it is shown to be one."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

import ledger_lab
from decide import cases
from interlock.policy import model
from interlock.policy.draft import stand_in
from interlock.policy.duty import Response
from interlock.policy.load import loads
from interlock.policy.tighter import changed, loosened

TEXT = (
    ledger_lab.FROZEN.replace(
        "gates:\n",
        """exceptions:
  meanwhile: {kind: interim, instead_of: [agreed], requires: [watched], approved_by: [board], lasts: 1 month}
gates:
""",
        1,
    )
    .replace(
        "requirements:\n",
        "requirements:\n  safe: {hole: nobody knows, owner: board, review: 2027-06-01}\n",
    )
    .replace("expert: [watched]", "expert: [watched, safe]")
)


def policy(*changes):
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return loads(text, name="policy.yaml", folder=Path("nowhere"), absent=stand_in)


OLD = policy()

TIGHTER = {
    "nothing": (),
    "another version and title": (("version: 1.0.0", "version: 1.1.0"), ("title: What", "title: Now what")),
    "a lower level": (("skill >= 0.50", "skill >= 0.45"),),
    "a level reached by one more measure": (("skill >= 0.30", "{any_of: [skill >= 0.30, training_compute >= 1e20]}"),),
    "a harder elicitation": (("elicitation: [prompted]", "elicitation: [{prompted: {attempts: 2}}]"),),
    "a margin": (("buffer: {none: a test}", 'buffer: {effective_compute: 1x, margin: 0.1, source: "x"}'),),
    "a shorter refresh": (("period: 3 months, events", "period: 2 months, events"),),
    "one more event": (("[new-tools]", "[new-tools, fine-tuning-opened]"),),
    "one more threshold at a gate": (("deploy-api:      {", "deploy-api:      {expert: [watched], "),),
    "one more requirement in a cell": (("adept: [agreed]", "adept: [agreed, watched]"),),
    "a requirement that is never met": (("adept: [agreed]", "adept: [agreed, never]"),),
    "a hole that is filled": (
        ("{hole: nobody knows, owner: board, review: 2027-06-01}", TEXT.split("watched: ")[1].split("\n")[0]),
    ),
    "words that last less long": (("about: developer, fresh_for: 3 months", "about: developer, fresh_for: 2 months"),),
    "a shorter lease": (("lease: 30 days", "lease: 7 days"),),
    "a longer notice": (("notice: 30 days", "notice: 60 days"),),
    "a greater attacker's budget": (("share: 0.01", "share: 0.02"),),
    "a quorum of three": (("quorum: 2", "quorum: 3"),),
    "one more who approves amendments": (
        ("approved_by: [board], notice", "approved_by: [board, external-auditor], notice"),
    ),
}

MORE = "{kind: interim, instead_of: [watched], requires: [agreed], approved_by: [board], lasts: 1 month}"
LOOSER = {
    "a higher level": (("skill >= 0.50", "skill >= 0.55"),),
    "a level that two measures must reach": (("skill >= 0.30", "{all_of: [skill >= 0.30, training_compute >= 1e10]}"),),
    "less confidence": (("{confidence: 0.95, elic", "{confidence: 0.9, elic"),),
    "more confidence, by which what is found on kin shows less": (
        ("{confidence: 0.95, elic", "{confidence: 0.99, elic"),
    ),
    "one more elicitation, which may be the one that ends overdue": (
        ("elicitation: [prompted]", "elicitation: [prompted, few-shot]"),
    ),
    "an exception that is gone, along which incidents spread": (("exceptions:\n", ""), ("  meanwhile: ", "# ")),
    "another elicitation": (("elicitation: [prompted]", "elicitation: [few-shot]"),),
    "less coverage": (("coverage: 0.98, run_by", "coverage: 0.9, run_by"),),
    "another who runs it": (("run_by: evaluation-team", "run_by: gatekeeper"),),
    "a longer refresh": (("period: 3 months, events", "period: 4 months, events"),),
    "another length that may be longer": (("period: 3 months, events", "period: 90 days, events"),),
    "a cell that is gone": (
        ("  deploy-internal: {judged: [never]}", "  deploy-internal: {expert: [watched]}"),
        ("expert: [watched, safe]", "expert: [watched, safe], judged: [never]"),
    ),
    "a requirement fewer in a cell": (("expert: [watched, safe]", "expert: [watched]"),),
    "a requirement in other words": (("use is watched", "use is watched at times"),),
    "a requirement of somebody else": (
        ("watched: {attested: use is watched, by: external-auditor", "watched: {attested: use is watched, by: board"),
    ),
    "words that last longer": (("about: developer, fresh_for: 3 months", "about: developer, fresh_for: 4 months"),),
    "what is attested becomes a hole": (
        (TEXT.split("watched: ")[1].split("\n")[0], "{hole: nobody knows, owner: board, review: 2027-06-01}"),
    ),
    "a new exception": (
        (
            "exceptions:\n",
            f"exceptions:\n  more: {MORE}\n",
        ),
    ),
    "an exception that lasts longer": (("lasts: 1 month", "lasts: 2 months"),),
    "an action that is left open": (
        ("  deploy-api:      {adept: [agreed]}\n", ""),
        ("expert: [watched, safe]", "expert: [watched, safe], adept: [agreed]"),
        ("release-weights: not", "deploy-api: x, release-weights: not"),
    ),
    "a gate that was not governed": (
        ("not_governed: {release-weights: not tested here}\n", ""),
        ("gates:\n", "gates:\n  release-weights: {expert: [watched]}\n"),
    ),
    "a new key": (("keys/board-3.pub", "keys/board-4.pub"),),
    "a smaller quorum": (("quorum: 2", "quorum: 1"),),
    "another independent role": (("independent: external-auditor", "independent: gatekeeper"),),
    "an assumption that is defined now": (
        ("assumptions:\n", "assumptions:\n  good-demonstrations: {stated_by: external-auditor, fresh_for: 1 month}\n"),
    ),
    "a way to be below": (
        (
            "    reached_when: skill >= 0.30\n",
            "    reached_when: skill >= 0.30\n    below_if: [training_compute < 1e20]\n",
        ),
    ),
    "a shorter notice": (("notice: 30 days", "notice: 29 days"),),
    "no longer frozen": ((", frozen_while: reached", ""),),
    "a smaller attacker's budget": (("share: 0.01", "share: 0.005"),),
    "a duty that is gone": (
        ("duties:\n", "duties:\n  other: {do: x, by: gatekeeper, starts: {effective: true}, within: 1 day}\n#"),
    ),
    "a longer time to report": (("report_within: 21 days", "report_within: 22 days"),),
    "another task": (("lab/skill@1", "lab/skill@2"),),
}


@pytest.mark.parametrize("name", TIGHTER)
def test_what_only_tightens_is_shown_to(name):
    assert loosened([OLD], policy(*TIGHTER[name])) == ()


@pytest.mark.parametrize("name", LOOSER)
def test_what_loosens_is_named(name):
    assert loosened([OLD], policy(*LOOSER[name])) != ()


@pytest.mark.parametrize("name", [name for name in TIGHTER if name not in {"nothing", "a hole that is filled"}])
def test_taking_a_tightening_back_loosens(name):
    there = policy(*TIGHTER[name])
    if name == "another version and title":
        assert loosened([there], OLD) == ()
    else:
        assert loosened([there], OLD) != ()


def test_a_cell_that_was_dropped_is_not_brought_back_with_less():
    """Between the two, what the first version saw holds the gate by its own cell."""
    dropped = replace(OLD, gates={**OLD.gates, "scale": {"adept": model.Cell(("watched",))}})
    back = replace(OLD, gates={**OLD.gates, "scale": {**dropped.gates["scale"], "expert": model.Cell(("agreed",))}})
    assert loosened([dropped], back) == ()
    assert loosened([OLD, dropped], back) == ("gates.scale.expert is brought back",)


def test_a_threshold_that_was_dropped_is_not_brought_back():
    without = replace(OLD, thresholds={name: it for name, it in OLD.thresholds.items() if name != "adept"}, gates={})
    assert "thresholds.adept is brought back" in loosened([OLD, without], OLD)


def test_every_field_of_a_policy_is_compared_or_is_prose():
    """A change of any field is seen: by `changed` always, by `loosened` unless it decides nothing."""
    prose = {"version", "title", "effective", "supersedes", "attacker_budget_source", "context", "sources"}
    for name in (it.name for it in fields(OLD)):
        other = replace(OLD, **{name: object()}) if name not in _MAPPINGS else None
        if other is not None and name in {"id", "imposed_by", "scope", "independent"}:
            assert loosened([OLD], other) == (f"policy.{name} changed",)
        elif other is not None and name in prose - {"context"}:
            assert loosened([OLD], other) == ()


_MAPPINGS = {it.name for it in fields(OLD) if not isinstance(getattr(OLD, it.name), str | tuple | model.Scope)}


def test_what_changed_is_named():
    assert changed(OLD, policy(("skill >= 0.50", "skill >= 0.45"), ("version: 1.0.0", "version: 1.1.0"))) == (
        "version changed",
        "thresholds.expert changed",
    )


# -- part by part, where the other way round is tighter ----------------------------------------------------------------

A, B = model.At("a", Fraction("0.2")), model.At("b", Fraction("0.2"))
RULE = cases.quick(buffer=cases.buffer(period=cases.QUARTER, fresh_for=cases.QUARTER))
LATER = datetime(2028, 1, 1, tzinfo=UTC)
RESPONSE = Response(when=(), do="stop", notify=(), within=None, to=())


def _threshold(expr=A, **changes):
    return {"thresholds": cases.named(cases.line("t", expr, **changes))}


def _either(*parts, count=1):
    return _threshold(model.AtLeast(count, parts))


def _judged(*on, fresh_for=cases.QUARTER):
    return _threshold(None, judged=model.Judged("board", on, fresh_for), rule_out=None)


def _requirement(made):
    return {"requirements": cases.named(made)}


def _measured(level, **changes):
    return _requirement(model.Measured("r", "a", Fraction(level), replace(RULE, **changes)))


def _combined(count, *of):
    return _requirement(model.Combined("r", count, of))


def _measure(**changes):
    return {"measures": {**cases.MEASURES, "a": cases.measure("a", **changes)}}


def _exception(until):
    made = model.ExceptionRule("e", "interim", ("audit",), ("never",), ("board",), cases.MONTH, until)
    return {"exceptions": cases.named(made)}


def _assumed(**changes):
    said = model.Assumption("no-evaluation-gaming", "board", cases.QUARTER, "probe", Fraction("0.9"), Fraction("0.95"))
    return {"assumptions": cases.named(replace(said, **{"void_at": ("t",), **changes}))}


def _amount(level):
    return _threshold(model.Amount("training_compute", Fraction(level)), rule_out=None)


def _incidents(*kinds):
    return {"context": replace(cases.policy().context, incidents=dict.fromkeys(kinds, ()))}


MEAN = {**cases.MEASURES, "m": model.Mean("m", {"a": Fraction(1)})}
LESS = {name: cases.measure(name, danger="lower") for name in "abc"}
SCREEN = (model.UnderScreen("s"),)
UNDER = {level: (model.UnderQuantity("training_compute", Fraction(level)),) for level in (5, 9)}
PARTS = {  # what is named: (what the stricter version says, what the looser one says)
    "expires is later": ({"expires": LATER}, {"expires": None}),
    "on_hold.scale has lost an item": ({"on_hold": {"scale": (RESPONSE,)}}, {"on_hold": {}}),
    "incidents has lost an item": (_incidents("theft", "leak"), _incidents("theft")),
    "measures.a.samples_digest changed": (_measure(samples_digest="5a" * 32), _measure(samples_digest="")),
    "measures.a.least_samples is less": (_measure(least_samples=200), _measure(least_samples=100)),
    "assumptions.no-evaluation-gaming.fresh_for may be longer": (_assumed(fresh_for=cases.MONTH), _assumed()),
    "assumptions.no-evaluation-gaming.coverage is less": (_assumed(), _assumed(coverage=Fraction("0.8"))),
    "assumptions.no-evaluation-gaming.confidence is less": (_assumed(), _assumed(confidence=Fraction("0.9"))),
    "assumptions.no-evaluation-gaming.sharpness is less": (
        _assumed(sharpness=Fraction("0.8")),
        _assumed(sharpness=Fraction("0.7")),
    ),
    "assumptions.no-evaluation-gaming.sharp_at is greater": (
        _assumed(sharpness=Fraction("0.8"), sharp_at=Fraction("0.4")),
        _assumed(sharpness=Fraction("0.8")),
    ),
    "assumptions.no-evaluation-gaming.least_parameters is less": (
        _assumed(least_parameters=500_000),
        _assumed(least_parameters=499_999),
    ),
    "assumptions.no-evaluation-gaming.void_at has lost an item": (_assumed(), _assumed(void_at=())),
    "thresholds.t.takeover_potential is gone": (_threshold(takeover_potential=True), _threshold()),
    "thresholds.t.above has lost an item": (_threshold(above=("s",)), _threshold()),
    "thresholds.t.judged.on has lost an item": (_judged("a", "b"), _judged("a")),
    "thresholds.t.judged.fresh_for may be longer": (_judged("a", fresh_for=cases.MONTH), _judged("a")),
    "thresholds.t.below_if has a wider way": (_threshold(below_if=UNDER[5]), _threshold(below_if=UNDER[9])),
    "thresholds.t.reached_when: the level of `training_compute` is greater": (_amount(5), _amount(9)),
    "thresholds.t.reached_when has lost a part": (_either(A, B), _either(A)),
    "thresholds.t.reached_when: the level of `b` is less strict": (
        _either(A, B, count=2),
        _either(A, model.At("b", Fraction("0.3")), count=2),
    ),
    "thresholds.t.reached_when: the level of `c` is less strict": (
        _either(model.Ref("u"), model.At("c", Fraction("0.2"))),
        _either(model.Ref("u"), model.At("c", Fraction("0.3"))),
    ),
    "thresholds.t.reached_when: the level of `m` is less strict": (
        {"measures": MEAN, **_threshold(model.At("m", Fraction("0.2")))},
        {"measures": MEAN, **_threshold(model.At("m", Fraction("0.3")))},
    ),
    "thresholds.t.reached_when: the level of `a` is less strict": (
        {"measures": LESS, **_threshold(model.At("a", Fraction("0.3")))},
        {"measures": LESS, **_threshold()},
    ),
    "thresholds.t.rule_out.refresh.discretion changed": (
        {**_threshold(rule_out=replace(RULE, refresh=cases.refresh(discretion="board"))), **_incidents("theft")},
        {**_threshold(rule_out=RULE), **_incidents("theft")},
    ),
    "thresholds.t.rule_out.refresh.multiple is greater": (
        _threshold(rule_out=RULE),
        _threshold(rule_out=replace(RULE, refresh=cases.refresh(multiple=Fraction(5)))),
    ),
    "requirements.r.level is less strict": (_measured("0.1"), _measured("0.2")),
    "requirements.r.rule_out.coverage is less": (_measured("0.1"), _measured("0.1", coverage=Fraction("0.5"))),
    "requirements.r asks for fewer, or for others": (_combined(2, "x", "y", "z"), _combined(1, "x", "y", "z")),
    "exceptions.e.until is later": (_exception(LATER), _exception(None)),
    "gates.scale.t is gone": (
        {"gates": {"scale": {"t": model.Cell(("audit",)), "u": model.Cell(("audit",))}}},
        {"gates": {"scale": {"u": model.Cell(("audit",))}}},
    ),
    "actions.lend can be taken back now": (
        {"actions": {}},
        {"actions": {"lend": model.Action("lend", reversible=True)}},
    ),
}
#: Two roles with a key in common: one runs evaluations, the other states what they assume.
RUNS = {"team": model.Role("team", ("k1", "k2"), 1, ()), "auditor": model.Role("auditor", ("k1",), 1, ())}


def _in_both_roles(**changes):
    rule = replace(RULE, run_by="team")
    roles = {**RUNS, "team": replace(RUNS["team"], **changes)}
    return {**_threshold(rule_out=rule), **_assumed(by="auditor"), "roles": roles}


EITHER_WAY = {  # what is named, whichever is the new one: (one version, another)
    "thresholds.t.judged changed": (_judged("a"), _threshold(A, rule_out=None)),
    "thresholds.t.judged.by changed": (
        _judged("a"),
        _threshold(None, judged=model.Judged("gatekeeper", ("a",), cases.QUARTER), rule_out=None),
    ),
    "thresholds.t.rule_out changed": (_amount(5), _threshold(model.Amount("training_compute", Fraction(5)))),
    "thresholds.t.below_if changed": (_threshold(below_if=SCREEN), _threshold()),
    "thresholds.t.reached_when changed": (_threshold(A), _threshold(B)),
    "measures.a is of another kind": (
        _measure(),
        {"measures": {**cases.MEASURES, "a": model.Unbounded("a", "capability", "model", "lab/a", 1, "accuracy")}},
    ),
    "measures.a.metric changed": (_measure(), _measure(metric="f1")),
    "measures.m.weights changed": (
        {"measures": MEAN},
        {"measures": {**MEAN, "m": model.Mean("m", {"b": Fraction(1)})}},
    ),
    "requirements.r asks for fewer, or for others": (_combined(1, "x", "y"), _combined(1, "x", "z")),
}


@pytest.mark.parametrize("named", PARTS)
def test_a_part_may_become_stricter_and_not_looser(named):
    strict, loose = (cases.simple(**changes) for changes in PARTS[named])
    assert loosened([strict], loose) == (named,)
    assert loosened([loose], strict) == ()


@pytest.mark.parametrize("named", EITHER_WAY)
def test_what_is_neither_stricter_nor_looser_counts_as_looser(named):
    one, other = (cases.simple(**changes) for changes in EITHER_WAY[named])
    assert named in loosened([one], other)
    assert named in loosened([other], one)


LOOKS_STRICTER = {  # what is named: (the version before, one that looks stricter)
    "roles.team changed, and shares a key with one that states assumptions": (
        _in_both_roles(),
        _in_both_roles(keys=("k2",)),
    ),
    "roles.team changed, and shares a key with one that states assumptions ": (
        _in_both_roles(),
        _in_both_roles(quorum=2),
    ),
    "thresholds.v is new, and requirements.r asks for it": (
        _requirement(model.Defined("r", "v")),
        {**_requirement(model.Defined("r", "v")), "thresholds": cases.named(cases.line("t"), cases.line("v", B))},
    ),
    "incidents are of named kinds only now": (_threshold(), {**_threshold(), **_incidents("theft")}),
    "requirements.r is of another kind": (_combined(2, "x", "y"), _requirement(model.Never("r"))),
}


@pytest.mark.parametrize("named", LOOKS_STRICTER)
def test_what_looks_stricter_and_lets_something_through_counts_as_looser(named):
    before, after = (cases.simple(**changes) for changes in LOOKS_STRICTER[named])
    assert loosened([before], after) == (named.strip(),)


def test_a_role_that_states_nothing_of_what_it_runs_may_lose_a_key():
    before, after = (_in_both_roles(keys=keys) for keys in (("k2", "k3"), ("k2",)))
    assert loosened([cases.simple(**before)], cases.simple(**after)) == ()


def test_all_of_more_is_stricter_than_all_of_some():
    some, more = (cases.simple(**_combined(len(of), *of)) for of in ("xy", "xyz"))
    assert loosened([some], more) == ()
    assert loosened([more], some) == ("requirements.r asks for fewer, or for others",)


def test_a_threshold_that_nobody_could_tell_may_become_any():
    hole = cases.simple(thresholds=cases.named(model.Threshold("t", None, None)))
    assert loosened([hole], cases.simple()) == ()
    assert loosened([cases.simple()], hole) != ()


def test_a_cell_that_asks_for_nothing_may_go():
    empty = cases.simple(gates={"scale": {"t": model.Cell(("audit",)), "u": model.Cell(())}})
    assert loosened([empty], replace(empty, gates={"scale": {"t": model.Cell(("audit",))}})) == ()
