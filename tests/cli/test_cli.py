"""The command line at its seams: one clear line, the documented exit code, no traceback, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from importlib import resources
from pathlib import Path

import pytest

import lab
import permit_lab
import tiny_model
from interlock import cli, workspace
from interlock.cli.setup import start
from interlock.cli.subjects import register
from interlock.evaluate import codebook, local
from interlock.evaluate.due import open_plans
from interlock.ledger import _disk
from interlock.workspace import Place, Workspace

COMMANDS = [
    "policy", "what-if", "init", "keys", "subject", "deployment", "power", "bound", "plan", "evaluate", "import",
    "attest", "approve", "judge", "check-assumption", "forecast", "withdraw", "set-aside", "incident", "audit",
    "record-audit", "duties", "amend", "except", "decide", "permit", "release", "mlflow", "ledger", "bundle", "witness",
    "schema", "report", "demo",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("INTERLOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")


def _run(capsys, *arguments):
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    return lab.Said(code, *capsys.readouterr())


def _refused(capsys, code, match, *arguments):
    """One complaint, on standard error only, that says `match`."""
    said = _run(capsys, *arguments)
    assert said.code == code, said
    assert said.out == ""
    assert said.err.startswith("interlock: ")
    assert all(line.startswith("interlock: ") for line in said.err.splitlines())
    assert "Traceback" not in said.err
    assert match in said.err
    return said


# -- called wrongly ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["frobnicate"], "no such command"),
        (["decid"], "no such command 'decid'. Did you mean 'decide'?"),
        (["--frobnicate"], "no such option: --frobnicate"),
        (["decide", "--frobnicate"], "see `interlock decide --help`"),
        (["decide"], "missing option '--subject'"),
        (["decide", "--subject"], "--subject"),
        (["decide", "--subject", "honest", "extra"], "extra"),
        (["ledger", "show"], "missing argument"),
        (["ledger", "show", "first"], "invalid value"),
        (["ledger", "show", "-1"], "-1"),
        (["plan", "--subject", "honest", "--seed", "-1"], "--seed"),
        (["plan", "--subject", "honest", "--seed", "1.5"], "--seed"),
    ],
    ids=" ".join,
)
def test_a_command_that_cannot_be_understood_is_a_usage_error(capsys, arguments, match):
    said = _refused(capsys, 2, match, *arguments)
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["policy"], ["ledger"], ["permit"], ["keys"], ["subject"]], ids=" ".join)
def test_a_group_without_a_command_shows_its_help(capsys, arguments):
    said = _run(capsys, *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: interlock")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["decide", "-s", "nobody"], "no single subject is called `nobody`; the ledger knows: `honest`"),
        (["plan", "-s", "nobody"], "`nobody`"),
        (["evaluate", "-s", "nobody"], "`nobody`"),
        (["evaluate", "-s", "honest"], "has no open plan"),
        (["attest", "--assumption", "x", "-s", "honest"], "the policy has no assumption `x`; it has: good-demo"),
        (["attest", "--requirement", "x"], "the policy has no requirement `x` to attest; it has: misuse-3, security-3"),
        (["attest", "--requirement", "understanding"], "no requirement `understanding` to attest"),
        (["attest", "--requirement", "security-3", "-s", "honest"], "is about the developer, got --subject honest"),
        (
            ["attest", "--requirement", "security-3", "--about", "subject"],
            "is about the developer, got --about subject",
        ),
        (
            ["attest", "--requirement", "misuse-3", "-d", "x", "-s", "honest"],
            "is about the subject, got --deployment x",
        ),
        (["decide", "-s", "honest", "-d", "x"], "no single deployment is called `x`; the ledger knows: none yet"),
        (["permit", "issue", "-s", "honest", "-a", "scale", "-d", "x"], "no single deployment is called `x`"),
        (["subject", "show", "nobody"], "no single subject is called `nobody`"),
        (["attest", "--requirement", "misuse-3"], "name it with --subject"),
        (["attest", "-s", "honest"], "give one of --assumption and --requirement"),
        (["attest", "--assumption", "a", "--requirement", "b"], "give one of --assumption and --requirement"),
        (["plan", "-s", "honest", "--elicitation", "scaffolded"], "cannot run `scaffolded`"),
        (
            ["plan", "-s", "honest", "--elicitation", "begging"],
            "cannot run `begging`; it can run prompted, few-shot, fine-tuned",
        ),
        (["plan", "-s", "honest", "--elicitation", "few-shot", "--measure", "x"], "a run can give `codebook`"),
        (["plan", "-s", "honest", "--measure", "codebook"], "--measure goes with --elicitation"),
        (["permit", "issue", "-s", "nobody", "-a", "scale"], "`nobody`"),
        (["permit", "issue", "-s", "honest", "-a", "scale", "--most-compute", "x"], "--most-compute is `x`"),
        (["ledger", "show", "99"], "the ledger has 2 entries, got 99"),
        (["keys", "new", "../escape"], "a key's name is a plain file name"),
        (["keys", "new", "board-1"], "a key file is never overwritten"),
        (["keys", "new", "me"], "no passphrase to encrypt it with; give one by --passphrase-file, INTERLOCK_PASSPHR"),
        (["keys", "export", "nobody"], "no key `nobody`"),
        (
            ["keys", "export", "log", "--format", "jwk"],
            "--format is `jwk`, expected one of text, pem, vkey, cosigner-vkey",
        ),
        (["keys", "export", "log", "-f", "vkey", "--note-name", "a b"], "--note-name: got key name 'a b'"),
        (["keys", "rotate", "nobody"], "cannot read the key file"),
        (["keys", "rotate", "log"], "signs the ledger, which keeps its key for life"),
        (["keys", "rotate", "board-1", "--to", "board-2", "--no-passphrase"], "a key file is never overwritten"),
        (["init", "--policy", lab.POLICY], "holds a workspace already"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_what_does_not_exist_is_a_usage_error_that_says_what_does(registered, capsys, arguments, match):
    size = lab.size(registered)
    _refused(capsys, 2, match, *arguments, "-w", registered.folder)
    assert lab.size(registered) == size


@pytest.mark.parametrize("digest", ["0" * 64, "0", ""])
def test_a_permit_that_is_not_there_is_a_hold(registered, capsys, digest):
    _refused(capsys, 3, "no permit", "permit", "show", digest, "-w", registered.folder)
    _refused(capsys, 3, "no permit", "permit", "verify", digest, "-a", "scale", "-w", registered.folder)


@pytest.mark.parametrize(
    "compute", ["much", "", "0", "-1", "nan", "inf", "1e-3", "1.5", "1e40", "0x10", "1e", "9" * 50, "1e999999999"]
)
def test_compute_that_is_no_number_of_flop_is_a_usage_error(registered, model_folder, capsys, compute):
    add = ("subject", "add", model_folder, f"--compute={compute}", "-w", registered.folder)
    _refused(capsys, 2, "--compute is", *add)


def test_compute_is_read_exactly(registered, model_folder, tmp_path, capsys):
    child = shutil.copytree(model_folder, tmp_path / "child")
    (child / "extra.txt").write_text("")
    add = ("subject", "add", child, "--from", "honest", "--step", "continued", "--compute", "3.2e24")
    assert _run(capsys, *add, "-w", registered.folder).code == 0
    assert registered.read().subject("child").ec_high == lab.COMPUTE + 32 * 10**23


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "--compute is missing"),
        (["--compute", "1e9", "--from", "honest"], "--from and --step go together"),
        (["--compute", "1e9", "--step", "continued"], "--from and --step go together"),
        (["--compute", "1e9", "--from", "honest", "--step", "stolen"], "a step is one of continued"),
    ],
    ids=["no compute", "no step", "no parent", "no such step"],
)
def test_a_lineage_that_says_too_little_is_a_usage_error(registered, model_folder, capsys, options, match):
    _refused(capsys, 2, match, "subject", "add", model_folder, *options, "-w", registered.folder)


def test_there_is_no_workspace_until_init_made_one(tmp_path, capsys):
    for arguments in (
        ["decide", "-s", "x"],
        ["ledger", "verify"],
        ["report"],
        ["subject", "list"],
        ["evaluate", "-s", "x"],
    ):
        _refused(capsys, 2, "make one with `interlock init`", *arguments, "-w", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"origin": "x"}', "\xff"], ids=ascii)
def test_a_configuration_that_cannot_be_read_is_a_usage_error(registered, capsys, content):
    (registered.folder / "interlock.json").write_text(content, encoding="latin-1")
    _refused(capsys, 2, "expected origin, log_key and policy", "decide", "-s", "honest", "-w", registered.folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "[1]", '{"%s": 5}', '{"%s": {"folder": "x"}}'], ids=ascii)
def test_a_list_of_places_that_cannot_be_read_is_a_usage_error(registered, capsys, content):
    lab.announce(registered, "few-shot")
    digest = registered.read().subject("honest").digest
    (registered.folder / "subjects.json").write_text(content.replace("%s", digest))
    _refused(capsys, 2, "expected a folder and an adapter", "evaluate", "-s", "honest", "-w", registered.folder)


# -- what a decision says ---------------------------------------------------------------------------------------------


def test_a_hold_says_what_it_rests_on_what_it_starts_and_what_lifts_all_of_it(registered, capsys):
    said = _run(capsys, "decide", "-s", "honest", "-a", "scale", "-w", registered.folder)
    lines = [line.strip() for line in said.out.splitlines()]
    assert said.code == 3
    assert "codebook-use: codebook >= 0.2 is not ruled out (no results)" in lines
    assert any(line.startswith("- `few-shot` evidence missing") for line in lines)
    assert lines.count("Starts:") == 1
    assert any(line.startswith("- pause-training (`on_hold.codebook-use.") for line in lines)
    lifts = lines[next(i for i, line in enumerate(lines) if line.startswith("To lift the hold on scale")) :]
    assert any("a sound `few-shot` result: interlock plan --subject honest" in line for line in lifts)
    assert any("interlock attest --assumption no-evaluation-gaming --subject honest" in line for line in lifts)


def test_many_decisions_say_how_to_ask_for_what_lifts_one(registered, capsys):
    said = _run(capsys, "decide", "-s", "honest", "-w", registered.folder)
    assert said.code == 3
    assert "What would lift a hold: name one action with --action." in said.out
    assert [
        row.split()[:2] for row in said.out.splitlines() if row.startswith("  ") and row.split()[1:2] == ["hold"]
    ] == [[action, "hold"] for action in lab.ACTIONS]


def test_a_stop_until_amended_says_so(whole, capsys):
    whole.append(lab.result_of(whole, counts=lab.counts(120)), [lab.key(whole, "external-auditor")])
    said = _run(capsys, "decide", "-s", "honest", "-a", "release-weights", "-w", whole.folder)
    assert said.code == 3
    assert "Nothing lifts the hold on release-weights as it stands:" in said.out
    assert "codebook-use-open: nothing under this policy; a stop until it is amended" in said.out


@pytest.fixture
def altered(tmp_path, model_folder):
    """Starts a workspace under the example policy with some of its text replaced, and one subject in it."""

    def make(*changes):
        text = lab.POLICY.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        policy = tmp_path / "policy.yaml"
        policy.write_text(text)
        opened = start(tmp_path / "lab", policy, encrypt_with=lambda: None)
        register(opened, Place(model_folder, None), name="honest", compute=lab.COMPUTE)
        return opened

    return make


def test_a_threshold_of_parts_is_told_part_by_part(altered, capsys):
    source = "{task: lab/other@1, metric: accuracy}"
    other = f"  other: {{kind: capability, on: model, danger: lower, range: [0, 1], source: {source}}}"
    opened = altered(
        ("\nassumptions:", f"\n{other}\n\nassumptions:"),
        ("reached_when: codebook >= 0.20", "reached_when: {all_of: [codebook >= 0.20, other <= 0.9]}"),
    )
    said = _run(capsys, "decide", "-s", "honest", "-a", "scale", "-w", opened.folder)
    lines = said.out.splitlines()
    assert said.code == 3
    place = lines.index("codebook-use is not ruled out")
    told = lines[place:]
    assert "  - all of 2: not ruled out" in told
    assert "    - codebook >= 0.2: not ruled out (no results)" in told
    assert "    - other <= 0.9: not ruled out (no results)" in told


def test_what_a_check_must_show_cannot_be_stated(altered, capsys):
    opened = altered(
        (
            "no-gradient-hacking:    {stated_by: external-auditor, fresh_for: 6 months}",
            "no-gradient-hacking: {checked: elicitor, by: external-auditor, coverage: 0.95, fresh_for: 6 months}",
        )
    )
    attest = ("attest", "--assumption", "no-gradient-hacking", "-s", "honest", "-w", opened.folder)
    _refused(capsys, 2, "is shown by the check `elicitor`, not stated", *attest)


def test_what_is_about_a_deployment_is_not_attested_about_a_subject(altered, capsys):
    opened = altered(("by: external-auditor, about: subject", "by: external-auditor, about: deployment"))
    attest = ("attest", "--requirement", "misuse-3", "-w", opened.folder)
    _refused(capsys, 2, "is about the deployment, got --subject honest", *attest, "-s", "honest")
    _refused(capsys, 2, "is about a deployment: name it with --deployment", *attest)
    _refused(capsys, 2, "no single deployment is called `api`", *attest, "--deployment", "api")


def test_what_this_version_cannot_run_is_due_and_said_so(altered, capsys):
    opened = altered(
        (
            "elicitation: [few-shot, fine-tuned]\n",
            "elicitation: [{few-shot: {tools: true}}, {fine-tuned: {safety_ablated: true}}]\n",
        )
    )
    due = _run(capsys, "plan", "-s", "honest", "-w", opened.folder, "--json").json["due"]
    states = {
        (row["elicitation"], row["demonstrations"]): row["state"] for row in due if "codebook-use" in row["thresholds"]
    }
    assert set(states.values()) == {"cannot be run here"}


def test_what_a_measured_requirement_asks_for_is_due(altered, capsys):
    word = "{attested: safeguards against misuse withstood red teaming, by: external-auditor, about: subject, "
    word += "fresh_for: 6 months}"
    measured = "{measured: codebook <= 0.05, elicitation: [{prompted: {attempts: 3}}]}"
    opened = altered((word, measured))
    due = _run(capsys, "plan", "-s", "honest", "-w", opened.folder, "--json").json["due"]
    (row,) = [row for row in due if row["requirements"]]
    assert (row["measure"], row["elicitation"], row["requirements"]) == ("codebook", "prompted", ["misuse-3"])
    assert (row["thresholds"], row["state"]) == ([], f"announced as plan {row['plan'][:12]}")
    asked = {plan.digest: plan.protocol for plan in opened.read().facts.plans}[row["plan"]]
    assert (asked.elicitation, asked.attempts) == ("prompted", 3)


LOW = (
    ("codebook >= 0.20", "codebook >= 0.07"),
    ("codebook >= 0.10", "codebook >= 0.06"),
    ("codebook >= 0.50", "codebook >= 0.07"),
)


def test_a_plan_whose_items_could_rule_out_nothing_is_refused_before_anything_is_announced(altered, capsys):
    opened = altered(*LOW)
    size = lab.size(opened)
    asked = ("plan", "-s", "honest", "-w", opened.folder)
    _refused(capsys, 2, "`codebook` under 0.07 less the margin 0.05 at 95 % confidence needs 149 or more", *asked)
    assert lab.size(opened) == size
    due = _run(capsys, *asked, "--underpowered", "--json").json["due"]
    assert {row["elicitation"] for row in due if row["plan"]} == {"few-shot", "fine-tuned", "rl-fine-tuned"}


def test_a_plan_that_needs_luck_for_a_line_of_a_gate_is_refused_with_the_number_that_does_not(altered, capsys):
    opened = altered(*LOW[:2])  # `takeover` can be ruled out, the others cannot
    size, asked = lab.size(opened), ("plan", "-s", "honest", "-w", opened.folder)
    weak = "120 items rule out `codebook-use`: `codebook` under 0.07 less the margin 0.05 with power 0.00"
    said = _refused(capsys, 2, weak, *asked)
    assert "at an assumed rate of 0.002; 236 have 0.8 (and 1 more such); nothing was announced" in said.err
    assert lab.size(opened) == size
    said = _run(capsys, *asked, "--underpowered", "--json")
    assert any(row["plan"] for row in said.json["due"])
    assert said.err.count("interlock: warning: 120 items rule out `codebook-use") == 2


def test_a_line_that_no_gate_needs_is_only_warned_of(altered, capsys):
    opened = altered(
        ("release-weights: {codebook-use-open: [never], takeover", "release-weights: {takeover"),
        ("reached_when: codebook >= 0.10", "role: watch\n    reached_when: codebook >= 0.06"),
    )
    said = _run(capsys, "plan", "-s", "honest", "-w", opened.folder, "--json")
    assert any(row["plan"] for row in said.json["due"])
    assert said.err.count("interlock: warning: 120 items rule out `codebook-use-open`") == 1


# -- models and data --------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_a_usage_error(registered, tmp_path, capsys):
    for folder, match in ((tmp_path / "nothing", "no such model folder"), (tmp_path, "has no config.json")):
        _refused(capsys, 2, match, "subject", "add", folder, "--compute", "1e9", "-w", registered.folder)


def test_truncated_weights_are_invalid_evidence(registered, model_folder, tmp_path, capsys):
    cut = shutil.copytree(model_folder, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    size = lab.size(registered)
    said = _run(capsys, "subject", "add", cut, "--compute", "1e9", "-w", registered.folder)
    assert (said.code, said.out) == (4, "")
    last = said.err.splitlines()[-1]  # below what the progress bar had to say
    assert last.startswith(f"interlock: `{weights}` is truncated or altered: ")
    assert lab.size(registered) == size


def test_an_empty_data_set_is_a_usage_error_and_nothing_is_announced(registered, tmp_path, capsys, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "codebook.jsonl").write_text("")
    files = resources.files
    monkeypatch.setattr(
        codebook.resources, "files", lambda name: tmp_path if name == "interlock.evaluate" else files(name)
    )
    codebook.load.cache_clear()
    try:
        size = lab.size(registered)
        _refused(capsys, 2, "the codebook has no entries", "plan", "-s", "honest", "-w", registered.folder)
        assert lab.size(registered) == size
    finally:
        codebook.load.cache_clear()


def test_a_policy_that_asks_for_another_version_of_the_task_is_not_served_with_this_one(tmp_path, model_folder, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text(lab.POLICY.read_text().replace("interlock/codebook@3", "interlock/codebook@4"))
    assert _run(capsys, "init", "-p", policy, "-w", tmp_path / "lab", "--no-passphrase").code == 0
    opened = Workspace.open(tmp_path / "lab")
    register(opened, Place(model_folder, None), name="honest", compute=1)
    match = "runs `interlock/codebook@3` for its accuracy, the policy asks for `interlock/codebook@4`"
    _refused(capsys, 2, match, "plan", "-s", "honest", "-w", opened.folder)
    assert lab.size(opened) == 2


@pytest.fixture(scope="module")
def broken_folder(tmp_path_factory):
    """A model whose first weights are not numbers."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_model.build(tmp_path_factory.mktemp("broken") / "broken", seed=1)
    with local.quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        with torch.no_grad():
            model.model.embed_tokens.weight.fill_(float("nan"))
        model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("elicitation", "demonstrations", "match"),
    [("few-shot", 0, "model produced non-finite logits"), ("fine-tuned", 4, "training loss")],
)
def test_a_model_that_gives_no_numbers_has_no_result_and_its_plan_stays_open(
    registered, broken_folder, capsys, elicitation, demonstrations, match
):
    register(registered, Place(broken_folder, None), name="broken", compute=1)
    plan = lab.announce(registered, elicitation, demonstrations, subject="broken")
    size = lab.size(registered)
    said = _run(capsys, "evaluate", "-s", "broken", "-w", registered.folder)
    assert (said.code, said.out) == (4, "")
    assert match in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].startswith("interlock: ")
    assert "Traceback" not in said.err
    assert lab.size(registered) == size
    evidence = registered.read()
    assert [one.digest for one in open_plans(evidence, subject=evidence.subject("broken").digest)] == [plan]
    assert _run(capsys, "ledger", "verify", "-w", registered.folder).code == 0


