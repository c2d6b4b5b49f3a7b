"""Attacks on who says what, and under which version of the policy, by name: docs/attacks.md has the table.

Each test has the same story without the attack.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
from interlock import cli
from interlock.decide.decision import timestamp, to_json
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import keys
from interlock.evidence.predicates import PermitPredicate, SubjectPredicate, statement
from interlock.policy import compile as compiled
from interlock.policy.load import loads
from interlock.subject.manifest import Manifest
from interlock.workspace import now

BOARD = ("board-1", "board-2")
SOON = timedelta(days=31)
TIGHTER = ("skill >= 0.50", "skill >= 0.05")  # under which ten of 120 are too many


def _signed(workspace, made_up, *names):
    return lab.envelope(made_up, *(lab.key(workspace, name) for name in names))


def _refused(capsys, workspace, data, match):
    """An entry that was forced into the ledger: nothing is decided over it, and `match` says why."""
    lab.force(workspace, data)
    for arguments in (("decide", "-s", "m"), ("ledger", "verify")):
        said = lab.command(capsys, workspace, *arguments)
        assert (said.code, said.out) == (4, "")
        assert match in said.err


def _permit(capsys, workspace):
    said = lab.command(capsys, workspace, "permit", "issue", "-s", "m", "-a", "scale", "--json")
    assert said.code == 0, said.err
    return said.json["permit"]


# -- what a signature makes of words ----------------------------------------------------------------------------------


def test_reason_that_clears_the_screen_and_writes_an_answer_of_its_own(sound, capsys):
    """Whoever takes a permit back says why, in words that a terminal would obey."""
    permit = _permit(capsys, sound)
    verify = ("permit", "verify", permit, "-a", "scale", "--workspace", sound.folder)
    code, shown = lab.at_a_terminal(*verify, answers=())
    assert (code, shown) == (0, lab.command(capsys, sound, *verify[:-2]).out)
    forged = f"tidying up\x1b[2J\x1b[H\n{shown.strip()}\n\x1b[8m"
    made.sign(sound, made.said("revocation", {"reason": forged}, about=permit), "gatekeeper")
    code, held = lab.at_a_terminal(*verify, answers=())
    assert (code, "\x1b" in held, shown.strip() in held.splitlines()) == (3, False, False)
    assert r"tidying up\x1b[2J\x1b[H\n" in held


def test_bad_run_told_under_the_name_of_another_subject(sound, capsys, monkeypatch):
    """The digest counts: the run holds its model, and is listed as of it."""
    toy = Manifest((("model.safetensors", "9" * 64),))
    predicate = SubjectPredicate("toy", toy, made.COMPUTE, made.COMPUTE, made.COMPUTE, ())
    told = statement("subject", name="toy", digest=toy.digest, predicate=predicate.to_json())
    made.sign(sound, told, "evaluation-team")
    assert lab.verdict(capsys, sound, "m")[0] == "permit"
    monkeypatch.setattr(made, "statement", lambda kind, **told: statement(kind, **told | {"name": "toy"}))
    made.evaluate(sound, correct=110, seed=9)
    verdict, why = lab.verdict(capsys, sound, "m")
    assert (verdict, why) == ("hold", "evidence shows skill >= 0.5")
    rows = lab.command(capsys, sound, "ledger", "log", "--json").json
    assert {it["about"] for it in rows if it["kind"] in {"plan", "result"}} == {"m"}


# -- signer outside the role ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "verdict"),
    [(["evaluation-team"], "permit"), (["external-auditor"], "hold"), (["gatekeeper"], "hold"), (BOARD, "hold")],
    ids=str,
)
def test_signer_outside_the_role(told, capsys, names, verdict):
    """Another role announces the run and reports it."""
    made.result(told, 0, *names, of=made.plan(told, *names))
    found, reasons = lab.verdict(capsys, told, "m")
    assert (found, "it is not signed by `evaluation-team`" in reasons) == (verdict, verdict == "hold")
    made.evaluate(told, seed=1)
    assert lab.verdict(capsys, told, "m")[0] == "permit"


@pytest.mark.parametrize("names", [["evaluation-team"], ["external-auditor"], BOARD], ids=str)
def test_signer_outside_the_role_of_a_permit(sound, tmp_path, capsys, names):
    _permit(capsys, sound)
    again = lab.changed(lab.payload(sound, "permit"), not_before=timestamp(now() - timedelta(hours=1)))
    honest = lab.copy(sound, tmp_path / "honest")
    made.sign(honest, again, "gatekeeper")
    assert lab.command(capsys, honest, "permit", "verify", again.digest, "-a", "scale").code == 0
    with pytest.raises(EvidenceError, match="the permit is not signed by `gatekeeper`"):
        made.sign(sound, again, *names)
    _refused(capsys, sound, _signed(sound, again, *names), "the permit is not signed by `gatekeeper`")


def test_signer_outside_every_role(tmp_path, capsys):
    workspace, stranger = made.make(tmp_path), keys.KeyPair.generate()
    made.evaluate(workspace)
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "x"}
    word = made.said("attestation", words)
    with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
        workspace.append(word, [stranger])
    honest = lab.copy(workspace, tmp_path / "honest")
    made.sign(honest, word, "external-auditor")
    assert (lab.verdict(capsys, workspace, "m")[0], lab.verdict(capsys, honest, "m")[0]) == ("hold", "permit")
    _refused(capsys, workspace, lab.envelope(word, stranger), "signed by the quorum of no role, and by no key of one")


# -- quorum by one key twice ------------------------------------------------------------------------------------------


@pytest.fixture
def near(told):
    """A result that is too near to the level of `adept` to rule it out: what the board approves opens the gate."""
    made.evaluate(told, correct=36)
    return told


def test_quorum_by_one_key_twice(near, tmp_path, capsys):
    """Two of the board must approve; one of them signs twice."""
    honest = lab.copy(near, tmp_path / "honest")
    assert lab.command(capsys, honest, "approve", "agreed", "--subject", "m").code == 0
    assert lab.verdict(capsys, honest, "m", "deploy-api")[0] == "permit"
    alone = json.loads(_signed(near, lab.payload(honest, "approval"), "board-1"))
    alone["signatures"] *= 2
    assert lab.verdict(capsys, near, "m", "deploy-api")[0] == "hold"
    _refused(capsys, near, json.dumps(alone).encode(), "signed by the quorum of no role")


@pytest.mark.parametrize("how", ["the key is named twice", "the key lies in two files"])
def test_quorum_by_one_key_twice_in_the_policy(told, tmp_path, capsys, how):
    folder, text = tmp_path / "new", made.POLICY
    folder.mkdir()
    if how == "the key is named twice":
        text = text.replace("keys/board-2.pub", "keys/board-1.pub")
    else:
        (folder / "keys").mkdir()
        for name in ("board-1", "board-2"):
            (folder / "keys" / f"{name}.pub").write_bytes((told.folder / "keys" / "board-1.pub").read_bytes())
    assert "twice" in _init(capsys, folder, text, code=2)
    assert not (folder / "ledger").exists()
    _init(capsys, tmp_path / "honest", made.POLICY, code=0)


def _init(capsys, folder, text, *, code):
    folder.mkdir(exist_ok=True)
    (folder / "given.yaml").write_text(text)
    capsys.readouterr()
    got = cli.run(["init", "--policy", str(folder / "given.yaml"), "-w", str(folder), "--no-passphrase"])
    assert got == code
    return capsys.readouterr().err


# -- auditor not independent ------------------------------------------------------------------------------------------


def test_auditor_not_independent(tmp_path, capsys):
    """The policy gives the auditor the key of those whom it audits."""
    shared = made.POLICY.replace("keys/external-auditor.pub", "keys/evaluation-team.pub")
    said = _init(capsys, tmp_path / "shared", shared, code=2)
    assert "`external-auditor` is independent of `evaluation-team`" in said
    _init(capsys, tmp_path / "honest", made.POLICY, code=0)


def test_auditor_not_independent_after_an_amendment(sound, capsys):
    """The team gets a new key, and the auditor its old one."""
    keys.new_key(sound.folder / "keys" / "new-team.key", passphrase=None)
    swaps = {"keys/evaluation-team.pub": "keys/new-team.pub", "keys/external-auditor.pub": "keys/evaluation-team.pub"}
    match = "`external-auditor` is independent of `evaluation-team`, and has a key that version 1.0.0 gave to that"
    said = _amend(capsys, sound, "1.1.0", *swaps.items())
    assert (said.code, match in said.err) == (2, True)
    assert _amend(capsys, sound, "1.1.0", *list(swaps.items())[:1]).code == 0
    text = _next("1.2.0", *swaps.items())
    _refused(capsys, sound, _signed(sound, _amendment(sound, text), *BOARD), match)


def test_auditor_not_independent_after_an_amendment_of_a_policy_that_does_not_say_so(tmp_path, capsys):
    """The key that ran an evaluation becomes the auditor's: it would vouch for its own run, and set that aside."""
    unsaid = (", independent_of: [evaluation-team, gatekeeper, board]", "")
    workspace = made.make(tmp_path, made.POLICY.replace(*unsaid))
    made.evaluate(workspace)
    keys.new_key(workspace.folder / "keys" / "new-team.key", passphrase=None)
    swaps = {"keys/evaluation-team.pub": "keys/new-team.pub", "keys/external-auditor.pub": "keys/evaluation-team.pub"}
    match = "independent of the evaluations of `evaluation-team`, and has a key that version 1.0.0 gave to that"
    said = _amend(capsys, workspace, "1.1.0", unsaid, *swaps.items())
    assert (said.code, match in said.err) == (2, True)
    assert _amend(capsys, workspace, "1.1.0", unsaid, *list(swaps.items())[:1]).code == 0
    text = _next("1.2.0", unsaid, *swaps.items())
    _refused(capsys, workspace, _signed(workspace, _amendment(workspace, text), *BOARD), match)


