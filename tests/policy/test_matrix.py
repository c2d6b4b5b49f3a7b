"""A policy as a row: how each action stands, what is said around the gates, and the clause behind each value."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from interlock.policy import clauses, matrix
from interlock.policy._written.yaml import Composer
from interlock.policy.clauses import Clauses
from interlock.policy.duty import Clock, Duty, Start
from interlock.policy.model import (
    UNBOUNDED_MONTHS,
    UNBOUNDED_MULTIPLE,
    Action,
    Amount,
    Approved,
    AtLeast,
    Cell,
    Combined,
    ComputeRatio,
    Context,
    Defined,
    Demand,
    ExceptionRule,
    Hole,
    Judged,
    Ref,
    Refresh,
    Role,
    RuledOut,
    Standard,
    Threshold,
    UnderQuantity,
)
from interlock.policy.time import Duration
from policy.samples import (
    DAY,
    MONTH,
    NEVER,
    YEAR,
    attested,
    buffer,
    gates,
    measure,
    named,
    refresh,
    rule,
    small_policy,
    threshold,
)

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "policies" / "example-lab.yaml"
FULL = Path(__file__).parent / "full.yaml"
LINES = Clauses("policy.yaml", (), Composer().compose("interlock: policy/v1"))
STANDARDS = named(Standard("sl-3", "Security level 3"), Standard("dl-3", "Deployment level 3"))
BOTH = named(Standard("asl-3", "ASL-3, security and deployment"))


def asking(cells, **changes):
    """A policy with these cells at `scale`, and requirements and thresholds to name in them."""
    plain = small_policy(
        thresholds=named(
            threshold(),
            threshold("other", domain="bio"),
            threshold("lead", Amount("training_compute", Fraction(10**25))),
            Threshold("in-the-lead", None, None, Judged("board", ("skill",))),
            threshold("with-lead", AtLeast(2, (Ref("high"), Ref("in-the-lead")))),
            threshold("of-size", AtLeast(2, (Ref("high"), Amount("training_compute", Fraction(10**25))))),
            threshold("both", AtLeast(2, (Ref("high"), Ref("other")))),
            threshold("either", AtLeast(1, (Ref("high"), Ref("in-the-lead")))),
        ),
        requirements=named(
            attested("secure", standard="sl-3"),
            attested("guarded", standard="dl-3"),
            attested("protected", standard="asl-3"),
            attested("told"),
            Combined("any-way", 1, ("secure", "told")),
            Combined("all-ways", 2, ("secure", "told")),
            Hole("security-4", "a standard", "board", datetime(2027, 6, 1, tzinfo=UTC)),
            Hole("understood", "what would show it", "board", datetime(2027, 6, 1, tzinfo=UTC)),
            NEVER,
        ),
        gates=gates({"high": Cell(("told",))}, scale=cells),
        context=Context({}, {}, {}, STANDARDS | BOTH, {}, {}),
    )
    return replace(plain, **changes)


def stands(policy, action="scale"):
    [gate] = [it for it in matrix.row(policy, LINES).gates if it.action == action]
    return gate.stands


def texts(said):
    return [it.text for it in said]


# sentence -> the cells at `scale`, and how it stands
STANDS = {
    "something is asked for": ({"high": ("told",)}, "gated"),
    "a standard of security": ({"high": ("secure",)}, "security only"),
    "a standard of deployment is more": ({"high": ("guarded",)}, "gated"),
    "a standard of both is more": ({"high": ("protected",)}, "gated"),
    "security and more": ({"high": ("secure", "told")}, "gated"),
    "security in one cell, more in another": ({"high": ("secure",), "other": ("told",)}, "gated"),
    "security is enough of several ways": ({"high": ("any-way",)}, "security only"),
    "security is not enough of all": ({"high": ("all-ways",)}, "gated"),
    "a standard of security that is not written yet": ({"high": ("secure", "security-4")}, "security only"),
    "another hole": ({"high": ("understood",)}, "gated"),
    "never": ({"high": ("never",)}, "gated"),
    "a capability with a case": ({"with-lead": ("told",)}, "in a named case"),
    "a capability with an amount of compute": ({"of-size": ("told",)}, "in a named case"),
    "a capability or a case": ({"either": ("told",)}, "gated"),
    "two capabilities": ({"both": ("told",)}, "gated"),
    "a case and a capability without one": ({"with-lead": ("told",), "other": ("told",)}, "gated"),
    "a case that is a gate's own line, too": ({"with-lead": ("told",), "in-the-lead": ("told",)}, "gated"),
    "security, or a case": ({"high": ("secure",), "with-lead": ("told",)}, "security only, or in a named case"),
    "security in a case": ({"with-lead": ("secure",)}, "security only"),
}


@pytest.mark.parametrize("told", STANDS)
def test_how_an_action_stands(told):
    cells, expected = STANDS[told]
    assert stands(asking({name: Cell(requires) for name, requires in cells.items()})) == expected


def test_what_is_only_intended_changes_nothing_and_is_shown():
    cells = {"high": Cell(("secure",)), "other": Cell((), (("intends", "told"), ("recommends", "guarded")))}
    [gate, *_] = matrix.row(asking(cells), LINES).gates
    assert gate.stands == "security only"
    assert texts(gate.cells[1].weaker) == ["intends only: told", "recommends only: guarded"]
    assert gate.cells[1].requires == ()
    assert texts(it.says for it in gate.cells) == ["high", "other (stops nothing: intended or recommended only)"]


OPEN = {
    "the text says nothing": ("not governed", "the text says nothing"),
    "report only: a report is published": ("report only", "a report is published"),
    "it asks for a report only": ("not governed", "it asks for a report only"),
    "secondary: a bill": ("not governed", "a bill"),
    "secondary: report only: a summary": ("report only", "a summary"),
    "report only: secondary: a summary": ("report only", "a summary"),
}


@pytest.mark.parametrize("reason", OPEN)
def test_an_action_that_is_left_open(reason):
    expected, text = OPEN[reason]
    cells = {"high": Cell(("told",))}
    policy = asking(cells, gates={"deploy-api": cells}, not_governed=dict.fromkeys(["scale"], reason) | REST)
    [gate, *_] = matrix.row(policy, LINES).gates
    assert (gate.stands, texts(gate.why), gate.cells) == (expected, [text], ())
    assert gate.why[0].standings == (("secondary",) if "secondary" in reason else ("read",))


REST = dict.fromkeys(["deploy-internal", "release-weights"], "left open")


def test_an_action_of_which_only_a_refinement_is_gated():
    cells = {"high": Cell(("told",))}
    policy = asking(
        cells,
        gates={"scale": cells, "deploy-large": cells},
        not_governed=REST | {"deploy-api": "open"},
        actions=named(Action("deploy-large", reversible=True, refines="deploy-internal")),
    )
    row = matrix.row(policy, LINES)
    assert [it.action for it in row.gates][4:] == ["deploy-large"]
    internal = row.gates[1]
    assert (internal.stands, texts(internal.why)) == ("in a named case", ["deploy-large", "left open"])
    assert stands(policy, "deploy-api") == "not governed"


def test_the_case_is_named():
    gate = matrix.row(asking({"with-lead": Cell(("told",))}), LINES).gates[0]
    assert texts(gate.why) == ["with-lead"]


def resume(*requires, **changes):
    required = named(attested(), *requires, NEVER)
    policy = small_policy(requirements=required, gates=gates({"high": Cell(tuple(required))}), **changes)
    return texts(matrix.row(policy, LINES).resume)


def test_what_only_an_amendment_lifts_is_marked():
    defined = Threshold("next", None, None, Judged("board", ()))
    quick = replace(defined, name="quick", below_if=(UnderQuantity("training_compute", Fraction(10**22)),))
    said = resume(
        Hole("empty", "what", "board", datetime(2027, 6, 1, tzinfo=UTC)),
        Defined("written", "next"),
        Defined("gone", "nowhere"),
        Defined("there", "high"),
        RuledOut("lower", "high"),
        RuledOut("undefined-lower", "next"),
        RuledOut("certainly-lower", "quick"),
        Combined("some", 1, ("secure", "written")),
        Combined("every", 2, ("secure", "written")),
        thresholds=named(threshold(), defined, quick),
    )
    assert said == [
        "secure",
        "empty (a hole, until amended)",
        "written (until amended)",
        "gone (until amended)",
        "there",
        "lower",
        "undefined-lower (until amended)",
        "certainly-lower",
        "some",
        "every (until amended)",
        "never (until amended)",
    ]


def test_a_text_that_names_no_number_says_so():
    none = Refresh(Fraction(UNBOUNDED_MULTIPLE), Duration(UNBOUNDED_MONTHS, 0), ("trigger",), "board")
    said = texts(matrix.row(small_policy(refresh=none), LINES).cadence)
    assert said[:4] == [
        "effective compute: none named",
        "time: none named",
        "events: trigger",
        "discretion: board",
    ]


def test_a_threshold_with_a_reach_of_its_own_is_told_and_one_with_the_policys_is_not():
    own = threshold("own", rule_out=rule(refresh=refresh(multiple=Fraction(2), period=MONTH)))
    same = threshold("same", rule_out=rule(refresh=refresh(sources=("elsewhere",))))
    said = texts(matrix.row(small_policy(thresholds=named(threshold(), own, same)), LINES).cadence)
    assert said == ["effective compute: 4x", "time: 3 months", "own: effective compute: 2x; time: 1 month"]


def duty(name, on, **changes):
    return replace(Duty(name, "a report", "board", Start(on, ("x",)), Clock(MONTH)), **changes)


def test_what_is_done_again_or_reported_out_of_turn_is_cadence_and_an_incident_is_not():
    duties = named(
        duty("quarterly", "effective", repeat=Clock(Duration(3, 0)), not_before=Clock(DAY), report="risk"),
        duty("early", "incident", report="risk", within=Clock(None, 1)),
        duty("incident", "incident", report="other"),
        duty("once", "reached"),
    )
    said = texts(matrix.row(small_policy(duties=duties), LINES).cadence)
    assert said[2:] == ["quarterly: every 3 months, within 1 month, not before 1 day", "early: within 1 business day"]


BUFFERS = {
    "6x effective compute, margin 0.05": buffer(),
    "6x effective compute, 1 month, margin forecast by says": buffer(
        margin=Fraction(0), forecast_by="says", fresh_for=MONTH, period=MONTH
    ),
    "margin 0.15 (now 0.1, later 0.05)": buffer(
        multiple=Fraction(1), margin=Fraction(3, 20), items={"now": Fraction(1, 10), "later": Fraction(1, 20)}
    ),
    "none: it says none": buffer(multiple=Fraction(1), margin=Fraction(0), source="it says none"),
    "none: nothing is named": buffer(
        multiple=Fraction(UNBOUNDED_MULTIPLE), margin=Fraction(0), source="nothing is named"
    ),
}


@pytest.mark.parametrize("said", BUFFERS)
def test_the_room_under_a_line(said):
    policy = small_policy(thresholds=named(threshold(rule_out=rule(buffer=BUFFERS[said]))))
    assert texts(matrix.row(policy, LINES).buffer) == [said]


def test_room_and_elicitation_that_only_requirements_tell_of():
    policy = small_policy(
        thresholds=named(
            Threshold("judged", None, None, Judged("board", ("skill",))),
            threshold("early", rule_out=rule(Demand("few-shot", flop=10**18, attempts=3)), role="alert", alert_for="x"),
        ),
        requirements=named(
            attested("elicitation", what="it was fine-tuned"),
            attested("elicitation-open", what="and again"),
            attested("headroom", what="there is room"),
            attested("buffer", what="a margin"),
            Approved("elicitation-budget", "the board agrees", "board", "subject", MONTH),
        ),
        gates=gates({"judged": Cell(("headroom",))}),
    )
    row = matrix.row(policy, LINES)
    assert texts(row.elicitation) == ["few-shot (1e18 FLOP, 3 attempts)", "it was fine-tuned", "and again"]
    assert texts(row.buffer)[1:] == ["alert line early, before x", "there is room", "a margin"]


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (999_999, "999999"), (10**6, "1e6"), (15 * 10**24, "1.5e25"), (1234567, "1.234567e6")]
)
def test_compute_is_written_exactly(value, said):
    assert matrix.flop(value) == said
    assert Fraction(said) == value


def test_who_checks_from_outside_and_who_decides():
    policy = small_policy(
        roles=small_policy().roles | named(Role("auditor", (), 1, ("runs",)), Role("chief", (), 1, ())),
        thresholds=named(threshold(rule_out=rule(run_by="auditor"))),
        requirements=named(
            attested("audited", by="auditor"),
            attested("external-review", by="chief"),
            attested("own", by="chief"),
            Approved("accepted", "the board accepts it", "board", "subject", MONTH),
        ),
        gates=gates({"high": Cell(("audited",))}),
        duties=named(
            duty("look", "effective", by="auditor"), duty("yearly-audit", "effective"), duty("tell", "effective")
        ),
    )
    row = matrix.row(policy, LINES)
    assert texts(row.audit) == [
        "auditor, independent of runs",
        "auditor evaluates high",
        "audited, by auditor",
        "external-review, by chief",
        "look, by auditor",
        "yearly-audit, by board",
    ]
    assert texts(row.decision) == ["accepted: board", "changes of the policy: board"]


def test_an_exception_says_who_approves_it_and_when_it_ends():
    until = datetime(2027, 6, 1, tzinfo=UTC)
    rules = named(ExceptionRule("rival", "marginal-risk", ("secure",), ("told",), ("board", "says"), YEAR, until))
    policy = small_policy(requirements=named(attested(), attested("told")), exceptions=rules)
    [said] = texts(matrix.row(policy, LINES).exceptions)
    assert said == (
        "rival (marginal-risk): told instead of secure, approved by board and says, for 12 months, "
        "never after 2027-06-01T00:00:00Z"
    )


# -- the clauses behind it ---------------------------------------------------------------------------------------------


def everything(row):
    """Every value of a row."""
    for gate in row.gates:
        yield from gate.why
        for cell in gate.cells:
            yield from (cell.says, *cell.requires, *cell.weaker)
    for part in ("resume", "cadence", "elicitation", "buffer", "audit", "decision", "exceptions"):
        yield from getattr(row, part)


files = pytest.mark.parametrize("file", [EXAMPLE, FULL], ids=lambda it: it.stem)


@files
def test_every_value_stands_on_the_line_of_its_clause(file):
    policy, of_file = clauses.read(file)
    for it in everything(matrix.row(policy, of_file)):
        assert it.line == of_file.line(it.path), it
        written = of_file.lines[it.line - 1]
        named_there = [step for step in it.path.split(".") if re.search(rf"(^|[\s{{]){step}:", written)]
        assert named_there, (it, written)


@files
def test_everything_that_gates_is_in_the_row(file):
    policy, of_file = clauses.read(file)
    row = matrix.row(policy, of_file)
    found = {(gate.action, cell.threshold): texts(cell.requires) for gate in row.gates for cell in gate.cells}
    asked = {(action, name): cell for action, cells in policy.gates.items() for name, cell in cells.items()}
    assert found.keys() == asked.keys()
    for place, cell in asked.items():
        assert [text.split(" (")[0] for text in found[place]] == list(cell.requires)
    assert {it.split(" ")[0] for it in texts(row.resume)} == {it for cell in asked.values() for it in cell.requires}
    assert len(row.exceptions) == len(policy.exceptions)
    assert {gate.action for gate in row.gates} == {*policy.gates, *policy.not_governed}


@files
def test_the_same_policy_gives_the_same_row(file):
    assert matrix.row(*clauses.read(file)) == matrix.row(*clauses.read(file))


def test_the_row_of_the_example():
    row = matrix.row(*clauses.read(EXAMPLE))
    assert [(gate.action, gate.stands) for gate in row.gates] == [
        ("scale", "gated"),
        ("deploy-internal", "gated"),
        ("deploy-api", "gated"),
        ("release-weights", "gated"),
    ]
    assert texts(row.resume) == [
        "security-3",
        "understanding (a hole, until amended)",
        "misuse-3",
        "never (until amended)",
    ]
    assert texts(row.cadence) == ["effective compute: 4x", "time: 3 months"]
    assert texts(row.elicitation) == [
        "codebook-use, takeover: few-shot; fine-tuned (16 demonstrations)",
        "codebook-use-open: few-shot; fine-tuned (16 demonstrations); rl-fine-tuned",
    ]
    assert texts(row.buffer) == ["6x effective compute, margin 0.05"]
    assert texts(row.audit) == [
        "external-auditor, independent of evaluation-team, gatekeeper, board",
        "security-3, by external-auditor",
        "misuse-3, by external-auditor",
    ]
    assert (texts(row.decision), row.exceptions) == (["changes of the policy: board"], ())


MARKED = """\
interlock: policy/v1
gates:
  scale:
    cyber: {must: [one], sources: ["memory: cell"]}
    bio: [one]