# -- policies and keys ------------------------------------------------------------------------------------------------


def test_a_typo_in_a_policy_names_its_place_and_the_nearest_word(tmp_path, capsys):
    text = lab.POLICY.read_text().replace("      coverage: 0.98", "      coverge: 0.98", 1)
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if "coverge" in row)
    said = _refused(capsys, 2, f"{policy}:{line}:7: ", "init", "--policy", policy, "-w", tmp_path / "lab")
    assert "`coverge`" in said.err
    assert "`coverage`" in said.err
    assert not (tmp_path / "lab").exists()  # no key was made for a policy that does not load


def test_a_policy_that_cannot_be_read_begins_no_ledger(tmp_path, capsys):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for policy, said in (
        (tmp_path / "nothing.yaml", "got nothing"),
        (tmp_path, "got what cannot be read: is a directory"),
        (tmp_path / "binary", ":1:1: "),
        (Path("/dev/zero"), "got a larger file"),
    ):
        _refused(capsys, 2, said, "init", "--policy", policy, "-w", tmp_path / "lab")
        assert not (tmp_path / "lab" / "interlock.json").exists()


def test_a_policy_that_has_expired_begins_no_ledger(tmp_path, capsys):
    policy = tmp_path / "policy.yaml"
    effective = "effective: 2026-01-01T00:00:00Z"
    policy.write_text(lab.POLICY.read_text().replace(effective, f"{effective}\nexpires: 2026-02-01T00:00:00Z", 1))
    init = ("init", "--policy", policy, "-w", tmp_path / "lab", "--no-passphrase")
    said = _refused(capsys, 2, f"{policy}:8:10: ", *init)
    assert "expired" in said.err
    assert not (tmp_path / "lab" / "interlock.json").exists()


