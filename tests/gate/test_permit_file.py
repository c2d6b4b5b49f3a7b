"""A permit in a file, at a gate that never sees the ledger. Each attack alters the file, or asks for something else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
import permit_lab
from interlock.decide.decision import timestamp
from interlock.errors import HOLD, INVALID, EvidenceError, InterlockError
from interlock.evidence import canonical, dsse, keys
from interlock.evidence.predicates import PermitPredicate, statement
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.narrowing import Less, narrow
from interlock.gate.permit import Held
from interlock.gate.trust import Trust
from interlock.ledger import prefix
from interlock.ledger.note import COSIGNATURE, Checkpoint, Note, NoteKey, cosign
from interlock.ledger.proof import InclusionProof, prove
from interlock.policy.load import loads
from interlock.workspace import now
from permit_lab import POLICY, issue, trust

DAY = timedelta(days=1)
SUBJECT = made.FILES.digest
TWO = POLICY.replace(
    "gatekeeper:       {keys: [keys/gatekeeper.pub], quorum: 1}",
    "gatekeeper:       {keys: [keys/gatekeeper.pub, keys/second.pub, keys/third.pub], quorum: 2}",
).replace("gatekeeper, board]}", "board]}")


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    """Two of three keys issue permits."""
    return permit_lab.evaluated(tmp_path_factory.mktemp("offline"), TWO)


@pytest.fixture
def workspace(tmp_path, _lab):
    return lab.copy(_lab, tmp_path / "lab")


@pytest.fixture(scope="module")
def issued(tmp_path_factory, _lab):
    """A workspace with a permit, its file, and what a gate believes. Not to be changed."""
    workspace = lab.copy(_lab, tmp_path_factory.mktemp("issued") / "lab")
    digest = issue(workspace)
    return workspace, digest, permit_file.export(workspace, digest), trust(workspace)


def ask(data, believed, at=None, **question):
    at = at or now()
    usual = {"action": "scale", "subject": SUBJECT}
    return permit_file.read(data, believed, at=at).verify(at=at, **{**usual, **question})


def holds(data, believed, match, **question):
    with pytest.raises(Held, match=match) as caught:
        ask(data, believed, **question)
    assert caught.value.exit_code == HOLD


def invalid(data, believed, match="."):
    with pytest.raises(InterlockError, match=match) as caught:
        ask(data, believed)
    assert caught.value.exit_code == INVALID
    assert "\n" not in str(caught.value)


def parts(data):
    value = json.loads(data)
    return value["entry"].encode(), InclusionProof.parse(value["proof"].encode())


def put_together(entry, proof, logged=None):
    """A file; what shows the entry shows also since when, unless something else does."""
    proofs = {"logged": logged or proof, "proof": proof}
    texts = {name: one.to_bytes().decode() for name, one in proofs.items()}
    return canonical.dumps({"permit_file": permit_file.FORMAT, "entry": entry.decode(), **texts})


def logged_of(data):
    return InclusionProof.parse(json.loads(data)["logged"].encode())


def test_a_permit_opens_its_gate_without_the_ledger(issued):
    workspace, digest, data, believed = issued
    terms = permits.find(workspace.read(), digest).terms
    found = permit_file.read(data, believed, at=now())
    assert (found.digest, found.subject, found.terms, found.until) == (digest, SUBJECT, terms, terms.not_after)
    grant = ask(data, believed, effective_compute=2 * made.COMPUTE)
    assert (grant.start_compute, grant.most_compute) == (made.COMPUTE, 4 * made.COMPUTE)
    assert (grant.begins, grant.ends) == (terms.not_before, terms.not_after)


# -- another question -------------------------------------------------------------------------------------------------


def test_a_permit_for_another_action_holds(issued):
    _, _, data, believed = issued
    holds(data, believed, "is for `scale`, expected one for `deploy-internal`", action="deploy-internal")


def test_a_permit_for_another_subject_holds(issued):
    _, _, data, believed = issued
    holds(data, believed, "is for subject 1f4a|is for subject .*, expected one for 999999999999", subject="9" * 64)


def test_a_permit_for_what_was_made_of_a_subject_is_none_for_that_subject(workspace):
    child = made.near_copy(workspace)
    made.evaluate(workspace, seed=1, about=child)
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "a test"}
    made.sign(workspace, made.said("attestation", words, about=child), "external-auditor")
    workspace.refresh()
    found = permits.issue(workspace, subject="copy", action="scale", at=now())
    data, believed = permit_file.export(workspace, found.permit), trust(workspace)
    assert ask(data, believed, subject=child).start_compute == made.COMPUTE + 1
    holds(data, believed, "expected one for .*, which it was made from", subject=SUBJECT)


def test_a_permit_for_the_bare_model_opens_no_deployment(issued):
    _, _, data, believed = issued
    holds(data, believed, "is for deployment the bare model, expected one for 9999", deployment="9" * 64)


@pytest.mark.parametrize(
    ("compute", "match"), [(4 * made.COMPUTE + 1, "allows at most"), (made.COMPUTE - 1, "or more")]
)
def test_compute_beyond_the_bound_holds(issued, compute, match):
    _, _, data, believed = issued
    assert ask(data, believed, effective_compute=4 * made.COMPUTE)
    holds(data, believed, match, effective_compute=compute)


def test_a_permit_that_is_over_holds(issued):
    workspace, digest, data, believed = issued
    end = permits.find(workspace.read(), digest).terms.not_after
    assert ask(data, believed, at=end - timedelta(seconds=1))
    holds(data, believed, "the permit ended at", at=end)


def test_a_clock_before_the_ledger_s_own_time_holds(issued):
    _, _, data, believed = issued
    holds(data, believed, "before the ledger's own time", at=now() - DAY)


def test_a_permit_that_has_not_begun_holds(workspace):
    data = permit_file.export(workspace, narrow(workspace, issue(workspace), Less(not_before=now() + DAY), at=now()))
    holds(data, trust(workspace), "the permit starts at")
    assert ask(data, trust(workspace), at=now() + 2 * DAY)


@pytest.mark.parametrize(("action", "options"), [("release-weights", {}), ("scale", {"single_use": True})])
def test_what_is_for_one_use_is_not_opened_by_a_file(workspace, action, options):
    data = permit_file.export(workspace, issue(workspace, action, **options))
    holds(data, trust(workspace), "a file does not show whether it is spent", action=action)


def test_the_file_of_a_permit_that_has_ended_is_not_made(workspace, capsys):
    wide = issue(workspace)
    narrow(workspace, wide, Less(not_after=now() + DAY), at=now())
    with pytest.raises(Held, match="was narrowed by"):
        permit_file.export(workspace, wide)


# -- an altered file --------------------------------------------------------------------------------------------------


def test_no_bit_of_a_permit_file_can_be_another_one(issued):
    _, _, data, believed = issued
    drawn = random.Random(7).sample(range(8 * len(data)), 1500)  # noqa: S311  a sample, not a secret
    for bit in drawn:
        forged = bytearray(data)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InterlockError) as caught:
            ask(bytes(forged), believed)
        assert caught.value.exit_code == INVALID, (bit, str(caught.value))


def test_no_part_of_a_permit_file_is_one(issued):
    _, _, data, believed = issued
    for length in [*range(0, len(data), 97), len(data) - 1]:
        invalid(data[:length], believed)
    for other in (data + b"\n", b" " + data, data + data, b"\xef\xbb\xbf" + data):
        invalid(other, believed)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"override": True}, "unknown member `override`"),
        ({"proof": None}, "are not all text"),
        ({"logged": None}, "are not all text"),
        ({"entry": 5}, "are not all text"),
        ({"permit_file": "urn:interlock:permit-file:v1"}, "expected one of urn:interlock:permit-file:v2"),
        ({"entry": "\ud800"}, "lone surrogate|no strict JSON"),
    ],
    ids=str,
)
def test_a_file_with_other_members_is_refused(issued, members, match):
    _, _, data, believed = issued
    invalid(
        json.dumps({**json.loads(data), **members}, sort_keys=True, separators=(",", ":")).encode(), believed, match
    )


@pytest.mark.parametrize("member", ["entry", "logged", "permit_file", "proof"])
def test_a_file_that_leaves_something_out_is_refused(issued, member):
    _, _, data, believed = issued
    short = {name: value for name, value in json.loads(data).items() if name != member}
    invalid(canonical.dumps(short), believed, f"`{member}` is missing")


def test_another_spelling_is_refused(issued):
    _, _, data, believed = issued
    invalid(json.dumps(json.loads(data), indent=1).encode(), believed, "another spelling")
    for name in ("logged", "proof"):
        value = json.loads(data)
        title, rest = value[name].split("\n", 1)
        value[name] = f"{title}\nextra aGk=\n{rest}"
        invalid(canonical.dumps(value), believed, "another spelling of the proof")


@pytest.mark.parametrize("change", ["not_after", "not_before", "most", "action"])
def test_attack_the_terms_are_changed_and_the_signatures_kept(issued, change):
    _, _, data, believed = issued
    entry, proof = parts(data)
    envelope = json.loads(entry)
    said = json.loads(dsse.parse(entry).payload)
    if change == "most":
        said["predicate"]["effective_compute"]["most"] += "0"
    else:
        said["predicate"][change] = {"action": "deploy-api"}.get(change, "2027-06-01T00:00:00Z")
    import base64

    envelope["payload"] = base64.b64encode(canonical.dumps(said)).decode()
    invalid(put_together(canonical.dumps(envelope), proof), believed, "inclusion proof")


# -- proofs -----------------------------------------------------------------------------------------------------------


def test_attack_the_proof_of_another_entry(issued):
    workspace, digest, data, believed = issued
    entry, _ = parts(data)
    place = permits.find(workspace.read(), digest).entry
    view = workspace.ledger.read()
    for other in range(view.size):
        if other != place:
            proof = prove(workspace.ledger, other, view.entries[other].data)
            invalid(put_together(entry, proof), believed, "inclusion proof")


def test_attack_another_entry_with_its_own_proof(issued):
    """The decision, say: signed by the same role, and in the ledger."""
    workspace, _, _, believed = issued
    view = workspace.ledger.read()
    for number, entry in enumerate(view.entries[:-1]):
        proof = prove(workspace.ledger, number, entry.data)
        invalid(put_together(entry.data, proof), believed, "expected a `urn:interlock:permit:v2`|at most")


def test_attack_the_checkpoint_of_another_log(issued, tmp_path):
    _, _, data, believed = issued
    other = made.make(tmp_path / "other", TWO)
    entry, proof = parts(data)
    forged = replace(proof, checkpoint=other.ledger.latest().data)
    invalid(put_together(entry, forged), believed, "signature lines|origin|does not verify|inclusion proof")


def test_attack_a_whole_other_log_of_the_same_name(issued, tmp_path):
    """The permit, signed by the right keys, in a ledger that another key signs."""
    _, _, data, believed = issued
    other = made.make(tmp_path / "other", TWO)
    entry, _ = parts(data)
    lab.force(other, entry)
    proof = prove(other.ledger, lab.size(other) - 1, entry)
    invalid(put_together(entry, proof), believed, "permit file: proof")


def test_attack_an_old_checkpoint_replayed(workspace):
    old = workspace.ledger.latest().data
    data = permit_file.export(workspace, issue(workspace))
    entry, proof = parts(data)
    invalid(put_together(entry, replace(proof, checkpoint=old)), trust(workspace), "inclusion proof")


def test_attack_a_checkpoint_that_is_dated_long_before_the_permit(workspace):
    """Whoever holds the log's key signs the tree with a time from before."""
    digest = issue(workspace)
    data, believed = permit_file.export(workspace, digest), trust(workspace)
    entry, proof = parts(data)
    signed = workspace.ledger.latest()
    body = Checkpoint(workspace.origin, signed.size, signed.root)
    early = workspace.ledger.log.sign(body, lab.key(workspace, "log"), signed.time - 2 * 3600)
    invalid(put_together(entry, replace(proof, checkpoint=early)), believed, "longer before the permit starts")


