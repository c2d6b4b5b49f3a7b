"""`subject` and `deployment`: what is registered is what was said, and what cannot be is refused in one line."""

from __future__ import annotations

import shutil
from hashlib import sha256

import pytest

import lab
from interlock.decide.facts import Step
from interlock.errors import EvidenceError

COMPUTE = lab.COMPUTE


@pytest.fixture
def child(model_folder, tmp_path):
    """Copies of the model, each with one file more; `new` ones with other weights, too."""

    def make(name, *, new=False):
        folder = shutil.copytree(model_folder, tmp_path / name)
        (folder / "extra.txt").write_text(name)
        if new:
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        return str(folder)

    return make


@pytest.fixture
def refused(registered, capsys):
    def check(match, *arguments, code=2):
        size = lab.size(registered)
        said = lab.command(capsys, registered, *arguments)
        assert (said.code, said.out) == (code, ""), said
        assert match in said.err
        assert [line for line in said.err.splitlines() if "hashing weights" not in line] == [said.err.splitlines()[-1]]
        assert lab.size(registered) == size

    return check


def _add(capsys, workspace, *arguments):
    said = lab.command(capsys, workspace, "subject", "add", *arguments)
    assert said.code == 0, said
    return said


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["honest\u200b", "\x1b[2J", "two\nlines", "x" * 4097], ids=lambda it: ascii(it)[:20])
def test_a_name_that_nobody_could_tell_is_refused(registered, child, refused, tmp_path, name):
    (tmp_path / "run.yaml").write_text("steps: 3")
    refused("printable characters", "subject", "add", child("next", new=True), "--compute", "1e12", "--name", name)
    run = ("--config", str(tmp_path / "run.yaml"), "--data-commitment", "ab" * 32, "--compute", "1e12")
    refused("printable characters", "subject", "add", "--name", name, *run)
    offered = ("--subject", "honest", "--surface", "chat", "--access-tier", "public")
    refused("printable characters", "deployment", "add", name, *offered)


def test_a_name_that_nobody_could_tell_is_refused_in_a_statement(whole):
    """Of a subject and a task; tests/loop/test_deployments.py has a deployment's."""
    subject, plan = lab.payload(whole, "subject"), lab.payload(whole, "plan")
    task = {"protocol": plan.predicate["protocol"] | {"task": "codebook\u200b"}}
    for made in (lab.changed(subject, name="honest\u200b"), lab.changed(plan, **task)):
        with pytest.raises(EvidenceError, match="expected printable text"):
            whole.append(made, [lab.key(whole, "evaluation-team")])


# -- lineage ----------------------------------------------------------------------------------------------------------


def test_weights_that_another_subject_has_come_with_a_word_on_where_they_are_from(registered, child, refused, capsys):
    _add(capsys, registered, child("next", new=True), "--compute", "1e12")
    hidden = "its weights `model.safetensors` are those of `honest`, expected to be made from it"
    refused(hidden, "subject", "add", child("copy"), "--compute", "1e12", code=4)
    wrong = ("--from", "next", "--step", "fine-tuned", "--compute", "1e6")
    refused(hidden, "subject", "add", child("other"), *wrong, code=4)
    _add(capsys, registered, child("open"), "--from", "honest", "--step", "edited", "--compute", "1e6")
    _add(capsys, registered, child("on"), "--from", "open", "--step", "edited", "--compute", "1e6")


def test_several_parents_each_with_its_step_and_compute(registered, child, capsys):
    _add(capsys, registered, child("other"), "--from", "honest", "--step", "continued", "--compute", "5e12")
    pairs = ("--from", "honest", "--step", "merged", "--compute", "1e6", "--from", "other", "--step", "distilled")
    _add(capsys, registered, child("both"), *pairs, "--compute", "2e6")
    evidence = registered.read()
    honest, other, both = (evidence.subject(name) for name in ("honest", "other", "both"))
    assert both.steps == (Step(honest.digest, "merged", 10**6), Step(other.digest, "distilled", 2 * 10**6))
    assert both.training_compute == COMPUTE + 10**6 + 6 * COMPUTE + 2 * 10**6
    assert (both.ec_low, both.ec_high) == (6 * COMPUTE + 2 * 10**6, both.training_compute)
    assert evidence.facts.ancestors(both.digest) == {honest.digest, other.digest}
    said = lab.command(capsys, registered, "subject", "list").out
    assert f"merged from {honest.digest[:12]}, distilled from {other.digest[:12]}" in said


def test_effective_compute_is_an_interval(registered, child, capsys):
    made = ("--from", "honest", "--step", "fine-tuned", "--compute", "1e6")
    _add(capsys, registered, child("wide"), *made, "--effective-compute", "2e12..3e12")
    _add(capsys, registered, child("narrow"), *made, "--effective-compute", "2e12")
    evidence = registered.read()
    assert [(s.ec_low, s.ec_high) for s in map(evidence.subject, ("wide", "narrow"))] == [
        (2 * COMPUTE, 3 * COMPUTE),
        (2 * COMPUTE, 2 * COMPUTE),
    ]


