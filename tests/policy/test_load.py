"""What a written policy becomes: every field of the language, and what is filled in where one is left out."""

import os
import shutil
import threading
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from interlock.errors import PolicyError
from interlock.policy import (
    Action,
    Actor,
    Amendments,
    Amount,
    Approved,
    Assumption,
    At,
    AtLeast,
    Attested,
    Buffer,
    Cell,
    Channel,
    Clock,
    Combined,
    ComputeRatio,
    Defined,
    Demand,
    Domain,
    Duration,
    Duty,
    ExceptionRule,
    Hole,
    IncidentKind,
    Judged,
    Mean,
    Measure,
    Measured,
    Never,
    Permits,
    Ref,
    Refresh,
    Report,
    Response,
    Role,
    RuledOut,
    RuleOut,
    Scope,
    Standard,
    Start,
    ThreatModel,
    Threshold,
    Unbounded,
    UnderQuantity,
    UnderReference,
    UnderScreen,
    from_json,
    to_json,
)
from interlock.policy.draft import draft
from interlock.policy.load import key_files, loads

HALF = Fraction(1, 2)
MONTH = Duration(1, 0)
HALF_YEAR = Duration(6, 0)
YEAR = Duration(12, 0)
DAY = 86400


# -- the example -------------------------------------------------------------------------------------------------------


def test_the_example_loads(policy):
    assert policy.id == "example-lab/rsp"
    assert policy.effective == datetime(2026, 1, 1, tzinfo=UTC)
    assert policy.thresholds["codebook-use"].reached_when == At("codebook", Fraction(1, 5))
    assert policy.thresholds["takeover"].takeover_potential
    assert policy.roles["board"].quorum == 2
    assert len(set(policy.roles["board"].keys)) == 3
    assert policy.requirements["never"] == Never("never")
    assert isinstance(policy.requirements["security-3"], Attested)
    hole = policy.requirements["understanding"]
    assert isinstance(hole, Hole)
    assert hole.review == datetime(2027, 6, 1, tzinfo=UTC)
    assert policy.gates["release-weights"]["codebook-use-open"] == Cell(("never",))
    assert policy.permits.lease == Duration(0, 30 * DAY)
    assert policy.refresh == Refresh(Fraction(4), Duration(3, 0))
    assert policy.attacker_budget == 0
    assert policy.independent == "external-auditor"
    tell = Response("notify", notify=("board",), within=Clock(Duration(0, DAY)))
    assert policy.on_hold["codebook-use"] == (Response("pause-training"), Response("restrict-weight-access"), tell)
    assert policy.amendments == Amendments(("board",), notice=Duration(0, 30 * DAY), frozen_while_reached=True)


def test_like_copies_what_is_left_out(policy):
    base, heir = policy.thresholds["codebook-use"].rule_out, policy.thresholds["codebook-use-open"].rule_out
    assert base.elicitation == (Demand("few-shot"), Demand("fine-tuned", demonstrations=16))
    assert heir.elicitation == (*base.elicitation, Demand("rl-fine-tuned"))
    assert (heir.confidence, heir.buffer, heir.coverage, heir.run_by, heir.refresh) == (
        (base.confidence, base.buffer, base.coverage, base.run_by, base.refresh)
    )
    assert policy.thresholds["takeover"].rule_out == base


def test_like_goes_along_a_chain(text, folder):
    chained = text.replace("rule_out: {like: codebook-use}", "rule_out: {like: codebook-use-open, coverage: 1/3}")
    rule = loads(chained, name="lab.yaml", folder=folder).thresholds["takeover"].rule_out
    assert [demand.elicitation for demand in rule.elicitation] == ["few-shot", "fine-tuned", "rl-fine-tuned"]
    assert rule.coverage == Fraction(1, 3)
    assert rule.elicitation[1].demonstrations == 16