# -- since when it stands there ----------------------------------------------------------------------------------------


def test_a_file_made_later_shows_when_its_permit_entered(workspace, monkeypatch):
    """The ledger has gone on since; the permit's own checkpoint is still the one that it entered under."""
    digest = issue(workspace)
    first = permit_file.export(workspace, digest)
    permit_lab.later(monkeypatch, workspace, now() + 2 * DAY)
    issue(workspace, single_use=True)
    data, believed = permit_file.export(workspace, digest), trust(workspace)
    assert logged_of(data) == logged_of(first)
    assert parts(data) != parts(first)
    assert ask(data, believed)


def test_attack_a_permit_dated_back_to_when_the_evidence_was_better(workspace, monkeypatch):
    """Its quorum signed it for the time from before, and the log took it; nothing else in the file tells."""
    believed, start = trust(workspace), now()
    issue(workspace)
    honest = lab.payload(workspace, "permit")
    pairs = [lab.key(workspace, name) for name in ("gatekeeper", "second")]
    before = longer_by_a_second(honest)
    permit_lab.later(monkeypatch, workspace, start + timedelta(minutes=59))
    assert ask(forged_file(workspace, before, *pairs), believed)
    permit_lab.later(monkeypatch, workspace, start + timedelta(minutes=62))
    late = forged_file(workspace, lab.changed(before, single_use=False, lineage=["1" * 64]), *pairs)
    holds(late, believed, "entered the ledger at .*, longer after its start at .* than the policy allows")