thresholds:
  cyber: {sources: ["text", "added: x", "added: y"]}
  bio: {sources: ["secondary: text"]}
  sources: {rule_out: {}}
refresh: {period: x, sources: ["added: all of it"]}
"""


@pytest.mark.parametrize(
    ("path", "sourced", "standings"),
    [
        ("thresholds.cyber", "", ("read", "added")),
        ("thresholds.cyber.rule_out.buffer", "", ("read", "added")),
        ("gates.scale.cyber", "thresholds.cyber", ("memory",)),
        ("gates.scale.bio", "thresholds.bio", ("secondary",)),
        ("gates.scale.bio", "", ()),
        ("thresholds.sources", "", ()),
        ("refresh.period", "", ("added",)),
        ("amendments", "", ()),
    ],
)
def test_what_a_value_rests_on_is_what_the_sources_around_it_say(path, sourced, standings):
    of_file = Clauses("policy.yaml", (), Composer().compose(MARKED))
    assert matrix._Reading(small_policy(), of_file).said("text", path, sourced=sourced).standings == standings


def test_a_ratio_of_compute_is_a_case():
    policy = asking(
        {"grown": Cell(("told",))},
        measures=named(measure(), ComputeRatio("growth", "base")),
    )
    grown = threshold("grown", AtLeast(2, (Ref("high"), Amount("growth", Fraction(1)))))
    assert stands(replace(policy, thresholds=policy.thresholds | named(grown))) == "in a named case"