def test_like_may_say_how_many_demonstrations_for_what_it_takes_over(full_text, folder):
    raised = full_text.replace(
        ">= 0.40, rule_out: {like: cyber-high}", ">= 0.40, rule_out: {like: cyber-high, demonstrations: 64}"
    )
    rule = loads(raised, name="full.yaml", folder=folder).thresholds["cyber-alert"].rule_out
    told = {"few-shot": 0, "fine-tuned": 64, "rl-fine-tuned": 4}
    assert {demand.elicitation: demand.demonstrations for demand in rule.elicitation} == told


def test_like_does_not_go_on_for_ever(text, folder):
    after = "\n  takeover:\n"
    links = [
        f"  link-{at}: {{role: watch, reached_when: codebook >= 0.5, rule_out: {{like: LAST}}}}\n" for at in range(16)
    ]
    chain = "".join(link.replace("LAST", f"link-{at - 1}" if at else "codebook-use") for at, link in enumerate(links))
    assert loads(
        text.replace(after, f"\n{chain[: chain.index('  link-15')]}{after[1:]}"), name="lab.yaml", folder=folder
    )
    with pytest.raises(PolicyError, match="goes on for more than 16 thresholds"):
        loads(text.replace(after, f"\n{chain}{after[1:]}"), name="lab.yaml", folder=folder)


def test_a_mistake_in_an_inherited_field_is_told_once(text, folder):
    with pytest.raises(PolicyError) as caught:
        loads(text.replace("confidence: 0.95", "confidence: nope"), name="lab.yaml", folder=folder)
    assert len(caught.value.problems) == 1


def test_without_a_stated_budget_the_attacker_has_one_percent(text, folder):
    lines = [line for line in text.splitlines() if not line.startswith("attacker_budget")]
    policy = loads("\n".join(lines), name="lab.yaml", folder=folder)
    assert (policy.attacker_budget, policy.attacker_budget_source) == (Fraction(1, 100), "default")


def test_a_larger_budget_needs_no_source(text, folder):
    lines = [
        line if not line.startswith("attacker_b") else "attacker_budget: {share: 0.1}" for line in text.splitlines()
    ]
    policy = loads("\n".join(lines), name="lab.yaml", folder=folder)
    assert (policy.attacker_budget, policy.attacker_budget_source) == (Fraction(1, 10), "no source given")


def test_never_is_there_only_when_used(text, folder):
    policy = loads(text.replace("[never]", "[security-3]"), name="lab.yaml", folder=folder)
    assert "never" not in policy.requirements


def test_what_may_be_left_out_is_left_out(policy):
    assert (policy.expires, policy.supersedes, policy.imposed_by, policy.sources) == (None, "", "", ())
    assert policy.scope == Scope()
    assert not any((policy.exceptions, policy.not_governed, policy.actions, policy.duties))


def test_a_policy_over_compute_alone_needs_no_measures(folder):
    text = """
interlock: policy/v1
id: union/baseline
version: 1
title: A baseline
effective: 2026-01-01T00:00:00Z
roles: {office: {keys: [keys/board-1.pub], quorum: 1}}
thresholds: {large: {reached_when: training_compute >= 100000000000000000000000000}}
refresh: {effective_compute: 4x, period: 3 months}
permits: {lease: 30 days, ledger_age: 1 hour, issued_by: office}
plans: {report_within: 21 days}
gates: {release-weights: {large: [never]}}
not_governed: {scale: nowhere, deploy-internal: nowhere, deploy-api: nowhere}
amendments: {approved_by: office}
"""
    policy = loads(text, name="baseline.yaml", folder=folder)
    assert policy.thresholds["large"] == Threshold("large", Amount("training_compute", Fraction(10**26)), None)
    assert (policy.measures, policy.assumptions, dict(policy.requirements)) == ({}, {}, {"never": Never("never")})


def test_keys_can_be_written_in_the_file(text, folder):
    key = (folder / "keys" / "gatekeeper.pub").read_text(encoding="utf-8").strip()
    policy = loads(text.replace("keys/gatekeeper.pub", key), name="lab.yaml", folder=folder)
    assert policy.roles["gatekeeper"].keys == (key,)


