"""The transcript of a training run: its lines hang together, and the ledger names their head."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace

import pytest
import torch

import lab
import training_lab as made
from interlock.errors import EvidenceError
from interlock.gate import permit as permits
from interlock.gate import transcript
from interlock.gate.transcript import DataOrder


def _files(workspace):
    return sorted((workspace.folder / "transcripts").glob("run-*.jsonl"))


def _read(path):
    return transcript.read(path.read_bytes(), where=path.name)


def test_a_run_tells_its_settings_each_step_each_snapshot_and_its_end(whole, permit, model_folder, tmp_path):
    order = DataOrder.of(7, ["a", "b"])
    gate = made.gate(whole, permit, model_folder, data=order)
    with pytest.raises(permits.Held):
        made.Loop(model_folder).train(gate, tmp_path, every=2)
    (path,) = _files(whole)
    begin, *lines = _read(path)
    takes = made.step_flop(model_folder)
    assert [line.tells for line in lines] == ["step", "step", "snapshot", "step", "snapshot", "end"]
    assert begin.members["data"] == {"seed": "7", "order": order.digest}
    assert begin.members["permit"] == permit
    assert begin.members["weights"] == begin.members["parent"] == whole.read().subject("honest").digest
    assert begin.members["versions"]["torch"] == torch.__version__
    assert begin.members["threads"] == torch.get_num_threads()
    steps = [line.members for line in lines if line.tells == "step"]
    assert [step["tokens"] for step in steps] == [made.TOKENS] * made.STEPS
    assert [int(step["effective_compute"]) - lab.COMPUTE for step in steps] == [takes, 2 * takes, 3 * takes]
    first = made.Loop(model_folder).model(**made.batch(0)).loss
    assert steps[0]["loss"] == first.item().hex() == transcript.mean([first]) == transcript.mean([first, first])
    snapshots = [line for line in lines if line.tells == "snapshot"]
    recorded = whole.read().snapshots
    assert [(line.members["digest"], line.digest) for line in snapshots] == [
        (it.subject, it.terms.transcript) for it in recorded
    ]
    assert lines[-1].members["ended"] == gate.ended


def test_a_run_that_goes_on_from_a_snapshot_goes_on_from_its_head(whole, permit, model_folder, tmp_path):
    made.Loop(model_folder).train(made.gate(whole, permit, model_folder), tmp_path, steps=1)
    made.held(whole, permit, tmp_path / "checkpoint-1", tmp_path, "a new permit lift this")
    paths = _files(whole)
    assert [path.name for path in paths] == [f"run-{permit[:16]}-1.jsonl", f"run-{permit[:16]}-2.jsonl"]
    begin = json.loads(paths[1].read_bytes().splitlines()[0])
    assert begin["before"] == whole.read().snapshots[0].terms.transcript
    assert begin["optimizer_step"] == 1


def test_two_runs_of_the_same_steps_tell_the_same_losses(whole, permit, model_folder, tmp_path):
    for run in ("one", "other"):
        made.Loop(model_folder).train(made.gate(whole, permit, model_folder), tmp_path / run, steps=2)
    told = [[line.members for line in _read(path) if line.tells == "step"] for path in _files(whole)]
    assert told[0] == told[1]


@pytest.fixture(scope="module")
def written(tmp_path_factory, finished_lab, model_folder):
    """The bytes of a transcript."""
    folder = tmp_path_factory.mktemp("written")
    workspace = lab.copy(finished_lab, folder / "lab")
    gate = made.gate(workspace, made.permit(workspace, model_folder), model_folder)
    with pytest.raises(permits.Held):
        made.Loop(model_folder).train(gate, folder)
    (path,) = _files(workspace)
    return path.read_bytes()


def _without(number):
    return lambda lines: [*lines[:number], *lines[number + 1 :]]


@pytest.mark.parametrize(
    "change",
    [
        _without(0),
        _without(1),
        _without(2),
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [lines[0], lines[1], lines[1], *lines[2:]],
        lambda lines: [*lines, lines[1]],
        lambda lines: [lines[0], lines[1].replace(b'"tokens":32', b'"tokens":16'), *lines[2:]],
        lambda lines: [lines[0].replace(b'"tells"', b'"tells" '), *lines[1:]],
        lambda lines: [b"{}", *lines],
        lambda lines: [b"\xff", *lines],
    ],
    ids=[
        *("no begin", "no step", "one step less", "swapped", "twice", "after the end", "fewer tokens"),
        *("spelled otherwise", "empty line", "no text"),
    ],
)
def test_a_transcript_that_was_changed_is_refused(written, change):
    lines = written.splitlines()
    assert len(transcript.read(written)) == len(lines)
    with pytest.raises(EvidenceError):
        transcript.read(b"\n".join(change(lines)) + b"\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("effective_compute", -1),
        ("effective_compute", "-1"),
        ("effective_compute", "1e9"),
        ("flop_per_token", "01"),
        ("optimizer_step", True),
        ("sequence", -1),
        ("sequence", "16"),
        ("weights", ["a list"]),
        ("versions", None),
        ("data", "none"),
    ],
)
def test_a_member_that_is_of_another_kind_is_refused(written, name, said):
    begin = json.loads(written.splitlines()[0])
    assert transcript.read(transcript.canonical.dumps(begin) + b"\n")
    with pytest.raises(EvidenceError, match=f"`{name}` is "):
        transcript.read(transcript.canonical.dumps(begin | {name: said}) + b"\n")


def test_the_kind_of_accelerator_is_told(monkeypatch):
    here = transcript.machine()["machine"]
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert transcript.machine()["machine"].endswith(", no accelerator")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert transcript.machine()["machine"] == f"{here.rpartition(', ')[0]}, NVIDIA H200"
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("mps"))
    assert transcript.machine()["machine"].rpartition(", ")[2]


@pytest.mark.parametrize("loss", [0.1, -0.0, float("nan"), float("-inf"), None])
def test_the_line_of_a_step_is_canonical_whatever_its_loss(written, tmp_path, loss):
    told = json.loads(written.splitlines()[0])
    begin = {name: said for name, said in told.items() if name not in ("before", "tells")}
    lines = transcript.Transcript(tmp_path / "runs", "name", before="1" * 64)
    lines.add("begin", begin)
    step = {"optimizer_step": 2**52, "tokens": 32, "effective_compute": str(10**30)}
    step["loss"] = transcript.mean([] if loss is None else [loss])
    head = lines.add("step", step)
    end = transcript.read(lines.path.read_bytes())[-1]
    assert (end.members, end.digest) == (step, head)


def test_every_bit_of_a_line_that_another_follows_counts(written):
    first = written.index(b"\n")
    for position in range(0, first, 7):
        flipped = bytearray(written)
        flipped[position] ^= 1
        with pytest.raises(EvidenceError):
            transcript.read(bytes(flipped))


def test_a_transcript_that_was_cut_in_its_last_line_is_read_up_to_there(written):
    assert len(transcript.read(written[:-5])) == written.count(b"\n") - 1


def test_another_order_of_the_data_is_another_commitment():
    orders = {DataOrder.of(0, ids).digest for ids in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], [])}
    assert len(orders) == 5
    assert DataOrder.of(0, ["a"]).digest == hashlib.sha256(hashlib.sha256(b"a").digest()).hexdigest()


def test_a_transcript_that_cannot_be_written_ends_the_run_and_begins_none(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    write, lines = os.write, []

    def full(file, data):
        lines.extend([data] if data.startswith(b'{"before"') else [])
        if len(lines) > 1:  # that of the first step; `begin` has another member before this one
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    gate, loop = made.held(whole, permit, model_folder, tmp_path, "transcript .* cannot be written: No space left")
    assert gate.step == 2
    assert made.same(loop.model, made.bare(model_folder, 2))
    monkeypatch.undo()
    assert not whole.read().snapshots
    (whole.folder / "transcripts").rename(tmp_path / "away")
    (whole.folder / "transcripts").write_text("no folder")
    made.held(whole, permit, model_folder, tmp_path, "transcript cannot be written")


def test_a_snapshot_that_was_not_continued_is_refused(whole, permit, model_folder, tmp_path, monkeypatch):
    from interlock.evidence import predicates

    about = whole.read().subject("honest").digest
    files = whole.read().manifests[about]
    terms = predicates.SnapshotPredicate(files, permit, about, 1, 0, lab.COMPUTE, None, "1" * 64)
    plain = replace(terms).to_json() | {"step": "fine-tuned"}
    with pytest.raises(EvidenceError, match="a snapshot's step is `fine-tuned`, expected `continued`"):
        predicates.SnapshotPredicate.from_json(plain, "here")
