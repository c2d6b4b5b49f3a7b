"""A deployment: a subject as it is offered. Whatever may change its behaviour is in its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import rfc8785

_LIMIT = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VALUE = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{0,17}[1-9])?")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment consists of.

    `subject` is the digest of the model; `system_prompt` the SHA-256 of its text, None if there is none; `filters` and
    `tools` are (name, SHA-256) in the order in which they apply; `sampling` holds limits as exact decimals.
    """

    subject: str
    system_prompt: str | None
    filters: tuple[tuple[str, str], ...]
    tools: tuple[tuple[str, str], ...]
    surface: str
    access_tier: str
    sampling: Mapping[str, str]

    def problem(self) -> str | None:
        """What is wrong with it, in words: a filter or tool twice, a limit without one spelling. None if sound."""
        for kind, listed in (("filter", self.filters), ("tool", self.tools)):
            names = [name for name, _ in listed]
            if len(set(names)) != len(names):
                return f"a {kind} is named twice: {', '.join(f'`{name}`' for name in names)}"
        for name, value in self.sampling.items():
            if not _LIMIT.fullmatch(name) or not _VALUE.fullmatch(value):
                return (
                    f"the sampling limit `{name:.80}` is `{value:.80}`, expected a lower-case name and a plain decimal"
                )
        return None

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON (RFC 8785) of `to_json`."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "subject": self.subject,
            "system_prompt_sha256": self.system_prompt,
            "filters": [{"name": name, "sha256": digest} for name, digest in self.filters],
            "tools": [{"name": name, "sha256": digest} for name, digest in self.tools],
            "surface": self.surface,
            "access_tier": self.access_tier,
            "sampling": dict(self.sampling),
        }


def plain_decimal(text: str) -> str | None:
    """The one spelling of a decimal of zero or more, such as `0.7` for `0.70`; None if it is no such number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or value.is_signed() or abs(value.adjusted()) > 17:
        return None
    spelled = f"{value.normalize():f}"
    return spelled if _VALUE.fullmatch(spelled) else None
