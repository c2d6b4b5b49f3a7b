"""`policy test` and `what-if`: readable at 80 columns, the documented exit code, and never taken for a decision."""

import json
from importlib import resources
from pathlib import Path

import pytest

import lab
from interlock import cli
from interlock.cli import whatif

POLICY = resources.files("interlock") / "policies" / "example-lab.yaml"
CASES = POLICY.with_name("example-lab.cases.yaml")
HEAD = "- name: a case\n  at: 2026-06-01T00:00:00Z\n  subjects: {model: {effective_compute: 2e24}}\n"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def write(tmp_path):
    """A file of cases from text, beside nothing."""

    def file(text):
        (tmp_path / "lab.cases.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "lab.cases.yaml"

    return file


def _run(capsys, *arguments):
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    return lab.Said(code, *capsys.readouterr())


# -- policy test -------------------------------------------------------------------------------------------------------


def test_the_cases_beside_the_policy_are_its_tests(capsys):
    said = _run(capsys, "policy", "test", POLICY)
    assert (said.code, said.err) == (0, "")
    assert "  ok      few-shot alone does not rule out\n" in said.out
    assert said.out.endswith("0 failed\n")  # and nothing that no case exercises


def test_a_failed_case_says_what_was_expected_and_what_stood(capsys, write):
    file = write(f"{HEAD}  expect: {{scale: permit}}\n")
    said = _run(capsys, "policy", "test", POLICY, file)
    assert said.code == 5
    text = " ".join(said.out.split())
    assert "FAILED a case" in text
    assert f"{file}:1:3" in said.out.replace("\n          ", "")
    assert "expected `scale` to permit, got hold" in text
    assert "- codebook-use: `few-shot` evidence missing" in text
    assert "0 cases ok, 1 failed" in text
    assert "no case exercises cells never permitted scale x codebook-use" in text


def test_verbose_tells_the_reasons_of_every_action(capsys, write):
    file = write(f"{HEAD}  expect: {{scale: hold}}\n")
    assert "deploy-api: hold" not in _run(capsys, "policy", "test", POLICY, file).out
    said = _run(capsys, "policy", "test", POLICY, file, "-v")
    assert said.code == 0
    assert "release-weights: hold" in said.out
    assert "- never: the policy says never" in said.out


def test_it_fits_80_columns(capsys):
    said = _run(capsys, "policy", "test", POLICY, "-v")
    assert max(map(len, said.out.splitlines())) <= 80


def test_tests_as_json(capsys, write):
    file = write(f"{HEAD}  expect: {{scale: permit}}\n")
    said = _run(capsys, "policy", "test", POLICY, CASES, file, "--json")
    assert said.code == 5
    told = json.loads(said.out)
    assert told["failed"] == 1
    assert told["passed"] == len(told["cases"]) - 1
    assert told["cases"][-1]["failures"][0]["text"] == "expected `scale` to permit, got hold"
    assert told["cases"][-1]["where"] == f"{file}:1:3"
    assert told["not_exercised"]["cells_never_permitted"] == []


@pytest.mark.parametrize("command", [("policy", "test"), ("what-if", "--policy")], ids=" ".join)
def test_a_mistake_in_a_case_is_one_line_each_and_no_traceback(capsys, write, command):
    file = write(f"{HEAD}  expct: {{scale: hold}}\n  findings: {{takover: below}}\n")
    asked = [*command, POLICY, *(["--facts"] if command[0] == "what-if" else []), file]
    said = _run(capsys, *asked)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines() == [
        f"interlock: {file}:4:3: unknown field `expct`; did you mean `expect`?",
        f"interlock: {file}:5:14: threshold `takover` is not defined; did you mean `takeover`?",
    ]


def test_a_policy_without_cases_says_which_file_it_looked_for(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_bytes(POLICY.read_bytes())
    said = _run(capsys, "policy", "test", tmp_path / "mine.yaml")
    assert said.code == 2
    assert f"expected a file of cases at `{tmp_path / 'mine.cases.yaml'}`" in said.err


def test_a_policy_with_mistakes_is_told_as_such(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text(POLICY.read_text().replace("confidence: 0.95", "confidence: 2"))
    said = _run(capsys, "policy", "test", tmp_path / "mine.yaml", CASES)
    assert said.code == 2
    assert "above 0.5 and below 1" in said.err
    assert "key file" not in said.err


TIMES = ("2026-04-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")
DUTY = (
    "- from 2026-06-01T00:00:00Z by 2026-07-01T00:00:00Z: report (`quarterly`, for policy, "
    "since 2026-01-01T00:00:00Z, first due 2026-04-01T00:00:00Z)"
)


@pytest.fixture
def with_duties(tmp_path):
    """The example policy with a duty for each quarter."""
    duty = (
        "{do: report, by: board, starts: {effective: true}, not_before: 2 months, within: 3 months, repeat: 3 months}"
    )
    text = POLICY.read_text(encoding="utf-8").replace("amendments:", f"duties: {{quarterly: {duty}}}\namendments:")
    (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "lab.yaml"


# -- what-if -----------------------------------------------------------------------------------------------------------


def _what_if(capsys, case, *arguments, facts=CASES):
    return _run(capsys, "what-if", "--policy", POLICY, "--facts", facts, "--case", case, *arguments)


@pytest.mark.parametrize(
    ("case", "action", "code"),
    [("everything in order", "scale", 0), ("everything in order", "release-weights", 3), ("nothing evaluated", "", 3)],
)
def test_every_line_says_that_it_is_supposed(capsys, case, action, code):
    said = _what_if(capsys, case, *(["--action", action] if action else []))
    assert (said.code, said.err) == (code, "")
    assert all(line.startswith("WHAT IF") for line in said.out.splitlines())
    assert max(map(len, said.out.splitlines())) <= 80


def test_it_tells_bounds_reasons_and_what_would_lift_the_hold(capsys):
    text = " ".join(
        _what_if(capsys, "the skill is reached, and the audit is missing").out.replace("WHAT IF", "").split()
    )
    assert "scale, deploy-internal, deploy-api: hold" in text
    assert "security-3: `security-3` (weight security level 3 audit) is not attested by `external-auditor`" in text
    assert "codebook-use is reached codebook from 0.2466 to 0.3579 in 2 results; level 0.2, margin 0.05" in text
    assert "what would lift it: - `external-auditor` attests it: interlock attest --requirement security-3" in text
    assert "nothing lifts this hold: a stop until the policy is amended" in text


def test_it_tells_the_duties_that_start_once_for_all_actions(capsys, with_duties):
    said = _run(capsys, "what-if", "--policy", with_duties, "--facts", CASES, "--case", "nothing evaluated")
    assert all(line.startswith("WHAT IF") for line in said.out.splitlines())
    text = " ".join(said.out.replace("WHAT IF", "").split())
    assert text.count("starts:") == 1
    assert text.endswith(DUTY)
    assert text.count("- pause-training (`on_hold.codebook-use.pause-training`, for codebook-use, since") == 1


def test_verbose_tells_the_duties_that_start(capsys, with_duties):
    quiet, said = (_run(capsys, "policy", "test", with_duties, CASES, *more) for more in ([], ["-v"]))
    assert (quiet.code, said.code) == (0, 0)
    assert DUTY not in " ".join(quiet.out.split())
    assert DUTY in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines())) <= 80
    told = json.loads(_run(capsys, "policy", "test", with_duties, CASES, "--json").out)
    duties = told["cases"][0]["decisions"]["scale"]["duties"]
    assert [(it["previous_due"], it["opens"], it["next_due"]) for it in duties if it["duty"] == "quarterly"] == [TIMES]


def test_where_no_duty_starts_none_is_told(capsys):
    assert "starts:" not in _what_if(capsys, "everything in order", "--action", "scale").out


def test_a_permit_is_only_supposed_too(capsys):
    said = _what_if(capsys, "everything in order", "--action", "scale")
    assert "WHAT IF  scale: permit up to 8e+24 FLOP of effective compute, until" in said.out


def test_json_is_of_a_type_that_no_gate_accepts(capsys):
    said = _what_if(capsys, "everything in order", "--json")
    told = json.loads(said.out)
    assert said.code == 3
    for statement in (told, *told["decisions"]):
        assert (statement["type"], statement["what_if"]) == (whatif.STATEMENT, True)
    assert {it["action"]: it["verdict"] for it in told["decisions"]}["scale"] == "permit"
    source = Path(whatif.__file__).parents[1]
    gates = [*(source / "gate").glob("*.py"), *(source / "evidence").glob("*.py"), *(source / "ledger").glob("*.py")]
    assert not any("what-if" in path.read_text() for path in gates)


def test_what_a_case_expects_is_not_looked_at(capsys, write):
    assert _what_if(capsys, "a case", "--action", "scale", facts=write(HEAD)).code == 3


def test_the_first_case_is_asked_unless_one_is_named(capsys):
    said = _run(capsys, "what-if", "-p", POLICY, "-f", CASES, "-a", "scale")
    assert said.out.startswith("WHAT IF  nothing evaluated\n")


@pytest.mark.parametrize(
    ("case", "action", "match"),
    [
        ("something else", "scale", "has no case `something else`"),
        ("nothing evaluated", "scael", "no policy gates `scael`"),
    ],
)
def test_what_is_not_there_is_a_usage_error(capsys, case, action, match):
    said = _what_if(capsys, case, "--action", action)
    assert (said.code, said.out) == (2, "")
    assert match in said.err
