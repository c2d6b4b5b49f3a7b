"""Duties in a ledger: what starts them, who may say that they were done, and what is recorded when they were not."""

from __future__ import annotations

from datetime import timedelta

import pytest

import lab
import ledger_lab as made
from duties_lab import NOW, Lab
from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError
from interlock.evidence.predicates import statement
from interlock.gate import permit as permits

WEEK = timedelta(days=7)


def on(days=0, hours=0):
    return timestamp(NOW + timedelta(days=days, hours=hours))


def refused(told, made_by, *names, match):
    """Refused when it is appended; and where it was forced in, no reader takes the ledger."""
    with pytest.raises(EvidenceError, match=match):
        made.sign(told.workspace, made_by, *names)
    lab.force(told.workspace, lab.envelope(made_by, *(lab.key(told.workspace, name) for name in names)))
    with pytest.raises(EvidenceError, match=match):
        told.workspace.read()


# -- what starts them --------------------------------------------------------------------------------------------------


def test_a_hold_starts_nothing_before_it_is_on_record(told):
    assert told.duties("notify") == []
    told.decide()
    (notify,) = told.duties("notify")
    assert (notify["state"], notify["due"], notify["since"]) == ("open", on(days=1), on())
    assert notify["started_by"]["what"] == "decision on `scale`"
    (free,) = told.duties("restrict-weight-access")
    assert (free["state"], free["due"]) == ("open", None)


def test_a_permit_that_is_asked_for_and_held_starts_what_the_hold_asks_for(told):
    issued = permits.issue(told.workspace, subject="m", action="scale", at=NOW)
    assert (issued.permit, issued.unrecorded) == (None, None)
    (notify,) = told.duties("notify")
    assert (notify["state"], notify["due"]) == ("open", on(days=1))
    told.decide()
    assert len(told.duties("notify")) == 1


def test_a_hold_is_told_also_where_the_disk_takes_no_record_of_it(told, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(told.workspace), "append", full)
    issued = permits.issue(told.workspace, subject="m", action="scale", at=NOW)
    assert (issued.decision.verdict, issued.permit) == ("hold", None)
    assert "No space left on device" in issued.unrecorded


def test_a_hold_that_goes_on_starts_nothing_twice(told):
    told.decide()
    before = [it["id"] for it in told.duties()]
    told.after(hours=5)
    told.decide()
    told.decide("deploy-internal")
    assert [it["id"] for it in told.duties()] == before


def test_a_hold_that_was_lifted_and_came_again_starts_again(told):
    told.decide()
    made.evaluate(told.workspace)
    made.attest(told.workspace, "no-evaluation-gaming")
    told.after(hours=2)
    told.decide(code=0)
    assert told.states("pause-training") == ["lifted"]
    assert told.states("notify") == ["open"]  # what happened must still be told
    told.after(hours=3)
    digest = made.evaluate(told.workspace, correct=110, seed=1)
    told.decide()
    assert digest
    assert told.states("pause-training") == ["lifted", "open"]
    assert told.states("notify") == ["open", "open"]


def test_a_stop_that_was_overdue_when_the_hold_was_lifted_stays_so(told):
    told.decide()
    told.after(days=3)
    made.evaluate(told.workspace)
    made.attest(told.workspace, "no-evaluation-gaming")
    told.decide(code=0)
    assert told.states("pause-training") == ["overdue"]


def test_what_takes_effect_is_due_again_and_again_but_not_before_it_was_on_record(told):
    assert [it["due"] for it in told.duties("review")] == ["2027-04-01T00:00:00Z"]
    told.after(days=200)
    assert [(it["due"][:10], it["state"]) for it in told.duties("review")] == [
        ("2027-04-01", "overdue"),
        ("2027-07-01", "overdue"),
        ("2027-10-01", "open"),
    ]


def test_an_incident_starts_its_duties_without_a_decision_until_it_is_resolved(told):
    told.run("incident", "report", "leak", "--by", "board")
    told.after(days=10)
    assert [(it["due"], it["state"]) for it in told.duties("status")] == [
        (on(days=7), "overdue"),
        (on(days=14), "open"),
    ]
    incident = next(it.digest for it in told.workspace.read().records if it.kind == "incident")
    told.run("incident", "resolve", incident)
    assert [it["due"] for it in told.duties("status")] == [on(days=7)]


def test_attack_an_incident_resolved_at_a_date_in_the_past_ends_nothing_that_was_due(told):
    told.run("incident", "report", "leak", "--by", "board")
    told.after(days=16)
    incident = next(it.digest for it in told.workspace.read().records if it.kind == "incident")
    told.run("incident", "resolve", incident, "--at", on(days=1))
    assert told.states("status") == ["overdue", "overdue"]


