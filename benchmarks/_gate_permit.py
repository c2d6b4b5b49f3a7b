"""What verifying a permit costs: the first half of `gate.py`.

Beside it others that verify signed files of about this size with the same kind of key: securesystemslib (TUF's and
in-toto's) verifies the very envelope that is in the permit's file, and PyJWT a token of the same claims (EdDSA), where
it is installed. They check one signature. A permit's file has that one, the log's signature and its cosignature under a
checkpoint, and an inclusion proof, and says what it may be used for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _stopwatch import seconds

import lab  # of the tests, found by `gate.py`
import ledger_lab as made
import permit_lab
from interlock.evidence import dsse
from interlock.evidence._curve import sound
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.lease import Lease
from interlock.gate.trust import Trust
from interlock.workspace import now

LOADED, CHECK = "the same, the trust file loaded", "a running lease: check"


@dataclass(frozen=True, slots=True)
class Verifying:
    """Seconds of each row, medians; the `peer` that ratios are to (None: none is installed); bytes of the file."""

    rows: dict[str, float]
    peer: str | None
    size: int
    runs: int


def measure(folder: Path, *, runs: int) -> Verifying:
    """Measure each `runs` times."""
    workspace = permit_lab.evaluated(folder)
    digest = permit_lab.issue(workspace)
    data, believed = permit_file.export(workspace, digest), permit_lab.trust(workspace).to_bytes()
    rows = {name: seconds(run, runs) for name, run in _ours(data, believed).items()}
    evidence = workspace.read()
    rows["by the ledger, once it is read: decide again"] = seconds(
        lambda: permits.verify(evidence, digest, action="scale", at=now()), runs
    )
    envelope = json.loads(data)["entry"].encode()
    theirs = {**_securesystemslib(envelope, workspace), **_jwt(envelope)}
    rows |= {name: seconds(run, runs) for name, run in theirs.items()}
    return Verifying(rows, next(iter(theirs), None), len(data), runs)


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
        LOADED: lambda: permit_file.read(data, trust, at=at).verify(action="scale", subject=subject, at=at),
        "a loaded file: action, subject, time, compute": lambda: read.verify(
            action="scale", subject=subject, at=at, effective_compute=2 * made.COMPUTE
        ),
        CHECK: lambda: lease.check(effective_compute=2 * made.COMPUTE),
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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
