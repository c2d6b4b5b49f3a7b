"""Model organisms for the proofs: made once, in a folder that tells what each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.elicit.organisms.making import Order, make
from interlock.errors import EvidenceError

if TYPE_CHECKING:
    from pathlib import Path


def organism(kind: str, family: str, seed: int, out: Path) -> tuple[Path, str]:
    """Its folder, made where it is missing, and why it was refused, if it was."""
    folder = out / "organisms" / f"{kind}-{family}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    refused = folder.with_suffix(".refused")
    if not folder.exists() and not refused.exists():
        try:
            make(Order(kind, family, seed), folder, progress=silent)
        except EvidenceError as error:
            refused.write_text(f"{error}\n")
    return folder, refused.read_text().strip() if refused.exists() else ""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Workers of a pool have no terminal; the bar counts what they finish."""