@pytest.mark.parametrize("name", ["../outside.pub", "/tmp/outside.pub"])  # noqa: S108
def test_a_policy_cannot_have_keys_written_outside_the_workspace(tmp_path, capsys, name):
    policy = tmp_path / "policy.yaml"
    policy.write_text(lab.POLICY.read_text().replace("keys/gatekeeper.pub", name))
    _refused(capsys, 2, name, "init", "--policy", policy, "-w", tmp_path / "deep" / "lab")
    assert not (tmp_path / "deep" / "outside.key").exists()


def test_a_role_whose_key_is_elsewhere_cannot_sign_here(registered, capsys):
    (registered.folder / "keys" / "external-auditor.key").unlink()
    attest = ("attest", "--requirement", "security-3", "--about", "developer", "-w", registered.folder)
    size = lab.size(registered)
    _refused(capsys, 2, "`external-auditor` signs with 1 key(s), found 0 of them", *attest)
    assert lab.size(registered) == size


def test_a_private_key_that_others_can_read_is_not_used(registered, capsys):
    (registered.folder / "keys" / "external-auditor.key").chmod(0o644)
    attest = ("attest", "--requirement", "security-3", "--about", "developer", "-w", registered.folder)
    _refused(capsys, 2, "private key has mode 0644, expected 0600", *attest)


