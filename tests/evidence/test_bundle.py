"""Bundles: what an honest one shows, and what no dishonest one can show."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lab
import story
from interlock import cli
from interlock.decide.decision import timestamp
from interlock.decide.facts import Step
from interlock.errors import EvidenceError, LedgerError, PolicyError, UsageError
from interlock.evidence import bundle
from interlock.evidence.keys import KeyPair
from interlock.evidence.predicates import statement
from interlock.gate import permit as permits
from interlock.ledger._signed import Log
from interlock.ledger.note import ED25519, Note, NoteKey, cosign
from interlock.ledger.seal import Seal
from interlock.ledger.writer import Writer, create
from interlock.policy import compile as compiled
from interlock.policy.model import At, Never
from interlock.policy.time import Duration
from interlock.workspace import now

# Not to be changed.
HONEST = story.honest()
BUNDLE = HONEST.bundle()


def verdict(told: story.Story) -> str:
    """What a reader of the story's bundle is told, who trusts the log and the policy."""
    return bundle.verify(told.bundle(), told.log, policy=told.digest).decision.verdict


def refused(told: story.Story, data: bytes, match: str) -> None:
    with pytest.raises((EvidenceError, LedgerError), match=match):
        bundle.verify(data, told.log, policy=told.digest)


def members(data: bytes = BUNDLE) -> dict:
    return json.loads(data)


def canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


# -- an honest one ----------------------------------------------------------------------------------------------------


def test_an_honest_bundle_is_small_and_permits():
    verified = bundle.verify(BUNDLE, HONEST.log, policy=HONEST.digest)
    assert len(BUNDLE) <= 16 * 1024
    assert (verified.decision.verdict, verified.record.kind, verified.record.entry) == ("permit", "decision", 5)
    assert (verified.policy, verified.pinned, verified.logs, verified.unread) == (HONEST.digest, True, 1, 0)
    assert verified.shown.cosigned_by == ()


def test_every_entry_has_the_time_of_the_first_checkpoint_that_covers_it():
    told = story.told()
    subject = told.evaluated()
    told = told.together([1, 2, 5])
    told.decide(subject)
    entries = bundle.verify(told.bundle(), told.log).shown.view.entries
    assert [(entry.time - story.START) / story.STEP for entry in entries] == [1, 2, 5, 5, 5, 6]


def test_a_hold_verifies_as_a_hold():
    told = story.told()
    told.decide(told.register("model"))
    assert verdict(told) == "hold"


def test_entries_after_the_decision_are_covered_by_proofs():
    told = story.honest()
    for number in range(7):
        told.register(f"another {number}")
    data = bundle.to_bytes(told.prefix(6))
    verified = bundle.verify(data, told.log, policy=told.digest)
    assert (verified.decision.verdict, verified.unread, verified.shown.view.size) == ("permit", 7, 6)
    together = told.together([1, 2, 3, 4, 5, 9, 13])
    verified = bundle.verify(bundle.to_bytes(together.prefix(6)), told.log)
    assert (verified.unread, verified.shown.view.size) == (7, 6)


def test_an_entry_that_is_logged_as_a_payload_stands_in_a_bundle_itself():
    told = story.told()
    subject = told.evaluated()
    told.register("one of many files", files=600)
    told.decide(subject)
    assert len(told.entries[-2].data) > 65_535
    assert verdict(told) == "permit"


# -- every bit --------------------------------------------------------------------------------------------------------


def test_two_thousand_single_bit_changes_are_refused():
    bits = random.Random(4).sample(range(8 * len(BUNDLE)), 2_000)  # noqa: S311  all: scripts/flip_bundle_bits.py
    for bit in bits:
        changed = bytearray(BUNDLE)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((EvidenceError, LedgerError)):
            bundle.verify(bytes(changed), HONEST.log)


@given(st.integers(0, len(BUNDLE)), st.integers(0, 64), st.binary(max_size=64))
@settings(max_examples=300)
def test_no_other_bytes_are_taken_for_it(at, removed, put):
    changed = BUNDLE[:at] + put + BUNDLE[at + removed :]
    if changed != BUNDLE:
        with pytest.raises((EvidenceError, LedgerError)):
            bundle.verify(changed, HONEST.log)


