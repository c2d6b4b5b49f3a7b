"""`interlock keys`, as people use it: at a terminal, in a script, and with what an attacker leaves."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path

import pytest

import lab
from interlock import cli
from interlock.evidence import keys
from interlock.evidence.keyring import Keyring
from interlock.evidence.passphrase import VARIABLE, Passphrases
from interlock.evidence.rotation import verify
from interlock.ledger.note import COSIGNATURE, Note, NoteKey, verify_cosignature, verify_signature
from interlock.policy.load import loads
from interlock.workspace import Workspace

SECRET = "a passphrase that nobody shows"  # noqa: S105


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("INTERLOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


def _run(capsys, *arguments):
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    return lab.Said(code, *capsys.readouterr())


def scalar(pair: keys.KeyPair) -> list[str]:
    raw = pair._private.private_bytes_raw()
    return [raw.hex(), base64.b64encode(raw).decode()]


# -- new ---------------------------------------------------------------------------------------------------------------


def test_at_a_terminal_a_passphrase_is_asked_for_twice_and_not_shown(tmp_path):
    code, shown = lab.at_a_terminal("keys", "new", "me", "-w", tmp_path, answers=[SECRET, SECRET])
    assert code == 0, shown
    assert SECRET not in shown
    assert "new passphrase for `me`: " in shown
    assert "the same again: " in shown
    assert "(encrypted)" in shown
    ring = Keyring(tmp_path / "keys", Passphrases(ask=lambda prompt: SECRET))
    assert ring.pair("me").public.key_id in shown
    assert not any(text in shown for text in scalar(ring.pair("me")))


@pytest.mark.parametrize(
    ("answers", "match"), [([SECRET, "other"], "two different passphrases"), ([""], "what was typed is empty")]
)
def test_at_a_terminal_a_mistake_makes_no_key(tmp_path, answers, match):
    code, shown = lab.at_a_terminal("keys", "new", "me", "-w", tmp_path, answers=answers)
    assert code == 2
    assert match in shown
    assert SECRET not in shown
    assert not (tmp_path / "keys").exists()


def test_a_script_gives_the_passphrase_by_file_or_variable(tmp_path, secret, capsys, monkeypatch):
    said = _run(capsys, "keys", "new", "one", "-w", tmp_path, "--passphrase-file", secret)
    assert said.code == 0
    monkeypatch.setenv("INTERLOCK_PASSPHRASE_FILE", str(secret))
    assert _run(capsys, "keys", "new", "two", "-w", tmp_path).code == 0
    monkeypatch.delenv("INTERLOCK_PASSPHRASE_FILE")
    monkeypatch.setenv(VARIABLE, SECRET)
    assert _run(capsys, "keys", "new", "three", "-w", tmp_path).code == 0
    ring = Keyring(tmp_path / "keys", Passphrases(secret))
    assert len({ring.pair(name).public for name in ("one", "two", "three")}) == 3


def test_a_key_in_the_clear_is_made_only_in_so_many_words(tmp_path, capsys, monkeypatch):
    for given in (None, ""):
        if given is not None:
            monkeypatch.setenv(VARIABLE, given)
        assert _run(capsys, "keys", "new", "me", "-w", tmp_path).code == 2
        assert not (tmp_path / "keys").exists()
    said = _run(capsys, "keys", "new", "me", "-w", tmp_path, "--no-passphrase")
    assert (said.code, said.err) == (0, "")
    assert "not encrypted: whoever reads it can sign" in said.out
    assert keys.load_private(tmp_path / "keys" / "me.key")


def test_at_a_terminal_a_passphrase_that_opens_a_key_again_and_again_is_asked_for_once(tmp_path):
    """As `interlock run` does, which signs the ledger's time anew each minute."""
    asked = []
    found = Passphrases(ask=lambda prompt: asked.append(prompt) or SECRET)
    assert {found.to_open(tmp_path / name) for name in ("log.key", "log.key", "other.key", "log.key")} == {
        SECRET.encode()
    }
    assert asked == [f"passphrase of {tmp_path / name}" for name in ("log.key", "other.key")]


# -- signing with encrypted keys ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _locked(tmp_path_factory):
    """A workspace whose keys were all made under one passphrase. Not to be changed."""
    folder = tmp_path_factory.mktemp("locked") / "lab"
    secret = folder.parent / "secret"
    secret.write_text(SECRET + "\n")
    arguments = ["init", "--policy", str(lab.POLICY), "-w", str(folder), "--passphrase-file", str(secret)]
    assert cli.run(arguments) == 0
    return folder


