"""The published schemas and the reader say the same of what we write, and of what we would not."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import jsonschema
import pytest

import foreign
import lab
from interlock import cli
from interlock.cli.deployments import register as offer
from interlock.cli.subjects import register_run
from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError
from interlock.evidence import canonical, dsse
from interlock.evidence.predicates import KINDS, ComputeSource, SnapshotPredicate, statement
from interlock.evidence.read import _Reader
from interlock.evidence.rederive import rederive
from interlock.evidence.schema import schema
from interlock.evidence.statement import Statement
from interlock.gate import permit as permits
from interlock.gate.spending import spend
from interlock.subject.deployment import Deployment
from interlock.subject.manifest import Manifest
from interlock.subject.run import Run
from interlock.workspace import now

VALIDATORS = {kind: jsonschema.Draft202012Validator(schema(kind)) for kind in KINDS}
SIGNERS = ("evaluation-team", "external-auditor", "gatekeeper", "board-1", "board-2")
FREE = {"environment", "sampling", "args"}  # names here are anything
OPTIONAL = {("validity",), ("compute_source",), ("compute_source", "file_sha256"), ("document",), ("told",)}
WRONG = (None, True, -1, 2**53 - 1, "", "x" * 5000, "not this", [], {}, [1], {"a": 1})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory, finished_lab):
    """A ledger with a statement of every kind, and its workspace."""
    workspace = lab.copy(finished_lab, tmp_path_factory.mktemp("schema") / "lab")
    lab.issue(workspace)
    permit = workspace.read().permits[0]
    once = permits.issue(workspace, subject="honest", action="scale", at=now(), single_use=True)
    spend(workspace, once.permit, action="scale", destination="here", at=now())
    files = Manifest((("model.safetensors", "ab" * 32),))
    terms = SnapshotPredicate(files, permit.digest, permit.subject, 1, 0, permit.terms.start_compute, None, "cd" * 32)
    made = statement("snapshot", name="saved", digest=files.digest, predicate=terms.to_json())
    workspace.append(made, [lab.key(workspace, "gatekeeper")])
    run = foreign.inspect(min(workspace.folder.glob("logs/*/*.eval")), workspace.folder / "other.eval")
    assert cli.run(["import", str(run), "--subject", "honest", "--workspace", str(workspace.folder)]) == 0
    register_run(workspace, Run("1" * 64, "2" * 64), name="next", compute=1, source=ComputeSource("us", "6" * 64))
    hashed = (("a", "3" * 64), ("b", "4" * 64))
    parts = Deployment(permit.subject, "5" * 64, hashed, hashed, "api", "public", {"temperature": "0.7"})
    offer(workspace, name="offered", offered=parts)
    _amended(workspace)  # before an incident names a threshold, which freezes amendments
    for arguments in (
        ["permit", "revoke", permit.digest, "--reason", "a test"],
        ["forecast", "codebook", "--multiple", "6x", "--margin", "0.1", "--by", "board"],
        [
            *("incident", "report", "theft", "-s", "honest", "--threshold", "takeover", "--requirement", "misuse-3"),
            *("--moment", "event=2026-01-02T00:00:00Z", "--by", "board"),
        ],
    ):
        assert cli.run([*arguments, "--workspace", str(workspace.folder)]) == 0
    held = ["decide", "-s", "next", "-a", "scale", "--record"]  # with duties that start
    assert cli.run([*held, "--workspace", str(workspace.folder)]) == 3
    with pytest.MonkeyPatch.context() as patch:
        lab.later(patch, now() + timedelta(days=2))
        _not_in_time(workspace)
        _taken_back(workspace)
    return workspace


def _not_in_time(workspace):
    """The board was told, a day too late; and a decision shows it."""
    assert cli.run(["duties", "run", "--workspace", str(workspace.folder)]) == 3
    item = next(it for it in workspace.read().duties(now()).duties if it.duty.endswith("notify"))
    at = timestamp(now())
    told = {"told": [{"role": "board", "through": "e-mail", "at": at}], "document": "ab" * 32}
    predicate = {"of": item.digest, "duty": item.duty, "about": "subject", "done": at, "statement": "x", "at": at}
    made = statement("duty", name="next", digest=item.subject, predicate=predicate | told)
    workspace.append(made, [lab.key(workspace, name) for name in SIGNERS])
    assert cli.run(["decide", "-s", "next", "-a", "scale", "--record", "--workspace", str(workspace.folder)]) == 3


def _taken_back(workspace):
    """What refers to other entries, said of the last one of each."""
    last = {record.kind: record.digest for record in workspace.read().records}
    at = timestamp(now())
    for kind, about, predicate in (
        ("incident", "incident", {"resolved": at, "statement": "x", "at": at}),
        (
            "audit",
            "result",
            {"seed": _seed(workspace), "drawn": 2, "agreed": 1, "disagreed": 1, "statement": "x", "at": at},
        ),
        ("set-aside", "result", {"reason": "x", "at": at}),
        ("withdrawal", "attestation", {"reason": "x", "at": at}),
    ):
        made = statement(kind, name="x", digest=last[about], predicate=predicate)
        workspace.append(made, [lab.key(workspace, name) for name in SIGNERS])


def _seed(workspace):
    view = workspace.ledger.read()
    return {"size": view.size, "root": view.root.hex()}


def _amended(workspace):
    """A next version with something to check, to judge, to approve and to open, and a word for each."""
    text = (workspace.folder / "policy.yaml").read_text()
    for old, new in AMENDED:
        assert old in text
        text = text.replace(old, new)
    (workspace.folder / "next.yaml").write_text(text.replace("EFFECTIVE", timestamp(now() + timedelta(days=31))))
    folder = ["--workspace", str(workspace.folder)]
    assert cli.run(["amend", str(workspace.folder / "next.yaml"), *folder]) == 0
    (workspace.folder / "logs/record.json").write_bytes(b"{}")
    at, result = timestamp(now()), lab.payload(workspace, "result", 0).digest
    for kind, predicate in (
        (
            "assumption-check",
            {
                "assumption": "valid-understanding",
                "check": "probe",
                "passed": True,
                "caught": 5,
                "organisms": 6,
                "validity": {
                    "recipe": "1f" * 32,
                    "demonstrations": 16,
                    "ruled_out": 5,
                    "honest": 6,
                    "at": "0.5",
                    "least_parameters": 500000,
                    "confidence": "0.95",
                    "record": {"name": "logs/record.json", "sha256": sha256(b"{}").hexdigest()},
                },
            },
        ),
        ("judgement", {"threshold": "judged", "verdict": "below", "on": [result]}),
        ("approval", {"requirement": "agreed", "about": "subject", "findings": ["ab" * 32]}),
        ("amendment", {"exception": "meanwhile", "about": "subject", "published": "https://example.org/x"}),
    ):
        made = lab.about_honest(workspace, kind, {**predicate, "statement": "x", "at": at})
        workspace.append(made, [lab.key(workspace, name) for name in SIGNERS])


PROBE = "{checked: probe, by: external-auditor, coverage: 0.9, fresh_for: 1 month}"
WAY = "{kind: interim, instead_of: [misuse-3], requires: [agreed], approved_by: [board], lasts: 1 month}"
JUDGED = "{judged_by: board, on: [codebook], rule_out: {coverage: 0.98}, role: watch}"
AGREED = "{approved: it is agreed, by: board, about: subject, fresh_for: 1 month}"
AMENDED = (
    ("version: 1.0.0", "version: 1.1.0"),
    ("effective: 2026-01-01T00:00:00Z", "effective: EFFECTIVE"),
    ("\nassumptions:", f"\nassumptions:\n  valid-understanding: {PROBE}\n#"),
    ("\nrequirements:", f"\n  judged: {JUDGED}\nrequirements:\n  agreed: {AGREED}"),
    ("\nrefresh:", f"\nexceptions:\n  meanwhile: {WAY}\nrefresh:"),
)


@pytest.fixture(scope="module")
def entries(ledger):
    return ledger.ledger.read().entries


def made_by(entry) -> Statement:
    return Statement.parse(dsse.parse(entry.data).payload)


def kind_of(entry) -> str:
    return made_by(entry).predicate_type.split(":")[2]


def forms(entries, kind):
    """The last entry of each form of a kind, which has the most to say: a result has a plan, or was imported."""
    return list({frozenset(made_by(entry).predicate): entry for entry in entries if kind_of(entry) == kind}.values())


def of_kind(entries, kind):
    return forms(entries, kind)[-1]


def about(made, predicate):
    """What a statement with this predicate is about: of some kinds the digest is that of the predicate's own bytes."""
    (name, digest), kind = made.subjects[0], made.predicate_type.split(":")[2]
    parts = predicate if isinstance(predicate, dict) else {}
    identity = {
        "amendment": parts.get("policy"),
        "subject": parts.get("manifest", parts.get("run")),
        "deployment": {member: value for member, value in parts.items() if member != "name"},
    }.get(kind)
    return ((name, sha256(canonical.dumps(identity)).hexdigest() if identity is not None else digest),)