def test_the_key_files_of_a_policy_are_known_before_they_are_there(full_text):
    names = ("board-1", "board-2", "external-auditor", "evaluation-team", "gatekeeper", "board-3")
    assert key_files(full_text, name="lab.yaml") == tuple(f"keys/{name}.pub" for name in names)
    assert key_files("roles: [a]", name="lab.yaml") == ()
    with pytest.raises(PolicyError, match=r"lab\.yaml:1:1: expected a mapping"):
        key_files("- a", name="lab.yaml")


def test_a_draft_needs_no_key_files(text, folder, tmp_path):
    """What is not there is stood in for by a key that is the same each time, and what is there is read."""
    (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "board-1.pub").write_bytes((folder / "keys" / "board-1.pub").read_bytes())
    read, real = draft(tmp_path / "lab.yaml"), loads(text, name="lab.yaml", folder=folder)
    assert read == draft(tmp_path / "lab.yaml")
    shared = set(read.roles["board"].keys) & set(real.roles["board"].keys)
    assert len(shared) == 1
    assert read.gates == real.gates


def test_a_draft_with_its_keys_is_told_its_own_problems(text, folder, tmp_path):
    with pytest.raises(PolicyError) as plain:
        loads(text.replace("gates:", "gate:"), name=str(tmp_path / "lab.yaml"), folder=folder)
    shutil.copytree(folder / "keys", tmp_path / "keys")
    (tmp_path / "lab.yaml").write_text(text.replace("gates:", "gate:"), encoding="utf-8")
    with pytest.raises(PolicyError) as drafted:
        draft(tmp_path / "lab.yaml")
    assert drafted.value.problems == plain.value.problems


def test_a_draft_without_its_keys_is_told_its_problems_where_it_stands(text, tmp_path):
    (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "board-2.pub").write_text("no key", encoding="utf-8")
    with pytest.raises(PolicyError) as drafted:
        draft(tmp_path / "lab.yaml")
    [problem] = drafted.value.problems
    assert problem.startswith(f"{tmp_path / 'lab.yaml'}:")
    assert f"in key file `{tmp_path / 'keys' / 'board-2.pub'}`" in problem


def test_a_draft_is_read_once_so_that_a_pipe_will_do(text, tmp_path):
    pipe = tmp_path / "lab.yaml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(text.encode()), daemon=True)
    writer.start()
    assert draft(pipe).id == "example-lab/rsp"
    writer.join(60)


def test_a_draft_without_end_is_refused():
    with pytest.raises(PolicyError, match="expected a policy of at most 1 MiB, got a larger file"):
        draft(Path("/dev/zero"))


def test_a_key_file_outside_has_no_stand_in(text, tmp_path):
    (tmp_path / "lab.yaml").write_text(text.replace("keys/gatekeeper.pub", "../gatekeeper.pub"), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"expected a key file at `.*gatekeeper\.pub`, got nothing"):
        draft(tmp_path / "lab.yaml")


def test_a_draft_that_has_expired_is_refused_by_whoever_says_the_time(full_text, tmp_path):
    (tmp_path / "full.yaml").write_text(full_text, encoding="utf-8")
    assert draft(tmp_path / "full.yaml").expires is not None
    with pytest.raises(PolicyError, match="got one that expired at `2028-12-01T00:00:00Z`"):
        draft(tmp_path / "full.yaml", at=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_draft_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "lab.yaml").write_bytes(b"policy: \xff")
    with pytest.raises(PolicyError, match=r"lab.yaml:1:9: expected UTF-8 text, got byte `0xff`"):
        draft(tmp_path / "lab.yaml")


def test_text_without_a_folder_has_no_key_files(text):
    with pytest.raises(PolicyError) as caught:
        loads(text, name="lab.yaml", folder=None)
    assert all("text without a folder" in line for line in caught.value.problems)