SPELLED = {
    "a newline behind": (lambda data: data + b"\n", "another spelling"),
    "a space before": (lambda data: b" " + data, "another spelling"),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, "no JSON"),
    "spaces after commas": (lambda data: json.dumps(json.loads(data), ensure_ascii=False).encode(), "another spelling"),
    "escaped dashes": (lambda data: data.replace("\N{EM DASH}".encode(), b"\\u2014"), "another spelling"),
    "a member twice": (lambda data: data[:-1] + b',"history_proof":[]}', "another spelling"),
    "an unknown member": (lambda data: canonical(members(data) | {"note": "x"}), "expected an object of"),
    "a missing member": (
        lambda data: canonical({k: v for k, v in members(data).items() if k != "history"}),
        "expected",
    ),
    "another format": (lambda data: canonical(members(data) | {"bundle": "urn:interlock:bundle:v2"}), "got format"),
    "no entries": (lambda data: canonical(members(data) | {"entries": []}), "got no entries"),
    "entries that are no list": (lambda data: canonical(members(data) | {"entries": "x"}), "entries: got something"),
    "an entry that is no text": (lambda data: canonical(members(data) | {"entries": [1]}), "entries: got something"),
    "a checkpoint that is no text": (lambda data: canonical(members(data) | {"checkpoint": []}), "expected text"),
    "a proof that is not base64": (lambda data: canonical(members(data) | {"history_proof": ["?"]}), "history_proof"),
    "a list": (lambda _: b"[]", "expected an object"),
    "nothing": (lambda _: b"", "no JSON"),
    "nesting without end": (lambda _: b"[" * 100_000, "no JSON"),
    "not UTF-8": (lambda data: data.replace(b"urn:", b"urn\xff"), "no JSON"),
    "a lone surrogate": (lambda data: data.replace(b"urn:", b"urn\\ud800"), "got format|lone surrogate"),
    "a lone surrogate in an entry": (
        lambda data: data.replace(b'"entries":["', b'"entries":["\\ud800'),
        "lone surrogate",
    ),
}


@pytest.mark.parametrize("case", SPELLED)
def test_a_bundle_has_one_spelling(case):
    change, match = SPELLED[case]
    refused(HONEST, change(BUNDLE), match)


def test_a_bundle_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(bundle, "LIMIT", len(BUNDLE) - 1)
    refused(HONEST, BUNDLE, "got more than")


# -- attacks on what the log says -------------------------------------------------------------------------------------


def altered(change) -> bytes:
    """The honest bundle with other members."""
    found = members()
    change(found)
    return canonical(found)


def _swap(items, a, b):
    items[a], items[b] = items[b], items[a]


def _without_history(number):
    return lambda found: found["history"].pop(number)


def _truncate(found):
    found["entries"].pop()
    found["history"].pop()


def _alter(found):
    found["entries"][3] = found["entries"][3].replace("A", "B", 1)


def _drop_result(found):
    del found["entries"][3]


LEDGERS = {
    "ledger truncated: the decision is gone, its checkpoint too": (_truncate, "checkpoint: "),
    "ledger truncated: an entry less than the history": (
        lambda it: it["entries"].pop(),
        "after the one that covers all",
    ),
    "ledger truncated: a history less than the entries": (_without_history(-1), "history: ends at size 5, expected 6"),
    "ledger reordered": (lambda it: _swap(it["entries"], 3, 4), "entries 3 to 3: got root"),
    "entry altered": (_alter, "entries 3 to 3: got root"),
    "entry left out": (_drop_result, "entries 3 to 3: got root"),
    "entry put in": (lambda it: it["entries"].insert(3, it["entries"][3]), "entries 4 to 4: got root"),
    "entry put behind": (lambda it: it["entries"].append(it["entries"][3]), "history: ends at size 6, expected 7"),
    "an entry is only the name of its payload": (
        lambda it: it["entries"].__setitem__(3, "interlock payload v1\nsha256 " + "0" * 64 + "\n70000\n"),
        "begins with `interlock payload v1`",
    ),
    "history note dropped: the first": (_without_history(0), "got size 1 first, expected 0"),
    "history reordered": (lambda it: _swap(it["history"], 2, 3), "history 3: got size 2 after 3"),
    "history note twice": (lambda it: it["history"].insert(2, it["history"][2]), "got size 2 after 2"),
    "no history": (lambda it: it["history"].clear(), "ends at size nothing"),
    "checkpoint put back to an earlier one": (
        lambda it: it.update(checkpoint=it["history"][3]),
        "checkpoint: got size 3, expected 6 or more",
    ),
    "a proof where none is needed": (
        lambda it: it.update(checkpoint_proof=[base64.b64encode(b"0" * 32).decode()]),
        "expected none",
    ),
    "a history's proof where none is needed": (
        lambda it: it.update(history_proof=[base64.b64encode(b"0" * 32).decode()]),
        "expected none",
    ),
}


@pytest.mark.parametrize("case", LEDGERS)
def test_attack_on_the_ledger_in_a_bundle(case):
    change, match = LEDGERS[case]
    refused(HONEST, altered(change), match)


def test_attack_ledger_forked():
    """The log signs another tree of the same size for somebody else, and one checkpoint of it is put in."""
    fork = replace(HONEST, entries=[*HONEST.entries[:3], HONEST.entries[4], HONEST.entries[3], HONEST.entries[5]])
    other = fork.note(6, fork.now).decode()
    refused(HONEST, altered(lambda it: it.update(checkpoint=other)), "checkpoint: got root .* two trees of one size")
    refused(
        HONEST, altered(lambda it: it["history"].__setitem__(4, fork.note(4, fork.notes[4][1]).decode())), "got root"
    )
    told = story.honest()
    told.register("later")
    fork = replace(told, entries=[*fork.entries, told.entries[6]])
    forked = replace(told.prefix(6), checkpoint=fork.note(7, told.now))
    refused(told, bundle.to_bytes(forked), "checkpoint: consistency proof: got")