def longer_by_a_second(honest):
    end = PermitPredicate.from_json(dict(honest.predicate), "here").not_after
    return lab.changed(honest, not_after=timestamp(end + timedelta(seconds=1)))


def test_attack_an_entry_is_shown_since_another_one_stands_there(issued):
    """The times of an earlier entry, of another log, of a witness, or of after the checkpoint itself."""
    workspace, digest, data, believed = issued
    entry, proof = parts(data)
    place, view = permits.find(workspace.read(), digest).entry, workspace.ledger.read()
    other = prove(workspace.ledger, place - 1, view.entries[place - 1].data)
    invalid(put_together(entry, proof, other), believed, "logged: .*inclusion proof")
    invalid(put_together(entry, proof, replace(logged_of(data), index=place - 1)), believed, "logged: ")
    older = prefix.cut(workspace.ledger, view, place).history[-1]
    invalid(put_together(entry, proof, replace(logged_of(data), checkpoint=older)), believed, "logged: ")
    note = Note.parse(logged_of(data).checkpoint)
    line = cosign(note.text, "example.org/witness", keys.KeyPair.generate(), time=1)
    stranger = Note(note.text, (*note.signatures, line)).to_bytes()
    invalid(put_together(entry, proof, replace(logged_of(data), checkpoint=stranger)), believed, "signature line of")
    signed = workspace.ledger.latest()
    body = Checkpoint(workspace.origin, signed.size, signed.root)
    after = workspace.ledger.log.sign(body, lab.key(workspace, "log"), signed.time + 1)
    invalid(put_together(entry, proof, replace(proof, checkpoint=after)), believed, "logged: got entry")


