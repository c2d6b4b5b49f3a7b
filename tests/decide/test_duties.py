"""The duties that start with a decision (rule 44)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    BOARD,
    DAY,
    EFFECTIVE,
    MODEL,
    MONTH,
    PLANNED,
    QUARTER,
    REFERENCE,
    SECOND,
    STATED,
    TEAM,
    WEEK,
    amended,
    ask,
    attested,
    digest,
    incident,
    known,
    line,
    named,
    runs,
    simple,
    since,
)
from interlock.decide.decision import to_json
from interlock.decide.exchange import Question, question_from_json, question_to_json
from interlock.decide.facts import Lapse
from interlock.decide.rule import Decider
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import At, Cell
from interlock.policy.time import Duration

SOON = Clock(Duration(0, 3600))


def duty(on, *of, **changes):
    """A duty of the team that starts with something."""
    return Duty("do", "do it", TEAM, Start(on, of, **changes), SOON)


def started(told, under, **question):
    """What starts: (duty, about, since)."""
    (ruling,) = ask(told, under, **question).rulings
    return [(it.duty, it.about, it.since) for it in ruling.started]


def with_duty(one, *lines):
    return simple(*lines, duties=named(one))


GOOD, OPEN, BAD, NOTHING = known(runs()), known(runs(correct=15)), known(runs(correct=100)), known()
STARTS = {  # sentence: (duty, ledger, what starts)
    "the policy takes effect": (duty("effective"), GOOD, [("policy", EFFECTIVE)]),
    "a hold": (duty("hold", "scale"), OPEN, [("scale", None)]),
    "a hold of another action": (duty("hold", "deploy-api"), OPEN, []),
    "a hold, where it permits": (duty("hold", "scale"), GOOD, []),
    "a permit": (duty("permit", "scale"), GOOD, [("scale", None)]),
    "a permit, where it holds": (duty("permit", "scale"), OPEN, []),
    "it is reached": (duty("reached", "t"), BAD, [("t", PLANNED.replace(day=2))]),
    "it is not reached": (duty("reached", "t"), OPEN, []),
    "another one is reached": (duty("reached", "u"), BAD, []),
    "it is not ruled out": (duty("not-ruled-out", "t"), OPEN, [("t", None)]),
    "it is ruled out": (duty("not-ruled-out", "t"), GOOD, []),
    "it is overdue": (duty("overdue", "t"), NOTHING, [("t", None)]),
    "it is not overdue": (duty("overdue", "t"), OPEN, []),
}


@pytest.mark.parametrize("sentence", STARTS)
def test_what_starts_a_duty(sentence):
    one, told, expected = STARTS[sentence]
    assert started(told, with_duty(one)) == [("do", *it) for it in expected]


MOMENTS = {"event": STATED, "awareness": STATED.replace(day=5)}


def test_an_incident_starts_a_duty_from_the_moment_that_it_names():
    told = known(runs(), incidents=[incident("theft", moments=MOMENTS)])
    for moment, expected in (("event", STATED), ("awareness", STATED.replace(day=5))):
        ((_, _, begun),) = started(told, with_duty(duty("incident", "theft", moment=moment)))
        assert begun == expected
    assert started(told, with_duty(duty("incident", "theft", moment="discovery"))) == []
    assert started(told, with_duty(duty("incident", "leak"))) == []


def test_an_exception_that_is_opened_for_all_or_for_the_subject_starts_a_duty():
    opened = [amended("way"), amended("way", subject=MODEL, at=STATED + DAY), amended("way", subject=REFERENCE)]
    told = known(runs(), amendments=[*opened, amended("other")])
    begun = [("do", "way", STATED), ("do", "way", STATED + DAY)]
    assert started(told, with_duty(duty("exception", "way"))) == begun


EARLY = line("early", At("a", Fraction("0.10")), role="alert", alert_for="t")
WATCHED = line("early", At("a", Fraction("0.10")), role="watch")
LAST = PLANNED.replace(day=2)
LINES = {  # sentence: (the line, what starts the duty, ledger, what starts)
    "an alert that is reached": (EARLY, "alert", runs(correct=40), [("do", "early", LAST)]),
    "an alert that is not ruled out": (EARLY, "alert", runs(correct=15), [("do", "early", None)]),
    "an alert that nobody evaluated": (EARLY, "alert", None, [("do", "early", None)]),
    "an alert that is shown to be clear": (EARLY, "alert", runs(), []),
    "a watch is no alert": (WATCHED, "alert", runs(correct=40), []),
    "an alert line, as a threshold that is reached": (EARLY, "reached", runs(correct=40), [("do", "early", LAST)]),
    "a watch that is reached": (WATCHED, "reached", runs(correct=40), [("do", "early", LAST)]),
    "a watch that is not": (WATCHED, "reached", runs(correct=15), []),
    "a watch that is not ruled out": (WATCHED, "not-ruled-out", runs(correct=15), [("do", "early", None)]),
    "a watch that is overdue": (WATCHED, "overdue", None, [("do", "early", None)]),
}


@pytest.mark.parametrize("sentence", LINES)
def test_a_line_at_no_gate_starts_a_duty_and_gates_nothing(sentence):
    early, on, run, expected = LINES[sentence]
    gated = line("t", At("b", Fraction("0.50")))
    told = known(runs("b"), *([run] if run else []))
    under = simple(gated, early, gated=["t"], duties=named(duty(on, "early")))
    assert ask(told, under).verdict == "permit"
    assert started(told, under) == expected


def test_a_threshold_that_gates_elsewhere_starts_nothing_here():
    under = with_duty(duty("reached", "u"), line("t", At("b", Fraction("0.50"))), line("u"))
    under = replace(under, gates={**under.gates, "deploy-api": {"u": under.gates["scale"]["t"]}})
    assert started(known(runs(correct=100)), under) == []
    assert started(known(runs(correct=100)), under, action="deploy-api") == [("do", "u", LAST)]


def test_a_threshold_whose_only_cell_does_not_gate_stands_at_no_gate():
    under = with_duty(duty("reached", "u"), line("t", At("b", Fraction("0.50"))), line("u"))
    under = replace(under, gates={**under.gates, "deploy-api": {"u": Cell(())}})
    assert started(known(runs(correct=100)), under) == [("do", "u", LAST)]


def test_an_overdue_threshold_that_is_reached_is_overdue_from_now():
    told = known(runs(correct=100, planned=False))
    under = with_duty(duty("overdue", "t"))
    assert started(told, under) == [("do", "t", None)]


RESPONSES = {  # sentence: (what it answers, when, ledger, does it?)
    "the action, on a hold": ("scale", (), OPEN, True),
    "the action, on a permit": ("scale", (), GOOD, False),
    "the threshold, on a hold": ("t", (), OPEN, True),
    "the threshold, on a permit": ("t", (), GOOD, False),
    "the threshold, in that state": ("t", ("not ruled out",), OPEN, True),
    "the threshold, in another state": ("t", ("reached",), OPEN, False),
    "the threshold, overdue": ("t", ("overdue",), NOTHING, True),
    "the threshold, with a requirement unmet": ("t", ("unmet:audit",), OPEN, True),
    "the threshold, with another unmet": ("t", ("unmet:other",), OPEN, False),
    "the requirement, unmet": ("audit", (), OPEN, True),
    "the requirement, where the threshold is below": ("audit", (), GOOD, False),
}


@pytest.mark.parametrize("sentence", RESPONSES)
def test_what_answers_a_hold(sentence):
    key, when, told, answers = RESPONSES[sentence]
    under = simple(on_hold={key: (Response("pause-training", when, (BOARD,)),)})
    assert bool(started(told, under)) == answers


def test_an_answer_to_something_reached_runs_from_the_result_that_showed_it():
    under = simple(on_hold={"t": (Response("pause-training"),)})
    assert [since for *_, since in started(BAD, under)] == [PLANNED.replace(day=2)]
    assert [since for *_, since in started(OPEN, under)] == [None]


def due(told, under, **question):
    """When each duty is due, as JSON: (first, previous, next, final)."""
    (ruling,) = to_json(ask(told, under, **question))["rulings"]
    fields = ("first_due", "previous_due", "next_due", "final_due")
    return [tuple(it[field] and it[field][:16] for field in fields) for it in ruling["duties"]]


def test_a_duty_is_due_when_its_clock_ends():
    """Counted from its start or, where that is the decision, from the time asked about."""
    working = Clock(business_days=1, zone="Europe/Brussels", holidays=(date(2026, 6, 3),))
    told = replace(OPEN, checkpoint=replace(OPEN.checkpoint, time=AT + DAY))
    for one, within, expected in (
        (duty("effective"), SOON, ("2026-01-01T01:00", "2026-01-01T01:00", None, "2026-01-01T01:00")),
        (duty("hold"), SOON, ("2026-06-02T01:00", None, "2026-06-02T01:00", "2026-06-02T01:00")),
        (duty("hold"), working, ("2026-06-04T21:59", None, "2026-06-04T21:59", "2026-06-04T21:59")),
        (duty("hold"), None, (None, None, None, None)),
    ):
        assert due(told, with_duty(replace(one, within=within)), at=AT + DAY) == [expected]


def test_an_answer_to_a_hold_is_due_within_its_time():
    under = simple(on_hold={"scale": (Response("pause-training", within=SOON),)})
    assert due(OPEN, under) == [("2026-06-01T01:00", None, "2026-06-01T01:00", "2026-06-01T01:00")]


def test_a_duty_that_repeats_says_when_it_was_due_last_and_is_due_next():
    one = replace(duty("effective"), within=Clock(QUARTER), repeat=Clock(QUARTER), not_before=Clock(Duration(2, 0)))
    expected = ("2026-04-01T00:00", "2026-04-01T00:00", "2026-07-01T00:00", None)
    assert due(GOOD, with_duty(one)) == [expected]
    (ruling,) = to_json(ask(GOOD, with_duty(one)))["rulings"]
    assert ruling["duties"][0]["opens"] == "2026-06-01T00:00:00Z"


REPORTED = replace(duty("incident", "theft"), repeat=Clock(WEEK), until_resolved=True, after_resolved=Clock(MONTH))
RESOLUTIONS = {  # sentence: (resolved, when it is due)
    "not resolved": (None, ("2026-05-02T01:00", "2026-05-30T01:00", "2026-06-06T01:00", None)),
    "resolved": (
        STATED.replace(day=20), ("2026-05-02T01:00", "2026-05-16T01:00", "2026-06-20T00:00", "2026-06-20T00:00"),
    ),
    "resolved at the checkpoint": (
        AT, ("2026-05-02T01:00", "2026-05-30T01:00", "2026-07-01T00:00", "2026-07-01T00:00"),
    ),
    "said to be resolved later than the ledger's own time": (
        AT + SECOND, ("2026-05-02T01:00", "2026-05-30T01:00", "2026-06-06T01:00", None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", RESOLUTIONS)
def test_an_incident_is_reported_on_until_it_is_resolved_and_a_last_time(sentence):
    resolved, expected = RESOLUTIONS[sentence]
    told = known(runs(), incidents=[incident("theft", resolved=resolved)])
    assert due(told, with_duty(REPORTED)) == [expected]


def test_times_are_told_as_of_the_time_asked_about():
    """Also where the rest of the answer is kept."""
    one = replace(duty("effective"), repeat=Clock(Duration(0, 60)))
    decider = Decider([since(with_duty(one))], GOOD)
    for later in (timedelta(0), timedelta(seconds=90)):
        decision = decider.decide(subject=MODEL, action="scale", at=AT + later)
        (begun,) = decision.rulings[0].started
        times = begun.dues(decision.at)
        assert times.previous is not None
        assert times.previous <= decision.at < times.next <= decision.at + timedelta(seconds=60)


def test_duties_change_no_verdict_and_are_told_in_the_json():
    told = known(runs(correct=100), attestations=[attested("audit")])
    plain = simple()
    busy = replace(plain, duties=named(duty("reached", "t")), on_hold={"t": (Response("recall"),)})
    assert ask(told, busy).verdict == ask(told, plain).verdict == "permit"
    (ruling,) = to_json(ask(told, busy))["rulings"]
    assert [it["duty"] for it in ruling["duties"]] == ["do"]
    (ruling,) = to_json(ask(OPEN, replace(busy, duties=named(duty("hold", "scale")))))["rulings"]
    assert [it["since"] for it in ruling["duties"]] == [AT.strftime("%Y-%m-%dT%H:%M:%SZ")] * 2


def test_what_does_not_govern_starts_nothing():
    under = replace(with_duty(duty("hold", "scale")), gates={}, not_governed={"scale": "section 1"})
    assert started(OPEN, under) == []


# -- what was not done in time (rule 50) -------------------------------------------------------------------------------

LAPSE = Lapse(7, digest("lapse"), digest("duty"), "do", "do it", PLANNED, STATED)


@pytest.mark.parametrize("told", [GOOD, OPEN, BAD, NOTHING])
def test_non_compliance_is_shown_in_every_decision_and_changes_nothing_else(told):
    for action in ("scale", "deploy-api", "release-weights"):
        without, late = (to_json(ask(it, with_duty(duty("hold")), action=action)) for it in (told, lapsed(told)))
        shown = late.pop("non_compliance")
        assert without.pop("non_compliance") == []
        assert (late, [it["done"] for it in shown]) == (without, [None, 9])
        due = "2026-05-01T00:00:00Z"
        assert shown[0] == {"entry": 7, "of": LAPSE.of, "duty": "do", "what": "do it", "due": due, "done": None}


def lapsed(told):
    return replace(told, lapses=(LAPSE, replace(LAPSE, done=9)))


def test_non_compliance_is_no_part_of_a_question_to_other_implementations():
    question = Question((), lapsed(GOOD), MODEL, "scale", AT)
    assert question_from_json(question_to_json(question)).facts == GOOD