def test_attack_proof_for_another_tree():
    told, other = story.honest(), story.honest()
    for one in (told, other):
        one.register("later")
    mine, others = told.prefix(6), other.prefix(6)
    assert bundle.verify(bundle.to_bytes(mine), told.log).unread == 1
    refused(told, bundle.to_bytes(replace(mine, checkpoint_proof=others.checkpoint_proof)), "consistency proof: got")
    refused(told, bundle.to_bytes(replace(mine, checkpoint_proof=())), "got no hashes")
    refused(told, bundle.to_bytes(replace(mine, checkpoint_proof=mine.checkpoint_proof * 2)), "expected fewer")
    refused(told, bundle.to_bytes(replace(mine, checkpoint_proof=(b"short",))), "a hash of 5 bytes")


@pytest.mark.parametrize("part", ["entries", "history", "checkpoint"])
def test_attack_a_part_of_another_logs_bundle(part):
    other = members(story.honest().bundle())
    refused(HONEST, altered(lambda it: it.update({part: other[part]})), "bundle: ")


def test_attack_another_log_of_the_same_name():
    other = Log(story.ORIGIN, KeyPair.generate().public)
    with pytest.raises(LedgerError, match="expected the log's signature"):
        bundle.verify(BUNDLE, other)
    with pytest.raises(LedgerError, match="expected the log's signature"):
        bundle.verify(BUNDLE, Log("another/ledger", HONEST.keys["log"].public))


def test_attack_a_line_that_nobody_checks():
    """The cosignature of a witness whose key the reader does not have is a field that nobody signed."""
    note = Note.parse(members()["checkpoint"].encode())
    line = cosign(note.text, "a.witness", KeyPair.generate(), time=story.seconds(HONEST.now))
    signed = replace(note, signatures=(*note.signatures, line)).to_bytes().decode()
    refused(HONEST, altered(lambda it: it.update(checkpoint=signed)), "signature line of `a.witness`, expected none")
    refused(HONEST, altered(lambda it: it["history"].__setitem__(2, signed)), "history 2: got 7 lines")


def witnessed(*pairs, seconds=0, told=HONEST):
    """The honest bundle, its checkpoint cosigned by these keys as `w0`, `w1`, ..."""
    note = Note.parse(members()["checkpoint"].encode())
    at = story.seconds(told.now) + seconds
    lines = [cosign(note.text, f"w{number}", pair, time=at) for number, pair in enumerate(pairs)]
    signed = replace(note, signatures=(*note.signatures, *lines)).to_bytes().decode()
    return altered(lambda it: it.update(checkpoint=signed))


def test_a_quorum_of_witnesses_is_asked_for_and_named(tmp_path, capsys):
    first, second, stranger = (KeyPair.generate() for _ in range(3))
    keys = [NoteKey(f"w{number}", pair.public, 4).vkey for number, pair in enumerate((first, second))]
    file, quorum = tmp_path / "bundle.json", tmp_path / "quorum"
    quorum.write_text(f"witness one {keys[0]}\nwitness two {keys[1]}\ngroup both all one two\nquorum both\n")
    vkey = NoteKey(story.ORIGIN, HONEST.keys["log"].public).vkey
    for data, code, match in (
        (witnessed(first, second), 0, ""),
        (witnessed(first), 4, "quorum `both` is not met"),
        (BUNDLE, 4, "quorum `both` is not met"),
        (witnessed(first, stranger), 4, "quorum `both` is not met"),
        (witnessed(first, second, stranger), 4, "signature line of `w2` that no witness of the file made"),
        (witnessed(first, second, seconds=10**9), 4, "dated in the future"),
    ):
        file.write_bytes(data)
        said = run(capsys, "bundle", "verify", file, "--vkey", vkey, "--witnesses", quorum, "--json")
        assert (said.code, match in said.err) == (code, True), said
        if code == 0:
            assert said.json["checkpoint"]["cosigned_by"] == ["one", "two"]
    assert run(capsys, "bundle", "verify", file, "--vkey", vkey, "--witnesses", tmp_path / "none").code == 2
    quorum.write_text("quorum none\n")
    assert run(capsys, "bundle", "verify", file, "--vkey", vkey, "--witnesses", quorum).code == 2


def test_attack_checkpoint_from_the_past_of_the_history():
    early = HONEST.note(6, story.START).decode()
    refused(HONEST, altered(lambda it: it.update(checkpoint=early)), "checkpoint: got time .* or later by the history")
    refused(HONEST, altered(lambda it: it["history"].__setitem__(4, HONEST.note(4, story.START).decode())), "or later")


# -- attacks on what the entries say ----------------------------------------------------------------------------------


