"""`interlock permit`: what each command prints and with which code it ends, by the ledger and without it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
import permit_lab
from interlock import cli
from interlock.decide.decision import timestamp
from interlock.gate.spending import spend
from interlock.gate.trust import Trust
from interlock.ledger.note import NoteKey
from interlock.workspace import now
from permit_lab import issue, terms_of

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return permit_lab.evaluated(tmp_path_factory.mktemp("commands"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return lab.copy(_lab, tmp_path / "lab")


@pytest.fixture
def permit(workspace):
    return issue(workspace)


def alone(capsys, *arguments):
    """Run a command that has no workspace."""
    capsys.readouterr()
    return lab.Said(cli.run([str(it) for it in arguments]), *capsys.readouterr())


def run(capsys, workspace, *arguments, code=0):
    said = lab.command(capsys, workspace, "permit", *map(str, arguments))
    assert said.code == code, (said.out, said.err)
    return said


def test_issued_written_and_verified_without_the_workspace(workspace, capsys, tmp_path, monkeypatch):
    file, trust = tmp_path / "permit.json", tmp_path / "trust.json"
    said = run(capsys, workspace, "issue", "-s", "m", "-a", "scale", "--out", file, "--json").json
    assert run(capsys, workspace, "trust", "--out", trust, "--json").json["versions"] == [workspace.policy_digest]
    monkeypatch.chdir(tmp_path)
    (workspace.folder / "interlock.json").unlink()
    verify = ("permit", "verify", file, "--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    told = alone(capsys, *verify, "--effective-compute", "2e12", "--json")
    assert (told.code, told.json["opens"], told.json["permit"]) == (0, True, said["permit"])
    assert told.json["effective_compute"] == {"start": "1000000000000", "most": "4000000000000"}
    plain = alone(capsys, *verify)
    assert (plain.code, plain.err) == (0, "")
    assert plain.out == f"permit {said['permit'][:12]} opens `scale` until {told.json['until']}\n"


HELD = {
    "another action": (["-a", "deploy-internal"], "is for `scale`, expected one for `deploy-internal`"),
    "another subject": (["-s", "9" * 64], "expected one for 999999999999"),
    "another deployment": (["-d", "9" * 64], "expected one for 9999"),
    "more compute": (["--effective-compute", "4000000000001"], "allows at most 4000000000000"),
}


@pytest.mark.parametrize(("options", "match"), HELD.values(), ids=HELD)
def test_what_a_file_does_not_open_is_a_hold(workspace, permit, capsys, tmp_path, options, match):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    usual = ["-a", "scale", "-s", made.FILES.digest]
    said = alone(capsys, "permit", "verify", file, "--trust", trust, *usual, *options)
    assert (said.code, said.out) == (3, "")
    assert match in said.err
    told = alone(capsys, "permit", "verify", file, "--trust", trust, *usual, *options, "--json")
    assert (told.code, told.json["opens"], match in told.json["why"]) == (3, False, True)


@pytest.mark.parametrize("which", ["permit", "trust"])
@pytest.mark.parametrize("how", ["flipped", "cut off", "empty", "more"])
def test_a_file_that_was_altered_is_no_permit(workspace, permit, capsys, tmp_path, which, how):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    path = file if which == "permit" else trust
    data = path.read_bytes()
    flipped = data.replace(b'"', b"#", 1)
    path.write_bytes({"flipped": flipped, "cut off": data[:-20], "empty": b"", "more": data + b"{}"}[how])
    said = alone(capsys, "permit", "verify", file, "--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    assert (said.code, said.out, said.err.count("\n")) == (4, "", 1)
    assert said.err.startswith(f"interlock: {which} file")


@pytest.mark.parametrize("which", ["permit", "trust"])
def test_a_file_that_is_not_there_opens_nothing(workspace, permit, capsys, tmp_path, which):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    (file if which == "permit" else trust).unlink()
    said = alone(capsys, "permit", "verify", file, "--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    assert (said.code, said.out, "cannot read it" in said.err) == (2, "", True)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "--subject is a folder of weights or a whole digest"),
        (["-s", "m"], "--subject is a folder of weights or a whole digest"),
        (["-s", ""], "--subject is a folder of weights or a whole digest"),
        (["-s", made.FILES.digest, "-d", "api"], "it is a whole digest"),
        (["-s", made.FILES.digest, "-d", ""], "it is a whole digest"),
        (["-s", made.FILES.digest, "--effective-compute", ""], "--effective-compute is ``"),
        (["-s", made.FILES.digest, "--adapter", "x"], "--adapter goes with --subject FOLDER"),
    ],
    ids=str,
)
def test_a_gate_that_does_not_say_what_it_has_opens_nothing(workspace, permit, capsys, tmp_path, options, match):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    said = alone(capsys, "permit", "verify", file, "--trust", trust, "-a", "scale", *options)
    assert (said.code, match in said.err) == (2, True)


def test_a_folder_of_weights_is_hashed_at_the_gate(workspace, permit, capsys, tmp_path, model_folder):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    said = alone(capsys, "permit", "verify", file, "--trust", trust, "-a", "scale", "-s", model_folder)
    assert (said.code, "expected one for" in said.err) == (3, True)


def test_a_clock_set_back_holds_where_a_file_keeps_the_time(workspace, permit, capsys, tmp_path, monkeypatch):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    verify = ("permit", "verify", file, "--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    (tmp_path / "seen").write_text(json.dumps({"seen": timestamp(now() + DAY)}))
    said = alone(capsys, *verify, "--seen", tmp_path / "seen")
    assert (said.code, "before the latest time seen" in said.err) == (3, True)
    assert alone(capsys, *verify, "--seen", tmp_path / "new").code == 0
    assert "seen" in json.loads((tmp_path / "new").read_bytes())


# -- by the ledger ----------------------------------------------------------------------------------------------------


def test_by_the_ledger_a_gate_says_what_it_has(workspace, permit, capsys):
    verify = ("verify", permit, "-a", "scale")
    assert run(capsys, workspace, *verify, "-s", "m", "--effective-compute", "4e12", "--json").json["opens"]
    child = made.near_copy(workspace)
    for options, match in (
        (["-s", "copy"], f"expected one for {child[:12]}"),
        (["--effective-compute", "4000000000001"], "allows at most"),
    ):
        assert match in run(capsys, workspace, *verify, *options, code=3).err
    assert "no single subject" in run(capsys, workspace, *verify, "-s", "", code=2).err
    assert "--seen goes with --trust" in run(capsys, workspace, *verify, "--seen", "x", code=2).err


def test_a_permit_shows_what_became_of_it(workspace, permit, capsys):
    told = run(capsys, workspace, "show", permit, "--json").json
    assert (told["ended"], told["single_use"], told["narrows"], told["lineage"]) == (None, False, None, [])
    narrower = run(capsys, workspace, "narrow", permit, "--single-use", "--json").json
    assert (narrower["narrows"], narrower["single_use"]) == (permit, True)
    assert "narrowed by" in run(capsys, workspace, "show", permit, "--json").json["ended"]
    spend(workspace, narrower["permit"], action="scale", destination="here", at=now())
    shown = run(capsys, workspace, "show", narrower["permit"]).out
    assert "scale, for one use" in shown
    assert "was spent by gatekeeper" in shown


def test_narrowed_at_the_command_line(workspace, permit, capsys, tmp_path):
    end = timestamp(now() + 2 * DAY)
    told = run(
        capsys, workspace, "narrow", permit, "--most-compute", "2e12", "--not-after", end, "--out", tmp_path / "p"
    )
    assert "from 1000000000000 to at most 2000000000000 FLOP" in told.out
    assert (tmp_path / "p").stat().st_size > 1000
    terms = terms_of(workspace, workspace.read().permits[-1].digest)
    assert (terms.narrows, timestamp(terms.not_after)) == (permit, end)
    assert "the permit was narrowed by" in run(capsys, workspace, "verify", permit, "-a", "scale", code=3).err
    assert "the permit was narrowed by" in run(capsys, workspace, "show", permit, "--out", tmp_path / "q", code=3).err
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--most-compute", "5e12"], "a permit is only ever narrowed, got 5000000000000 FLOP"),
        (["--not-after", "2099-01-01"], "a permit is only ever narrowed, got an end at 2099-01-01T00:00:00Z"),
        (["--not-before", "2020-01-01"], "a permit is only ever narrowed, got a start at"),
        (["--not-after", "soon"], "--not-after: expected a time"),
        ([], "nothing is less"),
    ],
    ids=str,
)
def test_what_is_wider_is_refused(workspace, permit, capsys, options, match):
    size = lab.size(workspace)
    assert match in run(capsys, workspace, "narrow", permit, *options, code=2).err
    assert lab.size(workspace) == size


def test_a_permit_to_release_is_for_one_use_and_has_no_use_as_a_file(workspace, capsys, tmp_path):
    file, trust = tmp_path / "permit.json", tmp_path / "trust.json"
    said = run(capsys, workspace, "issue", "-s", "m", "-a", "release-weights", "-o", file).out
    assert "release-weights, for one use" in said
    run(capsys, workspace, "trust", "-o", trust)
    told = alone(
        capsys, *("permit", "verify", file, "--trust", trust, "-a", "release-weights", "-s", made.FILES.digest)
    )
    assert (told.code, "ask a gate that reaches the ledger" in told.err) == (3, True)


def test_a_bundle_shows_the_permits_before_its_decision_and_how_they_ended(workspace, permit, capsys, tmp_path):
    once = issue(workspace, "release-weights")
    spend(workspace, once, action="release-weights", destination="here", at=now())
    assert lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record").code == 0
    assert lab.command(capsys, workspace, "bundle", "export", "latest", "-o", str(tmp_path / "b")).code == 0
    vkey = NoteKey(workspace.ledger.origin, workspace.ledger.key).vkey
    told = alone(capsys, "bundle", "verify", tmp_path / "b", "--vkey", vkey, "--json")
    assert told.code == 0, told.err
    shown = told.json["permits_before_it"]
    assert (shown[permit]["ended"], "was spent by gatekeeper" in shown[once]["ended"]) == ("not ended", True)
    assert (shown[permit]["action"], shown[permit]["subject"]) == ("scale", made.FILES.digest)
    plain = alone(capsys, "bundle", "verify", tmp_path / "b", "--vkey", vkey).out
    for text in (
        "for `release-weights` of `m`",
        f"permit      {once}",
        "by then     the permit was spent by gatekeeper",
    ):
        assert text in plain
    assert plain.count(f"subject     {made.FILES.digest}") == 3  # of the decision, and of both permits


def test_a_permit_that_is_over_is_not_shown_as_one_that_stands(workspace, permit, capsys, tmp_path, monkeypatch):
    terms = next(it.terms for it in workspace.read().permits if it.digest == permit)
    lab.later(monkeypatch, terms.not_after)
    lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale", "--record")
    assert lab.command(capsys, workspace, "bundle", "export", "latest", "-o", str(tmp_path / "b")).code == 0
    vkey = NoteKey(workspace.ledger.origin, workspace.ledger.key).vkey
    told = alone(capsys, "bundle", "verify", tmp_path / "b", "--vkey", vkey).out
    assert f"until {timestamp(terms.not_after)} at most\n  by then     its time was over" in told


def test_a_permit_for_one_use_opens_once(workspace, capsys):
    permit = issue(workspace, "release-weights")
    verify = ("verify", permit, "-a", "release-weights")
    assert "use it by spending it" in run(capsys, workspace, *verify, code=3).err
    child = made.near_copy(workspace)
    assert f"expected one for {child[:12]}" in run(capsys, workspace, *verify, "-s", "copy", "--spend", "x", code=3).err
    told = run(capsys, workspace, *verify, "-s", "m", "--spend", "s3://weights/m", "--json").json
    assert told["opens"]
    assert told["spent"] == {"entry": lab.size(workspace) - 1, "on": "s3://weights/m"}
    for again in ((), ("--spend", "elsewhere")):
        assert "on `s3://weights/m`; it was for one use" in run(capsys, workspace, *verify, *again, code=3).err


def test_without_the_ledger_nothing_is_spent(workspace, permit, capsys, tmp_path):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    usual = ("--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    said = alone(capsys, "permit", "verify", file, *usual, "--spend", "x")
    assert (said.code, "--spend needs the ledger" in said.err) == (2, True)


def test_a_hold_writes_no_file(workspace, capsys, tmp_path):
    made.result(workspace, 110)
    run(capsys, workspace, "issue", "-s", "m", "-a", "scale", "--out", tmp_path / "p", code=3)
    assert not (tmp_path / "p").exists()


def test_the_trust_file_tells_of_versions_and_witnesses(workspace, capsys, tmp_path):
    (tmp_path / "quorum").write_text("quorum none\n")
    said = run(capsys, workspace, "trust", "-o", tmp_path / "t", "--witnesses", tmp_path / "quorum", code=2)
    assert "asks for no witness" in said.err
    told = run(capsys, workspace, "trust", "-o", tmp_path / "t").out
    digest = json.loads((tmp_path / "t").read_bytes())["digest"]
    assert told == f"{tmp_path / 't'}: permits of `test-lab/said`, by its version 1.0.0; digest {digest}\n"
    value = json.loads((tmp_path / "t").read_bytes())
    assert value["versions"][0]["actions"]["release-weights"] == "irreversible"
    assert value["versions"][0]["actions"]["scale"] == "reversible"


def test_a_permit_under_an_amended_policy_needs_a_new_trust_file(workspace, permit, capsys, tmp_path):
    file, trust = permit_lab.files(workspace, tmp_path / "gate", permit)
    believed = Trust.parse(trust.read_bytes())
    other = replace(believed.versions[0], digest="9" * 64)
    trust.write_bytes(replace(believed, versions=(other,)).to_bytes())
    said = alone(capsys, "permit", "verify", file, "--trust", trust, "-a", "scale", "-s", made.FILES.digest)
    assert (said.code, "install a new trust file: interlock permit trust" in said.err) == (3, True)