# -- the policy that says everything -----------------------------------------------------------------------------------


def test_the_head(full):
    assert (full.id, full.version, full.supersedes) == ("example-lab/full", "2.0.0", "1.0.0")
    assert full.title == "A policy that says everything"
    assert (full.effective, full.expires) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2028, 12, 1, tzinfo=UTC))
    assert full.imposed_by == "EU AI Office"
    assert full.sources == ("the whole page",)
    assert full.independent == "external-auditor"
    assert full.report_within == Duration(0, 21 * DAY)
    assert full.attacker_budget == Fraction(1, 200)
    assert full.attacker_budget_source == "half of what is known"
    assert full.refresh == Refresh(Fraction(4), Duration(3, 0), ("new-elicitation",), "safety-officer", ("8.2",))
    assert full.permits == Permits(Duration(0, 30 * DAY), Duration(0, 3600), "gatekeeper", ("board",), ("8.3",))
    assert full.amendments == Amendments(
        approved_by=("board",),
        consulted=("ltbt",),
        notice=Duration(0, 30 * DAY),
        frozen_while_reached=True,
        proposed_by=("safety-officer",),
        changelog_required=True,
        sources=("12",),
    )
    assert full.not_governed == {"deploy-api": "section 3.1 leaves it to the deployment policy"}


def test_the_scope_is_over_exact_amounts(full):
    large = AtLeast(
        1, (Amount("training_compute", Fraction(10**25)), Amount("effective_compute", Fraction(25 * 10**24)))
    )
    binds = ("affiliates", "partners with weight access")
    assert full.scope == Scope(large, "revenue over 500M USD", ("academic research",), binds, ("section 1",))


def test_what_the_policy_speaks_of(full):
    context = full.context
    assert context.domains == {"cyber": Domain("cyber", "Cyber offence", ("2.1",))}
    assert context.actors["novice"] == Actor("novice", "basic STEM", "10k USD", "1 year", "API", ("2.2",))
    assert context.actors["state-actor"] == Actor("state-actor", "a national programme")
    assert context.threat_models["cyber-crime"] == ThreatModel(
        name="cyber-crime",
        domain="cyber",
        what="automated intrusion",
        actor="novice",
        harm="over 1bn USD",
        baseline="tools of 2021",
        probability=Fraction(1, 1000),
        horizon=YEAR,
        sources=("2.3",),
    )
    assert context.threat_models["sabotage"] == ThreatModel("sabotage", "cyber", "sabotage")
    standard = Standard("sl-3", "Security level 3", ("RAND SL3",), ("novice",), ("state-actor",), ("2.4",))
    assert context.standards == {"sl-3": standard}
    channel = Channel("speak-up", ("board", "safety-officer"), anonymous=True, sources=("2.5",))
    assert context.channels == {"speak-up": channel}
    assert context.reports == {
        "risk-report": Report(
            name="risk-report",
            title="Risk report",
            by="safety-officer",
            audience=("public", "board"),
            contents=("findings", "holds"),
            redactions="described",
            keep_for=Duration(60, 0),
            sources=("2.6",),
        )
    }
    assert context.incidents["critical"] == IncidentKind("critical", "A critical safety incident", sources=("2.7",))
    assert context.incidents["near-critical"].near_miss_of == "critical"


def test_roles(full, folder):
    key = (folder / "keys" / "external-auditor.pub").read_text(encoding="utf-8").strip()
    assert full.roles["external-auditor"] == Role(
        "external-auditor", (key,), 1, ("evaluation-team",), ("no shared employer",), ("3.1",)
    )
    assert full.roles["ltbt"] == Role("ltbt", (), 1, ())
    assert len(full.roles["board"].keys) == full.roles["board"].quorum == 2


