"""An auditor trains segments of a run again: what agrees, what does not, and what cannot be compared."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
import torch

import lab
import training_lab as made
from interlock.errors import EvidenceError, UsageError
from interlock.gate import admission, batches, replay, training, transcript
from interlock.gate import permit as permits
from interlock.gate.transcript import DataOrder
from interlock.subject import manifest
from interlock.subject.compute import _families, architecture, counted
from interlock.workspace import Workspace
from training_lab import again

ORDER = DataOrder.of(0, (f"batch {step}" for step in range(4)))


def run(folder, lab_before, model_folder, *, steps=4, every=1, **settings):
    """A workspace beside the snapshots of a run, which has room for four steps."""
    workspace = lab.copy(lab_before, folder / "lab")
    gate = made.gate(workspace, made.permit(workspace, model_folder, 4), model_folder, **{"data": ORDER, **settings})
    with contextlib.suppress(permits.Held):
        made.Loop(model_folder).train(gate, folder / "runs", every=every, steps=steps)
    return folder


@pytest.fixture(scope="module")
def _ran(tmp_path_factory, finished_lab, model_folder):
    return run(tmp_path_factory.mktemp("ran"), finished_lab, model_folder)


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


def test_a_run_on_an_accelerator_is_not_accused_where_there_is_none(ran, model_folder, monkeypatch):
    """Here the other way round: a run without one, and losses that come out otherwise with one."""
    monkeypatch.setattr(transcript, "_accelerator", lambda: "NVIDIA H200")

    def in_its_last_bit(start, segment, into):
        return [loss.item() * (1 + 2**-50) for loss in again(start, segment, into)]

    report = _replay(ran, model_folder, by=in_its_last_bit)
    assert (report.verdict, len(report.differs)) == ("not comparable", 4)
    recorded, here = report.environment["machine"]
    assert (recorded.rsplit(", ", 1)[1], here.rsplit(", ", 1)[1]) == ("no accelerator", "NVIDIA H200")


def test_data_that_nobody_committed_to_are_told_in_the_verdict(finished_lab, model_folder, tmp_path):
    report = _replay(run(tmp_path, finished_lab, model_folder, steps=1, data=None), model_folder, count=1)
    assert report.verdict == "agrees in part"
    assert report.unchecked == ("no data were committed to before the run: any could have been chosen",)


def test_tokens_that_nobody_saw_here_are_told_in_the_verdict(ran, model_folder):
    """Whoever trains again in another process shows the same bits, and not how many tokens made them."""
    hidden = {}
    for step in range(4):
        start = ran / "runs" / f"checkpoint-{step}" if step else model_folder
        (folder := ran / f"hidden-{step}").mkdir()
        one = replay.Segment("", "", step, step + 1, (), 0)
        hidden[step] = folder, again(start, one, folder)

    def elsewhere(start, segment, into):
        folder, losses = hidden[segment.first_step]
        shutil.copytree(folder, into, dirs_exist_ok=True)
        return losses

    report = _replay(ran, model_folder, by=elsewhere)
    assert (report.verdict, report.differs) == ("agrees in part", {})
    assert len([told for told in report.unchecked if "no batch was seen here" in told]) == 4


def test_a_batch_that_cannot_be_counted_again_is_told_in_the_verdict(ran, model_folder):
    """Beside the batches that were told of, some rows more under vmap."""

    def more(start, segment, into):
        model = made.load(start).train()
        model.set_attn_implementation("eager")
        torch.vmap(lambda row: model(row[None], use_cache=False).logits)(made.batch(0, rows=4)["input_ids"])
        return again(start, segment, into)

    report = _replay(ran, model_folder, by=more)
    assert report.verdict == "agrees in part"
    assert (
        len([told for told in report.unchecked if "not counted again: the model is called within torch.vmap" in told])
        == 4
    )


def test_parts_that_are_given_what_is_counted_already_are_no_batches(ran, model_folder, monkeypatch):
    """As the decoder of a model whose encoder hands it something."""

    def changed(loop):
        loop.model.model.register_forward_pre_hook(
            lambda _, given, named: (given, {**named, "others": torch.zeros(2, 3, 4)}), with_kwargs=True
        )

    once = partial(again, changed=changed)
    assert _replay(ran, model_folder, by=once).verdict == "agrees"


def test_too_few_tokens_differ_on_any_machine(finished_lab, model_folder, tmp_path, monkeypatch):
    """The gate's own count is edited: the ledger and the transcript agree on a quarter of the tokens."""
    size = batches.size
    monkeypatch.setattr(batches, "size", lambda *call: replace(size(*call), tokens=size(*call).tokens // 4))
    ran = run(tmp_path, finished_lab, model_folder, steps=2)
    monkeypatch.undo()
    report = _replay(ran, model_folder, count=2)
    assert (report.verdict, report.differs) == ("differs", {})
    assert set(report.wrong) == {
        f"steps {n} to {n}: trained again it sees {made.TOKENS} tokens, and {made.TOKENS // 4} were told"
        for n in (1, 2)
    }
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert _replay(ran, model_folder, count=1).verdict == "differs"


def test_a_sequence_longer_than_declared_differs(finished_lab, model_folder, tmp_path, monkeypatch):
    size = batches.size
    monkeypatch.setattr(batches, "size", lambda *call: replace(size(*call), longest=1))
    ran = run(tmp_path, finished_lab, model_folder, steps=1, sequence=made.LENGTH // 2)
    monkeypatch.undo()
    report = _replay(ran, model_folder, count=1)
    assert report.verdict == "differs"
    assert report.wrong == (f"steps 1 to 1: a sequence has {made.LENGTH} tokens, and {made.LENGTH // 2} were declared",)


@pytest.mark.parametrize("known", [True, False], ids=["by formula", "by torch's counter"])
def test_too_few_flop_a_token_differ(finished_lab, model_folder, tmp_path, monkeypatch, known):
    takes = made.step_flop(model_folder) // made.TOKENS
    monkeypatch.setattr(admission, "cost", lambda *_, **__: takes - 1)
    ran = run(tmp_path, finished_lab, model_folder, steps=1)
    monkeypatch.undo()
    if not known:
        monkeypatch.delitem(_families.FAMILIES, "llama")
    report = _replay(ran, model_folder, count=1)
    assert report.verdict == "differs"
    assert report.wrong == (f"steps 1 to 1: a token takes {takes} FLOP or more, and {takes - 1} were told",)


def test_flop_that_nothing_here_counts_are_told_in_the_verdict(ran, model_folder, monkeypatch):
    def unknown(*_, **__):
        raise architecture.UnknownArchitectureError("unknown")

    monkeypatch.setattr(architecture, "load", unknown)
    monkeypatch.setattr(counted, "of_config", unknown)
    report = _replay(ran, model_folder, count=1)
    assert (report.verdict, report.wrong) == ("agrees in part", ())
    assert "neither formula nor torch's counter says what a token takes" in report.unchecked[0]


def _telling(monkeypatch, tells, **otherwise):
    """The run's own process writes something else into its transcript, from which its head is made."""
    add = transcript.Transcript.add

    def lying(self, told, members):
        changed = {name: how(members[name]) for name, how in otherwise.items()} if told == tells else {}
        return add(self, told, {**members, **changed})

    monkeypatch.setattr(transcript.Transcript, "add", lying)


def test_compute_that_does_not_add_up_differs(finished_lab, model_folder, tmp_path, monkeypatch):
    """Each step tells of less than its tokens take, and the ledger's snapshots of the truth."""
    _telling(monkeypatch, "step", effective_compute=lambda _: str(lab.COMPUTE))
    ran = run(tmp_path, finished_lab, model_folder, steps=2)
    report = _replay(ran, model_folder, count=2)
    takes, each = made.step_flop(model_folder), made.step_flop(model_folder) // made.TOKENS
    assert (report.verdict, report.differs) == ("differs", {})
    assert report.wrong == tuple(
        told
        for n in (1, 2)
        for told in (
            f"step {n} takes 0 FLOP, and its {made.TOKENS} tokens of {each} take {takes}",
            f"the snapshot of step {n} has taken {lab.COMPUTE + n * takes} FLOP by the ledger, and here {lab.COMPUTE}",
        )
    )


def test_a_snapshot_that_stands_in_the_ledger_with_less_compute_differs(
    finished_lab, model_folder, tmp_path, monkeypatch
):
    made_of = training.SnapshotPredicate
    less = {"flop": 0, "compute": lab.COMPUTE}
    monkeypatch.setattr(training, "SnapshotPredicate", lambda *terms: replace(made_of(*terms), **less))
    ran = run(tmp_path, finished_lab, model_folder, steps=1)
    report = _replay(ran, model_folder, count=1)
    assert report.verdict == "differs"
    spent = lab.COMPUTE + made.step_flop(model_folder)
    assert set(report.wrong) == {f"the snapshot of step 1 has taken {lab.COMPUTE} FLOP by the ledger, and here {spent}"}


def test_what_a_step_cut_short_has_taken_is_in_the_last_snapshot_and_adds_up(finished_lab, model_folder, tmp_path):
    def batches(step):
        return made.batch(step) if step < 2 else made.batch(step, rows=1, length=made.TOKENS)

    workspace = lab.copy(finished_lab, tmp_path / "lab")
    permit = made.permit(workspace, model_folder, 4)
    made.held(workspace, permit, model_folder, tmp_path / "runs", "a sequence has 32 tokens", batches=batches)
    (snapshot,) = workspace.read().snapshots
    assert snapshot.terms.compute == lab.COMPUTE + 3 * made.step_flop(model_folder)
    assert _replay(tmp_path, model_folder, count=1).wrong == ()


def test_a_run_past_its_bound_differs(finished_lab, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training.TrainingGate, "_check_step", lambda _: None)
    monkeypatch.setattr(training.TrainingGate, "_check_room", lambda *_: None)
    ran = run(tmp_path, finished_lab, model_folder, steps=5, every=0)
    report = _replay(ran, model_folder, count=1)
    assert report.verdict == "differs"
    assert any("step 5 is at" in told and "past the permit's bound" in told for told in report.wrong)


@pytest.mark.parametrize(
    ("otherwise", "match"),
    [
        ({"weights": lambda _: "0" * 64}, "neither the subject of its permit nor a snapshot made under it"),
        ({"parent": lambda _: "0" * 64}, "begins with 000000000000"),
        ({"format": lambda _: "another"}, "as `another`"),
        ({"effective_compute": lambda said: str(int(said) - 1)}, "and the ledger has its start at"),
    ],
    ids=["weights", "parent", "format", "compute"],
)
def test_a_run_that_tells_of_another_start_is_refused(
    finished_lab, model_folder, tmp_path, monkeypatch, otherwise, match
):
    _telling(monkeypatch, "begin", **otherwise)
    ran = run(tmp_path, finished_lab, model_folder, steps=1)
    with pytest.raises(EvidenceError, match=match):
        _replay(ran, model_folder, count=1)


def _resumed(folder, lab_before, model_folder):
    """A run of one step, and the path of the transcript of the run that went on from it."""
    ran = run(folder, lab_before, model_folder, steps=1)
    workspace, start = Workspace.open(ran / "lab"), ran / "runs" / "checkpoint-1"
    (permit,) = workspace.read().permits
    made.Loop(start).train(made.gate(workspace, permit.digest, start, data=ORDER), ran / "runs", steps=2)
    (path,) = (ran / "lab" / "transcripts").glob("run-*-2.jsonl")
    return ran, path


def test_a_run_that_goes_on_from_a_snapshot_is_replayed_from_there(finished_lab, model_folder, tmp_path):
    ran, path = _resumed(tmp_path, finished_lab, model_folder)
    report = _replay(ran, model_folder, count=1, data=path.read_bytes())
    assert (report.verdict, report.drawn, report.total) == ("agrees", ("steps 2 to 2",), 1)


@pytest.mark.parametrize(
    ("otherwise", "match"),
    [
        ({"optimizer_step": lambda _: 0}, "begins at step 0, and its weights are of 1"),
        ({"effective_compute": lambda _: str(lab.COMPUTE)}, "and the ledger has its start at"),
        ({"before": lambda _: None}, "does not go on from the head"),
    ],
    ids=["step", "compute", "head"],
)
def test_a_run_that_goes_on_elsewhere_than_the_ledger_says_is_refused(
    finished_lab, model_folder, tmp_path, monkeypatch, otherwise, match
):
    add = transcript.Transcript.add

    def lying(self, told, members):
        if told == "begin" and members["optimizer_step"] == 1:
            self.head = None if "before" in otherwise else self.head
            members = {**members, **{name: how(members[name]) for name, how in otherwise.items() if name in members}}
        return add(self, told, members)

    monkeypatch.setattr(transcript.Transcript, "add", lying)
    ran, path = _resumed(tmp_path, finished_lab, model_folder)
    with pytest.raises(EvidenceError, match=match):
        _replay(ran, model_folder, count=1, data=path.read_bytes())


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


def test_a_snapshot_that_never_came_to_the_ledger_ends_no_segment(ran, model_folder):
    """The run was killed between its line and the ledger's entry. Nobody draws again by writing such a line later."""
    data = _transcript(ran).read_bytes()
    lines = data.splitlines(keepends=True)
    last = transcript.read(data)[-2]
    assert (last.tells, last.members["ended"] != "no") == ("snapshot", True)
    orphan = {"before": last.digest, "tells": "snapshot", **last.members, "digest": "0" * 64}
    longer = b"".join(lines[:-1]) + transcript.canonical.dumps(orphan) + b"\n"
    report = _replay(ran, model_folder, count=2, data=longer)
    assert (report.verdict, report.total) == ("agrees", 4)
    assert report.drawn == _replay(ran, model_folder, count=2).drawn


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
    assert (said.json["wrong"], said.json["unchecked"]) == ([], [])
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
    assert "not checked: steps 1 to 1: no batch was seen here" in said.out
