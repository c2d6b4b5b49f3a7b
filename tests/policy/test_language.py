"""docs/policy-language.md is true: its policy loads and has every field, and each of its examples arrives and does what
its row says. What the examples change about decisions is told in language/cases.yaml.
"""

import json
import re
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from interlock.decide.decision import to_json as decision_json
from interlock.errors import PolicyError
from interlock.policy import cases
from interlock.policy.compile import from_json, to_json
from interlock.policy.duty import STOPS, Moment, Starter
from interlock.policy.lint import lint
from interlock.policy.load import loads
from interlock.policy.model import (
    ELICITATIONS,
    Amount,
    Approved,
    AtLeast,
    Attested,
    Combined,
    ComputeRatio,
    Defined,
    Hole,
    Judged,
    Mean,
    Measured,
    Modality,
    Ref,
    RuledOut,
    UnderReference,
    UnderScreen,
)
from interlock.policy.schema import schema
from interlock.policy.time import Duration

HERE = Path(__file__).parent / "language"
PAGE = (Path(__file__).parents[2] / "docs" / "policy-language.md").read_text(encoding="utf-8")
REFERENCE, REST = PAGE.split("\n## What published policies need, and how it is written\n")
EXAMPLES, _FACTS = REST.split("\n## The kinds of fact\n")
DAYS, MONTH = Duration(0, 86400), Duration(1, 0)
EFFECTS = ("Decides", "Starts duties", "Checked", "Recorded")


def plain(text):
    """YAML with every scalar as the text that stands there, as a policy is read."""
    return YAML(typ="base", pure=True).load(text)


