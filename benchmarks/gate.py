"""What a permit costs a gate: verified once, and asked before every step.

    python benchmarks/gate.py [--runs 300] [--json FILE]

Beside it, in the same run and process, others that verify signed files of about this size with the same kind of key:
securesystemslib (TUF's and in-toto's) verifies the very envelope that is in the permit's file, and PyJWT a token of the
same claims (EdDSA), where it is installed. They check one signature. A permit's file has that one, the log's signature
and its cosignature under a checkpoint, and an inclusion proof, and says what it may be used for. So the first row is
what a gate waits for once, the last what it waits for at each step; the others are there to see how much one signature
is of that. The exit code is 1 if a check of a running lease takes a millisecond or more in the median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import lab  # noqa: E402  the tests', found by the line above
import ledger_lab as made  # noqa: E402
import permit_lab  # noqa: E402
from interlock.evidence import dsse  # noqa: E402
from interlock.evidence._curve import sound  # noqa: E402
from interlock.gate import permit as permits  # noqa: E402
from interlock.gate import permit_file  # noqa: E402
from interlock.gate.lease import Lease  # noqa: E402
from interlock.gate.trust import Trust  # noqa: E402
from interlock.workspace import now  # noqa: E402

GOAL = 1e-3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="how often each is run; the median counts")
    parser.add_argument("--json", type=Path, help="keep every figure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = permit_lab.evaluated(Path(folder))
        digest = permit_lab.issue(workspace)
        data, believed = permit_file.export(workspace, digest), permit_lab.trust(workspace).to_bytes()
        rows = {name: _seconds(run, given.runs) for name, run in _ours(data, believed).items()}
        evidence = workspace.read()
        rows["by the ledger, once it is read: decide again"] = _seconds(
            lambda: permits.verify(evidence, digest, action="scale", at=now()), given.runs
        )
        envelope = json.loads(data)["entry"].encode()
        theirs = {**_securesystemslib(envelope, workspace), **_jwt(envelope)}
        rows |= {name: _seconds(run, given.runs) for name, run in theirs.items()}
    peer = next(iter(theirs), None)
    _print(rows, rows[peer] if peer else None, len(data), given.runs)
    if given.json:
        given.json.write_text(json.dumps({"machine": _machine(), "runs": given.runs, "seconds": rows}, indent=2) + "\n")
    return 0 if rows["a running lease: check"] < GOAL else 1


def _ours(data: bytes, believed: bytes) -> dict[str, Callable[[], object]]:
    trust, at, subject = Trust.parse(believed), now(), made.FILES.digest
    read = permit_file.read(data, trust, at=at)
    lease = Lease(read.verify(action="scale", subject=subject, at=at))

    def first() -> object:
        found = permit_file.read(data, Trust.parse(believed), at=at)
        return found.verify(action="scale", subject=subject, at=at)

    def cold() -> object:
        sound.cache_clear()  # whether a key is a sound one is worked out once a process
        return first()

    return {
        "first verification in a process: keys, too": cold,
        "trust file, signatures, proof, terms": first,
        "the same, the trust file loaded": lambda: permit_file.read(data, trust, at=at).verify(
            action="scale", subject=subject, at=at
        ),
        "a loaded file: action, subject, time, compute": lambda: read.verify(
            action="scale", subject=subject, at=at, effective_compute=2 * made.COMPUTE
        ),
        "a running lease: check": lambda: lease.check(effective_compute=2 * made.COMPUTE),
    }


def _securesystemslib(envelope: bytes, workspace: Any) -> dict[str, Callable[[], object]]:  # noqa: ANN401  of the tests
    if find_spec("securesystemslib") is None:
        return {}
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    public = lab.key(workspace, "gatekeeper").public
    key = SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.raw.hex()})

    def run() -> object:
        # its reader takes Base64 from JSON that is parsed already
        return Envelope.from_dict(json.loads(envelope)).verify([key], 1)

    return {f"securesystemslib {_version('securesystemslib')}: the same envelope": run}


def _jwt(envelope: bytes) -> dict[str, Callable[[], object]]:
    if find_spec("jwt") is None:
        return {}
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key, claims = Ed25519PrivateKey.generate(), json.loads(dsse.parse(envelope).payload)
    token, public = jwt.encode(claims, key, algorithm="EdDSA"), key.public_key()
    name = f"PyJWT {_version('pyjwt')}: a token of the same claims, EdDSA"
    return {name: lambda: jwt.decode(token, public, algorithms=["EdDSA"])}


def _seconds(run: Callable[[], object], times: int) -> float:
    run()
    taken = []
    for _ in range(max(1, times)):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _print(rows: dict[str, float], peer: float | None, size: int, runs: int) -> None:
    print(f"{_machine()}\na permit's file of {size:,} bytes; median of {runs} runs\n")
    print(f"  {'':<58} {'microseconds':>12} {'a second':>12} {'x peer':>9}")
    for name, seconds in rows.items():
        ratio = f"{seconds / peer:>9.3f}" if peer else f"{'-':>9}"
        print(f"  {name:<58} {1e6 * seconds:>12.1f} {1 / seconds:>12,.0f} {ratio}")
    print("\nx peer: the time of a row over that of the first row of others" if peer else "\nno peer is installed")


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"


if __name__ == "__main__":
    sys.exit(main())
