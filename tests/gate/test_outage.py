"""What a gate takes for an outage of its ledger or its files, and what for one that is wrong."""

from __future__ import annotations

import errno
import os

import pytest

import permit_lab
from interlock.errors import LedgerError, UsageError
from interlock.gate.outage import UnreachableError, evidence_now, file_now
from interlock.ledger import _disk
from ledger.ledgers import held_by_a_stopped_process


@pytest.fixture
def workspace(tmp_path):
    return permit_lab.evaluated(tmp_path / "lab")


OUT = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)
WRONG = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EMFILE)


def failing(monkeypatch, at, number):
    """From now on no file whose name begins so can be opened."""
    opened = os.open

    def fails(path, *rest, **options):
        if str(path).startswith(f"{at}"):
            raise OSError(number, os.strerror(number))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", fails)


@pytest.mark.parametrize("number", OUT, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["interlock.json", "ledger/checkpoint", "ledger/history", "ledger/tile"])
def test_a_workspace_that_the_machine_cannot_read_is_out(workspace, monkeypatch, number, name):
    assert evidence_now(workspace.folder).facts.subjects
    failing(monkeypatch, workspace.folder / name, number)
    with pytest.raises(UnreachableError, match=os.strerror(number)):
        evidence_now(workspace.folder)


@pytest.mark.parametrize("number", WRONG, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["interlock.json", "ledger/checkpoint"])
def test_attack_a_workspace_that_may_not_be_read_is_no_outage(workspace, monkeypatch, number, name):
    failing(monkeypatch, workspace.folder / name, number)
    with pytest.raises((LedgerError, UsageError)) as caught:
        evidence_now(workspace.folder)
    assert not isinstance(caught.value, UnreachableError)


INSTEAD = {
    "nothing": lambda _: None,
    "a folder": lambda it: it.mkdir(),
    "a link": lambda it: it.symlink_to("history"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("put", INSTEAD.values(), ids=INSTEAD)
@pytest.mark.parametrize("name", ["interlock.json", "ledger/checkpoint"])
def test_attack_something_else_in_place_of_a_file_is_no_outage(workspace, put, name):
    file = workspace.folder / name
    file.unlink()
    put(file)
    with pytest.raises((LedgerError, UsageError)) as caught:
        evidence_now(workspace.folder)
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize("stays", [False, True], ids=["it is gone", "it is empty, as where nothing is mounted"])
def test_a_workspace_that_is_not_there_is_out(workspace, stays):
    workspace.folder.rename(workspace.folder.with_name("away"))
    if stays:
        workspace.folder.mkdir()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        evidence_now(workspace.folder)


def test_a_workspace_that_goes_away_while_it_is_read_is_out(workspace, monkeypatch):
    def goes(*_):
        workspace.folder.rename(workspace.folder.with_name("away"))

    monkeypatch.setattr(type(workspace), "refresh", goes)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        evidence_now(workspace.folder)


def test_a_workspace_whose_lock_a_stopped_process_holds_is_out(workspace, monkeypatch):
    monkeypatch.setattr(_disk, "PATIENCE", 0.2)
    lock = workspace.ledger.folder / "lock"
    with held_by_a_stopped_process(lock), pytest.raises(UnreachableError, match=os.strerror(errno.ETIMEDOUT)):
        evidence_now(workspace.folder)
    assert evidence_now(workspace.folder).facts.subjects


# -- a file ------------------------------------------------------------------------------------------------------------


def test_a_file_is_read_up_to_one_byte_more_than_may_be(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert [file_now(tmp_path / name, 3) for name in ("file", "link")] == [b"1234", b"1234"]
    assert file_now(tmp_path / "file", 9) == b"12345"


@pytest.mark.parametrize("put", [*INSTEAD.values(), lambda it: it.symlink_to("/dev/zero")], ids=[*INSTEAD, "a device"])
def test_attack_what_is_no_file_is_wrong_and_not_waited_for(tmp_path, put):
    put(tmp_path / "permit.json")
    with pytest.raises(UsageError, match="cannot read it"):
        file_now(tmp_path / "permit.json", 9)


@pytest.mark.parametrize(("numbers", "expected"), [(OUT, UnreachableError), (WRONG, UsageError)], ids=["out", "wrong"])
def test_a_file_is_out_only_where_its_disk_does_not_answer(tmp_path, monkeypatch, numbers, expected):
    for number in numbers:
        with monkeypatch.context() as patched:
            failing(patched, tmp_path, number)
            with pytest.raises(expected, match=os.strerror(number)):
                file_now(tmp_path / "permit.json", 9)


def test_a_ledger_that_cannot_be_written_is_read_as_it_is(workspace, monkeypatch):
    """The time of its checkpoint is then an old one, and the rule says how old it may be."""

    def refusing(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    time = evidence_now(workspace.folder).facts.checkpoint.time
    monkeypatch.setattr(type(workspace), "refresh", refusing)
    assert evidence_now(workspace.folder).facts.checkpoint.time == time
