"""Attacks on the ledger's order, its bytes and what it shows to whom, by name: docs/attacks.md has the table.

Each test has the same story without the attack.
"""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
from interlock import cli
from interlock.decide.decision import timestamp, to_json
from interlock.errors import EvidenceError, LedgerError
from interlock.evidence import bundle as bundles
from interlock.evidence import canonical
from interlock.evidence.predicates import PermitPredicate, SubjectPredicate, statement
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.permit import Held
from interlock.gate.trust import Trust
from interlock.ledger import merkle, seen
from interlock.ledger.note import Checkpoint, NoteKey
from interlock.ledger.proof import InclusionProof, prove
from interlock.ledger.tiles import bundle, unbundle
from interlock.subject.manifest import Manifest
from interlock.workspace import now
from witness.running import new_witness, serving


def _refused(capsys, workspace, match):
    """No command answers over it."""
    for arguments in (("decide", "-s", "m"), ("ledger", "verify"), ("ledger", "log")):
        said = lab.command(capsys, workspace, *arguments)
        assert (said.code, said.out) == (4, ""), arguments
        assert match in said.err


def _put_back(workspace, older):
    """What is published, as an earlier copy has it."""
    for path in (workspace.folder / "ledger").iterdir():
        if path.name not in {"sequencer", "lock"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(older.folder / "ledger", workspace.folder / "ledger", dirs_exist_ok=True, ignore=_ignored)


_ignored = shutil.ignore_patterns("sequencer", "lock")


def _bad(workspace):
    """A result that holds every gate."""
    made.evaluate(workspace, correct=110, seed=9)


# -- an older checkpoint chosen to decide by --------------------------------------------------------------------------


@pytest.mark.parametrize("anew", [False, True], ids=["of then", "said to be of today"])
def test_an_older_checkpoint_chosen_to_decide_by(sound, capsys, monkeypatch, anew):
    """A decision that has read up to just before a bad result, and says so, or that this was the ledger of 20 days
    later, so that a permit from it would be fresh.
    """
    sound.refresh()
    before, start = sound.read(), now()
    assert permits.issue(lab.copy(sound, sound.folder.parent / "honest"), subject="m", action="scale", at=start).permit
    lab.later(monkeypatch, start + timedelta(seconds=30))
    _bad(sound)
    lab.later(monkeypatch, start + timedelta(days=20))
    if anew:
        dated = replace(before.facts.checkpoint, time=now())
        before = replace(before, facts=replace(before.facts, checkpoint=dated))
    late = permits.ask(before, subject=before.subject("m"), action="scale", at=now() if anew else start)
    late = replace(late, at=now())
    chosen = statement("decision", name="m", digest=late.subject, predicate=to_json(late))
    assert (late.verdict, lab.verdict(capsys, sound, "m")[0]) == ("permit", "hold")
    with pytest.raises(EvidenceError, match="claims times that do not fit what it had read"):
        made.sign(sound, chosen, "gatekeeper")
    lab.force(sound, lab.envelope(chosen, lab.key(sound, "gatekeeper")))
    _refused(capsys, sound, "claims times that do not fit what it had read")


def test_an_older_checkpoint_chosen_to_decide_by_at_a_gate(sound, tmp_path, capsys, monkeypatch):
    """A gate without the log's key is shown a copy from before a bad result."""
    gate = lab.copy(sound, tmp_path / "gate")
    (gate.folder / "keys" / "log.key").unlink()
    _bad(sound)
    assert lab.verdict(capsys, gate, "m")[0] == "permit"  # for an hour it may not know better: `permits.ledger_age`
    lab.later(monkeypatch, now() + timedelta(hours=1))
    verdict, reasons = lab.verdict(capsys, gate, "m")
    assert (verdict, "older than the policy allows" in reasons) == ("hold", True)


def test_permit_kept_back_until_the_evidence_was_worse_and_dated_from_before(sound, capsys, monkeypatch):
    """For a gate that sees nothing but files: decided on what was known then, at a time of then, signed after a bad
    result. The decision is what the rule said; the permit starts when it said so.
    """
    sound.refresh()
    before, believed, start = sound.read(), Trust.of(sound.read(), sound.ledger.log, at=now()), now()
    honest = permits.issue(lab.copy(sound, sound.folder.parent / "honest"), subject="m", action="scale", at=now())
    lab.later(monkeypatch, start + timedelta(days=20))
    _bad(sound)
    old = permits.ask(before, subject=before.subject("m"), action="scale", at=before.facts.checkpoint.time)
    named = {"name": "m", "digest": old.subject}
    decided = made.sign(sound, statement("decision", predicate=to_json(old), **named), "gatekeeper")
    assert (old.verdict, honest.permit is not None, lab.verdict(capsys, sound, "m")[0]) == ("permit", True, "hold")
    assert lab.command(capsys, sound, "ledger", "verify").code == 0
    terms = PermitPredicate(
        action="scale",
        decision=decided,
        policies=(sound.policy_digest,),
        lineage=(),
        start_compute=made.COMPUTE,
        most_compute=made.COMPUTE,
        not_before=old.at,
        not_after=old.bounds.not_after,
        single_use=False,
    )
    kept_back = statement("permit", predicate=terms.to_json(), **named)
    with pytest.raises(EvidenceError, match="the permit entered it at"):
        made.sign(sound, kept_back, "gatekeeper")
    entry = lab.envelope(kept_back, lab.key(sound, "gatekeeper"))
    lab.force(sound, entry)
    _refused(capsys, sound, "the permit entered it at")
    proof = prove(sound.ledger, lab.size(sound) - 1, entry).to_bytes().decode()
    members = {"permit_file": permit_file.FORMAT, "entry": entry.decode(), "logged": proof, "proof": proof}
    with pytest.raises(Held, match="the permit entered the ledger at"):
        permit_file.read(canonical.dumps(members), believed, at=now())


# -- what a bundle tells beside its decision --------------------------------------------------------------------------


def _bundle(capsys, workspace, folder):
    """What a reader is told of the last decision on `m`, by a file that nobody asked whether it verifies."""
    lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record")
    workspace.refresh()
    view = workspace.view()
    (folder / "bundle.json").write_bytes(bundles.export(workspace.ledger, view, view.size - 1))
    vkey = NoteKey(workspace.origin, workspace.log_key).vkey
    capsys.readouterr()
    return lab.Said(cli.run(["bundle", "verify", str(folder / "bundle.json"), "--vkey", vkey]), *capsys.readouterr())


def _another(workspace, name, letter):
    """A subject of which nothing is known. Returns its digest."""
    files = Manifest((("model.safetensors", letter * 64),))
    predicate = SubjectPredicate(name, files, made.COMPUTE, made.COMPUTE, made.COMPUTE, ()).to_json()
    made.sign(workspace, statement("subject", name=name, digest=files.digest, predicate=predicate), "evaluation-team")
    return files.digest


def test_permit_from_a_decision_that_the_rule_never_gave_beside_an_honest_one(sound, capsys, tmp_path):
    """`toy` was never evaluated, and has a permit. The last decision is on `m`, and is what the rule says."""
    assert lab.command(capsys, sound, "permit", "issue", "-s", "m", "-a", "scale").code == 0
    told = _bundle(capsys, sound, tmp_path)
    assert (told.code, "a permit before it, for `scale` of `m`" in told.out) == (0, True)
    toy, evidence = _another(sound, "toy", "9"), sound.read()
    held = permits.ask(evidence, subject=evidence.subject("toy"), action="scale", at=now())
    bounds = {"most_effective_compute": str(made.COMPUTE), "not_after": timestamp(now() + timedelta(days=1))}
    lied = {**to_json(held), "verdict": "permit", "bounds": bounds}
    decided = statement("decision", name="toy", digest=toy, predicate=lied)
    with pytest.raises(EvidenceError, match="otherwise than the rule, which says `hold`"):
        made.sign(sound, decided, "gatekeeper")
    lab.force(sound, lab.envelope(decided, lab.key(sound, "gatekeeper")))
    terms = replace(sound.read().permits[0].terms, decision=decided.digest, most_compute=made.COMPUTE, not_before=now())
    terms = replace(terms, not_after=now() + timedelta(days=1) - timedelta(minutes=1)).to_json()
    made.sign(sound, statement("permit", name="toy", digest=toy, predicate=terms), "gatekeeper")
    told = _bundle(capsys, sound, tmp_path)
    assert (told.code, "otherwise than the rule, which says `hold`" in told.err) == (4, True)


def test_subject_that_reads_like_another_in_a_bundle(sound, capsys, tmp_path):
    """A Cyrillic letter makes the name of a bad model read like that of a good one, or the other way about."""
    good = sound.read().subject("m").digest
    bad = _another(sound, "\u043c", "9")
    told = _bundle(capsys, sound, tmp_path)
    assert (told.code, f"subject     {good}" in told.out, bad in told.out) == (0, True, False)


# -- truncated, forked ------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(sound, tmp_path, capsys):
    """A monitor and a witness elsewhere, who have seen the ledger with its bad result; and a copy from before that."""
    older = lab.copy(sound, tmp_path / "older")
    _bad(sound)
    assert lab.command(capsys, sound, "ledger", "monitor", "--kept", str(tmp_path / "kept"), "--start").code == 0
    key = new_witness(tmp_path / "witness", NoteKey(sound.origin, sound.log_key))
    with serving(tmp_path / "witness", now) as server:
        server.asks = ("ledger", "witness", "--url", server.url, "--witness-vkey", key.vkey)
        assert lab.command(capsys, sound, *server.asks).code == 0
        yield sound, older, tmp_path / "kept", server


def _seen_elsewhere(capsys, watched, workspace, *, by_monitor, by_witness):
    """Who has seen the other history tells; who comes anew cannot know."""
    sound, _, kept, server = watched
    for asked, match in (("ledger", "monitor", "--kept", str(kept)), by_monitor), (server.asks, by_witness):
        said = lab.command(capsys, workspace, *asked)
        assert (said.code, said.out) == (4, "")
        assert match in said.err
        assert lab.command(capsys, sound, *asked).code == 0


def test_ledger_truncated(sound, tmp_path, capsys):
    """What is published is put back; what lies beside it, and the log's own database, have not forgotten. Or it loses
    its last entry.
    """
    older = lab.copy(sound, tmp_path / "older")
    _bad(sound)
    whole = lab.copy(sound, tmp_path / "whole")
    _put_back(sound, older)
    for match in ("it was cut off: got ", "cannot read it"):
        for arguments in (("decide", "-s", "m"), ("permit", "issue", "-s", "m", "-a", "scale")):
            said = lab.command(capsys, sound, *arguments)
            assert (said.code, said.out) == (4, "")
            assert match in said.err
        sound.memory.give_up()
    _put_back(sound, whole)
    assert lab.verdict(capsys, sound, "m")[0] == "hold"
    path = lab.bundle(sound)
    path.write_bytes(bundle(_entries(sound)[:-1]))
    _refused(capsys, sound, f"tile/entries/000.p/{path.name}`: ")


def _as_it_was(workspace, older):
    """The ledger's whole folder, the log's own database with it, as an earlier copy has it."""
    shutil.rmtree(workspace.folder / "ledger")
    shutil.copytree(older.folder / "ledger", workspace.folder / "ledger")


@pytest.mark.parametrize("forgotten", ["neither", "by the processes", "by the file"])
def test_ledger_put_back_with_its_sequencer(sound, tmp_path, capsys, forgotten):
    """To before a bad result: nothing is signed, decided or appended over it, before somebody accepts it by name."""
    older = lab.copy(sound, tmp_path / "older")
    _bad(sound)
    assert lab.verdict(capsys, sound, "m")[0] == "hold"
    _as_it_was(sound, older)
    note = (older.folder / "ledger" / "checkpoint").read_bytes()
    if forgotten == "by the processes":
        seen._here.clear()
    if forgotten == "by the file":
        (sound.folder / seen.FILE).unlink()
    for arguments in (("decide", "-s", "m"), ("permit", "issue", "-s", "m", "-a", "scale"), ("ledger", "verify")):
        said = lab.command(capsys, sound, *arguments)
        assert (said.code, said.out) == (4, "")
        assert "it was " in said.err
        assert "does not continue what it showed before" in said.err
    with pytest.raises(LedgerError, match="it was cut off: got "):
        made.plan(sound, seed=8)
    assert (sound.folder / "ledger" / "checkpoint").read_bytes() == note
    said = lab.command(capsys, sound, "ledger", "accept-restored")
    assert (said.code, "given up: " in said.out) == (0, True)
    assert lab.verdict(capsys, sound, "m")[0] == "permit"
    assert lab.command(capsys, sound, "ledger", "accept-restored").code == 2


@pytest.mark.parametrize("entries", [1, 5], ids=["of the same size", "that is longer"])
def test_ledger_put_back_and_gone_on_from_there(sound, tmp_path, capsys, entries):
    """Somebody with every key goes on from an older copy, until it is as long as what was seen."""
    older = lab.copy(sound, tmp_path / "older")
    made.result(sound, 110, seed=9)
    lab.verdict(capsys, sound, "m")
    for number in range(entries):
        made.plan(older, seed=20 + number)
    _as_it_was(sound, older)
    said = lab.command(capsys, sound, "decide", "-s", "m")
    assert (said.code, said.out) == (4, "")
    assert "does not continue what it showed before" in said.err


def test_memory_of_the_ledger_spoilt(sound, capsys):
    lab.verdict(capsys, sound, "m")
    (sound.folder / seen.FILE).write_text("nothing")
    said = lab.command(capsys, sound, "decide", "-s", "m")
    assert (said.code, said.out, "last-checkpoint`: " in said.err) == (4, "", True)
    assert lab.command(capsys, sound, "ledger", "accept-restored").code == 0
    assert lab.verdict(capsys, sound, "m")[0] == "permit"


def _entries(workspace):
    """The entries as they lie in the one bundle that there is."""
    path = lab.bundle(workspace)
    return unbundle(path.read_bytes(), int(path.name))


def test_ledger_truncated_together_with_all_that_remembers(watched, capsys):
    """The whole folder is put back: on this machine nothing tells any more; elsewhere everything does."""
    _, older, _, _ = watched
    assert lab.command(capsys, older, "ledger", "verify").code == 0
    _seen_elsewhere(
        capsys, watched, older, by_monitor="it was cut off: got ", by_witness="the ledger was cut off or put back"
    )


@pytest.mark.parametrize("entries", [2, 3], ids=["of the same size", "that is longer"])
def test_ledger_forked(watched, capsys, entries):
    """From before the bad result the history goes on in another way."""
    _, older, _, server = watched
    for seed in range(entries):
        made.plan(older, seed=20 + seed)
    assert lab.command(capsys, older, "ledger", "verify").code == 0
    _seen_elsewhere(
        capsys,
        watched,
        older,
        by_monitor="does not continue what it showed before",
        by_witness="the ledger was forked or altered",
    )
    assert any("ALARM" in told for told in server.told) == (entries == 2)


# -- reordered, altered -----------------------------------------------------------------------------------------------


def _rewrite(workspace, entries):
    """The bundle has these entries, and the tile their hashes; the checkpoint is what the log signed."""
    tile = workspace.folder / "ledger" / "tile"
    (tile / "entries" / "000.p" / str(len(entries))).write_bytes(bundle(entries))
    (tile / "0" / "000.p" / str(len(entries))).write_bytes(b"".join(merkle.leaf_hash(entry) for entry in entries))


@pytest.fixture
def late(told, tmp_path):
    """A result, and then the plan that it names."""
    other = lab.copy(told, tmp_path / "other")
    made.plan(other)
    plan = lab.payload(other, "plan")
    made.result(told, 0, of=plan.digest)
    made.sign(told, plan, "evaluation-team")
    return told


def test_ledger_reordered(late, tmp_path, capsys):
    """The plan that came after its result is put before it."""
    assert "no plan stands before it" in lab.verdict(capsys, late, "m")[1]
    honest = _entries(late)
    _rewrite(late, [*honest[:-2], honest[-1], honest[-2]])
    _refused(capsys, late, "got root")
    _rewrite(late, honest)
    assert lab.verdict(capsys, late, "m")[0] == "hold"


def test_ledger_reordered_by_its_owner(late, tmp_path, capsys):
    """The log signs the other order anew. On this machine nothing tells; whoever has watched does."""
    kept = str(tmp_path / "kept")
    assert lab.command(capsys, late, "ledger", "monitor", "--kept", kept, "--start").code == 0
    entries = _entries(late)
    lab.sign_anew(late, [*entries[:-2], entries[-1], entries[-2]])
    said = lab.command(capsys, late, "ledger", "monitor", "--kept", kept)
    assert (said.code, "does not continue what it showed before" in said.err) == (4, True)


def test_ledger_dated_anew_by_its_owner(late, tmp_path, capsys):
    """The log signs the same tree again, at other times: what went stale would be fresh."""
    kept = str(tmp_path / "kept")
    assert lab.command(capsys, late, "ledger", "monitor", "--kept", kept, "--start").code == 0
    lab.command(capsys, late, "ledger", "verify")
    log, path, pair = late.memory.log, late.folder / "ledger" / "history", lab.key(late, "log")
    with path.open("rb") as file:
        notes = list(log.history(file, path.stat().st_size, "history"))
    end = notes[-1].time
    path.write_bytes(b"".join(log.sign(Checkpoint(late.origin, it.size, it.root), pair, end) for it in notes))
    late.ledger.verify()
    for command in (("decide", "-s", "honest"), ("ledger", "verify"), ("ledger", "monitor", "--kept", kept)):
        said = lab.command(capsys, late, *command)
        assert (said.code, "the entries have other times than before" in said.err) == (4, True)


def test_entry_altered(told, capsys):
    """A result that holds is made one that does not: in the bundle, in its hash, too, and signed by the log anew."""
    made.result(told, 110, of=made.plan(told))
    assert lab.verdict(capsys, told, "m")[0] == "hold"
    honest = _entries(told)
    envelope = json.loads(honest[-1])
    payload = base64.b64decode(envelope["payload"]).replace(b'"correct":110', b'"correct":0')
    altered = json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}).encode()
    lab.bundle(told).write_bytes(bundle([*honest[:-1], altered]))
    _refused(capsys, told, "differ")
    _rewrite(told, [*honest[:-1], altered])
    _refused(capsys, told, "got root")
    _rewrite(told, honest)
    assert lab.verdict(capsys, told, "m")[0] == "hold"
    lab.sign_anew(told, [*honest[:-1], altered])
    said = lab.command(capsys, told, "decide", "-s", "m")
    assert (said.code, "does not verify" in said.err) == (4, True)
    lab.sign_anew(told, honest)
    assert "evidence shows skill >= 0.5" in lab.verdict(capsys, told, "m")[1]


