"""What a gate takes for an outage of its ledger, and what for a ledger that is wrong."""

from __future__ import annotations

import errno
import os

import pytest

import permit_lab
from interlock.errors import LedgerError, UsageError
from interlock.gate.outage import UnreachableError, evidence_now
from interlock.ledger import _disk


@pytest.fixture
def workspace(tmp_path):
    return permit_lab.evaluated(tmp_path / "lab")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["checkpoint", "history", "tile"])
def test_a_ledger_that_the_machine_cannot_read_is_out(workspace, monkeypatch, number, name):
    opened = os.open

    def failing(path, *rest, **options):
        if str(path).startswith(f"{workspace.folder / 'ledger' / name}"):
            raise OSError(number, os.strerror(number))
        return opened(path, *rest, **options)

    assert evidence_now(workspace.folder).facts.subjects
    monkeypatch.setattr(_disk.os, "open", failing)
    with pytest.raises(UnreachableError, match=os.strerror(number)):
        evidence_now(workspace.folder)


INSTEAD = {
    "nothing": lambda _: None,
    "a folder": lambda it: it.mkdir(),
    "a link": lambda it: it.symlink_to("history"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("put", INSTEAD.values(), ids=INSTEAD)
def test_attack_something_else_in_place_of_the_checkpoint_is_no_outage(workspace, put):
    checkpoint = workspace.folder / "ledger" / "checkpoint"
    checkpoint.unlink()
    put(checkpoint)
    with pytest.raises((LedgerError, UsageError)) as caught:
        evidence_now(workspace.folder)
    assert not isinstance(caught.value, UnreachableError)


def test_a_workspace_that_is_not_there_is_out(workspace):
    workspace.folder.rename(workspace.folder.with_name("away"))
    with pytest.raises(UnreachableError, match="cannot be reached"):
        evidence_now(workspace.folder)


def test_a_ledger_that_cannot_be_written_is_read_as_it_is(workspace, monkeypatch):
    """The time of its checkpoint is then an old one, and the rule says how old it may be."""

    def refusing(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    time = evidence_now(workspace.folder).facts.checkpoint.time
    monkeypatch.setattr(type(workspace), "refresh", refusing)
    assert evidence_now(workspace.folder).facts.checkpoint.time == time
