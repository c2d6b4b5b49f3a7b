"""Every check by its name on the command line."""

from __future__ import annotations

from interlock.elicit.checks import (
    baseline,
    exploration,
    noise_sweep,
    profile,
    sample_efficiency,
    tuning_gap,
    weak_unlock,
)
from interlock.elicit.checks.check import Check
from interlock.errors import UsageError

CHECKS: dict[str, Check] = {
    it.NAME: it.check
    for it in (baseline, noise_sweep, tuning_gap, sample_efficiency, weak_unlock, exploration, profile)
}


def chosen(name: str) -> dict[str, Check]:
    """The check of this name, or all.

    Raises:
        UsageError: there is no such check.
    """
    if name == "all":
        return dict(CHECKS)
    if name not in CHECKS:
        raise UsageError(f"there is no check `{name}`; there are {', '.join(CHECKS)}, and all")
    return {name: CHECKS[name]}
