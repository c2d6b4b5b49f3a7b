"""Attacks on the last gate: what a model is seen to do answers for a takeover, by every road that a policy has."""

from dataclasses import replace
from fractions import Fraction

import pytest

from interlock.policy import (
    Amount,
    At,
    AtLeast,
    Cell,
    Combined,
    ExceptionRule,
    Hole,
    Judged,
    Mean,
    Measured,
    Ref,
    RuledOut,
    Threshold,
    Unbounded,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy._structure.check import check, parts_of
from policy.samples import (
    ASSUMPTIONS,
    MONTH,
    NEVER,
    attested,
    buffer,
    gates,
    measure,
    named,
    rule,
    small_policy,
    stated,
    threshold,
)

HALF = Fraction(1, 2)
LYING = At("lies", HALF)
SHOWN = "for which no measure of a propensity shows anything; expected no "


def policy(*thresholds, requirements=(), cell=None, exceptions=()):
    """`takeover`, as it is given or at `skill` >= 0.5, at every gate; the other thresholds only watch."""
    others = [replace(it, role="watch") for it in thresholds if it.name != "takeover"]
    own = next((it for it in thresholds if it.name == "takeover"), threshold("takeover"))
    return small_policy(
        measures=named(
            measure(),
            measure("lies", "propensity"),
            measure("insight", "understanding"),
            Mean("both", {"skill": HALF, "lies": HALF}),
            Unbounded("diary", "propensity", "model", "lab/diary", 1, "entries"),
        ),
        assumptions=ASSUMPTIONS | named(stated("no-test-awareness")),
        thresholds=named(replace(own, takeover_potential=True), *others),
        requirements=named(attested(), *requirements, NEVER),
        exceptions=named(*exceptions),
        gates=gates({"takeover": cell or Cell(("secure",))}),
    )


def asking(*requirements, listed="honest", **more):
    return {"requirements": requirements, "cell": Cell(("secure", listed)), **more}


HONEST = RuledOut("honest", "liar")
LIAR = threshold("liar", LYING)

# sentence -> the policy, where it is refused, and what for
ATTACKS = {
    "a requirement rules a propensity out": (policy(LIAR, **asking(HONEST)), "gates.takeover.1", "honest"),
    "a requirement rules out what refers to a propensity": (
        policy(
            LIAR,
            threshold("liar-or-worse", AtLeast(1, (Ref("liar"), At("skill", HALF)))),
            **asking(RuledOut("honest", "liar-or-worse")),
        ),
        "gates.takeover.1",
        "honest",
    ),
    "a requirement rules out a mean with a propensity in it": (
        policy(threshold("liar", At("both", HALF)), **asking(HONEST)),
        "gates.takeover.1",
        "honest",
    ),
    "a requirement rules out what a screen of a propensity rules out": (
        policy(LIAR, threshold("screened", below_if=(UnderScreen("liar"),)), **asking(RuledOut("honest", "screened"))),
        "gates.takeover.1",
        "honest",
    ),
    "a requirement rules out what is judged on a propensity": (
        policy(Threshold("judged", None, None, Judged("says", ("lies",))), **asking(RuledOut("honest", "judged"))),
        "gates.takeover.1",
        "honest",
    ),
    "a requirement rules out a level under one of a propensity": (
        policy(threshold("lower"), replace(LIAR, above=("lower",)), **asking(RuledOut("honest", "lower"))),
        "gates.takeover.1",
        "honest",
    ),
    "the ruling out stands in a combination": (
        policy(LIAR, **asking(HONEST, Combined("case", 1, ("honest", "secure")), listed="case")),
        "gates.takeover.1",
        "honest",
    ),
    "the ruling out stands in an exception": (
        policy(
            LIAR,
            requirements=(HONEST,),
            exceptions=(ExceptionRule("x", "interim", ("secure",), ("honest",), ("says",), MONTH),),
        ),
        "gates.takeover.0",
        "honest",
    ),
    "the ruling out is only recommended": (
        policy(LIAR, requirements=(HONEST,), cell=Cell(("secure",), (("recommends", "honest"),))),
        "gates.takeover.recommends.0",
        "honest",
    ),
    "a measured propensity is only intended": (
        policy(
            requirements=(Measured("honest", "lies", Fraction(1, 100), rule(buffer=buffer(margin=Fraction(0)))),),
            cell=Cell(("secure",), (("intends", "honest"),)),
        ),
        "gates.takeover.intends.0",
        "honest",
    ),
    "the takeover itself is a level of a propensity": (
        policy(threshold("takeover", LYING)),
        "thresholds.takeover.reached_when",
        "lies",
    ),
    "the takeover is a level of a mean with a propensity in it": (
        policy(threshold("takeover", At("both", HALF))),
        "thresholds.takeover.reached_when",
        "both",
    ),
    "the takeover refers to a level of a propensity": (
        policy(threshold("takeover", AtLeast(1, (At("skill", HALF), Ref("liar")))), LIAR),
        "thresholds.takeover.reached_when.any_of.1",
        "lies",
    ),
    "a propensity screens the takeover": (
        policy(
            threshold("takeover", below_if=(UnderQuantity("effective_compute", Fraction(10)), UnderScreen("liar"))),
            LIAR,
        ),
        "thresholds.takeover.below_if.1",
        "lies",
    ),
    "the takeover is compared by a propensity": (
        policy(threshold("takeover", below_if=(UnderReference("base", ("skill", "lies"), Fraction(0)),))),
        "thresholds.takeover.below_if.0.on.1",
        "lies",
    ),
    "the takeover is judged on a propensity": (
        policy(Threshold("takeover", None, None, Judged("says", ("secure", "lies")))),
        "thresholds.takeover.on.1",
        "lies",
    ),
    "the takeover is judged on a propensity without bounds": (
        policy(Threshold("takeover", None, None, Judged("says", ("diary",)))),
        "thresholds.takeover.on.0",
        "diary",
    ),
    "a level of a propensity stands above the takeover": (
        policy(replace(LIAR, above=("takeover",))),
        "thresholds.liar.above.0",
        "lies",
    ),
}


@pytest.mark.parametrize("sentence", ATTACKS)
def test_what_a_model_is_seen_to_do_does_not_answer_for_a_takeover(sentence):
    attacked, where, named_there = ATTACKS[sentence]
    found = [it for it in check(parts_of(attacked)) if "takeover potential" in it.message]
    kind = "requirement" if where.startswith("gates") else "evidence"
    assert {it.message for it in found} == {
        f"threshold `takeover` has takeover potential, {SHOWN}{kind} that rests on one, got `{named_there}`"
    }
    assert ".".join(map(str, found[0].path)).replace("gates.scale", "gates").startswith(where)


ADMITTED = {
    "understanding, in the cell": policy(
        requirements=(Measured("known", "insight", HALF, rule()),), cell=Cell(("secure", "known"))
    ),
    "understanding, as the line": policy(threshold("takeover", At("insight", HALF))),
    "a capability": policy(),
    "a quantity": policy(threshold("takeover", Amount("training_compute", Fraction(1)), rule_out=None)),
    "a hole": policy(requirements=(Hole("known", "what", "says", small_policy().effective),), cell=Cell(("known",))),
    "a propensity at another threshold": policy(LIAR),
}


@pytest.mark.parametrize("sentence", ADMITTED)
def test_what_is_understood_is_admitted(sentence):
    assert [it for it in check(parts_of(ADMITTED[sentence])) if "takeover potential" in it.message] == []


def test_a_propensity_in_the_cell_of_another_threshold_is_admitted():
    mixed = policy(replace(LIAR, role="gate"), requirements=(HONEST,))
    open_cell = replace(mixed, gates=gates({"takeover": Cell(("secure",)), "liar": Cell(("honest",))}))
    assert [it for it in check(parts_of(open_cell)) if "takeover potential" in it.message] == []