def test_measures(full):
    assert full.measures["replication"] == Measure(
        name="replication",
        kind="capability",
        on="model",
        danger="higher",
        low=Fraction(0),
        high=Fraction(1),
        task="example/replication",
        task_version=3,
        metric="accuracy",
        unit="family",
        samples_digest="00112233445566778899aabbccddeeff" * 2,
        least_samples=100,
        valid_below=Fraction(7, 10),
        sources=("4.1",),
    )
    honesty = full.measures["honesty"]
    assert (honesty.kind, honesty.danger, honesty.low, honesty.high) == ("propensity", "lower", -1, 1)
    assert (honesty.unit, honesty.samples_digest, honesty.least_samples, honesty.valid_below) == ("sample", "", 1, None)
    assert full.measures["ctf-mean"] == Mean("ctf-mean", {"ctf-web": HALF, "ctf-binary": HALF}, ("4.2",))
    skewed = {"ctf-web": Fraction(2, 3), "ctf-binary": Fraction(1, 3)}
    assert full.measures["ctf-skewed"] == Mean("ctf-skewed", skewed)
    assert full.measures["growth"] == ComputeRatio("growth", "base-model", ("4.4",))
    assert full.measures["bio-study"] == Unbounded(
        "bio-study", "capability", "model", "example/uplift", 1, "hours", ("4.5",)
    )
    assert "ctf-worst" not in full.measures


def test_assumptions(full):
    assert full.assumptions["no-gradient-hacking"] == Assumption(
        name="no-gradient-hacking",
        by="external-auditor",
        fresh_for=HALF_YEAR,
        checked="certified-elicitor",
        coverage=Fraction(19, 20),
        confidence=Fraction(99, 100),
        sharpness=Fraction(4, 5),
        sharp_at=Fraction(2, 5),
        least_parameters=500_000,
        void_at=("precursor",),
        sources=("5.1",),
    )
    assert full.assumptions["weights-not-swapped"].confidence == Fraction(19, 20)
    assert full.assumptions["no-evaluation-gaming"] == Assumption(
        "no-evaluation-gaming", "external-auditor", HALF_YEAR, void_at=("precursor",), sources=("5.2",)
    )


HARD = Demand(
    elicitation="fine-tuned",
    demonstrations=16,
    flop=10**18,
    attempts=10,
    tools=True,
    safety_ablated=True,
    refusals=Fraction(1, 50),
)
ITEMS = {"under-elicitation": Fraction(1, 20), "future-gain": Fraction(7, 100)}


def test_a_threshold_with_everything(full):
    rule = RuleOut(
        confidence=Fraction(19, 20),
        elicitation=(Demand("few-shot"), HARD, Demand("rl-fine-tuned", demonstrations=4)),
        buffer=Buffer(Fraction(6), Fraction(3, 25), "our family", ITEMS, period=Duration(3, 0)),
        coverage=Fraction(49, 50),
        run_by="evaluation-team",
        refresh=Refresh(Fraction(2), MONTH, ("new-elicitation", "leak"), "board", ("6.1",)),
        assumes=("weights-not-swapped",),
    )
    assert full.thresholds["cyber-high"] == Threshold(
        name="cyber-high",
        reached_when=At("replication", HALF),
        rule_out=rule,
        below_if=(
            UnderQuantity("effective_compute", Fraction(10**22)),
            UnderScreen("cyber-screen"),
            UnderReference("base-model", ("replication", "ctf-web", "ctf-binary"), Fraction(1, 20)),
        ),
        domain="cyber",
        rung="high",
        above=("cyber-medium",),
        threat_models=("cyber-crime",),
        sources=("6.2",),
    )


def test_buffers(full):
    rules = {name: threshold.rule_out for name, threshold in full.thresholds.items()}
    assert rules["cyber-medium"].buffer == Buffer(Fraction(1), Fraction(0), "a level between two others", {})
    assert rules["bio-high"].buffer == Buffer(
        multiple=Fraction(6),
        margin=Fraction(0),
        source="a forecast",
        items={},
        period=Duration(2, 0),
        forecast_by="external-auditor",
        fresh_for=HALF_YEAR,
    )
    assert rules["cyber-screen"].buffer == Buffer(Fraction(2), Fraction(5), "a screen", {})


