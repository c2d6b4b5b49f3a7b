"""The saved state of a long job, so that a run that was killed goes on where it was.

Guarantees: a state is there whole or not at all (crash points: killed before, in or after the write, the earlier state
stays until the new one is durable); a state of another job is refused, never taken up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.errors import UsageError


@dataclass(frozen=True, slots=True)
class Saved:
    """One file with the state of one job. `job` is a digest of everything that the job's outcome depends on."""

    path: Path
    job: str

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state. `state` has tensors, numbers, texts, lists and dicts only."""
        import torch

        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        with fresh.open("wb") as file:
            torch.save({"job": self.job, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)  # crash point: before this the earlier state stands, after it the new one
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self) -> dict[str, Any] | None:
        """The state; None if there is none yet.

        Raises:
            UsageError: the file is damaged, or of another job.
        """
        import torch

        if not self.path.exists():
            return None
        try:
            kept = torch.load(self.path, weights_only=True)
            job, state = kept["job"], kept["state"]
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes its readers raise
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise UsageError(f"`{self.path}` cannot be read ({text}); remove it to begin again") from None
        if job != self.job:
            raise UsageError(
                f"`{self.path}` holds another job ({str(job)[:12]}, expected {self.job[:12]}): the model, the "
                "questions or a setting has changed; name another folder, or remove it to begin again"
            )
        return dict(state)
