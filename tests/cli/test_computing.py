"""`compute estimate`: what it says of models, runs and ladders, and what `subject add` takes over from it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from hashlib import sha256

import pytest

import lab
from interlock import cli
from interlock.subject.compute import architecture, flop

LADDER = "flop,loss\n1e18,3.702\n3e18,3.391\n1e19,3.119\n3e19,2.899\n1e20,2.702\n3e20,2.554\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ladder.csv").write_text(LADDER)


def run(capsys, *arguments):
    """(exit code, what was printed, complaints)."""
    capsys.readouterr()
    code = cli.run(["compute", "estimate", *map(str, arguments)])
    return code, *capsys.readouterr()


def found(capsys, *arguments):
    code, said, complaints = run(capsys, *arguments, "--json")
    assert (code, complaints) == (0, "")
    return json.loads(said)


def test_training_compute_of_a_model_by_formula(capsys, model_folder):
    code, said, _ = run(capsys, model_folder, "--tokens", "1e9", "--sequence", "64", "--batch", "8")
    assert code == 0
    made = architecture.load(model_folder)
    told = found(capsys, model_folder, "--tokens", "1e9", "--sequence", "64", "--batch", "8")["training"]
    assert int(told["flop"]) == flop.trained(made, tokens=10**9, width=64)
    assert int(told["flop_causal"]) < int(told["flop"]) < int(told["flop_recomputed"])
    assert int(told["flop_per_step"]) == flop.training(made, rows=8, width=64)
    assert f"{int(told['flop']):.4g} FLOP on 1e+09 tokens in sequences of 64 (what gates)" in said
    assert f"interlock subject add ... --compute {told['flop']}" in said
    config = found(capsys, model_folder / "config.json", "--tokens", "1e9", "--sequence", "64", "--batch", "8")
    assert config["training"] == told


def test_without_a_sequence_the_longest_that_the_config_allows_is_counted(capsys, model_folder):
    told = found(capsys, model_folder, "--tokens", "1000")["training"]
    assert told["sequence"] == 1024


def test_torchs_count_stands_beside_the_formula(capsys, model_folder):
    counter = found(capsys, model_folder, "--check", "--sequence", "32")["counter"]
    assert counter["flop"] == counter["formula"]
    assert (counter["rows"], counter["width"], counter["apart"]) == (2, 32, 0)
    code, said, _ = run(capsys, model_folder, "--check", "--sequence", "32")
    assert code == 0
    assert "0.00% apart" in said


def test_a_run_is_counted_by_the_tokens_that_its_trainer_saw(capsys, model_folder, tmp_path):
    made = tmp_path / "checkpoint-5"
    made.mkdir()
    (made / "config.json").write_bytes((model_folder / "config.json").read_bytes())
    (made / "trainer_state.json").write_text(json.dumps({"num_input_tokens_seen": 640, "total_flos": 1e8}))
    told = found(capsys, made, "--sequence", "64")["training"]
    assert (told["tokens"], told["tokens_by"], told["trainer_flop"]) == ("640", "the trainer's count", 1e8)
    assert "trainer says  1e+08 FLOP" in run(capsys, made, "--sequence", "64")[1]
    assert found(capsys, made, "--sequence", "64", "--tokens", "7")["training"]["tokens"] == "7"
    for state, match in (
        ({"num_input_tokens_seen": 0}, "the trainer counted no tokens"),
        ({"num_input_tokens_seen": "many"}, "`num_input_tokens_seen` is `many`"),
        ({"num_input_tokens_seen": 5, "total_flos": -1}, "`total_flos` is `-1`"),
        ([], "expected the state of a transformers trainer"),
    ):
        (made / "trainer_state.json").write_text(json.dumps(state))
        code, said, complaint = run(capsys, made, "--sequence", "64")
        assert (code, said) == (2, "")
        assert match in complaint


def test_effective_compute_by_a_ladder_names_its_interval_and_method(capsys):
    code, said, _ = run(capsys, "--ladder", "ladder.csv", "--loss", "2.8")
    assert code == 0
    told = found(capsys, "--ladder", "ladder.csv", "--loss", "2.8")
    low, high = (int(told["effective_compute"][end]) for end in ("low", "high"))
    assert 4.5e19 < low < 5.4e19 < high < 6.5e19
    assert told["effective_compute"]["ladder"]["sha256"] == sha256(LADDER.encode()).hexdigest()
    for part in ("n = 6 runs of 1e+18 to 3e+20 FLOP", "0.95 for each end", "profile likelihood", "the upper end gates"):
        assert part in said
    assert f"--effective-compute {low}..{high}" in said
    wider = found(capsys, "--ladder", "ladder.csv", "--loss", "2.79..2.81")["effective_compute"]
    assert int(wider["low"]) < low
    assert int(wider["high"]) > high


def test_what_lies_past_the_ladder_is_said_or_refused(capsys):
    _, said, _ = run(capsys, "--ladder", "ladder.csv", "--loss", "2.5")
    assert re.search(r"extrapolated  [\d.]+ times above the ladder's runs, and widened by as much again", said)
    code, said, complaint = run(capsys, "--ladder", "ladder.csv", "--loss", "2.0")
    assert (code, said) == (2, "")
    assert "says too little about a loss of 2" in complaint


def test_the_fallback_is_labelled_as_one(capsys, model_folder):
    arguments = (model_folder, "--tokens", "1e9", "--sequence", "64", "--years", "1")
    code, said, _ = run(capsys, *arguments)
    assert code == 0
    assert "fallback      this knows nothing of the model" in said
    told = found(capsys, *arguments)
    assert int(told["effective_compute"]["high"]) == 64 * int(told["training"]["flop"])
    own = found(capsys, *arguments, "--halving", "6..12", "--source", "a study")
    assert int(own["effective_compute"]["high"]) == 4 * int(told["training"]["flop"])
    assert "a study" in own["effective_compute"]["method"]


def test_the_ladder_is_drawn(capsys, tmp_path):
    for name in ("ladder.svg", "ladder.png"):
        assert run(capsys, "--ladder", "ladder.csv", "--loss", "2.8", "--plot", name)[0] == 0
        assert (tmp_path / name).stat().st_size > 5000


MISUSED = {
    "nothing": ([], "nothing to estimate"),
    "a model without tokens": (["MODEL"], "--tokens is missing"),
    "tokens without a model": (["--tokens", "1e9"], "--tokens go with a model"),
    "tokens of nothing": (["MODEL", "--tokens", "0"], "--tokens is `0`"),
    "tokens in words": (["MODEL", "--tokens", "many"], "--tokens is `many`"),
    "no such model": (["none", "--tokens", "1"], "no such file"),
    "a ladder without a loss": (["--ladder", "ladder.csv"], "--ladder and --loss go together"),
    "a loss without a ladder": (["--loss", "2"], "--ladder and --loss go together"),
    "a loss in words": (["--ladder", "ladder.csv", "--loss", "low"], "--loss is `low`"),
    "a loss the wrong way round": (["--ladder", "ladder.csv", "--loss", "3..2"], "the lower one first"),
    "years without a model": (["--years", "1"], "--years goes with training FLOP"),
    "a figure of nobody's": (["MODEL", "--tokens", "1", "--years", "1", "--halving", "6..9"], "go together"),
    "a plot of nothing": (["MODEL", "--tokens", "1", "--plot", "x.svg"], "--plot draws a ladder"),
    "a plot of no kind": (["--ladder", "ladder.csv", "--loss", "2.8", "--plot", "x.doc"], "ends in .svg, .png or .pdf"),
    "a check of nothing": (["--check"], "--check counts on a model"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_a_command_that_says_too_little_or_what_cannot_be_is_one_error(capsys, model_folder, name):
    arguments, match = MISUSED[name]
    code, said, complaint = run(capsys, *(model_folder if it == "MODEL" else it for it in arguments))
    assert (code, said) == (2, "")
    assert match in complaint


def test_an_architecture_that_the_formula_does_not_know_is_one_error(capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    code, said, complaint = run(capsys, tmp_path, "--tokens", "1e9")
    assert (code, said) == (2, "")
    assert "does not know the architecture `mamba`" in complaint


# -- into the ledger ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other(model_folder, tmp_path):
    """A model that the ledger does not know yet."""
    folder = shutil.copytree(model_folder, tmp_path / "other")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    return folder


@pytest.fixture
def estimated(capsys, other, tmp_path):
    """An estimate of the model, as the command writes it: both kinds of compute."""
    arguments = (other, "--tokens", "1e12", "--sequence", "64", "--ladder", "ladder.csv", "--loss", "2.8")
    file = tmp_path / "estimate.json"
    file.write_text(json.dumps(found(capsys, *arguments)))
    return file


def test_a_subject_is_added_by_an_estimate_and_its_statement_names_the_file(registered, other, estimated, capsys):
    said = lab.command(capsys, registered, "subject", "add", str(other), "--name", "m", "--estimate", str(estimated))
    assert said.code == 0, said
    told, subject = json.loads(estimated.read_text()), registered.read().subject("m")
    assert subject.training_compute == int(told["training"]["flop"])
    assert (subject.ec_low, subject.ec_high) == tuple(int(told["effective_compute"][end]) for end in ("low", "high"))
    source = registered.read().compute_sources[subject.digest]
    assert source.file == sha256(estimated.read_bytes()).hexdigest()
    assert "profile likelihood" in source.said
    assert sha256(LADDER.encode()).hexdigest() in source.said
    shown = lab.command(capsys, registered, "subject", "show", "m")
    assert source.file in shown.out
    assert lab.command(capsys, registered, "decide", "--subject", "m", "--action", "scale", "--record").code == 3
    exported = lab.command(capsys, registered, "bundle", "export", "latest", "-o", "m.bundle", "--json")
    assert exported.code == 0, exported
    vkey = json.loads(exported.out)["vkey"]
    assert cli.run(["bundle", "verify", "m.bundle", "--vkey", vkey]) == 3  # verify.py is asked, too; it is a hold
    again = lab.command(capsys, registered, "subject", "add", str(other), "--name", "m", "--estimate", str(estimated))
    assert again.code == 0
    estimated.write_text(estimated.read_text() + "\n")
    last = lab.command(capsys, registered, "subject", "add", str(other), "--name", "m", "--estimate", str(estimated))
    assert (last.code, last.out) == (4, "")
    assert "is there already" in last.err


def test_the_options_that_are_printed_are_those_that_subject_add_takes(registered, other, estimated, capsys):
    options = shlex.split(json.loads(estimated.read_text())["options"])
    arguments = ["subject", "add", str(other), "--name", "m", *options, "--compute-source", "the lab's own count"]
    assert lab.command(capsys, registered, *arguments).code == 0
    evidence = registered.read()
    subject = evidence.subject("m")
    assert f"--compute {subject.training_compute}" in shlex.join(options)
    assert evidence.compute_sources[subject.digest].to_json() == {"said": "the lab's own count"}


def test_figures_beside_an_estimate_and_an_altered_estimate_are_refused(registered, other, estimated, capsys):
    size = lab.size(registered)
    beside = ["subject", "add", str(other), "--estimate", str(estimated)]
    for more in (["--effective-compute", "1e20..1e21"], ["--compute-source", "me"]):
        said = lab.command(capsys, registered, *beside, *more)
        assert (said.code, said.out) == (2, "")
        assert "give neither beside it" in said.err
    estimated.write_text(estimated.read_text().replace("compute-estimate/v1", "something-else"))
    said = lab.command(capsys, registered, *beside)
    assert (said.code, said.out) == (2, "")
    assert lab.size(registered) == size