def test_attack_checkpoint_from_the_future():
    """A decision that claims to have read a checkpoint that was signed after it, or that covers what came after it."""
    told = story.told()
    subject = told.evaluated()
    honest = told.decision(subject).predicate["checkpoint"]
    for lie, match in (
        ({"time": story.timestamp(told.now + timedelta(days=1))}, "claims times"),
        ({"size": 6}, "claims a checkpoint of size 6, expected 1 to 5"),
        ({"root": "0" * 64}, "claims root"),
    ):
        liar = replace(told, entries=[*told.entries], notes=[*told.notes])
        liar.decide(subject, checkpoint={**honest, **lie})
        refused(liar, liar.bundle(), match)
    liar = replace(told, entries=[*told.entries], notes=[*told.notes])
    liar.decide(subject, at=story.timestamp(told.now + timedelta(days=1)))
    refused(liar, liar.bundle(), "claims times")


def test_attack_threshold_edited_after_the_run():
    """The same evidence under a higher threshold: as entry 0, as a second policy, and in the digest that is trusted."""
    told = story.told()
    subject = told.evaluated(correct=60)
    told.decide(subject)
    assert verdict(told) == "hold"
    raised = loads_raised(told)
    edited = replace(told, policy=raised, entries=[], notes=[(0, story.START)])
    edited.adopt()
    for entry in told.entries[1:5]:
        edited.put(entry.data)
    edited.decide(subject)
    assert bundle.verify(edited.bundle(), edited.log).decision.verdict == "permit"  # under the policy that it names
    refused(told, edited.bundle(), "policy .*, expected")  # which is not the one that is trusted
    second = replace(told, entries=told.entries[:5], notes=told.notes[:6])
    second.say(edited_policy(raised), "board_1", "board_2")
    second.decide_forced(subject)
    refused(second, second.bundle(), "expected a policy as entry 0 and nowhere else")


def loads_raised(told):
    text = story.SMALL.replace(">= 0.50", ">= 0.90")
    return story.loads(text.format(**story.names(told.keys)), name="raised", folder=None)


def edited_policy(policy):
    digest = compiled.digest(policy)
    return lab.statement("policy", name=policy.id, digest=digest, predicate=compiled.to_json(policy))


def lies(told: story.Story, subject: str) -> None:
    """Record that the rule permits, where it holds: the decision of the honest story, about this ledger and subject."""
    honest = HONEST.decision(HONEST_SUBJECT)
    made = told.decision(subject)
    permit = {**made.predicate, "verdict": "permit", "bounds": honest.predicate["bounds"]}
    told.say(lab.Statement(made.predicate_type, made.subjects, permit), "team")


HONEST_SUBJECT = HONEST.read().subject("model").digest


def holds_and_cannot_lie(told: story.Story, subject: str) -> None:
    """The honest decision is a hold, and one that says otherwise is refused."""
    honest, liar = (replace(told, entries=[*told.entries], notes=[*told.notes]) for _ in range(2))
    honest.decide(subject)
    assert verdict(honest) == "hold"
    lies(liar, subject)
    refused(liar, liar.bundle(), "says `permit` otherwise than the rule, which says `hold`")


def _result_without_plan(told):
    subject = told.register("model")
    told.report(subject, "0" * 64, correct=10)
    told.state(subject)
    return subject


def _plan_after_the_result(told):
    subject = told.register("model")
    told.report(subject, "0" * 64, correct=10)
    told.plan(subject)
    told.state(subject)
    return subject


def _result_of_another_plan(told):
    subject = told.register("model")
    told.report(subject, told.plan(subject, seed=1), correct=10)
    told.state(subject)
    return subject


def _plan_without_result(told):
    subject = told.evaluated()
    told.plan(subject, seed=1, within=timedelta())
    told.state(subject)  # when this is said, the report is overdue
    return subject


def _bad_run_on_a_near_copy(told):
    subject = told.evaluated()
    copy = told.register("copy", Step(subject, "fine-tuned", 1), compute=story.COMPUTE + 1)
    told.report(copy, told.plan(copy), correct=110)
    return subject


def _bad_run_beside_a_good_one(told):
    subject = told.evaluated()
    told.report(subject, told.plan(subject, seed=1), correct=110)
    return subject


def _result_by_another_role(told):
    subject = told.register("model")
    told.report(subject, told.plan(subject, "auditor"), correct=10, signer="auditor")
    told.state(subject)
    return subject


def _assumption_by_another_role(told):
    subject = told.register("model")
    told.report(subject, told.plan(subject), correct=10)
    told.state(subject, signer="team")
    return subject


def _thin_result(told):
    subject = told.register("model")
    told.report(subject, told.plan(subject), correct=10, scored=60)
    told.state(subject)
    return subject


STORIES = {
    "result without plan": _result_without_plan,
    "plan after the result": _plan_after_the_result,
    "result of another plan than the one that was announced": _result_of_another_plan,
    "plan without result": _plan_without_result,
    "bad run hidden on a near-copy of the model": _bad_run_on_a_near_copy,
    "bad run beside a good one": _bad_run_beside_a_good_one,
    "result signed outside the role": _result_by_another_role,
    "assumption signed outside the role": _assumption_by_another_role,
    "half the samples without a score": _thin_result,
}


