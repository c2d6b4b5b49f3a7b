"""Canonical JSON (RFC 8785), quickly.

Guarantees: the bytes of `rfc8785.dumps`. Where all text is ASCII, which it nearly always is, Python's own encoder
writes exactly those: names in the order of their characters, the same short escapes.
What it leaves to the caller: that there is nothing but text, booleans, null, integers below 2^53, lists, and objects
whose names are text. Floats would be written otherwise.
"""

from __future__ import annotations

import json

import rfc8785

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def dumps(value: object) -> bytes:
    """The one byte string of a value.

    Raises:
        ValueError: a lone surrogate.
    """
    text = _ENCODER.encode(value)
    return text.encode("ascii") if text.isascii() else rfc8785.dumps(value)  # type: ignore[arg-type]
