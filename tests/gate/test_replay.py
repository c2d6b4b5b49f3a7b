"""An auditor trains segments of a run again: what agrees, what does not, and what cannot be compared."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import lab
import training_lab as made
from interlock.errors import EvidenceError, UsageError
from interlock.gate import permit as permits
from interlock.gate import replay, transcript
from interlock.subject import manifest
from interlock.workspace import Workspace


def again(start, segment, into):
    """The run's own steps, from a folder."""
    loop, losses = made.Loop(start), []
    for step in range(segment.first_step, segment.last_step):
        loss = loop.model(**made.batch(step)).loss
        loss.backward()
        loop.optimizer.step()
        loop.schedule.step()
        loop.optimizer.zero_grad()
        losses.append(loss)
    loop.save(into)
    return losses


@pytest.fixture(scope="module")
def _ran(tmp_path_factory, finished_lab, model_folder):
    """A workspace beside the snapshots of a run of four steps, one each."""
    folder = tmp_path_factory.mktemp("ran")
    workspace = lab.copy(finished_lab, folder / "lab")
    gate = made.gate(workspace, made.permit(workspace, model_folder, 4), model_folder)
    with pytest.raises(permits.Held):
        made.Loop(model_folder).train(gate, folder / "runs", every=1)
    return folder


@pytest.fixture
def ran(_ran, tmp_path):
    return Path(shutil.copytree(_ran, tmp_path / "ran"))


def _transcript(ran):
    (path,) = (ran / "lab" / "transcripts").glob("run-*.jsonl")
    return path


def _replay(ran, model_folder, *, count=4, by=again, data=None):
    workspace = Workspace.open(ran / "lab")
    folders = [model_folder, *(ran / "runs").glob("checkpoint-*")]
    read = data or _transcript(ran).read_bytes()
    return replay.replay(workspace.read(), read, count=count, folders=folders, again=by)


def test_a_run_that_is_what_it_says_agrees_in_every_segment(ran, model_folder):
    report = _replay(ran, model_folder)
    assert (report.verdict, report.total, len(report.drawn)) == ("agrees", 4, 4)
    assert set(report.drawn) == {f"steps {n} to {n}" for n in range(1, 5)}
    assert report.detects(1) == 1


def test_a_draw_is_the_ledgers_and_says_what_it_would_have_found(ran, model_folder):
    one, other = (_replay(ran, model_folder, count=2) for _ in range(2))
    assert one.drawn == other.drawn
    assert one.detects(1) == Fraction(1, 2)
    assert one.detects(2) == Fraction(5, 6)
    assert one.detects(4) == 1


def test_other_data_than_the_run_had_differs(ran, model_folder):
    def otherwise(start, segment, into):
        loop = made.Loop(start)
        loss = loop.model(**made.batch(segment.first_step + 100)).loss
        loop.save(into)
        return [loss]

    report = _replay(ran, model_folder, by=otherwise)
    assert report.verdict == "differs"
    assert len(report.differs) == 4


def test_weights_that_did_not_come_from_these_steps_differ(ran, model_folder):
    """Whoever trained let the third snapshot follow from somewhat other weights: all else is as told."""

    def honest_but_one(start, segment, into):
        losses = again(start, segment, into)
        if segment.last_step == 3:
            made.bare(model_folder, 2).save_pretrained(into)
        return losses

    report = _replay(ran, model_folder, by=honest_but_one)
    assert report.differs == {"steps 3 to 3": "the weights after step 3"}
    assert report.verdict == "differs"


def test_another_machine_or_number_of_threads_is_never_a_pass(ran, model_folder, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    report = _replay(ran, model_folder)
    assert (report.differs, report.verdict) == ({}, "not comparable")
    assert report.environment["threads"][1] == 64


def test_a_transcript_that_is_not_the_ledgers_is_refused(ran, model_folder):
    lines = _transcript(ran).read_bytes().splitlines()
    told = transcript.read(b"\n".join(lines) + b"\n")
    forged, head = [], None
    for line in told:  # all of it once more, with another loss, and hanging together
        members = line.members | ({"loss": "0x0p+0"} if line.tells == "step" else {})
        raw = transcript.canonical.dumps({"before": head, "tells": line.tells, **members})
        head = transcript.hashlib.sha256(raw).hexdigest()
        forged.append(raw)
    data = b"\n".join(forged) + b"\n"
    assert len(transcript.read(data)) == len(told)
    with pytest.raises(EvidenceError, match="the ledger has no snapshot of step 1 with this transcript's head"):
        _replay(ran, model_folder, data=data)


def test_a_snapshot_that_is_missing_or_altered_is_no_pass(ran, model_folder):
    folder = ran / "runs" / "checkpoint-2"
    made.bare(model_folder, 1).save_pretrained(folder)
    with pytest.raises(EvidenceError, match="is missing or altered"):
        _replay(ran, model_folder)
    shutil.rmtree(folder)
    with pytest.raises(EvidenceError, match="is missing or altered"):
        _replay(ran, model_folder)


@pytest.mark.parametrize("count", [0, 5])
def test_no_more_segments_are_drawn_than_there_are_and_never_none(ran, model_folder, count):
    with pytest.raises(UsageError, match="the transcript has 4"):
        _replay(ran, model_folder, count=count)


def test_the_command_trains_again_and_says_what_it_found(ran, model_folder, capsys):
    workspace = Workspace.open(ran / "lab")
    asked = ["audit", "--replay", "4", "--transcript", str(_transcript(ran)), "--snapshots", str(ran / "runs")]
    assert manifest.of(model_folder).digest in workspace.places()
    said = lab.command(capsys, workspace, *asked, "--with", f"{__file__}:again", "--json")
    assert said.code == 0, said.err
    assert (said.json["verdict"], said.json["detects_one_altered"]) == ("agrees", "1/1")
    for wrong in ("train.py", "nowhere.py:again", f"{__file__}:nothing"):
        assert lab.command(capsys, workspace, *asked, "--with", wrong).code == 2
    assert lab.command(capsys, workspace, *asked).code == 2
    other = ran / "other.py"
    other.write_text(
        "import shutil\n\n\ndef again(start, segment, into):\n"
        "    shutil.copytree(start, into, dirs_exist_ok=True)\n    return [0.0]\n"
    )
    said = lab.command(capsys, workspace, *asked, "--with", f"{other}:again")
    assert said.code == 5
    assert "the loss of step 1 differs" in said.out