@pytest.mark.parametrize("case", STORIES)
def test_attack_on_the_evidence_in_a_bundle(case):
    told = story.told()
    holds_and_cannot_lie(told, STORIES[case](told))


def test_attack_signer_outside_every_role():
    told = story.told()
    told.keys["stranger"] = KeyPair.generate()
    subject = told.register("model")
    told.report(subject, told.plan(subject), correct=10)
    told.state(subject, signer="stranger")
    told.decide_forced(subject)
    refused(told, told.bundle(), "entry 4: signed by the quorum of no role")


def test_attack_quorum_by_one_key_twice():
    """The policy needs two of the board; one of them signs twice, or stands in the role under two key ids."""
    told = story.told()
    signed = json.loads(told.entries[0].data)
    for signatures in ([signed["signatures"][0]] * 2, signed["signatures"][:1]):
        alone = replace(told, entries=[], notes=[(0, story.START)])
        alone.put(canonical(signed | {"signatures": signatures}))
        alone.decide_forced("0" * 64)
        refused(alone, alone.bundle(), "entry 0: signed by the quorum of no role")
    twice = compiled.to_json(told.policy)
    twice["roles"]["board"]["keys"][1] = twice["roles"]["board"]["keys"][0]
    refused_policy(told, twice, "twice")


def test_attack_auditor_not_independent():
    told = story.told()
    shared = compiled.to_json(told.policy)
    shared["roles"]["auditor"]["keys"] = shared["roles"]["team"]["keys"]
    refused_policy(told, shared, "independent")


def refused_policy(told: story.Story, policy: dict, match: str) -> None:
    """A bundle whose policy is this one, signed by the quorum, is refused, whether or not a policy is expected."""
    digest = story.hashlib.sha256(canonical(policy)).hexdigest()
    made = lab.statement("policy", name="lab/rsp", digest=digest, predicate=policy)
    forged = replace(told, entries=[], notes=[(0, story.START)])
    forged.say(made, "board_1", "board_2")
    forged.decide_forced("0" * 64)
    for pinned in (digest, None):
        with pytest.raises((EvidenceError, PolicyError), match=match):
            bundle.verify(forged.bundle(), forged.log, policy=pinned)


def test_attack_an_older_checkpoint_chosen_to_decide_by():
    """A bad result came in; the decision reads up to just before it."""
    told = story.told()
    subject = told.evaluated()
    told.report(subject, told.plan(subject, seed=1), correct=110)
    made = told.decision(subject, read_up_to=5)
    assert made.predicate["verdict"] == "permit"
    told.say(made, "team")
    refused(told, told.bundle(), "claims times that do not fit what it had read")


def test_attack_an_older_checkpoint_and_the_notes_dropped_that_would_tell():
    """The bad result is made to look as late as the decision: the times fit, and what was left unread still tells."""
    told = story.told()
    subject = told.evaluated()
    told.report(subject, told.plan(subject, seed=1), correct=110)
    made = told.decision(subject, read_up_to=5)
    told.say(made, "team", after=timedelta())
    dropped = replace(told, notes=[note for note in told.notes if note[0] not in {6, 7}])
    refused(told, dropped.bundle(), "had read 5 entries, expected all 7 before it")


def stale() -> tuple[story.Story, str]:
    """Evidence that was sound, four months ago; it is fresh for three."""
    told = story.told()
    subject = told.register("model")
    told.report(subject, told.plan(subject, within=timedelta(days=21) - story.STEP), correct=10)
    told.wait(timedelta(days=120))
    told.state(subject)
    return told, subject


def test_attack_history_notes_dropped_so_that_stale_evidence_seems_fresh():
    """Every entry is dated by one late note. The decision that follows from these dates is recorded, and permits."""
    told, subject = stale()
    holds_and_cannot_lie(told, subject)
    early = told.together({5})  # nothing was said after the policy: then the auditor's word came before it
    early.decide(subject, after=timedelta())
    assert verdict(early) == "hold"
    for kept in ({1, 5}, {1, 2, 5}):
        late = told.together(kept)
        late.decide(subject, after=timedelta())
        refused(late, late.bundle(), "may be older than the history shows: then it holds")


def test_attack_history_notes_put_in_the_place_of_others_so_that_stale_evidence_seems_fresh():
    """The log signs its latest tree again now and then; such a note, of the same size, dates the plan later."""
    told, subject = stale()
    late = told.dated([told.notes[n] if n < 3 else (n, told.now) for n in range(6)])
    late.decide(subject, after=timedelta())
    refused(late, late.bundle(), "may be older than the history shows: then it holds")


