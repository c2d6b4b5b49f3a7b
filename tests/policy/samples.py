"""Policies as values, for tests: a small one, one that uses everything, and the parts to change them with."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.evidence.keys import KeyPair
from interlock.policy import (
    RULE_FIELDS,
    STANDARD_ACTIONS,
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
    Context,
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
    Policy,
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
)

DAY, MONTH, YEAR = Duration(0, 86400), Duration(1, 0), Duration(12, 0)
NEVER = Never("never")


def key(seed):
    """A public key in text form, the same for the same seed."""
    return str(KeyPair(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).public)


def named(*entries):
    """Entries by their names."""
    return {entry.name: entry for entry in entries}


def role(name, *seeds, quorum=1, independent_of=(), declares=(), sources=()):
    return Role(name, tuple(map(key, seeds)), quorum, independent_of, declares, sources)


def measure(name="skill", kind="capability", danger="higher", **changes):
    plain = Measure(name, kind, "model", danger, Fraction(0), Fraction(1), f"lab/{name}", 1, "accuracy")
    return replace(plain, **changes)


def refresh(**changes):
    return replace(Refresh(Fraction(4), Duration(3, 0)), **changes)


def buffer(**changes):
    return replace(Buffer(Fraction(6), Fraction(1, 20), "a source", {}), **changes)


def rule(*demands, **changes):
    plain = RuleOut(Fraction(19, 20), (Demand("prompted"),), buffer(), Fraction(49, 50), "runs", refresh())
    return replace(plain, **changes, **({"elicitation": demands} if demands else {}))


def threshold(name="high", expr=None, **changes):
    """A threshold at `skill` >= 0.5, or at another expression; it has a rule if it measures something itself."""
    bare = replace(Threshold(name, expr or At("skill", Fraction(1, 2)), None), **changes)
    return bare if "rule_out" in changes or bare.uses != RULE_FIELDS else replace(bare, rule_out=rule())


def stated(name, **changes):
    return replace(Assumption(name, "says", MONTH), **changes)


def checked(name, **changes):
    return replace(stated(name), checked="a-check", coverage=Fraction(9, 10), **changes)


SHARP = {"sharpness": Fraction(4, 5), "sharp_at": Fraction(2, 5), "least_parameters": 500_000}


def attested(name="secure", **changes):
    return replace(Attested(name, "an audit", "says", "developer", YEAR), **changes)


def gates(cells, **others):
    """The same cells at every standard action, but for those of `others` (with `_` for `-`)."""
    given = {action.replace("_", "-"): own for action, own in others.items()}
    return {action: given.get(action, cells) for action in STANDARD_ACTIONS} | given


ASSUMPTIONS = named(
    *map(stated, ("no-evaluation-gaming", "no-gradient-hacking", "good-demonstrations", "no-exploration-hacking")),
    stated("no-test-awareness"),
    checked("valid-understanding"),
)


def small_policy(**changes):
    """One threshold, one requirement, everything else left out."""
    plain = Policy(
        id="lab/rsp",
        version="2.0.0",
        title="a title",
        effective=datetime(2026, 1, 1, tzinfo=UTC),
        expires=None,
        supersedes="",
        imposed_by="",
        scope=Scope(),
        roles=named(role("runs", 1, 2), role("says", 3), role("board", 4, 5, quorum=2)),
        measures=named(measure()),
        assumptions=ASSUMPTIONS,
        thresholds=named(threshold()),
        requirements=named(attested(), NEVER),
        exceptions={},
        gates=gates({"high": Cell(("secure",))}),
        not_governed={},
        actions={},
        refresh=refresh(),
        attacker_budget=Fraction(1, 100),
        attacker_budget_source="default",
        permits=Permits(MONTH, DAY, "says"),
        report_within=DAY,
        independent="",
        on_hold={},
        duties={},
        amendments=Amendments(("board",)),
        context=Context({}, {}, {}, {}, {}, {}),
        sources=(),
    )
    return replace(plain, **changes)


SOURCES = ("section 1", "section 2")


def full_policy():
    """A policy in which every dataclass stands, and every field of each has a value that is not its default."""
    return small_policy(
        expires=datetime(2028, 1, 1, tzinfo=UTC),
        supersedes="1.9",
        imposed_by="an authority",
        scope=Scope(
            subjects=AtLeast(1, (Amount("training_compute", Fraction(10**25)), Amount("growth", Fraction(3, 2)))),
            developers="revenue over 500M USD",
            exempt=("academic research",),
            binds=("affiliates",),
            sources=SOURCES,
        ),
        roles=named(
            role("runs", 1, 2),
            role("says", 3, independent_of=("runs",), declares=("no shared employer",), sources=SOURCES),
            role("board", 4, 5, quorum=2),
            role("trust", quorum=3),
        ),
        measures=_measures(),
        assumptions=ASSUMPTIONS
        | named(
            checked("swapped", confidence=Fraction(9, 10), void_at=("screen",), sources=SOURCES, **SHARP),
            stated("no-test-awareness"),
        ),
        thresholds=_thresholds(),
        requirements=_requirements(),
        exceptions=named(
            ExceptionRule(
                "interim",
                "interim",
                ("secure",),
                ("agreed",),
                ("board", "trust"),
                MONTH,
                datetime(2027, 6, 1, tzinfo=UTC),
                SOURCES,
            )
        ),
        gates={
            "scale": {
                "high": Cell(
                    ("secure", "case"),
                    (("intends", "agreed"), ("recommends", "either")),
                    modality="will",
                    sources=SOURCES,
                ),
                "mixed": Cell(("understood",)),
                "judged": Cell(("next", "ruled")),
            },
            "deploy-internal": {"high": Cell(("secure",)), "mean": Cell(("harmless",)), "empty": Cell(("never",))},
            "deploy-testers": {"by-understanding": Cell(("either",)), "high": Cell((), (("intends", "secure"),))},
            "release-weights": {"high": Cell(("never",))},
        },
        not_governed={"deploy-api": "section 3.1 leaves it open"},
        actions=named(Action("deploy-testers", True, "deploy-api", "testers", "small", "API", SOURCES)),  # noqa: FBT003
        refresh=refresh(events=("new-elicitation",), discretion="board", sources=SOURCES),
        permits=Permits(MONTH, DAY, "says", ("board",), SOURCES),
        independent="says",
        on_hold={
            "high": (
                Response("pause-training"),
                Response(
                    "notify", ("reached", "unmet:secure"), ("board",), Clock(DAY), modality="will", sources=SOURCES
                ),
                Response("reroute-work", ("not ruled out",), to=("secure",)),
            ),
            "secure": (Response("reassess", ("overdue",)),),
            "scale": (Response("write-policy"),),
        },
        duties=_duties(),
        amendments=Amendments(
            ("board",),
            ("trust",),
            MONTH,
            frozen_while_reached=True,
            proposed_by=("says",),
            changelog_required=True,
            sources=SOURCES,
        ),
        context=_context(),
        sources=SOURCES,
    )


def _measures():
    return named(
        measure(
            "skill",
            unit="family",
            samples_digest="0f" * 32,
            least_samples=100,
            valid_below=Fraction(9, 10),
            sources=SOURCES,
        ),
        measure("other", on="deployment"),
        measure("loss", danger="lower", low=Fraction(-3), high=Fraction(7, 3)),
        measure("lies", "propensity"),
        measure("insight", "understanding", danger="lower"),
        Mean("both", {"skill": Fraction(1, 3), "other": Fraction(2, 3)}, SOURCES),
        ComputeRatio("growth", "Base Model 1", SOURCES),
        Unbounded("study", "safeguard", "deployment", "lab/study", 2, "uplift", SOURCES),
    )


def _thresholds():
    trained = Demand(
        "fine-tuned",
        demonstrations=16,
        flop=10**18,
        attempts=10,
        tools=True,
        safety_ablated=True,
        refusals=Fraction(1, 50),
    )
    itemised = buffer(margin=Fraction(3, 20), items={"now": Fraction(1, 10), "later": Fraction(1, 20)}, period=MONTH)
    forecast = buffer(margin=Fraction(0), forecast_by="says", fresh_for=MONTH)
    own_refresh = refresh(multiple=Fraction(2), events=("incident",), discretion="board")
    return named(
        threshold(
            "high",
            rule_out=rule(Demand("few-shot", 4), trained, buffer=itemised, refresh=own_refresh, assumes=("swapped",)),
            below_if=(
                UnderQuantity("effective_compute", Fraction(10**22)),
                UnderScreen("screen"),
                UnderReference("base-model", ("skill",), Fraction(1, 50)),
            ),
            takeover_potential=True,
            above=("judged",),
            domain="cyber",
            rung="high",
            threat_models=("crime",),
            sources=SOURCES,
        ),
        threshold("screen", At("skill", Fraction(1, 10)), role="watch"),
        threshold("early", At("skill", Fraction(1, 4)), role="alert", alert_for="high"),
        threshold("mean", At("both", Fraction(1, 2)), rule_out=rule(buffer=forecast)),
        threshold(
            "mixed",
            AtLeast(
                2, (At("loss", Fraction(1)), Ref("mean"), AtLeast(1, (Ref("high"), Amount("growth", Fraction(4)))))
            ),
        ),
        threshold("by-understanding", At("insight", Fraction(1, 5)), rule_out=rule(Demand("understanding-based"))),
        Threshold("judged", None, None, Judged("board", ("study", "secure"), MONTH)),
        Threshold("empty", None, None, Judged("board", ())),
    )


def _requirements():
    return named(
        attested("secure", standard="sl-3", sources=SOURCES),
        Approved("agreed", "the board accepts the risk", "board", "subject", MONTH, SOURCES),
        Measured("harmless", "lies", Fraction(1, 100), rule(buffer=buffer(margin=Fraction(0))), SOURCES),
        Defined("next", "the-level-after", SOURCES),
        RuledOut("ruled", "mean", SOURCES),
        Combined("case", 2, ("secure", "agreed"), "it is safe", "in depth", "novel attacks", SOURCES),
        Combined("either", 1, ("secure", "agreed")),
        Hole("understood", "what would show it", "board", datetime(2027, 6, 1, tzinfo=UTC), SOURCES),
        NEVER,
    )


def _duties():
    weeks = Clock(Duration(0, 28 * 86400))
    return named(
        Duty(
            "incident",
            what="first report",
            by="says",
            start=Start("incident", ("critical",), "awareness"),
            within=Clock(None, 5, "Europe/Brussels", (date(2026, 12, 25),)),
            not_before=Clock(DAY),
            repeat=weeks,
            until_resolved=True,
            after_resolved=Clock(MONTH),
            report="risk-report",
            notify=("board",),
            regime="a code",
            modality="will",
            sources=SOURCES,
        ),
        Duty("quarterly", "a report", "says", Start("effective"), within=None, repeat=weeks),
        Duty("reached", "define the next level", "board", Start("reached", ("high",)), Clock(MONTH)),
        Duty("excepted", "look back", "board", Start("exception", ("interim",)), Clock(MONTH)),
        Duty("permitted", "publish it", "board", Start("permit", ("scale", "deploy-testers")), Clock(MONTH)),
    )


def _context():
    return Context(
        domains=named(Domain("cyber", "Cyber offence", SOURCES)),
        actors=named(Actor("novice", "basic", "10k USD", "1 year", "API", SOURCES), Actor("state", "expert")),
        threat_models=named(
            ThreatModel(
                "crime", "cyber", "intrusion", "novice", "1bn USD", "tools of 2021", Fraction(1, 1000), YEAR, SOURCES
            )
        ),
        standards=named(Standard("sl-3", "Level 3", ("RAND SL3",), ("novice",), ("state",), SOURCES)),
        reports=named(
            Report("risk-report", "Risk report", "says", ("public",), ("findings",), "described", YEAR, SOURCES)
        ),
        channels=named(Channel("speak-up", ("board", "says"), True, SOURCES)),  # noqa: FBT003
        incidents=named(
            IncidentKind("critical", "A critical incident", sources=SOURCES),
            IncidentKind("near-critical", "Nearly one", "critical"),
            IncidentKind("new-elicitation", "A better way to elicit"),
            IncidentKind("incident", "Anything else"),
        ),
    )