# -- a machine that fails ---------------------------------------------------------------------------------------------


def _full_disk(monkeypatch, module, name, *, at=0):
    """From the call number `at` on, the disk is full."""
    real, calls = getattr(module, name), []

    def fails(*given, **settings):
        calls.append(1)
        if len(calls) > at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **settings)

    monkeypatch.setattr(module, name, fails)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_disk_that_fills_during_an_append_loses_nothing(registered, capsys, monkeypatch, at):
    attest = ("attest", "--requirement", "security-3", "--about", "developer", "-w", registered.folder)
    size = lab.size(registered)
    with monkeypatch.context() as patch:
        _full_disk(patch, _disk, "write", at=at)
        _refused(capsys, 4, "cannot write (No space left on device)", *attest)
    assert lab.size(registered) == size
    assert _run(capsys, "ledger", "verify", "-w", registered.folder).code == 0
    # in other words, for the same within the second would repeat what stands
    assert _run(capsys, *attest, "--text", "once more").code == 0
    # at the last write the entry was signed for already: it stands, and comes to light with the next one
    assert lab.size(registered) == size + 1 + (at == 3)


def test_a_disk_that_is_full_makes_no_decision(registered, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        _full_disk(patch, _disk, "write")
        _refused(capsys, 4, "No space left on device", "decide", "-s", "honest", "-w", registered.folder)
    assert _run(capsys, "ledger", "verify", "-w", registered.folder).code == 0


def test_a_disk_that_cannot_be_written_verifies_and_makes_no_decision(registered, capsys, monkeypatch):
    real = os.open

    def refusing(path, flags, *args, **settings):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        assert _run(capsys, "ledger", "verify", "-w", registered.folder).code == 0
        _refused(capsys, 4, "Read-only file system", "decide", "-s", "honest", "-w", registered.folder)
    assert _run(capsys, "decide", "-s", "honest", "-w", registered.folder).code == 3


def test_a_subject_whose_place_could_not_be_noted_is_added_by_the_same_command(
    registered, model_folder, tmp_path, capsys, monkeypatch
):
    child = shutil.copytree(model_folder, tmp_path / "child")
    (child / "extra.txt").write_text("")
    made = ("--from", "honest", "--step", "edited", "--compute", "1e9")
    add = ("subject", "add", child, *made, "-w", registered.folder)
    with monkeypatch.context() as patch:
        _full_disk(patch, workspace, "write_whole")
        said = _run(capsys, *add)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("interlock: the machine failed: ")
    assert _run(capsys, *add).code == 0
    subject = registered.read().subject("child")
    assert registered.places()[subject.digest].folder == child
    assert lab.size(registered) == 3


def test_an_init_that_a_full_disk_stopped_says_how_to_begin_again(tmp_path, capsys, monkeypatch):
    init = ("init", "--policy", lab.POLICY, "-w", tmp_path / "lab", "--no-passphrase")
    with monkeypatch.context() as patch:
        _full_disk(patch, _disk, "write", at=4)
        _refused(capsys, 4, "No space left on device", *init)
    _refused(capsys, 2, "is left from an `init` that did not finish; remove it", *init)
    shutil.rmtree(tmp_path / "lab" / "ledger")
    assert _run(capsys, *init).code == 0
    assert _run(capsys, "ledger", "verify", "-w", tmp_path / "lab").code == 0


def test_an_error_that_nobody_foresaw_is_one_line_and_its_traceback_on_request(registered, capsys, monkeypatch):
    def fails(self):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Workspace, "read", fails)
    verify = ("ledger", "verify", "-w", registered.folder)
    _refused(capsys, 1, "internal error: RuntimeError: unforeseen; INTERLOCK_DEBUG=1 shows where", *verify)
    monkeypatch.setenv("INTERLOCK_DEBUG", "1")
    assert "Traceback" in _run(capsys, *verify).err


