"""Policy tests: every kind of fact does what a ledger's does, a wrong expectation is told, a mistake has its place."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.decide.decision import timestamp
from interlock.errors import PolicyError, UsageError
from interlock.policy import cases
from interlock.policy._cases.facts import KINDS
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import (
    Amount,
    Approved,
    At,
    Cell,
    Combined,
    ComputeRatio,
    Defined,
    Demand,
    ExceptionRule,
    Hole,
    Judged,
    Mean,
    Measured,
    Role,
    Scope,
    Threshold,
    Unbounded,
    UnderQuantity,
)
from policy.samples import (
    DAY,
    MONTH,
    NEVER,
    attested,
    buffer,
    checked,
    measure,
    named,
    refresh,
    role,
    rule,
    small_policy,
    stated,
)
from policy.samples import threshold as level

HERE = Path(__file__).parent
WEEK = replace(DAY, seconds=7 * 86400)
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "policy-language.md").read_text(encoding="utf-8").split("\n## The kinds of fact\n")[1]
DEFAULTS = """
defaults:
  at: 2026-06-01T00:00:00Z
  subjects: {model: {effective_compute: 2e24}}
"""
SHARED = """
facts:
  sound:
    - result:
        {id: run, measure: skill, elicitation: prompted, correct: 3, planned: 200, run_by: runs,
         planned_at: 2026-05-10T00:00:00Z, at: 2026-05-12T00:00:00Z}
    - assumption: {id: gaming, name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}
"""


def lab(**changes):
    """A policy with a gate for every kind of fact."""
    forecast = buffer(margin=Fraction(0), forecast_by="says", fresh_for=MONTH)
    trained = rule(Demand("fine-tuned", demonstrations=16))
    plain = small_policy(
        roles=named(
            role("runs", 1), role("says", 3), role("board", 4, 5, quorum=2), role("checks", 6), Role("ghost", (), 1, ())
        ),
        measures=named(
            measure(),
            measure("leaks", kind="safeguard", on="deployment"),
            measure("loss", danger="lower", low=Fraction(0), high=Fraction(10)),
            Mean("both", {"skill": Fraction(1, 2), "loss": Fraction(1, 2)}),
            ComputeRatio("growth", "base"),
            Unbounded("study", "capability", "model", "lab/study", 1, "uplift"),
        ),
        assumptions=named(
            stated("no-evaluation-gaming"), checked("no-gradient-hacking"), stated("good-demonstrations")
        ),
        thresholds=named(
            level(rule_out=rule(refresh=refresh(events=("new-elicitation",)))),
            level("slow", At("loss", Fraction(2))),
            level("tuned", rule_out=trained),
            level("future", rule_out=rule(buffer=forecast)),
            level("early", At("skill", Fraction(1, 10)), role="alert", alert_for="high"),
            Threshold("judged", None, None, Judged("board", ("study", "secure"), MONTH)),
        ),
        requirements=named(
            attested(),
            attested("offered", about="deployment"),
            attested("own", about="subject"),
            Approved("agreed", "the board accepts the risk", "board", "subject", MONTH),
            Measured("harmless", "leaks", Fraction(1, 10), rule(buffer=buffer(margin=Fraction(0)))),
            Hole("understood", "what would show it", "board", datetime(2027, 6, 1, tzinfo=UTC)),
            NEVER,
            Combined("either", 1, ("secure", "agreed")),
        ),
        exceptions=named(ExceptionRule("interim", "interim", ("secure",), ("own",), ("board",), MONTH)),
        gates={
            "scale": {"high": Cell(("secure",))},
            "deploy-internal": {"high": Cell(("agreed",))},
            "deploy-api": {"high": Cell(("harmless", "offered"))},
            "release-weights": {"judged": Cell(("never",)), "high": Cell(("understood",))},
            "run-slow": {"slow": Cell(("never",))},
            "run-tuned": {"tuned": Cell(("never",))},
            "run-future": {"future": Cell(("never",))},
            "both-ways": {"high": Cell(("either",)), "tuned": Cell(("never",))},
        },
        independent="checks",
        report_within=replace(DAY, seconds=21 * 86400),
        attacker_budget=Fraction(1, 100),
        on_hold={"high": (Response("pause-training", within=Clock(DAY)),)},
        duties=named(
            Duty("report", "tell", "says", Start("incident", ("critical",), "awareness"), Clock(None, 5)),
            Duty("publish", "tell all", "says", Start("permit", ("scale",)), Clock(DAY)),
            Duty(
                *("status", "tell how it stands", "says", Start("incident", ("minor",)), Clock(DAY)),
                repeat=Clock(WEEK),
                until_resolved=True,
                after_resolved=Clock(MONTH),
            ),
        ),
    )
    return replace(plain, **changes)


@pytest.fixture
def read(tmp_path):
    """Read cases from text."""

    def load(text, policy=None):
        (tmp_path / "lab.cases.yaml").write_text(text, encoding="utf-8")
        return cases.load(tmp_path / "lab.cases.yaml", policy or lab())

    return load


@pytest.fixture
def run(read):
    """Run one case, written without what `DEFAULTS` and `SHARED` say."""

    def outcome(text, policy=None):
        used = policy or lab()
        shared = SHARED if "\nuse:" in text else ""
        lines = text.strip().splitlines()
        one = "\n".join([f"  - {lines[0]}", *(f"    {line}" for line in lines[1:])])
        (case,) = read(f"{DEFAULTS}{shared}cases:\n{one}\n", used)
        return cases.run(case, [cases.version(used)])

    return outcome


# -- every kind of fact ------------------------------------------------------------------------------------------------

OTHER = "planned_at: 2026-05-10T00:00:00Z, at: 2026-05-20T00:00:00Z, run_by: runs"

RESOLVED = """facts:
  - incident: {kind: minor, by: runs, at: 2026-05-01T00:00:00Z, resolved: 2026-05-20T00:00:00Z}
expect: {scale: hold}"""

# sentence -> a case that must pass
FACTS = {
    "nothing at all holds everything, and says what is missing": """
expect: {scale: hold, deploy-internal: hold, deploy-api: hold, release-weights: hold}
findings: {high: not ruled out}
because: {scale: ["high: overdue", "`prompted`  EVIDENCE missing", "secure: not-attested", "high: not ruled out"]}
resume: {scale: interlock attest --requirement secure}""",
    "nothing lifts a hold on a hole": f"""
