"""Elicitation by solved examples in the prompt. No weight changes.

Which examples, and their order, matters (Lu et al. 2021, arXiv:2104.08786): of a few draws the one that is right most
often on dev is taken.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from interlock.elicit import asking, items
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import Adapted, Elicited, Event, Progress
from interlock.elicit.items import Item, Material
from interlock.errors import UsageError
from interlock.evaluate.local import LocalModel
from interlock.policy.model import Elicitation


@dataclass(frozen=True, slots=True)
class FewShot:
    """`shots` demonstrations before each question. The first draw has the first ones in their order; further ones are
    drawn by the seed, without replacement.
    """

    version: ClassVar[int] = 1  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    shots: int = 5
    draws: int = 1  # how many draws are tried on dev

    def __post_init__(self) -> None:
        if self.shots < 1 or self.draws < 1:
            raise UsageError(f"got {self.shots} shots and {self.draws} draws, expected 1 or more of each")

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "few-shot"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""
        return "few-shot"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        return {"version": self.version, "shots": self.shots, "draws": self.draws}

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Choose the examples. Nothing is kept in `work`: choosing again gives the same.

        Raises:
            UsageError: there are fewer demonstrations than shots, or several draws and no dev questions.
            OutOfBudgetError: the budget does not allow to try the first draw.
        """
        del work
        if len(material.demonstrations) < self.shots:
            raise UsageError(f"cannot show {self.shots} demonstrations, got {len(material.demonstrations)}")
        if self.draws > 1 and not material.dev:
            raise UsageError(f"cannot choose among {self.draws} draws without dev questions, got 0")
        begun, transcript = meter.spent, list[Event]()
        tried: list[tuple[int, Adapted]] = []
        for draw in range(self.draws):
            adapted = Adapted(subject, self._draw(material.demonstrations, seed, draw))
            try:
                right = self._on_dev(adapted, material, meter) if self.draws > 1 else 0
            except OutOfBudgetError as error:
                if not tried:
                    raise
                transcript.append({"event": "out-of-budget", "draw": draw, "error": str(error)})
                break
            tried.append((right, adapted))
            told = {"draw": draw, "shots": list(items.ids(adapted.shots))}
            if self.draws > 1:
                told |= {"dev_correct": right, "dev": len(material.dev)}
                progress("choosing examples", draw + 1, self.draws, f"{right} of {len(material.dev)} on dev")
            transcript.append({"event": "candidate", **told})
        best = max(range(len(tried)), key=lambda place: (tried[place][0], -place))
        transcript.append({"event": "chosen", "draw": best, "shots": list(items.ids(tried[best][1].shots))})
        return Elicited(tried[best][1], tuple(transcript), meter.spent - begun)

    def _draw(self, demonstrations: tuple[Item, ...], seed: int, draw: int) -> tuple[Item, ...]:
        if draw == 0:
            return demonstrations[: self.shots]
        return tuple(random.Random(f"{seed}/{draw}").sample(demonstrations, self.shots))  # noqa: S311 - reproducible

    def _on_dev(self, adapted: Adapted, material: Material, meter: Meter) -> int:
        most = material.max_new_tokens
        meter.take(asking.cost(adapted, material.dev, max_new_tokens=most))
        return sum(it.correct for it in asking.ask(adapted, material.dev, grade=material.grade, max_new_tokens=most))
