"""Recorded non-compliance is shown wherever a decision is: in a bundle, by both verifiers, on the page."""

from __future__ import annotations

import json

import pytest

import lab
import standalone
from interlock import cli
from interlock.decide.decision import to_json
from interlock.errors import EvidenceError
from interlock.evidence import bundle
from interlock.evidence.predicates import statement
from interlock.evidence.rederive import rederive
from interlock.gate import permit as permits

LINE = "was not done in time: notify: board, due by 2027-01-12T12:00:00Z (entry 3); and not since"


@pytest.fixture
def missed(told):
    """A decision after the board was not told in time."""
    told.decide()
    told.after(hours=25)
    told.run("duties", "run", code=3)
    told.decide()
    return told


def alone(told, data):
    return standalone.ask(data, told.workspace.ledger.log, told.workspace.policy_digest)


def exported(told):
    view = told.workspace.ledger.read()
    return bundle.export(told.workspace.ledger, view, view.size - 1)


def test_a_bundle_shows_it_and_both_verifiers_agree(missed, tmp_path):
    path = tmp_path / "decision.json"
    missed.run("bundle", "export", "latest", "-o", path)
    verified = bundle.verify(path.read_bytes(), missed.workspace.ledger.log, policy=missed.workspace.policy_digest)
    assert [it.duty for it in verified.decision.lapses] == ["on_hold.expert.notify"]
    assert alone(missed, path.read_bytes())["verdict"] == "hold"


def forged(told, **members):
    """The bundle of one more decision, as the rule gives it but for these members, by who holds every key."""
    told.workspace.refresh()
    evidence = told.workspace.read()
    decision = permits.ask(evidence, subject=evidence.subject("m"), action="scale", at=told.at)
    predicate = {**to_json(decision), **members}
    made = statement("decision", name="m", digest=decision.subject, predicate=predicate)
    lab.force(told.workspace, lab.envelope(made, lab.key(told.workspace, "gatekeeper")))
    return exported(told)


CHANGES = {
    "left out": lambda _: [],
    "due later": lambda shown: [{**shown[0], "due": "2027-01-13T12:00:00Z"}],
    "another duty": lambda shown: [{**shown[0], "duty": "on_hold.expert.pause-training"}],
    "twice": lambda shown: [*shown, *shown],
}


@pytest.mark.parametrize("change", CHANGES)
def test_attack_a_decision_that_tells_other_non_compliance(missed, change):
    shown = lab.payload(missed.workspace, "decision").predicate["non_compliance"]
    assert len(shown) == 1
    assert alone(missed, forged(missed, non_compliance=shown))["verdict"] == "hold"
    assert alone(missed, forged(missed, non_compliance=CHANGES[change](shown))) is None
    with pytest.raises(EvidenceError, match="otherwise than the rule"):
        rederive(missed.workspace.ledger.read(), pinned_policy=missed.workspace.policy_digest)


def test_decide_tells_it(missed):
    said = missed.run("decide", "-s", "m", "-a", "deploy-api", code=3)
    assert "Non-compliance on record:" in said.out
    assert LINE in " ".join(said.out.split())


def test_bundle_verify_tells_it(missed, tmp_path, capsys):
    said = missed.run("bundle", "export", "latest", "-o", tmp_path / "d.json", "--json").json
    capsys.readouterr()
    assert cli.run(["bundle", "verify", str(tmp_path / "d.json"), "--vkey", said["vkey"]]) == 3
    assert LINE in " ".join(capsys.readouterr().out.split())


def test_the_report_shows_it(missed, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    missed.run("report", "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Non-compliance on record" in page
    assert "was not done in time: notify: board" in page
    assert "<td>pause-training</td>" in page
    assert missed.run("report", "--json").json["duties"][0]["state"] == "overdue"


def test_what_was_done_late_is_told_so(missed):
    (notify,) = missed.duties("notify")
    missed.run("duties", "done", notify["id"], "--by", "board")
    said = missed.run("decide", "-s", "m", "-a", "scale", code=3)
    assert "done late, in entry 5" in said.out
    assert json.loads(missed.run("duties", "list", "--json", code=0).out)["duties"]
