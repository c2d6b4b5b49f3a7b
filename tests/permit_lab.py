"""The made-up workspace of `ledger_lab`, with a gate for weights and room to grow: what tests of permits start from."""

from __future__ import annotations

import lab
import ledger_lab as made
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.trust import Trust
from interlock.workspace import now

OPEN = ("not_governed: {release-weights: not tested here}", "  release-weights: {expert: [watched]}")
BUFFER = ("buffer: {none: a test}", "buffer: {effective_compute: 4x, margin: 0.01, source: a test}")
POLICY = made.POLICY.replace(*OPEN).replace(*BUFFER)


def evaluated(folder, text=POLICY):
    """A workspace in which nothing holds `scale` and `release-weights`."""
    workspace = made.make(folder, text)
    made.evaluate(workspace)
    made.attest(workspace, "no-evaluation-gaming")
    return workspace


def issue(workspace, action="scale", **options):
    """A permit for the subject `m`, honestly issued."""
    workspace.refresh()
    issued = permits.issue(workspace, subject="m", action=action, at=now(), **options)
    assert issued.permit is not None, permits.why(issued.decision)
    return issued.permit


def terms_of(workspace, digest):
    return permits.find(workspace.read(), digest).terms


def trust(workspace, **options):
    """What a gate of this workspace believes."""
    believed = Trust.of(workspace.read(), workspace.ledger.log, at=now(), **options)
    assert Trust.parse(believed.to_bytes()) == believed
    return believed


def files(workspace, folder, digest=None):
    """A permit's file and the trust file, in a folder."""
    folder.mkdir(exist_ok=True)
    permit, believed = folder / "permit.json", folder / "trust.json"
    permit.write_bytes(permit_file.export(workspace, digest or issue(workspace)))
    believed.write_bytes(trust(workspace).to_bytes())
    return permit, believed


def later(monkeypatch, workspace, moment):
    """The machine's clock, and the ledger's, from now on."""
    lab.later(monkeypatch, moment)
    workspace.refresh()
