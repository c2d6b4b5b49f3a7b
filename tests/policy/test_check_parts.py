"""Every rule between the parts of a policy, by the mistake that it refuses, and what must not be called one."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from interlock.policy import (
    Action,
    Actor,
    Amendments,
    Amount,
    Approved,
    At,
    AtLeast,
    Cell,
    Channel,
    Clock,
    Combined,
    ComputeRatio,
    Context,
    Defined,
    Demand,
    Duration,
    Duty,
    ExceptionRule,
    Hole,
    IncidentKind,
    Judged,
    Mean,
    Measured,
    Permits,
    Ref,
    Report,
    Response,
    RuledOut,
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
from interlock.policy._structure.check import check, parts_of, refers
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
    measure,
    named,
    refresh,
    role,
    rule,
    small_policy,
    stated,
    threshold,
)

HALF = Fraction(1, 2)
HOLE = Hole("hole", "nobody knows", "board", datetime(2027, 1, 1, tzinfo=UTC))
AT_HALF = At("skill", HALF)
CELL = Cell(("secure",))
FINE_TUNED = Demand("fine-tuned", 16)
DUTY = Duty("duty", "do it", "says", Start("effective"), Clock(MONTH))
EXCEPTION = ExceptionRule("way", "interim", ("secure",), ("agreed",), ("board",), MONTH)
KINDS = Context(
    *({},) * 6, incidents=named(IncidentKind("theft", "A theft"), IncidentKind("near", "Nearly one", "theft"))
)
AGREED = Approved("agreed", "go ahead", "board", "subject", MONTH)


def at(written):
    """A path from its text: steps with dots between, places as numbers."""
    return tuple(int(step) if step.isdigit() else step for step in written.split("."))


def problems(policy):
    return list(check(parts_of(policy)))


def levels(*thresholds, **changes):
    """The small policy with these thresholds, the first of which stands at each gate."""
    return small_policy(thresholds=named(*thresholds), gates=gates({thresholds[0].name: CELL}), **changes)


def measures(*more, expr=AT_HALF, on=(), **changes):
    """The small policy with more measures, one of them in its threshold."""
    return small_policy(
        measures=named(measure(), *more), thresholds=named(threshold(expr=expr, rule_out=rule(*on, **changes)))
    )


def requirements(*more, cell=None, **changes):
    """The small policy with more requirements."""
    found = named(attested(), AGREED, *more, NEVER)
    return small_policy(requirements=found, gates=gates({"high": Cell(cell or ("secure",))}), **changes)


def expression(expr):
    """The small policy with a threshold at an expression."""
    return levels(threshold(expr=expr, rule_out=rule()))


def roles(*more, **changes):
    return small_policy(roles=small_policy().roles | named(*more), **changes)


def exceptions(*more, **changes):
    return requirements(*more, exceptions=named(replace(EXCEPTION, **changes)))


def duties(**changes):
    return small_policy(duties=named(replace(DUTY, **changes)))


def held(*responses, key="high"):
    return small_policy(on_hold={key: responses})


def context(**sections):
    empty = Context({}, {}, {}, {}, {}, {})
    return small_policy(context=replace(empty, **{section: named(entry) for section, entry in sections.items()}))


def below_if(*ways, **changes):
    return levels(threshold(below_if=ways, **changes), measures=named(measure(), ComputeRatio("growth", "base")))


def void(steps, expr=None, **changes):
    """Thresholds of which each is below only if the next one is, since an assumption of it is void at that."""
    lines = [threshold(f"t{n}", expr or AT_HALF, rule_out=rule(assumes=(f"a{n}",)), **changes) for n in range(steps)]
    made = named(*(stated(f"a{n}", void_at=(f"t{n + 1}",)) for n in range(steps)))
    return levels(*lines, threshold(f"t{steps}"), assumptions={**ASSUMPTIONS, **made})


def combinations(steps, last):
    """Combinations of which each is of the next one."""
    return [Combined(f"c{n}", 1, (f"c{n + 1}" if n + 1 < steps else last,)) for n in range(steps)]


def assumed(name, **changes):
    return {**ASSUMPTIONS, name: replace(ASSUMPTIONS[name], **changes)}


def measured(measured_by="skill", level=HALF, **changes):
    return Measured("harmless", measured_by, level, rule(**changes))


PROPENSITY = measure("lies", "propensity")
STUDY = Unbounded("study", "capability", "model", "lab/study", 1, "uplift")
LOWER = measure("loss", danger="lower", low=Fraction(0), high=Fraction(4))
OTHER = measure("other")
DEPLOYED = measure("deployed", on="deployment")
WEIGHTS = {"skill": HALF, "other": HALF}


def reached_when(*way):
    return ".".join(("thresholds.high.reached_when", *way))


# the mistake -> the policy, the path of the problem, words of its message
MISTAKES = {
    # roles
    "a key twice in a role": (roles(role("x", 9, 9)), "roles.x.keys.1", "is used twice in role `x`"),
    "a quorum of more keys than there are": (
        roles(role("x", 9, quorum=2)),
        "roles.x.quorum",
        "number of keys, 1, got `2`",
    ),
    "independent of a role that is not there": (
        roles(role("x", 9, independent_of=("bord",))),
        "roles.x.independent_of.0",
        "role `bord` is not defined; did you mean `board`?",
    ),
    "independent of itself": (roles(role("x", independent_of=("x",))), "roles.x.independent_of.0", "of itself"),
    "independent and with the same key": (
        roles(role("x", 1, independent_of=("runs",))),
        "roles.x.independent_of.0",
        "yet shares a key with it",
    ),
    "independent of a role twice": (
        roles(role("x", 9, independent_of=("runs", "runs"))),
        "roles.x.independent_of.1",
        "role `runs` is listed twice",
    ),
    # measures
    "a range from high to low": (
        measures(measure("x", low=Fraction(2))),
        "measures.x.range",
        "lower number to a higher one, got `2` and `1`",
    ),
    "a benchmark that saturates outside its range": (
        measures(measure("x", valid_below=Fraction(2))),
        "measures.x.valid_below",
        "above `0` and at most `1`, got `2`",
    ),
    "a benchmark that never says anything": (
        measures(measure("x", valid_below=Fraction(0))),
        "measures.x.valid_below",
        "above `0`",
    ),
    "a mean of nothing": (measures(Mean("both", {})), "measures.both.mean_of", "at least one, got an empty list"),
    "weights that do not add up": (
        measures(OTHER, Mean("both", {"skill": HALF, "other": Fraction(1, 3)})),
        "measures.both.mean_of",
        "add up to 1, got `5/6`",
    ),
    "a mean of what is not there": (
        measures(Mean("both", {"skil": Fraction(1)})),
        "measures.both.mean_of",
        "measure `skil` is not defined; did you mean `skill`?",
    ),
    "a mean of a mean": (
        measures(OTHER, Mean("both", WEIGHTS), Mean("all", {"both": Fraction(1)})),
        "measures.all.mean_of",
        "range of their own, got `both`",
    ),
    "a mean of two dangers": (
        measures(LOWER, Mean("both", {"skill": HALF, "loss": HALF})),
        "measures.both.mean_of",
        "measures of one danger, got `skill` (higher) and `loss` (lower)",
    ),
    # assumptions
    "an assumption of nobody": (
        small_policy(assumptions=assumed("good-demonstrations", by="nobody")),
        "assumptions.good-demonstrations.stated_by",
        "role `nobody` is not defined",
    ),
    "an assumption that nobody checks": (
        small_policy(assumptions=assumed("valid-understanding", by="nobody")),
        "assumptions.valid-understanding.by",
        "role `nobody` is not defined",
    ),
    "an assumption that is void at what is not there": (
        small_policy(assumptions=assumed("good-demonstrations", void_at=("hihg",))),
        "assumptions.good-demonstrations.void_at.0",
        "threshold `hihg` is not defined; did you mean `high`?",
    ),
    "understanding on somebody's word": (
        small_policy(assumptions={**ASSUMPTIONS, **named(stated("valid-understanding"))}),
        "assumptions.valid-understanding",
        "needs a check",
    ),
    "a check that need not catch anything": (
        small_policy(assumptions=assumed("valid-understanding", coverage=Fraction(0))),
        "assumptions.valid-understanding.coverage",
        "`checked` and `coverage` together",
    ),
    "a share that nothing catches": (
        small_policy(assumptions=assumed("good-demonstrations", coverage=HALF)),
        "assumptions.good-demonstrations.coverage",
        "`checked` and `coverage` together",
    ),
    "a sharpness of somebody's word": (
        small_policy(assumptions=assumed("good-demonstrations", sharpness=HALF)),
        "assumptions.good-demonstrations.sharpness",
        "`sharpness` beside `checked` only",
    ),
    "organisms behind somebody's word": (
        small_policy(assumptions=assumed("good-demonstrations", least_parameters=5)),
        "assumptions.good-demonstrations.least_parameters",
        "`least_parameters` beside `checked` only",
    ),
    "a level at which nothing need be ruled out": (
        small_policy(assumptions=assumed("valid-understanding", sharp_at=HALF / 2)),
        "assumptions.valid-understanding.sharp_at",
        "`sharp_at` beside `sharpness` only",
    ),
    # rules
    "run by nobody": (levels(threshold(rule_out=rule(run_by="nobody"))), "thresholds.high.rule_out.run_by", "`nobody`"),
    "a forecast by nobody": (
        levels(threshold(rule_out=rule(buffer=buffer(margin=Fraction(0), forecast_by="nobody", fresh_for=DAY)))),
        "thresholds.high.rule_out.buffer.forecast_by",
        "role `nobody` is not defined",
    ),
    "a refresh at nobody's word": (
        levels(threshold(rule_out=rule(refresh=refresh(discretion="nobody")))),
        "thresholds.high.rule_out.refresh.discretion",
        "role `nobody` is not defined",
    ),
    "an assumption that is not there": (
        levels(threshold(rule_out=rule(assumes=("luck",)))),
        "thresholds.high.rule_out.assumes.0",
        "assumption `luck` is not defined",
    ),
    "no elicitation": (
        levels(threshold(rule_out=rule(elicitation=()))),
        "thresholds.high.rule_out.elicitation",
        "at least one elicitation",
    ),
    "an elicitation twice": (
        levels(threshold(rule_out=rule(FINE_TUNED, FINE_TUNED))),
        "thresholds.high.rule_out.elicitation.1",
        "elicitation `fine-tuned` is listed twice",
    ),
    "fine-tuned on nothing": (
        levels(threshold(rule_out=rule(Demand("prompted"), Demand("fine-tuned")))),
        "thresholds.high.rule_out.elicitation.1",
        "needs `demonstrations` of at least 1",
    ),
    "a forecast that never goes stale": (
        levels(threshold(rule_out=rule(buffer=buffer(margin=Fraction(0), forecast_by="says")))),
        "thresholds.high.rule_out.buffer.fresh_for",
        "`forecast_by` and `fresh_for` together",
    ),
    "a margin that goes stale": (
        levels(threshold(rule_out=rule(buffer=buffer(fresh_for=DAY)))),
        "thresholds.high.rule_out.buffer.fresh_for",
        "`forecast_by` and `fresh_for` together",
    ),
    "a forecast beside a margin": (
        levels(threshold(rule_out=rule(buffer=buffer(forecast_by="says", fresh_for=DAY)))),
        "thresholds.high.rule_out.buffer.margin",
        "no margin beside `forecast_by`",
    ),
    "a margin that is not the sum of its items": (
        levels(threshold(rule_out=rule(buffer=buffer(items={"now": Fraction(1, 10)})))),
        "thresholds.high.rule_out.buffer.margin",
        "the sum of its items, `0.1`, got `0.05`",
    ),
    "propensity shown by training": (
        measures(PROPENSITY, expr=At("lies", HALF), on=(Demand("prompted"), FINE_TUNED)),
        "thresholds.high.rule_out.elicitation.1",
        "`fine-tuned` shows nothing about measure `lies` of a propensity",
    ),
    "propensity shown by training, in a requirement": (
        small_policy(
            measures=named(measure(), PROPENSITY),
            requirements=named(attested(), NEVER, replace(measured("lies"), rule_out=rule(Demand("rl-fine-tuned")))),
        ),
        "requirements.harmless.elicitation.0",
        "`rl-fine-tuned` shows nothing about measure `lies`",
    ),
    "propensity shown by training, in a mean": (
        measures(PROPENSITY, Mean("both", {"skill": HALF, "lies": HALF}), expr=At("both", HALF), on=(FINE_TUNED,)),
        "thresholds.high.rule_out.elicitation.0",
        "shows nothing about measure `lies`",
    ),
    "understanding shown by behaviour": (
        measures(measure("insight", "understanding"), expr=At("insight", HALF)),
        "thresholds.high.rule_out.elicitation.0",
        "expected elicitation `understanding-based` for measure `insight` of understanding, got `prompted`",
    ),
    "behaviour shown by understanding": (
        measures(on=(Demand("understanding-based"),)),
        "thresholds.high.rule_out.elicitation.0",
        "needs a measure of understanding, got measure `skill` of kind `capability`",
    ),
    "an elicitation that takes the undefined for granted": (
        replace(measures(on=(Demand("prompted"), FINE_TUNED)), assumptions=named(stated("no-evaluation-gaming"))),
        "thresholds.high.rule_out.elicitation.1",
        "elicitation `fine-tuned` takes `good-demonstrations` for granted, which is not defined under `assumptions`",
    ),
    "a propensity that takes the undefined for granted": (
        replace(measures(PROPENSITY, expr=At("lies", HALF)), assumptions={}),
        "thresholds.high.rule_out.elicitation.0",
        "measure `lies` of a propensity takes `no-test-awareness` for granted",
    ),
    "the runner states what it relies on": (
        small_policy(assumptions=assumed("no-evaluation-gaming", by="runs")),
        "assumptions.no-evaluation-gaming.stated_by",
        "shares no key with `runs`, which runs the evaluations of threshold `high` that rely on this, got `runs`",
    ),
    "the runner checks what it relies on, under another name": (
        roles(
            role("twin", 1),
            thresholds=named(threshold(rule_out=rule(assumes=("extra",)))),
            assumptions={**ASSUMPTIONS, **named(checked("extra", by="twin"))},
        ),
        "assumptions.extra.by",
        "shares no key with `runs`",
    ),
    "the runner of a requirement states what it relies on": (
        requirements(measured(run_by="board"), assumptions=assumed("no-evaluation-gaming", by="board")),
        "assumptions.no-evaluation-gaming.stated_by",
        "runs the evaluations of requirement `harmless`",
    ),
    # levels
    "a level of what is not there": (
        expression(At("skil", HALF)),
        "thresholds.high.reached_when",
        "measure `skil` is not defined; did you mean `skill`?",
    ),
    "a requirement that measures what is not there": (
        requirements(measured("skil")),
        "requirements.harmless.measured",
        "measure `skil` is not defined",
    ),
    "a level of a quantity without bounds": (measures(STUDY, expr=At("study", HALF)), reached_when(), "without bounds"),
    "a level of a ratio": (
        measures(ComputeRatio("growth", "base"), expr=At("growth", HALF)),
        reached_when(),
        "with a range, got `growth`, a ratio of compute",
    ),
    "a level outside the range": (
        expression(At("skill", Fraction(3, 2))),
        reached_when(),
        "range of measure `skill`, `0` to `1`, got `1.5`",
    ),
    "a level outside the range, in a requirement": (
        requirements(measured(level=Fraction(-1))),
        "requirements.harmless.measured",
        "`0` to `1`, got `-1`",
    ),
    "a level where the benchmark is saturated": (
        measures(measure("x", valid_below=Fraction(1, 4)), expr=At("x", HALF)),
        reached_when(),
        "measure `x` says nothing from `0.25` on",
    ),
    "a level where half of a mean is saturated": (
        measures(measure("other", valid_below=HALF), Mean("both", WEIGHTS), expr=At("both", Fraction(4, 5))),
        reached_when(),
        "measure `both` says nothing from `0.75` on",
    ),
    "a margin as large as the level": (
        levels(threshold(rule_out=rule(buffer=buffer(margin=HALF)))),
        "thresholds.high.rule_out.buffer.margin",
        "`high` could never be ruled out: expected a margin below `0.5`, the distance of its level `0.5` from `0`, got",
    ),
    "a margin as large as what is left above the level": (
        measures(LOWER, expr=At("loss", Fraction(3)), buffer=buffer(margin=Fraction(1))),
        "thresholds.high.rule_out.buffer.margin",
        "expected a margin below `1`, the distance of its level `3` from `4`, got `1`",
    ),
    "the lowest level, without a margin": (
        measures(LOWER, expr=At("loss", Fraction(4)), buffer=buffer(margin=Fraction(0))),
        "thresholds.high.rule_out.buffer.margin",
        "could never be ruled out",
    ),
    "a requirement with a margin as large as the level": (
        requirements(measured(level=Fraction(1, 20))),
        "requirements.harmless.buffer.margin",
        "requirement `harmless` could never be met",
    ),
    # expressions
    "a threshold that is not there": (
        expression(Ref("hgh")),
        reached_when(),
        "`hgh` is not defined; did you mean `high`?",
    ),
    "a quantity that is not there": (
        expression(AtLeast(1, (AT_HALF, Amount("training-compute", HALF)))),
        reached_when("any_of.1"),
        "quantity `training-compute` is not defined; did you mean `training_compute`?",
    ),
    "an amount of a measure": (
        expression(AtLeast(2, (AT_HALF, Amount("skill", HALF)))),
        reached_when("all_of.1"),
        "expected a quantity such as `training_compute` or a ratio of it, got measure `skill`",
    ),
    "an amount of nothing": (
        expression(AtLeast(2, (AT_HALF, AT_HALF, Amount("effective_compute", Fraction(0))))),
        reached_when("at_least.of.2"),
        "an amount above 0 of `effective_compute`, got `0`",
    ),
    "an empty expression": (expression(AtLeast(0, ())), reached_when(), "at least one, got an empty list"),
    "more parts than there are": (expression(AtLeast(2, (AT_HALF,))), reached_when(), "number of parts, 1, got `2`"),
    "none of the parts": (expression(AtLeast(0, (AT_HALF,))), reached_when(), "a count from 1"),
    # thresholds
    "a threshold that nothing reaches": (
        levels(Threshold("high", None, None)),
        "thresholds.high",
        "is never reached; expected `reached_when` or `judged_by`",
    ),
    "a measure without a rule": (
        levels(threshold(rule_out=None)),
        "thresholds.high",
        "what measure `skill` of threshold",
    ),
    "a reference without a rule": (
        below_if(
            UnderReference("base", ("skill",), Fraction(0)),
            reached_when=Amount("training_compute", Fraction(1)),
            rule_out=None,
        ),
        "thresholds.high",
        "what `no_more_capable_than` of threshold `high`",
    ),
    "a rule for nothing": (
        expression(Amount("training_compute", Fraction(1))),
        "thresholds.high.rule_out",
        "has no measure to rule out",
    ),
    "above what is not there": (levels(threshold(above=("low",))), "thresholds.high.above.0", "`low` is not defined"),
    "in a domain that is not there": (levels(threshold(domain="cyber")), "thresholds.high.domain", "domain `cyber`"),
    "with a threat that is not there": (
        levels(threshold(threat_models=("crime",))),
        "thresholds.high.threat_models.0",
        "threat model `crime` is not defined",
    ),
    "an alert for nothing": (
        levels(threshold(), threshold("x", role="alert")),
        "thresholds.x",
        "expected `alert_for`, the threshold that `x` is the earlier line of",
    ),
    "an alert for what is not there": (
        levels(threshold(), threshold("x", role="alert", alert_for="y")),
        "thresholds.x.alert_for",
        "threshold `y` is not defined",
    ),
    "an alert for itself": (
        levels(threshold(), threshold("x", role="alert", alert_for="x")),
        "thresholds.x.alert_for",
        "cannot be the earlier line of itself",
    ),
    "a gating threshold that is an earlier line": (
        levels(threshold(alert_for="x"), threshold("x", role="watch")),
        "thresholds.high.alert_for",
        "expected `role: alert` beside `alert_for`, got role `gate`",
    ),
    "below a quantity that is not there": (
        below_if(UnderQuantity("x", HALF)),
        "thresholds.high.below_if.0",
        "quantity `x` is not defined",
    ),
    "below nothing of a quantity": (
        below_if(UnderQuantity("growth", Fraction(0))),
        "thresholds.high.below_if.0",
        "an amount above 0",
    ),
    "below a screen that is not there": (
        below_if(UnderScreen("x")),
        "thresholds.high.below_if.0.below",
        "threshold `x`",
    ),
    "no more capable on what is not there": (
        below_if(UnderReference("base", ("skill", "x"), HALF)),
        "thresholds.high.below_if.0.on.1",
        "measure `x` is not defined",
    ),
    "no more capable on nothing": (
        below_if(UnderReference("base", (), HALF)),
        "thresholds.high.below_if.0.on",
        "at least one",
    ),
    "no more capable on a ratio": (
        below_if(UnderReference("base", ("growth",), HALF)),
        "thresholds.high.below_if.0.on.0",
        "on the model with a source and a range, got `growth`",
    ),
    "no more capable in a deployment": (
        levels(threshold(below_if=(UnderReference("base", ("deployed",), HALF),)), measures=named(measure(), DEPLOYED)),
        "thresholds.high.below_if.0.on.0",
        "expected a measure on the model",
    ),
    "judged by nobody": (
        levels(Threshold("high", None, None, Judged("nobody", ("skill",)))),
        "thresholds.high.judged_by",
        "role `nobody` is not defined",
    ),
    "judged on what is not there": (
        levels(Threshold("high", None, None, Judged("board", ("skil",)))),
        "thresholds.high.on.0",
        "expected a measure or a requirement, `skil` is not defined; did you mean `skill`?",
    ),
    "judged on the same twice": (
        levels(Threshold("high", None, None, Judged("board", ("skill", "skill")))),
        "thresholds.high.on.1",
        "`skill` is listed twice",
    ),
    "judged on what has two meanings": (
        levels(
            Threshold("high", None, None, Judged("board", ("secure",))),
            measures=named(measure(), measure("secure")),
        ),
        "thresholds.high.on.0",
        "is a measure and a requirement",
    ),
    "judged on an approval": (
        requirements(AGREED, thresholds=named(Threshold("high", None, None, Judged("board", ("agreed",))))),
        "thresholds.high.on.0",
        "with a source or an attested requirement, got `agreed`",
    ),
    "judged on nothing, beside an expression": (
        levels(threshold(judged=Judged("board", ()))),
        "thresholds.high.on",
        "threshold `high` is judged on nothing",
    ),
    # circles
    "a threshold of itself": (expression(Ref("high")), "thresholds.high", "depends on itself: `high` -> `high`"),
    "a circle of expressions and screens": (
        levels(
            threshold("a", Ref("b")),
            threshold("b", below_if=(UnderScreen("c"),)),
            threshold("c", above=("b",), expr=Ref("a")),
        ),
        "thresholds.a",
        "threshold `a` depends on itself: `a` -> `b` -> `c` -> `a`",
    ),
    "a higher level that asks for the lower one": (
        levels(threshold("a", Ref("b")), threshold("b", above=()), threshold("c", Ref("b"), above=("b",))),
        "thresholds.b",
        "`b` -> `c` -> `b` (`c` lists `b` in `above`)",
    ),
    "a rule whose own assumption is void at it": (
        levels(threshold(), assumptions=assumed("no-evaluation-gaming", void_at=("high",))),
        "thresholds.high",
        "`high` -> `high` (`no-evaluation-gaming` is void at `high`)",
    ),
    "an added assumption that is void at it": (
        levels(
            threshold(rule_out=rule(assumes=("extra",))),
            assumptions={**ASSUMPTIONS, **named(stated("extra", void_at=("high",)))},
        ),
        "thresholds.high",
        "(`extra` is void at `high`)",
    ),
    "a combination of itself": (
        requirements(Combined("a", 1, ("b",)), Combined("b", 1, ("a", "secure"))),
        "requirements.a",
        "requirement `a` depends on itself: `a` -> `b` -> `a`",
    ),
    "a chain that is too long": (
        levels(*(threshold(f"t{n}", Ref(f"t{n + 1}")) for n in range(65)), threshold("t65")),
        "thresholds.t0",
        "at most 64 steps from threshold `t0` to the last that it depends on, got 65",
    ),
    "a chain that is too deep": (
        levels(
            *(threshold(f"t{n}", AtLeast(1, (AtLeast(1, (Ref(f"t{n + 1}"),)),))) for n in range(22)), threshold("t22")
        ),
        "thresholds.t0",
        "at most 64 steps from threshold `t0`",
    ),
    "a chain that goes through assumptions": (
        void(13),
        "thresholds.t0",
        "at most 64 steps from threshold `t0` to the last that it depends on, got 65",
    ),
    "a chain that goes through assumptions of what stands deep": (
        void(8, AtLeast(1, (AtLeast(1, (AtLeast(1, (AtLeast(1, (AT_HALF,)),)),)),))),
        "thresholds.t0",
        "at most 64 steps from threshold `t0` to the last that it depends on, got 72",
    ),
    "a chain that goes through assumptions about what a subject is compared on": (
        void(11, below_if=(UnderReference("base", ("skill",), HALF),)),
        "thresholds.t0",
        "at most 64 steps from threshold `t0` to the last that it depends on, got 66",
    ),
    "a chain that goes through screens": (
        levels(*(threshold(f"t{n}", below_if=(UnderScreen(f"t{n + 1}"),)) for n in range(33)), threshold("t33")),
        "thresholds.t0",
        "at most 64 steps from threshold `t0` to the last that it depends on, got 66",
    ),
    "a chain of combinations that is too long": (
        requirements(*combinations(33, "secure")),
        "requirements.c0",
        "at most 64 steps from requirement `c0` to the last that it depends on, got 66",
    ),
    "a chain of combinations, and of thresholds after it": (
        replace(void(8), requirements=named(attested(), *combinations(12, "out"), RuledOut("out", "t0"), NEVER)),
        "requirements.c0",
        "at most 64 steps from requirement `c0` to the last that it depends on, got 65",
    ),
    "a chain of combinations, and of thresholds at which what it measures is void": (
        replace(
            void(8),
            requirements=named(
                attested(), *combinations(13, "harmless"), measured(assumes=("a0",), level=Fraction(1, 4)), NEVER
            ),
        ),
        "requirements.c0",
        "at most 64 steps from requirement `c0` to the last that it depends on, got 65",
    ),
    "a chain of combinations for the last of which another stands in": (
        requirements(
            *combinations(16, "secure"),
            *(replace(it, name=f"d{it.name}", of=tuple(f"d{name}" for name in it.of)) for it in combinations(16, "c")),
            attested("dc"),
            exceptions=named(ExceptionRule("way", "interim", ("secure",), ("dc0",), ("board",), MONTH)),
        ),
        "requirements.c0",
        "at most 64 steps from requirement `c0` to the last that it depends on, got 66",
    ),
    # requirements
    "never, defined": (
        small_policy(requirements=named(attested(), attested("never"))),
        "requirements.never",
        "`never` is built in",
    ),
    "attested by nobody": (requirements(attested("x", by="y")), "requirements.x.by", "role `y` is not defined"),
    "approved by nobody": (requirements(replace(AGREED, by="y")), "requirements.agreed.by", "role `y` is not defined"),
    "of a standard that is not there": (
        requirements(attested("x", standard="sl-3")),
        "requirements.x.standard",
        "standard `sl-3` is not defined",
    ),
    "a hole of nobody": (requirements(replace(HOLE, owner="y")), "requirements.hole.owner", "role `y` is not defined"),
    "ruled out what is not there": (
        requirements(RuledOut("x", "hgh")),
        "requirements.x.ruled_out",
        "threshold `hgh` is not defined; did you mean `high`?",
    ),
    "measured by nobody": (
        requirements(measured(run_by="y")),
        "requirements.harmless.run_by",
        "role `y` is not defined",
    ),
    "a combination of nothing": (requirements(Combined("x", 0, ())), "requirements.x", "at least one"),
    "more than all requirements": (
        requirements(Combined("x", 2, ("secure",))),
        "requirements.x",
        "of parts, 1, got `2`",
    ),
    "a combination of what is not there": (
        requirements(Combined("x", 2, ("secure", "y"))),
        "requirements.x.all_of.1",
        "requirement `y` is not defined",
    ),
    "a combination of the same twice": (
        requirements(Combined("x", 2, ("secure", "agreed", "secure"))),
        "requirements.x.at_least.of.2",
        "requirement `secure` is listed twice",
    ),
    "a way round a hole": (
        requirements(HOLE, Combined("x", 1, ("secure", "hole"))),
        "requirements.x.any_of.1",
        "`hole` is never met, and requirement `x` reads as if it could be; expected it under `all_of` only",
    ),
    "a way round never, further down": (
        requirements(Combined("x", 1, ("y", "secure")), Combined("y", 2, ("secure", "never"))),
        "requirements.x.any_of.0",
        "`never` is never met, and requirement `x`",
    ),
    # exceptions
    "an exception from what is not there": (
        exceptions(instead_of=("x",)),
        "exceptions.way.instead_of.0",
        "requirement `x` is not defined",
    ),
    "an exception with what is not there": (
        exceptions(requires=("x",)),
        "exceptions.way.requires.0",
        "requirement `x`",
    ),
    "an exception by nobody": (exceptions(approved_by=("x",)), "exceptions.way.approved_by.0", "role `x`"),
    "an exception for nothing": (exceptions(requires=()), "exceptions.way.requires", "at least one"),
    "an exception that nobody approves": (exceptions(approved_by=()), "exceptions.way.approved_by", "at least one"),
    "an exception from nothing": (exceptions(instead_of=()), "exceptions.way.instead_of", "at least one"),
    "an exception from never": (
        exceptions(instead_of=("secure", "never")),
        "exceptions.way.instead_of.1",
        "`never` is never met, and no exception can stand in for it",
    ),
    "an exception from a hole, further down": (
        exceptions(HOLE, Combined("x", 2, ("secure", "hole")), instead_of=("x",)),
        "exceptions.way.instead_of.0",
        "`hole` is never met",
    ),
    # gates
    "a standard action without a gate": (
        small_policy(
            gates={name: {"high": CELL} for name in ("scale", "deploy-internal", "deploy-api", "release-weight")}
        ),
        "gates",
        "under `not_governed`, got neither; did you mean `release-weight`?",
    ),
    "an empty gate": (
        small_policy(gates=gates({"high": CELL}, scale={})),
        "gates.scale",
        "at least one threshold at gate",
    ),
    "a gate of what is not there": (
        small_policy(gates=gates({"high": CELL}, scale={"hgh": CELL})),
        "gates.scale.hgh",
        "threshold `hgh` is not defined; did you mean `high`?",
    ),
    "a gate that only recommends": (
        small_policy(gates=gates({"high": CELL}, scale={"high": Cell((), (("recommends", "secure"),))})),
        "gates.scale",
        "at least one cell of gate `scale` with `must` or `will`",
    ),
    "an empty cell": (
        small_policy(gates=gates({"high": CELL}, scale={"high": Cell(())})),
        "gates.scale.high",
        "got an empty cell",
    ),
    "a cell that gates by what is recommended": (
        small_policy(gates=gates({"high": CELL}, scale={"high": Cell(("secure",), modality="intends")})),
        "gates.scale.high",
        "expected `must` or `will` for what gates, got `intends`",
    ),
    "a cell that only recommends what must be": (
        small_policy(gates=gates({"high": CELL}, scale={"high": Cell(("never",), (("must", "secure"),))})),
        "gates.scale.high",
        "expected `intends` or `recommends` for what does not gate, got `must`",
    ),
    "a requirement twice in a cell": (
        small_policy(gates=gates({"high": CELL}, scale={"high": Cell(("secure",), (("intends", "secure"),))})),
        "gates.scale.high",
        "requirement `secure` is listed twice",
    ),
    "a cell of what is not there": (
        small_policy(gates=gates({"high": Cell(("secure", "x"))})),
        "gates.scale.high.1",
        "requirement `x` is not defined",
    ),
    "a cell of what is not there, that only will": (
        small_policy(gates=gates({"high": Cell(("x",), modality="will")})),
        "gates.scale.high.will.0",
        "requirement `x` is not defined",
    ),
    "a cell that recommends what is not there": (
        small_policy(gates=gates({"high": Cell(("secure",), (("intends", "never"), ("recommends", "x")))})),
        "gates.scale.high.recommends.0",
        "requirement `x` is not defined",
    ),
    "an action both gated and open": (
        small_policy(not_governed={"scale": "section 1"}),
        "not_governed.scale",
        "action `scale` is gated and not governed",
    ),
    "a threshold at no gate": (
        levels(threshold(), threshold("x")),
        "thresholds.x",
        "threshold `x` stands at no gate; expected it in `gates`, or `role: watch`",
    ),
    "a lower level at no gate": (levels(threshold(above=("x",)), threshold("x")), "thresholds.x", "stands at no gate"),
    "a threshold at no gate that is only to be defined": (
        requirements(Defined("next", "x"), thresholds=named(threshold(), threshold("x"))),
        "thresholds.x",
        "stands at no gate",
    ),
    "a watch at a gate": (
        levels(threshold(role="watch")),
        "gates.scale.high",
        "threshold `high` has `role: watch` and stands at no gate",
    ),
    "an alert at a gate": (
        levels(threshold(role="alert", alert_for="x"), threshold("x")),
        "gates.scale.high",
        "has `role: alert`",
    ),
    "an independent role that runs a measured requirement": (
        requirements(
            measured(run_by="says"),
            assumptions=assumed("no-evaluation-gaming", by="board"),
            independent="says",
            roles=small_policy().roles | named(role("board", 9)),
        ),
        "independent",
        "shares no key with `says`, which runs the evaluations of requirement `harmless`, got `says`",
    ),
    "a takeover answered by a propensity": (
        requirements(
            measured("lies"),
            measures=named(measure(), PROPENSITY),
            thresholds=named(threshold(takeover_potential=True)),
            cell=("secure", "harmless"),
        ),
        "gates.scale.high.1",
        "threshold `high` has takeover potential, for which no measure of a propensity shows anything",
    ),
    "a takeover answered by a propensity, further down": (
        requirements(
            measured("both"),
            Combined("case", 2, ("secure", "harmless")),
            measures=named(measure(), PROPENSITY, Mean("both", {"skill": HALF, "lies": HALF})),
            thresholds=named(threshold(takeover_potential=True)),
            cell=("case",),
        ),
        "gates.scale.high.0",
        "expected no requirement that rests on one, got `harmless`",
    ),
    "a takeover answered by a propensity, by way of an exception": (
        requirements(
            measured("lies"),
            measures=named(measure(), PROPENSITY),
            thresholds=named(threshold(takeover_potential=True)),
            exceptions=named(replace(EXCEPTION, requires=("harmless",))),
        ),
        "gates.scale.high.0",
        "got `harmless`",
    ),
    # actions
    "an action that is neither gated nor open": (
        small_policy(actions=named(Action("deploy-testers", reversible=True))),
        "actions.deploy-testers",
        "a gate for action `deploy-testers`, or `not_governed`",
    ),
    "an action that refines what is not there": (
        small_policy(not_governed={"x": "section 1"}, actions=named(Action("x", reversible=True, refines="deploy"))),
        "actions.x.refines",
        "action `deploy` is not defined; did you mean `deploy-api`?",
    ),
    "an action that refines itself": (
        small_policy(
            not_governed={"x": "section 1", "y": "section 1"},
            actions=named(Action("x", reversible=True, refines="y"), Action("y", reversible=True, refines="x")),
        ),
        "actions.x.refines",
        "action `x` refines itself: `x` -> `y` -> `x`",
    ),
    "an action for which scaling would be asked less than at scale": (
        small_policy(
            gates=gates({"high": Cell(("secure",))}, x={"high": Cell(("secure",))}),
            actions=named(Action("x", reversible=True, refines="scale")),
        ),
        "actions.x.refines",
        "action `x` refines `scale` and is gated; expected its cells at `scale`",
    ),
    "released weights that come back": (
        small_policy(actions=named(Action("release-weights", reversible=True))),
        "actions.release-weights.reversible",
        "cannot be taken back",
    ),
    "weights released to a few that come back": (
        small_policy(
            not_governed={"x": "section 1"}, actions=named(Action("x", reversible=True, refines="release-weights"))
        ),
        "actions.x.reversible",
        "cannot be taken back",
    ),
    # duties
    "a duty of nobody": (duties(by="x"), "duties.duty.by", "role `x` is not defined"),
    "a duty to write what is not there": (duties(report="x"), "duties.duty.report", "report `x` is not defined"),
    "a duty to tell nobody": (duties(notify=("x",)), "duties.duty.notify.0", "role `x` is not defined"),
    "a duty at what is not there": (
        duties(start=Start("reached", ("high", "hgh"))),
        "duties.duty.starts.reached.1",
        "threshold `hgh` is not defined; did you mean `high`?",
    ),
    "a duty at an action that is not there": (
        duties(start=Start("hold", ("scal",))),
        "duties.duty.starts.hold.0",
        "action `scal` is not defined; did you mean `scale`?",
    ),
    "a duty at no incident": (duties(start=Start("incident")), "duties.duty.starts.incident", "at least one"),
    "a duty from the start of what": (
        duties(start=Start("effective", ("high",))),
        "duties.duty.starts.effective",
        "expected `true`, got a list",
    ),
    "a duty from the discovery of no incident": (
        duties(start=Start("reached", ("high",), "discovery")),
        "duties.duty.starts.from",
        "only an incident has other moments than `event`, got `discovery`",
    ),
    "a duty until what is no incident is resolved": (
        duties(until_resolved=True),
        "duties.duty.until",
        "only an incident is resolved, and this starts with `effective`",
    ),
    "a duty after what is no incident is resolved": (
        duties(after_resolved=Clock(MONTH)),
        "duties.duty.after_resolved",
        "only an incident is resolved",
    ),
    "a duty without a deadline": (duties(within=None), "duties.duty", "duty `duty` has no deadline"),
    "a duty at an exception that is not there": (
        replace(exceptions(), duties=named(replace(DUTY, start=Start("exception", ("wey",))))),
        "duties.duty.starts.exception.0",
        "exception `wey` is not defined; did you mean `way`?",
    ),
    "a window that never ends": (
        duties(within=None, not_before=Clock(DAY), repeat=Clock(MONTH)),
        "duties.duty.not_before",
        "expected `within` beside `not_before`",
    ),
    "a window that ends before it begins": (
        duties(not_before=Clock(Duration(0, 32 * 86400))),
        "duties.duty.not_before",
        "expected a time that never ends after `within`, got `32 days`, which may end after `1 month`",
    ),
    "a window that ends before it begins in February": (
        duties(not_before=Clock(Duration(0, 30 * 86400))),
        "duties.duty.not_before",
        "got `30 days`, which may end after `1 month`",
    ),
    "a window that begins in no unit": (duties(not_before=Clock()), "duties.duty.not_before", "got both or neither"),
    "a deadline in two units": (duties(within=Clock(MONTH, 5)), "duties.duty.within", "got both or neither"),
    "a deadline in no unit": (duties(repeat=Clock()), "duties.duty.repeat", "got both or neither"),
    # on hold
    "a response to what is not there": (
        held(key="hgh"),
        "on_hold.hgh",
        "a threshold, a requirement or an action, `hgh` is not defined; did you mean `high`?",
    ),
    "a response that tells nobody": (held(Response("notify")), "on_hold.high.0.do", "expected `notify`, the roles"),
    "a response that tells who is not there": (
        held(Response("recall"), Response("notify", notify=("x",))),
        "on_hold.high.1.notify.0",
        "role `x` is not defined",
    ),
    "a response when what is not there is unmet": (
        held(Response("recall", ("reached", "unmet:x"))),
        "on_hold.high.0.when.1",
        "requirement `x` is not defined",
    ),
    "a response that turns to what is not there": (
        held(Response("reroute-work", to=("x",))),
        "on_hold.high.0.to.0",
        "requirement `x` is not defined",
    ),
    "a response in no time": (held(Response("recall", within=Clock())), "on_hold.high.0.within", "both or neither"),
    # context
    "a threat in a domain that is not there": (
        context(threat_models=ThreatModel("t", "cyber", "intrusion")),
        "threat_models.t.domain",
        "domain `cyber` is not defined",
    ),
    "a threat by an actor who is not there": (
        context(threat_models=ThreatModel("t", "cyber", "intrusion", "novice")),
        "threat_models.t.actor",
        "actor `novice` is not defined",
    ),
    "a standard that stops who is not there": (
        context(standards=Standard("s", "Level 1", stops=("novice",))),
        "standards.s.stops.0",
        "actor `novice` is not defined",
    ),
    "a standard that does not stop who is not there": (
        context(standards=Standard("s", "Level 1", does_not_stop=("novice",))),
        "standards.s.does_not_stop.0",
        "actor `novice` is not defined",
    ),
    "a report by nobody": (context(reports=Report("r", "Report", "x", ("public",))), "reports.r.by", "role `x`"),
    "a channel to nobody": (context(channels=Channel("c", ("x",), True)), "channels.c.to.0", "role `x`"),  # noqa: FBT003
    "a duty at a kind of incident that is not there": (
        replace(duties(start=Start("incident", ("theft", "thft"))), context=KINDS),
        "duties.duty.starts.incident.1",
        "incident kind `thft` is not defined; did you mean `theft`?",
    ),
    "results that end with a kind of incident that is not there": (
        small_policy(refresh=refresh(events=("thft",)), context=KINDS),
        "refresh.events.0",
        "incident kind `thft` is not defined; did you mean `theft`?",
    ),
    "a threshold's results that do": (
        levels(threshold(rule_out=rule(refresh=refresh(events=("theft", "thft")))), context=KINDS),
        "thresholds.high.rule_out.refresh.events.1",
        "incident kind `thft` is not defined",
    ),
    "a near miss of what is not there": (
        context(incidents=IncidentKind("near", "Nearly one", "theft")),
        "incidents.near.near_miss_of",
        "incident kind `theft` is not defined",
    ),
    "a near miss of itself": (
        context(incidents=IncidentKind("near", "Nearly one", "near")),
        "incidents.near.near_miss_of",
        "expected a kind of incident that is no near miss itself, got `near`",
    ),
    "a near miss of a near miss": (
        small_policy(context=replace(KINDS, incidents={**KINDS.incidents, "x": IncidentKind("x", "x", "near")})),
        "incidents.x.near_miss_of",
        "no near miss itself, got `near`",
    ),
    # the policy
    "a refresh at the word of who is not there": (
        small_policy(refresh=refresh(discretion="x")),
        "refresh.discretion",
        "role `x` is not defined",
    ),
    "permits of nobody": (small_policy(permits=Permits(MONTH, DAY, "x")), "permits.issued_by", "role `x`"),
    "permits that nobody revokes": (
        small_policy(permits=Permits(MONTH, DAY, "says", ("x",))),
        "permits.revocable_by.0",
        "role `x` is not defined",
    ),
    "amended by nobody": (small_policy(amendments=Amendments(())), "amendments.approved_by", "at least one"),
    "amended by who is not there": (
        small_policy(amendments=Amendments(("x",))),
        "amendments.approved_by.0",
        "role `x`",
    ),
    "nobody consulted": (small_policy(amendments=Amendments(("board",), ("x",))), "amendments.consulted.0", "role `x`"),
    "nobody proposes": (
        small_policy(amendments=Amendments(("board",), proposed_by=("x",))),
        "amendments.proposed_by.0",
        "role `x`",
    ),
    "independent, and not there": (small_policy(independent="x"), "independent", "role `x` is not defined"),
    "independent, and runs the evaluations": (
        roles(role("twin", 1), independent="twin"),
        "independent",
        "shares no key with `runs`, which runs the evaluations of threshold `high`, got `twin`",
    ),
    "a scope of what is measured": (
        small_policy(scope=Scope(AtLeast(1, (Amount("training_compute", HALF), AT_HALF)))),
        "scope.subjects.any_of.1",
        "expected quantities such as `training_compute`, got `skill`",
    ),
    "a scope of thresholds": (small_policy(scope=Scope(Ref("high"))), "scope.subjects", "got `high`"),
    "a scope of a quantity that is not there": (
        small_policy(scope=Scope(Amount("x", HALF))),
        "scope.subjects",
        "quantity `x` is not defined",
    ),
    "expired before it takes effect": (
        small_policy(expires=datetime(2026, 1, 1, tzinfo=UTC)),
        "expires",
        "expected a time after `effective`",
    ),
    "supersedes a later one": (
        small_policy(supersedes="10"),
        "supersedes",
        "a version below this one, `2.0.0`, got `10`",
    ),
    "supersedes itself": (small_policy(supersedes="2"), "supersedes", "a version below this one"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_where_it_is_written(mistake):
    policy, path, words = MISTAKES[mistake]
    found = problems(policy)
    assert [problem for problem in found if problem.path == at(path) and words in problem.message], found


# what is allowed -> the policy
ALLOWED = {
    "the small policy": small_policy(),
    "the policy that uses everything": full_policy(),
    "a role without keys, whatever its quorum": roles(role("x", quorum=7, independent_of=("runs",))),
    "two roles without keys": roles(role("x"), role("y", independent_of=("x",))),
    "an assumption stated by a role without keys": roles(
        role("x"), assumptions=assumed("no-evaluation-gaming", by="x")
    ),
    "an action that is only here": small_policy(gates=gates({"high": CELL}, demonstrate={"high": CELL})),
    "a standard action called irreversible": small_policy(actions=named(Action("scale", reversible=False))),
    "a hole under all of": requirements(HOLE, Combined("x", 2, ("secure", "hole")), cell=("x",)),
    "a hole under all of, twice": requirements(
        HOLE,
        Combined("x", 2, ("secure", "hole")),
        Combined("y", 2, ("agreed", "hole")),
        Combined("z", 2, ("x", "y")),
        cell=("z",),
    ),
    "an exception in a cell with a hole": requirements(HOLE, cell=("secure", "hole"), exceptions=named(EXCEPTION)),
    "the next level not written yet": requirements(Defined("next", "not-yet"), cell=("next",)),
    "a hole at no gate that is to be defined": requirements(
        Defined("next", "x"), thresholds=named(threshold(), Threshold("x", None, None, Judged("board", ())))
    ),
    "a threshold at no gate that is to be ruled out": requirements(
        RuledOut("lower", "x"), thresholds=named(threshold(), threshold("x"))
    ),
    "a threshold at no gate that voids a requirement's assumption": requirements(
        measured(assumes=("extra",)),
        thresholds=named(threshold(), threshold("x")),
        assumptions={**ASSUMPTIONS, **named(stated("extra", void_at=("x",)))},
    ),
    "a threshold at no gate that one at a gate depends on": levels(threshold(expr=Ref("x")), threshold("x")),
    "a higher level at no gate": levels(threshold(), threshold("x", above=("high",))),
    "a screen that only watches": levels(
        threshold(below_if=(UnderScreen("x"),)), threshold("x", role="watch", expr=At("skill", Fraction(1, 4)))
    ),
    "an assumption void at a threshold without a rule of it": levels(
        threshold(),
        threshold("x", Amount("training_compute", Fraction(1)), rule_out=None),
        assumptions=assumed("no-evaluation-gaming", void_at=("x",)),
    ),
    "two ways to the same threshold": levels(
        threshold("a", AtLeast(2, (Ref("b"), Ref("c")))), threshold("b", Ref("c")), threshold("c")
    ),
    "a chain of 60 through assumptions": void(12),
    "a chain of 64 of combinations": requirements(*combinations(32, "secure")),
    "a chain of 64": levels(*(threshold(f"t{n}", Ref(f"t{n + 1}")) for n in range(64)), threshold("t64")),
    "a judged threshold with an expression": levels(threshold(judged=Judged("board", ("skill", "secure")))),
    "an earlier version with fewer numbers": small_policy(supersedes="1.9.9"),
    "kinds of incident, none of which is listed": replace(
        duties(start=Start("incident", ("theft",))), refresh=refresh(events=("leak",))
    ),
    "a window of four weeks to a month": duties(not_before=Clock(Duration(0, 28 * 86400))),
    "a window in business days": duties(not_before=Clock(None, 90)),
    "an independent role": small_policy(independent="says"),
    "a propensity below a level without takeover potential": requirements(
        measured("lies"), measures=named(measure(), PROPENSITY), cell=("harmless",)
    ),
}


@pytest.mark.parametrize("sentence", ALLOWED)
def test_what_is_allowed_is_no_mistake(sentence):
    assert problems(ALLOWED[sentence]) == []


def test_an_expression_that_is_too_deep_is_told_once():
    expr = AT_HALF
    for _ in range(40):
        expr = AtLeast(1, (expr,))
    (problem,) = [it for it in problems(expression(expr)) if "nesting" in it.message]
    assert problem.path == ("thresholds", "high", "reached_when", *("all_of", 0) * 32)


# -- parts of which some could not be read -----------------------------------------------------------------------------


def unread(policy, section, name):
    """All parts of a policy, without one that could not be read."""
    parts = parts_of(policy)
    return replace(parts, **{section: {key: own for key, own in getattr(parts, section).items() if key != name}})


def without(parts, *sections):
    """The parts, of which whole sections could not be read."""
    names = {section: known for section, known in parts.names.items() if section not in sections}
    return replace(parts, names=names, **{section: {} for section in sections if hasattr(parts, section)})


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("roles", "runs"),
        ("measures", "skill"),
        ("measures", "both"),
        ("measures", "growth"),
        ("assumptions", "swapped"),
        ("thresholds", "high"),
        ("thresholds", "judged"),
        ("thresholds", "screen"),
        ("requirements", "secure"),
        ("requirements", "case"),
        ("requirements", "ruled"),
        ("exceptions", "interim"),
        ("actions", "deploy-testers"),
        ("duties", "incident"),
    ],
)
def test_one_part_that_cannot_be_read_is_no_other_mistake(section, name):
    assert list(check(unread(full_policy(), section, name))) == []


@pytest.mark.parametrize("section", [*parts_of(full_policy()).names])
def test_a_section_that_cannot_be_read_is_no_other_mistake(section):
    assert list(check(without(parts_of(full_policy()), section))) == []


def test_nothing_that_can_be_read_is_no_other_mistake():
    parts = without(parts_of(full_policy()), *parts_of(full_policy()).names)
    left = replace(
        parts, scope=None, refresh=None, permits=None, amendments=None, context=Context({}, {}, {}, {}, {}, {})
    )
    assert list(check(replace(left, independent="", effective=None, version="", listed={}))) == []


def test_a_gate_of_which_a_cell_cannot_be_read_may_gate():
    weak = {"high": Cell((), (("intends", "secure"),))}
    parts = parts_of(small_policy(gates=gates({"high": CELL}, scale=weak)))
    assert [problem.path for problem in check(parts)] == [("gates", "scale")]
    listed = {**parts.listed, "scale": frozenset({"high", "unread"})}
    assert list(check(replace(parts, listed=listed))) == []


def test_a_name_is_looked_up_where_its_section_could_be_read():
    path = ("x", "by")
    assert list(refers({}, "roles", "bord", path)) == []
    (problem,) = refers({"roles": frozenset({"board"})}, "roles", "bord", path, at_key=True)
    assert (problem.path, problem.at_key) == (path, True)
    assert problem.message == "role `bord` is not defined; did you mean `board`?"


def test_an_actor_may_be_left_out():
    actors = named(Actor("novice", "basic"))
    assert problems(small_policy(context=Context({}, actors, {}, {}, {}, {}))) == []


def test_few_names_that_stand_in_one_another_very_often_are_refused() -> None:
    policy = small_policy()
    first = next(iter(policy.thresholds.values()))
    chain = {first.name: first}
    for place in range(14):
        below = f"level-{place - 1}" if place else first.name
        twice = AtLeast(2, (Ref(below), Ref(below)))
        chain[f"level-{place}"] = replace(first, name=f"level-{place}", reached_when=twice, rule_out=None, role="watch")
    told = [problem.message for problem in check(parts_of(replace(policy, thresholds=chain)))]
    assert any("10000 parts" in message for message in told)
