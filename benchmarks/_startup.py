"""Part (iii): how long `interlock decide` takes as a process of its own, on a compiled policy of 200 rules.

The workspace is made by the functions behind `interlock init`, `subject add` and `attest`. Everything is in the time
that a user waits: Python, imports, the checkpoint signed again, the whole ledger verified, the policy read, the
decision with its reasons printed.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from _speed import ACTION, ROLES, policy_text

from interlock.cli.decisions import sign_attestation
from interlock.cli.setup import start
from interlock.evidence.predicates import SubjectPredicate, statement
from interlock.subject.manifest import Manifest

if TYPE_CHECKING:
    from interlock.workspace import Workspace

RULES = 200
GOAL = 0.4  # seconds
HEAVY = ("torch", "transformers", "inspect_ai", "scipy", "z3", "fastapi", "matplotlib")
_RUN = "from interlock.cli import main; main()"
_HOLD = 3  # exit code
#: As a user has it: what Python compiled once, it keeps.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_LOADED = f"""
import atexit, sys
atexit.register(lambda: print(*[name for name in {HEAVY!r} if name in sys.modules], len(sys.modules), file=sys.stderr))
{_RUN}
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of wall time: of a command, median, least and greatest; `heavy` are the heavy modules that it loads."""

    what: str
    median: float
    low: float
    high: float
    modules: int = 0
    heavy: tuple[str, ...] = ()


def measure(repeats: int, entries: int) -> list[Start]:
    """Bare Python, and `interlock decide` as text and as JSON, on ledgers of 2 and of so many entries."""
    found = [_timed("bare Python, for comparison", [sys.executable, "-c", "pass"], repeats, expected=0)]
    with tempfile.TemporaryDirectory() as name:
        workspace = _workspace(Path(name))
        size = workspace.ledger.read().size
        found += [_decide(workspace, size, repeats), _decide(workspace, size, repeats, "--json")]
        for number in range(entries - size):
            sign_attestation(workspace, requirement=f"requirement-{number}", about="developer", text="a benchmark")
        found.append(_decide(workspace, workspace.ledger.read().size, repeats))
    return found


def _workspace(folder: Path) -> Workspace:
    written = folder / "policy.yaml"
    written.write_text(policy_text(RULES, {role: f"keys/{role}.pub" for role in ROLES}))
    workspace = start(folder / "lab", written, encrypt_with=lambda: None)
    files = Manifest((("weights", hashlib.sha256(b"weights").hexdigest()),))
    made = SubjectPredicate("model", files, 10**24, 10**24, 10**24, ())
    workspace.append(
        statement("subject", name="model", digest=files.digest, predicate=made.to_json()),
        workspace.keys_of(workspace.read().policy, "gatekeeper"),
    )
    return workspace


def _decide(workspace: Workspace, size: int, repeats: int, *options: str) -> Start:
    arguments = ["decide", "-s", "model", "-a", ACTION, "-w", str(workspace.folder), *options]
    said = _run([sys.executable, "-c", _LOADED, *arguments])
    *heavy, modules = said.stderr.split()[-1 - len(HEAVY) :] if said.returncode == _HOLD else (said.stderr, "0")
    what = f"interlock decide {' '.join(options)}".strip() + f", {RULES} rules, a ledger of {size} entries"
    timed = _timed(what, [sys.executable, "-c", _RUN, *arguments], repeats, expected=_HOLD)
    return Start(what, timed.median, timed.low, timed.high, int(modules), tuple(heavy))


def _timed(what: str, command: list[str], repeats: int, *, expected: int) -> Start:
    found = []
    for _ in range(repeats):
        began = perf_counter()
        said = _run(command)
        found.append(perf_counter() - began)
        if said.returncode != expected:
            raise RuntimeError(f"{what}: exit code {said.returncode}, expected {expected}: {said.stderr[-500:]}")
    return Start(what, statistics.median(found), min(found), max(found))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=_ENVIRONMENT)