facts: ["result": {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}]
resume: {{release-weights: nothing}}
because: {{release-weights: "understood: hole"}}""",
    "a sound result with its assumption rules out": """
use: sound
expect: {scale: {verdict: permit, most_effective_compute: 8e24, not_after: 2026-06-15T00:00:00Z}}
findings: {high: below}""",
    "without its assumption it does not": """
use: [sound]
without: [gaming]
expect: {scale: hold}
because: {scale: "high: assumption"}""",
    "unscored samples are dangerous": f"""
use: sound
facts: ["result": {{measure: skill, elicitation: prompted, correct: 0, scored: 100, planned: 200, {OTHER}}}]
expect: {{scale: hold}}
because: {{scale: "high: bound"}}""",
    "an unplanned result still shows reach": """
use: sound
facts:
  - result:
      {measure: skill, elicitation: prompted, correct: 90, planned: 100, run_by: says,
       planned_at: never, at: 2026-05-20T00:00:00Z}
expect: {scale: hold}
findings: {high: reached}""",
    "a stranger's plan does not make a result sound": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 0, planned: 100, planned_by: says, {OTHER}}}
expect: {{scale: hold}}
because: {{scale: "high: missing-evidence"}}""",
    "a result of another version of the task is not sound": f"""
facts: ["result": {{measure: skill, task: lab/skill@2, elicitation: prompted, correct: 0, planned: 100, {OTHER}}}]
expect: {{scale: hold}}
because: {{scale: "it ran lab/skill@2, expected @1"}}""",
    "fine-tuning needs its demonstrations, and its assumptions a check that works": f"""
facts:
  - result:
      {{measure: skill, elicitation: fine-tuned, demonstrations: 16, flop: 1e15, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: good-demonstrations, by: says, at: 2026-05-15T00:00:00Z}}
  - assumption:
      {{name: no-gradient-hacking, by: says, at: 2026-05-15T00:00:00Z,
       check: {{name: a-check, passed: true, caught: 100, organisms: 100}}}}
expect: {{run-tuned: permit}}""",
    "a check that catches too few organisms discharges nothing": f"""
facts:
  - result: {{measure: skill, elicitation: fine-tuned, demonstrations: 16, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: good-demonstrations, by: says, at: 2026-05-15T00:00:00Z}}
  - assumption:
      {{name: no-gradient-hacking, by: says, at: 2026-05-15T00:00:00Z,
       check: {{name: a-check, passed: true, caught: 9, organisms: 10}}}}
expect: {{run-tuned: hold}}
because: {{run-tuned: no-gradient-hacking}}""",
    "a certified elicitor discharges it for its own results": f"""
facts:
  - result:
      {{measure: skill, elicitation: fine-tuned, recipe: lora, demonstrations: 16, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: good-demonstrations, by: says, at: 2026-05-15T00:00:00Z}}
  - assumption:
      {{name: no-gradient-hacking, by: says, at: 2026-05-15T00:00:00Z,
       check: {{name: a-check, passed: true, caught: 100, organisms: 100,
               validity: {{recipe: lora, demonstrations: 16, ruled_out: 20, honest: 20, at: 0.5,
                          least_parameters: 5e5, confidence: 0.95}}}}}}
expect: {{run-tuned: permit}}""",
    "and for those of no other one": f"""
facts:
  - result:
      {{measure: skill, elicitation: fine-tuned, recipe: full, demonstrations: 16, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: good-demonstrations, by: says, at: 2026-05-15T00:00:00Z}}
  - assumption:
      {{name: no-gradient-hacking, by: says, at: 2026-05-15T00:00:00Z,
       check: {{name: a-check, passed: true, caught: 100, organisms: 100,
               validity: {{recipe: lora, demonstrations: 16, ruled_out: 20, honest: 20, at: 0.5,
                          least_parameters: 5e5, confidence: 0.95}}}}}}
expect: {{run-tuned: hold}}
because: {{run-tuned: is shown for results of the recipe}}""",
    "nor for its own results on fewer demonstrations": f"""
facts:
  - result:
      {{measure: skill, elicitation: fine-tuned, recipe: lora, demonstrations: 16, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: good-demonstrations, by: says, at: 2026-05-15T00:00:00Z}}
  - assumption:
      {{name: no-gradient-hacking, by: says, at: 2026-05-15T00:00:00Z,
       check: {{name: a-check, passed: true, caught: 100, organisms: 100,
               validity: {{recipe: lora, demonstrations: 17, ruled_out: 20, honest: 20, at: 0.5,
                          least_parameters: 5e5, confidence: 0.95}}}}}}
expect: {{run-tuned: hold}}
because: {{run-tuned: on 17 demonstrations or more}}""",
    "there is no e-process for sums of scores": f"""
facts:
  - result:
      {{measure: loss, elicitation: prompted, total: 1900, planned: 200, stopping: e-process, stopped_at: 200, {OTHER}}}
  - assumption: {{name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}}
expect: {{run-slow: hold}}
because: {{run-slow: its plan does not let it stop by an e-process}}""",
    "demonstrations are none unless they are written": f"""
facts: ["result": {{measure: skill, elicitation: fine-tuned, correct: 0, planned: 100, {OTHER}}}]
expect: {{run-tuned: hold}}
because: {{run-tuned: "demonstrations trained on: 0"}}""",
    "a sum of scores on a scale where less is dangerous": f"""
facts:
  - result: {{measure: loss, elicitation: prompted, total: 1900, planned: 200, {OTHER}}}
  - assumption: {{name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}}
expect: {{run-slow: permit}}""",
    "a deployment's safeguard": f"""
deployments: {{api: {{}}}}
deployment: api
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - result: {{measure: leaks, elicitation: prompted, correct: 0, planned: 100, {OTHER}}}
  - assumption: {{name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}}
  - attestation: {{requirement: offered, by: says, at: 2026-05-21T00:00:00Z}}
findings: {{high: reached}}
expect: {{deploy-api: permit}}""",
    "a withheld plan": """
use: sound
facts:
  - plan:
      {measure: skill, elicitation: prompted, planned: 100, run_by: runs,
       at: 2026-05-11T00:00:00Z, report_by: 2026-05-31T00:00:00Z}
expect: {scale: hold}
because: {scale: "high: unreported"}
resume: {scale: "interlock evaluate --subject model"}""",
    "a plan that two results report": """
facts:
  - plan: {id: fs, measure: skill, elicitation: prompted, planned: 100, run_by: runs, at: 2026-05-11T00:00:00Z}
  - result: {plan: fs, correct: 1, at: 2026-05-12T00:00:00Z, run_by: runs}
  - result: {plan: fs, correct: 2, at: 2026-05-13T00:00:00Z, run_by: runs}
  - assumption: {name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}
expect: {scale: permit}""",
    "an attestation meets a requirement of the developer": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{requirement: secure, by: says, at: 2026-05-21T00:00:00Z}}
