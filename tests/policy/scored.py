"""Policies for the questions of the yardsticks: one that meets them all, and its changes, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import (
    UNBOUNDED_MONTHS,
    UNBOUNDED_MULTIPLE,
    Action,
    Actor,
    Amendments,
    Amount,
    Approved,
    At,
    AtLeast,
    Cell,
    Channel,
    Combined,
    Context,
    Defined,
    Demand,
    Domain,
    ExceptionRule,
    Hole,
    IncidentKind,
    Judged,
    Measured,
    Permits,
    Ref,
    Report,
    RuledOut,
    Standard,
    ThreatModel,
    Threshold,
    UnderScreen,
)
from interlock.policy.time import Duration
from policy.samples import (
    ASSUMPTIONS,
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
    role,
    rule,
    small_policy,
    stated,
    threshold,
)

UNBOUNDED = refresh(multiple=Fraction(UNBOUNDED_MULTIPLE), period=Duration(UNBOUNDED_MONTHS, 0))
TRIED = (Demand("few-shot", 4), Demand("fine-tuned", 16))
ONCE = buffer(multiple=Fraction(1), margin=Fraction(0))
PLAIN = rule(*TRIED)
JUDGED = Judged("says", ("report",))


def line(name, level="1/2", measured="skill", ruled=PLAIN, **changes):
    """A level of a measure that a threat model stands behind."""
    return threshold(
        name,
        At(measured, Fraction(level)),
        rule_out=ruled,
        **{"domain": "cyber", "threat_models": ("crime",), **changes},
    )


def judged(name, **changes):
    return Threshold(name, None, None, JUDGED, domain="cyber", **changes)


def case(name, *of, **changes):
    """A safety case."""
    return replace(Combined(name, len(of), of, "harm is rare", "in depth", "novel attacks"), **changes)


CRIME = ThreatModel("crime", "cyber", "intrusion", harm="over 1bn USD", probability=Fraction(1, 1000), horizon=YEAR)
TOLD = Clock(DAY)
THRESHOLDS = named(line("high"), line("open", "3/10"), line("takeover", "9/10", takeover_potential=True))
REQUIREMENTS = named(
    attested("secure", standard="sl-3"),
    attested("report", about="subject"),
    attested("said", about="deployment"),
    Approved("agreed", "the board accepts it", "board", "subject", MONTH),
    Measured("safe", "jailbreaks", Fraction(1, 100), rule(Demand("prompted"), buffer=ONCE)),
    Measured("insight", "insight", Fraction(9, 10), rule(Demand("understanding-based"), buffer=ONCE)),
    case("secured", "secure"),
    case("protected", "safe"),
    case("understood", "insight"),
    Hole("unknown", "what would show it", "board", datetime(2027, 6, 1, tzinfo=UTC)),
    NEVER,
)
DEPLOYED = {"high": Cell(("secured", "protected")), "takeover": Cell(("understood",))}
GATES = gates(
    DEPLOYED,
    scale={"high": Cell(("secured",)), "takeover": Cell(("secured", "understood"))},
    release_weights={"open": Cell(("never",)), "takeover": Cell(("understood",))},
)
CONTEXT = Context(
    domains=named(Domain("cyber", "Cyber offence")),
    actors={},
    threat_models=named(CRIME),
    standards=named(Standard("sl-3", "Level 3", maps_to=("RAND SL3",)), Standard("deployed", "Level 3")),
    reports=named(Report("risk-report", "Risk report", "says", ("public",))),
    channels=named(Channel("speak-up", ("board", "says"), anonymous=True)),
    incidents=named(IncidentKind("theft", "Weights are stolen")),
)
INCIDENT = Duty("told", "report it", "says", Start("incident", ("theft",)), within=TOLD, notify=("board",))


def whole(**changes):
    """A policy that meets every row. `more_X` adds to or replaces in a mapping, `context_X` in its context."""
    plain = small_policy(
        roles=named(
            role("runs", 1, 2),
            role("says", 3, independent_of=("runs", "board", "gatekeeper")),
            role("board", 4, 5, quorum=2),
            role("gatekeeper", 6),
        ),
        measures=named(
            measure(),
            measure("jailbreaks", "safeguard", on="deployment"),
            measure("insight", "understanding", danger="lower"),
        ),
        assumptions={name: replace(it, void_at=("vast",)) for name, it in ASSUMPTIONS.items()},
        thresholds=THRESHOLDS
        | named(Threshold("vast", Amount("training_compute", Fraction(10**27)), None, role="watch")),
        requirements=REQUIREMENTS,
        gates=GATES,
        permits=Permits(MONTH, DAY, "gatekeeper"),
        on_hold={
            "high": (Response("pause-training"), Response("notify", notify=("board",), within=TOLD)),
            "takeover": (Response("lock-weights"),),
        },
        duties=named(INCIDENT),
        amendments=Amendments(("board",), consulted=("says",), notice=MONTH, changelog_required=True),
        context=CONTEXT,
    )
    context = {name[8:]: changes.pop(name) for name in list(changes) if name.startswith("context_")}
    more = {name[5:]: changes.pop(name) for name in list(changes) if name.startswith("more_")}
    merged = {name: {**getattr(plain, name), **entries} for name, entries in more.items()}
    return tidy(replace(plain, **{**merged, **changes, "context": replace(plain.context, **context)}))


def tidy(policy):
    """Without the thresholds that stand at no gate any more, and with every action gated or left open."""
    listed = {name for row in policy.gates.values() for name in row}
    parts = {name for it in policy.thresholds.values() if it.name in listed for name in made_of(it)}
    ruled = {it.threshold for it in policy.requirements.values() if isinstance(it, RuledOut)}
    kept = {name: it for name, it in policy.thresholds.items() if it.role != "gate" or name in listed | parts | ruled}
    left = {action: "section 3" for action in GATES if action not in policy.gates}
    on_hold = {name: it for name, it in policy.on_hold.items() if name in {*kept, *policy.requirements, *policy.gates}}
    return replace(policy, thresholds=kept, not_governed=left | dict(policy.not_governed), on_hold=on_hold)


def made_of(it):
    parts = it.reached_when.parts if isinstance(it.reached_when, AtLeast) else (it.reached_when,)
    return [part.threshold for part in parts if isinstance(part, Ref)]


def at(**rows):
    """The gates with other rows; None: left open."""
    given = {action.replace("_", "-"): row for action, row in rows.items()}
    return {action: row for action, row in {**GATES, **given}.items() if row}


def cells(*requires, names=("high", "takeover")):
    return {name: Cell(requires) for name in names}


def tried(ruled):
    """The thresholds, ruled out otherwise."""
    return {name: replace(it, rule_out=ruled) for name, it in THRESHOLDS.items()}


def alone(*thresholds, requires=("secured",), **changes):
    """A policy in which every action waits for these thresholds."""
    kept = named(*thresholds)
    return whole(more_thresholds=kept, gates=gates(dict.fromkeys(kept, Cell(requires))), on_hold={}, **changes)


COMPUTE = Threshold("big", Amount("training_compute", Fraction(10**26)), None)
NOBODY = named(role("says", 3))
LEAVE_TAKEOVER = gates({"high": Cell(("secured", "protected"))}, release_weights={"open": Cell(("never",))})
RELEASE_ONLY = at(scale=None, deploy_internal=None, deploy_api=None)
NO_MODELS = whole(
    context_threat_models={}, more_thresholds={name: replace(it, threat_models=()) for name, it in THRESHOLDS.items()}
)
UNHURRIED = Amendments(("board",))

#: question -> the policy that lacks its clauses, and otherwise is `whole`
MISSING = {
    "SCALE": whole(gates=at(scale=None)),
    "DEPLOYMENT": whole(gates=at(deploy_internal=None, deploy_api=None)),
    "ALL_ACTIONS": whole(gates={"store-weights": DEPLOYED}, actions=named(Action("store-weights", reversible=True))),
    "STOP": whole(gates=at(scale={"big": Cell(("secured",))}), more_thresholds=named(COMPUTE)),
    "RESUME": whole(gates=at(scale=cells("never"))),
    "RESPONSE": whole(on_hold={}),
    "PROCESSES": whole(gates=RELEASE_ONLY, on_hold={}),
    "HOLE": whole(gates=LEAVE_TAKEOVER),
    "LAST_GATE": whole(gates=LEAVE_TAKEOVER),
    "UNDERSTANDING": whole(gates=LEAVE_TAKEOVER),
    "OPEN_WEIGHTS": whole(gates=at(release_weights=None)),
    "FINE_TUNED_AT_SCALE": whole(more_thresholds=tried(rule(Demand("few-shot", 4)))),
    "FINE_TUNED": whole(more_thresholds=tried(rule(Demand("few-shot", 4)))),
    "SANDBAGGING": whole(
        more_assumptions={name: replace(it, by="board") for name, it in ASSUMPTIONS.items() if not it.checked}
    ),
    "AUDITORS": whole(more_roles=NOBODY),
    "SEPARATE": whole(permits=Permits(MONTH, DAY, "runs")),
    "LEVELS": alone(COMPUTE),
    "LEVELS_CONSULTED": alone(COMPUTE, amendments=UNHURRIED),
    "MEASURED_LEVELS": alone(judged("bio")),
    "BUFFER": whole(more_thresholds=tried(rule(*TRIED, buffer=ONCE))),
    "FREQUENCY": whole(more_thresholds=tried(rule(*TRIED, refresh=UNBOUNDED))),
    "LIFECYCLE": whole(gates=RELEASE_ONLY, more_thresholds=tried(rule(*TRIED, refresh=UNBOUNDED))),
    "TIMING": whole(
        gates=at(deploy_internal=None, deploy_api=None), more_thresholds=tried(rule(*TRIED, refresh=UNBOUNDED))
    ),
    "ASSUMPTIONS": alone(COMPUTE),
    "SECURITY": whole(more_requirements=named(attested("secure", about="subject"))),
    "MITIGATIONS": whole(gates=at(deploy_internal=cells("secured"), deploy_api=cells("secured"))),
    "PROTECTIONS": whole(gates=gates(cells("agreed"), release_weights=GATES["release-weights"])),
    "CONTAINED": whole(more_requirements=named(attested("secure", about="subject"))),
    "PROVEN_AT_SCALE": whole(gates=at(scale=cells("secure"))),
    "VERIFIED": whole(more_roles=NOBODY),
    "SUFFICIENT": whole(gates=at(deploy_api=cells("secure"))),
    "PAIRS": whole(gates=gates(cells("never"))),
    "WATCHED": whole(gates=at(deploy_internal=cells("agreed"), deploy_api=cells("agreed"))),
    "MODELS": NO_MODELS,
    "TOLERANCE_IN_WORDS": whole(context_threat_models=named(replace(CRIME, harm=""))),
    "TOLERANCE_IN_SCENARIOS": whole(context_threat_models=named(replace(CRIME, probability=None))),
    "TOLERANCE_IN_NUMBERS": whole(context_threat_models=named(replace(CRIME, harm="many deaths"))),
    "ESCALATION": whole(on_hold={}),
    "OVERSIGHT": whole(on_hold={}, duties={}),
    "PUBLIC": whole(context_reports={}),
    "SPEAK_UP": whole(context_channels={}),
    "INCIDENTS": whole(duties={}, context_incidents={}),
    "ACCOUNTABLE": whole(more_roles=NOBODY, amendments=UNHURRIED),
    "ANSWERABLE": whole(more_roles=NOBODY, on_hold={}, context_channels={}),
    "UPDATES": whole(amendments=UNHURRIED),
}

BIO = {"bio": Cell(("secured",))}
ELICITED = attested("elicitation", what="results with fine-tuning", about="subject")
VOID = line("stuck", ruled=rule(*TRIED, assumes=("unaware",)))
#: (question, what of it is there, a part of what is lacking, the policy)
IN_PART = [
    (
        "SCALE",
        "only in a named case",
        "only in a named case: each threshold there needs several things",
        whole(
            gates=at(scale={"led": Cell(("secured",))}),
            more_thresholds=named(
                threshold("led", AtLeast(2, (Ref("bio"), Amount("training_compute", Fraction(10**25))))), judged("bio")
            ),
        ),
    ),
    (
        "SCALE",
        "only in a named case, by another name",
        "only in a named case",
        whole(
            gates=at(scale={"named": Cell(("secured",))}),
            more_thresholds=named(
                threshold("named", Ref("led")),
                threshold(
                    "led", AtLeast(2, (At("skill", Fraction(1, 2)), Amount("training_compute", Fraction(10**25))))
                ),
            ),
        ),
    ),
    (
        "SCALE",
        "reported on",
        "reported on, and never held",
        whole(gates=at(scale=None), not_governed={"scale": "report only: section 3"}),
    ),
    (
        "DEPLOYMENT",
        "testers only",
        "only a part of `deploy-api` is gated",
        whole(
            gates={**at(deploy_api=None), "deploy-testers": DEPLOYED},
            actions=named(Action("deploy-testers", reversible=True, refines="deploy-api")),
        ),
    ),
    (
        "OPEN_WEIGHTS",
        "some weights only",
        "only a part of `release-weights` is gated",
        whole(
            gates={**at(release_weights=None), "release-some": DEPLOYED},
            actions=named(Action("release-some", reversible=False, refines="release-weights")),
        ),
    ),
    (
        "STOP",
        "judged beside measured",
        "somebody judges when `bio` is reached",
        whole(gates=at(scale={**GATES["scale"], **BIO}), more_thresholds=named(judged("bio"))),
    ),
    (
        "STOP",
        "judged alone",
        "somebody judges when `bio` is reached",
        whole(gates=at(scale=BIO), more_thresholds=named(judged("bio"))),
    ),
    (
        "RESUME",
        "an approval alone",
        "an approval alone opens `gates.scale.high`",
        whole(gates=at(scale={"high": Cell(("agreed",)), "takeover": Cell(("secure",))})),
    ),
    (
        "RESUME",
        "an approval as another way",
        "an approval alone opens `gates.scale.high`, `gates.scale.takeover`",
        whole(gates=at(scale=cells("either")), more_requirements=named(Combined("either", 1, ("secure", "agreed")))),
    ),
    (
        "RESUME",
        "a response that nothing ends",
        "nothing ends what `on_hold.early` stops",
        whole(
            more_thresholds=named(line("early", "1/4", role="watch")),
            more_on_hold={"early": (Response("pause-training", when=("reached",)),)},
        ),
    ),
    (
        "RESUME",
        "a next level first",
        "only once the policy defines its next level",
        whole(gates=at(scale={"high": Cell(("secured", "next"))}), more_requirements=named(Defined("next", "higher"))),
    ),
    (
        "RESUME",
        "one that nothing ends",
        "nothing that `gates.scale.high` asks for can be met",
        whole(
            gates=at(scale={"high": Cell(("out",)), "takeover": Cell(("secure",))}),
            more_requirements=named(RuledOut("out", "stuck")),
            more_assumptions=named(stated("unaware", void_at=("aware",))),
            more_thresholds=named(VOID, Threshold("aware", None, None, Judged("board", ()), role="watch")),
        ),
    ),
    (
        "RESPONSE",
        "at one threshold",
        "when `takeover` holds `scale`",
        whole(on_hold={"high": (Response("pause-training"),)}),
    ),
    (
        "HOLE",
        "a hole elsewhere",
        "no hole stands at a threshold with `takeover_potential`",
        whole(gates={**LEAVE_TAKEOVER, "scale": cells("unknown", names=["high"])}),
    ),
    (
        "HOLE",
        "a level that is a hole",
        "no hole stands at a threshold with `takeover_potential`",
        whole(
            gates={**LEAVE_TAKEOVER, "scale": {"empty": Cell(("secured",))}},
            more_thresholds=named(Threshold("empty", None, None, Judged("board", ()))),
        ),
    ),
    (
        "HOLE",
        "a level not yet defined",
        "no hole stands at a threshold with `takeover_potential`",
        whole(
            gates={**LEAVE_TAKEOVER, "scale": cells("next", names=["high"])},
            more_requirements=named(Defined("next", "higher")),
        ),
    ),
    (
        "HOLE",
        "behaviour at one gate",
        "evidence about behaviour opens `gates.deploy-api.takeover`",
        whole(gates=at(deploy_api={"high": Cell(("secured",)), "takeover": Cell(("secured",))})),
    ),
    (
        "HOLE",
        "not at every gate",
        "does not stand at every gate",
        whole(gates=at(deploy_api={"high": Cell(("secured",))})),
    ),
    (
        "LAST_GATE",
        "not at scale",
        "it does not stand at `scale`",
        whole(gates=at(scale=cells("secured", names=["high"]))),
    ),
    (
        "LAST_GATE",
        "with an exception",
        "an exception goes round `gates.scale.takeover`",
        whole(exceptions=named(ExceptionRule("way", "interim", ("understood",), ("secure",), ("board",), MONTH))),
    ),
    (
        "UNDERSTANDING",
        "a hole",
        "no measure of understanding fills it",
        whole(gates=gates({"takeover": Cell(("unknown",))})),
    ),
    ("OPEN_WEIGHTS", "the same line", "`high` is the same line at both", whole(gates=at(release_weights=DEPLOYED))),
    (
        "OPEN_WEIGHTS",
        "only what has no lower line",
        "`takeover` is the same line at both",
        whole(gates=gates(cells("understood", names=["takeover"]))),
    ),
    (
        "OPEN_WEIGHTS",
        "a looser line beside a stricter one",
        "more easily than the API at `cyber`",
        whole(
            gates=at(deploy_api={**DEPLOYED, "cyber": Cell(("secured",))}),
            more_thresholds=named(line("cyber", measured="hacking")),
            more_measures=named(measure("hacking")),
        ),
    ),
    (
        "OPEN_WEIGHTS",
        "lines of other people",
        "`bio` cannot be compared",
        whole(
            gates=at(deploy_api=BIO, release_weights={"other": Cell(("secured",))}),
            more_thresholds=named(judged("bio"), judged("other")),
        ),
    ),
    (
        "FINE_TUNED_AT_SCALE",
        "only at deployment",
        "no measured capability there",
        whole(gates=at(scale=BIO), more_thresholds=named(judged("bio"))),
    ),
    (
        "FINE_TUNED_AT_SCALE",
        "one without",
        "`thresholds.high.rule_out` asks for none",
        whole(more_thresholds=named(line("high", ruled=rule(Demand("few-shot", 4))))),
    ),
    (
        "FINE_TUNED_AT_SCALE",
        "a screen without",
        "`thresholds.high.below_if` asks for none",
        whole(
            more_thresholds=named(
                line("high", below_if=(UnderScreen("quick"),)),
                line("quick", "1/5", ruled=rule(Demand("few-shot", 4)), role="watch"),
            )
        ),
    ),
    (
        "FINE_TUNED",
        "only in words",
        "no program can check how hard was tried",
        alone(replace(judged("bio"), judged=Judged("says", ("elicitation",))), more_requirements=named(ELICITED)),
    ),
    (
        "SANDBAGGING",
        "one by its own runners' board",
        "vouch for `assumptions.good-demonstrations`",
        whole(more_assumptions=named(replace(ASSUMPTIONS["good-demonstrations"], by="board"))),
    ),
    (
        "SANDBAGGING",
        "only in words",
        "no evaluation rests on an assumption",
        alone(
            replace(judged("bio"), judged=Judged("says", ("honest",))),
            more_requirements=named(attested("honest", what="it is not sandbagging")),
        ),
    ),
    (
        "AUDITORS",
        "of others than the runners",
        "none of them is independent of `runs`",
        whole(more_roles=named(role("says", 3, independent_of=("board",)))),
    ),
    ("AUDITORS", "nothing is measured", "no measured evaluation is there", alone(judged("bio"), requires=("secure",))),
    (
        "SEPARATE",
        "one runner of two",
        "`roles.runs` runs evaluations and decides",
        whole(
            permits=Permits(MONTH, DAY, "runs"),
            more_thresholds=named(
                line("takeover", "9/10", takeover_potential=True, ruled=rule(*TRIED, run_by="other"))
            ),
            more_roles=named(role("other", 7)),
        ),
    ),
    ("SEPARATE", "somebody judges", "nobody runs a measured evaluation", alone(judged("bio"), requires=("secure",))),
    (
        "LEVELS_CONSULTED",
        "nobody is consulted",
        "nobody is `consulted`",
        whole(amendments=replace(whole().amendments, consulted=())),
    ),
    (
        "MEASURED_LEVELS",
        "some are judged",
        "somebody judges `bio`",
        whole(gates=at(scale={**GATES["scale"], **BIO}), more_thresholds=named(judged("bio"))),
    ),
    (
        "BUFFER",
        "none at one",
        "`high` keeps none",
        whole(more_thresholds=named(line("high", ruled=rule(*TRIED, buffer=ONCE)))),
    ),
    (
        "BUFFER",
        "outgrown at one",
        "`high` keeps none, or less than grows",
        whole(more_thresholds=named(line("high", ruled=rule(*TRIED, buffer=buffer(multiple=Fraction(2)))))),
    ),
    (
        "BUFFER",
        "only in words",
        "no program can check how much room",
        alone(
            replace(judged("bio"), judged=Judged("says", ("headroom",))),
            more_requirements=named(attested("headroom", about="subject")),
        ),
    ),
    (
        "FREQUENCY",
        "no multiple",
        "names no multiple of compute",
        whole(more_thresholds=tried(rule(*TRIED, refresh=refresh(multiple=Fraction(UNBOUNDED_MULTIPLE))))),
    ),
    (
        "FREQUENCY",
        "no period",
        "names no period",
        whole(more_thresholds=tried(rule(*TRIED, refresh=refresh(period=Duration(UNBOUNDED_MONTHS, 0))))),
    ),
    (
        "TIMING",
        "not before deployment",
        "none is due before deployment, nor after deployment",
        whole(gates=at(deploy_internal=None, deploy_api=None)),
    ),
    (
        "ASSUMPTIONS",
        "one without an end",
        "no level ends `assumptions.good-demonstrations`",
        whole(more_assumptions=named(ASSUMPTIONS["good-demonstrations"])),
    ),
    (
        "SECURITY",
        "a standard that stops nobody",
        "no `standard` says which attackers",
        whole(context_standards=named(Standard("sl-3", "Level 3"))),
    ),
    ("SECURITY", "in words", "no `standard` says which attackers", whole(more_requirements=named(attested("secure")))),
    (
        "MITIGATIONS",
        "attested without a standard",
        "names no `standard`",
        whole(gates=at(deploy_internal=cells("said"), deploy_api=cells("report"))),
    ),
    ("PROTECTIONS", "of the weights only", "no deployment waits for a protection of its own", MISSING["MITIGATIONS"]),
    (
        "CONTAINED",
        "at one threshold",
        "past `takeover` without anything asked",
        whole(gates=at(scale={"high": Cell(("secured",)), "takeover": Cell(("understood",))})),
    ),
    (
        "PROVEN_AT_SCALE",
        "without a doubt",
        "`secured` names no residual `doubt`",
        whole(more_requirements=named(case("secured", "secure", doubt=""))),
    ),
    (
        "VERIFIED",
        "one of two",
        "nobody independent attests `other`",
        whole(gates=at(scale=cells("secured", "other")), more_requirements=named(attested("other", by="board"))),
    ),
    ("SUFFICIENT", "attested", "no safeguard is measured", whole(gates=at(deploy_api=cells("said")))),
    (
        "SUFFICIENT",
        "at one threshold",
        "required, at `takeover`",
        whole(gates=at(deploy_api={"high": Cell(("safe",)), "takeover": Cell(("secure",))})),
    ),
    (
        "PAIRS",
        "without a case",
        "no safety case",
        whole(gates=gates(cells("secure"), release_weights=cells("secure", names=["open"]))),
    ),
    (
        "PAIRS",
        "a case at one",
        "enough at `gates.scale.takeover`",
        whole(gates=at(scale={"high": Cell(("secured",)), "takeover": Cell(("secure",))})),
    ),
    (
        "WATCHED",
        "attested again",
        "attested again, not measured",
        whole(gates=at(deploy_internal=cells("said"), deploy_api=cells("said"))),
    ),
    (
        "MODELS",
        "behind one",
        "no threat model stands behind `high`",
        whole(more_thresholds=named(line("high", domain="", threat_models=()))),
    ),
    (
        "TOLERANCE_IN_WORDS",
        "one of two",
        "no `harm` is named for `theft`",
        whole(context_threat_models=named(CRIME, ThreatModel("theft", "cyber", "theft"))),
    ),
    (
        "TOLERANCE_IN_SCENARIOS",
        "one of two",
        "no `probability` is tolerated for `theft`",
        whole(context_threat_models=named(CRIME, ThreatModel("theft", "cyber", "theft"))),
    ),
    (
        "TOLERANCE_IN_NUMBERS",
        "one of two",
        "a number in its `harm`",
        whole(context_threat_models=named(CRIME, ThreatModel("theft", "cyber", "theft"))),
    ),
    (
        "ESCALATION",
        "within no time",
        "within no time",
        whole(on_hold={"high": (Response("notify", notify=("board",)),)}),
    ),
    (
        "OVERSIGHT",
        "a report",
        "`board` gets a report",
        whole(on_hold={}, duties={}, context_reports=named(Report("inside", "Report", "says", ("board",)))),
    ),
    (
        "PUBLIC",
        "to the board",
        "`public` as its audience",
        whole(context_reports=named(Report("inside", "Report", "says", ("board",)))),
    ),
    (
        "SPEAK_UP",
        "by name",
        "both anonymous and to more than one role",
        whole(context_channels=named(Channel("speak-up", ("board", "says"), anonymous=False))),
    ),
    (
        "SPEAK_UP",
        "to one",
        "both anonymous and to more than one role",
        whole(context_channels=named(Channel("speak-up", ("board",), anonymous=True))),
    ),
    ("INCIDENTS", "a kind", "no binding duty", whole(duties={})),
    ("INCIDENTS", "a hope", "no binding duty", whole(duties=named(replace(INCIDENT, modality="intends")))),
    ("ACCOUNTABLE", "no change log", "no `changelog`", whole(amendments=Amendments(("board",), notice=MONTH))),
    ("ANSWERABLE", "nobody is told", "nobody is told of a hold", whole(on_hold={})),
    (
        "UPDATES",
        "no notice",
        "without having been published",
        whole(amendments=Amendments(("board",), changelog_required=True)),
    ),
]

WHOLE = whole()
HOPED = {name: tuple(replace(it, modality="intends") for it in every) for name, every in WHOLE.on_hold.items()}

#: (question, why it is missing all the same, the policy)
STILL_MISSING = [
    (
        "STOP",
        "a propensity is no capability",
        whole(
            gates=at(scale={"lies": Cell(("secured",))}),
            more_measures=named(measure("lies", "propensity")),
            more_thresholds=named(line("lies", measured="lies", ruled=rule(Demand("prompted")))),
        ),
    ),
    ("RESUME", "an approval is no target", whole(gates=at(scale=cells("agreed")))),
    ("RESPONSE", "what is only intended stops nothing", whole(on_hold=HOPED)),
    ("RESPONSE", "telling somebody stops nothing", whole(on_hold={"high": (Response("notify", notify=("board",)),)})),
    ("ESCALATION", "what is only intended tells nobody", whole(on_hold=HOPED)),
    (
        "OVERSIGHT",
        "what is only intended tells nobody",
        whole(on_hold=HOPED, duties=named(replace(INCIDENT, modality="recommends"))),
    ),
    (
        "OPEN_WEIGHTS",
        "every line is easier to pass",
        whole(
            gates=at(deploy_api={"high": Cell(("secured",))}, release_weights={"hacking": Cell(("secured",))}),
            more_measures=named(measure("hacking")),
            more_thresholds=named(line("hacking", measured="hacking")),
        ),
    ),
    (
        "SECURITY",
        "a contract is no security",
        whole(more_requirements=named(attested("contract")), gates=gates(cells("contract"))),
    ),
    (
        "FINE_TUNED",
        "an elicitation by prompting",
        alone(
            replace(judged("bio"), judged=Judged("says", ("elicitation",))),
            more_requirements=named(replace(ELICITED, what="results with prompting")),
        ),
    ),
    (
        "MITIGATIONS",
        "what training waits for too is none of deployment",
        whole(
            gates=gates(cells("held")), more_requirements=named(attested("held", about="subject", standard="deployed"))
        ),
    ),
    ("MODELS", "no threshold on a capability", alone(COMPUTE)),
    (
        "INCIDENTS",
        "a duty that nothing of the kind starts",
        whole(
            duties=named(Duty("yearly", "look back", "says", Start("effective"), None, repeat=TOLD)),
            context_incidents={},
        ),
    ),
]

#: (question, why it is met all the same, the policy)
STILL_MET = [
    (
        "SCALE",
        "two capabilities at once are no named case",
        whole(
            gates=at(scale={"both": Cell(("secured",))}),
            more_thresholds=named(
                threshold(
                    "both", AtLeast(2, (At("skill", Fraction(1, 2)), At("skill", Fraction(1, 3)))), rule_out=PLAIN
                )
            ),
        ),
    ),
    (
        "STOP",
        "a level by another name",
        whole(gates=at(scale={"named": Cell(("secured",))}), more_thresholds=named(threshold("named", Ref("high")))),
    ),
    (
        "STOP",
        "compute beside a capability",
        whole(gates=at(scale={**GATES["scale"], "big": Cell(("secured",))}), more_thresholds=named(COMPUTE)),
    ),
    (
        "RESUME",
        "a stop beside a pause",
        whole(gates=at(scale={"high": Cell(("secured",)), "takeover": Cell(("unknown",))})),
    ),
    ("HOLE", "holes everywhere", whole(gates=gates({"takeover": Cell(("unknown",))}))),
    ("LAST_GATE", "a hole", whole(gates=at(scale={"takeover": Cell(("unknown",))}))),
    (
        "OPEN_WEIGHTS",
        "weights are never released",
        whole(
            gates=at(release_weights={"stuck": Cell(("never",))}),
            more_assumptions=named(stated("unaware", void_at=("aware",))),
            more_thresholds=named(VOID, Threshold("aware", None, None, Judged("board", ()), role="watch")),
        ),
    ),
    ("OPEN_WEIGHTS", "the API is left open", whole(gates=at(deploy_api=None))),
    (
        "OPEN_WEIGHTS",
        "a lower line beside the same",
        whole(gates=at(release_weights={**DEPLOYED, "open": Cell(("never",))})),
    ),
    (
        "SANDBAGGING",
        "checked by whoever",
        whole(
            more_assumptions={
                name: replace(it, by="board", checked="a-check", coverage=Fraction(9, 10))
                for name, it in ASSUMPTIONS.items()
            }
        ),
    ),
    (
        "AUDITORS",
        "by a judgement's report",
        whole(
            gates=at(scale={**GATES["scale"], **BIO}),
            more_thresholds=named(judged("bio")),
            more_roles=named(role("looks", 8, independent_of=("runs",)), role("says", 3)),
            more_requirements=named(attested("report", by="looks")),
        ),
    ),
    (
        "MITIGATIONS",
        "held to a standard",
        whole(
            gates=at(deploy_internal=cells("held"), deploy_api=cells("held")),
            more_requirements=named(attested("held", about="subject", standard="deployed")),
        ),
    ),
    (
        "SECURITY",
        "a standard that says whom it stops",
        whole(
            context_standards=named(Standard("sl-3", "Level 3", stops=("crime",))),
            context_actors=named(Actor("crime", "basic")),
        ),
    ),
    ("MODELS", "by its domain", whole(more_thresholds=named(line("high", threat_models=())))),
    ("SUFFICIENT", "measured without a case", whole(gates=at(deploy_api=cells("safe")))),
    ("OVERSIGHT", "by a duty", whole(on_hold={})),
    (
        "ESCALATION",
        "one in time",
        whole(
            on_hold={"high": (Response("notify", notify=("board",)), Response("notify", notify=("says",), within=TOLD))}
        ),
    ),
]