@pytest.fixture
def locked(tmp_path, _locked):
    """A copy of it."""
    return Path(shutil.copytree(_locked, tmp_path / "lab"))


def attest(folder):
    return ("attest", "--requirement", "security-3", "--about", "developer", "-w", folder)


def test_init_without_a_passphrase_makes_nothing(tmp_path, capsys):
    said = _run(capsys, "init", "--policy", lab.POLICY, "-w", tmp_path / "lab")
    assert said.code == 2
    assert "the keys that are made here: no passphrase to encrypt it with" in said.err
    assert not (tmp_path / "lab").exists()


def test_every_key_that_init_makes_is_encrypted(locked, capsys):
    rows = _run(capsys, "keys", "list", "-w", locked, "--json").json
    assert len(rows) == 7
    assert all(row["encrypted"] for row in rows)


def test_a_role_signs_with_its_encrypted_key(locked, secret, capsys):
    assert _run(capsys, *attest(locked), "--passphrase-file", secret).code == 0
    assert _run(capsys, "ledger", "verify", "-w", locked).code == 0
    again = (*attest(locked), "--text", "said again")  # within one second the same words would be the same statement
    code, shown = lab.at_a_terminal(*again, answers=[SECRET, SECRET])
    assert code == 0, shown
    assert SECRET not in shown
    assert f"passphrase of {locked / 'keys' / 'external-auditor.key'}: " in shown
    assert lab.size(Workspace.open(locked)) == 3


def test_a_wrong_passphrase_signs_nothing_and_is_not_shown(locked, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, "wrong horse")
    monkeypatch.setenv("INTERLOCK_DEBUG", "1")
    said = _run(capsys, *attest(locked))
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"interlock: `{locked / 'keys' / 'external-auditor.key'}`: the passphrase does not open it: it is wrong, "
        "or the file is damaged\n"
    )
    assert lab.size(Workspace.open(locked)) == 1


def test_without_a_passphrase_nothing_is_signed_and_reading_still_works(locked, capsys):
    said = _run(capsys, *attest(locked))
    assert (said.code, said.out) == (2, "")
    assert "external-auditor.key` is encrypted, and there is no passphrase; give it by --passphrase-file" in said.err
    for command in (["ledger", "verify"], ["ledger", "log"], ["keys", "list"]):
        assert _run(capsys, *command, "-w", locked).code == 0


def test_a_program_signs_with_the_passphrase_of_its_environment(locked, monkeypatch):
    monkeypatch.setenv(VARIABLE, SECRET)
    workspace = Workspace.open(locked)
    assert workspace.can_sign_checkpoints()
    workspace.refresh()
    monkeypatch.delenv(VARIABLE)
    assert not Workspace.open(locked).can_sign_checkpoints()


# -- list --------------------------------------------------------------------------------------------------------------


def test_list_shows_which_roles_sign_with_a_key(registered, capsys):
    said = _run(capsys, "keys", "list", "-w", registered.folder, "--json")
    assert (said.code, said.err) == (0, "")
    rows = {row["name"]: row for row in said.json}
    assert rows["board-2"]["roles"] == ["board"]
    assert rows["board-2"]["key_id"] == lab.key(registered, "board-2").public.key_id
    assert (rows["log"]["roles"], rows["log"]["signs_ledger"]) == ([], True)
    assert {row["encrypted"] for row in rows.values()} == {False}
    text = _run(capsys, "keys", "list", "-w", registered.folder).out
    assert re.search(
        r"gatekeeper +[0-9a-f]{16}  ed25519:\S+\n +private key not encrypted, signs for gatekeeper\n", text
    )
    assert re.search(r"log .*\n +private key not encrypted, signs for the ledger\n", text)


def test_list_shows_problems_and_ends_with_5(registered, capsys):
    (registered.folder / "keys" / "board-1.key").chmod(0o640)
    (registered.folder / "keys" / "board-2.key").unlink()
    (registered.folder / "keys" / "board-3.pub").write_text("x\n")
    said = _run(capsys, "keys", "list", "-w", registered.folder)
    assert said.code == 5
    assert "problem: " in said.out
    assert "mode 0640, expected 0600; close it with: chmod 600" in said.out
    assert "private key elsewhere, signs for board" in said.out
    rows = {row["name"]: row for row in _run(capsys, "keys", "list", "-w", registered.folder, "--json").json}
    assert [bool(rows[name]["problems"]) for name in ("board-1", "board-2", "board-3", "log")] == [1, 0, 1, 0]
    assert rows["board-2"]["private_key_here"] is False