def accepted(kind, value) -> bool:
    return VALIDATORS[kind].is_valid(value)


@pytest.fixture(scope="module")
def reads(ledger, entries):
    """Whether the ledger's reader takes a predicate in the place of an entry's, signed by everybody."""
    pairs = [lab.key(ledger, name) for name in SIGNERS]
    readers = {}

    def before(index):
        if index not in readers:
            readers[index] = _Reader(ledger.policy_digest)
            for entry in entries[:index]:
                readers[index].take(entry.index, entry.data, entry.time)
        parts = {it.name: copy.copy(getattr(readers[index], it.name)) for it in fields(_Reader)}
        return replace(readers[index], **parts)  # its dicts and lists are its own

    def taken(entry, predicate) -> bool:
        made = made_by(entry)
        try:
            changed = Statement(made.predicate_type, about(made, predicate), predicate)
            before(entry.index).take(entry.index, lab.envelope(changed, *pairs), entry.time)
        except EvidenceError:
            return False
        return True

    return taken


def places(value, path=()):
    """Every path into a JSON value, and what lies there."""
    yield path, value
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[step], (*path, step))


def changed(value, path, new):
    made = copy.deepcopy(value)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_schema_of_its_draft_and_takes_every_statement_that_we_write(entries, kind):
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    found = [entry for entry in entries if kind_of(entry) == kind]
    assert found
    for entry in found:
        assert [error.message for error in VALIDATORS[kind].iter_errors(json.loads(made_by(entry).to_bytes()))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_prints_it_and_the_format_page_tells_of_it(capsys, kind):
    assert cli.run(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out) == schema(kind)
    assert cli.run(["schema"]) == 0
    assert capsys.readouterr().out.split() == list(KINDS)
    assert f"\n- **{kind}**: " in (Path(__file__).parents[2] / "docs/formats.md").read_text()


def test_a_kind_that_there_is_not_is_told_beside_those_that_there_are(capsys):
    assert cli.run(["schema", "rumour"]) == 2
    assert "called `rumour`, expected one of policy, subject" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_takes_the_statements_of_its_own_kind_only(entries, kind):
    for other in KINDS:
        assert accepted(kind, json.loads(made_by(of_kind(entries, other)).to_bytes())) == (other == kind)


@pytest.mark.parametrize("kind", KINDS)
def test_no_schema_takes_an_unknown_member_or_misses_one(entries, kind):
    value = json.loads(made_by(of_kind(entries, kind)).to_bytes())
    for path, part in places(value):
        if isinstance(part, dict) and not FREE & set(path):
            unknown = changed({"": value}, ("", *path, "unknown"), "x")[""]
            assert not accepted(kind, unknown) or kind == "policy", path  # sections of a policy are open to names
    assert not accepted(kind, {**value, "extra": 1})
    assert not accepted(kind, changed(value, ("predicate", "extra"), 1))
    for name in value:
        assert not accepted(kind, changed(value, (name,), ...))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"policy", "decision"}])