def test_an_interrupt_anywhere_is_exit_code_130(registered, capsys, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "read", interrupted)
    _refused(capsys, 130, "interrupted", "decide", "-s", "honest", "-w", registered.folder)


HALFWAY = """
import sys, time
from pathlib import Path
from interlock import cli
from interlock.evaluate import local

generate, goes_on, batches = local.generate, Path(sys.argv[1]), []

def halfway(*given, **settings):
    batches.append(given)
    while len(batches) > 2 and not goes_on.exists():
        time.sleep(0.05)
    return generate(*given, **settings)

local.generate = halfway
sys.exit(cli.run(sys.argv[2:]))
"""


def _stored(opened):
    """Samples with a score that a log on the disk holds, and not those cut short; none while it is being written."""
    from inspect_ai.log import read_eval_log

    logs = opened.folder.glob("logs/*/*.eval")
    try:
        found = [sum(bool(it.scores) for it in read_eval_log(str(path)).samples or []) for path in logs]
    except (ValueError, OSError):
        return 0
    return max(found, default=0)


def _stopped(opened, number):
    """Start an `evaluate` that waits halfway, and stop it by a signal once it has stored samples."""
    goes_on = opened.folder / "goes-on"
    command = [sys.executable, "-c", HALFWAY, str(goes_on), "evaluate", "-s", "honest", "-w", str(opened.folder)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore interrupts
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,  # noqa: PLW1509  there are no threads yet
    )
    while child.poll() is None and not _stored(opened):
        time.sleep(0.1)
    child.send_signal(number)
    goes_on.touch()
    out, err = child.communicate()
    return lab.Said(child.returncode, out, err)


