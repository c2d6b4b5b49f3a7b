"""A `rule_out` says nothing that is then ignored: what a threshold cannot use is refused, however it gets there."""

from dataclasses import replace
from fractions import Fraction

import pytest

from interlock.errors import EvidenceError, PolicyError
from interlock.evaluate.due import runners
from interlock.policy import (
    NO_CONFIDENCE,
    Amount,
    At,
    AtLeast,
    Demand,
    Judged,
    Ref,
    Threshold,
    UnderQuantity,
    UnderReference,
    UnderScreen,
    from_json,
    to_json,
)
from interlock.policy._structure.check import check, parts_of
from interlock.policy.lint import lint
from interlock.policy.load import loads
from policy.samples import ASSUMPTIONS, MONTH, buffer, gates, named, refresh, rule, small_policy, threshold
from policy.test_check_parts import CELL

HALF = Fraction(1, 2)
NOTHING = rule(
    confidence=NO_CONFIDENCE, elicitation=(), coverage=Fraction(1), run_by="", buffer=buffer(margin=Fraction(0))
)
JUDGED = Threshold("t", None, None, Judged("says", ("skill", "secure")))
OVER = Threshold("t", AtLeast(1, (Ref("high"), Amount("training_compute", Fraction(9)))), None)

#: What may be written in a rule, each once: field -> a value that asks for something.
ASKED = {
    "confidence": Fraction(99, 100),
    "elicitation": (Demand("prompted"),),
    "buffer": buffer(),
    "coverage": HALF,
    "run_by": "runs",
    "assumes": ("no-evaluation-gaming",),
    "refresh": refresh(period=MONTH),
}
SCREEN = (UnderScreen("high"),)
USES = {
    "over other thresholds": (OVER, {"confidence"}),
    "judged": (JUDGED, {"coverage", "refresh"}),
    "judged on a line over others": (replace(JUDGED, reached_when=Ref("high")), {"coverage", "refresh"}),
    "judged, with a screen": (replace(JUDGED, below_if=SCREEN), {"confidence", "coverage", "refresh"}),
    "an amount, with a screen": (
        replace(OVER, reached_when=Amount("training_compute", HALF), below_if=SCREEN),
        {"confidence"},
    ),
    "an amount": (replace(OVER, reached_when=Amount("training_compute", HALF)), set()),
    "an amount, under another": (
        replace(
            OVER,
            reached_when=Amount("training_compute", HALF),
            below_if=(UnderQuantity("effective_compute", Fraction(9)),),
        ),
        set(),
    ),
    "judged, with a line": (replace(JUDGED, reached_when=At("skill", HALF)), set(ASKED)),
    "over others, with a reference": (
        replace(OVER, below_if=(UnderReference("base", ("skill",), Fraction(0)),)),
        set(ASKED),
    ),
}


def policy(it):
    return small_policy(
        thresholds=named(threshold("high"), it), gates=gates({"t": CELL, "high": CELL}), assumptions=ASSUMPTIONS
    )


def refused(it):
    return {problem.path[3:]: problem.message for problem in check(parts_of(policy(it)))}


@pytest.mark.parametrize("sentence", USES)
def test_a_threshold_asks_for_what_it_uses_and_for_nothing_else(sentence):
    bare, uses = USES[sentence]
    assert bare.uses == uses
    if uses == set(ASKED):
        assert refused(replace(bare, rule_out=rule())) == {}
        return
    for field, value in ASKED.items():
        found = refused(replace(bare, rule_out=replace(NOTHING, **{field: value})))
        if field in uses:
            assert found == {}, field
        elif uses:
            (message,) = found.values()
            assert f"got `{field}`; threshold `t` measures nothing itself" in message
            assert all(f"`{use}`" in message for use in uses)
        else:
            assert found == {(): "threshold `t` has no measure to rule out; expected no `rule_out`"}