def test_no_file_is_made_of_a_permit_that_the_rule_does_not_allow_any_more(workspace, monkeypatch):
    digest = issue(workspace)
    assert permit_file.export(workspace, digest)
    made.evaluate(workspace, correct=110, seed=9)
    with pytest.raises(Held, match=r"evidence shows skill >= 0\.5"):
        permit_file.export(workspace, digest)
    lab.later(monkeypatch, now() + timedelta(hours=2))
    with pytest.raises(Held, match="older than the policy allows"):
        permit_file.export(workspace, digest)


# -- keys -------------------------------------------------------------------------------------------------------------


def forged_file(workspace, made_one, *pairs):
    """What whoever holds the log's key can put together."""
    data = dsse.sign(made_one.to_bytes(), PAYLOAD_TYPE, pairs)
    lab.force(workspace, data)
    return put_together(data, prove(workspace.ledger, lab.size(workspace) - 1, data))


def longer(workspace):
    issue(workspace)
    honest = lab.payload(workspace, "permit")
    return lab.changed(honest, not_after="2099-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "names",
    [
        ["gatekeeper"],
        ["gatekeeper", "evaluation-team"],
        ["board-1", "board-2"],
        ["stranger"],
        ["gatekeeper", "stranger"],
    ],
    ids=str,
)
def test_attack_a_permit_that_the_quorum_did_not_sign(workspace, names):
    believed = trust(workspace)
    pairs = [keys.KeyPair.generate() if name == "stranger" else lab.key(workspace, name) for name in names]
    invalid(forged_file(workspace, longer(workspace), *pairs), believed, "is not signed by `gatekeeper`: got [01] of")