expect: {{scale: permit, deploy-internal: hold}}
because: {{deploy-internal: ["high: reached", "agreed: not-approved"]}}""",
    "a word that says whom it is about": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{requirement: secure, about: developer, by: says, at: 2026-05-21T00:00:00Z}}
expect: {{scale: permit}}""",
    "a word about a subject is none about its developer": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{requirement: secure, about: model, by: says, at: 2026-05-21T00:00:00Z}}
expect: {{scale: hold}}
because: {{scale: "secure: not-attested"}}""",
    "an approval saw what stood when it was signed": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - approval: {{requirement: agreed, by: board, at: 2026-05-21T00:00:00Z}}
expect: {{deploy-internal: permit}}""",
    "an approval did not see a later result": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - approval: {{requirement: agreed, by: board, at: 2026-05-19T00:00:00Z}}
expect: {{deploy-internal: hold}}
because: {{deploy-internal: "agreed: not-approved"}}""",
    "an approval that saw another state is none": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - approval: {{requirement: agreed, by: board, at: 2026-05-21T00:00:00Z, findings: {{high: below}}}}
expect: {{deploy-internal: hold}}""",
    "an approval that says the state that stands": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - approval: {{requirement: agreed, by: board, at: 2026-05-21T00:00:00Z, findings: {{high: reached}}}}
expect: {{deploy-internal: permit}}""",
    "a withdrawn attestation is none": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{id: word, requirement: secure, by: says, at: 2026-05-21T00:00:00Z}}
  - withdrawal: {{of: word, by: says, at: 2026-05-22T00:00:00Z}}
expect: {{scale: hold}}""",
    "a stranger withdraws nothing": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - withdrawal: {{of: word, by: runs, at: 2026-05-22T00:00:00Z}}
  - attestation: {{id: word, requirement: secure, by: says, at: 2026-05-21T00:00:00Z}}
expect: {{scale: permit}}""",
    "the independent role sets a result aside": f"""