def test_expressions(full):
    when = {name: threshold.reached_when for name, threshold in full.thresholds.items()}
    eighty = (At("ctf-web", Fraction(80)), At("ctf-binary", Fraction(80)))
    assert when["bio-high"] == AtLeast(1, (At("ctf-skewed", Fraction(50)), AtLeast(1, eighty)))
    assert when["lying"] == At("honesty", Fraction(-1, 2))
    assert when["precursor"] == Amount("training_compute", Fraction(10**26))
    assert when["grown"] == Amount("growth", Fraction(4))
    assert when["combined"] == AtLeast(2, (Ref("precursor"), AtLeast(1, (Ref("cyber-high"), Ref("bio-high")))))
    three = (At("replication", HALF), At("ctf-web", Fraction(50)), At("ctf-binary", Fraction(50)))
    assert when["two-of-three"] == AtLeast(2, three)
    assert when["any-high"] == AtLeast(1, (Ref("bio-high"), Ref("cyber-high")))
    assert when["bio-4"] is None


def test_the_worst_where_lower_is_worse_is_reached_from_above(full_text, folder):
    changed = full_text.replace("  growth: ", "  candour:    {max_of: [honesty]}\n  growth: ")
    changed = changed.replace("reached_when: honesty <=", "reached_when: candour <=")
    when = loads(changed, name="full.yaml", folder=folder).thresholds["lying"].reached_when
    assert when == AtLeast(1, (At("honesty", Fraction(-1, 2)),))


def test_thresholds_that_stand_elsewhere_or_are_judged(full):
    assert full.thresholds["cyber-screen"].role == "watch"
    assert (full.thresholds["cyber-alert"].role, full.thresholds["cyber-alert"].alert_for) == ("alert", "cyber-high")
    on = ("bio-study", "capability-report", "ctf-web", "ctf-binary")
    assert full.thresholds["bio-4"].judged == Judged("board", on, HALF_YEAR)
    assert full.thresholds["bio-5"].judged == Judged("board", ())
    assert full.thresholds["bio-5"].hole
    assert full.thresholds["takeover"].takeover_potential


def test_a_rule_without_its_own_refresh_has_the_policys(full):
    assert full.thresholds["lying"].rule_out.refresh == full.refresh
    assert full.thresholds["lying"].rule_out.elicitation == (
        Demand("prompted"),
        Demand("few-shot", demonstrations=3, attempts=2),
    )


def test_requirements(full):
    found = full.requirements
    assert found["security-3"] == Attested(
        "security-3", "weight security level 3 audit", "external-auditor", "developer", YEAR, "sl-3", ("7.1",)
    )
    assert found["go-ahead"] == Approved(
        "go-ahead", "the board accepts the residual risk", "board", "deployment", Duration(3, 0), ("7.2",)
    )
    assert found["next-defined"] == Defined("next-defined", "bio-5", ("7.4",))
    assert found["next-ruled-out"] == RuledOut("next-ruled-out", "bio-high", ("7.5",))
    assert found["either"] == Combined("either", 1, ("security-3", "security-interim"), sources=("7.6",))
    assert found["safety-case"] == Combined(
        "safety-case", 2, ("misuse-3", "go-ahead"), "misuse is unlikely", "defence in depth", "novel attacks"
    )
    assert found["most"] == Combined("most", 2, ("security-3", "misuse-4", "misuse-5"))
    hole = Hole(
        "understanding", "what would show it is not known yet", "board", datetime(2027, 6, 1, tzinfo=UTC), ("7.7",)
    )
    assert found["understanding"] == hole
    assert found["never"] == Never("never")