# -- checkpoint from the future ---------------------------------------------------------------------------------------


def test_checkpoint_from_the_future(sound, tmp_path, capsys, monkeypatch):
    """The log signs a time to come, so that what it shows stays recent."""
    honest, present = lab.copy(sound, tmp_path / "honest"), now()
    lab.later(monkeypatch, present + timedelta(days=2))
    sound.refresh()
    gate = lab.copy(sound, tmp_path / "gate")
    (gate.folder / "keys" / "log.key").unlink()
    assert lab.verdict(capsys, gate, "m")[0] == "permit"  # in two days
    lab.later(monkeypatch, present)
    assert lab.verdict(capsys, honest, "m")[0] == "permit"
    verdict, reasons = lab.verdict(capsys, gate, "m")
    assert (verdict, reasons) == ("hold", "asked for a time before the ledger's own")
    said = lab.command(capsys, sound, "decide", "-s", "m")
    assert (said.code, said.out, "clock went back" in said.err) == (4, "", True)
    assert lab.command(capsys, sound, "ledger", "verify").code == 0


# -- proofs -----------------------------------------------------------------------------------------------------------


def test_proof_for_another_tree(sound, tmp_path, capsys):
    """An entry of a fork is shown under the ledger's own checkpoint."""
    fork = lab.copy(sound, tmp_path / "fork")
    made.plan(fork, seed=20)
    made.plan(sound, seed=21)
    number, vkey = str(lab.size(sound) - 1), NoteKey(sound.origin, sound.log_key).vkey
    for workspace, name in (sound, "honest"), (fork, "forged"):
        to = str(tmp_path / name)
        assert lab.command(capsys, workspace, "ledger", "proof", number, "-o", f"{to}.proof").code == 0
        assert lab.command(capsys, workspace, "ledger", "show", number, "-o", to).code == 0
    honest, forged = (InclusionProof.parse((tmp_path / f"{it}.proof").read_bytes()) for it in ("honest", "forged"))
    spliced = replace(forged, checkpoint=honest.checkpoint)
    (tmp_path / "forged.proof").write_bytes(spliced.to_bytes())
    for name, entry, code in (
        ("honest", "honest", 0),
        ("forged", "forged", 4),
        ("honest", "forged", 4),
    ):
        check = ("ledger", "proof", "--check", f"{tmp_path / name}.proof", "--data", str(tmp_path / entry))
        said = lab.command(capsys, sound, *check, "--vkey", vkey)
        assert said.code == code
        assert ("inclusion proof: got root" in said.err) == (code == 4)


# -- witness shown two histories --------------------------------------------------------------------------------------


def test_witness_shown_two_histories(watched, tmp_path, capsys):
    """It cosigns one, and keeps both, which the log's own signatures show to anyone."""
    sound, other, _, server = watched
    quorum = tmp_path / "quorum"
    quorum.write_text(f"witness w {server.asks[-1]}\nquorum w\n")
    asked = ("ledger", "verify", "--witnesses", str(quorum))
    made.plan(other, seed=20)
    made.plan(other, seed=21)
    said = lab.command(capsys, other, *server.asks)
    assert (said.code, said.out) == (4, "")
    assert "the ledger was forked or altered" in said.err
    said = lab.command(capsys, other, *asked)
    assert (said.code, "quorum `w` is not met: got 0 of 1" in said.err) == (4, True)
    assert len(list((tmp_path / "witness" / "conflicts").iterdir())) == 1
    assert lab.command(capsys, sound, *asked).code == 0
    made.plan(sound, seed=22)
    assert lab.command(capsys, sound, *server.asks).code == 0
