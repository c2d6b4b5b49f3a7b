"""What a process remembers of a ledger, by which name it is reached, and which log signs it (more: tests/attacks)."""

from __future__ import annotations

import shutil

import pytest

import lab
import ledger_lab as made
from interlock.errors import LedgerError
from interlock.workspace import Workspace


def test_a_link_that_comes_to_lead_to_an_older_copy_forgets_nothing(tmp_path):
    now = made.make(tmp_path / "now")
    older = lab.copy(now, tmp_path / "older")
    made.evaluate(now)
    link = tmp_path / "lab"
    link.symlink_to(now.folder)
    assert Workspace.open(link).view().size > older.view().size
    link.unlink()
    link.symlink_to(older.folder)
    with pytest.raises(LedgerError, match="does not continue what it showed before"):
        Workspace.open(link).read()


def test_another_ledger_in_the_same_place_is_another(tmp_path):
    made.evaluate(made.make(tmp_path / "here"))
    shutil.rmtree(tmp_path / "here")
    assert made.make(tmp_path / "here").view().size