def test_list_works_before_there_is_a_workspace(tmp_path, capsys):
    assert "make one: interlock keys new NAME" in _run(capsys, "keys", "list", "-w", tmp_path).out
    _run(capsys, "keys", "new", "me", "-w", tmp_path, "--no-passphrase")
    said = _run(capsys, "keys", "list", "-w", tmp_path)
    assert said.code == 0
    assert "signs for" not in said.out


# -- export ------------------------------------------------------------------------------------------------------------


def test_export_writes_the_public_half_as_others_read_it(registered, capsys):
    folder, pair = registered.folder, lab.key(registered, "board-1")
    said = _run(capsys, "keys", "export", "board-1", "-w", folder)
    assert (said.code, said.out, said.err) == (0, (folder / "keys" / "board-1.pub").read_text(), "")
    assert _run(capsys, "keys", "export", "board-1", "-f", "pem", "-w", folder).out == pair.public.pem()
    vkey = _run(capsys, "keys", "export", "board-1", "-f", "vkey", "--note-name", "lab.example/board", "-w", folder)
    assert NoteKey.parse(vkey.out.strip()) == NoteKey("lab.example/board", pair.public)


def test_the_ledger_s_verifier_keys_verify_its_checkpoint(registered, capsys):
    made = {
        form: NoteKey.parse(_run(capsys, "keys", "export", "log", "-f", form, "-w", registered.folder).out.strip())
        for form in ("vkey", "cosigner-vkey")
    }
    note = Note.parse(registered.ledger.read().note.encode())
    verify_signature(note, made["vkey"])
    assert made["cosigner-vkey"].kind == COSIGNATURE
    assert verify_cosignature(note, made["cosigner-vkey"]) > 0


def test_export_recovers_a_public_file_that_is_gone(locked, secret, capsys):
    path = locked / "keys" / "board-1.pub"
    text = path.read_text()
    path.unlink()
    export = ("keys", "export", "board-1", "-w", locked)
    assert _run(capsys, *export).code == 2
    assert _run(capsys, *export, "--passphrase-file", secret).out == text


# -- rotate ------------------------------------------------------------------------------------------------------------


def test_rotate_makes_a_successor_a_proof_and_the_lines_of_an_amendment(registered, capsys):
    folder = registered.folder
    before = {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}
    said = _run(capsys, "keys", "rotate", "board-1", "-w", folder, "--no-passphrase")
    assert (said.code, said.err) == (0, "")
    assert {name: (folder / "keys" / name).read_bytes() for name in before} == before  # the old key above all
    proof = folder / "keys" / "board-1.2.rotation.json"
    old, new = lab.key(registered, "board-1").public, lab.key(registered, "board-1.2").public
    assert (verify(proof.read_bytes()).old, verify(proof.read_bytes()).new) == (old, new)
    assert f"ok: the holder of {old} hands over to {new}" in _run(capsys, "keys", "verify", proof).out
    line = "  board: {keys: [keys/board-1.2.pub, keys/board-2.pub, keys/board-3.pub], quorum: 2}"
    assert line in said.out.splitlines()
    written = (folder / "policy.yaml").read_text()
    amended = re.sub(r"  board: .*", line, written)
    board = loads(amended, name="policy.yaml", folder=folder).roles["board"]
    assert str(new) in board.keys
    assert str(old) not in board.keys
    assert len(board.keys) == 3


def test_the_printed_line_of_a_role_says_everything_that_the_policy_says(registered, capsys):
    said = _run(capsys, "keys", "rotate", "external-auditor", "-w", registered.folder, "--no-passphrase")
    [line] = [line for line in said.out.splitlines() if line.startswith("  external-auditor: ")]
    written = (registered.folder / "policy.yaml").read_text()
    amended = loads(
        re.sub(r"  external-auditor: +\{keys.*", line, written), name="policy.yaml", folder=registered.folder
    ).roles["external-auditor"]
    now = registered.read().policy.roles["external-auditor"]
    assert (amended.quorum, amended.independent_of, amended.declares) == (now.quorum, now.independent_of, now.declares)
    assert amended.keys != now.keys