def blocks(text):
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def merged(base, change):
    """Mappings merge; anything else replaces."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}


def loaded(data):
    return _loaded(json.dumps(data))


@cache
def _loaded(text):
    return loads(text, name="example", folder=None)


# -- the policy that has everything ------------------------------------------------------------------------------------


def test_the_reference_is_one_policy_that_loads_as_it_is_written():
    policy = loads("".join(blocks(REFERENCE)), name="policy-language.md", folder=None)
    assert from_json(to_json(policy)) == policy


def keys(data):
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return frozenset(data if isinstance(data, dict) else ()).union(*map(keys, inner))


def forms(shape):
    """The property names of every form in a JSON schema."""
    if isinstance(shape, dict):
        if isinstance(shape.get("properties"), dict):
            yield frozenset(shape["properties"])
        for inner in shape.values():
            yield from forms(inner)
    elif isinstance(shape, list):
        for inner in shape:
            yield from forms(inner)


def test_the_reference_has_every_field():
    written = keys(plain("".join(blocks(REFERENCE))))
    assert frozenset().union(*forms(schema())) <= written


def values(part):
    """Every dataclass in a compiled policy, itself first."""
    if is_dataclass(part):
        yield part
        part = [getattr(part, field.name) for field in fields(part)]
    for inner in part.values() if hasattr(part, "values") else part if isinstance(part, (tuple, list)) else ():
        yield from values(inner)


def test_the_reference_fills_every_field_of_the_compiled_policy():
    policy = loads("".join(blocks(REFERENCE)), name="policy-language.md", folder=None)
    said = [(type(it).__name__, field.name, getattr(it, field.name)) for it in values(policy) for field in fields(it)]
    empty = {(kind, field) for kind, field, _ in said} - {(kind, field) for kind, field, value in said if value}
    zero_or_false = {("Measure", "low"), ("Threshold", "takeover_potential")}  # as they are written there
    assert {(kind, field) for kind, field in empty if field != "sources"} == zero_or_false


def words(row):
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", REFERENCE, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", line))


def test_the_words_are_those_that_exist():
    assert words("an elicitation") == set(ELICITATIONS)
    assert words("`do` of `on_hold`") == {*STOPS, "notify"}
    assert words("`starts` of a duty") == {*get_args(Starter)} - {"effective"} | {"effective: true"}
    assert words("`from` of an incident") == set(get_args(Moment))
    assert words("`modality`") == set(get_args(Modality))


# -- the rows ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    number: int
    title: str
    effects: tuple[str, ...]
    example: str


HEAD = re.compile(
    r"^\*\*(\d+)\. ([^*]+)\*\* \([^)]+\)\. \*([^*]+)\.\* .+?^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
ROWS = {
    int(number): Row(int(number), title, tuple(effects.split(". ")), example)
    for number, title, effects, example in HEAD.findall(EXAMPLES)
}
BASE = plain((HERE / "base.yaml").read_text(encoding="utf-8"))
CASES = plain((HERE / "cases.yaml").read_text(encoding="utf-8"))
TOLD = {int(number): told for number, told in CASES["rows"].items()}
CHECKED = {int(number): check for number, check in CASES["checked"].items()}
each_row = pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: f"{row.number} {row.title}")


def data_of(row):
    return merged(BASE, plain(row.example))


def test_there_are_62_rows_in_order():
    assert list(ROWS) == list(range(1, 63))
    assert len(re.findall(r"^\*\*\d", EXAMPLES, re.MULTILINE)) == len(blocks(EXAMPLES)) == 62


@each_row
def test_a_row_says_what_its_construct_does(row):
    assert set(row.effects) <= set(EFFECTS)
    told = TOLD.get(row.number, [])
    verdicts = [case for case in told if "expect" in case and ("base" in case or "duties" not in case)]
    assert ("Decides" in row.effects) == bool(verdicts)
    assert ("Starts duties" in row.effects) == any("duties" in case for case in told)
    assert ("Checked" in row.effects) == (row.number in CHECKED)


def test_examples_are_short():
    lines = {number: row.example.splitlines() for number, row in ROWS.items()}
    assert {number for number, written in lines.items() if len(written) > 8 or max(map(len, written)) > 180} == set()


@each_row
def test_an_example_arrives_in_the_compiled_policy(row):
    policy = loaded(data_of(row))
    assert ARRIVED[row.number](policy)
    assert from_json(to_json(policy)) == policy


@each_row
def test_it_comes_from_the_example_and_not_from_the_base(row):
    try:
        there = ARRIVED[row.number](loaded(BASE))
    except (KeyError, AttributeError, IndexError):
        there = False
    assert not there


def refresh(policy):
    return policy.refresh.multiple, policy.refresh.period, policy.refresh.events, policy.refresh.discretion


def buffer(policy, name):
    return policy.thresholds[name].rule_out.buffer


def demands(policy, name):
    return {demand.elicitation: demand for demand in policy.thresholds[name].rule_out.elicitation}


def starts(policy, name):
    start = policy.duties[name].start
    return start.on, start.of, start.moment


def needs(policy, action, threshold):
    return policy.gates[action][threshold].requires


def answers(policy, name):
    return [(it.do, it.when, it.modality) for it in policy.on_hold[name]]


#: What each example leaves in the compiled policy.
ARRIVED = {
    1: lambda p: (
        (p.version, p.supersedes, p.expires, p.thresholds["autonomy"].sources)
        == ("1.1.0", "1.0.0", datetime(2026, 6, 1, tzinfo=UTC), ("section 4.1",))
    ),
    2: lambda p: p.context.threat_models[p.thresholds["cyber"].threat_models[0]].domain == p.thresholds["cyber"].domain,
    3: lambda p: (
        p.thresholds["cyber-2"].above == ("cyber",)
        and p.thresholds["high-and-autonomous"].reached_when
        == AtLeast(2, (Ref("autonomy"), AtLeast(1, (Ref("cyber-2"),))))
    ),
    4: lambda p: (
        p.measures["lying"].kind == "propensity"
        and isinstance(p.requirements["honest"], Measured)
        and isinstance(p.requirements["security"], Attested)
    ),
    5: lambda p: (
        p.thresholds["answers"].reached_when.level == Fraction(1, 20)
        and p.thresholds["answers"].rule_out.confidence == Fraction(19, 20)
    ),
    6: lambda p: (
        p.thresholds["bio-uplift"].judged == Judged("board", ("replication", "capability-report"), Duration(6, 0))
    ),
    7: lambda p: (
        [(it.do, it.when) for it in p.on_hold["autonomy"]]
        == [("reassess", ("not ruled out",)), ("pause-training", ("reached",))]
    ),
    8: lambda p: p.thresholds["autonomy"].rule_out.assumes == ("weights-not-swapped",),
    9: lambda p: "2023" in p.context.threat_models[p.thresholds["cyber"].threat_models[0]].baseline,
    10: lambda p: all(
        getattr(p.context.actors[p.context.threat_models["team-intrusion"].actor], field)
        for field in ("skill", "budget", "time", "access")
    ),
    11: lambda p: (
        (buffer(p, "autonomy").margin, buffer(p, "autonomy").period) == (Fraction(1, 5), MONTH)
        and (p.thresholds["autonomy-alert"].role, p.thresholds["autonomy-alert"].alert_for) == ("alert", "autonomy")
        and starts(p, "proximity") == ("alert", ("autonomy-alert",), "event")
    ),
    12: lambda p: buffer(p, "autonomy").multiple == 3 > p.thresholds["autonomy"].rule_out.refresh.multiple == 2,
    13: lambda p: (
        refresh(p) == (2, Duration(2, 0), ("new-tools",), "safety-officer")
        and p.thresholds["cyber"].rule_out.refresh.multiple == Fraction(3, 2)
    ),
    14: lambda p: (
        p.measures["growth"] == ComputeRatio("growth", "base-model")
        and p.thresholds["large"].reached_when
        == AtLeast(1, (Amount("growth", Fraction(4)), Amount("effective_compute", Fraction(10**26))))
    ),
    15: lambda p: (
        p.actions["run-large-scale"].size == "large"
        and p.actions["fine-tuning-api"].surface == "fine-tuning"
        and {"run-large-scale", "fine-tuning-api", "store-weights"} <= p.gates.keys()
        and p.reversible("store-weights")
        and not p.reversible("fine-tuning-api")
    ),
    16: lambda p: (
        needs(p, "scale", "cyber") == ("security",) and needs(p, "deploy-api", "cyber") == ("security", "misuse")
    ),
    17: lambda p: (
        p.thresholds["cyber-open"].reached_when.level < p.thresholds["cyber"].reached_when.level
        and needs(p, "release-weights", "cyber-open") == ("never",)
    ),
    18: lambda p: (
        answers(p, "cyber")
        == [
            ("hold-development", (), "must"),
            ("lock-weights", ("reached",), "must"),
            ("delete-weights", ("reached",), "intends"),
        ]
    ),
    19: lambda p: (
        needs(p, "deploy-api", "autonomy") == ("never",)
        and needs(p, "scale", "autonomy") == ("security",)
        and p.on_hold["autonomy"][0].to == ("security",)
    ),
    20: lambda p: (
        p.requirements["understanding"]
        == Hole("understanding", "what would show it is not known yet", "board", datetime(2027, 6, 1, tzinfo=UTC))
    ),
    21: lambda p: p.requirements["next-defined"] == Defined("next-defined", "cyber-2"),
    22: lambda p: (
        p.requirements["next-ruled-out"] == RuledOut("next-ruled-out", "cyber-2")
        and starts(p, "write-next") == ("reached", ("cyber",), "event")
    ),
    23: lambda p: (
        [it.when for it in p.on_hold["cyber"]] == [("unmet:security",), ("reached",), ("overdue",)]
        and p.on_hold["cyber"][1].within.length == DAYS
        and p.on_hold["security"][0].within.business_days == 2
    ),
    24: lambda p: (
        p.exceptions["interim-security"].kind == "interim"
        and p.exceptions["interim-security"].requires == ("security-interim", "told")
        and p.exceptions["interim-security"].until == datetime(2027, 6, 30, tzinfo=UTC)
        and starts(p, "plan") == ("exception", ("interim-security",), "event")
    ),
    25: lambda p: (
        (hard := demands(p, "autonomy")["fine-tuned"])
        and (hard.flop, hard.attempts, hard.tools, hard.safety_ablated, hard.refusals, hard.demonstrations)
        == (10**18, 10, True, True, Fraction(1, 50), 16)
        and p.attacker_budget == Fraction(1, 50)
    ),
    26: lambda p: p.assumptions["no-evaluation-gaming"].void_at == ("aware",),
    27: lambda p: (
        (p.assumptions["no-sandbagging"].checked, p.assumptions["no-sandbagging"].coverage)
        == ("password-lock-recovery", Fraction(19, 20))
        and p.thresholds["autonomy"].rule_out.refresh.events == ("sandbagging",)
    ),
    28: lambda p: (
        p.thresholds["cyber"].below_if == (UnderScreen("cyber-screen"),)
        and p.thresholds["cyber-screen"].role == "watch"
    ),
    29: lambda p: (
        (it := p.measures["replication"])
        and (it.valid_below, it.least_samples, it.samples_digest[:8]) == (Fraction(7, 10), 100, "00112233")
    ),
    30: lambda p: (
        p.measures["average"] == Mean("average", {"replication": Fraction(2, 3), "intrusion": Fraction(1, 3)})
        and (p.thresholds["broad"].reached_when.count, len(p.thresholds["broad"].reached_when.parts)) == (2, 3)
        and len(p.thresholds["broad"].reached_when.parts[1].parts) == 2  # max_of: any of them
    ),
    31: lambda p: (
        p.refresh.multiple == Fraction("1.33")
        and p.thresholds["cyber"].below_if == (UnderReference("base-model", ("intrusion",), Fraction(1, 20)),)
    ),
    32: lambda p: (
        p.refresh.events == ("fine-tuning-opened", "new-tools")
        and p.permits.revocable_by == ("board",)
        and p.permits.lease == Duration(0, 7 * 86400)
    ),
    33: lambda p: (
        p.measures[p.requirements["jailbreaks-rare"].measure].on == "deployment"
        and p.requirements["jailbreaks-rare"].rule_out.elicitation[0].attempts == 3
        and p.requirements["misuse"].claim == "misuse is rare"
    ),
    34: lambda p: (
        (it := p.context.standards[p.requirements["security"].standard])
        and (it.maps_to, it.stops, it.does_not_stop) == (("RAND SL3", "ASL-3"), ("insider",), ("state",))
    ),
    35: lambda p: (
        p.requirements["contained"]
        == Combined(
            "contained", 2, ("security", "controlled"), "no theft and no sabotage", "two independent layers", "insiders"
        )
    ),
    36: lambda p: (
        (it := p.context.threat_models[p.thresholds["cyber"].threat_models[0]])
        and (it.probability, it.horizon, it.harm) == (Fraction(1, 10000), Duration(12, 0), "over 1bn USD")
        and needs(p, "deploy-api", "cyber") == ("control",)
    ),
    37: lambda p: isinstance(p.requirements["residual-risk"], Approved),
    38: lambda p: len(buffer(p, "cyber").items) == 4 and buffer(p, "cyber").margin == Fraction("0.37"),
    39: lambda p: (
        buffer(p, "autonomy-soon").forecast_by == "external-auditor"
        and buffer(p, "autonomy-soon").fresh_for == Duration(6, 0)
    ),
    40: lambda p: (
        p.roles["external-auditor"].independent_of == ("evaluation-team", "board")
        and len(p.roles["external-auditor"].declares) == 2
        and p.independent == "external-auditor"
    ),
    41: lambda p: (
        needs(p, "deploy-api", "cyber") == ("security", "advice", "decision", "told")
        and p.permits.revocable_by == ("trust",)
    ),
    42: lambda p: (
        (p.exceptions["others-risk-it"].kind, p.exceptions["others-risk-it"].approved_by)
        == ("marginal-risk", ("board", "trust"))
    ),
    43: lambda p: p.exceptions["waiver"].lasts == MONTH and "never" in needs(p, "deploy-api", "cyber"),
    44: lambda p: p.exceptions["rival"].requires == ("rival-confirmed", "still-stricter"),
    45: lambda p: (
        p.exceptions["fast-track"].kind == "emergency"
        and starts(p, "afterwards") == ("exception", ("fast-track",), "event")
    ),
    46: lambda p: p.refresh.discretion == "safety-officer" and p.thresholds["persuasion"].judged.by == "board",
    47: lambda p: (
        (it := p.duties["first-report"])
        and (it.start.moment, it.within.business_days, it.within.zone) == ("awareness", 5, "Europe/Brussels")
        and it.repeat
        and it.until_resolved
        and it.after_resolved
        and it.regime == "CoP 9.3"
    ),
    48: lambda p: (
        {it.regime: it.start.moment for it in p.duties.values()} == {"SB 53": "discovery", "RAISE": "determination"}
        and {name: it.near_miss_of for name, it in p.context.incidents.items()} == {"theft": "", "near-miss": "theft"}
    ),
    49: lambda p: (
        (it := p.duties["risk-report"])
        and it.start.on == "effective"
        and (it.not_before.length, it.within.length) == (Duration(5, 0), Duration(6, 0))
        and it.repeat.length == Duration(6, 0)
    ),
    50: lambda p: (
        p.scope.subjects == Amount("training_compute", Fraction(10**25))
        and p.scope.developers
        and p.scope.exempt
        and p.scope.binds
    ),
    51: lambda p: p.imposed_by == "a regulator" and p.requirements["filed"].sources == ("section 5",),
    52: lambda p: (
        (it := p.context.reports[p.duties["publish"].report]) and it.redactions and it.keep_for == Duration(60, 0)
    ),
    53: lambda p: (
        p.roles["external-auditor"].declares == ("no financial interest", "no family tie")
        and "disagreement" in p.context.reports["review"].contents
        and p.duties["review"].within.length == Duration(0, 30 * 86400)
    ),
    54: lambda p: needs(p, "deploy-internal", "autonomy") == ("security", "audit"),
    55: lambda p: (
        p.context.channels["speak-up"].anonymous
        and len(p.context.channels["speak-up"].to) == 2
        and p.duties["status"].until_resolved
    ),
    56: lambda p: p.scope.binds and p.actions["deploy-partner"].refines == "deploy-api",
    57: lambda p: (
        (it := p.amendments)
        and (it.approved_by, it.consulted, it.frozen_while_reached) == (("board", "trust"), ("external-auditor",), True)
        and it.notice == Duration(0, 30 * 86400)
        and (it.proposed_by, it.changelog_required) == (("safety-officer",), True)
    ),
    58: lambda p: p.supersedes == "1.0.0" and p.thresholds["autonomy"].reached_when.level == Fraction(4, 5),
    59: lambda p: (
        p.gates["scale"]["cyber"].modality == "will"
        and p.gates["scale"]["cyber"].weaker == (("recommends", "moonshot"),)
    ),
    60: lambda p: (
        p.requirements["in-range"].rule_out.refresh.events == ("drift",)
        and p.context.reports["logs"].keep_for == Duration(0, 30 * 86400)
    ),
    61: lambda p: {"step-1", "step-2"} <= p.gates["scale"].keys(),
    62: lambda p: p.permits.lease == Duration(0, 10 * 86400) and p.permits.ledger_age == Duration(0, 15 * 60),
}


# -- what they decide --------------------------------------------------------------------------------------------------


EXPECTED = {"expect", "findings", "because", "resume", "duties"}


def written(case):
    """A file of one case, with the shared facts that it uses."""
    asked = {key: value for key, value in case.items() if key not in {"base", "beside"}}
    facts = {name: CASES["facts"][name] for name in case.get("use", [])}
    return {"defaults": CASES["defaults"], **({"facts": facts} if facts else {}), "cases": [asked]}


@pytest.fixture
def outcome(tmp_path):
    """What comes of one case of language/cases.yaml, asked of a policy."""

    def run(case, policy):
        file = tmp_path / "case.yaml"
        file.write_text(json.dumps(written(case)), encoding="utf-8")
        (read,) = cases.load(file, policy)
        versions = [cases.version(policy)]
        if case.get("beside"):
            versions.append(cases.version(loaded(BASE)))
        return cases.run(read, sorted(versions, key=lambda version: version.since))

    return run


def unmet(outcome):
    return [(failure.text, failure.stood) for failure in outcome.failures]


told_cases = pytest.mark.parametrize(
    ("number", "case"),
    [pytest.param(number, case, id=f"{number} {case['name']}") for number, told in TOLD.items() for case in told],
)


@told_cases
def test_the_example_decides_as_its_cases_say(number, case, outcome):
    assert unmet(outcome(case, loaded(data_of(ROWS[number])))) == []
    if "base" in case:
        asked = {key: value for key, value in case.items() if key not in EXPECTED | {"beside"}}
        assert unmet(outcome({**asked, "expect": case["base"]}, loaded(BASE))) == []


@pytest.mark.parametrize("number", TOLD)
def test_the_compiled_policy_decides_the_same(number, outcome):
    policy = loaded(data_of(ROWS[number]))
    compiled = from_json(to_json(policy))
    for case in TOLD[number]:
        once, again = outcome(case, policy).decisions, outcome(case, compiled).decisions
        assert {it: decision_json(once[it]) for it in once} == {it: decision_json(again[it]) for it in again}


def test_every_row_that_decides_changes_an_answer(outcome):
    """From the base to the example, or from one case of the example to another, which differ in what it asks for."""
    idle = []
    for number in (number for number, row in ROWS.items() if "Decides" in row.effects):
        policy, found = loaded(data_of(ROWS[number])), set()
        for case in TOLD[number]:
            verdicts = {action: decision.verdict for action, decision in outcome(case, policy).decisions.items()}
            found |= {*verdicts.items()} | {(action, said) for action, said in case.get("base", {}).items()}
        if not any({(action, "permit"), (action, "hold")} <= found for action, _ in found):
            idle.append(number)
    assert idle == []


# -- what is checked ---------------------------------------------------------------------------------------------------


def reported(data):
    """What `policy check` finds, by name; or what the loader refuses."""
    try:
        return {finding.check for finding in lint(loaded(data))}
    except PolicyError as error:
        return {"\n".join(error.problems)}


@pytest.mark.parametrize("number", CHECKED)
def test_what_does_not_fit_is_refused_or_reported(number):
    change, told = CHECKED[number].get("change", {}), CHECKED[number]["told"]
    data = data_of(ROWS[number])
    before = reported(data) if change else reported(BASE)
    after = reported(merged(data, change))
    assert not any(told in it for it in before)
    assert any(told in it for it in after)


def test_an_exception_starts_its_duty_where_it_is_opened(outcome):
    """Not before, and not where it is opened for another model."""
    policy = loaded(data_of(ROWS[45]))
    decisions = [outcome(case, policy).decisions["deploy-urgent"] for case in TOLD[45]]
    started = [[it.duty for ruling in decision.rulings for it in ruling.started] for decision in decisions]
    assert started == [[], ["afterwards"], []]


def test_what_no_case_of_a_scaling_plan_sees_is_told(outcome):
    policy = loaded(data_of(ROWS[61]))
    steps = [outcome(case, policy) for case in TOLD[61]]
    assert ("scale", "step-2") in cases.coverage(policy, steps[:1]).never_held
    assert ("scale", "step-2") not in cases.coverage(policy, steps).never_held


def test_what_is_recommended_would_hold_if_it_had_to_be(outcome):
    secured = TOLD[59][0]
    must = merged(data_of(ROWS[59]), {"gates": {"scale": {"cyber": ["security", "moonshot"]}}})
    assert outcome(secured, loaded(data_of(ROWS[59]))).decisions["scale"].verdict == "permit"
    assert outcome(secured, loaded(must)).decisions["scale"].verdict == "hold"