def test_a_rule_for_part_of_a_threshold_compiles_and_comes_back():
    made = policy(replace(OVER, rule_out=replace(NOTHING, confidence=Fraction(99, 100))))
    assert from_json(to_json(made)) == made
    judged = policy(replace(JUDGED, rule_out=replace(NOTHING, coverage=HALF)))
    assert from_json(to_json(judged)) == judged


@pytest.mark.parametrize(("field", "value"), [("confidence", "0.5"), ("run_by", ""), ("elicitation", [])])
def test_a_compiled_rule_that_asks_for_nothing_does_not_rule_a_measure_out(field, value):
    compiled = to_json(policy(replace(OVER, rule_out=replace(NOTHING, confidence=Fraction(99, 100)))))
    compiled["thresholds"]["high"]["rule_out"][field] = value
    with pytest.raises(EvidenceError, match=rf"thresholds.high.rule_out.{field}: expected"):
        from_json(compiled)


# -- as written --------------------------------------------------------------------------------------------------------

LIKE = "{like: codebook-use, elicitation: [few-shot, fine-tuned, rl-fine-tuned]}"
ALIKE = f"reached_when: codebook >= 0.10\n    rule_out: {LIKE}"


def written(text, folder, entry):
    """The example, in which `codebook-use-open` is another."""
    assert ALIKE in text
    return loads(text.replace(ALIKE, entry), name="lab.yaml", folder=folder)


def told(text, folder, entry):
    with pytest.raises(PolicyError) as caught:
        written(text, folder, entry)
    return caught.value.problems


IGNORED = {
    "likeness to a rule for measures": ("{like: codebook-use}", ["`like`"]),
    "a demand": (
        "{confidence: 0.99, elicitation: [fine-tuned], demonstrations: 3}",
        ["`elicitation`", "`demonstrations`"],
    ),
    "who runs it": ("{run_by: board}", ["`run_by`"]),
    "a reach": ("{confidence: 0.99, refresh: {effective_compute: 2x, period: 1 month}}", ["`refresh`"]),
    "room": ("{buffer: {none: x}, coverage: 0.9}", ["`buffer`", "`coverage`"]),
    "an assumption": ("{assumes: [no-evaluation-gaming]}", ["`assumes`"]),
}


@pytest.mark.parametrize("sentence", IGNORED)
def test_a_threshold_over_thresholds_that_asks_for_more_is_refused(sentence, text, folder):
    rule_out, fields = IGNORED[sentence]
    found = told(text, folder, f"reached_when: codebook-use\n    rule_out: {rule_out}")
    assert len(found) == len(fields)
    for line, field in zip(found, fields, strict=True):
        assert f"expected `confidence` at the most, got {field}; threshold `codebook-use-open` measures nothing" in line


def test_a_threshold_over_thresholds_may_ask_for_confidence(text, folder):
    policy = written(text, folder, "reached_when: codebook-use\n    rule_out: {confidence: 0.99}")
    rule_out = policy.thresholds["codebook-use-open"].rule_out
    assert (rule_out.confidence, rule_out.elicitation, rule_out.refresh) == (Fraction(99, 100), (), policy.refresh)
    assert rule_out.buffer.multiple == policy.refresh.multiple, "a rule that asks for confidence bounds no permit"


def test_a_judged_threshold_may_say_what_it_rests_on(text, folder):
    policy = written(
        text,
        folder,
        "judged_by: board\n    on: [codebook]\n"
        "    rule_out: {coverage: 0.9, refresh: {effective_compute: 2x, period: 1 month}}",
    )
    rule_out = policy.thresholds["codebook-use-open"].rule_out
    assert (rule_out.coverage, rule_out.refresh.period, rule_out.confidence) == (Fraction(9, 10), MONTH, NO_CONFIDENCE)
    assert rule_out.buffer.multiple == 2