def test_the_list_as_it_stood_at_an_earlier_time(told):
    told.after(hours=1)
    told.decide()
    told.after(days=2)
    assert told.duties("notify", at=on()) == []
    assert told.states("notify", at=on(hours=2), code=0) == ["open"]
    assert told.states("notify", at=on(days=2), code=3) == ["overdue"]
    told.run("duties", "list", "--at", "2027-01-01", code=2)


# -- done --------------------------------------------------------------------------------------------------------------


def test_in_time_is_what_stood_in_the_ledger_in_time(told):
    told.decide()
    (notify,) = told.duties("notify")
    told.after(hours=23)
    told.run("duties", "done", notify["id"][:12], "--by", "board")
    assert told.states("notify") == ["done"]


def test_attack_a_date_in_the_past_does_not_make_it_in_time(told):
    told.decide()
    (notify,) = told.duties("notify")
    told.after(hours=25)
    told.run("duties", "done", notify["id"], "--by", "board", "--done", on(hours=1))
    (notify,) = told.duties("notify")
    assert (notify["state"], notify["done"]["done"], notify["done"]["at"]) == ("done late", on(hours=1), on(hours=25))


def test_a_document_is_named_by_its_digest(told, tmp_path):
    told.decide()
    (tmp_path / "report").write_bytes(b"")
    (notify,) = told.duties("notify")
    told.run("duties", "done", notify["id"], "--by", "board", "--document", tmp_path / "report")
    assert told.duties("notify")[0]["done"]["document"].startswith("e3b0c442")


def test_the_command_asks_for_who_may_say_so(told):
    (review,) = told.duties("review")
    said = told.run("duties", "done", review["id"], "--by", "board", code=2)
    assert "`review` is done by `external-auditor`, got --by board" in said.err
    told.decide()
    (notify,) = told.duties("notify")
    assert "name the role that signs" in told.run("duties", "done", notify["id"], code=2).err
    assert "no single duty" in told.run("duties", "done", "00000000", code=2).err
    assert "can be done from 2027-01-01" in told.run("duties", "done", review["id"], "--done", "2026-01-01", code=2).err


def word(told, item, *, about=None, **changes):
    """Somebody's word that a duty was done, as it may be signed."""
    evidence = told.workspace.read()
    predicate = {"of": item["id"], "duty": item["duty"], "about": "developer", "done": timestamp(told.at)}
    predicate |= {"statement": "x", "at": timestamp(told.at)} | changes
    return statement("duty", name="x", digest=about or evidence.policy_digest, predicate=predicate)


def test_attack_words_that_count_as_nothing(told):
    """Somebody else's, one for another duty, one that was said too early, one for a duty that nobody started."""
    told.run("incident", "report", "leak", "--by", "board")
    told.after(days=8)
    first, second = told.duties("status")
    for words, by, why in (
        (word(told, first), "board-1 board-2", "signed by board, expected `gatekeeper`"),
        (word(told, first, duty="tell"), "gatekeeper", "expected `status`"),
        (word(told, first, done=on(days=-1)), "gatekeeper", "before it could be"),
        (word(told, second, done=on(days=6)), "gatekeeper", "before it could be: from " + on(days=7)),
        (word(told, {**first, "id": "00" * 32}), "gatekeeper", "no duty 000000000000 had started"),
    ):
        made.sign(told.workspace, words, *by.split())
        assert why in told.ignored()[-1]["why"]
    assert told.states("status") == ["overdue", "open"]
    made.sign(told.workspace, word(told, second), "gatekeeper")
    assert told.states("status") == ["overdue", "done"]


def test_attack_a_repeated_duty_is_not_done_once_for_all(told):
    told.run("incident", "report", "leak", "--by", "board")
    told.after(days=8)
    (_, second) = told.duties("status")
    made.sign(told.workspace, word(told, second), "gatekeeper")
    told.after(days=15)
    assert told.states("status") == ["overdue", "done", "open"]


def test_a_word_about_a_duty_that_the_policy_does_not_have_is_refused(told):
    (review,) = told.duties("review")
    refused(told, word(told, review, duty="revue"), "external-auditor", match="the duty `revue`")


def test_attack_a_decision_that_makes_up_a_duty(told):
    told.decide()
    claimed = lab.payload(told.workspace, "decision").predicate
    (ruling,) = claimed["rulings"]
    for changes in ({"duty": "on_hold.expert.recall"}, {"first_due": on(days=9)}, {"what": "notify: nobody"}):
        made_up = {**ruling, "duties": [{**ruling["duties"][0], **changes}]}
        again = statement("decision", name="m", digest=made.FILES.digest, predicate={**claimed, "rulings": [made_up]})
        with pytest.raises(EvidenceError, match="does not have so"):
            made.sign(told.workspace, again, "gatekeeper")


# -- not done in time --------------------------------------------------------------------------------------------------


