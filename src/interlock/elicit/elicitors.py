"""Every elicitor by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, replace
from functools import partial
from typing import Any

from interlock.elicit.best_of_k import BestOfK
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import Elicitor
from interlock.elicit.expert_iteration import ExpertIteration
from interlock.elicit.few_shot import FewShot
from interlock.elicit.grpo import Grpo
from interlock.elicit.items import Item, Questions, overlaps, require_open
from interlock.elicit.prompted import Prompted
from interlock.elicit.supervised import Supervised
from interlock.errors import UsageError

#: Makes an elicitor from settings by name: a dataclass, or a part of one. Its docstring is shown.
ELICITORS: dict[str, Callable[..., Elicitor]] = {
    "prompted": Prompted,
    "few-shot": FewShot,
    "best-of-k": BestOfK,
    "fine-tune-lora": Supervised,
    "fine-tune-full": partial(Supervised, weights="all", learning_rates=(1e-4,)),
    "expert-iteration": ExpertIteration,
    "grpo": Grpo,
}


def make(name: str, settings: Mapping[str, str] | None = None) -> Elicitor:
    """The elicitor of this name, with settings told as text; `A+B` is A and then B, each with those that it has.

    Raises:
        UsageError: there is no such elicitor or setting, or a value is not what it should be.
    """
    if "+" in name:
        first, _, second = name.rpartition("+")
        its = {part: _names(part) for part in (first, second)}
        nobodys = sorted((settings or {}).keys() - its[first] - its[second])
        if nobodys:
            raise UsageError(f"no part of `{name}` has a setting `{nobodys[0]}`")
        given = {part: {it: text for it, text in (settings or {}).items() if it in its[part]} for part in its}
        return Chain(make(first, given[first]), make(second, given[second]))
    if name not in ELICITORS:
        raise UsageError(
            f"there is no elicitor `{name}`; there are {', '.join(ELICITORS)}, and A+B for one after another"
        )
    known = settable(name)
    unknown = sorted((settings or {}).keys() - known.keys())
    if unknown:
        raise UsageError(f"`{name}` has no setting `{unknown[0]}`; it has {', '.join(known)}")
    values = {it: _parse(it, text, known[it]) for it, text in (settings or {}).items()}
    return ELICITORS[name](**values)


def _names(name: str) -> set[str]:
    """The settings that an elicitor of this name, or a part of it, has."""
    return {it for part in name.split("+") if part in ELICITORS for it in settable(part)}


def controlled(elicitor: Elicitor, control: Sequence[Item]) -> Elicitor:
    """The same elicitor, comparing with control questions (`Grpo.control`).

    Raises:
        UsageError: it does not end in `grpo`.
    """
    if isinstance(elicitor, Chain):
        return Chain(elicitor.first, controlled(elicitor.second, control))
    if not isinstance(elicitor, Grpo):
        raise UsageError(f"`{elicitor.name}` compares with no control questions, expected `grpo`, alone or last")
    return replace(elicitor, control=tuple(control))


def aside(control: Sequence[Item], questions: Questions) -> tuple[Item, ...]:
    """Control questions, which are of another task than `questions`, under names of their own.

    Raises:
        UsageError: one is of this task, or has choices.
    """
    require_open(control, by="comparing with drawn answers")
    named = tuple(replace(item, id=f"control {item.id}") for item in control)
    asked = [*questions.demonstrations, *questions.dev, *questions.test]
    for ours, theirs, how in overlaps(named, asked):
        raise UsageError(f"item `{ours.id}` is {how} of item `{theirs.id}`, expected questions of another task")
    return named


def settable(name: str) -> dict[str, Any]:
    """The settings of an elicitor, as its description names them, with what each is where nobody says otherwise."""
    made: Any = ELICITORS[name]
    fixed: dict[str, Any] = made.keywords if isinstance(made, partial) else {}
    kind: Any = made.func if isinstance(made, partial) else made
    known: tuple[Field[Any], ...] = fields(kind)
    told = ELICITORS[name]().describe().keys() - ({"weights"} if kind is Supervised else set())  # part of the name
    usual = {it.name: fixed.get(it.name, it.default) for it in known if it.name in told}
    return {it: value for it, value in usual.items() if isinstance(value, (int, float, str, tuple)) and value != ()}


def _parse(name: str, text: str, usual: Any) -> Any:  # noqa: ANN401 - settings are of several types
    """Text as a value of the type that the setting has."""
    try:
        if isinstance(usual, tuple):
            return tuple(type(usual[0])(part) for part in text.split(","))
        return type(usual)(text)
    except ValueError:
        wanted = "numbers with commas between them" if isinstance(usual, tuple) else f"a value like `{usual}`"
        raise UsageError(f"setting `{name}` is `{text}`, expected {wanted}") from None
