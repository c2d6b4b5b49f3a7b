"""`policy check`: what is printed and returned, for people and for programs."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import typer

from interlock import cli
from interlock.cli import checking
from interlock.errors import FAILED, OK, PolicyError, UsageError
from interlock.policy.lint import CHECKS

EXAMPLE = (resources.files("interlock") / "policies" / "example-lab.yaml").read_text(encoding="utf-8")
AT = ("--at", "2026-11-01")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def example(tmp_path):
    """The shipped policy, without its keys."""
    path = tmp_path / "lab.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


@pytest.fixture
def faulty(tmp_path):
    """The same, ruled out by prompting alone."""
    path = tmp_path / "prompted.yaml"
    text = EXAMPLE
    for whole, changed in (
        ("elicitation: [few-shot, fine-tuned]\n      demonstrations: 16", "elicitation: [few-shot]\n     "),
        ("elicitation: [few-shot, fine-tuned, ", "demonstrations: 16, elicitation: [few-shot, fine-tuned, "),
    ):
        assert whole in text
        text = text.replace(whole, changed)
    path.write_text(text, encoding="utf-8")
    return path


def run(capsys, *arguments):
    """(exit code, what was printed)."""
    app = typer.Typer()
    app.command()(checking.check)
    capsys.readouterr()
    code = app(args=[str(it) for it in arguments], standalone_mode=False)
    return code, capsys.readouterr().out


def test_the_shipped_policy_has_no_errors(capsys, example):
    code, said = run(capsys, example, *AT)
    assert code == OK, said
    assert "error" not in said


def test_a_policy_is_checked_before_its_keys_are_made(capsys, example):
    assert not (example.parent / "keys").exists()
    run(capsys, example, *AT)
    assert not (example.parent / "keys").exists()


def test_an_error_ends_in_5_and_says_where_and_what_to_do(capsys, faulty):
    code, said = run(capsys, faulty, *AT)
    assert code == FAILED
    assert "error no-fine-tuning thresholds.codebook-use.rule_out" in said
    assert "add `fine-tuned` or `rl-fine-tuned`" in " ".join(said.split())
    assert said.index("error ") < said.index("note ")


def test_it_reads_well_in_80_columns(capsys, example, faulty, monkeypatch):
    monkeypatch.chdir(example.parent)
    _, said = run(capsys, "lab.yaml", "prompted.yaml", "--verbose", *AT)
    wide = [line for line in said.splitlines() if len(line) > 80]
    assert not wide


def test_several_files_are_summed_up(capsys, example, faulty):
    code, said = run(capsys, example, faulty, *AT)
    assert code == FAILED
    assert said.splitlines()[-1].startswith("2 policies: 1 error, ")


def test_the_reason_and_its_source_come_with_verbose(capsys, faulty):
    assert "RSPs are pauses done right" not in run(capsys, faulty, *AT)[1]
    assert "RSPs are pauses done right" in " ".join(run(capsys, faulty, "-v", *AT)[1].split())


def test_nothing_found_is_said(capsys, example, monkeypatch):
    monkeypatch.setattr(checking, "lint", lambda policy, *, at: ())
    assert "no findings" in run(capsys, example)[1]


def test_programs_read_json(capsys, faulty):
    code, said = run(capsys, faulty, "--json", *AT)
    read = json.loads(said)
    assert code == FAILED
    assert read["at"] == "2026-11-01T00:00:00Z"
    [policy] = read["policies"]
    assert policy["counts"]["error"] == 1
    assert policy["findings"][0]["check"] == "no-fine-tuning"
    assert set(policy["findings"][0]) == {"check", "level", "path", "message", "reason", "source"}


def test_policies_that_do_not_load_are_all_named_and_nothing_is_checked(capsys, example, tmp_path):
    broken = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for path in broken:
        path.write_text(EXAMPLE.replace("gates:", "gate:"), encoding="utf-8")
    with pytest.raises(PolicyError) as raised:
        run(capsys, broken[0], example, broken[1], *AT)
    assert all(any(str(path) in problem for problem in raised.value.problems) for path in broken)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("arguments", "match"), [((), "at least one policy"), (("no-such.yaml",), "no-such.yaml")])
def test_a_call_without_a_policy_is_refused(capsys, arguments, match):
    with pytest.raises(UsageError, match=match):
        run(capsys, *arguments)


def test_a_time_is_a_time(capsys, example):
    with pytest.raises(UsageError, match="--at: expected"):
        run(capsys, example, "--at", "soon")


def test_the_review_of_a_hole_depends_on_the_time(capsys, example):
    assert "hole-past-review" in run(capsys, example, "--at", "2099-01-01")[1]


def test_every_check_is_listed(capsys):
    code, said = run(capsys, "--list")
    assert code == OK
    assert all(check.id in said for check in CHECKS)
    assert [check["id"] for check in json.loads(run(capsys, "--list", "--json")[1])] == [check.id for check in CHECKS]


def expiring(example):
    """The shipped policy, which ends on 2 October 2026, on line 8."""
    effective = "effective: 2026-01-01T00:00:00Z\n"
    assert effective in EXAMPLE
    example.write_text(EXAMPLE.replace(effective, f"{effective}expires: 2026-10-02T00:00:00Z\n"), encoding="utf-8")
    return example


def test_a_policy_that_has_expired_is_bad_input(capsys, example):
    with pytest.raises(PolicyError) as raised:
        run(capsys, expiring(example), *AT)
    [problem] = raised.value.problems
    assert problem == (
        f"{example}:8:10: expected a policy in force at `2026-11-01T00:00:00Z`, got one that expired at "
        f"`2026-10-02T00:00:00Z`"
    )
    assert raised.value.exit_code == 2
    assert run(capsys, example, "--at", "2026-10-01")[0] == OK


def test_an_expired_policy_may_be_tested_as_of_a_time_before(capsys, example):
    cases = example.with_name("lab.cases.yaml")
    cases.write_text(
        "- name: nothing is known\n  at: 2026-09-01T00:00:00Z\n  subjects: {m: {effective_compute: 1e20}}\n"
        "  expect: {scale: hold}\n",
        encoding="utf-8",
    )
    expiring(example)
    code = cli.run(["policy", "test", str(example), str(cases)])
    assert code == OK, capsys.readouterr()


def test_for_programs_what_is_wrong_is_json_too(capsys, example):
    example.write_text(EXAMPLE.replace("issued_by: gatekeeper", "issued_by: gatekeper"), encoding="utf-8")
    for arguments in (["policy", "check", "--json", str(example)], ["policy", "test", "--json", str(example)]):
        assert cli.run(arguments) == 2
        said = capsys.readouterr()
        [problem] = json.loads(said.out)["problems"]
        assert problem["file"] == str(example)
        assert EXAMPLE.split("\n")[problem["line"] - 1][problem["column"] - 1 :].startswith("gatekeeper")
        assert problem["message"] == "role `gatekeper` is not defined; did you mean `gatekeeper`?"
        assert f"{example}:{problem['line']}:{problem['column']}: {problem['message']}" in said.err


def test_mistakes_in_cases_are_json_too(capsys, example):
    cases = example.with_name("lab.cases.yaml")
    cases.write_text("- name: x\n  colour: red\n", encoding="utf-8")
    assert cli.run(["policy", "test", "--json", str(example)]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {it["file"] for it in problems} == {str(cases)}
    assert any("unknown field `colour`" in it["message"] for it in problems)
