"""Permits by the ledger: issued, narrowed, spent, ended by an amendment. Attacks try to get more than was given."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
import permit_lab
from interlock import workspace as workspace_module
from interlock.decide.decision import timestamp, to_json
from interlock.decide.facts import Step
from interlock.errors import INVALID, EvidenceError, UsageError
from interlock.evidence import leases
from interlock.evidence.predicates import PermitPredicate, SubjectPredicate, statement
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.narrowing import Less, narrow
from interlock.gate.permit import Held
from interlock.gate.spending import spend
from interlock.policy.load import loads
from interlock.subject.manifest import Manifest
from interlock.workspace import Workspace, now
from permit_lab import POLICY, issue, terms_of

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return permit_lab.evaluated(tmp_path_factory.mktemp("permits"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return lab.copy(_lab, tmp_path / "lab")


def verify(workspace, digest, action="scale", at=None):
    """What a gate asks; of a permit for one use, what it would ask before spending it."""
    evidence = workspace.read()
    once = permits.find(evidence, digest).terms.single_use
    return (permits.examine if once else permits.verify)(evidence, digest, action=action, at=at or now())


def signed(workspace, terms, *names, about=made.FILES.digest):
    return made.sign(workspace, statement("permit", name="m", digest=about, predicate=terms.to_json()), *names)


def refused(workspace, what, *names, match):
    """Refused on append; and forced in, nothing is decided over it."""
    before = lab.size(workspace)
    with pytest.raises(EvidenceError, match=match):
        made.sign(workspace, what, *names)
    assert lab.size(workspace) == before
    lab.force(workspace, lab.envelope(what, *(lab.key(workspace, name) for name in names)))
    with pytest.raises(EvidenceError, match=match):
        workspace.read()


def permit_statement(terms):
    return statement("permit", name="m", digest=made.FILES.digest, predicate=terms.to_json())


# -- beside other writers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["scale", "release-weights"])
def test_an_entry_that_came_in_since_the_question_was_put_is_read(workspace, monkeypatch, action):
    put = now()
    lab.later(monkeypatch, put + timedelta(minutes=1))
    made.attest(workspace, "watched")
    workspace.refresh()
    issued = permits.issue(workspace, subject="m", action=action, at=put)
    assert (issued.decision.at, issued.unrecorded) == (now(), None)
    assert permits.record(workspace, subject="m", action=action, at=put).decision.verdict == issued.decision.verdict


@pytest.mark.parametrize("action", ["scale", "release-weights"])
def test_an_entry_that_comes_in_before_the_decision_is_appended_has_it_asked_again(workspace, monkeypatch, action):
    """A permit, or a hold that starts duties, is as good the second time. Whoever always comes in before has it end."""
    start, asked, times = now(), permits._asked, []

    def asking(workspace, *question):
        if len(times) == most:
            return asked(workspace, *question)
        times.append(start + timedelta(minutes=len(times) + 1))
        lab.later(monkeypatch, times[-1] + timedelta(seconds=30))
        told = asked(workspace, *question)
        lab.later(monkeypatch, times[-1])
        made.attest(workspace, "watched")
        return told

    monkeypatch.setattr(permits, "_asked", asking)
    most = 2
    issued = permits.issue(workspace, subject="m", action=action, at=start)
    assert (issued.permit is not None, issued.unrecorded) == (issued.decision.verdict == "permit", None)
    most = 5
    with pytest.raises(EvidenceError, match="claims times that do not fit what it had read"):
        permits.issue(workspace, subject="m", action=action, at=start)


# -- what a permit says -----------------------------------------------------------------------------------------------


def test_a_permit_names_all_that_it_rests_on(workspace):
    parent = made.FILES.digest
    files = Manifest((("model.safetensors", "3" * 64),))
    compute = made.COMPUTE + 5
    predicate = SubjectPredicate("child", files, compute, compute, compute, (Step(parent, "continued", 5),)).to_json()
    made.sign(
        workspace, statement("subject", name="child", digest=files.digest, predicate=predicate), "evaluation-team"
    )
    made.evaluate(workspace, seed=1, about=files.digest)
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "a test"}
    made.sign(workspace, made.said("attestation", words, about=files.digest), "external-auditor")
    workspace.refresh()
    issued = permits.issue(workspace, subject="child", action="scale", at=now())
    terms = terms_of(workspace, issued.permit)
    assert terms.lineage == (parent,)
    assert terms.not_before == issued.decision.checkpoint.time
    assert terms.policies == (workspace.policy_digest,)
    assert (terms.single_use, terms.narrows) == (False, None)
    assert terms_of(workspace, issue(workspace)).lineage == ()


def test_what_cannot_be_taken_back_is_permitted_for_one_use(workspace):
    assert terms_of(workspace, issue(workspace, "release-weights")).single_use
    assert not terms_of(workspace, issue(workspace)).single_use
    assert terms_of(workspace, issue(workspace, single_use=True)).single_use


def test_attack_a_permit_to_release_again_and_again(workspace):
    honest = terms_of(workspace, issue(workspace, "release-weights"))
    forged = permit_statement(replace(honest, single_use=False))
    refused(workspace, forged, "gatekeeper", match="cannot be taken back, expected a single-use permit")


def test_attack_two_single_use_permits_from_one_decision(workspace):
    honest = terms_of(workspace, issue(workspace, "release-weights"))
    again = permit_statement(replace(honest, not_after=honest.not_after - DAY))
    refused(workspace, again, "gatekeeper", match="was issued already, for a single use, expected a new decision")


def test_attack_a_permit_with_an_ancestor_that_the_subject_has_not(workspace):
    honest = terms_of(workspace, issue(workspace))
    refused(workspace, permit_statement(replace(honest, lineage=("a" * 64,))), "gatekeeper", match="its lineage is not")


def test_attack_a_permit_on_a_decision_that_had_read_no_evidence_since(workspace):
    """A decision kept until the evidence is worse: a gate that sees nothing but files would take the permit."""
    honest = terms_of(workspace, issue(workspace))
    made.evaluate(workspace, correct=110, seed=9)
    late = permit_statement(replace(honest, not_before=honest.not_before + timedelta(hours=2)))
    refused(workspace, late, "gatekeeper", match="starts later after that than the policy allows")


def kept_back(workspace, monkeypatch, time):
    """What a decision allowed, signed only so long after it, when a bad result had come in: dated as it was then."""
    workspace.refresh()
    evidence = workspace.read()
    start = evidence.facts.checkpoint.time
    old = permits.ask(evidence, subject=evidence.subject("m"), action="scale", at=start)
    lab.later(monkeypatch, start + time)
    made.evaluate(workspace, correct=110, seed=9)
    told = statement("decision", name="m", digest=old.subject, predicate=to_json(old))
    return PermitPredicate(
        action="scale",
        decision=made.sign(workspace, told, "gatekeeper"),
        policies=(workspace.policy_digest,),
        lineage=(),
        start_compute=made.COMPUTE,
        most_compute=made.COMPUTE,
        not_before=start,
        not_after=old.bounds.not_after,
        single_use=False,
    )


def test_attack_a_permit_signed_once_the_evidence_is_worse_on_a_decision_of_before(workspace, monkeypatch, capsys):
    """A gate that sees nothing but files would take it: it is dated from when the evidence permitted."""
    terms = kept_back(workspace, monkeypatch, 20 * DAY)
    assert lab.command(capsys, workspace, "ledger", "verify").code == 0
    refused(workspace, permit_statement(terms), "gatekeeper", match=r"the permit entered it at .*, later after")
    assert lab.command(capsys, workspace, "ledger", "verify").code == INVALID


def test_a_permit_that_entered_too_late_opens_nothing(workspace, monkeypatch, capsys):
    """Publication may take so long, so that the ledger is read; nobody can tell that from one that was kept back."""
    terms = kept_back(workspace, monkeypatch, timedelta(hours=1))
    permit = signed(workspace, terms, "gatekeeper")
    match = "the permit entered the ledger at .*, later than the policy allows after what its decision had read"
    with pytest.raises(Held, match=match):
        verify(workspace, permit)
    with pytest.raises(Held, match=match):
        permit_file.export(workspace, permit)
    with pytest.raises(Held, match=match):
        narrow(workspace, permit, Less(not_after=now() + DAY), at=now())
    assert "entered the ledger at" in lab.command(capsys, workspace, "permit", "show", permit).out
    less = replace(terms, narrows=permit, not_after=terms.not_after - DAY)
    refused(workspace, permit_statement(less), "gatekeeper", match=f"permit {permit[:12]} entered the ledger too late")


def test_attack_a_late_permit_that_starts_later(workspace, monkeypatch):
    """Whoever sees its file counts from its start, and would take it for one in time."""
    late = kept_back(workspace, monkeypatch, timedelta(minutes=90))
    begun = replace(late, not_before=late.not_before + timedelta(minutes=59))
    refused(workspace, permit_statement(begun), "gatekeeper", match=r"the permit entered it at .*, later after")


def test_a_permit_enters_until_what_its_decision_had_read_is_too_old(workspace, monkeypatch):
    start = now()
    lab.later(monkeypatch, start)
    terms = kept_back(workspace, monkeypatch, timedelta(hours=1) - timedelta(seconds=1))
    permit = signed(workspace, terms, "gatekeeper")
    assert permits.find(workspace.read(), permit).late is None
    lab.later(monkeypatch, start + timedelta(hours=1))
    other = signed(workspace, replace(terms, not_after=terms.not_after - DAY), "gatekeeper")
    assert permits.find(workspace.read(), other).late == start + timedelta(hours=1)


def test_whoever_took_too_long_to_issue_is_told_so(workspace, monkeypatch):
    workspace.refresh()
    read, append = workspace.read().facts.checkpoint.time, type(workspace).append

    def slowly(*arguments):
        lab.later(monkeypatch, read + timedelta(hours=1))
        return append(*arguments)

    monkeypatch.setattr(type(workspace), "append", slowly)
    with pytest.raises(Held, match="opens nothing; ask again"):
        permits.issue(workspace, subject="m", action="scale", at=read)
    monkeypatch.setattr(type(workspace), "append", append)
    assert not workspace.read().permits
    assert verify(workspace, issue(workspace))


def test_what_publication_may_take_is_what_an_append_is_tried_for():
    assert leases.PUBLISHED_WITHIN == workspace_module._DELAY


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"policies": []}, "got no policies"),
        ({"policies": ["b" * 64, "a" * 64]}, "are not in order"),
        ({"lineage": ["b" * 64, "b" * 64]}, "each once"),
        ({"single_use": 1}, "expected true or false"),
        ({"narrows": ""}, "expected a SHA-256"),
        ({"policy": "a" * 64}, "unknown member `policy`"),
    ],
    ids=str,
)
def test_a_permit_that_says_something_else_is_refused(workspace, members, match):
    issue(workspace)
    forged = lab.changed(lab.payload(workspace, "permit"), **members)
    refused(workspace, forged, "gatekeeper", match=match)


@pytest.mark.parametrize("member", ["policies", "lineage", "single_use", "narrows"])
def test_a_permit_that_leaves_something_out_is_refused(workspace, member):
    issue(workspace)
    whole = lab.payload(workspace, "permit").predicate
    short = {name: value for name, value in whole.items() if name != member}
    forged = statement("permit", name="m", digest=made.FILES.digest, predicate=short)
    refused(workspace, forged, "gatekeeper", match=f"`{member}` is missing")


# -- narrowing --------------------------------------------------------------------------------------------------------


def test_a_narrower_permit_takes_the_place_of_the_wider_one(workspace):
    wide = issue(workspace)
    terms = terms_of(workspace, wide)
    less = Less(most_compute=2 * made.COMPUTE, not_after=terms.not_after - DAY, single_use=True)
    narrow_one = narrow(workspace, wide, less, at=now())
    found = terms_of(workspace, narrow_one)
    assert (found.most_compute, found.not_after, found.narrows) == (2 * made.COMPUTE, terms.not_after - DAY, wide)
    assert found == replace(
        terms, most_compute=2 * made.COMPUTE, not_after=less.not_after, single_use=True, narrows=wide
    )
    assert verify(workspace, narrow_one).digest == narrow_one
    with pytest.raises(Held, match=f"the permit was narrowed by {narrow_one[:12]}"):
        verify(workspace, wide)


def test_a_later_start_holds_until_then(workspace):
    wide, start = issue(workspace), now() + 2 * DAY
    later = narrow(workspace, wide, Less(not_before=start), at=now())
    with pytest.raises(Held, match="the permit starts at"):
        verify(workspace, later)


WIDER = {
    "more compute": Less(most_compute=5 * made.COMPUTE),
    "less than the subject has": Less(most_compute=made.COMPUTE - 1),
    "a later end": Less(not_after=now() + 40 * DAY),
    "an earlier start": Less(not_before=now() - DAY),
    "an end in the past": Less(not_after=now() - DAY),
    "no time at all": Less(not_before=now() + 2 * DAY, not_after=now() + DAY),
    "nothing less": Less(),
}


@pytest.mark.parametrize("less", WIDER.values(), ids=WIDER)
def test_a_permit_is_not_widened(workspace, less):
    wide, size = issue(workspace), lab.size(workspace)
    with pytest.raises(UsageError):
        narrow(workspace, wide, less, at=now())
    assert lab.size(workspace) == size
    assert verify(workspace, wide).digest == wide


FORGED = {
    "more compute": ({"most_compute": 4 * made.COMPUTE}, "FLOP, expected"),
    "a later end": ({"not_after": now() + 20 * DAY}, "an end at"),
    "an earlier start": ({"not_before": now() - DAY}, "a start at"),
    "another start of compute": ({"start_compute": made.COMPUTE + 1}, "another `start_compute`"),
    "several uses": ({"single_use": False}, "more than a single use"),
}


@pytest.mark.parametrize(("changes", "match"), FORGED.values(), ids=FORGED)
def test_attack_a_narrowing_that_widens(workspace, changes, match):
    """The decision would allow it; the permit that it narrows does not."""
    wide = issue(workspace, most_compute=2 * made.COMPUTE, single_use=True)
    first = terms_of(workspace, wide)
    shorter = narrow(workspace, wide, Less(not_after=now() + 10 * DAY), at=now())
    terms = replace(first, not_after=now() + 5 * DAY, narrows=shorter)
    refused(workspace, permit_statement(replace(terms, **changes)), "gatekeeper", match=match)


def test_attack_a_narrowing_for_another_action(workspace):
    """It has a decision of its own, which permits."""
    wide = issue(workspace, single_use=True)
    other = terms_of(workspace, issue(workspace, "release-weights"))
    refused(workspace, permit_statement(replace(other, narrows=wide)), "gatekeeper", match="another `action`")


def test_attack_a_permit_is_narrowed_twice(workspace):
    wide = issue(workspace)
    terms = terms_of(workspace, wide)
    first = narrow(workspace, wide, Less(not_after=now() + DAY), at=now())
    with pytest.raises(Held, match="was narrowed by"):
        narrow(workspace, wide, Less(not_after=now() + 2 * DAY), at=now())
    again = permit_statement(replace(terms, not_after=now() + 2 * DAY, narrows=wide))
    refused(workspace, again, "gatekeeper", match=f"was narrowed by {first[:12]}")


def test_attack_the_wide_permit_once_more_after_it_was_narrowed(workspace):
    wide = issue(workspace)
    terms = terms_of(workspace, wide)
    narrow(workspace, wide, Less(not_after=now() + DAY), at=now())
    again = permit_statement(replace(terms, not_before=terms.not_before - timedelta(seconds=1)))
    refused(workspace, again, "gatekeeper", match="was narrowed, expected a new decision")


def test_attack_a_narrowing_of_a_permit_that_is_not_there(workspace):
    terms = terms_of(workspace, issue(workspace))
    refused(workspace, permit_statement(replace(terms, narrows="a" * 64)), "gatekeeper", match="is not in the ledger")


def test_a_permit_that_has_ended_is_not_narrowed(workspace, capsys, monkeypatch):
    less = Less(most_compute=made.COMPUTE)
    revoked, spent, over = (
        issue(workspace),
        issue(workspace, single_use=True),
        issue(workspace, most_compute=2 * made.COMPUTE),
    )
    assert lab.command(capsys, workspace, "permit", "revoke", revoked, "--reason", "x").code == 0
    spend(workspace, spent, action="scale", destination="x", at=now())
    for permit, match in ((revoked, "was revoked by gatekeeper"), (spent, "was spent by gatekeeper")):
        with pytest.raises(Held, match=match):
            narrow(workspace, permit, less, at=now())
    with pytest.raises(Held, match="the permit ended at"):
        narrow(workspace, over, less, at=now() + 31 * DAY)


def test_revoking_the_wider_permit_ends_the_narrower_one(workspace, capsys):
    wide = issue(workspace)
    narrower = narrow(workspace, wide, Less(not_after=now() + DAY), at=now())
    assert lab.command(capsys, workspace, "permit", "revoke", wide, "--reason", "a lie").code == 0
    with pytest.raises(Held, match=r"was revoked by gatekeeper .* a lie"):
        verify(workspace, narrower)


def test_a_narrower_permit_verifies_in_the_whole_ledger(workspace, capsys):
    wide = issue(workspace)
    narrow(workspace, wide, Less(not_after=now() + DAY), at=now())
    assert lab.command(capsys, workspace, "ledger", "verify").code == 0


# -- one use ----------------------------------------------------------------------------------------------------------


def test_a_spent_permit_opens_nothing_again(workspace):
    permit = issue(workspace, "release-weights")
    spent = spend(workspace, permit, action="release-weights", destination="file:///models/m", at=now())
    assert (spent.destination, spent.signers) == ("file:///models/m", {"gatekeeper"})
    with pytest.raises(Held, match=r"was spent by gatekeeper in entry \d+, on `file:///models/m`; it was for one use"):
        verify(workspace, permit, "release-weights")


def test_attack_a_permit_for_one_use_at_a_gate_that_does_not_spend(workspace):
    """Such a gate, a training run say, would open again and again."""
    permit = issue(workspace, single_use=True)
    with pytest.raises(Held, match="the permit is for one use, and a gate that does not spend it"):
        permits.verify(workspace.read(), permit, action="scale", at=now())


def test_attack_spent_twice(workspace):
    permit = issue(workspace, "release-weights")
    spend(workspace, permit, action="release-weights", destination="here", at=now())
    with pytest.raises(Held, match="was spent by"):
        spend(workspace, permit, action="release-weights", destination="there", at=now())
    again = made.said("permit-spent", {"destination": "there"}, about=permit)
    refused(workspace, again, "gatekeeper", match="was spent in entry")


def test_of_two_who_verified_one_spends(workspace, monkeypatch):
    """Both have verified before either has spent; the workspace's lock puts one first."""
    permit, append = issue(workspace, "release-weights"), type(workspace).append

    def slower(self, made_one, signing):
        monkeypatch.setattr(type(workspace), "append", append)
        spend(workspace, permit, action="release-weights", destination="here", at=now())
        return append(self, made_one, signing)

    monkeypatch.setattr(type(workspace), "append", slower)
    with pytest.raises(Held, match="on `here`"):
        spend(workspace, permit, action="release-weights", destination="there", at=now())
    assert workspace.read().spent[permit].destination == "here"


