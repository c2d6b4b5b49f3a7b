"""The loop from evidence to gates, with real evaluations of a tiny model that knows nothing."""

from __future__ import annotations

import json
import shutil

import pytest

import lab
import tiny_model
from interlock.cli.decisions import sign_attestation
from interlock.cli.subjects import From, register
from interlock.workspace import Place


def _verdicts(capsys, workspace, subject="honest"):
    said = lab.command(capsys, workspace, "decide", "--subject", subject, "--json")
    assert said.code == (0 if all(one["verdict"] == "permit" for one in said.json) else 3)
    return {one["action"]: one["verdict"] for one in said.json}


def test_with_no_evidence_every_gate_holds(registered, capsys):
    assert _verdicts(capsys, registered) == dict.fromkeys(lab.ACTIONS, "hold")


def test_attestations_without_evaluations_open_nothing(registered, capsys):
    lab.attest_everything(registered)
    sign_attestation(registered, requirement="misuse-3", subject="honest", text="a test")
    assert _verdicts(capsys, registered) == dict.fromkeys(lab.ACTIONS, "hold")


def test_few_shot_alone_holds_every_gate(few_shot, capsys):
    lab.attest_everything(few_shot)
    assert _verdicts(capsys, few_shot) == dict.fromkeys(lab.ACTIONS, "hold")


def test_the_finished_lab_evidence_opens_three_gates_and_never_the_release_of_weights(whole, capsys):
    opened = {"scale": "permit", "deploy-internal": "permit", "deploy-api": "permit", "release-weights": "hold"}
    assert _verdicts(capsys, whole) == opened


def test_evaluations_without_assumptions_hold(few_shot, capsys, finished_lab):
    """The same results as in the whole evidence, and nobody has said why a negative result can be believed."""
    for number in range(3, lab.size(finished_lab)):
        data = finished_lab.ledger.read().entries[number].data
        if number >= lab.size(few_shot) and b"attestation" not in lab.dsse.parse(data).payload:
            lab.force(few_shot, data)
    shutil.copytree(finished_lab.folder / "logs", few_shot.folder / "logs", dirs_exist_ok=True)
    assert len(few_shot.read().facts.results) == 2
    assert _verdicts(capsys, few_shot) == dict.fromkeys(lab.ACTIONS, "hold")


def test_the_parents_evidence_does_not_serve_a_child(whole, model_folder, tmp_path, capsys):
    child = shutil.copytree(model_folder, tmp_path / "child")
    (child / "generation_config.json").write_text('{"do_sample": false}')
    register(whole, Place(child, None), name="child", made_from=[From("honest", "adapter", 1)])
    assert _verdicts(capsys, whole, "child") == dict.fromkeys(lab.ACTIONS, "hold")
    assert _verdicts(capsys, whole)["scale"] == "permit"


def test_a_plan_is_announced_once(registered, capsys):
    first = lab.command(capsys, registered, "plan", "--subject", "honest", "--json").json["due"]
    size = lab.size(registered)
    again = lab.command(capsys, registered, "plan", "--subject", "honest", "--json").json["due"]
    assert {row["elicitation"]: row["plan"] is not None for row in first} == {
        "few-shot": True,
        "fine-tuned": True,
        "rl-fine-tuned": True,
    }
    assert {row["elicitation"]: row["state"] for row in again} == {
        "few-shot": "announced already",
        "fine-tuned": "announced already",
        "rl-fine-tuned": "announced already",
    }
    assert lab.size(registered) == size


def test_what_trains_an_adapter_is_not_announced_for_a_mixture_of_experts(registered, tmp_path, capsys):
    """The plan could never report: experts are no linear maps, and an adapter leaves them as they are."""
    from transformers import MixtralConfig, MixtralForCausalLM

    folder = tiny_model.build(tmp_path / "mixture")
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    small = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 2}
    MixtralForCausalLM(MixtralConfig(**small, **heads, **ends)).save_pretrained(folder)
    register(registered, Place(folder, None), name="mixture", compute=lab.COMPUTE)
    size, plan = lab.size(registered), ("plan", "-s", "mixture")
    said = lab.command(capsys, registered, *plan)
    assert (said.code, lab.size(registered)) == (2, size)
    assert "does not reach a mixture's experts (`num_local_experts` in the config); choose what trains all" in said.err
    only = ("--elicitation", "fine-tuned", "--elicitor", "fine-tune-full")
    assert lab.command(capsys, registered, *plan, *only).code == 0