def test_attack_a_shorter_time_to_report_does_not_hide_how_old_a_plan_may_be():
    """The version in force by now would not have allowed the plan so late a report; the one of then did."""
    told = story.told()
    subject = told.register("model")
    told.report(subject, told.plan(subject, within=timedelta(days=21) - story.STEP), correct=10)
    stricter = replace(told.policy, version="1.1.0", report_within=Duration(0, 86400), effective=told.now)
    told.amend(stricter)
    told.wait(timedelta(days=65))  # and 31 more: fresh for three months from the 20th day on, and not from the first
    told.state(subject)
    late = told.dated([told.notes[n] if n < 3 else (n, told.now) for n in range(len(told.notes))])
    late.wait(timedelta(days=31))
    late.state(subject)
    late.decide(subject, after=timedelta())
    assert late.read().policy.version == "1.1.0"
    refused(late, late.bundle(), "may be older than the history shows: then it holds")


def test_attack_a_stricter_version_is_made_to_look_as_if_its_notice_were_not_over():
    told = story.told()
    subject = told.evaluated()
    stricter = replace(told.policy, version="1.1.0", not_governed={}, effective=told.now + timedelta(days=1))
    cells = {"skilled": replace(told.policy.gates["scale"]["skilled"], requires=("secure", "never"))}
    level = replace(told.policy.thresholds["skilled"], reached_when=At("skill", Fraction("0.05")))
    every = dict.fromkeys(("scale", "deploy-internal", "deploy-api", "release-weights"), cells)
    never = {**told.policy.requirements, "never": Never("never")}
    stricter = replace(stricter, gates=every, requirements=never, thresholds={"skilled": level})
    told.amend(stricter)
    told.wait(timedelta(days=40))
    told.state(subject)
    holds = replace(told, entries=[*told.entries], notes=[*told.notes])
    holds.decide(subject)
    assert verdict(holds) == "hold"
    late = told.dated([told.notes[n] if n < 6 else (n, told.now) for n in range(len(told.notes))])
    late.decide(subject, after=timedelta())
    refused(late, late.bundle(), "may be older than the history shows: then it holds")


def loosened(told: story.Story, level: str = "0.50", **changes) -> None:
    """The next version, in force a month from now, by which only what is at `level` is reached."""
    skilled = replace(told.policy.thresholds["skilled"], reached_when=At("skill", Fraction(level)))
    told.amend(replace(told.policy, version="1.1.0", effective=told.now, thresholds={"skilled": skilled}, **changes))


def holds_and_looks_open(told: story.Story, subject: str, later: dict[int, datetime]) -> None:
    """The ledger holds. The log then signs other notes of these sizes, of a later time, and whoever makes a bundle of
    them can record a decision that permits. It is refused.
    """
    true = replace(told, entries=[*told.entries], notes=[*told.notes])
    true.decide(subject, after=timedelta())
    assert verdict(true) == "hold"
    late = told.dated([(size, later.get(size, time)) for size, time in told.notes])
    assert late.decision(subject).predicate["verdict"] == "permit"
    late.decide(subject, after=timedelta())
    refused(late, late.bundle(), "may be older than the history shows: then it holds")


def test_attack_a_bad_run_is_made_to_look_as_if_only_a_looser_version_had_seen_it():
    told = story.under("skill >= 0.50", "skill >= 0.30")
    subject = told.register("model")
    loosened(told)
    told.wait(timedelta(days=5))
    told.report(subject, "0" * 64, correct=40)
    bad, seen = told.notes[-1]
    told.wait(timedelta(days=27))
    told.report(subject, told.plan(subject), correct=10)
    told.state(subject)
    holds_and_looks_open(told, subject, {bad: seen + timedelta(days=26)})


def test_attack_an_incident_is_made_to_look_as_if_only_a_version_with_a_smaller_budget_had_seen_it():
    told = story.under("share: 0.01", "share: 0.10")
    subject = told.register("model")
    cost = story.COMPUTE // 20
    copy = told.register("copy", Step(subject, "fine-tuned", cost), compute=story.COMPUTE + cost)
    loosened(told, attacker_budget=Fraction("0.01"))
    told.wait(timedelta(days=5))
    incident(told, copy, thresholds=["skilled"])
    stolen, seen = told.notes[-1]
    told.wait(timedelta(days=27))
    told.report(subject, told.plan(subject), correct=10)
    told.state(subject)
    holds_and_looks_open(told, subject, {stolen: seen + timedelta(days=26)})


def incident(told: story.Story, subject: str, *, thresholds: Sequence[str] = ()) -> None:
    said = {"kind": "theft", "about": "subject", "thresholds": list(thresholds), "requirements": [], "moments": {}}
    said |= {"resolved": None, "statement": "x", "at": timestamp(told.now)}
    told.say(statement("incident", name="model", digest=subject, predicate=said), "auditor")


def test_attack_an_incident_and_a_plan_of_one_second_are_drawn_apart():
    """What was planned in the second of the incident is as stale as what was planned before it."""
    told = story.under("period: 3 months", "period: 3 months, events: [theft]")
    subject = told.register("model")
    told.wait(timedelta(days=1))
    incident(told, subject)
    told.report(subject, told.plan(subject, within=timedelta(days=9)), correct=10)
    told.state(subject)
    planned, seen = told.notes[4]
    together = told.dated([(n, seen - story.STEP) if n == planned else (n, it) for n, it in told.notes])
    holds_and_looks_open(together, subject, {planned: seen})


