"""The duties that start with a decision (rule 44)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from decide.cases import (
    AT,
    BOARD,
    DAY,
    EFFECTIVE,
    HOUR,
    MODEL,
    PLANNED,
    REFERENCE,
    STATED,
    TEAM,
    amended,
    ask,
    attested,
    incident,
    known,
    line,
    named,
    runs,
    simple,
)
from interlock.decide.decision import to_json
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import At
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
    for moment, since in (("event", STATED), ("awareness", STATED.replace(day=5))):
        ((_, _, begun),) = started(told, with_duty(duty("incident", "theft", moment=moment)))
        assert begun == since
    assert started(told, with_duty(duty("incident", "theft", moment="discovery"))) == []
    assert started(told, with_duty(duty("incident", "leak"))) == []


def test_an_exception_that_is_opened_for_all_or_for_the_subject_starts_a_duty():
    opened = [amended("way"), amended("way", subject=MODEL, at=STATED + DAY), amended("way", subject=REFERENCE)]
    told = known(runs(), amendments=[*opened, amended("other")])
    begun = [("do", "way", STATED), ("do", "way", STATED + DAY)]
    assert started(told, with_duty(duty("exception", "way"))) == begun


def test_an_alert_starts_a_duty_and_gates_nothing():
    alert = line("early", At("a", Fraction("0.10")), role="alert", alert_for="t")
    under = simple(line("t", At("a", Fraction("0.50"))), alert, gated=["t"], duties=named(duty("alert", "early")))
    assert ask(known(runs(correct=25)), under).verdict == "permit"
    assert started(known(runs(correct=25)), under) == [("do", "early", None)]
    assert started(known(runs(correct=5)), under) == []


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


def test_a_duty_is_due_when_its_clock_ends():
    """Counted from its start or, where that is the decision, from the time asked about."""
    working = Clock(business_days=1, zone="Europe/Brussels", holidays=(date(2026, 6, 3),))
    for one, within, due in (
        (duty("effective"), SOON, EFFECTIVE + HOUR),
        (duty("hold"), SOON, AT + DAY + HOUR),
        (duty("hold"), working, datetime(2026, 6, 4, 21, 59, 59, tzinfo=UTC)),
        (duty("hold"), None, None),
    ):
        under = with_duty(replace(one, within=within))
        decision = ask(replace(OPEN, checkpoint=replace(OPEN.checkpoint, time=AT + DAY)), under, at=AT + DAY)
        (begun,) = decision.rulings[0].started
        assert begun.due(decision.at) == due
        told = to_json(decision)["rulings"][0]["duties"][0]["due"]
        assert told == (due.strftime("%Y-%m-%dT%H:%M:%SZ") if due else None)


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
