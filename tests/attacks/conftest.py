"""Where the attacks by name begin: a workspace with real keys and a real ledger, which every attacker here holds."""

from __future__ import annotations

import pytest

import lab
import ledger_lab as made


@pytest.fixture(scope="session")
def _told(tmp_path_factory):
    workspace = made.make(tmp_path_factory.mktemp("told"))
    made.attest(workspace, "no-evaluation-gaming")
    return workspace


@pytest.fixture(scope="session")
def _sound(tmp_path_factory, _told):
    workspace = lab.copy(_told, tmp_path_factory.mktemp("sound") / "lab")
    made.evaluate(workspace)
    return workspace


@pytest.fixture
def told(tmp_path, _told):
    """The policy, the subject `m`, and the auditor's word on the assumption; no evaluation."""
    return lab.copy(_told, tmp_path / "told")


@pytest.fixture
def sound(tmp_path, _sound):
    """An evaluation besides: `m` may scale."""
    return lab.copy(_sound, tmp_path / "sound")
