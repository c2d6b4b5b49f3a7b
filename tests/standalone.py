"""verify.py beside the package's own verifier: what the tests give the one, the other is given too; they must agree.

`conftest.py` puts `beside` in the place of `bundle.verify` for every test, so that no bundle is verified by one alone.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from interlock.decide import exchange
from interlock.errors import EvidenceError, LedgerError, PolicyError
from interlock.evidence import bundle
from interlock.evidence.bundle import Verified
from interlock.evidence.imported import ImportedPredicate
from interlock.ledger._signed import Log
from interlock.ledger.note import NoteKey
from interlock.ledger.prefix import Cosigners, no_cosigners
from interlock.policy import compile as compiled

FILE = Path(__file__).parents[1] / "verify.py"
_spec = importlib.util.spec_from_file_location("verify", FILE)
alone = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(alone)

#: What verify.py has no rule for ("The core" in docs/semantics.md): kinds of entries, and words of a compiled policy.
KINDS = {"incident", "amendment"}
WORDS = re.compile(
    r'"is": "(approved|measured|mean|compute-ratio|under-screen|under-reference)"|"(judged|checked|forecast_by)":'
)
_package = bundle.verify


def beside(data: bytes, log: Log, *, policy: str | None = None, cosigners: Cosigners = no_cosigners) -> Verified:
    """`bundle.verify`, and that verify.py says the same of the same bytes; of witnesses, it is asked elsewhere."""
    told = ask(data if cosigners is no_cosigners else without_cosignatures(data), log, policy)
    try:
        verified = _package(data, log, policy=policy, cosigners=cosigners)
    except (EvidenceError, LedgerError, PolicyError) as error:
        if len(data) <= bundle.LIMIT and cosigners is no_cosigners and not earlier(error, data):
            refused(error, told)
        raise
    compare(verified, told)
    return verified


def earlier(error: Exception, data: bytes) -> bool:
    """Whether what the package refuses is a decision before the last one: verify.py derives the last one alone."""
    found = re.match(r"the decision of ledger entry (\d+) ", str(error))
    return found is not None and int(found[1]) < len(json.loads(data)["entries"]) - 1


def refused(error: Exception, told: dict[str, Any] | None) -> None:
    """That verify.py does not verify what the package refuses, unless for texts that it does not derive."""
    texts = re.search(r"says `(permit|hold)` otherwise than the rule, which says `\1`", str(error))
    if not (texts and told and told["verdict"] == texts.group(1)):
        assert told is None or "not verified here" in told, f"verify.py verifies what the package refuses: {error}"


def ask(data: bytes, log: Log, policy: str | None) -> dict[str, Any] | None:
    """What verify.py says: what it verified, or that it has no rule for it; None if it refuses."""
    try:
        return alone.verify(data, alone.note_key(NoteKey(log.origin, log.key).vkey, 1), policy, None)
    except alone.Outside as error:
        return {"not verified here": str(error)}
    except (alone.Refused, *alone.UNREADABLE):
        return None


def compare(verified: Verified, told: dict[str, Any] | None) -> None:
    """That verify.py found in a bundle what the package found, or has a good reason to have no answer."""
    assert told is not None, "verify.py refuses what the package verifies"
    if "not verified here" in told:
        assert beyond(verified), f"nothing in it is outside of the core, got {told}"
        return
    package = exchange.answered(verified.decision)
    assert {name: told[name] for name in package} == package


def beyond(verified: Verified) -> bool:
    """Whether there is anything in a bundle for which verify.py has no rule."""
    kinds = {record.kind for record in verified.evidence.records}
    imported = any(isinstance(it, ImportedPredicate) for it in verified.evidence.results.values())
    return bool(kinds & KINDS or imported or WORDS.search(json.dumps(compiled.to_json(verified.evidence.policy))))


def without_cosignatures(data: bytes) -> bytes:
    """The bundle with the log's two lines alone under its checkpoint, as far as it can be read."""
    try:
        value = json.loads(data)
        value["checkpoint"] = re.sub(r"(\n\n— .*\n— .*\n)(?s:.*)", r"\1", value["checkpoint"])
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, TypeError, KeyError):
        return data
