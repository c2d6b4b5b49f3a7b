"""A lab whose policy answers a hold: the board is told within a day, training pauses within two."""

from __future__ import annotations

import pytest

import lab
import ledger_lab as made
from duties_lab import NOW, Lab


@pytest.fixture(scope="session")
def _lab(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    lab.later(patch, NOW)
    workspace = made.make(tmp_path_factory.mktemp("duties"), made.ANSWERS)
    patch.undo()
    return workspace


@pytest.fixture
def told(tmp_path, _lab, capsys, monkeypatch):
    return Lab(lab.copy(_lab, tmp_path / "lab"), capsys, monkeypatch)
