"""A plain training loop behind the gate, on the tiny model: what tests of training start from."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

import lab
from interlock.cli.subjects import From, register
from interlock.evaluate import local
from interlock.evidence.predicates import statement
from interlock.gate import permit as permits
from interlock.gate.plain import gated
from interlock.gate.training import TrainingGate
from interlock.subject.compute import architecture, flop
from interlock.workspace import Place, now

ROWS, LENGTH = 2, 16
TOKENS = ROWS * LENGTH
STEPS = 3  # that a permit of `permit` has room for


def load(folder):
    with local.quiet():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def step_flop(folder):
    """FLOP of one optimizer step of the runs below."""
    return flop.training(architecture.load(folder), rows=ROWS, width=LENGTH)


def permit(workspace, folder, steps=STEPS):
    """A permit with room for so many steps and a half."""
    takes = step_flop(folder)
    return lab.issue(workspace, most_compute=lab.COMPUTE + steps * takes + takes // 2)


def gate(workspace, digest, weights, **settings):
    return TrainingGate(
        workspace.folder, digest, weights=Path(weights), **{"tokens_per_step": TOKENS, "sequence": LENGTH, **settings}
    )


def batch(step, rows=ROWS, length=LENGTH):
    """Nonsense, another in every step, the same in every run."""
    drawn = torch.Generator().manual_seed(step)
    ids = torch.randint(3, 200, (rows, length), generator=drawn)
    return {"input_ids": ids, "labels": ids}


def nothing(step):
    """Happens after a step."""


class Loop:
    """A model, its optimizer and its schedule, from a folder."""

    def __init__(self, folder):
        self.model = load(folder).train()
        self.forward = self.model  # or what is wrapped around it
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        state = Path(folder) / "loop.pt"
        if state.exists():
            saved = torch.load(state, weights_only=True)
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])

    def save(self, folder):
        self.model.save_pretrained(folder)
        state = {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        torch.save(state, folder / "loop.pt")

    def train(self, of, output, *, steps=10, every=0, happens=nothing, save=None, batches=batch):
        with gated(self.model, self.optimizer, gate=of, save=save or self.save, output=output) as run:
            for step in range(run.step, steps):
                self.forward(**batches(step)).loss.backward()
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()
                happens(run.step + 1)
                run.step_done()
                if every and run.step % every == 0:
                    run.snapshot()
            run.snapshot()


def held(workspace, digest, weights, output, match, *, loop=None, **settings):
    """The run holds, and says so; returns its gate and loop."""
    import pytest

    declared = {name: settings.pop(name) for name in ("clock", "sequence", "seen") if name in settings}
    of, loop = gate(workspace, digest, weights, **declared), loop or Loop(weights)
    with pytest.raises(permits.Held, match=match):
        loop.train(of, output, **settings)
    return of, loop


def same(one, other):
    """Two models, bit for bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def bare(folder, steps):
    """The same run without a gate, in one go."""
    loop = Loop(folder)
    for step in range(steps):
        loop.model(**batch(step)).loss.backward()
        loop.optimizer.step()
        loop.schedule.step()
        loop.optimizer.zero_grad()
    return loop.model


def lifted(workspace, snapshot, steps, folder, *, less=0):
    """The snapshot as a subject of its own, with evidence; a permit for that, with room for so many steps more.

    It is registered as having spent `less` FLOP less than it has.
    """
    spent = next(it.terms.flop for it in reversed(workspace.read().snapshots))
    made_from = [From("honest", "continued", spent - less)]
    subject = register(workspace, Place(Path(snapshot), None), name="next", made_from=made_from)
    evidence_as_of_the_parent(workspace, "next")
    workspace.refresh()
    most = subject.ec_high + steps * step_flop(folder)
    issued = permits.issue(workspace, subject="next", action="scale", at=now(), most_compute=most)
    assert issued.permit is not None, permits.why(issued.decision)
    return issued.permit


def evidence_as_of_the_parent(workspace, name):
    """Plans, results and attestations for a subject, as the honest one has them."""
    subject, team = workspace.read().subject(name), [lab.key(workspace, "evaluation-team")]
    for number in range(2):
        plan = statement(
            "plan", name=name, digest=subject.digest, predicate=lab.payload(workspace, "plan", number).predicate
        )
        digest = workspace.append(plan, team)
        result = lab.result_of(workspace, number, plan=digest)
        workspace.append(statement("result", name=name, digest=subject.digest, predicate=result.predicate), team)
    lab.attest_everything(workspace, name)


def terms(workspace):
    """What each snapshot says."""
    return [it.terms for it in workspace.read().snapshots]


def again(start, segment, into, *, changed=lambda loop: None):
    """The run's own steps, from a folder, perhaps with a loop that was changed."""
    loop, losses = Loop(start), []
    changed(loop)
    for step in range(segment.first_step, segment.last_step):
        loss = loop.model(**batch(step)).loss
        loss.backward()
        loop.optimizer.step()
        loop.schedule.step()
        loop.optimizer.zero_grad()
        losses.append(loss)
    loop.save(into)
    return losses