def test_attack_one_key_signs_twice(workspace):
    believed, made_one = trust(workspace), longer(workspace)
    envelope = json.loads(lab.envelope(made_one, lab.key(workspace, "gatekeeper")))
    envelope["signatures"] *= 2
    data = canonical.dumps(envelope)
    lab.force(workspace, data)
    forged = put_together(data, prove(workspace.ledger, lab.size(workspace) - 1, data))
    invalid(forged, believed, "got 1 of its keys, expected 2")


def test_attack_a_permit_to_release_that_is_not_for_one_use(workspace):
    believed = trust(workspace)
    issue(workspace, "release-weights")
    forged = lab.changed(lab.payload(workspace, "permit"), single_use=False)
    pairs = [lab.key(workspace, name) for name in ("gatekeeper", "second")]
    invalid(forged_file(workspace, forged, *pairs), believed, "expected a single-use permit")


def test_attack_a_permit_for_an_action_that_no_policy_gates(workspace):
    believed, pairs = trust(workspace), [lab.key(workspace, name) for name in ("gatekeeper", "second")]
    issue(workspace, single_use=True)
    forged = forged_file(workspace, lab.changed(lab.payload(workspace, "permit"), action="launch"), *pairs)
    holds(forged, believed, "cannot be taken back", action="launch")


# -- versions of the policy -------------------------------------------------------------------------------------------


def test_a_permit_ends_with_its_version_of_the_policy(workspace):
    """The trust file knows of an amendment; the permit was issued before, and says that it lasts longer."""
    data = permit_file.export(workspace, issue(workspace))
    effective = now() + 31 * DAY
    text = TWO.replace("version: 1.0.0", "version: 1.1.0").replace("lease: 30 days", "lease: 29 days")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(effective)}")
    workspace.amend(workspace.read(), loads(text, name="p", folder=workspace.folder), changes="x")
    believed = trust(workspace)
    assert [version.version for version in believed.versions] == ["1.0.0", "1.1.0"]
    early = replace(believed.versions[1], since=now() + DAY)
    hasty = replace(believed, versions=(believed.versions[0], early))
    assert permit_file.read(data, hasty, at=now()).until == early.since
    holds(data, hasty, "the permit ended at", at=early.since)
    only_next = replace(believed, versions=believed.versions[1:])
    holds(data, only_next, "which the trust file does not have; ask for a new permit, or install a new trust file")


def test_a_key_that_an_amendment_takes_out_issues_nothing_after_it(workspace):
    text = TWO.replace("version: 1.0.0", "version: 1.1.0").replace("keys/second.pub", "keys/fourth.pub")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(now() + 31 * DAY)}")
    keys.new_key(workspace.folder / "keys" / "fourth.key", passphrase=None)
    workspace.amend(workspace.read(), loads(text, name="p", folder=workspace.folder), changes="x")
    believed = trust(workspace)
    data = permit_file.export(workspace, issue(workspace))
    assert ask(data, believed)
    honest = lab.payload(workspace, "permit")
    old = [lab.key(workspace, name) for name in ("gatekeeper", "second")]
    invalid(forged_file(workspace, lab.changed(honest, single_use=True), *old), believed, "is not signed by")


# -- witnesses --------------------------------------------------------------------------------------------------------


def witnessed(data, pair, *, time, name="example.org/witness"):
    """The file, with a cosignature under its checkpoint."""
    entry, proof = parts(data)
    note = Note.parse(proof.checkpoint)
    line = cosign(note.text, name, pair, time=time)
    cosigned = replace(proof, checkpoint=Note(note.text, (*note.signatures, line)).to_bytes())
    return put_together(entry, cosigned, logged_of(data))


def quorum_file(pair):
    key = NoteKey("example.org/witness", pair.public, COSIGNATURE)
    return f"witness one {key.vkey}\nquorum one\n"