def test_auditor_not_independent_when_it_vouches_for_a_run(tmp_path, capsys):
    """Whoever ran the evaluation signs the auditor's word, too."""
    workspace = made.make(tmp_path)
    made.evaluate(workspace)
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "x"}
    made.sign(workspace, made.said("attestation", words), "external-auditor", "evaluation-team")
    verdict, reasons = lab.verdict(capsys, workspace, "m")
    assert (verdict, "`no-evaluation-gaming`" in reasons) == ("hold", True)
    made.sign(workspace, made.said("attestation", words | {"statement": "y"}), "external-auditor")
    assert lab.verdict(capsys, workspace, "m")[0] == "permit"


# -- replayed approval ------------------------------------------------------------------------------------------------


def test_replayed_approval(near, capsys):
    """Approved while a result was bad; shown again after a worse one, as it was and under a new date."""
    assert lab.command(capsys, near, "approve", "agreed", "--subject", "m").code == 0
    assert lab.verdict(capsys, near, "m", "deploy-api")[0] == "permit"
    old = lab.payload(near, "approval")
    made.evaluate(near, correct=110, seed=2)
    verdict, reasons = lab.verdict(capsys, near, "m", "deploy-api")
    assert (verdict, "evidence shows skill >= 0.3" in reasons) == ("hold", True)
    made.sign(near, lab.changed(old, at=timestamp(now()), statement="again"), *BOARD)
    assert lab.verdict(capsys, near, "m", "deploy-api")[0] == "hold"
    assert lab.command(capsys, near, "approve", "agreed", "--subject", "m").code == 0
    assert lab.verdict(capsys, near, "m", "deploy-api")[0] == "permit"  # the board saw the worse one
    with pytest.raises(EvidenceError, match="repeats an earlier statement"):
        made.sign(near, old, *BOARD)
    _refused(capsys, near, _signed(near, old, *BOARD), "repeats an earlier statement")


