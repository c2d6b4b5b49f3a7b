"""What runs, by the ledger alone: rules 47 to 50, and their laws."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decide.cases import (
    AT,
    BOARD,
    DAY,
    EFFECTIVE,
    GATEKEEPER,
    MODEL,
    MONTH,
    TEAM,
    amended,
    digest,
    incident,
    known,
    named,
    simple,
    since,
)
from interlock.duties.account import Begun, Decided, Done
from interlock.duties.running import running
from interlock.duties.starts import MOST
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.time import Duration

WEEK = 7 * DAY
ONE_DAY = Clock(Duration(0, 86400))
ANSWERS = (
    Response("notify", notify=(BOARD,), within=ONE_DAY),
    Response("notify", notify=(BOARD,), within=Clock(Duration(0, 3600)), when=("reached",)),
    Response("pause-training", within=Clock(Duration(0, 2 * 86400))),
    Response("lock-weights"),
)


def version(**changes):
    return since(simple(on_hold={"t": ANSWERS}, **changes))


VERSION = version(duties=named(Duty("write", "write it", BOARD, Start("reached", ("t",)), ONE_DAY, repeat=ONE_DAY)))
NOTHING = known()
NOTIFY, PAUSE = "on_hold.t.notify", "on_hold.t.pause-training"
TEXTS = {NOTIFY: f"notify: {BOARD}", PAUSE: "pause-training", "on_hold.t.lock-weights": "lock-weights"}
LIMITS = {NOTIFY: DAY, PAUSE: 2 * DAY}


def begun(name, at, *, limit=None, under=VERSION):
    limit = LIMITS.get(name, limit)
    return Begun(name, TEXTS.get(name, "write it"), "t", under.digest, at, at + limit if limit else None)


def decided(entry, at, *names, action="scale", subject=MODEL, deployment=None):
    made = tuple(begun(name, at, limit=DAY if name == "write" else None) for name in names)
    return Decided(entry, digest(f"decision {entry}"), subject, deployment, action, at, made)


def account(*decisions, done=(), at=AT, told=NOTHING, under=(VERSION,)):
    return running(under, told, decisions, done, at=at)


def states(found, name=""):
    return [it.state for it in found.duties if it.duty.endswith(name)]


def word(item, entry, at, *, by=(BOARD,), done=None, **changes):
    made = Done(entry, item.digest, item.duty, item.subject, done or at, frozenset(by), at)
    return replace(made, **changes)


# -- starting and ending -----------------------------------------------------------------------------------------------


def test_a_hold_on_two_actions_asks_once_and_ends_with_the_last():
    first = [decided(1, AT, PAUSE), decided(2, AT, PAUSE, action="deploy-api")]
    assert states(account(*first)) == ["open"]
    half = [*first, decided(3, AT + DAY)]
    assert states(account(*half, at=AT + DAY)) == ["open"]
    whole = [*half, decided(4, AT + DAY, action="deploy-api")]
    assert states(account(*whole, at=AT + DAY)) == ["lifted"]


@pytest.mark.parametrize("other", [{"subject": digest("other")}, {"deployment": digest("offered")}])
def test_another_subject_or_deployment_is_another_hold(other):
    assert states(account(decided(1, AT, PAUSE), decided(2, AT, PAUSE, **other))) == ["open", "open"]
    assert states(account(decided(1, AT, PAUSE), decided(2, AT, **other))) == ["open"]


def test_what_is_told_for_another_reason_is_told_again():
    """It was not ruled out, and is reached now: the board hears of both."""
    reached = Begun(NOTIFY, TEXTS[NOTIFY], "t", VERSION.digest, AT, AT + timedelta(hours=1), ("reached",))
    first, then = decided(1, AT, NOTIFY), replace(decided(2, AT + DAY), begun=(reached,))
    found = account(first, then, at=AT + DAY)
    assert [(it.cause.entry, it.state) for it in found.duties] == [(1, "open"), (2, "overdue")]


def test_of_two_that_ask_for_the_same_the_earlier_is_due():
    says = Response("recall", within=ONE_DAY)
    under = since(
        simple(on_hold={"t": (says, replace(says, within=Clock(Duration(0, 3600))), replace(says, within=None))})
    )
    dues = (AT + DAY, AT + timedelta(hours=1), None)
    both = tuple(Begun("on_hold.t.recall", "recall", "t", under.digest, AT, due) for due in dues)
    assert [it.due for it in account(replace(decided(1, AT), begun=both), under=(under,)).duties] == [dues[1]]


def test_attack_a_later_version_gives_more_time_for_what_runs():
    slow = replace(
        VERSION, policy=replace(VERSION.policy, on_hold={"t": (Response("pause-training"),)}), digest=digest("2")
    )
    later = Begun(PAUSE, "pause-training", "t", slow.digest, AT + DAY, None)
    told = decided(1, AT, PAUSE), replace(decided(2, AT + DAY), begun=(later,))
    assert states(account(*told, under=(VERSION, slow), at=AT + 3 * DAY)) == ["overdue"]


def test_what_repeats_is_due_until_nothing_asks_for_it():
    start = decided(1, AT, "write")
    assert [it.due for it in account(start, at=AT + 2 * DAY).duties] == [AT + DAY, AT + 2 * DAY, AT + 3 * DAY]
    ended = [start, decided(2, AT + timedelta(hours=36))]
    assert [it.due for it in account(*ended, at=AT + 9 * DAY).duties] == [AT + DAY]
    soon = [start, decided(2, AT + timedelta(hours=1))]
    assert [it.due for it in account(*soon, at=AT + 9 * DAY).duties] == [AT + DAY]  # what it began with stays due


def test_of_what_repeats_without_end_the_latest_are_told():
    often = Duty("often", "do it", TEAM, Start("effective"), None, repeat=Clock(Duration(0, 60)))
    under = since(simple(duties=named(often)))
    found = account(under=(under,), at=AT)
    assert len(found.duties) == MOST
    assert found.duties[-1].due > AT >= found.duties[-2].due
    assert found.duties[0].opens == found.duties[0].due - timedelta(minutes=1)


def test_a_version_that_takes_over_starts_its_own_clock():
    duty = Duty("report", "report", TEAM, Start("effective"), None, repeat=Clock(MONTH))
    first = since(simple(duties=named(duty)))
    policy = replace(first.policy, version="2.0.0", effective=EFFECTIVE + timedelta(days=45))
    second = replace(first, policy=policy, digest=digest("second"), since=policy.effective, entry=5)
    found = account(under=(first, second), at=EFFECTIVE + timedelta(days=100))
    assert [(it.cause.entry, (it.due - EFFECTIVE).days) for it in found.duties] == [(0, 31), (5, 73), (5, 104)]


def test_nothing_is_asked_of_the_time_before_it_was_on_record():
    duty = Duty("report", "report", TEAM, Start("effective"), None, repeat=Clock(MONTH))
    late = replace(since(simple(duties=named(duty))), entered=EFFECTIVE + timedelta(days=40))
    assert [it.state for it in account(under=(late,), at=EFFECTIVE + timedelta(days=41)).duties] == ["open"]
    noticed = replace(late, since=EFFECTIVE + timedelta(days=70))  # announced in between, and in force only then
    assert account(under=(noticed,), at=EFFECTIVE + timedelta(days=69)).duties == ()
    assert [(it.due - EFFECTIVE).days for it in account(under=(noticed,), at=noticed.since).duties] == [90]
    early = replace(late, policy=replace(late.policy, effective=AT + DAY))
    assert account(under=(early,)).duties == ()


def test_an_exception_starts_its_duty_for_whom_it_was_opened():
    duty = Duty("look", "look back", TEAM, Start("exception", ("way",)), ONE_DAY)
    told = known(amendments=(amended("way", at=AT), amended("other", at=AT)))
    found = account(told=told, under=(since(simple(duties=named(duty))),))
    assert [(it.duty, it.subject, it.since) for it in found.duties] == [("look", told.amendments[0].subject, AT)]


def resolved(when):
    duty = Duty("status", "tell", TEAM, Start("incident", ("theft",)), None, after_resolved=ONE_DAY)
    one = replace(incident("theft", at=AT), resolved=when)
    told = known(incidents=(one,))
    told = replace(told, checkpoint=replace(told.checkpoint, time=AT + WEEK))
    return account(told=told, under=(since(simple(duties=named(duty))),), at=AT + WEEK)


def test_the_last_report_on_an_incident_is_due_after_it_was_resolved_and_cannot_be_made_before():
    assert resolved(None).duties == ()
    assert resolved(AT + WEEK + DAY).duties == ()  # which is yet to come
    ((item,),) = [resolved(AT + 3 * DAY).duties]
    assert (item.due, item.opens, item.state) == (AT + 4 * DAY, AT + 3 * DAY, "overdue")


def test_what_starts_without_a_decision_is_not_started_by_one_again():
    duty = Duty("write", "write it", BOARD, Start("effective"), ONE_DAY)
    under = since(simple(duties=named(duty), on_hold={"t": ANSWERS}))
    made = replace(decided(1, AT), begun=(Begun("write", "write it", "policy", under.digest, EFFECTIVE, None),))
    assert [it.cause.text for it in account(made, under=(under,)).duties] == ["version 1.0.0 of the policy"]


def test_one_of_two_that_say_the_same_binds():
    says = Response("recall", within=ONE_DAY, modality="intends")
    under = since(simple(on_hold={"t": (says, replace(says, modality="will"))}))
    made = replace(decided(1, AT), begun=(Begun("on_hold.t.recall", "recall", "t", under.digest, AT, AT + DAY),))
    (item,) = account(made, under=(under,)).duties
    assert (item.modality, item.binding) == ("will", True)


def test_without_a_time_it_is_never_overdue():
    start = decided(1, AT, "on_hold.t.lock-weights")
    assert states(account(start, at=AT + 999 * DAY)) == ["open"]
    assert states(account(start, decided(2, AT + DAY), at=AT + 999 * DAY)) == ["lifted"]


# -- done --------------------------------------------------------------------------------------------------------------


def test_the_deadline_is_kept_to_the_second():
    start = decided(1, AT, NOTIFY)
    (item,) = account(start).duties
    assert states(account(start, at=item.due)) == ["open"]
    assert states(account(start, at=item.due + timedelta(seconds=1))) == ["overdue"]
    assert states(account(start, done=[word(item, 2, item.due)], at=AT + WEEK)) == ["done"]
    assert states(account(start, done=[word(item, 2, item.due + timedelta(seconds=1))], at=AT + WEEK)) == ["done late"]


def test_the_first_word_that_counts_is_taken():
    start = decided(1, AT, NOTIFY)
    (item,) = account(start).duties
    late = AT + 2 * DAY
    words = [word(item, 2, AT, done=AT - DAY), word(item, 3, late), word(item, 4, late + DAY)]
    found = account(start, done=words, at=AT + WEEK)
    assert [it.answer.entry for it in found.duties] == [3]
    assert [it.entry for it in found.ignored] == [2]


def test_attack_a_word_that_stood_before_what_it_is_about():
    start = decided(5, AT, NOTIFY)
    (item,) = account(start).duties
    assert states(account(start, done=[word(item, 4, AT)])) == ["open"]


def test_whom_any_version_names_may_say_so():
    duty = Duty("write", "write it", TEAM, Start("incident", ("theft",)), ONE_DAY)
    first = since(simple(duties=named(duty)))
    second = replace(
        first, policy=simple(duties=named(replace(duty, by=GATEKEEPER))), digest=digest("second"), since=AT + DAY
    )
    told = known(incidents=(incident("theft", at=AT),))
    ((item,),) = [account(told=told, under=(first, second)).duties]
    assert [*item.by] == [TEAM, GATEKEEPER]
    for by, state in ((TEAM, "done"), (GATEKEEPER, "done"), (BOARD, "open")):
        said = [word(item, 99, AT, by=(by,))]
        assert states(account(told=told, under=(first, second), done=said)) == [state]
    later = replace(second, entered=AT + timedelta(hours=2))
    early, late = (word(item, 99, AT + timedelta(hours=hours), by=(GATEKEEPER,)) for hours in (1, 3))
    for said, state in ((early, "open"), (late, "done")):
        assert states(account(told=told, under=(first, later), done=[said])) == [state]


# -- laws --------------------------------------------------------------------------------------------------------------

NAMES = st.sets(st.sampled_from([NOTIFY, PAUSE, "on_hold.t.lock-weights", "write"]))
STORIES = st.lists(st.tuples(NAMES, st.sampled_from(["scale", "deploy-api"]), st.integers(0, 30)), max_size=12)


def story(told):
    """Decisions in the order of the ledger, so many hours apart."""
    at, made = AT, []
    for entry, (names, action, hours) in enumerate(told, start=1):
        at += timedelta(hours=hours)
        made.append(decided(entry, at, *sorted(names), action=action))
    return made, at


@given(STORIES)
def test_a_duty_starts_where_no_action_asked_for_it_before(told):
    """Word by word: it starts at each decision that names it, when before that no action's latest decision did."""
    decisions, at = story(told)
    for name in (NOTIFY, PAUSE, "on_hold.t.lock-weights"):
        latest, expected = {}, []
        for one in decisions:
            asked = any(latest.values())
            latest[one.action] = any(it.duty == name for it in one.begun)
            expected += [one.entry] if latest[one.action] and not asked else []
        assert [it.cause.entry for it in account(*decisions, at=at).duties if it.duty == name] == expected


@given(STORIES, st.integers(0, 200), st.integers(0, 200))
def test_later_nothing_that_was_overdue_is_open_again(told, hours, more):
    decisions, at = story(told)
    before = account(*decisions, at=at + timedelta(hours=hours))
    after = {it.digest: it for it in account(*decisions, at=at + timedelta(hours=hours + more)).duties}
    for it in before.duties:
        assert after[it.digest].state in {"open": {"open", "overdue"}}.get(it.state, {it.state})


@given(STORIES, st.data())
def test_a_word_settles_one_duty_and_no_other(told, data):
    decisions, at = story(told)
    before = account(*decisions, at=at)
    if before.duties:
        item = data.draw(st.sampled_from(before.duties))
        after = account(*decisions, done=[word(item, 99, at, by=(BOARD,))], at=at)
        changed = [it.digest for it, was in zip(after.duties, before.duties, strict=True) if it != was]
        assert changed == ([item.digest] if item.opens <= at else [])


def test_a_reader_of_the_ledger_loads_nothing_that_delivers():
    heavy = "{'smtplib', 'urllib.request', 'ruamel.yaml', 'interlock.duties.carry', 'torch'}"
    script = f"import sys, interlock.evidence.read, interlock.cli.duties; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