def test_evaluate_without_an_open_plan_is_a_usage_error_that_names_the_next_command(whole, capsys):
    said = lab.command(capsys, whole, "evaluate", "--subject", "honest")
    assert (said.code, said.out) == (2, "")
    assert said.err == ("interlock: `honest` has no open plan; announce what is due: interlock plan --subject honest\n")


def test_ledger_verify_derives_recorded_decisions_again(whole, capsys):
    issued = lab.command(capsys, whole, "permit", "issue", "--subject", "honest", "--action", "scale", "--json")
    assert issued.code == 0
    said = lab.command(capsys, whole, "ledger", "verify", "--json")
    assert said.code == 0
    assert (said.json["logs"], said.json["decisions_derived_again"]) == (2, 1)
    assert said.json["entries"] == lab.size(whole)
    assert "1 decision(s) derived again" in lab.command(capsys, whole, "ledger", "verify").out


def test_a_permit_is_issued_shown_and_verified_by_the_start_of_its_digest(whole, capsys):
    issued = lab.command(capsys, whole, "permit", "issue", "-s", "honest", "-a", "scale", "--json").json
    assert issued["decision"]["verdict"] == "permit"
    shown = lab.command(capsys, whole, "permit", "show", issued["permit"][:12], "--json").json
    assert (shown["permit"], shown["action"]) == (issued["permit"], "scale")
    bounds = issued["decision"]["bounds"]
    assert shown["effective_compute"] == {"start": str(lab.COMPUTE), "most": bounds["most_effective_compute"]}
    assert shown["not_after"] == bounds["not_after"]
    assert lab.command(capsys, whole, "permit", "verify", issued["permit"][:12], "-a", "scale").code == 0
    other = lab.command(capsys, whole, "permit", "verify", issued["permit"][:12], "-a", "deploy-api")
    assert (other.code, other.err) == (3, "interlock: the permit is for `scale`, expected one for `deploy-api`\n")


def test_no_permit_is_issued_on_a_hold_and_the_hold_goes_on_record(whole, capsys):
    size = lab.size(whole)
    said = lab.command(capsys, whole, "permit", "issue", "-s", "honest", "-a", "release-weights")
    assert said.code == 3
    assert "codebook-use-open not ruled out" in said.out
    assert "the hold is on record; what it asks for, and by when: interlock duties list" in said.out
    assert lab.size(whole) == size + 1
    (recorded,) = whole.read().decisions
    assert (recorded.action, recorded.subject) == ("release-weights", whole.read().subject("honest").digest)


def test_a_hold_is_told_also_to_who_cannot_record_it(whole, capsys):
    size = lab.size(whole)
    for key in (whole.folder / "keys").iterdir():
        key.unlink()
    said = lab.command(capsys, whole, "permit", "issue", "-s", "honest", "-a", "release-weights")
    assert said.code == 3
    assert "codebook-use-open not ruled out" in said.out
    assert said.err.startswith("the hold could not be recorded: ")
    assert lab.size(whole) == size


def test_a_lease_wider_than_the_evidence_allows_is_refused(whole, capsys):
    size = lab.size(whole)
    asked = lab.command(
        capsys, whole, "permit", "issue", "-s", "honest", "-a", "scale", "--most-compute", str(4 * lab.COMPUTE + 1)
    )
    assert asked.code == 2
    assert "is not possible; the decision allows from" in asked.err
    assert lab.size(whole) == size