def test_withdrawal_signed_by_another_first(sound, capsys):
    """The runner has seen what the auditor is about to sign, and appends it first, with its own key."""
    word = lab.payload(sound, "attestation").digest
    taken = made.said("withdrawal", {"reason": "it was wrong"}, about=word)
    made.sign(sound, taken, "evaluation-team")
    assert lab.verdict(capsys, sound, "m")[0] == "permit"  # nobody takes back another's word
    with pytest.raises(EvidenceError, match=r"repeats an earlier statement, .* sign it with a word changed"):
        made.sign(sound, taken, "external-auditor")
    made.sign(sound, lab.changed(taken, reason="it was wrong."), "external-auditor")
    verdict, reasons = lab.verdict(capsys, sound, "m")
    assert (verdict, "no-evaluation-gaming" in reasons) == ("hold", True)


# -- replayed result --------------------------------------------------------------------------------------------------


def _contradicted(workspace, result):
    workspace.refresh()
    seen = workspace.ledger.read()
    found = {"seed": {"size": seen.size, "root": seen.root.hex()}, "drawn": 20, "agreed": 2, "disagreed": 18}
    said = {**found, "statement": "18 of 20 differ", "at": timestamp(now())}
    made.sign(workspace, statement("audit", name="entry", digest=result, predicate=said), "external-auditor")