def test_a_measured_requirement_with_everything(full):
    rule = RuleOut(
        confidence=Fraction(99, 100),
        elicitation=(Demand("fine-tuned", demonstrations=8, attempts=3),),
        buffer=Buffer(Fraction(1), Fraction(1, 200), "stated", {}),
        coverage=Fraction(19, 20),
        run_by="safety-officer",
        refresh=Refresh(Fraction(3), Duration(2, 0)),
        assumes=("weights-not-swapped",),
    )
    assert full.requirements["misuse-4"] == Measured("misuse-4", "refusals", Fraction(99, 100), rule)


NO_BUFFER = Buffer(Fraction(1), Fraction(0), "measured on the deployment itself", {})


def test_what_a_measured_requirement_leaves_out_is_that_of_its_one_cell(full):
    """`misuse-5` stands in `most`, and that at `two-of-three`; `misuse-3` stands at two thresholds with like rules."""
    around = full.thresholds["two-of-three"].rule_out
    rule = full.requirements["misuse-5"].rule_out
    assert (rule.confidence, rule.elicitation, rule.coverage) == (
        (around.confidence, around.elicitation, around.coverage)
    )
    assert (rule.run_by, rule.refresh, rule.assumes) == (around.run_by, around.refresh, around.assumes)
    assert rule.buffer == NO_BUFFER
    assert full.requirements["misuse-3"].rule_out.elicitation == (Demand("prompted"),)


def test_of_several_cells_the_strictest_counts_in_each_field(full_text, folder):
    stands_at = {
        "lying: {must: [either], will: [go-ahead]}": "lying: {must: [misuse-5], will: [go-ahead]}",
        "      coverage: 0.9\n": "      coverage: 0.99\n      refresh: {effective_compute: 3x, period: 20 days}\n",
        "few-shot: {demonstrations: 3, attempts: 2}": "few-shot: {demonstrations: 3, attempts: 2, refusals: 0.5}",
    }
    for old, new in stands_at.items():
        assert old in full_text
        full_text = full_text.replace(old, new, 1)
    rule = loads(full_text, name="full.yaml", folder=folder).requirements["misuse-5"].rule_out
    assert rule == RuleOut(
        confidence=Fraction(19, 20),
        elicitation=(
            Demand("prompted"),
            Demand("few-shot", demonstrations=3, attempts=2, refusals=HALF),
            HARD,
            Demand("rl-fine-tuned", demonstrations=4),
        ),
        buffer=NO_BUFFER,
        coverage=Fraction(99, 100),
        run_by="evaluation-team",
        refresh=Refresh(Fraction(2), Duration(0, 20 * DAY), ("new-elicitation", "leak"), "board", ("6.1",)),
        assumes=("weights-not-swapped",),
    )


def test_two_who_may_end_a_result_at_will_must_be_told_apart(full_text, folder):
    both = full_text.replace("lying: {must: [either]", "lying: {must: [misuse-5]", 1)
    with pytest.raises(
        PolicyError, match=r"expected field `refresh`, got nothing; .* say `board` and `safety-officer`"
    ):
        loads(both, name="full.yaml", folder=folder)


def test_a_measured_requirement_that_says_all_can_stand_in_no_cell(full_text, folder):
    alone = full_text.replace("bio-high: {will: [misuse-4]}", "bio-high: [never]").replace(
        "[security-3, misuse-4, misuse-5]", "[security-3, go-ahead, misuse-5]"
    )
    alone = alone.replace("    refresh: {effective_compute: 3x, period: 2 months}\n", "")
    policy = loads(alone, name="full.yaml", folder=folder)
    assert policy.requirements["misuse-4"].rule_out.refresh == policy.refresh


def test_what_stands_in_for_a_requirement_stands_in_its_cells(full_text, folder):
    instead = full_text.replace("requires: [go-ahead], approved_by: board", "requires: [misuse-5], approved_by: board")
    instead = instead.replace("[security-3, misuse-4, misuse-5]", "[security-interim, misuse-4, go-ahead]")
    stated = "measured: jailbreaks <= 0.05, refresh: {effective_compute: 2x, period: 1 month}"
    instead = instead.replace("measured: jailbreaks <= 0.05", stated)
    policy = loads(instead, name="full.yaml", folder=folder)
    rule = policy.requirements["misuse-5"].rule_out
    assert (rule.run_by, rule.refresh) == ("evaluation-team", Refresh(Fraction(2), MONTH))