use: sound
facts:
  - result: {{id: odd, measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - set-aside: {{of: odd, by: checks, reason: the grader was broken, at: 2026-05-25T00:00:00Z}}
expect: {{scale: permit}}""",
    "nobody else does": f"""
use: sound
facts:
  - result: {{id: odd, measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - set-aside: {{of: odd, by: [board, says], reason: we do not like it, at: 2026-05-25T00:00:00Z}}
expect: {{scale: hold}}""",
    "an incident that names a threshold": """
use: sound
facts: ["incident": {kind: misuse, thresholds: high, member_of: runs, at: 2026-05-25T00:00:00Z}]
expect: {scale: hold}
findings: {high: reached}""",
    "an incident starts a clock, and a hold its answer": """
facts:
  - incident: {kind: critical, by: runs, at: 2026-05-28T00:00:00Z, moments: {awareness: 2026-05-26T10:00:00Z}}
expect: {scale: hold}
duties: {report: 2026-06-02T23:59:59Z, on_hold.high.pause-training: 2026-06-02T00:00:00Z}""",
    "what has a deadline may be past it, and is told of all the same": """
facts:
  - incident: {kind: critical, by: runs, at: 2026-05-18T00:00:00Z, moments: {awareness: 2026-05-18T00:00:00Z}}
expect: {scale: hold}
duties: {report: 2026-05-25T23:59:59Z}""",
    "a duty that repeats is due at the first time": f"""
{RESOLVED}
duties: {{status: 2026-05-02T00:00:00Z}}""",
    "a duty that repeats is due at the last time before": f"""
{RESOLVED}
duties: {{status: 2026-05-16T00:00:00Z}}""",
    "a duty that repeats until it is resolved is due for a last time": f"""
{RESOLVED}
duties: {{status: 2026-06-20T00:00:00Z}}""",
    "a duty that repeats is due at the next time": """
facts: ["incident": {kind: minor, by: runs, at: 2026-05-01T00:00:00Z}]
expect: {scale: hold}
duties: {status: 2026-06-06T00:00:00Z}""",
    "a duty that is still to be done twice is due at the end": f"""
at: 2026-05-01T12:00:00Z
{RESOLVED.replace("2026-05-20", "2026-05-01")}
duties: {{status: 2026-06-01T00:00:00Z}}""",
    "a cell that opens by its requirements says what its evidence does not show": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 45, planned: 100, {OTHER}}}
  - attestation: {{requirement: secure, by: says, at: 2026-05-21T00:00:00Z}}
expect: {{both-ways: hold}}
because:
  both-ways:
    ["high: not ruled out", "high: assumption", "`no-evaluation-gaming` is not stated by `says`",
     "tuned: missing-evidence", "either: not-approved", "fine-tuned evidence missing", "tuned: not ruled out"]""",
    "a permit starts a duty": """
use: sound
duties: publish
expect: {scale: permit}""",
    "a new elicitation ends every result before it": """
use: sound
facts: ["incident": {kind: new-elicitation, by: runs, at: 2026-05-25T00:00:00Z}]
expect: {scale: hold}
because: {scale: "high: overdue"}""",
    "without a forecast the margin does not stand": """
use: sound
expect: {run-future: hold}
because: {run-future: "future: no-forecast"}""",
    "a forecast gives the margin": """
use: sound
facts: ["forecast": {measure: skill, multiple: 6x, margin: 0.1, by: says, at: 2026-05-15T00:00:00Z}]
expect: {run-future: permit}""",
    "an amendment opens an exception": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{requirement: own, by: says, at: 2026-05-21T00:00:00Z}}
  - amendment: {{exception: interim, by: board, published: on our site, at: 2026-05-21T00:00:00Z}}
expect: {{scale: permit}}""",
    "one that is not published does not": f"""
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - attestation: {{requirement: own, by: says, at: 2026-05-21T00:00:00Z}}
  - amendment: {{exception: interim, by: board, at: 2026-05-21T00:00:00Z}}
expect: {{scale: hold}}""",
    "a judgement on fresh evidence": f"""
use: sound
facts:
  - result: {{id: s, measure: study, elicitation: prompted, total: 12, planned: 100, {OTHER}}}
  - attestation: {{id: a, requirement: secure, by: says, at: 2026-05-21T00:00:00Z}}
  - judgement: {{threshold: judged, verdict: below, on: [s, a], by: board, at: 2026-05-22T00:00:00Z}}
expect: {{release-weights: permit}}""",
    "a judgement that names too little": f"""
use: sound
facts:
  - result: {{id: s, measure: study, elicitation: prompted, total: 12, planned: 100, {OTHER}}}
  - judgement: {{threshold: judged, verdict: below, on: s, by: board, at: 2026-05-22T00:00:00Z}}
expect: {{release-weights: hold}}
because: {{release-weights: "judged: not-judged"}}""",
    "one member who says reached": """
use: sound
facts: ["judgement": {threshold: judged, verdict: reached, member_of: board, at: 2026-05-22T00:00:00Z}]
findings: {judged: reached}""",
    "a cheap derivative that reaches it": f"""
use: sound
subjects:
  model: {{effective_compute: 2e24}}
  child: {{effective_compute: 2e24, from: {{parent: model, step: adapter, compute: 1e22}}}}
subject: model
facts: ["result": {{subject: child, measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}]
findings: {{high: reached}}
because: {{scale: "`child`"}}""",
    "a lineage says the same": f"""
use: sound
subjects: {{model: {{effective_compute: 2e24}}, child: {{effective_compute: [1e24, 2e24], training_compute: 5e23}}}}
subject: model
facts:
  - lineage: {{subject: child, parent: model, step: adapter, compute: 1e22}}
  - result: {{subject: child, measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
findings: {{high: reached}}""",
    "a stale checkpoint": """
use: sound
checkpoint: 2026-05-30T00:00:00Z
expect: {scale: hold}
because: {scale: "lab/rsp: stale-ledger"}""",
    "a threshold that stands at no gate": """
use: sound
findings: {early: below}""",
    "what would last longer than the calendar ends with it": """
at: 9999-12-31T12:00:00Z
facts:
  - result:
      {measure: skill, elicitation: prompted, correct: 90, planned: 100, run_by: runs,
       planned_at: 9999-12-31T01:00:00Z, at: 9999-12-31T02:00:00Z}
  - attestation: {requirement: secure, by: says, at: 9999-12-31T03:00:00Z}
  - incident: {kind: critical, by: runs, at: 9999-12-31T00:00:00Z}
expect: {scale: {verdict: permit, not_after: 9999-12-31T23:59:59Z}, deploy-internal: hold}
duties: {report: 9999-12-31T23:59:59Z, on_hold.high.pause-training: 9999-12-31T23:59:59Z}""",
    "an action that nobody gates": """
use: sound
since: 2026-06-02T00:00:00Z
expect: {scale: hold}
because: {scale: "scale: not-in-force"}""",
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_do_what_a_ledgers_do(run, name):
    outcome = run(f"name: {name}{FACTS[name]}")
    assert outcome.passed, outcome.failures


def test_entries_are_numbered_by_time(run):
    facts = run(f"name: a{FACTS['a plan that two results report']}").case.facts
    assert [it.entry for it in (*facts.plans, *facts.results, *facts.attestations)] == [1, 2, 3, 4]
    assert {result.plan for result in facts.results} == set(facts.plans)


def test_the_same_file_gives_the_same_facts(run):
    text = f"name: a{FACTS['a judgement on fresh evidence']}"
    assert run(text).case == run(text).case


# -- expectations ------------------------------------------------------------------------------------------------------

# expectation -> what is told of it
WRONG = {
    "expect: {scale: hold}": "to hold, got permit up to 8e+24 FLOP of effective compute, until 2026-06-15",
    "without: gaming\nexpect: {scale: permit}": "expected `scale` to permit, got hold",
    "expect: {scale: {verdict: permit, most_effective_compute: 9e24}}": "got 8000000000000000000000000",
    "expect: {scale: {verdict: permit, not_after: 2026-06-16T00:00:00Z}}": "until 2026-06-16T00:00:00Z, got 2026",
    "findings: {high: reached}": "expected `high` to be reached for `scale`, got below",
    "since: 2026-06-02T00:00:00Z\nfindings: {high: below}": "to be below, but no policy in force asks about it",
    "findings: {early: reached}": "expected `early` to be reached for `deploy-internal`, got below",
    "because: {scale: secure}": "expected `scale` to hold because `secure`, which is no reason",
    "without: gaming\nbecause: {scale: 'high: assump'}": "because `high: assump`, which is no reason",
    "resume: {scale: attest}": "expected `scale` to hold, got permit",
    "without: gaming\nresume: {scale: nothing}": "expected nothing to lift the hold of `scale`",
    "without: gaming\nresume: {scale: wait}": "expected `wait` among what would lift the hold of `scale`",
    "duties: report": "expected duty `report` to start, which it did not",
    "duties: {publish: 2026-06-01T00:00:00Z}": "to be due at 2026-06-01T00:00:00Z, got 2026-06-02T00:00:00Z",
    "without: gaming\nbecause: {scale: 'prompted evidence missing'}": "`prompted evidence missing`, which is no reason",
    "without: gaming\nbecause: {run-slow: 'high: not ruled out'}": "`high: not ruled out`, which is no reason",
    f"{RESOLVED.replace('scale', 'run-slow')}\nduties: {{status: 2026-05-09T00:00:00Z}}": (
        "to be due at 2026-05-09T00:00:00Z, got 2026-05-02T00:00:00Z, 2026-05-16T00:00:00Z, 2026-06-20T00:00:00Z"
    ),
    "since: 2026-05-01T00:00:00Z": "expects nothing",
}


@pytest.mark.parametrize("expectation", WRONG)
def test_what_is_not_as_expected_is_told(run, expectation):
    outcome = run(f"name: a\nuse: sound\n{expectation}")
    assert not outcome.passed
    assert any(WRONG[expectation] in failure.text for failure in outcome.failures), outcome.failures


def test_a_policy_and_a_case_of_it_as_an_author_writes_them():
    """The hold is `takeover`'s; that fine-tuned evidence is missing is said of `autonomy-3`, which its audit opens."""
    policy = cases.draft(HERE / "few-shot-alone.yaml")
    (case,) = cases.load(HERE / "few-shot-alone.cases.yaml", policy)
    outcome = cases.run(case, [cases.version(policy)])
    assert outcome.passed, outcome.failures
    assert [cell.finding.threshold for cell in outcome.decisions["scale"].holding] == ["takeover"]
    for text in ("autonomy-3: few-shot evidence missing", "security-3: attested", "misuse-3"):
        outcome = cases.run(replace(case, because={"scale": (text,)}), [cases.version(policy)])
        assert [failure.text for failure in outcome.failures] == [
            f"expected `scale` to hold because `{text}`, which is no reason"
        ]


def test_a_failure_shows_what_stood(run):
    (failure,) = run("name: a\nuse: sound\nwithout: gaming\nexpect: {scale: permit}").failures
    assert failure.stood[:2] == (
        "high: `no-evaluation-gaming` is not stated by `says`",
        "secure: `secure` (an audit) is not attested by `says`",
    )


def test_a_second_policy_in_force_is_heard(run, monkeypatch):
    other = small_policy(id="eu/baseline", gates={"scale": {"high": Cell(("never",))}}, measures=lab().measures)
    monkeypatch.setattr("interlock.policy._cases.file.draft", lambda path: other)
    outcome = run(
        "name: a\nuse: sound\nalso: [{policy: eu.yaml}]\nexpect: {scale: permit, deploy-api: hold}\n"
        "because: {deploy-api: 'eu/baseline: silent'}"
    )
    assert [ruling.policy for ruling in outcome.decisions["scale"].rulings] == ["eu/baseline", "lab/rsp"]
    assert outcome.passed


def test_a_looser_version_does_not_help_evidence_before_it(run, monkeypatch):
    older = lab(version="1.0.0", thresholds={**lab().thresholds, **named(level(expr=At("skill", Fraction(1, 20))))})
    monkeypatch.setattr("interlock.policy._cases.file.draft", lambda path: older)
    text = "name: a\nuse: sound\nalso: {policy: old.yaml, since: 2026-01-01T00:00:00Z}"
    assert run(
        f"{text}\nsince: 2026-05-30T00:00:00Z\nexpect: {{scale: hold}}\nbecause: {{scale: 'high: not ruled out'}}"
    ).passed
    assert run(f"{text}\nsince: 2026-05-09T00:00:00Z\nexpect: {{scale: permit}}").passed


def test_an_approval_saw_the_kin_of_the_version_in_force_then(run, monkeypatch):
    """A sibling that only a larger budget makes kin: a version to come does not count, and once in force it does."""
    older = lab(version="1.0.0", attacker_budget=Fraction(0))
    monkeypatch.setattr("interlock.policy._cases.file.draft", lambda path: older)
    text = f"""name: a
subjects:
  base: {{effective_compute: 2e24}}
  model: {{effective_compute: 2e24, from: {{parent: base, step: continued, compute: 1e23}}}}
  sibling: {{effective_compute: 2e24, from: {{parent: base, step: adapter, compute: 1e22}}}}
subject: model
also: {{policy: old.yaml, since: 2026-01-01T00:00:00Z}}
facts:
  - result: {{measure: skill, elicitation: prompted, correct: 90, planned: 100, {OTHER}}}
  - result: {{subject: sibling, measure: skill, elicitation: prompted, correct: 0, planned: 100, {OTHER}}}
  - approval: {{requirement: agreed, by: board, at: 2026-05-21T00:00:00Z}}"""
    before = run(f"{text}\nsince: 2026-06-02T00:00:00Z\nexpect: {{deploy-internal: permit}}")
    assert before.passed, before.failures
    later = "expect: {deploy-internal: hold}\nbecause: {deploy-internal: 'agreed: not-approved'}"
    after = run(f"{text}\nsince: 2026-05-30T00:00:00Z\n{later}")
    assert after.passed, after.failures


# -- what no case exercises --------------------------------------------------------------------------------------------


def test_coverage_says_what_no_case_exercises(run):
    used = lab(gates={"scale": {"high": Cell(("secure",)), "tuned": Cell(("understood",))}})
    nothing, below = "name: a\nexpect: {scale: hold}", "name: b\nuse: sound\nfindings: {high: below}"
    found = cases.coverage(used, [run(text, used) for text in (nothing, below)])
    assert found.never_permitted == (("scale", "high"), ("scale", "tuned"))
    assert found.never_held == ()
    assert found.never_below == ("tuned",)
    assert found.never_reached == ("high", "tuned")
    assert found.never_met == ("secure",)  # a hole cannot be
    assert found.never_unmet == ()


def test_what_only_an_amendment_meets_is_not_asked_for(run):
    names = ("unwritten", "empty", "both", "written", "excused")
    used = lab(gates={"scale": {"high": Cell(names)}})
    used = replace(
        used,
        thresholds=used.thresholds | named(Threshold("hole", None, None, Judged("board", ()))),
        requirements=used.requirements
        | named(
            Defined("unwritten", "nowhere"),
            Defined("empty", "hole"),
            Combined("both", 2, ("secure", "empty")),
            Defined("written", "high"),
            Defined("excused", "hole"),
        ),
        exceptions=named(ExceptionRule("emergency", "emergency", ("excused",), ("own",), ("board",), MONTH)),
    )
    found = cases.coverage(used, [run("name: a\nfindings: {high: not ruled out}", used)])
    assert found.never_met == ("written", "excused")


@pytest.mark.parametrize("thresholds", [(), (Threshold("next", None, None, Judged("board", ())),), (level("next"),)])
def test_coverage_asks_for_no_case_in_which_a_level_is_defined_or_not(run, thresholds):
    """The policy's own text says so, whatever a case tells."""
    used = lab(
        gates={"scale": {"high": Cell(("next-defined",))}},
        requirements=named(Defined("next-defined", "next"), NEVER),
        thresholds=named(level(), *thresholds),
    )
    found = cases.coverage(used, [run("name: a\nexpect: {scale: hold}", used)])
    assert found.never_met == found.never_unmet == ()


def test_duties_that_start_with_the_policy_count_from_when_a_case_says_that_it_came(run):
    yearly = Duty("yearly", "tell all", "says", Start("effective"), Clock(MONTH))
    used = lab(duties=named(yearly))
    due = timestamp(MONTH.after(used.effective))
    assert run(f"name: a\nexpect: {{scale: hold}}\nduties: {{yearly: {due}}}", used).passed
    later = "name: b\nsince: 2026-05-15T00:00:00Z\nexpect: {scale: hold}\nduties: {yearly: 2026-06-15T00:00:00Z}"
    assert run(later, used).passed


def test_a_case_that_fails_exercises_nothing(run):
    used = lab(gates={"scale": {"high": Cell(("secure",))}})
    found = cases.coverage(used, [run("name: a\nuse: sound\nexpect: {scale: hold}", used)])
    assert found.never_permitted == found.never_held == (("scale", "high"),)


def test_what_another_policy_finds_covers_nothing(run, monkeypatch):
    used = lab(gates={"scale": {"high": Cell(("secure",))}})
    other = lab(id="eu/baseline", thresholds=named(level(expr=At("skill", Fraction(1, 100)))), gates=used.gates)
    monkeypatch.setattr("interlock.policy._cases.file.draft", lambda path: other)
    text = """name: a
also: {policy: eu.yaml}
facts:
  - result:
      {measure: skill, elicitation: prompted, correct: 20, planned: 200, run_by: runs,
       planned_at: 2026-05-10T00:00:00Z, at: 2026-05-12T00:00:00Z}
  - assumption: {name: no-evaluation-gaming, by: says, at: 2026-05-15T00:00:00Z}
expect: {scale: hold}"""
    outcome = run(text, used)
    assert [cell.finding.state for cell in outcome.decisions["scale"].cells] == ["reached", "below"]
    found = cases.coverage(used, [outcome])
    assert found.never_held == (("scale", "high"),)
    assert (found.never_below, found.never_reached) == ((), ("high",))
    assert found.never_unmet == ("secure",)


def test_below_the_line_of_the_scope_is_not_asked_for(run):
    line = Amount("training_compute", Fraction(10**24))
    large = Threshold("large", line, None)
    used = lab(scope=Scope(line), thresholds=named(large), gates={"scale": {"large": Cell(("secure",))}})
    held = run("name: a\nexpect: {scale: hold}", used)
    assert cases.coverage(used, [held]).never_below == ()
    assert cases.coverage(replace(used, scope=Scope()), [held]).never_below == ("large",)
    otherwise = replace(large, below_if=(UnderQuantity("effective_compute", Fraction(10**22)),))
    assert cases.coverage(replace(used, thresholds=named(otherwise)), [held]).never_below == ("large",)


# -- mistakes ----------------------------------------------------------------------------------------------------------

WHEN = "by: says, at: 2026-05-01T00:00:00Z"
RUN = "elicitation: prompted, planned: 9, run_by: runs, at: 2026-05-02T00:00:00Z"
RESULT = f"measure: skill, planned_at: 2026-05-01T00:00:00Z, {RUN}"


def case(*lines, subjects="{model: {effective_compute: 1e24}}", expect="{scale: hold}"):
    """A case with more lines, or other ones."""
    start = ["- ^name: a", "  at: 2026-06-01T00:00:00Z", f"  subjects: {subjects}", f"  expect: {expect}"]
    text = "\n".join([*start, *(f"  {line}" for line in lines)]) + "\n"
    return text if "HERE" in text else text.replace("^name", "name", 1)


def facts(*told):
    """A case with facts."""
    return case("facts:", *(f"- {fact}" for fact in told))


# sentence -> the file, with a `^` where a problem must be, and the words of the problems
MISTAKES = {
    "no case": ("^[]", ["expected at least one case"]),
    "not even a list": ("^hello", ["expected a mapping, got `hello`"]),
    "a case that is a text": ("- ^hello", ["expected a case as a mapping, got `hello`"]),
    "what every case needs": (
        "- ^expect: {scale: hold}",
        ["field `name`, got nothing", "field `at`, got nothing", "`subjects` with at least one"],
    ),
    "an unknown field": (case("^becuase: {}"), ["unknown field `becuase`; did you mean `because`?"]),
    "an alias": (case("use: ^*x"), ["aliases"]),
    "a name that is written twice": (case("^name: b"), ["`name` is written twice"]),
    "an unknown action": (case(expect="{^scael: hold}"), ["action `scael` is not defined; did you mean `scale`?"]),
    "an unknown verdict": (case(expect="{scale: ^held}"), ["one of `permit`, `hold`, got `held`; did you mean `hold`"]),
    "two facts in one": (case("facts: [^{result: {}, plan: {}}]"), ["expected one fact such as"]),
    "an unknown kind of fact": (facts("^atestation: {}"), ["got `atestation`; did you mean `attestation`?"]),
    "an unknown measure and role": (
        facts(f"result: {{{RESULT}, correct: 1}}".replace("skill", "^skil").replace("runs", "^rums")),
        ["measure `skil` is not defined; did you mean `skill`?", "role `rums` is not defined; did you mean `runs`?"],
    ),
    "an approval that saw no mapping": (
        facts(f"approval: {{requirement: agreed, findings: ^reached, {WHEN}}}"),
        ["expected `current`, or a mapping of thresholds to states, got `reached`"],
    ),
    "a derived measure": (
        facts(f"result: {{{RESULT}, correct: 1}}".replace("skill", "^both")),
        ["derived from others"],
    ),
    "a role without keys": (facts("attestation: {requirement: own, by: ^ghost, at: 2026-05-01T00:00:00Z}"), ["nobody"]),
    "missing fields": (facts("^attestation: {requirement: own}"), ["`by`, got nothing", "`at`, got nothing"]),
    "more scored than planned": (facts(f"result: ^{{{RESULT}, correct: 1, scored: 10}}"), ["1 <= 10 <= 10 <= 9"]),
    "more refused than may have been": (
        facts(f"result: ^{{{RESULT}, correct: 1, refused: 3, refused_at_most: 2}}"),
        ["expected refused <= refused_at_most <= 9, got 3 and 2"],
    ),
    "more that may have been refused than planned": (
        facts(f"result: ^{{{RESULT}, correct: 1, refused_at_most: 10}}"),
        ["expected refused <= refused_at_most <= 9, got 0 and 10"],
    ),
    "more samples than can be counted": (
        facts(f"result: {{{RESULT}, correct: 1}}".replace("planned: 9", "planned: ^100001")),
        ["expected at most 100000, got `100001`"],
    ),
    "neither correct nor total": (facts(f"result: ^{{{RESULT}}}"), ["got neither"]),
    "both": (facts(f"result: ^{{{RESULT}, correct: 1, total: 1}}"), ["got both"]),
    "a plan after its result": (
        facts(f"result: {{measure: skill, planned_at: ^2026-05-03T00:00:00Z, {RUN}, correct: 1}}"),
        ["expected `planned_at` to be not after `at`"],
    ),
    "a fact from the future": (
        facts("attestation: {requirement: own, by: says, at: ^2026-06-02T00:00:00Z}"),
        ["a time not after the ledger's, `2026-06-01T00:00:00Z`, got `2026-06-02T00:00:00Z`"],
    ),
    "a time without a zone": (facts("attestation: {requirement: own, by: says, at: ^2026-05-02}"), ["with its zone"]),
    "what the plan of a result says already": (
        facts(
            f"plan: {{id: p, measure: skill, {RUN}}}",
            "result: {plan: p, correct: 1, planned: ^8, run_by: runs, at: 2026-05-02T00:00:00Z}",
        ),
        ["`planned` is announced by the plan"],
    ),
    "a result before its plan": (
        facts(
            "result: {plan: ^p, correct: 1, run_by: runs, at: 2026-05-02T00:00:00Z}",
            f"plan: {{id: p, measure: skill, {RUN}}}",
        ),
        ["expected a plan that stands before its result"],
    ),
    "the id of nothing": (facts(f"withdrawal: {{of: ^run, {WHEN}}}"), ["the `id` of a fact of this case, got `run`"]),
    "the id of something else": (
        facts(f"attestation: {{id: a, requirement: own, {WHEN}}}", f"set-aside: {{of: ^a, reason: because, {WHEN}}}"),
        ["the `id` of a result or incident"],
    ),
    "an id twice": (
        facts(
            f"attestation: {{id: a, requirement: own, {WHEN}}}", f"attestation: {{id: ^a, requirement: own, {WHEN}}}"
        ),
        ["`a` is the `id` of two facts"],
    ),
    "nobody judges": (
        facts("judgement: ^{threshold: judged, verdict: below, at: 2026-05-01T00:00:00Z}"),
        ["expected `by` (a quorum signed) or `member_of` (one key signed), got neither"],
    ),
    "a run that stopped after more than it has": (
        facts(f"result: {{{RESULT}, correct: 1, stopping: e-process, stopped_at: ^101}}"),
        ["expected at most 9, got 101"],
    ),
    "a run under an e-process that does not say where it stopped": (
        facts(f"^result: {{{RESULT}, correct: 1, stopping: e-process}}"),
        ["expected field `stopped_at`, got nothing"],
    ),
    "a fixed run that says where it stopped": (
        facts(f"result: {{{RESULT}, correct: 1, ^stopped_at: 50}}"),
        ["unknown field `stopped_at`"],
    ),
    "a measure of deployments without one": (
        facts(f"result: ^{{{RESULT}, correct: 1}}".replace("skill", "leaks")),
        ["expected `deployment`: `leaks` is measured on deployments"],
    ),
    "a requirement about a deployment without one": (
        facts(f"attestation: ^{{requirement: offered, {WHEN}}}"),
        ["expected `about`: `offered` is about a deployment"],
    ),
    "a word about nobody": (
        facts(f"attestation: {{requirement: own, about: ^modle, {WHEN}}}"),
        ["expected `developer`, or the name of a subject or a deployment, got `modle`; did you mean `model`?"],
    ),
    "compute that is none": (case(subjects="{model: {effective_compute: ^lots}}"), ["a whole number of FLOP"]),
    "compute from high to low": (case(subjects="{model: {effective_compute: ^[2, 1]}}"), ["low <= high"]),
    "compute from three ends": (
        case(subjects="{model: {effective_compute: ^[1, 2, 3]}}"),
        ["expected FLOP such as `2e24`, or `[low, high]`, got a list of 3"],
    ),
    "a subject made from nobody": (
        case(subjects="{model: {effective_compute: 1, from: {parent: ^mdel, step: adapter, compute: 1}}}"),
        ["subject `mdel` is not defined; did you mean `model`?"],
    ),
    "a name like no other, where there are few": (
        facts("lineage: {parent: ^xyz, step: adapter, compute: 1}"),
        ["subject `xyz` is not defined; there is: `model`"],
    ),
    "a lineage without a parent": (facts("^lineage: {step: adapter, compute: 1}"), ["`parent`, got nothing"]),
    "a subject made from itself": (
        facts("lineage: {parent: model, step: continued, compute: 1} # HERE"),
        ["subject `model` comes from itself"],
    ),
    "an unknown step": (facts("lineage: {parent: model, step: ^stolen, compute: 1}"), ["one of `continued`"]),
    "two subjects and no question": (
        case(subjects="{a: {effective_compute: 1}, b: {effective_compute: 1}} # HERE"),
        ["expected field `subject`, got nothing"],
    ),
    "one name for two things": (
        case("deployments: {^model: {}}"),
        ["`model` names a subject and a deployment"],
    ),
    "deployments without a name each": (case("deployments: ^[api]"), ["expected a mapping, got a list"]),
    "shared facts that nobody uses": (
        "facts: {^honest: []}\ncases:\n" + case(),
        ["no case uses `honest`, so that nothing checks it"],
    ),
    "shared facts that nobody wrote": (case("use: ^honest"), ["list of facts `honest` is not defined"]),
    "without what is not there": (case("without: ^run"), ["fact `run` is not defined"]),
    "two cases of one name": (case() + case("# HERE"), ["`a` names two cases, the first at "]),
    "an empty reason": (case("because: {scale: ^[]}"), ["expected at least one text"]),
    "the bounds of a hold": (
        case(expect="{scale: ^{verdict: hold, not_after: 2026-06-01T00:00:00Z}}"),
        ["a hold has no"],
    ),
    "an unknown state, threshold and duty": (
        case("findings: {high: ^under, ^hihg: below}", "duties: [^reprot]"),
        [
            "expected one of `below`, `reached`, `not ruled out`, got `under`",
            "threshold `hihg` is not defined; did you mean `high`?",
            "duty `reprot` is not defined; did you mean `report`?",
        ],
    ),
    "a policy that is not there": (case("also: [{policy: ^nowhere.yaml}]"), ["expected a policy file at"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_where_it_stands(read, tmp_path, name):
    marked, words = MISTAKES[name]
    text, marks = marked, set()
    while (place := text.find("^")) >= 0:
        before = text[:place].split("\n")
        marks.add(f"{tmp_path / 'lab.cases.yaml'}:{len(before)}:{len(before[-1]) + 1}")
        text = text[:place] + text[place + 1 :]
    with pytest.raises(PolicyError) as caught:
        read(text)
    problems = caught.value.problems
    assert {problem.split(": ", 1)[0] for problem in problems} == marks, problems
    for word in words:
        assert any(word in problem for problem in problems), problems


def test_one_problem_is_told_of_one_mistake(read):
    with pytest.raises(PolicyError) as caught:
        read(MISTAKES["an approval that saw no mapping"][0].replace("^", ""))
    assert len(caught.value.problems) == 1, caught.value.problems


def test_of_a_fact_of_any_kind_an_unknown_field_is_told(read):
    text = facts(*(f"{kind}: {{colour: red}}" for kind in KINDS)).replace("^", "")
    with pytest.raises(PolicyError) as caught:
        read(text)
    told = [int(it.split(":")[1]) for it in caught.value.problems if "unknown field `colour`" in it]
    written = [number for number, line in enumerate(text.splitlines(), start=1) if "colour" in line]
    assert told == written
    assert len(told) == len(KINDS)


def test_a_file_of_cases_without_end_is_not_called_a_policy():
    with pytest.raises(PolicyError, match=r"/dev/zero:1:1: expected a file of cases of at most 1 MiB"):
        cases.load(Path("/dev/zero"), small_policy())


def test_a_policy_that_several_cases_name_is_read_once(read, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "interlock.policy._cases.file.draft", lambda path: opened.append(path.name) or small_policy(id="eu/baseline")
    )
    one, other = read("".join(case("also: {policy: eu.yaml} # HERE").replace("^name: a", f"name: {it}") for it in "ab"))
    assert opened == ["eu.yaml"]
    assert [it.policy.id for it in (*one.also, *other.also)] == ["eu/baseline"] * 2


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="expected a file of cases at"):
        cases.load(tmp_path / "none.yaml", lab())
    with pytest.raises(UsageError, match="cannot be read"):
        cases.load(tmp_path, lab())


# -- the page about it -------------------------------------------------------------------------------------------------


def documented():
    """A policy with the names that both pages use."""
    replication, jailbreaks = measure("replication"), measure("jailbreaks", kind="safeguard", on="deployment")
    tries = rule(Demand("few-shot"), Demand("fine-tuned", demonstrations=16))
    return small_policy(
        roles=named(role("evaluation-team", 1), role("external-auditor", 2), role("board", 3)),
        measures=named(replication, jailbreaks),
        thresholds=named(
            level("autonomy-3", At("replication", Fraction(1, 2)), rule_out=tries),
            Threshold("bio-4", None, None, Judged("board", ("replication", "security-3"))),
        ),
        requirements=named(
            attested("security-3", by="external-auditor"),
            Approved("go-ahead", "the board accepts the risk", "board", "subject", MONTH),
            Hole("understanding", "what would show it", "board", datetime(2027, 6, 1, tzinfo=UTC)),
            NEVER,
            Combined("either", 1, ("secure", "agreed")),
        ),
        exceptions=named(
            ExceptionRule("interim-security", "interim", ("security-3",), ("go-ahead",), ("board",), MONTH)
        ),
        gates={
            "scale": {"autonomy-3": Cell(("security-3", "understanding"))},
            "deploy-api": {"autonomy-3": Cell(("security-3",))},
        },
    )


def test_every_example_on_the_page_is_true(read):
    told = (DOCS / "policy-tests.md").read_text(encoding="utf-8") + PAGE
    blocks = [block.split("```")[0] for block in told.split("```yaml\n")[1:]]
    assert len(blocks) == 3
    for block in blocks:
        for case in read(block, documented()):
            outcome = cases.run(case, [cases.version(documented())])
            assert outcome.passed, outcome.failures


def test_the_page_names_every_kind_of_fact():
    assert all(f"- {kind}: {{" in PAGE for kind in KINDS)


def test_the_example_policy_says_what_its_cases_say():
    folder = resources.files("interlock") / "policies"
    policy = cases.draft(folder / "example-lab.yaml")
    outcomes = [cases.run(it, [cases.version(policy)]) for it in cases.load(folder / "example-lab.cases.yaml", policy)]
    assert [(it.case.name, it.failures) for it in outcomes if not it.passed] == []
    assert cases.coverage(policy, outcomes) == cases.Coverage((), (), (), (), (), ())


# -- whatever is written -----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *("name", "at", "subjects", "subject", "use", "facts", "expect", "result", "judgement", "approval", "incident"),
        *("measure", "skill", "by", "says", "of", "id", "x", "scale", "hold", "2026-06-01T00:00:00Z", "1e24", "plan"),
        *("findings", "high", "moments", "check", "from", "also", "policy", "on", "cases", "defaults", "lineage"),
    ]
)
TREES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)


@settings(max_examples=150)
@given(tree=TREES)
def test_whatever_is_written_is_read_or_refused_in_words(read, tree):
    import json

    try:
        read(json.dumps(tree))
    except PolicyError as error:
        told = error.problems
        assert all(":1:" in problem for problem in told)