def test_a_judged_threshold_that_demands_elicitations_is_refused(text, folder):
    found = told(text, folder, "judged_by: board\n    on: [codebook]\n    rule_out: {like: codebook-use}")
    (line,) = found
    assert "lab.yaml:" in line
    assert "expected `coverage` and `refresh` at the most, got `like`" in line


def test_an_unknown_field_and_a_bad_value_are_told_there_too(text, folder):
    found = told(text, folder, "reached_when: codebook-use\n    rule_out: {confidenc: 0.99}")
    assert "unknown field `confidenc`; did you mean `confidence`?" in found[0]
    assert "expected a confidence" in told(text, folder, "reached_when: codebook-use\n    rule_out: {confidence: 2}")[0]
    assert "expected a mapping, got `x`" in told(text, folder, "reached_when: codebook-use\n    rule_out: x")[0]


def test_a_rule_by_which_nothing_is_decided_is_refused(text, folder):
    (line,) = told(text, folder, "reached_when: training_compute >= 1e26\n    rule_out: {confidence: 0.99}")
    assert "threshold `codebook-use-open` has no measure to rule out; expected no `rule_out`" in line


def test_a_rule_that_is_like_one_without_demands_is_refused(text, folder):
    entry = "reached_when: codebook-use\n    rule_out: {confidence: 0.99}"
    with pytest.raises(PolicyError) as caught:
        written(text.replace("rule_out: {like: codebook-use}", "rule_out: {like: codebook-use-open}"), folder, entry)
    (line,) = caught.value.problems
    assert "expected a threshold with a `rule_out` for a measure of its own, got `codebook-use-open`" in line


def test_what_is_like_what_is_like_one_without_demands_is_told_once(text, folder):
    entry = "reached_when: codebook-use\n    rule_out: {confidence: 0.99}"
    chained = text.replace("rule_out: {like: codebook-use}", "rule_out: {like: middle}").replace(
        "  takeover:\n",
        "  middle: {role: watch, reached_when: codebook >= 0.3, rule_out: {like: codebook-use-open}}\n  takeover:\n",
    )
    with pytest.raises(PolicyError) as caught:
        written(chained, folder, entry)
    (line,) = caught.value.problems
    assert "got `codebook-use-open`" in line


def test_a_measured_requirement_takes_over_what_the_thresholds_around_it_use(text, folder):
    entry = "reached_when: codebook-use\n    rule_out: {confidence: 0.99}"
    cell = text.replace("codebook-use-open: [never]", "codebook-use-open: [shown]").replace(
        "[security-3, misuse-3], takeover", "[security-3, misuse-3, shown], takeover"
    )
    shown = cell.replace("requirements:\n", "requirements:\n  shown: {measured: codebook <= 0.9}\n")
    rule_out = written(shown, folder, entry).requirements["shown"].rule_out
    assert rule_out.confidence == Fraction(99, 100), "the strictest confidence"
    assert (rule_out.coverage, rule_out.run_by) == (Fraction(49, 50), "evaluation-team"), "nobody else says one"


def test_a_measured_requirement_around_which_nobody_says_who_runs_it_must_say_it(text, folder):
    entry = "reached_when: codebook-use\n    rule_out: {confidence: 0.99}"
    cell = text.replace("codebook-use-open: [never]", "codebook-use-open: [shown]")
    shown = cell.replace("requirements:\n", "requirements:\n  shown: {measured: codebook <= 0.9}\n")
    assert [line.split("; ")[0].split(": ", 1)[1] for line in told(shown, folder, entry)] == [
        "expected field `coverage`, got nothing",
        "expected field `elicitation`, got nothing",
        "expected field `run_by`, got nothing",
    ]


def test_a_rule_without_demands_names_nobody_who_runs_evaluations():
    judged = policy(replace(JUDGED, rule_out=replace(NOTHING, coverage=HALF)))
    assert runners(judged) == ("runs",)
    assert {it.check for it in lint(judged)}.isdisjoint({"low-confidence", "no-buffer", "buffer-not-above-refresh"})
