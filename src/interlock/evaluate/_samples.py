"""Digests over the samples of a log, the same for every kind of log.

A row is a JSON object with the sample's `id`, its `epoch` where there are several, and whatever is to be bound. Its
bytes are its RFC 8785 JSON. Rows are taken in order of id and epoch, so that the order in a file does not matter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import rfc8785

from interlock.errors import EvidenceError
from interlock.ledger import merkle

Row = Mapping[str, Any]
_Item = TypeVar("_Item", bound=Hashable)


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 in hex of the RFC 8785 JSON of one list of all rows.

    Raises:
        EvidenceError: a row has no canonical form, such as one with a lone surrogate.
    """
    return hashlib.sha256(_canonical([dict(row) for row in sorted(rows, key=_order)])).hexdigest()


def root(rows: Sequence[Row]) -> str:
    """The Merkle root in hex (RFC 6962, section 2.1) with one leaf a row.

    Raises:
        EvidenceError: a row has no canonical form.
    """
    return merkle.root([merkle.leaf_hash(_canonical(dict(row))) for row in sorted(rows, key=_order)]).hex()


def repeated(items: Iterable[_Item]) -> _Item | None:
    """The first item that is there more than once."""
    return next((item for item, count in Counter(items).items() if count > 1), None)


def _order(row: Row) -> tuple[str, int]:
    return str(row["id"]), row.get("epoch", 1)


def _canonical(value: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"its samples have no canonical JSON form: {error}") from None
