"""`interlock ledger`: with a workspace, and with nothing but a folder and a key."""

from __future__ import annotations

import json
import shutil

import pytest

import lab
from interlock import cli
from interlock.ledger.note import NoteKey


def _run(capsys, *arguments):
    capsys.readouterr()
    code = cli.run(["ledger", *(str(argument) for argument in arguments)])
    return lab.Said(code, *capsys.readouterr())


@pytest.fixture
def copy(registered, tmp_path):
    """What an auditor has: the published part of the ledger, and the log's verifier key."""
    folder = shutil.copytree(registered.ledger.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("sequencer"))
    return folder, NoteKey(registered.origin, registered.log_key).vkey


def test_verify_tells_what_it_recomputed_and_the_key_to_give_to_others(registered, capsys):
    said = _run(capsys, "verify", "-w", registered.folder)
    assert said.code == 0
    assert said.out.startswith("ok: 2 entries, root ")
    found = _run(capsys, "verify", "-w", registered.folder, "--json").json
    assert found["entries"] == 2
    assert found["checkpoints"] == 3
    assert found["sealed"] is None
    assert found["vkey"] == NoteKey(registered.origin, registered.log_key).vkey


def test_a_copy_verifies_with_nothing_but_the_log_s_key(registered, copy, capsys):
    folder, vkey = copy
    assert _run(capsys, "verify", "--ledger", folder, "--vkey", vkey, "--json").json["entries"] == 2
    bundle = lab.bundle(registered).relative_to(registered.ledger.folder)
    data = (folder / bundle).read_bytes()
    (folder / bundle).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = _run(capsys, "verify", "--ledger", folder, "--vkey", vkey)
    assert (said.code, said.out) == (4, "")
    assert "entry 1 differs" in said.err or "entries 1 to 1" in said.err


def test_a_folder_without_a_key_and_a_key_without_a_folder_are_refused(copy, capsys):
    folder, vkey = copy
    for arguments in (["--ledger", folder], ["--vkey", vkey]):
        said = _run(capsys, "verify", *arguments)
        assert said.code == 2
        assert "expected both" in said.err
    said = _run(capsys, "verify", "--ledger", folder, "--vkey", "nonsense")
    assert said.code == 2
    assert "expected `name+id+base64`" in said.err
    assert _run(capsys, "verify", "--ledger", folder / "nothing", "--vkey", vkey).code == 2


def test_an_entry_is_proven_to_somebody_who_has_no_ledger(registered, copy, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, vkey = copy
    assert _run(capsys, "proof", 1, "-w", registered.folder).code == 0
    assert _run(capsys, "show", 1, "-w", registered.folder, "-o", "entry-1").code == 0
    check = ("proof", "--check", "entry-1.tlog-proof", "--data", "entry-1", "--vkey", vkey)
    said = _run(capsys, *check)
    assert said.code == 0
    assert "ok: `entry-1` is entry 1, under the checkpoint of 2 entries" in said.out
    assert _run(capsys, *check, "--json").json["entry"] == 1
    (tmp_path / "entry-1").write_bytes(b"another")
    said = _run(capsys, *check)
    assert said.code == 4
    assert "inclusion proof: got root" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (["proof"], 2, "got no entry"),
        (["proof", "7"], 2, "the ledger has 2 entries, got 7"),
        (["proof", "--check", "nothing"], 2, "expected --data"),
        (["proof", "--check", "nothing", "--data", "nothing"], 2, "`nothing`: cannot read it"),
        (["monitor", "--kept", "nothing"], 2, "no checkpoint is kept in `nothing`"),
        (["seal"], 2, "--reason"),
        (["seal", "--reason", "a\nb"], 2, "expected one line"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(registered, capsys, arguments, code, match):
    said = _run(capsys, *arguments, "-w", registered.folder)
    assert (said.code, said.out) == (code, "")
    assert match in said.err


def test_a_monitor_follows_a_ledger_and_finds_that_it_was_cut_off(registered, copy, capsys, tmp_path):
    folder, vkey = copy
    kept = tmp_path / "kept"
    assert _run(capsys, "monitor", "--kept", kept, "--start", "-w", registered.folder).code == 0
    lab.force(registered, lab.envelope(lab.payload(registered, "subject"), lab.key(registered, "board-1")))
    said = _run(capsys, "monitor", "--kept", kept, "-w", registered.folder, "--json")
    assert (said.json["before"], said.json["entries"]) == (2, 3)
    said = _run(capsys, "monitor", "--kept", kept, "--ledger", folder, "--vkey", vkey)
    assert said.code == 4
    assert "it was cut off: got 2 entries, expected 3 or more" in said.err


def test_a_sealed_ledger_reads_verifies_and_decides_but_takes_no_more(registered, capsys):
    said = _run(capsys, "seal", "--reason", "it moved", "--successor", "example.org/next", "-w", registered.folder)
    assert said.out == "sealed: entry 2 is the last\n"
    verified = _run(capsys, "verify", "-w", registered.folder, "--json").json
    assert (verified["entries"], verified["sealed"]) == (3, {"reason": "it moved", "successor": "example.org/next"})
    assert "sealed: it moved" in _run(capsys, "verify", "-w", registered.folder).out
    listed = _run(capsys, "log", "-w", registered.folder, "--json").json
    assert [row["kind"] for row in listed] == ["policy", "subject", "seal"]
    assert "seal" in _run(capsys, "log", "-w", registered.folder).out.splitlines()[-1]
    assert _run(capsys, "show", 2, "-w", registered.folder).json["reason"] == "it moved"
    assert lab.command(capsys, registered, "decide", "-s", "honest").code == 3
    for arguments in (
        ("attest", "--requirement", "security-3", "--about", "developer"),
        ("ledger", "seal", "--reason", "again"),
    ):
        said = lab.command(capsys, registered, *arguments)
        assert (said.code, said.out) == (4, "")
        assert "the ledger is sealed" in said.err


def test_show_prints_a_statement(registered, copy, capsys):
    folder, vkey = copy
    shown = _run(capsys, "show", 0, "--ledger", folder, "--vkey", vkey)
    assert json.loads(shown.out)["predicateType"].endswith(":policy:v1")