def test_attack_a_looser_version_and_what_came_before_it_are_made_to_look_older_and_younger():
    """By the times shown the plan is younger than the version; as old as both may be, it is so, too."""
    told = story.under("skill >= 0.50", "skill >= 0.10")
    subject = told.register("model")
    told.wait(timedelta(days=5))
    loosened(told)  # in force from the 35th day on, or if it is as old as it may be, from the 30th
    told.wait(timedelta(days=26))
    told.register("another")
    told.wait(timedelta(days=2))
    told.report(subject, told.plan(subject, within=timedelta(days=9)), correct=10)
    planned, seen = told.notes[5]
    told.wait(timedelta(days=3))
    told.register("a third")
    told.state(subject)
    late = seen + timedelta(days=3)
    holds_and_looks_open(told, subject, {planned: late, planned + 1: late})


def test_attack_a_word_by_a_key_that_was_yet_to_come_is_made_to_look_as_if_it_had():
    told = story.told()
    told.keys["newcomer"] = KeyPair.generate()
    subject = told.register("model")
    auditor = replace(told.policy.roles["auditor"], keys=(str(told.keys["newcomer"].public),))
    loosened(told, roles={**told.policy.roles, "auditor": auditor})
    told.wait(timedelta(days=5))
    said = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "yes"}
    said["at"] = timestamp(told.now)
    word = statement("attestation", name="model", digest=subject, predicate=said)
    told.say(word, "newcomer", "board_1", "board_2")
    early, seen = told.notes[-1]
    told.wait(timedelta(days=27))
    told.report(subject, told.plan(subject), correct=10)
    holds_and_looks_open(told, subject, {early: seen + timedelta(days=26)})


def test_attack_a_word_from_before_the_policy_stands_in_for_what_is_stale():
    """By the times shown the threshold is below; as old as the policy may be, the word counts that there was before."""
    told = story.under("elicitation: [few-shot]", "elicitation: [few-shot, prompted]")
    subject = told.register("model")
    said = {"kind": "requirement", "name": "secure", "about": "developer", "statement": "yes"}
    said["at"] = timestamp(story.START + story.STEP / 2)
    told.say(statement("attestation", name=told.policy.id, digest=told.digest, predicate=said), "auditor")
    prompted = {"elicitation": "prompted", "shots": 0}
    told.report(subject, told.plan(subject, within=timedelta(days=20), **prompted), correct=10, **prompted)
    stale = len(told.notes) - 2
    told.wait(timedelta(days=90))
    told.report(subject, told.plan(subject), correct=10)
    told.wait(timedelta(days=10))
    told.state(subject)
    late = story.START + timedelta(days=85)
    holds_and_looks_open(told, subject, {stale: late, stale + 1: late})


def test_an_honest_bundle_permits_under_a_later_version():
    told = story.told()
    subject = told.register("model")
    loosened(told)
    told.wait(timedelta(days=40))
    told.state(subject)
    told.report(subject, told.plan(subject), correct=10)
    told.decide(subject)
    assert verdict(told) == "permit"


@pytest.mark.parametrize("kept", range(32))
def test_attack_history_note_dropped(kept):
    """Whichever notes are left out, the bundle is refused, or shows the decision that the whole history shows."""
    notes = [note for note in HONEST.notes if note[0] in {0, 6} or kept >> note[0] - 1 & 1]
    try:
        verified = bundle.verify(replace(HONEST, notes=notes).bundle(), HONEST.log)
    except (EvidenceError, LedgerError):
        return
    whole = bundle.verify(BUNDLE, HONEST.log)
    assert verified.decision == whole.decision
    entries = zip(verified.shown.view.entries, whole.shown.view.entries, strict=True)
    assert all(late.time >= true.time for late, true in entries)


def test_a_bundle_that_ends_in_something_else_than_a_decision_is_refused():
    refused(HONEST, bundle.to_bytes(HONEST.prefix(5)), "is a `urn:interlock:attestation:v1`, expected a decision")


def test_nothing_stands_after_a_seal():
    told = story.told()
    seal = Seal(story.ORIGIN, 1, "-", "the end").entry(told.keys["log"])
    told.put(seal)
    told.decide_forced("0" * 64)
    refused(told, told.bundle(), "strict JSON")


# -- from a workspace, and on the command line -------------------------------------------------------------------------


def run(capsys, *arguments) -> lab.Said:
    capsys.readouterr()
    return lab.Said(cli.run([str(argument) for argument in arguments]), *capsys.readouterr())


