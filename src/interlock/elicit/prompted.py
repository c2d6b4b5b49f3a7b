"""No elicitation beyond asking: what the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import Adapted, Elicited, Progress
from interlock.elicit.items import Material
from interlock.evaluate.local import LocalModel
from interlock.policy.model import Elicitation


@dataclass(frozen=True, slots=True)
class Prompted:
    """The question as it is, answered once at temperature 0."""

    version: ClassVar[int] = 1  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "prompted"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""
        return "prompted"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, which is none, and the version of what it does."""
        return {"version": self.version}

    def elicit(
        self,
        subject: LocalModel,
        material: Material,  # noqa: ARG002 - it shows and teaches nothing
        *,
        meter: Meter,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        work: Path | None,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> Elicited:
        """The subject itself, for nothing."""
        return Elicited(Adapted(subject), (), 0)
