"""Elicitation by trying often: k attempts at a question, right if any of them is.

It is what an attacker has who can check answers; the k is the threat model's. The first attempt is the model's most
likely answer, so that k attempts are never fewer right answers than one; the others are drawn, at a temperature that is
chosen on dev questions. What bounds rest on is a count of questions, each with its k attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from interlock.elicit import asking
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import Adapted, Elicited, Event, Progress
from interlock.elicit.items import Material
from interlock.errors import UsageError
from interlock.evaluate.local import LocalModel
from interlock.policy.model import Elicitation

#: Temperatures that serve from one attempt to a hundred: Chen et al. 2021, arXiv:2107.03374, section 3.3, has 0.2 for
#: the one and 0.8 for the other. Below, all attempts are alike; above, they are more random than the model is.
_LEAST, _MOST = 0.2, 1.0


@dataclass(frozen=True, slots=True)
class BestOfK:
    """How often to try, 2 times or more. `shots` solved examples are shown first, the first of the demonstrations."""

    version: ClassVar[int] = 2  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    k: int = 16
    temperatures: tuple[float, ...] = (0.3, 0.7, 1.0)
    shots: int = 0

    def __post_init__(self) -> None:
        if self.k < 2:
            raise UsageError(f"`k` is {self.k}, expected 2 or more; one attempt is --elicitor prompted or few-shot")
        if not self.temperatures or not all(_LEAST <= it <= _MOST for it in self.temperatures):
            drawn = list(self.temperatures)
            raise UsageError(f"cannot draw at temperatures {drawn}, expected numbers from {_LEAST:g} to {_MOST:g}")
        if self.shots < 0:
            raise UsageError(f"`shots` is {self.shots}, expected 0 or more")

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "best-of-k"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""
        return "few-shot" if self.shots else "prompted"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        return asdict(self) | {"version": self.version, "temperatures": list(self.temperatures)}

    def elicit(
        self,
        subject: LocalModel,
        material: Material,
        *,
        meter: Meter,
        seed: int,
        work: Path | None,  # noqa: ARG002 - it is soon done again
        progress: Progress,
    ) -> Elicited:
        """Choose the temperature at which most dev questions are answered right in k attempts; of equals the lowest.

        Raises:
            UsageError: too few demonstrations, or several temperatures and no dev questions.
            OutOfBudgetError: the budget does not allow to ask dev at one temperature.
            EvidenceError: numbers that are not finite.
        """
        if len(self.temperatures) > 1 and not material.dev:
            raise UsageError("cannot choose a temperature without dev questions, got 0")
        shots, before = material.first(self.shots).demonstrations if self.shots else (), meter.spent
        each = [Adapted(subject, shots, self.k, temperature) for temperature in sorted(self.temperatures)]
        if len(each) == 1:
            return Elicited(each[0], (), 0)
        told: list[Event] = []
        scores: list[int] = []
        for adapted in each:
            try:
                meter.take(asking.cost(adapted, material.dev, max_new_tokens=material.max_new_tokens))
            except OutOfBudgetError:
                if not scores:
                    raise
                told.append({"event": "out-of-budget", "temperature": adapted.temperature})
                break
            answers = asking.ask(
                adapted, material.dev, grade=material.grade, max_new_tokens=material.max_new_tokens, seed=seed
            )
            scores.append(sum(answer.correct for answer in answers))
            right = sum(attempt.correct for answer in answers for attempt in answer.attempts)
            told.append(_told(adapted, dev=len(answers), answered=scores[-1], attempts_right=right))
            progress("choosing the temperature", len(scores), len(each), f"{scores[-1]} of {len(answers)}")
        best = each[scores.index(max(scores))]
        told.append({"event": "chosen", "temperature": best.temperature, "by": "dev"})
        return Elicited(best, tuple(told), meter.spent - before)


def _told(adapted: Adapted, *, dev: int, answered: int, attempts_right: int) -> Event:
    return {
        "event": "temperature",
        "temperature": adapted.temperature,
        "k": adapted.attempts,
        "dev": dev,
        "answered": answered,
        "attempts_right": attempts_right,
    }
