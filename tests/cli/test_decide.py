"""`decide --record`: what is printed becomes an entry of the ledger, and a hold can be handed on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lab
import ledger_lab
from interlock.ledger.note import NoteKey

VERIFY = Path(__file__).parents[2] / "verify.py"
ACTIONS = ("scale", "deploy-internal", "deploy-api")


@pytest.fixture
def workspace(tmp_path):
    """A subject on which nothing is known."""
    return ledger_lab.make(tmp_path)


def statement_of(capsys, workspace, entry):
    return lab.command(capsys, workspace, "ledger", "show", str(entry)).json


def test_without_it_nothing_is_recorded(workspace, capsys):
    before = lab.size(workspace)
    assert lab.command(capsys, workspace, "decide", "-s", "m").code == 3
    assert lab.size(workspace) == before


def test_what_is_signed_is_what_was_printed(workspace, capsys):
    said = lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record", "--json")
    assert (said.code, said.json["entry"], said.json["decision"]["verdict"]) == (3, 2, "hold")
    assert statement_of(capsys, workspace, 2)["predicate"] == said.json["decision"]
    [record] = [it for it in workspace.read().records if it.kind == "decision"]
    assert (record.entry, record.digest, record.about) == (2, said.json["digest"], "m")
    assert record.signers == {"gatekeeper"}  # the role that issues permits


def test_each_action_is_an_entry_that_has_read_all_before_it(workspace, capsys):
    said = lab.command(capsys, workspace, "decide", "-s", "m", "--record", "--json")
    assert [(one["entry"], one["decision"]["action"]) for one in said.json] == list(enumerate(ACTIONS, start=2))
    for one in said.json:
        assert one["decision"]["checkpoint"]["size"] == one["entry"]
        assert statement_of(capsys, workspace, one["entry"])["predicate"] == one["decision"]
    assert lab.command(capsys, workspace, "ledger", "verify").code == 0


def test_a_permit_is_recorded_too_and_opens_nothing(workspace, capsys):
    ledger_lab.evaluate(workspace)
    ledger_lab.attest(workspace, "no-evaluation-gaming", "watched")
    said = lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record", "--json")
    assert (said.code, said.json["decision"]["verdict"]) == (0, "permit")
    assert workspace.read().permits == ()
    opened = lab.command(capsys, workspace, "permit", "verify", said.json["digest"], "-a", "scale")
    assert opened.code == 3


def test_the_entry_is_named_and_its_bundle_verifies_anywhere_as_a_hold(workspace, capsys, tmp_path):
    said = lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record")
    assert said.code == 3
    [told] = [line for line in said.out.splitlines() if line.startswith("recorded")]
    assert told == "recorded `scale`, hold: entry 2; to hand it on: interlock bundle export 2"
    file, vkey = tmp_path / "hold.json", NoteKey(workspace.origin, workspace.log_key).vkey
    assert lab.command(capsys, workspace, *told.rpartition("interlock ")[2].split(), "-o", str(file)).code == 0
    command = [sys.executable, "-I", str(VERIFY), str(file), "--vkey", vkey, "--policy", workspace.policy_digest]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout)["verdict"] == "hold"


def test_a_decision_is_recorded_for_the_deployment_that_was_named(capsys, tmp_path, registered):
    for arguments in (
        ["deployment", "add", "offered", "--subject", "honest", "--surface", "api", "--access-tier", "public"],
        ["decide", "-s", "honest", "-a", "deploy-api", "-d", "offered", "--record", "--json"],
    ):
        said = lab.command(capsys, registered, *arguments)
    offered = registered.read().deployment("offered")
    assert said.json["decision"]["deployment"] == offered.digest
    assert statement_of(capsys, registered, said.json["entry"])["predicate"]["deployment"] == offered.digest


def test_without_the_keys_of_the_role_nothing_is_recorded(workspace, capsys):
    (workspace.folder / "keys" / "gatekeeper.key").unlink()
    before = lab.size(workspace)
    said = lab.command(capsys, workspace, "decide", "-s", "m", "--record")
    assert (said.code, said.out, lab.size(workspace)) == (2, "", before)
    assert "gatekeeper" in said.err