def test_of_four_who_spend_at_once_one_does(workspace):
    permit, gates, answers = issue(workspace, "release-weights"), threading.Barrier(4), []

    def gate(name):
        opened = Workspace.open(workspace.folder)
        gates.wait()
        try:
            answers.append(spend(opened, permit, action="release-weights", destination=name, at=now()).destination)
        except Held as held:
            answers.append(str(held))

    threads = [threading.Thread(target=gate, args=(f"gate {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (opened,) = [it for it in answers if it.startswith("gate")]
    assert sum(f"on `{opened}`; it was for one use" in it for it in answers) == 3
    assert workspace.read().spent[permit].destination == opened


def test_what_comes_in_before_the_spend_holds(workspace, monkeypatch):
    """A bad result lands between the verification and the spend: the permit is gone, and nothing opens."""
    permit, append = issue(workspace, "release-weights"), type(workspace).append

    def slower(self, made_one, signing):
        monkeypatch.setattr(type(workspace), "append", append)
        made.result(workspace, 110)
        return append(self, made_one, signing)

    monkeypatch.setattr(type(workspace), "append", slower)
    with pytest.raises(Held, match="`release-weights` holds"):
        spend(workspace, permit, action="release-weights", destination="here", at=now())
    assert permit in workspace.read().spent


def test_a_permit_for_many_uses_is_not_spent(workspace):
    permit = issue(workspace)
    with pytest.raises(UsageError, match="is not single-use"):
        spend(workspace, permit, action="scale", destination="x", at=now())
    told = made.said("permit-spent", {"destination": "x"}, about=permit)
    refused(workspace, told, "gatekeeper", match="is not single-use")


def test_only_a_permit_that_is_open_is_spent(workspace, capsys):
    permit = issue(workspace, "release-weights")
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "x").code == 0
    with pytest.raises(Held, match="was revoked"):
        spend(workspace, permit, action="release-weights", destination="x", at=now())
    refused(workspace, made.said("permit-spent", {"destination": "x"}, about=permit), "gatekeeper", match="was revoked")


def test_a_permit_is_spent_on_its_own_action_only(workspace):
    permit = issue(workspace, "release-weights")
    with pytest.raises(Held, match="the permit is for `release-weights`, expected one for `scale`"):
        spend(workspace, permit, action="scale", destination="x", at=now())
    assert permit not in workspace.read().spent


def test_another_role_spends_with_its_own_keys(workspace):
    permit = issue(workspace, "release-weights")
    assert spend(workspace, permit, action="release-weights", destination="x", at=now(), by="board").signers == {
        "board"
    }


# -- a stricter version of the policy ---------------------------------------------------------------------------------


@pytest.fixture
def hasty(tmp_path):
    """A policy that may be amended from one day to the next."""
    return permit_lab.evaluated(tmp_path / "hasty", POLICY.replace("notice: 30 days", "notice: 2 days"))


def tighten(workspace, effective):
    text = POLICY.replace("notice: 30 days", "notice: 2 days").replace("version: 1.0.0", "version: 1.1.0")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(effective)}")
    text = text.replace("skill >= 0.50", "skill >= 0.03")
    workspace.amend(workspace.read(), loads(text, name="p", folder=workspace.folder), changes="stricter")


def test_a_stricter_version_ends_the_permits_of_the_old_one(hasty, monkeypatch):
    effective = now() + 3 * DAY
    before = issue(hasty)
    assert verify(hasty, before).digest == before
    tighten(hasty, effective)
    with pytest.raises(Held, match="reaches further than the evidence now allows"):
        verify(hasty, before)
    bounded = issue(hasty)
    assert terms_of(hasty, bounded).not_after == effective  # so a gate without the ledger stops by then, too
    assert verify(hasty, bounded).digest == bounded
    lab.later(monkeypatch, effective - timedelta(minutes=1))
    hasty.refresh()
    assert verify(hasty, bounded).digest == bounded
    lab.later(monkeypatch, effective)
    hasty.refresh()
    for permit in (before, bounded):
        with pytest.raises(Held, match="the permit was issued under another policy"):
            verify(hasty, permit)
    assert permits.issue(hasty, subject="m", action="scale", at=now()).permit is None


def test_attack_a_permit_that_lasts_past_an_amendment_which_stands_before_it(hasty):
    """Its decision was made before the amendment, and is handed to a gate that never reads the ledger."""
    first, effective = terms_of(hasty, issue(hasty)), now() + 3 * DAY
    tighten(hasty, effective)
    made.sign(hasty, permit_statement(replace(first, not_after=effective)), "gatekeeper")
    again = permit_statement(replace(first, not_before=first.not_before + timedelta(seconds=1)))
    refused(hasty, again, "gatekeeper", match="the permit lasts past the next version of the policy, from")


def test_a_permit_is_read_in_one_way(workspace):
    issue(workspace)
    value = dict(lab.payload(workspace, "permit").predicate)
    assert PermitPredicate.from_json(value, "here").to_json() == json.loads(json.dumps(value))
