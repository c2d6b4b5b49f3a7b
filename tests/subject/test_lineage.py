"""Compute along a lineage: never below a parent's, and never better for having several."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.decide.facts import Step, Subject
from interlock.subject import lineage
from interlock.subject.lineage import Charge, Made, Saved

_FLOP = st.integers(1, 10**30)


def _parent(training=100, low=80, high=120, name="base"):
    return Subject("0" * 64, name, training, low, high, ())


@st.composite
def _made(draw):
    low = draw(_FLOP)
    parent = _parent(draw(_FLOP), low, low + draw(_FLOP))
    return Made(parent, draw(st.sampled_from(lineage.STEPS)), draw(_FLOP))


def test_one_parent_and_a_step_add_up():
    made = [Made(_parent(), "fine-tuned", 7)]
    assert lineage.training_compute(made) == 107
    assert lineage.effective_compute(made) == (87, 127)


def test_of_several_parents_the_low_end_is_the_best_and_the_high_end_all():
    made = [Made(_parent(), "merged", 7), Made(_parent(50, 90, 95), "merged", 1)]
    assert lineage.training_compute(made) == 107 + 51
    assert lineage.effective_compute(made) == (91, 127 + 96)


def test_a_run_without_weights_has_spent_nothing():
    made = [Made(_parent(), "continued", 100, has_weights=False)]
    assert lineage.training_compute(made) == 100
    assert lineage.effective_compute(made) == (100, 100)


def test_what_stopped_before_its_run_was_over_cannot_pass_for_the_whole():
    """Its evidence would reach as far as that of a model with all of the compute."""
    early = Made(_parent(100, 100, 100, "run"), "continued", 40, has_weights=False)
    problem = lineage.below_parent([early], training=40, low=40, high=40)
    assert problem == ("effective compute 40 to 40 is below that of its parent `run`, expected 100 to 100 FLOP or more")


@given(st.lists(_made(), min_size=1, max_size=4))
def test_what_is_derived_is_never_below_a_parent(made):
    low, high = lineage.effective_compute(made)
    assert 0 < low <= high
    assert lineage.below_parent(made, training=lineage.training_compute(made), low=low, high=high) is None


@given(st.lists(_made(), min_size=1, max_size=3), _made())
def test_another_parent_never_takes_compute_away(made, more):
    assert lineage.training_compute([*made, more]) > lineage.training_compute(made)
    assert lineage.effective_compute([*made, more]) >= lineage.effective_compute(made)
    assert lineage.effective_compute([*made, more])[1] > lineage.effective_compute(made)[1]


def _least_high(one):
    """What training that went on has spent, it has spent; another step may have added nothing."""
    return one.effective[1] if one.kind == "continued" and one.has_weights else one.parent.ec_high


@pytest.mark.parametrize(
    ("parent", "compute", "least"),
    [((10, 10, 10), 5, 15), ((10, 10, 30), 5, 45), ((10, 5, 5), 5, 10), ((3, 5, 10), 1, 14), ((0, 5, 5), 5, 10)],
    ids=["as trained", "at the parent's worth", "no less than itself", "rounded up", "from nothing"],
)
def test_training_that_continued_has_spent_its_compute(parent, compute, least):
    training, low, high = parent
    one = Made(_parent(training, low, high), "continued", compute)
    assert lineage.effective_compute([one])[1] == least
    sound = {"training": one.training, "low": max(low, 1)}
    assert lineage.below_parent([one], **sound, high=least) is None
    problem = lineage.below_parent([one], **sound, high=least - 1)
    assert problem == (
        f"effective compute may be {least - 1} at the most, after {compute} FLOP of training that continued `base`, "
        f"expected {least} FLOP or more"
    )
    assert lineage.below_parent([replace(one, kind="edited")], **sound, high=max(high, low)) is None


@pytest.mark.parametrize(
    ("training", "high", "flop", "effective"),
    [
        (10**23, 2 * 10**24, 10**23, 4 * 10**24),  # of docs/formats.md
        (10**23, 2 * 10**24, 2 * 10**24, 42 * 10**24),
        (3, 10, 1, 14),
        (3, 10, 3, 20),
        (3, 2, 5, 7),
        (0, 5, 5, 10),
    ],
    ids=["20 times", "as much as it is worth", "rounded up", "rounded once", "no less than itself", "from nothing"],
)
def test_what_a_run_is_charged_is_what_its_continuation_comes_to(training, high, flop, effective):
    made = Made(_parent(training, 1, high), "continued", flop)
    assert made.effective[1] == effective
    assert Charge(high, made.worth).effective(flop) == effective
    assert Charge(high + 7, made.worth).effective(flop) == effective + 7  # a permit that starts higher


@given(_FLOP, st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_charge_is_that_of_a_continued_step_to_the_last_flop(low, more, training, flop):
    made = Made(_parent(training, low, low + more), "continued", flop)
    charge = Charge(made.parent.ec_high, made.worth)
    worth = Fraction(max(low + more, training), training) if training else 1
    assert made.effective == (low + flop, charge.effective(flop))
    assert 0 <= charge.effective(flop) - made.parent.ec_high - flop * worth < 1
    assert charge.effective(flop + 1) > charge.effective(flop) >= made.parent.ec_high + flop


@given(_FLOP, _FLOP, st.integers(0, 10**30), st.integers(-(10**32), 10**32))
def test_so_much_effective_compute_is_so_many_flop(start, training, flop, asked):
    charge = Charge(start, Fraction(max(start, training), training))
    assert charge.most(charge.effective(flop)) == charge.least(charge.effective(flop)) == flop
    assert charge.effective(charge.most(asked)) <= asked < charge.effective(charge.most(asked) + 1)
    assert charge.effective(charge.least(asked) - 1) < asked <= charge.effective(charge.least(asked))


@given(_FLOP, st.integers(0, 10**30), _FLOP, _FLOP, _FLOP)
def test_a_subject_registered_on_the_way_makes_what_was_spent_no_less(low, more, training, first, second):
    parent = _parent(training, low, low + more)
    whole, half = (Made(parent, "continued", flop) for flop in (first + second, first))
    on_the_way = _parent(half.training, *half.effective, "on the way")
    assert Made(on_the_way, "continued", second).effective[1] >= whole.effective[1]


@pytest.mark.parametrize("kind", lineage.STEPS)
def test_a_flop_of_another_step_is_worth_one(kind):
    parent = _parent(100, 80, 120)
    assert Made(parent, kind, 7).worth == (Fraction(6, 5) if kind == "continued" else 1)
    assert Made(parent, kind, 7, has_weights=False).worth == 1


@given(st.lists(_made(), min_size=1, max_size=3), st.data())
def test_less_than_any_parent_is_refused_and_says_what_was_expected(made, data):
    low, high = max(one.parent.ec_low for one in made), max(_least_high(one) for one in made)
    training = max(one.training for one in made)
    assert lineage.below_parent(made, training=training, low=low, high=high) is None
    which = data.draw(st.sampled_from(["low", "high", "training"]))
    least = {"low": low, "high": high, "training": training}
    problem = lineage.below_parent(made, **{**least, which: least[which] - 1})
    assert problem is not None
    assert str(least[which] - 1) in problem
    assert str(least[which]) in problem


@pytest.mark.parametrize("kind", lineage.STEPS)
def test_a_run_from_scratch_is_continued_and_nothing_else(kind):
    of_weights, of_none = (Made(_parent(name="run"), kind, 7, has_weights=it) for it in (True, False))
    assert lineage.only_continued([of_weights]) is None
    problem = f"`{kind}` from `run`, a run that has no weights yet, expected `continued`"
    assert lineage.only_continued([of_weights, of_none]) == (None if kind == "continued" else problem)


def _saved(compute, entry=7, parent="0" * 64):
    made = Made(replace(_parent(), digest=parent), "continued", compute)
    return Saved(entry, made, 120 + compute)


@pytest.mark.parametrize(
    ("steps", "got"),
    [
        ([("continued", 50)], None),
        ([], "no step from that"),
        ([("continued", 49)], "`continued` for 49 FLOP"),
        ([("continued", 51)], "`continued` for 51 FLOP"),
        ([("fine-tuned", 50)], "`fine-tuned` for 50 FLOP"),
        ([("continued", 50), ("edited", 0)], "`continued` for 50 FLOP and `edited` for 0 FLOP"),
    ],
)
def test_what_a_snapshot_has_was_made_as_the_last_of_its_run_says(steps, got):
    """A shard that was frozen meanwhile was saved before."""
    subject = Subject("1" * 64, "next", 150, 150, 170, tuple(Step("0" * 64, *it) for it in steps))
    problem = lineage.otherwise_saved(subject, [_saved(50, 8), _saved(30)])
    said = "the snapshot of entry 8 has them, `continued` from `base` for 50 FLOP, got "
    asked = ", expected the same, or to be made from another subject that has them"
    assert problem == (got and said + got + asked)


def test_what_two_runs_saved_was_made_from_both():
    steps = (Step("0" * 64, "continued", 50), Step("2" * 64, "continued", 30))
    both = [_saved(50), _saved(30, 8, "2" * 64)]
    assert lineage.otherwise_saved(Subject("1" * 64, "next", 180, 150, 170, steps), both) is None
    problem = lineage.otherwise_saved(Subject("1" * 64, "next", 180, 150, 170, steps[:1]), both)
    assert problem is not None
    assert "entry 8" in problem


def test_effective_compute_that_ends_below_a_snapshots_is_refused():
    steps = (Step("0" * 64, "continued", 50),)
    problem = lineage.otherwise_saved(Subject("1" * 64, "next", 150, 150, 169, steps), [_saved(50)])
    assert problem == (
        "the snapshot of entry 7 has them and had spent more: effective compute may be 169 at the most, "
        "expected 170 FLOP or more"
    )