def test_decide_as_json_is_the_documented_document(whole, capsys):
    said = lab.command(capsys, whole, "decide", "--subject", "honest", "--action", "scale", "--json")
    assert said.code == 0
    document = said.json
    assert document.keys() == {
        "verdict", "action", "subject", "deployment", "at", "checkpoint", "reasons", "rulings", "resume", "bounds",
        "non_compliance",
    }  # fmt: skip
    assert document["subject"] == whole.read().subject("honest").digest
    (ruling,) = document["rulings"]
    assert ruling["digest"] == whole.policy_digest
    assert (ruling["policy"], ruling["governs"], ruling["verdict"]) == ("example-lab/rsp", True, "permit")
    assert document["checkpoint"].keys() == {"size", "root", "time"}
    assert document["bounds"]["most_effective_compute"] == str(4 * lab.COMPUTE)
    assert [cell["threshold"] for cell in ruling["cells"]] == ["codebook-use", "takeover"]
    (finding,) = [cell["finding"] for cell in ruling["cells"] if cell["threshold"] == "codebook-use"]
    assert (finding["state"], finding["overdue"], finding["reasons"]) == ("below", False, [])
    (leaf,) = finding["tree"]["parts"]
    assert (leaf["text"], leaf["state"]) == ("codebook >= 0.2", "below")
    reading = leaf["reading"]
    assert (reading["level"], reading["margin"], reading["confidence"]) == ("0.2", "0.05", "0.95")
    assert [(one["elicitation"], one["planned"], one["admissible"]) for one in reading["counted"]] == [
        ("few-shot", 120, True),
        ("fine-tuned", 120, True),
    ]


def test_a_hold_as_json_says_what_would_lift_it(registered, capsys):
    said = lab.command(capsys, registered, "decide", "--subject", "honest", "--action", "scale", "--json")
    assert said.code == 3
    assert said.json["bounds"] is None
    (ruling,) = said.json["rulings"]
    lifts = {cell["threshold"]: cell["lifts"] for cell in ruling["cells"]}
    assert all("interlock plan --subject honest" in " ".join(way) for way in lifts["codebook-use"])
    assert lifts["codebook-use"]
    assert said.json["resume"]


def test_an_action_that_the_policy_is_silent_about_holds(whole, capsys):
    said = lab.command(capsys, whole, "decide", "--subject", "honest", "--action", "sell", "--json")
    assert said.code == 3
    (ruling,) = said.json["rulings"]
    assert [reason["code"] for reason in ruling["reasons"]] == ["silent"]
    assert (ruling["cells"], said.json["resume"]) == ([], [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "list"],
        ["subject", "list"],
        ["plan", "--subject", "honest"],
        ["decide", "--subject", "honest"],
        ["ledger", "log"],
        ["ledger", "verify"],
        ["report"],
    ],
    ids=" ".join,
)
def test_every_command_that_reads_prints_one_json_document(whole, capsys, arguments):
    said = lab.command(capsys, whole, *arguments, "--json")
    assert said.code in {0, 3}
    assert json.loads(said.out)
    assert said.err == ""


def test_the_same_attestation_can_be_signed_again_later(whole, capsys, monkeypatch):
    from datetime import timedelta

    from interlock import workspace as module
    from interlock.cli import decisions

    later = module.now() + timedelta(days=100)
    for place in (module, decisions):
        monkeypatch.setattr(place, "now", lambda: later)
    assumption = ("--assumption", "no-evaluation-gaming", "--subject", "honest", "--text", "a test")
    assert lab.command(capsys, whole, "attest", *assumption).code == 0


def test_adding_the_same_subject_again_only_notes_where_it_lies(registered, model_folder, capsys):
    (registered.folder / "subjects.json").unlink()
    size = lab.size(registered)
    add = ["subject", "add", str(model_folder), "--name", "honest"]
    assert lab.command(capsys, registered, *add, "--compute", str(lab.COMPUTE)).code == 0
    assert [place.folder for place in registered.places().values()] == [model_folder]
    assert lab.command(capsys, registered, *add, "--compute", str(2 * lab.COMPUTE)).code == 4
    assert lab.size(registered) == size


def test_a_result_says_how_many_samples_were_refused(whole):
    """A subject could refuse whatever it would give away."""
    evidence = whole.read()
    assert [result.refused_at_most for result in evidence.facts.results] == [0, 0]


def test_every_fact_names_the_statement_that_it_is_from(whole):
    evidence = whole.read()
    digests = {kind: [r.digest for r in evidence.records if r.kind == kind] for kind in ("result", "attestation")}
    assert [result.digest for result in evidence.facts.results] == digests["result"]
    assert [said.digest for said in evidence.facts.attestations] == digests["attestation"]


def test_the_policy_of_a_ledger_is_one_version_in_force_from_its_own_date(whole):
    evidence = whole.read()
    (version,) = evidence.versions
    assert (version.policy, version.digest) == (evidence.policy, whole.policy_digest)
    assert (version.since, version.entered) == (evidence.policy.effective, evidence.records[0].at)