def test_what_is_overdue_is_recorded_once_and_shown_in_every_later_decision(told):
    told.decide()
    told.after(hours=25)
    said = told.run("duties", "run", "--json", code=3).json
    assert ["was not done by" in line for line in said["recorded"]] == [True]
    assert told.run("duties", "run", "--json", code=3).json["recorded"] == []
    (notify,) = told.duties("notify")
    lapse = notify["recorded_overdue"]
    assert lapse is not None
    (shown,) = told.decide()["decision"]["non_compliance"]
    assert shown == {
        "entry": lapse,
        "of": notify["id"],
        "duty": "on_hold.expert.notify",
        "what": "notify: board",
        "due": on(days=1),
        "done": None,
    }
    told.run("duties", "done", notify["id"], "--by", "board")
    (shown,) = told.decide("deploy-api")["decision"]["non_compliance"]
    assert shown["done"] == max(it.entry for it in told.workspace.read().records if it.kind == "duty")
    assert told.states("notify") == ["done late"]
    told.run("ledger", "verify")


def test_a_duty_that_takes_many_words_is_recorded_like_any_other(tmp_path, monkeypatch, capsys):
    lab.later(monkeypatch, NOW)
    told = Lab(made.make(tmp_path, made.ANSWERS.replace("say how it is", "x" * 5000)), capsys, monkeypatch)
    told.run("incident", "report", "leak", "--by", "board")
    told.decide()
    told.after(days=8)
    assert len(told.run("duties", "run", "--json", code=3).json["recorded"]) == 3


def test_non_compliance_gates_nothing(told):
    told.decide()
    told.after(hours=25)
    told.run("duties", "run", code=3)
    made.evaluate(told.workspace)
    made.attest(told.workspace, "no-evaluation-gaming")
    said = told.run("decide", "-s", "m", "-a", "scale")
    assert "not done in time" in said.out


def test_what_was_done_late_is_recorded_too(told):
    told.decide()
    told.after(hours=25)
    (notify,) = told.duties("notify")
    told.run("duties", "done", notify["id"], "--by", "board")
    told.run("duties", "run", code=0)
    (shown,) = told.decide()["decision"]["non_compliance"]
    assert shown["done"] is not None


def test_what_the_policy_only_intends_is_no_lapse(told):
    told.decide()
    told.after(hours=25)
    told.run("duties", "run", code=3)
    (reassess,) = told.duties("reassess")
    assert (reassess["state"], reassess["binding"], reassess["recorded_overdue"]) == ("overdue", False, None)


def overdue(told, item, **changes):
    predicate = {"of": item["id"], "duty": item["duty"], "what": item["what"], "about": "subject", "due": item["due"]}
    predicate |= {"statement": "x", "at": timestamp(told.at)} | changes
    return statement("duty-overdue", name="m", digest=made.FILES.digest, predicate=predicate)


def test_attack_blame_for_what_was_not_due_yet(told):
    told.decide()
    (notify,) = told.duties("notify")
    told.after(hours=24)  # to the second
    refused(told, overdue(told, notify), "board-1", "board-2", match="which is open")


FALSE = {
    "another duty": ({"duty": "on_hold.expert.pause-training"}, "is `on_hold.expert.notify`"),
    "another time": ({"due": on(hours=1)}, "due by " + on(days=1)),
    "another text": ({"what": "notify: nobody"}, "notify: board"),
    "no duty at all": ({"of": "00" * 32}, "no duty 000000000000 had started"),
}


@pytest.mark.parametrize("sentence", FALSE)
def test_attack_blame_for(sentence, told):
    changes, match = FALSE[sentence]
    told.decide()
    (notify,) = told.duties("notify")
    told.after(days=2)
    refused(told, overdue(told, notify, **changes), "board-1", "board-2", match=match)


def test_attack_blame_for_what_was_done_in_time_twice_or_not_binding(told):
    told.decide()
    (notify,), (pause,), (reassess,) = (told.duties(it) for it in ("notify", "pause-training", "reassess"))
    told.run("duties", "done", notify["id"], "--by", "board")
    told.after(days=3)
    made.sign(told.workspace, overdue(told, pause), "board-1", "board-2")
    for item, match in ((notify, "which is done"), (pause, "says already"), (reassess, "only `intends`")):
        with pytest.raises(EvidenceError, match=match):
            made.sign(told.workspace, overdue(told, item, statement="again"), "board-1", "board-2")


def test_a_later_policy_does_not_take_back_what_it_asked_for(told):
    told.decide()
    text = (told.workspace.folder / "policy.yaml").read_text()
    text = text.replace("version: 1.0.0", "version: 1.1.0").replace("2026-01-01T00:00:00Z", on(days=31))
    text = text.replace("    - {notify: board, within: 24 hours}\n", "")
    (told.workspace.folder / "next.yaml").write_text(text)
    told.run("amend", told.workspace.folder / "next.yaml")
    told.after(days=40)
    told.decide()
    assert told.states("notify") == ["overdue"]
    assert told.states("pause-training") == ["overdue"]