FROM = ("--from", "honest", "--step", "continued", "--compute", "1e6")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            (*FROM, "--effective-compute", "1e6..1e13"),
            (
                "effective compute 1000000 to 10000000000000 is below that of its parent `honest`, "
                f"expected {COMPUTE} to {COMPUTE} FLOP or more"
            ),
        ),
        ((*FROM, "--effective-compute", "9e12..1e12"), "expected LOW..HIGH with LOW at most HIGH"),
        ((*FROM, "--effective-compute", "low..high"), "--effective-compute is `low`, expected FLOP"),
        ((*FROM, "--effective-compute", "..1e13"), "--effective-compute is ``"),
        ((*FROM, "--compute", "1e6"), "--compute is given once for each --from, or once without any: got 2"),
        ((*FROM, "--step", "merged"), "--from and --step go together, got 1 and 2"),
        ((*FROM, "--from", "honest"), "--from and --step go together, got 2 and 1"),
        ((*FROM[:4], "--from", "honest", "--step", "merged", "--compute", "1"), "once for each --from"),
        (("--compute", "1e6", "--compute", "1e6"), "--compute is given once for each --from"),
        (("--from", "nobody", "--step", "merged", "--compute", "1"), "no single subject is called `nobody`"),
        (("--config", "x", "--compute", "1"), "of a run without weights yet, and so go with no folder"),
        (("--data-commitment", "x", "--compute", "1"), "of a run without weights yet, and so go with no folder"),
        (("--parent", "honest", "--step", "merged", "--compute", "1"), "no such option: --parent"),
    ],
)
def test_a_lineage_that_cannot_be_is_a_usage_error(refused, child, options, match):
    refused(match, "subject", "add", child("child"), *options)


# -- a run from scratch -----------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """The options of a run, and the digests of its config and of its data."""
    (tmp_path / "run.yaml").write_text("layers: 80\n")
    (tmp_path / "data.txt").write_text("a list of files\n")
    digests = [sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("run.yaml", "data.txt")]
    return ("--config", str(tmp_path / "run.yaml"), "--data-commitment", str(tmp_path / "data.txt")), digests


def test_a_run_that_has_no_weights_yet_is_a_subject(registered, run, capsys):
    options, (config, data) = run
    said = _add(capsys, registered, "--name", "next", *options, "--compute", "5e12")
    evidence = registered.read()
    subject = evidence.subject("next")
    assert subject.digest in said.out
    assert (subject.ec_low, subject.ec_high, subject.steps) == (5 * COMPUTE, 5 * COMPUTE, ())
    assert lab.payload(registered, "subject").predicate["run"] == {"config_sha256": config, "data_sha256": data}
    assert "a run without weights yet" in lab.command(capsys, registered, "subject", "list").out
    shown = lab.command(capsys, registered, "subject", "show", "next", "--json").json
    assert (shown["has_weights"], shown["manifest"], shown["model_signing_sha256"]) == (False, None, None)


def test_a_commitment_is_a_digest_or_a_file(registered, run, capsys):
    options, (_, data) = run
    _add(capsys, registered, "--name", "next", *options, "--compute", "5e12")
    size = lab.size(registered)
    _add(capsys, registered, "--name", "next", *options[:3], data.upper(), "--compute", "5e12")
    assert lab.size(registered) == size  # the same run


def test_on_a_run_without_weights_every_gate_holds_and_nothing_can_be_announced(registered, run, refused, capsys):
    _add(capsys, registered, "--name", "next", *run[0], "--compute", "5e12")
    said = lab.command(capsys, registered, "decide", "-s", "next", "--json")
    assert said.code == 3
    assert {one["verdict"] for one in said.json} == {"hold"}
    refused("`next` is a run from scratch that has no weights yet", "plan", "-s", "next")
    offer = ("--surface", "api", "--access-tier", "public")
    refused(
        "`next` is a run from scratch that has no weights yet", "deployment", "add", "a", "-s", "next", *offer, code=4
    )


def test_the_weights_that_a_run_gave_go_on_from_it_with_what_was_spent(registered, run, child, refused, capsys):
    _add(capsys, registered, "--name", "next", *run[0], "--compute", "5e12")
    made = ("--from", "next", "--step", "continued", "--compute")
    early = "effective compute 4000000000000 to 4000000000000 is below that of its parent `next`"
    refused(early, "subject", "add", child("early"), *made, "4e12")
    _add(capsys, registered, child("done", new=True), *made, "5e12")
    done = registered.read().subject("done")
    assert (done.training_compute, done.ec_low, done.ec_high) == (5 * COMPUTE, 5 * COMPUTE, 5 * COMPUTE)