def test_a_permit_that_was_issued_is_exported_and_verifies_without_the_workspace(whole, capsys, tmp_path, monkeypatch):
    lab.issue(whole)
    file = tmp_path / "decision.json"
    said = lab.command(capsys, whole, "bundle", "export", "latest", "-o", str(file), "--json")
    assert said.code == 0
    told = said.json
    assert (told["bytes"], told["policy"]) == (file.stat().st_size, whole.policy_digest)
    monkeypatch.chdir(tmp_path)
    whole.folder.rename(tmp_path / "gone")
    verified = run(capsys, "bundle", "verify", file, "--vkey", told["vkey"], "--policy", told["policy"], "--json")
    assert verified.code == 0
    assert verified.json["verdict"] == "permit"
    assert verified.json["policy"] == {"digest": told["policy"], "expected": True}
    assert verified.json["digest"] == told["decision"]
    assert any("the bytes of evaluation logs: 2" in line for line in verified.json["not_checked"])
    assert any("1 more entries" in line for line in verified.json["not_checked"])  # the permit itself
    people = run(capsys, "bundle", "verify", file, "--vkey", told["vkey"])
    assert people.code == 0
    for part in ("permit", "codebook-use", "(any was allowed)", "not checked:", "give it with --policy"):
        assert part in people.out


def test_a_bundle_of_a_hold_exits_as_a_hold(registered, capsys, tmp_path):
    evidence = registered.read()
    decision = permits.ask(evidence, subject=evidence.subject("honest"), action="scale", at=now())
    made = lab.about_honest(registered, "decision", permits.to_json(decision))
    digest = registered.append(made, [lab.key(registered, "gatekeeper")])
    file = tmp_path / "hold.json"
    for name in (digest, digest[:10], "2"):
        assert lab.command(capsys, registered, "bundle", "export", name, "-o", str(file)).code == 0
    vkey = NoteKey(registered.origin, registered.log_key).vkey
    assert run(capsys, "bundle", "verify", file, "--vkey", vkey).code == 3


def test_a_decision_that_lies_is_not_exported(whole, capsys, tmp_path):
    whole.refresh()
    evidence = whole.read()
    decision = permits.ask(evidence, subject=evidence.subject("honest"), action="release-weights", at=now())
    lied = lab.about_honest(whole, "decision", {**permits.to_json(decision), "verdict": "permit", "bounds": BOUNDS})
    lab.force(whole, lab.envelope(lied, lab.key(whole, "gatekeeper")))
    said = lab.command(capsys, whole, "bundle", "export", "latest", "-o", str(tmp_path / "x"))
    assert (said.code, said.out, (tmp_path / "x").exists()) == (4, "", False)
    assert "otherwise than the rule" in said.err


BOUNDS = {"most_effective_compute": "1", "not_after": "2030-01-01T00:00:00Z"}


WRONG = {
    "no decision": (
        ["export", "latest"],
        "no single decision `latest` in the ledger; the last ones are entries none yet",
    ),
    "an entry that is none": (["export", "1"], "no single decision `1`"),
    "a digest that is none": (["export", "abcdef0123"], "no single decision"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_exported_is_bad_usage(case, registered, capsys):
    arguments, match = WRONG[case]
    said = lab.command(capsys, registered, "bundle", *arguments)
    assert (said.code, said.out) == (2, "")
    assert match in said.err


def test_bad_input_on_the_command_line_is_one_line_and_its_exit_code(capsys, tmp_path):
    file, vkey = tmp_path / "honest.json", NoteKey(story.ORIGIN, HONEST.keys["log"].public).vkey
    file.write_bytes(BUNDLE)
    assert run(capsys, "bundle", "verify", file, "--vkey", vkey).code == 0
    other = NoteKey(story.ORIGIN, KeyPair.generate().public).vkey
    cosigner = NoteKey(story.ORIGIN, HONEST.keys["log"].public, 4).vkey
    for arguments, code, match in (
        ([tmp_path / "nothing", "--vkey", vkey], 2, "cannot read it"),
        ([tmp_path, "--vkey", vkey], 2, "cannot read it"),
        ([file, "--vkey", "x"], 2, "--vkey: got verifier key"),
        ([file, "--vkey", cosigner], 2, f"signature type 4, expected the log's, of type {ED25519}"),
        ([file, "--vkey", vkey, "--policy", "x"], 2, "--policy: got `x`"),
        ([file, "--vkey", vkey, "--policy", "0" * 64], 4, "expected 000000000000"),
        ([file, "--vkey", other], 4, "expected the log's signature"),
    ):
        said = run(capsys, "bundle", "verify", *arguments)
        assert (said.code, said.out) == (code, ""), arguments
        assert match in said.err
        assert len(said.err.splitlines()) == 1


def test_an_entry_that_is_no_text_cannot_be_exported(tmp_path):
    ledger = create(tmp_path / "ledger", story.ORIGIN, HONEST.keys["log"], story.START)
    with Writer(ledger, HONEST.keys["log"], clock=lambda: story.START) as writer:
        writer.append_at(b"\xff", 0)
    with pytest.raises(EvidenceError, match="entry 0 is not UTF-8"):
        bundle.export(ledger, ledger.read(), 0)
    with pytest.raises(UsageError, match="has 1 entries, got 1"):
        bundle.export(ledger, ledger.read(), 1)
