"""The launcher over a real torchrun of two workers: what stands between it and them loses neither signal nor hold."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import permit_lab
from interlock import cli
from interlock.errors import HOLD

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="another system does not tell which processes there are"
)

WORKER = """
    import os, pathlib, signal, sys, time
    from types import SimpleNamespace
    rank, here = os.environ["RANK"], pathlib.Path()
    def save(number, frame):
        (here / f"saved-{rank}").write_text(signal.Signals(number).name)
        sys.exit(0)
    signal.signal(signal.SIGUSR1, save)
    (here / f"ready-{rank}").touch()
    while not (here / "hold").exists(): time.sleep(0.01)
    from interlock.gate.training import exit_code
    with exit_code(SimpleNamespace(ended="the permit is used up")):
        pass
"""


def interlock_run(folder, *options):
    (folder / "worker.py").write_text(textwrap.dedent(WORKER))
    command = [sys.executable, "-c", "from interlock.cli import main; main()", "run", *map(str, options), "--every"]
    command += ["0.5", "--", sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen([*command, "worker.py"], cwd=folder, stderr=subprocess.PIPE, text=True)


def when_all_train(folder, process):
    while len(list(folder.glob("ready-*"))) < 2:
        with pytest.raises(subprocess.TimeoutExpired):  # it goes on
            process.wait(0.05)


def test_both_workers_save_when_the_permit_is_revoked(tmp_path):
    workspace = permit_lab.evaluated(tmp_path / "lab")
    digest = permit_lab.issue(workspace)
    with interlock_run(tmp_path, "--permit", digest[:12], "-w", workspace.folder) as process:
        when_all_train(tmp_path, process)
        assert cli.run(["permit", "revoke", digest, "--reason", "a test", "-w", str(workspace.folder)]) == 0
        error = process.communicate(timeout=120)[1]
    assert process.returncode == HOLD, error
    assert "hold: the permit was revoked" in error
    assert "and is killed" not in error
    assert [(tmp_path / f"saved-{rank}").read_text() for rank in range(2)] == ["SIGUSR1", "SIGUSR1"]


def test_workers_that_hold_by_themselves_are_a_hold_and_no_failure(tmp_path):
    """torchrun ends with 1, whatever its workers end with."""
    permit, trust = permit_lab.files(permit_lab.evaluated(tmp_path / "lab"), tmp_path / "gate")
    with interlock_run(tmp_path, "--permit", permit, "--trust", trust) as process:
        when_all_train(tmp_path, process)
        (tmp_path / "hold").touch()
        error = process.communicate(timeout=120)[1]
    assert process.returncode == HOLD, error
    assert "exitcode  : 3" in error
    assert error.splitlines()[-1] == "interlock: hold: the permit is used up"
    assert not list(tmp_path.glob("saved-*"))