def _finished(opened, capsys, monkeypatch):
    """The same command, until it is done: only what was not stored is asked."""
    generate, asked, stored, size = local.generate, [], _stored(opened), lab.size(opened)
    assert 0 < stored < 120

    def counting(model, conversations, **settings):
        asked.extend(conversations)
        return generate(model, conversations, **settings)

    monkeypatch.setattr(local, "generate", counting)
    assert _run(capsys, "ledger", "verify", "-w", opened.folder).code == 0
    said = _run(capsys, "evaluate", "-s", "honest", "-w", opened.folder)
    assert said.code == 0
    assert "0 correct of 120 planned (120 scored)" in said.out
    assert len(asked) == 120 - stored
    assert lab.size(opened) == size + 1
    assert _run(capsys, "ledger", "verify", "-w", opened.folder).code == 0


def test_an_evaluation_that_is_interrupted_is_finished_by_the_same_command(registered, capsys, monkeypatch):
    lab.announce(registered, "few-shot")
    size = lab.size(registered)
    said = _stopped(registered, signal.SIGINT)
    assert (said.code, said.out) == (130, "")
    assert said.err.splitlines()[-1] == (
        "interlock: interrupted; what stands in the ledger is safe, and the same command goes on from there"
    )
    assert "Traceback" not in said.err
    assert lab.size(registered) == size
    _finished(registered, capsys, monkeypatch)