def _set_aside(workspace, result):
    said = {"reason": "its samples were trained on", "at": timestamp(now())}
    made.sign(workspace, statement("set-aside", name="entry", digest=result, predicate=said), "external-auditor")


@pytest.mark.parametrize("refute", [_contradicted, _set_aside])
def test_replayed_result(sound, capsys, refute):
    """A result that was refuted, once more with one token added; and one with other counts. A new plan it takes."""
    assert lab.verdict(capsys, sound, "m", "scale")[0] == "permit"
    old = lab.payload(sound, "result")
    refute(sound, old.digest)
    assert lab.verdict(capsys, sound, "m", "scale")[0] == "hold"
    for again in (lab.changed(old, budget={"tokens": 2, "flop": "0"}), lab.changed(old, counts=lab.counts(1))):
        made.sign(sound, again, "evaluation-team")
        verdict, reasons = lab.verdict(capsys, sound, "m", "scale")
        assert (verdict, "so that it takes a new plan" in reasons) == ("hold", True)
    made.evaluate(sound, seed=1)
    assert lab.verdict(capsys, sound, "m", "scale")[0] == "permit"


@pytest.mark.parametrize("refute", [_contradicted, _set_aside])
def test_replayed_result_on_a_twin_of_its_plan(sound, capsys, refute):
    """Announced beforehand, it is the same run; announced when the result was refuted, another one."""
    report = {"report_by": timestamp(now() + timedelta(days=2))}
    twin = made.sign(sound, lab.changed(lab.payload(sound, "plan"), **report), "evaluation-team")
    old = lab.payload(sound, "result")
    refute(sound, old.digest)
    made.sign(sound, lab.changed(old, plan=twin), "evaluation-team")
    made.sign(sound, lab.changed(old, budget={"tokens": 2, "flop": "0"}), "evaluation-team")  # both report
    verdict, reasons = lab.verdict(capsys, sound, "m", "scale")
    assert (verdict, "so that it takes a new plan" in reasons) == ("hold", True)


# -- subject named like a digest --------------------------------------------------------------------------------------


def test_subject_named_like_the_digest_that_a_policy_refers_to(tmp_path):
    """The control is under its own files' digest; the attack has that digest for its name, and none of the compute."""
    large, small = (Manifest((("model.safetensors", of * 64),)) for of in "78")
    edited = made.POLICY.replace("measures:\n", f"measures:\n  ratio: {{compute_ratio_to: '{large.digest}'}}\n")
    edited = edited.replace("  expert:\n", "  expert:\n    below_if: ['ratio < 2']\n", 1)
    for name, files, state in (("large", large, "below"), (large.digest, small, "not ruled out")):
        workspace = made.make(tmp_path / name[:9], edited)
        assert made.state(workspace, "expert") == "not ruled out"
        said = SubjectPredicate(name, files, 10**13, 10**13, 10**13, ()).to_json()
        made.sign(workspace, statement("subject", name="m", digest=files.digest, predicate=said), "evaluation-team")
        assert made.state(workspace, "expert") == state


# -- an older policy --------------------------------------------------------------------------------------------------


def _next(version, *changes, effective=None):
    """The policy's text with another version, and what else is changed."""
    text = made.POLICY.replace("version: 1.0.0", f"version: {version}")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(effective or now() + SOON)}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def _amend(capsys, workspace, version, *changes):
    path = workspace.folder / "next.yaml"
    path.write_text(_next(version, *changes))
    return lab.command(capsys, workspace, "amend", str(path))


