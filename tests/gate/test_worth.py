"""What a run spends of a permit's bound: effective compute, by what a FLOP of training was worth to its subject."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest

import lab
import tiny_model
import training_lab as made
from interlock.cli.subjects import From, Interval, register
from interlock.gate import admission, replay, training
from interlock.gate import permit as permits
from interlock.gate.transcript import DataOrder
from interlock.subject.lineage import Charge
from interlock.workspace import Place, Workspace, now

pytestmark = pytest.mark.usefixtures("one_thread")
THIRDS = Fraction(10, 3)  # rounded down in the subject's effective compute, so that no charge is a whole number


@pytest.fixture
def folder(tmp_path):
    return tiny_model.build(tmp_path / "worthy", seed=7)


def _high(worth):
    return int(worth * lab.COMPUTE)


def _permit(workspace, folder, steps, *, worth=4):
    """For a subject whose effective compute is three to `worth` times its training, with room for so many steps."""
    grown = Interval(3 * lab.COMPUTE, _high(worth))
    register(workspace, Place(folder, None), name="worthy", compute=lab.COMPUTE, effective_compute=grown)
    made.evidence_as_of_the_parent(workspace, "worthy")
    workspace.refresh()
    most = _charged(folder, steps, worth)
    issued = permits.issue(workspace, subject="worthy", action="scale", at=now(), most_compute=most)
    assert issued.permit is not None, permits.why(issued.decision)
    return issued.permit


def _charged(folder, steps, worth=4):
    """The effective compute of that subject after so many steps."""
    high = _high(worth)
    return high + ceil(Fraction(steps) * made.step_flop(folder) * high / lab.COMPUTE)


def _registered(workspace, folder, name, flop):
    made_from = [From("worthy", "continued", flop)]
    return register(workspace, Place(folder, None), name=name, made_from=made_from)


def test_a_run_spends_what_its_training_is_worth_and_stays_within_the_bound(whole, folder, tmp_path):
    digest = _permit(whole, folder, Fraction(7, 2))
    most = permits.find(whole.read(), digest).terms.most_compute
    left, takes = _charged(folder, Fraction(1, 2)) - _charged(folder, 0), 4 * made.step_flop(folder)
    match = f"the permit's bound of {most} FLOP leaves {left}, and the next step takes {takes}"
    gate, _ = made.held(whole, digest, folder, tmp_path / "runs", match)
    spent = 3 * made.step_flop(folder)
    assert (gate.step, gate.flop, gate.spent) == (3, spent, 4 * (lab.COMPUTE + spent))
    (terms,) = made.terms(whole)
    assert (terms.flop, terms.compute, terms.ended) == (gate.flop, gate.spent, gate.ended)
    subject = _registered(whole, tmp_path / "runs" / "checkpoint-3", "next", spent)
    assert subject.ec_high == terms.compute <= most


def test_room_for_a_step_is_room_for_what_it_is_worth(whole, folder, tmp_path):
    """By its FLOP alone, three and a half would fit."""
    digest = _permit(whole, folder, Fraction(7, 8))
    gate, _ = made.held(whole, digest, folder, tmp_path / "runs", "and the next step takes")
    assert (gate.step, gate.spent, made.terms(whole)) == (0, 0, [])


@pytest.mark.parametrize("steps", [Fraction(3), Fraction(3) - Fraction(1, 10**6)], ids=["just so", "a little short"])
def test_the_last_step_fits_if_all_of_its_worth_does(whole, folder, tmp_path, steps):
    digest = _permit(whole, folder, steps)
    gate, _ = made.held(whole, digest, folder, tmp_path / "runs", "a new permit lift this")
    assert gate.step == (3 if steps == 3 else 2)


def test_a_step_larger_than_declared_is_held_by_what_it_is_worth(whole, folder, tmp_path):
    digest = _permit(whole, folder, Fraction(7, 2))

    def batches(step):
        return made.batch(step, rows=made.ROWS * (1 if step < 2 else 2))

    _, loop = made.held(whole, digest, folder, tmp_path, "larger than the 32 tokens declared", batches=batches)
    assert made.same(loop.model, made.bare(folder, 2))


def test_a_step_cut_short_counts_as_many_flop_as_fit_the_bound(whole, folder, tmp_path, monkeypatch):
    """What several processes have seen may be more than that."""
    digest = _permit(whole, folder, Fraction(7, 2), worth=THIRDS)
    most = permits.find(whole.read(), digest).terms.most_compute
    monkeypatch.setattr(training.TrainingGate, "_unspent", 1000 * made.TOKENS)
    made.held(whole, digest, folder, tmp_path, "a new permit lift this")
    (terms,) = made.terms(whole)
    worth = Fraction(_high(THIRDS), lab.COMPUTE)
    assert terms.flop == (most - _high(THIRDS)) // worth
    assert terms.compute == _high(THIRDS) + ceil(terms.flop * worth) <= most


def test_runs_that_go_on_spend_no_more_and_no_less_than_one(whole, folder, tmp_path):
    """However a run was cut, what it has spent is rounded up once."""
    digest, runs = _permit(whole, folder, Fraction(9, 2), worth=THIRDS), tmp_path / "runs"
    starts = [folder, *(runs / f"checkpoint-{step}" for step in (1, 2))]
    for step, start in enumerate(starts, 1):
        gate = made.gate(whole, digest, start)
        made.Loop(start).train(gate, runs, steps=step)
        assert gate.spent == _charged(folder, step, THIRDS)
    assert [it.compute for it in made.terms(whole)] == [_charged(folder, step, THIRDS) for step in (1, 2, 3)]
    gate, _ = made.held(whole, digest, runs / "checkpoint-3", runs, "a new permit lift this")
    assert (gate.step, gate.spent) == (4, _charged(folder, 4, THIRDS))
    subject = _registered(whole, runs / "checkpoint-4", "next", 4 * made.step_flop(folder))
    assert subject.ec_high == gate.spent


def test_a_snapshot_that_goes_on_under_a_permit_of_its_own_begins_at_what_it_was_worth(whole, folder, tmp_path):
    digest, runs, takes = _permit(whole, folder, 1, worth=THIRDS), tmp_path / "runs", made.step_flop(folder)
    made.held(whole, digest, folder, runs, "a new permit lift this")
    start = runs / "checkpoint-1"
    subject = _registered(whole, start, "next", takes)
    made.evidence_as_of_the_parent(whole, "next")
    whole.refresh()
    worth = Fraction(subject.ec_high, lab.COMPUTE + takes)
    most = subject.ec_high + ceil(2 * takes * worth)
    issued = permits.issue(whole, subject="next", action="scale", at=now(), most_compute=most)
    gate, _ = made.held(whole, issued.permit, start, runs, "a new permit lift this")
    assert (gate.step, gate.flop, gate.spent) == (3, 2 * takes, most)
    assert subject.ec_high == _charged(folder, 1, THIRDS)


# -- what the ledger says of the weights that a run begins with --------------------------------------------------------


class _Terms:
    def __init__(self, compute):
        self.compute = compute


@pytest.mark.parametrize(
    ("computes", "flop"),
    [([], 0), ([3], 0), ([10], 0), ([11], 1), ([14], 1), ([15], 2), ([17, 14], 2), ([18], 3)],
)
def test_weights_have_behind_them_what_any_snapshot_of_them_had_spent(computes, flop):
    """One of another line, too, whose compute no whole number of FLOP comes to: rounded up."""
    assert admission.before(Charge(10, THIRDS), [_Terms(it) for it in computes]) == flop


# -- the transcript, and training again --------------------------------------------------------------------------------


def _ran(workspace, folder, tmp_path):
    """Two runs of two steps, one going on from the other. Returns what training again says of each."""
    runs, digest = tmp_path / "runs", _permit(workspace, folder, 4, worth=THIRDS)
    for start, steps in ((folder, 2), (runs / "checkpoint-2", 4)):
        gate = made.gate(workspace, digest, start, data=DataOrder.of(0, ("one", "two")))
        with contextlib.suppress(permits.Held):
            made.Loop(start).train(gate, runs, steps=steps, every=1)
    evidence, folders = Workspace.open(workspace.folder).read(), [folder, *runs.glob("checkpoint-*")]
    told = sorted(Path(workspace.folder / "transcripts").glob("run-*.jsonl"))
    return [replay.replay(evidence, it.read_bytes(), count=1, folders=folders, again=made.again) for it in told]


def test_a_run_adds_up_at_what_its_training_is_worth(whole, folder, tmp_path):
    assert [(it.verdict, it.wrong) for it in _ran(whole, folder, tmp_path)] == [("agrees", ())] * 2


def test_a_run_that_tells_of_its_flop_one_for_one_does_not_add_up(whole, folder, tmp_path, monkeypatch):
    tell = training.Transcript.add

    def lying(self, tells, members):
        if tells == "step":
            spent = _high(THIRDS) + members["optimizer_step"] * made.step_flop(folder)
            members = {**members, "effective_compute": str(spent)}
        return tell(self, tells, members)

    monkeypatch.setattr(training.Transcript, "add", lying)
    first, _ = _ran(whole, folder, tmp_path)
    takes, worth = made.step_flop(folder), _charged(folder, 1, THIRDS) - _high(THIRDS)
    each = takes // made.TOKENS
    assert first.verdict == "differs"
    assert f"step 1 takes {takes} FLOP, and its {made.TOKENS} tokens of {each} take {worth}" in first.wrong