def test_rotation_goes_on_and_names_do_not_collide(registered, capsys):
    for old, new in (("board-1", "board-1.2"), ("board-1.2", "board-1.3"), ("board-1", "board-1.4")):
        said = _run(capsys, "keys", "rotate", old, "-w", registered.folder, "--no-passphrase")
        assert (said.code, (registered.folder / "keys" / f"{new}.rotation.json").exists()) == (0, True)
    said = _run(capsys, "keys", "rotate", "board-2", "--to", "carol", "-w", registered.folder, "--no-passphrase")
    assert "[keys/board-1.pub, keys/carol.pub, keys/board-3.pub]" in said.out


def test_a_key_is_rotated_where_there_is_no_workspace(tmp_path, secret, capsys):
    _run(capsys, "keys", "new", "me", "-w", tmp_path, "--passphrase-file", secret)
    said = _run(capsys, "keys", "rotate", "me", "-w", tmp_path, "--passphrase-file", secret)
    assert said.code == 0
    assert "put keys/me.2.pub in its place in the policy's roles, by an amendment" in said.out
    assert keys.look_at(tmp_path / "keys" / "me.2.key").encrypted


def test_at_a_terminal_rotate_asks_for_the_old_passphrase_and_a_new_one(tmp_path, secret, capsys):
    _run(capsys, "keys", "new", "me", "-w", tmp_path, "--passphrase-file", secret)
    code, shown = lab.at_a_terminal("keys", "rotate", "me", "-w", tmp_path, answers=[SECRET, "another", "another"])
    assert code == 0, shown
    assert keys.load_private(tmp_path / "keys" / "me.2.key", lambda path: b"another")


def test_who_cannot_open_the_old_key_rotates_nothing(locked, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, "wrong")
    before = sorted((locked / "keys").iterdir())
    assert _run(capsys, "keys", "rotate", "board-1", "-w", locked).code == 2
    assert sorted((locked / "keys").iterdir()) == before


@pytest.mark.parametrize(("change", "code"), [(lambda p: p.write_bytes(p.read_bytes() + b" "), 4), (Path.unlink, 2)])
def test_a_proof_that_was_touched_is_no_proof(registered, capsys, change, code):
    _run(capsys, "keys", "rotate", "board-1", "-w", registered.folder, "--no-passphrase")
    proof = registered.folder / "keys" / "board-1.2.rotation.json"
    change(proof)
    said = _run(capsys, "keys", "verify", proof, "--json")
    assert (said.code, said.out) == (code, "")


# -- what an attacker leaves -------------------------------------------------------------------------------------------


def test_attack_the_board_s_quorum_by_one_key_under_two_names(registered, capsys):
    """Whoever holds one of the board's keys starts a ledger of their own with it."""
    folder = registered.folder.parent / "other"
    (folder / "keys").mkdir(parents=True)
    for name in ("board-1", "board-2", "board-3", "external-auditor", "evaluation-team", "gatekeeper"):
        shutil.copy2(registered.folder / "keys" / f"{name}.pub", folder / "keys")
    for name in ("board-1", "evil"):
        shutil.copy2(registered.folder / "keys" / "board-1.key", folder / "keys" / f"{name}.key")
        shutil.copy2(registered.folder / "keys" / "board-1.pub", folder / "keys" / f"{name}.pub")
    said = _run(capsys, "init", "--policy", lab.POLICY, "-w", folder, "--no-passphrase")
    assert said.code == 2
    assert "`board` signs with 2 key(s), found 1 of them" in said.err


def test_no_command_prints_a_private_key_or_a_passphrase(locked, secret, capsys, monkeypatch):
    monkeypatch.setenv("INTERLOCK_DEBUG", "1")
    ring = Keyring(locked / "keys", Passphrases(secret))
    hidden = [SECRET, *(text for name in ring.names() for text in scalar(ring.pair(name)))]
    use = ("-w", locked, "--passphrase-file", secret)
    for command in (
        ["keys", "new", "x", *use],
        ["keys", "list", "-w", locked],
        ["keys", "list", "-w", locked, "--json"],
        ["keys", "export", "board-1", *use],
        ["keys", "rotate", "board-1", *use],
        [*attest(locked), "--passphrase-file", secret],
        ["ledger", "log", "-w", locked, "--json"],
        ["ledger", "show", "0", "-w", locked],
    ):
        said = _run(capsys, *command)
        assert said.code == 0, said.err
        assert not [text for text in hidden if text in said.out + said.err]
    files = [path for path in locked.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files for text in hidden if text.encode() in path.read_bytes()]
    assert json.loads((locked / "interlock.json").read_text()).keys() == {"origin", "log_key", "policy"}
