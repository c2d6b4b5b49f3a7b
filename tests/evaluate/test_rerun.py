"""Audits of recorded results, by really asking a tiny model again."""

from __future__ import annotations

import json
import shutil

import pytest
from inspect_ai.log import read_eval_log, write_eval_log

import lab
from interlock.evaluate import logs, rerun
from interlock.evaluate.sampling import interval


def audit(capsys, workspace, *arguments):
    return lab.command(capsys, workspace, "audit", *arguments, "--json")


def record(workspace, change) -> str:
    """Rewrite the log of the only result without a trace, and record a result that binds the rewritten one."""
    path = next(workspace.folder.glob("logs/*/*.eval"))
    log = read_eval_log(str(path))
    change(log)
    for sample in log.samples:
        assert all(not score.history for score in sample.scores.values())
    right = sum(score.value == "C" for sample in log.samples for score in sample.scores.values())
    log.results.scores[0].metrics["accuracy"].value = right / len(log.samples)
    other = path.with_name(f"rewritten-{path.name}")
    write_eval_log(log, str(other))
    found = logs.read(other)
    name = other.relative_to(workspace.folder).as_posix()
    made = lab.result_of(
        workspace,
        log={"name": name, "sha256": found.sha256, "outcomes_sha256": found.outcomes_digest},
        counts=lab.counts(found.correct, scored=found.scored, refused_at_most=found.refused_at_most),
    )
    return workspace.append(made, [lab.key(workspace, "evaluation-team")])


def test_an_honest_result_agrees_and_the_report_can_be_drawn_again(few_shot, capsys):
    lab.attest_everything(few_shot)  # by another role than the one that is audited
    said = audit(capsys, few_shot, "--rerun", "12")
    assert said.code == 0
    told = said.json
    assert (told["agreed"], told["disagreed"], len(set(told["samples"]["drawn"]))) == (12, [], 12)
    assert told["disagreeing"]["rate"] == "0/12"
    assert told["disagreeing"]["of_all"]["least"] == 0
    assert "exact" in told["disagreeing"]["method"]
    assert told["environment"] == {}
    assert told["last_entry_shares_signers_with_result"] == []
    (file,) = few_shot.folder.glob("audits/*.json")
    assert {**json.loads(file.read_text()), "signed_as": None} == told
    assert audit(capsys, few_shot, "--rerun", "5").json["samples"]["drawn"] == told["samples"]["drawn"][:5]


def test_attack_a_result_says_more_flop_than_its_elicitation_spends(few_shot, capsys):
    made = lab.result_of(few_shot, budget={"tokens": 1, "flop": str(10**25)})
    few_shot.append(made, [lab.key(few_shot, "evaluation-team")])
    said = audit(capsys, few_shot, "--rerun", "5", "--by", "external-auditor")
    assert said.code == 4
    assert f"says that its elicitation spent {10**25} FLOP, and the same again spent 0" in said.err
    assert not few_shot.read().facts.withdrawals


def test_scores_that_were_swapped_before_they_were_recorded_are_found(few_shot, capsys):
    swapped = []

    def swap(log):
        for sample in log.samples[:60]:
            for score in sample.scores.values():
                score.value = "I" if score.value == "C" else "C"
            swapped.append(str(sample.id))

    digest = record(few_shot, swap)
    said = audit(capsys, few_shot, digest, "--rerun", "24")
    assert said.code == 5
    found = {one["sample"]: one for one in said.json["disagreed"]}
    assert set(found) == set(swapped) & set(said.json["samples"]["drawn"])
    assert found
    for one in found.values():
        assert one["recorded"]["answer"] == one["seen"]["answer"]
        assert one["recorded"]["correct"] is not one["seen"]["correct"]
    # the 60 that were swapped lie outside of it for one draw in 26, so that they are not what is asserted
    told = interval(len(found), drawn=24, total=120)
    assert said.json["disagreeing"]["of_all"] == {"least": told.least, "most": told.most, "of": 120}
    assert said.json["last_entry_shares_signers_with_result"] == ["evaluation-team"]


def test_answers_that_were_replaced_are_found(few_shot, capsys):
    def replace(log):
        for sample in log.samples:
            sample.output.completion = "something else"

    digest = record(few_shot, replace)
    capsys.readouterr()
    said = lab.command(capsys, few_shot, "audit", digest[:10], "--rerun", "3")
    assert said.code == 5
    assert "disagreed  3" in said.out
    assert "recorded 'something else'" in said.out
    assert "could have tried several roots" in said.out


def test_a_finished_log_that_was_put_there_is_not_taken_for_an_answer(few_shot, capsys):
    shutil.copytree(few_shot.folder / "logs", few_shot.folder / "audits")
    before = {path: path.read_bytes() for path in few_shot.folder.glob("audits/*/*")}
    assert audit(capsys, few_shot, "--rerun", "3").code == 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("alter", ["log altered", "weights altered"])
def test_what_is_not_the_recorded_thing_is_refused(alter, few_shot, capsys, model_folder, tmp_path):
    if alter == "log altered":
        log = next(few_shot.folder.glob("logs/*/*.eval"))
        log.write_bytes(log.read_bytes() + b"x")
    else:
        other = shutil.copytree(model_folder, tmp_path / "other")
        (other / "generation_config.json").write_text("{}")
        subject = few_shot.read().subject("honest").digest
        few_shot.remember(subject, lab.Place(other, None))
    said = audit(capsys, few_shot, "--rerun", "3")
    assert (said.code, said.out) == (4, "")
    assert not list(few_shot.folder.glob("audits/*.json"))


WRONG = {
    "no such result": (["99"], "no single result `99`"),
    "no such digest": (["abcdef0123"], "no single result"),
    "more samples than there are": (["--rerun", "121"], "expected 1 to 120"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_asked_is_bad_usage(case, few_shot, capsys):
    arguments, match = WRONG[case]
    said = audit(capsys, few_shot, *arguments)
    assert (said.code, said.out) == (2, "")
    assert match in said.err


def test_without_a_result_there_is_nothing_to_audit(registered, capsys):
    said = audit(capsys, registered)
    assert (said.code, said.out) == (2, "")
    assert "none yet" in said.err


def test_an_imported_result_cannot_be_asked_again(few_shot, capsys, tmp_path):
    log = read_eval_log(str(next(few_shot.folder.glob("logs/*/*.eval"))))
    log.samples[0].output.completion = "something else"  # the same bytes would be on record already
    write_eval_log(log, str(tmp_path / "other.eval"))
    assert lab.command(capsys, few_shot, "import", str(tmp_path / "other.eval"), "--subject", "honest").code == 0
    assert rerun.find(few_shot.read(), None).plan is None
    said = audit(capsys, few_shot)
    assert (said.code, said.out) == (2, "")
    assert "was imported" in said.err