def test_exceptions_and_actions(full):
    assert full.exceptions["interim-security"] == ExceptionRule(
        name="interim-security",
        kind="interim",
        instead_of=("security-3",),
        requires=("security-interim",),
        approved_by=("board",),
        lasts=HALF_YEAR,
        until=datetime(2027, 12, 31, 12, tzinfo=UTC),
        sources=("8.1",),
    )
    emergency = ExceptionRule(
        "emergency", "emergency", ("security-3",), ("go-ahead",), ("board",), Duration(0, 7 * DAY)
    )
    assert full.exceptions["emergency"] == emergency
    assert full.actions == {
        "deploy-testers": Action(
            name="deploy-testers",
            reversible=True,
            refines="deploy-api",
            audience="trusted testers",
            size="small",
            surface="API",
            sources=("9.1",),
        ),
        "deploy-robots": Action("deploy-robots", reversible=False),
    }


def test_cells(full):
    internal = full.gates["deploy-internal"]
    weaker = (("intends", "go-ahead"), ("recommends", "misuse-3"))
    assert internal["cyber-high"] == Cell(("security-3",), weaker, "will", ("9.2",))
    assert internal["lying"] == Cell(("either", "go-ahead"))
    assert full.gates["release-weights"] == {
        "cyber-high": Cell(("never",)),
        "bio-high": Cell(("misuse-4",), modality="will"),
    }


def test_holds(full):
    assert full.on_hold == {
        "cyber-high": (
            Response("pause-training"),
            Response("notify", notify=("board",), within=Clock(Duration(0, DAY))),
            Response("lock-weights", ("reached",), modality="will"),
            Response(
                "reroute-work", ("not ruled out", "overdue", "unmet:security-3"), to=("either",), sources=("10.1",)
            ),
        ),
        "security-3": (Response("notify", notify=("board",), within=Clock(business_days=2)),),
        "scale": (Response("write-policy"),),
    }


def test_duties(full):
    def here(length=None, days=0):
        return Clock(length, days, "Europe/Brussels", (date(2026, 12, 25),))

    assert full.duties["eu-incident"] == Duty(
        name="eu-incident",
        what="initial report to the AI Office",
        by="safety-officer",
        start=Start("incident", ("critical",), "awareness"),
        within=here(days=5),
        not_before=here(days=1),
        repeat=here(Duration(0, 28 * DAY)),
        until_resolved=True,
        after_resolved=here(Duration(0, 60 * DAY)),
        report="risk-report",
        notify=("board",),
        regime="EU Code of Practice, measure 9.3",
        modality="will",
        sources=("11.1",),
    )
    quarter = Clock(Duration(3, 0))
    assert full.duties["quarterly"] == Duty(
        "quarterly",
        "report to the board",
        "safety-officer",
        Start("effective"),
        quarter,
        Clock(Duration(2, 0)),
        quarter,
    )
    starts = {name: (duty.start.on, duty.start.of) for name, duty in full.duties.items()}
    assert starts == {
        "eu-incident": ("incident", ("critical",)),
        "quarterly": ("effective", ()),
        "next-level": ("reached", ("cyber-high",)),
        "look-again": ("not-ruled-out", ("cyber-high",)),
        "catch-up": ("overdue", ("cyber-high",)),
        "warn": ("alert", ("cyber-alert",)),
        "explain": ("hold", ("scale",)),
        "publish": ("permit", ("deploy-testers",)),
        "look-back": ("exception", ("interim-security",)),
    }


@pytest.mark.parametrize("name", ["policy", "full"])
def test_what_was_loaded_compiles_and_comes_back(name, request):
    policy = request.getfixturevalue(name)
    assert from_json(to_json(policy)) == policy
