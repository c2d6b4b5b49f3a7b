"""`interlock ledger witness`, and `--witnesses` wherever it is asked for: a workspace and two real witnesses."""

from __future__ import annotations

import shutil

import pytest

import lab
from interlock import cli
from interlock.ledger.note import COSIGNATURE, Note, NoteKey
from interlock.workspace import now
from witness.running import new_witness, serving


def _run(capsys, *arguments):
    capsys.readouterr()
    code = cli.run(["ledger", *(str(argument) for argument in arguments)])
    return lab.Said(code, *capsys.readouterr())


@pytest.fixture
def two(registered, tmp_path):
    """Two witnesses of the workspace's ledger, and a quorum file that asks for both: file, keys and servers."""
    log = NoteKey(registered.origin, registered.log_key)
    keys = [new_witness(tmp_path / name, log, name=f"example.com/{name}") for name in ("w1", "w2")]
    with serving(tmp_path / "w1", now) as first, serving(tmp_path / "w2", now) as second:
        file = tmp_path / "quorum"
        lines = [
            f"witness w{n} {key.vkey} {it.url}\n" for n, key, it in zip((1, 2), keys, (first, second), strict=True)
        ]
        file.write_text(f"log {log.vkey}\n{''.join(lines)}group both all w1 w2\nquorum both\n")
        yield file, keys, (first, second)


def test_the_whole_way_from_a_ledger_to_a_proof_that_witnesses_saw_it(registered, two, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file, keys, _ = two
    where = ("-w", registered.folder)
    said = _run(capsys, "verify", *where, "--witnesses", file)
    assert (said.code, said.out) == (4, "")
    assert "quorum `both` is not met: got 0 of 2 witnesses; `w1`: no cosignature; `w2`: no cosignature" in said.err
    assert _run(capsys, "proof", 1, *where, "--witnesses", file).code == 4
    assert not (tmp_path / "entry-1.tlog-proof").exists()

    said = _run(capsys, "witness", *where, "--witnesses", file)
    assert said.code == 0
    assert said.out.startswith("w1: cosigned 2 entries, ")
    assert [it.name for it in Note.parse(registered.ledger.latest().data).signatures[2:]] == [key.name for key in keys]
    said = _run(capsys, "verify", *where, "--witnesses", file)
    assert (said.code, said.out.count("cosigned 20"), "quorum `both` is met" in said.out) == (0, 2, True)
    found = _run(capsys, "verify", *where, "--witnesses", file, "--json").json["quorum"]
    assert (found["met"], [it["name"] for it in found["witnesses"]]) == (True, ["w1", "w2"])

    assert _run(capsys, "proof", 1, *where, "--witnesses", file).code == 0
    assert _run(capsys, "show", 1, *where, "-o", "entry-1").code == 0
    vkey = NoteKey(registered.origin, registered.log_key).vkey
    check = ("proof", "--check", "entry-1.tlog-proof", "--data", "entry-1", "--vkey", vkey, "--witnesses", file)
    assert "quorum `both` is met" in _run(capsys, *check).out
    assert _run(capsys, *check, "--json").json["quorum"]["met"] is True
    path = tmp_path / "entry-1.tlog-proof"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))  # without the second witness
    said = _run(capsys, *check)
    assert (said.code, said.out) == (4, "")
    assert "`w2`: no cosignature" in said.err


def test_a_decision_s_refresh_keeps_the_cosignatures(registered, two, capsys):
    assert _run(capsys, "witness", "-w", registered.folder, "--witnesses", two[0]).code == 0
    assert lab.command(capsys, registered, "decide", "-s", "honest").code == 3
    assert _run(capsys, "verify", "-w", registered.folder, "--witnesses", two[0]).code == 0


def test_one_witness_is_asked_by_its_address(registered, two, capsys):
    file, keys, servers = two
    by = ("witness", "-w", registered.folder, "--url", servers[0].url, "--witness-vkey", keys[0].vkey)
    assert list(_run(capsys, *by, "--json").json["cosigned"]) == ["example.com/w1"]
    assert "`w2`: no cosignature" in _run(capsys, "verify", "-w", registered.folder, "--witnesses", file).err


def test_a_witness_that_is_away_matters_only_if_the_quorum_needs_it(registered, two, capsys):
    file, _, servers = two
    text = file.read_text().replace(servers[1].url, "http://127.0.0.1:1")
    file.write_text(text)
    said = _run(capsys, "witness", "-w", registered.folder, "--witnesses", file)
    assert said.code == 4
    assert "witness `w2`: `http://127.0.0.1:1`: no answer of a witness there" in said.err
    assert "quorum `both` is not met: got 1 of 2" in said.err
    file.write_text(text.replace("both all", "both any"))
    assert _run(capsys, "witness", "-w", registered.folder, "--witnesses", file).code == 0


def test_attack_a_ledger_that_was_put_back_is_found_though_the_quorum_would_be_met(registered, two, capsys, tmp_path):
    file, _, _ = two
    file.write_text(file.read_text().replace("both all", "both any"))
    older = shutil.copytree(registered.folder, tmp_path / "older")
    assert _run(capsys, "witness", "-w", older, "--witnesses", file).code == 0  # of the shorter ledger: met
    lab.force(registered, lab.envelope(lab.payload(registered, "subject"), lab.key(registered, "board-1")))
    assert _run(capsys, "witness", "-w", registered.folder, "--witnesses", file).code == 0
    said = _run(capsys, "witness", "-w", older, "--witnesses", file)
    assert said.code == 4
    assert "the ledger was cut off or put back" in said.err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["witness"], "expected either --witnesses FILE, or --url and --witness-vkey"),
        (["witness", "--url", "http://w"], "expected either --witnesses FILE"),
        (["witness", "--witnesses", "FILE", "--url", "http://w"], "expected either --witnesses FILE"),
        (["witness", "--url", "http://w", "--witness-vkey", "nonsense"], "--witness-vkey: got verifier key"),
        (["witness", "--url", "http://w", "--witness-vkey", "LOG"], "--witness-vkey: got a verifier key of type 1"),
        (["witness", "--url", "w", "--witness-vkey", "WITNESS"], "got witness address `w`"),
        (["witness", "--witnesses", "FILE"], "no witness there has a URL"),
        (["witness", "--witnesses", "nothing"], "`nothing`: cannot read it"),
        (["verify", "--witnesses", "nothing"], "`nothing`: cannot read it"),
        (["verify", "--witnesses", "BAD"], "bad:1: `quorum none` asks for no witness"),
        (["proof", "1", "--witnesses", "BAD"], "bad:1: `quorum none` asks for no witness"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else None,
)
def test_a_mistake_is_told(registered, capsys, tmp_path, arguments, match):
    log = NoteKey(registered.origin, registered.log_key)
    witness = NoteKey("example.com/w", lab.key(registered, "board-1").public, COSIGNATURE)
    (tmp_path / "quorum").write_text(f"witness w {witness.vkey}\nquorum w\n")
    (tmp_path / "bad").write_text("quorum none\n")
    named = {"FILE": tmp_path / "quorum", "BAD": tmp_path / "bad", "LOG": log.vkey, "WITNESS": witness.vkey}
    said = _run(capsys, *(named.get(it, it) for it in arguments), "-w", registered.folder)
    assert (said.code, said.out) == (2, "")
    assert match in said.err