def test_witnesses_are_asked_for_where_the_trust_file_has_them(workspace):
    pair, other = keys.KeyPair.generate(), keys.KeyPair.generate()
    data = permit_file.export(workspace, issue(workspace))
    plain, strict = trust(workspace), trust(workspace, witnesses=quorum_file(pair))
    moment = int(now().timestamp())
    good = witnessed(data, pair, time=moment)
    assert permit_file.read(good, strict, at=now()).cosigned_by == ("one",)
    invalid(data, strict, "quorum `one` is not met")
    invalid(witnessed(data, other, time=moment), strict, "quorum `one` is not met")
    invalid(witnessed(data, pair, time=moment + 10**6), strict, "dated in the future")
    invalid(witnessed(data, pair, time=moment - 2 * 3600), strict, "longer before the permit starts")
    invalid(witnessed(good, other, time=moment, name="other"), strict, "that no witness of the file made")
    invalid(good, plain, "expected none without a file of witnesses")


# -- the trust file ---------------------------------------------------------------------------------------------------

BAD_TRUST = {
    "nothing": (lambda it: {}, "`digest` is missing"),
    "no format": (lambda it: {name: one for name, one in it.items() if name != "trust"}, "`trust` is missing"),
    "another format": (lambda it: {**it, "trust": "x"}, "expected one of"),
    "one member more": (lambda it: {**it, "override": True}, "unknown member `override`"),
    "no log": (lambda it: {**it, "log": "x"}, "trust file"),
    "no versions": (lambda it: {**it, "versions": []}, "one version of the policy or more"),
    "a version twice": (lambda it: {**it, "versions": it["versions"] * 2}, "stands there twice"),
    "witnesses that cannot be read": (lambda it: {**it, "witnesses": "quorum none\n"}, "asks for no witness"),
    "witnesses of no kind": (lambda it: {**it, "witnesses": 5}, "neither text nor null"),
}


@pytest.mark.parametrize(("change", "match"), BAD_TRUST.values(), ids=BAD_TRUST)
def test_a_trust_file_that_is_none_is_refused(issued, change, match):
    value = json.loads(issued[3].to_bytes())
    with pytest.raises(EvidenceError, match=match) as caught:
        Trust.parse(json.dumps(change(value)).encode())
    assert str(caught.value).startswith("trust file")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"actions": {"release-weights": "reversible"}}, "or weights come back"),
        ({"actions": {"scale": "maybe"}}, "neither reversible nor irreversible"),
        ({"issued_by": {"role": "x", "keys": [], "quorum": 0}}, "a quorum of 0 of 0 keys"),
        ({"since": "soon"}, "expected a time"),
    ],
    ids=str,
)
def test_a_version_in_a_trust_file_that_cannot_be_is_refused(issued, members, match):
    value = json.loads(issued[3].to_bytes())
    value["versions"][0] |= members
    with pytest.raises(EvidenceError, match=match):
        Trust.parse(json.dumps(value).encode())


def test_no_bit_of_what_a_trust_file_says_turns_unseen(issued):
    """Nobody signed it; white space aside, it says what it said when it was written."""
    data, believed = issued[3].to_bytes(), issued[3]
    for bit in random.Random(8).sample(range(8 * len(data)), 800):  # noqa: S311  a sample, not a secret
        forged = bytearray(data)
        forged[bit // 8] ^= 1 << bit % 8
        assert unseen(bytes(forged)) in (None, believed)  # a trust file has no hash


def unseen(data):
    """What a trust file says; None if it is refused."""
    try:
        return Trust.parse(data)
    except EvidenceError:
        return None


def test_a_forged_permit_that_ends_before_it_starts_is_refused(workspace):
    believed, pairs = trust(workspace), [lab.key(workspace, name) for name in ("gatekeeper", "second")]
    issue(workspace)
    honest = lab.payload(workspace, "permit")
    terms = PermitPredicate.from_json(dict(honest.predicate), "here")
    forged = statement(
        "permit", name="m", digest=SUBJECT, predicate=replace(terms, not_after=terms.not_before).to_json()
    )
    assert isinstance(forged, Statement)
    invalid(forged_file(workspace, forged, *pairs), believed, "ends before it starts")