def _amendment(workspace, text):
    policy = loads(text, name="policy.yaml", folder=workspace.folder)
    supersedes = workspace.read().versions[-1].digest
    words = {"policy": compiled.to_json(policy), "supersedes": supersedes, "changes": "x", "at": timestamp(now())}
    return statement("amendment", name=policy.id, digest=compiled.digest(policy), predicate=words)


@pytest.fixture
def tightened(told, capsys, monkeypatch):
    """A permit of version 1.0.0; version 1.1.0, under which the gate holds, is in force."""
    made.evaluate(told, correct=10)
    permit = _permit(capsys, told)
    assert _amend(capsys, told, "1.1.0", TIGHTER).code == 0
    lab.later(monkeypatch, now() + SOON - timedelta(days=5))
    assert lab.verdict(capsys, told, "m")[0] == "permit"
    assert lab.command(capsys, told, "permit", "verify", permit, "-a", "scale").code == 0
    lab.later(monkeypatch, now() + timedelta(days=6))
    assert lab.verdict(capsys, told, "m")[0] == "hold"
    return told, permit


def test_policy_rolled_back(tightened, capsys):
    """The first version once more: as a file, as an amendment, as what the workspace trusts."""
    workspace, _ = tightened
    (workspace.folder / "policy.yaml").write_text(made.POLICY)
    assert lab.verdict(capsys, workspace, "m")[0] == "hold"
    said = _amend(capsys, workspace, "1.0.0")
    assert (said.code, "version `1.0.0` was there before" in said.err) == (2, True)
    assert _amend(capsys, workspace, "1.2.0", TIGHTER).code == 0
    assert [it.policy.version for it in workspace.read().versions] == ["1.0.0", "1.1.0", "1.2.0"]
    back = _amendment(workspace, made.POLICY)
    with pytest.raises(EvidenceError, match=r"version `1\.0\.0` was there before"):
        made.sign(workspace, back, *BOARD)
    _refused(capsys, workspace, _signed(workspace, back, *BOARD), "version `1.0.0` was there before")


def test_an_older_policy_version_chosen_to_decide_by(tightened, capsys):
    """A decision by the version before, on record with a permit that rests on it."""
    workspace, old = tightened
    said = lab.command(capsys, workspace, "permit", "verify", old, "-a", "scale")
    assert (said.code, "the permit was issued under another policy" in said.err) == (3, True)
    workspace.refresh()
    evidence = workspace.read()
    first, subject = evidence.versions[0], evidence.subject("m")
    lied = decide(evidence.versions[:1], evidence.facts, subject=subject.digest, action="scale", at=now())
    assert lied.verdict == "permit"
    named = {"name": "m", "digest": subject.digest}
    decided = statement("decision", predicate=to_json(lied), **named)
    with pytest.raises(EvidenceError, match="says `permit` otherwise than the rule, which says `hold`"):
        made.sign(workspace, decided, "gatekeeper")
    lab.force(workspace, lab.envelope(decided, lab.key(workspace, "gatekeeper")))
    terms = PermitPredicate(
        action="scale",
        decision=decided.digest,
        policies=(first.digest,),
        lineage=(),
        start_compute=made.COMPUTE,
        most_compute=made.COMPUTE,
        not_before=now(),
        not_after=now() + timedelta(days=1),
        single_use=False,
    )
    other = replace(terms, policies=(evidence.versions[1].digest,))
    with pytest.raises(EvidenceError, match="the permit grants what its decision"):
        made.sign(workspace, statement("permit", predicate=other.to_json(), **named), "gatekeeper")
    with pytest.raises(EvidenceError, match="the permit lasts past the next version of the policy"):
        made.sign(workspace, statement("permit", predicate=terms.to_json(), **named), "gatekeeper")
    said = lab.command(capsys, workspace, "ledger", "verify")
    assert (said.code, "says `permit` otherwise than the rule, which says `hold`" in said.err) == (4, True)
    assert len(workspace.read().facts.results) == 1