def test_reader_and_schema_refuse_the_same_unknown_and_missing_members(entries, reads, kind):
    for entry in forms(entries, kind):
        value = json.loads(made_by(entry).to_bytes())
        predicate = value["predicate"]
        assert reads(entry, predicate)
        for path, part in places(predicate):
            if path[:1] == ("policy",) and kind == "amendment":
                continue  # what a compiled policy may be is tried below, of the first version
            tried = []
            if isinstance(part, dict) and not FREE & set(path):
                tried.append(changed({"": predicate}, ("", *path, "unknown"), "x")[""])
            needed = path not in OPTIONAL and not (FREE | {"moments"}) & set(path[:-1])
            if path and isinstance(path[-1], str) and needed:
                tried.append(changed(predicate, path, ...))
            for other in tried:
                assert not accepted(kind, {**value, "predicate": other}), path
                assert not reads(entry, other), path


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"policy", "decision"}])
def test_what_the_schema_refuses_the_reader_refuses(entries, reads, kind):
    for entry in forms(entries, kind):
        value = json.loads(made_by(entry).to_bytes())
        refused = 0
        for path, _ in places(value["predicate"]):
            inside = path[:1] == ("policy",) and kind == "amendment" and len(path) > 1
            for new in WRONG if path and not inside else ():
                other = changed(value["predicate"], path, new)
                if not accepted(kind, {**value, "predicate": other}):
                    refused += 1
                    assert not reads(entry, other), (path, new)
        assert refused > 20


@pytest.mark.parametrize("path", [(), ("bounds",), ("rulings", 0), ("rulings", 0, "cells", 0, "finding", "tree")])
def test_a_decision_with_an_unknown_member_does_not_verify(ledger, entries, tmp_path, monkeypatch, path):
    """The reader takes from a decision what permits rest on; all of it is derived again by `ledger verify`."""
    made = next(made_by(entry) for entry in entries if kind_of(entry) == "decision")  # a permit, which has bounds
    other = changed({"": json.loads(made.to_bytes())["predicate"]}, ("", *path, "unknown"), "x")[""]
    workspace = lab.copy(ledger, tmp_path / "lab")
    lab.later(monkeypatch, now() + timedelta(days=3))
    forged = lab.envelope(Statement(made.predicate_type, made.subjects, other), lab.key(ledger, "gatekeeper"))
    lab.force(workspace, forged)
    view = workspace.ledger.read()
    with pytest.raises(EvidenceError, match="otherwise than the rule"):
        rederive(view, pinned_policy=workspace.policy_digest)


def test_a_compiled_policy_is_what_its_schema_says(entries, reads):
    entry = of_kind(entries, "policy")
    value = json.loads(made_by(entry).to_bytes())
    for name in value["predicate"]:
        missing = changed(value, ("predicate", name), ...)
        if not accepted("policy", missing):
            assert not reads(entry, missing["predicate"])
    assert not accepted("policy", changed(value, ("predicate", "interlock"), "policy/v2"))
    assert not accepted("policy", changed(value, ("predicate", "roles", "board", "colour"), "red"))
    assert not accepted("policy", changed(value, ("predicate", "roles", "board", "keys"), "one"))