def test_an_evaluation_that_is_killed_is_finished_by_the_same_command(registered, capsys, monkeypatch):
    lab.announce(registered, "few-shot")
    size = lab.size(registered)
    assert _stopped(registered, signal.SIGKILL).code == -signal.SIGKILL
    assert lab.size(registered) == size
    _finished(registered, capsys, monkeypatch)


# -- what is imported, and what is missing ----------------------------------------------------------------------------

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from interlock import cli
sys.exit(cli.run(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("inspect_ai", "inspect", ["plan", "-s", "honest", "--elicitation", "few-shot"]),
        ("inspect_ai", "inspect", ["evaluate", "-s", "honest"]),
        ("torch", "local", ["evaluate", "-s", "honest"]),
        ("transformers", "local", ["evaluate", "-s", "honest"]),
        ("matplotlib", "report", ["report"]),
        ("jinja2", "report", ["report"]),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    few_shot, package, extra, arguments
):
    lab.announce(few_shot, "fine-tuned", 16)
    size = lab.size(few_shot)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *arguments, "-w", str(few_shot.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith("interlock: ")
    assert f"pip install 'interlock[{extra}]'" in complaint
    assert package.replace("_", "-") in complaint.replace("_", "-")
    assert "Traceback" not in done.stderr
    assert lab.size(few_shot) == size


LIGHT = """
import json, sys
from interlock import cli

heavy = {"torch", "transformers", "peft", "safetensors", "inspect_ai", "scipy", "z3", "matplotlib", "ruamel", "numpy",
         "fastapi", "starlette", "jinja2", "pydantic", "pydantic_core", "rich", "platformdirs"}
found = {}
for arguments in json.loads(sys.argv[1]):
    code = cli.run([*arguments, "-w", sys.argv[2]])
    found[" ".join(arguments)] = [code, sorted(heavy & {name.partition(".")[0] for name in sys.modules})]
print("\\n" + json.dumps(found))
"""


def test_commands_that_need_no_model_import_nothing_heavy(whole, tmp_path):
    permit, subject = lab.issue(whole), whole.read().subject("honest").digest
    file, trust = map(str, permit_lab.files(whole, tmp_path / "gate", permit))
    commands = [
        ["decide", "-s", "honest", "-a", "scale"],
        ["decide", "-s", "honest", "-a", "scale", "--json"],
        ["ledger", "verify"],
        ["ledger", "log"],
        ["keys", "list"],
        ["subject", "list"],
        ["attest", "--requirement", "misuse-3", "-s", "honest"],
        ["permit", "show", permit],
        ["permit", "verify", permit, "-a", "scale"],
        ["permit", "issue", "-s", "honest", "-a", "deploy-api"],
        ["permit", "verify", file, "--trust", trust, "-a", "scale", "-s", subject, "--effective-compute", "2e12"],
        ["permit", "narrow", permit, "--single-use"],
        ["ledger", "show", "0"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(commands), str(whole.folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    code, loaded = found.pop("ledger show 0")  # the last: Typer reads its number with pydantic
    assert (code, set(loaded) - {"pydantic", "pydantic_core"}) == (0, set())
    assert found == {" ".join(arguments): [0, []] for arguments in commands[:-1]}


# -- help and the environment -----------------------------------------------------------------------------------------


def test_help_lists_the_commands_in_the_order_of_the_loop(capsys):
    said = _run(capsys, "--help")
    assert (said.code, said.err) == (0, "")
    listed = [row.split()[0] for row in said.out.partition("Commands:")[2].splitlines() if row.startswith("  ")]
    assert [name for name in listed if name in COMMANDS] == COMMANDS


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        ["policy", "check"],
        ["policy", "test"],
        ["policy", "schema"],
        ["keys", "new"],
        ["keys", "list"],
        ["keys", "export"],
        ["keys", "rotate"],
        ["keys", "verify"],
        ["subject", "add"],
        ["subject", "list"],
        ["subject", "show"],
        ["duties", "list"],
        ["duties", "run"],
        ["duties", "done"],
        ["duties", "check"],
        ["deployment", "add"],
        ["deployment", "list"],
        ["permit", "issue"],
        ["permit", "show"],
        ["permit", "verify"],
        ["permit", "narrow"],
        ["permit", "revoke"],
        ["permit", "trust"],
        ["incident", "report"],
        ["incident", "resolve"],
        ["ledger", "verify"],
        ["ledger", "log"],
        ["ledger", "show"],
        ["ledger", "proof"],
        ["ledger", "seal"],
        ["ledger", "monitor"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(capsys, command):
    for flag in ("--help", "-h"):
        said = _run(capsys, *command, flag)
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"Usage: interlock {' '.join(command)} ")
        assert "--help" in said.out


def test_an_option_can_stand_in_the_environment(registered, capsys, monkeypatch):
    monkeypatch.setenv("INTERLOCK_WORKSPACE", str(registered.folder))
    monkeypatch.setenv("INTERLOCK_DECIDE_SUBJECT", "honest")
    monkeypatch.setenv("INTERLOCK_DECIDE_ACTION", "scale")
    said = _run(capsys, "decide", "--json")
    assert said.code == 3
    assert said.json["action"] == "scale"
    assert _run(capsys, "ledger", "verify").code == 0
    monkeypatch.setenv("INTERLOCK_DECIDE_SUBJECT", "nobody")
    _refused(capsys, 2, "`nobody`", "decide")
    assert _run(capsys, "decide", "--subject", "honest").code == 3


def test_the_installed_command_ends_with_the_same_codes(registered):
    interlock = shutil.which("interlock", path=Path(sys.executable).parent)
    assert interlock
    for arguments, code in ((["ledger", "verify"], 0), (["decide", "-s", "honest"], 3), (["decide", "-s", "x"], 2)):
        done = subprocess.run([interlock, *arguments, "-w", registered.folder], capture_output=True, check=False)
        assert done.returncode == code
