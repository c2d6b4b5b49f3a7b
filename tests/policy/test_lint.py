"""Each check finds what it is for, and nothing in a policy that has it right."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from interlock.policy import from_json, to_json
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.lint import CHECKS, LEVELS, lint
from interlock.policy.model import (
    CERTIFIED,
    UNBOUNDED_MONTHS,
    UNBOUNDED_MULTIPLE,
    Amendments,
    Amount,
    Approved,
    At,
    AtLeast,
    Cell,
    Combined,
    Defined,
    Demand,
    ExceptionRule,
    Hole,
    IncidentKind,
    Judged,
    Mean,
    Measured,
    Permits,
    Ref,
    Refresh,
    RuledOut,
    Threshold,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy.time import Duration
from policy.samples import (
    ASSUMPTIONS,
    DAY,
    MONTH,
    NEVER,
    attested,
    buffer,
    checked,
    full_policy,
    gates,
    key,
    measure,
    named,
    refresh,
    role,
    rule,
    small_policy,
    stated,
    threshold,
)

AT = datetime(2026, 11, 1, tzinfo=UTC)
NO_END = refresh(multiple=Fraction(UNBOUNDED_MULTIPLE), period=Duration(UNBOUNDED_MONTHS, 0))
NO_ROOM = buffer(multiple=Fraction(UNBOUNDED_MULTIPLE), margin=Fraction(0))
FORECAST_OF_NOTHING = buffer(multiple=Fraction(1), margin=Fraction(0), forecast_by="board", fresh_for=MONTH)
TRIED = (Demand("few-shot", 4), Demand("fine-tuned", 16))
NOTIFY = (Response("notify", notify=("board",)),)
SECTION = ("section 4",)
GATES = gates(
    {"high": Cell(("secure",)), "takeover": Cell(("secure", "understood"))},
    release_weights={"open": Cell(("never",)), "takeover": Cell(("understood",))},
)


def line(name, level, **changes):
    """A threshold on `skill` with everything that a good one has."""
    return threshold(name, At("skill", Fraction(level)), **{"rule_out": rule(*TRIED), "sources": SECTION, **changes})


def good(**changes):
    """A policy without an error or a warning. `more_X` adds to or replaces in a mapping."""
    plain = small_policy(
        roles=named(
            role("runs", 1, 2),
            role("says", 3, independent_of=("runs", "board", "gatekeeper")),
            role("board", 4, 5, quorum=2),
            role("gatekeeper", 6),
        ),
        assumptions={
            name: ASSUMPTIONS[name] for name in ("no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations")
        },
        thresholds=named(line("high", "1/2"), line("open", "3/10"), line("takeover", "9/10", takeover_potential=True)),
        requirements=named(
            attested(), Hole("understood", "what shows it", "board", datetime(2027, 6, 1, tzinfo=UTC)), NEVER
        ),
        gates=GATES,
        permits=Permits(MONTH, DAY, "gatekeeper"),
        independent="says",
        on_hold={"high": NOTIFY, "takeover": NOTIFY},
        amendments=Amendments(("board",), notice=MONTH, frozen_while_reached=True),
    )
    more = {name[5:]: changes.pop(name) for name in list(changes) if name.startswith("more_")}
    merged = {name: {**getattr(plain, name), **entries} for name, entries in more.items()}
    return replace(plain, **{**changes, **merged})


def cell(threshold, *requires, action="scale", **changes):
    """The gates with one more cell at one action."""
    return {**GATES, action: {**GATES[action], threshold: Cell(requires, **changes)}}


def everywhere(threshold, *requires):
    return {action: {**row, threshold: Cell(requires)} for action, row in GATES.items()}


def without(action, threshold):
    row = {name: it for name, it in GATES[action].items() if name != threshold}
    return {**GATES, action: row}


def open_line(*requires, **changes):
    """Open weights by another line, or with other requirements."""
    kept = {"release-weights": {"open": Cell(requires or ("never",)), "takeover": Cell(("understood",))}}
    return good(gates={**GATES, **kept}, more_thresholds=named(line("open", changes.pop("level", "3/10"), **changes)))


def on(name, expr, **changes):
    """A threshold on something else, with everything that a good one has."""
    return threshold(name, expr, **{"rule_out": rule(*TRIED), "sources": SECTION, **changes})


def cyber(name, level, **changes):
    return on(name, At("cyber", Fraction(level)), **changes)


def amount(name, flop):
    return on(name, Amount("training_compute", Fraction(flop)), rule_out=None)


def releases(closed, opened, *watched):
    """More thresholds at the closed release and at the open one, all with the same requirement, and at no gate."""
    more = {"deploy-api": closed, "release-weights": opened}
    cells = {action: {it.name: Cell(("secure",)) for it in listed} for action, listed in more.items()}
    mean = Mean("attack", {"cyber": Fraction(1, 2), "bio": Fraction(1, 2)})
    return good(
        more_measures=named(measure("cyber"), measure("bio"), mean),
        more_thresholds=named(*closed, *opened, *watched),
        gates={**GATES, **{action: {**GATES[action], **row} for action, row in cells.items()}},
    )


def ungoverned(action):
    plain = good()
    kept = {name: row for name, row in GATES.items() if name != action}
    listed = {name for row in kept.values() for name in row}
    thresholds = {name: it for name, it in plain.thresholds.items() if name in listed}
    return replace(plain, gates=kept, thresholds=thresholds, not_governed={action: "section 3.1"})


def exception(kind="interim", instead_of=("secure",), until=datetime(2027, 6, 1, tzinfo=UTC), by=("board", "says")):
    rule = ExceptionRule("way-round", kind, instead_of, ("interim",), by, MONTH, until)
    return good(more_requirements=named(attested("interim")), exceptions=named(rule))


KEYLESS = named(role("trust", quorum=1))
#: What nobody can rule out: it rests on an assumption that is void at a hole.
VOID = rule(*TRIED, assumes=("unaware",))


def void(*lines, **changes):
    """A policy with thresholds that rest on such an assumption."""
    return good(
        more_assumptions=named(stated("unaware", void_at=("aware",))),
        more_thresholds=named(Threshold("aware", None, None, Judged("board", ()), sources=SECTION), *lines),
        **changes,
    )


WEEK = Duration(0, 7 * 86400)

FORECAST = rule(*TRIED, buffer=buffer(margin=Fraction(0), forecast_by="says", fresh_for=MONTH))
SMALL = UnderQuantity("effective_compute", Fraction(10**22))
BOTH = on("both", AtLeast(2, (At("cyber", Fraction(1, 2)), At("bio", Fraction(1, 2)))))

#: check -> (what is wrong, where it is found, the policy)
FOUND = {
    "no-gate-on-scale": [("training is left open", "not_governed.scale", ungoverned("scale"))],
    "no-gate-on-internal-use": [
        ("internal use is left open", "not_governed.deploy-internal", ungoverned("deploy-internal"))
    ],
    "stop-without-resume": [
        (
            "an alert pauses training once it is reached, and no gate says when it goes on",
            "on_hold.early",
            good(
                more_thresholds=named(line("early", "1/4", role="watch")),
                more_on_hold={"early": (Response("pause-training", when=("reached",)),)},
            ),
        ),
        (
            "a requirement is a threshold that cannot be ruled out",
            "gates.scale.high",
            void(
                line("stuck", "1/2", rule_out=VOID),
                more_requirements=named(RuledOut("ruled-out", "stuck")),
                gates=cell("high", "ruled-out"),
            ),
        ),
        (
            "`never` at a threshold that cannot be ruled out",
            "gates.release-weights.open",
            void(line("open", "3/10", rule_out=VOID)),
        ),
    ],
    "stop-until-amended": [
        (
            "training pauses at a hole that stands at no gate",
            "on_hold.next",
            good(
                more_thresholds=named(Threshold("next", None, None, Judged("board", ()), role="watch")),
                more_on_hold={"next": (Response("pause-training"),)},
            ),
        ),
        (
            "a hole at a hole: nothing opens the gate",
            "gates.scale.next",
            good(
                more_thresholds=named(Threshold("next", None, None, Judged("board", ()), sources=SECTION)),
                gates=cell("next", "secure"),
            ),
        ),
        (
            "the next level is not defined yet",
            "gates.scale.high",
            good(
                more_requirements=named(Defined("next-defined", "next")), gates=cell("high", "secure", "next-defined")
            ),
        ),
    ],
    "role-without-keys": [
        (
            "the only requirement is signed by nobody",
            "roles.trust",
            good(
                more_roles=KEYLESS,
                more_requirements=named(Approved("go-ahead", "go", "trust", "subject", MONTH)),
                gates=cell("high", "secure", "go-ahead"),
            ),
        ),
        (
            "nobody can amend",
            "roles.trust",
            good(more_roles=KEYLESS, amendments=Amendments(("trust",), notice=MONTH, frozen_while_reached=True)),
        ),
        (
            "nobody runs the evaluation",
            "roles.trust",
            good(more_roles=KEYLESS, more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, run_by="trust")))),
        ),
    ],
    "never-ruled-out": [
        (
            "what it rests on is void at a hole",
            "thresholds.stuck",
            void(line("stuck", "1/2", rule_out=VOID), gates=cell("stuck", "secure")),
        )
    ],
    "no-explicit-hole": [
        (
            "no takeover threshold and no hole",
            "thresholds",
            good(
                gates={
                    action: {name: it for name, it in row.items() if name != "takeover"}
                    for action, row in GATES.items()
                },
                thresholds=named(line("high", "1/2"), line("open", "3/10")),
                on_hold={"high": NOTIFY},
                requirements=named(attested(), NEVER),
            ),
        ),
        ("a takeover cell without a hole", "gates.scale.takeover", good(gates=cell("takeover", "secure"))),
    ],
    "takeover-unlisted": [
        ("internal use forgets it", "gates.deploy-internal", good(gates=without("deploy-internal", "takeover")))
    ],
    "ladder-without-next": [
        (
            "nothing above the highest level",
            "thresholds.cyber-high",
            good(
                more_measures=named(measure("cyber")),
                more_thresholds=named(
                    threshold(
                        "cyber-low", At("cyber", Fraction(3, 10)), rule_out=rule(*TRIED), sources=SECTION, role="watch"
                    ),
                    threshold(
                        "cyber-high",
                        At("cyber", Fraction(1, 2)),
                        rule_out=rule(*TRIED),
                        sources=SECTION,
                        above=("cyber-low",),
                    ),
                ),
                gates=everywhere("cyber-high", "secure"),
            ),
        )
    ],
    "hole-without-owner": [
        (
            "owned by a role without keys",
            "requirements.understood",
            good(
                more_roles=KEYLESS,
                more_requirements=named(Hole("understood", "?", "trust", datetime(2027, 6, 1, tzinfo=UTC))),
            ),
        )
    ],
    "hole-past-review": [
        (
            "the review was last year",
            "requirements.understood",
            good(more_requirements=named(Hole("understood", "?", "board", AT - timedelta(days=1)))),
        )
    ],
    "open-weights-left-open": [
        (
            "the closed release is gated and not the open one",
            "not_governed.release-weights",
            ungoverned("release-weights"),
        )
    ],
    "open-weights-looser": [
        ("a higher level", "gates.release-weights", open_line(level="3/5")),
        (
            "a smaller margin",
            "gates.release-weights",
            open_line(level="1/2", rule_out=rule(*TRIED, buffer=buffer(margin=Fraction(0)))),
        ),
        ("less elicitation", "gates.release-weights", open_line(rule_out=rule(Demand("fine-tuned", 16)))),
        ("fewer demonstrations", "gates.release-weights", open_line(rule_out=rule(TRIED[0], Demand("fine-tuned", 8)))),
        ("less confidence", "gates.release-weights", open_line(rule_out=rule(*TRIED, confidence=Fraction(9, 10)))),
        (
            "another way to be below",
            "gates.release-weights",
            open_line(below_if=(UnderQuantity("effective_compute", Fraction(10**22)),)),
        ),
        (
            "fewer requirements",
            "gates.release-weights",
            good(
                more_requirements=named(attested("misuse")),
                gates=GATES
                | {
                    "deploy-api": {**GATES["deploy-api"], "high": Cell(("secure", "misuse"))},
                    "release-weights": {"high": Cell(("secure",)), "takeover": Cell(("understood",))},
                },
                thresholds=named(line("high", "1/2"), line("takeover", "9/10", takeover_potential=True)),
            ),
        ),
        (
            "requirements where the closed release has none that can be met",
            "gates.release-weights",
            good(
                gates=GATES
                | {
                    "deploy-api": {**GATES["deploy-api"], "high": Cell(("never",))},
                    "release-weights": {"open": Cell(("secure",)), "takeover": Cell(("understood",))},
                },
            ),
        ),
        (
            "a line that is missing",
            "gates.release-weights",
            good(
                more_measures=named(measure("cyber")),
                more_thresholds=named(
                    threshold("cyber-high", At("cyber", Fraction(1, 2)), rule_out=rule(*TRIED), sources=SECTION)
                ),
                gates=cell("cyber-high", "secure", action="deploy-api"),
            ),
        ),
        (
            "one of two lines that are combined",
            "gates.release-weights",
            good(
                more_thresholds=named(
                    line("open", "3/10"),
                    replace(
                        line("big", "1/2"),
                        reached_when=AtLeast(1, (Ref("high"), Amount("training_compute", Fraction(10**26)))),
                        rule_out=None,
                    ),
                ),
                gates=cell("big", "secure", action="deploy-api"),
            ),
        ),
    ],
    "open-weights-not-stricter": [
        (
            "the same line",
            "gates.release-weights",
            good(
                gates=GATES | {"release-weights": GATES["scale"]},
                thresholds=named(line("high", "1/2"), line("takeover", "9/10", takeover_potential=True)),
            ),
        ),
        (
            "other requirements",
            "gates.release-weights",
            good(
                more_requirements=named(attested("tampering")),
                gates=GATES | {"release-weights": {"open": Cell(("tampering",)), "takeover": Cell(("understood",))}},
            ),
        ),
    ],
    "api-looser-than-internal": [
        (
            "the closed release forgets a line",
            "gates.deploy-api",
            good(gates=cell("open", "secure", action="deploy-internal")),
        )
    ],
    "always-open": [
        (
            "a level that is defined is all that is asked",
            "gates.scale.high",
            good(more_requirements=named(Defined("next-defined", "takeover")), gates=cell("high", "next-defined")),
        )
    ],
    "dead-cell": [
        (
            "a higher level with the same requirement",
            "gates.scale.higher",
            good(more_thresholds=named(line("higher", "3/5")), gates=cell("higher", "secure")),
        )
    ],
    "unreachable-level": [
        (
            "all samples right is never shown",
            "thresholds.takeover",
            good(more_thresholds=named(line("takeover", 1, takeover_potential=True))),
        ),
    ],
    "no-fine-tuning": [
        (
            "prompting alone rules out",
            "thresholds.high.rule_out",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(Demand("few-shot", 4))))),
        )
    ],
    "screen-without-fine-tuning": [
        (
            "a cheap screen rules out",
            "thresholds.high.below_if",
            good(
                more_thresholds=named(
                    line("screen", "1/5", role="watch", rule_out=rule(Demand("few-shot", 4))),
                    line("high", "1/2", below_if=(UnderScreen("screen"),)),
                )
            ),
        )
    ],
    "no-sandbagging-evidence": [
        (
            "the evaluators' colleagues say that the model does not play dumb",
            "assumptions.no-evaluation-gaming",
            good(more_assumptions=named(stated("no-evaluation-gaming", by="board"))),
        )
    ],
    "blunt-check": [
        (
            "an elicitor whose bounds are always 1 is certified",
            "assumptions.no-gradient-hacking",
            good(
                more_assumptions=named(replace(checked("no-gradient-hacking"), checked=CERTIFIED)),
            ),
        )
    ],
    "no-external-auditor": [
        (
            "no role is independent",
            "roles",
            good(more_roles=named(role("says", 3)), independent=""),
        ),
        (
            "the auditor is independent of the board alone",
            "roles",
            good(more_roles=named(role("says", 3, independent_of=("board",))), independent=""),
        ),
        (
            "the independent role has no part in the evidence",
            "roles",
            good(
                more_roles=named(role("says", 3), role("auditor", 7, independent_of=("runs", "says"))),
                independent="auditor",
            ),
        ),
    ],
    "no-independent-role": [("nobody sets aside", "independent", good(independent=""))],
    "judged-without-measures": [
        (
            "a judgement on a report",
            "thresholds.bio.on",
            good(
                more_thresholds=named(Threshold("bio", None, None, Judged("board", ("secure",)), sources=SECTION)),
                gates=everywhere("bio", "never"),
            ),
        )
    ],
    "buffer-not-above-refresh": [
        (
            "4x of room, 4x between two evaluations",
            "thresholds.high.rule_out.buffer",
            good(
                more_thresholds=named(
                    line("high", "1/2", rule_out=rule(*TRIED, buffer=buffer(multiple=Fraction(4)))),
                )
            ),
        )
    ],
    "no-buffer": [
        (
            "buffer: none",
            "thresholds.high.rule_out.buffer",
            good(
                more_thresholds=named(
                    line("high", "1/2", rule_out=rule(*TRIED, buffer=buffer(multiple=Fraction(1), margin=Fraction(0))))
                )
            ),
        ),
        (
            "a multiple that says that none is named",
            "thresholds.high.rule_out.buffer",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, buffer=NO_ROOM, refresh=NO_END)))),
        ),
        (
            "a forecast for no growth",
            "thresholds.high.rule_out.buffer",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, buffer=FORECAST_OF_NOTHING)))),
        ),
    ],
    "slow-refresh": [
        (
            "once a year",
            "thresholds.high.rule_out",
            good(
                more_thresholds=named(
                    line("high", "1/2", rule_out=rule(*TRIED, refresh=Refresh(Fraction(4), Duration(12, 0))))
                )
            ),
        )
    ],
    "low-confidence": [
        (
            "0.8",
            "thresholds.high.rule_out.confidence",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, confidence=Fraction(4, 5))))),
        )
    ],
    "low-coverage": [
        (
            "half of the samples",
            "thresholds.high.rule_out.coverage",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, coverage=Fraction(1, 2))))),
        )
    ],
    "too-few-samples": [
        (
            "nine samples at a level of 0.25 and a confidence of 0.95",
            "measures.skill.source.at_least",
            good(more_measures=named(measure("skill", least_samples=9))),
        )
    ],
    "attacker-budget": [("nothing", "attacker_budget", good(attacker_budget=Fraction(0)))],
    "roles-not-separate": [
        (
            "who evaluates also amends",
            "roles.runs",
            good(amendments=Amendments(("board", "runs"), notice=MONTH, frozen_while_reached=True)),
        ),
        (
            "who evaluates shares a key with who signs permits",
            "roles.runs",
            good(more_roles=named(role("gatekeeper", 2))),
        ),
        ("who evaluates makes every attestation", "roles.runs", good(more_requirements=named(attested(by="runs")))),
    ],
    "amendments-not-frozen": [("no freeze", "amendments", good(amendments=Amendments(("board",), notice=MONTH)))],
    "amendments-without-notice": [
        ("no notice", "amendments", good(amendments=Amendments(("board",), frozen_while_reached=True)))
    ],
    "exceptions-present": [("an interim measure", "exceptions.way-round", exception())],
    "unused-exception": [
        (
            "every cell that lists it has a hole",
            "exceptions.way-round",
            replace(exception(), gates=everywhere("high", "secure", "never")),
        )
    ],
    "emergency-without-end": [("no last day", "exceptions.way-round", exception("emergency", until=None))],
    "marginal-risk-approval": [
        ("the board is left out", "exceptions.way-round.approved_by", exception("marginal-risk", by=("says",)))
    ],
    "expiring-soon": [("next month", "expires", good(expires=AT + timedelta(days=30)))],
    "long-lease": [("a year", "permits.lease", good(permits=Permits(Duration(12, 0), DAY, "gatekeeper")))],
    "old-ledger": [("a week", "permits.ledger_age", good(permits=Permits(MONTH, WEEK, "gatekeeper")))],
    "no-response": [("nobody is told", "on_hold", good(on_hold={}))],
    "not-binding": [
        ("recommended", "gates.scale.high", good(gates=cell("high", "secure", weaker=(("recommends", "understood"),))))
    ],
    "discretion-counted": [
        (
            "the board approves",
            "requirements.go-ahead",
            good(
                more_requirements=named(Approved("go-ahead", "go", "board", "subject", MONTH)),
                gates=cell("high", "secure", "go-ahead"),
            ),
        ),
        (
            "a member of the board asks for a new evaluation of one threshold",
            "thresholds.high.rule_out.refresh",
            good(
                more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, refresh=refresh(discretion="board"))))
            ),
        ),
    ],
    "no-sources": [
        ("where it stands", "thresholds.high", good(more_thresholds=named(line("high", "1/2", sources=()))))
    ],
    "incident-kinds-undeclared": [
        ("an event", "refresh.events", good(refresh=refresh(events=("leak",)))),
        (
            "an event of one threshold",
            "thresholds.high.rule_out.refresh.events",
            good(more_thresholds=named(line("high", "1/2", rule_out=rule(*TRIED, refresh=refresh(events=("leak",)))))),
        ),
        (
            "a start",
            "duties.report.starts.incident",
            good(duties=named(Duty("report", "tell", "says", Start("incident", ("leak",)), Clock(DAY)))),
        ),
    ],
    "unused-requirement": [
        ("required nowhere", "requirements.misuse", good(more_requirements=named(attested("misuse"))))
    ],
    "unused-assumption": [
        (
            "no evaluation by RL",
            "assumptions.no-exploration-hacking",
            good(more_assumptions={"no-exploration-hacking": ASSUMPTIONS["no-exploration-hacking"]}),
        )
    ],
    "unused-measure": [("no line", "measures.cyber", good(more_measures=named(measure("cyber"))))],
    "unused-role": [("no part", "roles.visitor", good(more_roles=named(role("visitor", 9))))],
}
CASES = [(check, *case) for check, cases in FOUND.items() for case in cases]


def found(policy, check):
    return [it for it in lint(policy, at=AT) if it.check == check]


def test_every_check_has_a_policy_that_it_finds_fault_with():
    assert list(FOUND) == [check.id for check in CHECKS]


@pytest.mark.parametrize(("check", "sentence", "path", "policy"), CASES, ids=[f"{it[0]}: {it[1]}" for it in CASES])
def test_a_check_finds_what_it_is_for(check, sentence, path, policy):
    assert from_json(to_json(policy)) == policy, "the policy would not load"
    assert path in [it.path for it in found(policy, check)]


def test_a_good_policy_has_no_findings_but_the_stops_that_it_means():
    assert {it.check for it in lint(good(), at=AT)} == {"stop-until-amended"}


@pytest.mark.parametrize(
    "policy", [policy for _, _, _, policy in CASES] + [full_policy(), small_policy()], ids=lambda _: ""
)
def test_findings_are_one_clear_sentence_at_a_path_of_the_policy(policy):
    for it in lint(policy, at=AT):
        assert it.path.split(".")[0] in to_json(policy), it
        assert re.fullmatch(r"[a-z0-9`].*[^.]", it.message), it
        assert "{" not in it.message


def test_findings_come_gravest_first():
    levels = [LEVELS.index(it.level) for it in lint(small_policy())]
    assert levels == sorted(levels)
    assert len(set(levels)) == len(LEVELS)


def test_a_case_brings_no_error_that_it_is_not_about():
    """A change that is wrong in one way is not reported in five."""
    for check, sentence, _, policy in CASES:
        errors = {it.check for it in lint(policy, at=AT) if it.level == "error"}
        assert errors <= {check}, (sentence, errors)


# -- no false alarms


@pytest.mark.parametrize(
    "policy",
    {
        "the same threshold, never for weights": good(
            gates=GATES | {"release-weights": {"high": Cell(("never",)), "takeover": Cell(("understood",))}},
            thresholds=named(line("high", "1/2"), line("takeover", "9/10", takeover_potential=True)),
        ),
        "a lower line with all requirements and one more": good(
            more_requirements=named(attested("tampering")),
            gates=GATES
            | {"release-weights": {"open": Cell(("secure", "tampering")), "takeover": Cell(("understood",))}},
        ),
        "a safety case that contains the requirement": good(
            more_requirements=named(attested("tampering"), Combined("case", 2, ("secure", "tampering"))),
            gates=GATES | {"release-weights": {"open": Cell(("case",)), "takeover": Cell(("understood",))}},
        ),
        "a safeguard of the deployment is no use once weights are out": good(
            more_measures=named(measure("jailbreaks", "safeguard", on="deployment")),
            more_requirements=named(
                Measured("misuse", "jailbreaks", Fraction(1, 10), rule(*TRIED)), attested("tampering")
            ),
            gates=GATES
            | {
                "deploy-api": {**GATES["deploy-api"], "high": Cell(("secure", "misuse"))},
                "release-weights": {"open": Cell(("secure", "tampering")), "takeover": Cell(("understood",))},
            },
        ),
        "less compute": releases([amount("big", 10**26)], [amount("smaller", 10**25)]),
        "the same quantity under which it is below, and a lower level": releases(
            [cyber("closed", "1/2", below_if=(SMALL,))], [cyber("opened", "2/5", below_if=(SMALL,))]
        ),
        "a lesser quantity under which it is below": releases(
            [cyber("closed", "1/2", below_if=(SMALL,))],
            [cyber("opened", "1/2", below_if=(replace(SMALL, level=Fraction(10**21)),))],
        ),
        "lower levels on the measures of a mean": releases(
            [on("closed", At("attack", Fraction(1, 2)))],
            [cyber("cyber-open", "1/2"), on("bio-open", At("bio", Fraction(2, 5)))],
        ),
        "beside the same line a lower one, on weaker evidence": releases(
            [BOTH], [BOTH, cyber("lower", "2/5", rule_out=rule(*TRIED, confidence=Fraction(9, 10)))]
        ),
        "weights that are never released": good(
            gates=GATES | {"release-weights": {"any": Cell(("never",)), "takeover": Cell(("understood",))}},
            thresholds=named(
                line("high", "1/2"),
                line("takeover", "9/10", takeover_potential=True),
                Threshold("any", None, None, Judged("board", ()), sources=SECTION),
            ),
        ),
        "the lines of an any-of stand one by one": good(
            more_measures=named(measure("cyber")),
            more_thresholds=named(
                threshold("cyber-open", At("cyber", Fraction(3, 10)), rule_out=rule(*TRIED), sources=SECTION),
                threshold(
                    "either",
                    AtLeast(1, (At("skill", Fraction(1, 2)), At("cyber", Fraction(1, 2)))),
                    rule_out=rule(*TRIED),
                    sources=SECTION,
                ),
            ),
            gates=GATES
            | {
                "deploy-api": {**GATES["deploy-api"], "either": Cell(("secure",))},
                "release-weights": {**GATES["release-weights"], "cyber-open": Cell(("never",))},
            },
        ),
        "one line of an all-of will do": good(
            more_measures=named(measure("cyber")),
            more_thresholds=named(
                threshold(
                    "both",
                    AtLeast(2, (At("skill", Fraction(1, 2)), At("cyber", Fraction(1, 2)))),
                    rule_out=rule(*TRIED),
                    sources=SECTION,
                ),
            ),
            gates=cell("both", "secure", action="deploy-api"),
        ),
        "a lower rung of a judged ladder": good(
            more_thresholds=named(
                Threshold("bio-3", None, None, Judged("board", ("skill",)), sources=SECTION),
                Threshold("bio-4", None, None, Judged("board", ("skill",)), above=("bio-3",), sources=SECTION),
                Threshold("bio-5", None, None, Judged("board", ()), above=("bio-4", "bio-3"), sources=SECTION),
            ),
            gates={
                **GATES,
                "deploy-api": {**GATES["deploy-api"], "bio-4": Cell(("secure",)), "bio-5": Cell(("secure",))},
                "scale": {**GATES["scale"], "bio-5": Cell(("never",))},
                "release-weights": {**GATES["release-weights"], "bio-3": Cell(("never",))},
            },
        ),
        "where lower is more dangerous": good(
            measures=named(measure(danger="lower")),
            thresholds=named(
                line("high", "1/2"), line("open", "7/10"), line("takeover", "1/10", takeover_potential=True)
            ),
        ),
    }.items(),
    ids=lambda it: it[0],
)
def test_open_weights_that_are_stricter_are_not_faulted(policy):
    _, policy = policy
    assert from_json(to_json(policy)) == policy
    assert not [it for it in lint(policy, at=AT) if it.check.startswith("open-weights")]


def test_where_lower_is_more_dangerous_a_lower_level_is_the_looser_one():
    policy = good(
        measures=named(measure(danger="lower")),
        thresholds=named(line("high", "1/2"), line("open", "3/10"), line("takeover", "1/10", takeover_potential=True)),
    )
    [finding] = found(policy, "open-weights-looser")
    assert "at least 0.45 on `skill`" in finding.message  # between the lines 0.55 and 0.35 (margin 0.05)


def test_the_model_that_tells_two_lines_apart_lies_between_them():
    [finding] = found(open_line(level="3/5"), "open-weights-looser")
    assert "at most 0.5 on `skill`" in finding.message  # between 0.45 and 0.55


# sentence -> (the policy, the threshold, the model that shows it)
LOOSER = {
    "more compute": (
        releases([amount("big", 10**26)], [amount("bigger", 10**27)]),
        "big",
        "a model whose `training_compute` lies between the two levels",
    ),
    "a higher level, under which a forecast says what to keep free": (
        releases([cyber("closed", "1/2")], [cyber("opened", "3/5", rule_out=FORECAST)]),
        "closed",
        "a model shown to be at most 0.55 on `cyber` and no better is ruled out for `opened` alone",
    ),
    "a greater quantity under which it is below": (
        releases(
            [cyber("closed", "1/2", below_if=(SMALL,))],
            [cyber("opened", "2/5", below_if=(replace(SMALL, level=Fraction(10**23)),))],
        ),
        "closed",
        "a model whose `effective_compute` is just under 1e+23 is ruled out for `opened` alone",
    ),
    "fewer assumptions": (
        releases(
            [cyber("closed", "1/2", rule_out=rule(*TRIED, assumes=("no-test-awareness",)))],
            [cyber("opened", "2/5")],
        ),
        "closed",
        "a model for which nobody has shown `no-test-awareness`",
    ),
}


@pytest.mark.parametrize("sentence", LOOSER)
def test_what_is_looser_is_told_with_the_model_that_shows_it(sentence):
    policy, name, model = LOOSER[sentence]
    policy = replace(policy, assumptions={**policy.assumptions, **named(stated("no-test-awareness"))})
    assert from_json(to_json(policy)) == policy
    [finding] = found(policy, "open-weights-looser")
    assert finding.message == (
        f"`release-weights` is looser than `deploy-api` on `{name}`: {model}: `deploy-api` holds and `release-weights` "
        f"opens; ask at least as much"
    )


# sentence -> (the policy, the threshold)
NO_STRICTER = {
    "as much compute": (releases([amount("big", 10**26)], [amount("as-big", 10**26)]), "big"),
    "one level, under which a forecast says what to keep free": (
        releases([cyber("closed", "1/2")], [cyber("opened", "1/2", rule_out=FORECAST)]),
        "closed",
    ),
    "one level on each measure of a mean": (
        releases(
            [on("closed", At("attack", Fraction(1, 2)))],
            [cyber("cyber-open", "1/2"), on("bio-open", At("bio", Fraction(1, 2)))],
        ),
        "closed",
    ),
    "two measures together": (releases([BOTH], [BOTH]), "both"),
    "one screen": (
        releases(
            [cyber("closed", "1/2", below_if=(UnderScreen("screen"),))],
            [cyber("opened", "1/2", below_if=(UnderScreen("screen"),))],
            cyber("screen", "1/5", role="watch"),
        ),
        "closed",
    ),
}


@pytest.mark.parametrize("sentence", NO_STRICTER)
def test_what_is_no_stricter_is_told(sentence):
    policy, name = NO_STRICTER[sentence]
    assert from_json(to_json(policy)) == policy
    [finding] = found(policy, "open-weights-not-stricter")
    assert finding.message.startswith(f"`release-weights` has the same line as `deploy-api` on `{name}`; ")
    assert not found(policy, "open-weights-looser")


def test_an_alternative_keeps_a_role_without_keys_from_being_an_error():
    policy = good(
        more_roles=KEYLESS,
        more_requirements=named(
            Approved("go-ahead", "go", "trust", "subject", MONTH), Combined("either", 1, ("secure", "go-ahead"))
        ),
        gates=cell("high", "either"),
    )
    assert not found(policy, "role-without-keys")


def combined(count):
    """A gate on so many of two thresholds, of which one can never be ruled out."""
    of = (Ref("stuck"), Ref("high"))
    either = on("either", AtLeast(count, of), rule_out=None)
    return void(line("stuck", "1/2", rule_out=VOID), either, gates=cell("either", "secure"))


def test_one_of_two_that_must_both_be_reached_is_enough_to_rule_out():
    told = [it.path for it in found(combined(1), "never-ruled-out")]
    assert told == ["thresholds.either", "thresholds.stuck"]
    assert [it.path for it in found(combined(2), "never-ruled-out")] == ["thresholds.stuck"]


@pytest.mark.parametrize(
    ("gate", "is_open"), [("unsigned", False), ("any", False), ("all", True), ("high", True)], ids=str
)
def test_what_nobody_can_evaluate_is_not_open_whatever_it_asks(gate, is_open):
    """Of two that must both be reached, the other one may be ruled out instead."""
    of = (Ref("unsigned"), Ref("high"))
    policy = good(
        more_roles=KEYLESS,
        more_thresholds=named(
            line("unsigned", "1/2", rule_out=rule(*TRIED, run_by="trust")),
            on("any", AtLeast(1, of), rule_out=None),
            on("all", AtLeast(2, of), rule_out=None),
        ),
        more_requirements=named(Defined("next-defined", "takeover")),
        gates=cell(gate, "next-defined"),
    )
    assert [it.path for it in found(policy, "always-open")] == [f"gates.scale.{gate}"] * is_open


def test_an_open_exception_is_a_way_out():
    policy = replace(
        exception(by=("board",)),
        roles=good().roles | KEYLESS,
        requirements=exception().requirements | named(attested("secure", by="trust")),
    )
    assert not found(policy, "role-without-keys")
    ended = replace(policy, exceptions={"way-round": replace(policy.exceptions["way-round"], until=AT)})
    assert found(ended, "role-without-keys")


def test_a_role_without_keys_is_reported_once_with_all_that_waits():
    policy = good(more_roles=KEYLESS, more_requirements=named(attested(by="trust")))
    [finding] = found(policy, "role-without-keys")
    assert "`scale.high`, `deploy-internal.high`, `deploy-api.high`" in finding.message
    assert not found(policy, "stop-without-resume")


def test_a_pause_on_a_gated_threshold_has_its_end_in_the_gate():
    assert not found(good(more_on_hold={"high": (Response("pause-training"),)}), "stop-without-resume")


def test_what_is_done_once_at_an_alert_stops_nothing():
    policy = good(
        more_thresholds=named(line("early", "1/4", role="watch")), more_on_hold={"early": (Response("reassess"),)}
    )
    assert not found(policy, "stop-without-resume")


def test_a_ladder_may_end_in_a_stop():
    [(_, _, policy)] = FOUND["ladder-without-next"]
    assert not found(replace(policy, gates=everywhere("cyber-high", "understood")), "ladder-without-next")


def test_marginal_risk_that_all_who_amend_approve_is_not_faulted():
    assert not found(exception("marginal-risk", by=("board", "says")), "marginal-risk-approval")


def test_where_nothing_is_evaluated_no_auditor_is_missed():
    [*_, (_, _, policy)] = FOUND["no-external-auditor"]
    judged = {
        name: replace(it, reached_when=None, rule_out=None, judged=Judged("board", ("secure",)))
        for name, it in policy.thresholds.items()
    }
    assert not found(replace(policy, thresholds=judged), "no-external-auditor")


def test_an_outsider_who_attests_what_is_judged_by_has_a_part_in_the_evidence():
    outside = role("says", 3, independent_of=("runs",))
    reviews = attested("review", by="outside", about="subject")
    bio = Threshold("bio", None, None, Judged("board", ("review",)), sources=SECTION)
    policy = good(
        more_roles=named(role("says", 3), replace(outside, name="outside", keys=(key(8),))),
        independent="outside",
        more_requirements=named(reviews),
        more_thresholds=named(bio),
        gates=cell("bio", "secure"),
    )
    assert from_json(to_json(policy)) == policy
    assert not found(policy, "no-external-auditor")


def test_what_a_comparison_with_another_subject_takes_for_granted_is_used():
    judged = Threshold("bio", None, rule(Demand("rl-fine-tuned")), Judged("board", ("secure",)), sources=SECTION)
    bare = good(
        more_thresholds=named(judged),
        gates=everywhere("bio", "never"),
        more_assumptions={"no-exploration-hacking": ASSUMPTIONS["no-exploration-hacking"]},
    )
    assert found(bare, "unused-assumption")
    known = replace(judged, below_if=(UnderReference("base", ("skill",), Fraction(0)),))
    assert not found(replace(bare, thresholds=bare.thresholds | named(known)), "unused-assumption")


@pytest.mark.parametrize("multiple", [1, 6, UNBOUNDED_MULTIPLE])
def test_where_no_multiple_is_named_nothing_is_said_to_end_before_it(multiple):
    line_with = rule(*TRIED, buffer=buffer(multiple=Fraction(multiple)), refresh=NO_END)
    policy = good(more_thresholds=named(line("high", "1/2", rule_out=line_with)))
    messages = [it.message for it in found(policy, "buffer-not-above-refresh")]
    assert [("no growth brings the next evaluation" in it) for it in messages] == [True] * (multiple == 6)
    [slow] = found(policy, "slow-refresh")
    assert "any growth in compute and any length of time" in slow.message


def test_an_approval_that_two_requirements_ask_for_is_one_place():
    policy = good(
        more_requirements=named(
            Approved("go-ahead", "go", "board", "subject", MONTH),
            Combined("case", 2, ("secure", "go-ahead")),
            Combined("whole", 2, ("case", "go-ahead")),
        ),
        gates=cell("high", "whole"),
    )
    [finding] = found(policy, "discretion-counted")
    assert finding.message == (
        "somebody's judgement decides in 1 place, by no rule written here: `requirements.go-ahead`"
    )


def test_kinds_that_are_listed_are_not_noted():
    policy = good(refresh=refresh(events=("leak",)))
    kinds = replace(policy.context, incidents=named(IncidentKind("leak", "Weights have leaked")))
    assert found(policy, "incident-kinds-undeclared")
    assert not found(replace(policy, context=kinds), "incident-kinds-undeclared")


def test_a_stop_for_good_is_named_beside_the_hole():
    policy = good(more_on_hold={"takeover": (Response("lock-weights"),)})
    [finding] = [it for it in found(policy, "stop-until-amended") if it.path == "gates.scale.takeover"]
    assert finding.message == (
        "only ruling `takeover` out opens `scale`, `deploy-internal`, `deploy-api`, `release-weights`: `understood` is "
        "a hole; otherwise a stop until amended; `lock-weights` lasts as long"
    )


def test_seventeen_samples_do_where_the_line_is_at_a_quarter_less_margin():
    """0.45^n < 0.05 first at n = 4; at the open line, 0.75^n < 0.05 first at n = 11."""
    enough = good(more_measures=named(measure("skill", least_samples=11)))
    assert not found(enough, "too-few-samples")
    short = good(more_measures=named(measure("skill", least_samples=10)))
    assert {"takes 11"} == {it.message[it.message.index("takes") :][:8] for it in found(short, "too-few-samples")}


def sized(level, **changes):
    """A level of a measure that is evaluated on nine samples, and what is said of those."""
    odd = rule(*TRIED, buffer=buffer(margin=Fraction(0)))
    policy = good(
        more_measures=named(measure("odd", least_samples=9, **changes)),
        more_thresholds=named(on("odd-high", At("odd", level), rule_out=odd)),
        gates=everywhere("odd-high", "secure"),
    )
    assert from_json(to_json(policy)) == policy
    return [it.message for it in found(policy, "too-few-samples")]


def test_under_the_end_of_the_range_any_sample_rules_out():
    assert sized(Fraction(1)) == []
    assert sized(Fraction(1, 5)) != []


def test_a_level_too_fine_for_floats_takes_more_samples_than_anybody_has():
    fine, coarse = Fraction(1, 10**200), Fraction(10**200)
    for said in (sized(fine), sized(fine, high=coarse), sized(Fraction(1), high=coarse)):
        [message] = said
        assert int(re.search("it takes ([0-9]+)", message)[1]) > 10**99


def test_an_understanding_measure_fills_the_hole():
    policy = good(
        more_measures=named(measure("insight", "understanding", danger="lower")),
        more_assumptions={"valid-understanding": ASSUMPTIONS["valid-understanding"]},
        more_requirements=named(
            Measured("understood", "insight", Fraction(9, 10), rule(Demand("understanding-based")))
        ),
    )
    assert not found(policy, "no-explicit-hole")


@pytest.mark.parametrize("next_level", ["unwritten", "empty"])
def test_a_level_that_is_not_defined_yet_is_a_hole(next_level):
    policy = good(
        gates={action: {"high": Cell(("secure", "next"))} for action in GATES},
        thresholds=named(line("high", "1/2"), Threshold("empty", None, None, judged=Judged("board", ()))),
        on_hold={"high": NOTIFY},
        requirements=named(attested(), Defined("next", next_level)),
    )
    assert not found(policy, "no-explicit-hole")


def test_a_takeover_threshold_within_another_is_listed():
    either = Threshold("either", AtLeast(1, (Ref("takeover"), Ref("high"))), None, sources=SECTION)
    outer = Threshold("outer", AtLeast(1, (Ref("either"), Ref("high"))), None, sources=SECTION)
    gated = {action: {"outer": Cell(("understood",))} for action in GATES}
    policy = good(
        more_thresholds=named(either, outer), gates=gated | {"deploy-api": {**GATES["deploy-api"], **gated["scale"]}}
    )
    assert not found(policy, "takeover-unlisted")


def test_what_depends_on_the_time_is_left_out_without_one():
    policy = good(expires=AT, more_requirements=named(Hole("understood", "?", "board", AT - timedelta(days=1))))
    assert {it.check for it in lint(policy)} == {"stop-until-amended"}
    assert {it.check for it in lint(policy, at=AT)} == {"stop-until-amended", "hole-past-review"}


def test_a_baseline_may_leave_scaling_to_others():
    [finding] = found(replace(ungoverned("scale"), imposed_by="an authority"), "no-gate-on-scale")
    assert finding.level == "note"


# -- what is written about them


def test_the_page_lists_every_check_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "policy-checks.md").read_text(encoding="utf-8")
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in page.splitlines() if row[:3] == "| `"]
    assert rows == [
        (f"`{it.id}`", f"{it.level} ({it.baseline})" if it.baseline else it.level, it.reason, it.source)
        for it in CHECKS
    ]


def test_ids_are_names_and_reasons_are_sentences():
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check.id)
        assert re.fullmatch(r"[a-zA-Z].*[^.]", check.reason)
        assert check.source
        assert "|" not in check.reason + check.source