def test_a_run_that_says_too_little_or_too_much_is_a_usage_error(refused, run, tmp_path, child):
    options, _ = run
    add = ("subject", "add", "--name", "next", "--compute", "1e12")
    refused("give the folder of a model; or", *add)
    refused("give the folder of a model; or", *add, *options[:2])
    refused("give the folder of a model; or", *add, *options[2:])
    refused("--compute is missing", *add[:4], *options)
    refused("neither --adapter nor --from", *add, *options, "--adapter", child("adapter"))
    refused("neither --adapter nor --from", *add, *options, "--from", "honest", "--step", "merged")
    refused("no such file", *add, *options[:3], str(tmp_path / "nothing"))
    refused("no such file", *add, "--config", str(tmp_path), *options[2:])


# -- shown ------------------------------------------------------------------------------------------------------------


def test_show_lists_every_file_and_both_digests(registered, capsys):
    (files,) = registered.read().manifests.values()
    shown = lab.command(capsys, registered, "subject", "show", "honest", "--json").json
    assert shown["manifest"] == files.to_json()
    assert (shown["digest"], shown["model_signing_sha256"]) == (files.digest, files.model_signing_digest)
    said = lab.command(capsys, registered, "subject", "show", "honest").out
    for name, digest in files.files:
        assert f"{digest}  {name}" in said
    assert files.digest in said
    assert files.model_signing_digest in said


# -- deployments ------------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    for name in ("prompt.txt", "in.yaml", "out.yaml", "search.json"):
        (tmp_path / name).write_text(name)
    return {path.name: str(path) for path in tmp_path.iterdir() if path.is_file()}


def _offer(parts, *more):
    options = ("-s", "honest", "--surface", "chat", "--access-tier", "public")
    return (*options, "--system-prompt", parts["prompt.txt"], "--filter", parts["in.yaml"], *more)


def test_a_deployment_is_registered_and_listed_with_all_its_parts(registered, parts, capsys):
    more = ("--filter", parts["out.yaml"], "--tool", parts["search.json"], "--limit", "temperature=1.0")
    add = ("deployment", "add", "chat", *_offer(parts, *more, "--limit", "max_tokens=4096"))
    said = lab.command(capsys, registered, *add)
    assert said.code == 0
    (row,) = lab.command(capsys, registered, "deployment", "list", "--json").json
    assert said.out == f"deployment `chat` of `honest`: {row['digest']}\n"
    digests = {name: sha256(name.encode()).hexdigest() for name in parts}
    assert row["parts"] == {
        "subject": registered.read().subject("honest").digest,
        "system_prompt_sha256": digests["prompt.txt"],
        "filters": [{"name": name, "sha256": digests[name]} for name in ("in.yaml", "out.yaml")],
        "tools": [{"name": "search.json", "sha256": digests["search.json"]}],
        "surface": "chat",
        "access_tier": "public",
        "sampling": {"temperature": "1", "max_tokens": "4096"},
    }
    assert "chat" in lab.command(capsys, registered, "deployment", "list").out
    size = lab.size(registered)
    assert lab.command(capsys, registered, *add).code == 0  # the same again does nothing
    assert lab.size(registered) == size


def test_another_prompt_needs_another_name(registered, parts, refused, capsys, tmp_path):
    assert lab.command(capsys, registered, "deployment", "add", "chat", *_offer(parts)).code == 0
    refused("is there already as `chat`", "deployment", "add", "talk", *_offer(parts), code=4)
    (tmp_path / "prompt.txt").write_text("another")
    refused("another deployment is called `chat`", "deployment", "add", "chat", *_offer(parts), code=4)
    assert lab.command(capsys, registered, "deployment", "add", "talk", *_offer(parts)).code == 0


def test_what_cannot_be_a_deployment_is_a_usage_error(refused, parts):
    add = ("deployment", "add", "chat", *_offer(parts))
    refused("a filter is named twice: `in.yaml`, `in.yaml`", *add, "--filter", parts["in.yaml"])
    refused("--limit is `x`, expected NAME=NUMBER", *add, "--limit", "x")
    refused("--limit is `t=-1`, expected NAME=NUMBER", *add, "--limit", "t=-1")
    refused("names one limit twice", *add, "--limit", "t=1", "--limit", "t=2")
    refused("the sampling limit `T` is `1`, expected a lower-case name", *add, "--limit", "T=1")
    refused("no such file", *add, "--tool", "nothing.json")
    refused("no single subject is called `nobody`", *add[:3], "-s", "nobody", *add[5:])
    refused("missing option '--surface'", *add[:5], *add[7:])


def test_no_deployments_yet_names_the_next_command(registered, capsys):
    assert "interlock deployment add NAME" in lab.command(capsys, registered, "deployment", "list").out
