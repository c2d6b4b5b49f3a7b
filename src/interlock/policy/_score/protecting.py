"""Questions about protections: of the weights, of what is deployed, and what shows that they are enough."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from interlock.policy._lint.view import listing
from interlock.policy._score.answer import Answer, each, in_part, met, missing
from interlock.policy.model import UNBOUNDED_MONTHS, Attested, Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from interlock.policy._score.asked import Asked
    from interlock.policy.model import Requirement, Standard

_DEPLOYED = ("deploy-internal", "deploy-api")
_SECURITY = ("secur", "weight", "contain")


def weight_security(asked: Asked) -> Answer:
    """Whether something is asked of the developer by a standard that says whom it stops."""
    found = [it for it in asked.view.needed.values() if isinstance(it, Attested) and it.about == "developer"]
    full = [f"requirements.{it.name}" for it in found if _says_whom(asked.policy.context.standards.get(it.standard))]
    if full:
        return met(full)
    part = [f"requirements.{it.name}" for it in found if it.standard or _of_security(it)]
    if part:
        return in_part(part, "no `standard` says which attackers are stopped (`stops`), or which level it `maps_to`")
    return missing("no cell requires security of the developer")


def _says_whom(standard: Standard | None) -> bool:
    return standard is not None and bool(standard.stops or standard.maps_to)


def _of_security(it: Attested) -> bool:
    return any(word in f"{it.name} {it.what}".lower() for word in _SECURITY)


def mitigations(asked: Asked) -> Answer:
    """Whether what is deployed must be protected: by a safeguard that is measured, or by a standard."""
    everywhere = {name for cell in asked.cells("scale") for name, _ in asked.required(*cell)}
    found = [(name, it) for cell in asked.cells(*_DEPLOYED) for name, it in asked.required(*cell)]
    own = [(name, it) for name, it in found if name not in everywhere and (_measures(asked, it) or _of_model(it))]
    shown = [f"requirements.{name}" for name, it in own if _measures(asked, it) or _held_to_standard(it)]
    if shown:
        return met(shown)
    said = [f"requirements.{name}" for name, _ in own]
    lacks = "what is required names no `standard`, and is not measured on what is offered"
    return in_part(said, lacks) if said else missing("no deployment waits for a protection of its own")


def _held_to_standard(it: Requirement) -> bool:
    return isinstance(it, Attested) and bool(it.standard)


def _measures(asked: Asked, it: Requirement) -> bool:
    """Whether a requirement is measured on the deployment."""
    return isinstance(it, Measured) and any(part.on == "deployment" for part in asked.view.plain(it.measure))


# -- for each cell


def contained(asked: Asked) -> Answer:
    """Whether each threshold at `scale` that can be passed asks for something of the developer."""
    return each(
        ((name, _paths(asked, action, name, _of_developer)) for action, name in asked.pauses("scale")),
        lacks="training goes on past {names} without anything asked of the developer",
        none="no cell at `scale` can be opened by what it requires",
    )


def deployed(asked: Asked) -> Answer:
    """Whether each threshold at `deploy-api` asks for a safeguard that is measured, or for a safety case."""
    cells = asked.pauses("deploy-api")
    shown = [(name, [*_paths(asked, action, name, partial(_measures, asked)), *_cases(asked, action, name)])
             for action, name in cells]  # fmt: skip
    answer = each(
        shown,
        lacks="no safeguard is measured, and no safety case required, at {names}",
        none="no cell at `deploy-api` can be opened by what it requires",
    )
    said = [path for action, name in cells for path in _paths(asked, action, name, _of_model)]
    return in_part(said, answer.lacks) if answer.state == "missing" and said else answer


def controlled(asked: Asked) -> Answer:
    """Whether a safety case says for each threshold why what is required is enough."""
    cells = asked.pauses()
    answer = each(
        ((f"gates.{action}.{name}", _cases(asked, action, name)) for action, name in cells),
        lacks="no safety case (`claim`, `argument`) says why what is required is enough at {names}",
        none="no cell can be opened by what it requires",
    )
    pairs = [f"gates.{action}.{name}" for action, name in cells]
    return in_part(pairs, answer.lacks) if answer.state == "missing" and pairs else answer


def proven(*actions: str) -> Callable[[Asked], Answer]:
    """The question whether a safety case stands at these gates, with what it leaves in doubt."""
    return partial(_proven, actions)


def _proven(actions: tuple[str, ...], asked: Asked) -> Answer:
    found = [it for cell in asked.cells(*actions) for it in asked.cases(*cell)]
    clauses = [f"requirements.{it.name}" for it in found]
    if not found:
        return missing("no requirement has a `claim` and an `argument`")
    undoubted = [it.name for it in found if not it.doubt]
    return in_part(clauses, f"{listing(undoubted)} names no residual `doubt`") if undoubted else met(clauses)


def verified(asked: Asked) -> Answer:
    """Whether somebody independent attests the security of the weights."""
    found = {
        name: it
        for cell in asked.cells("scale")
        for name, it in asked.required(*cell)
        if isinstance(it, Attested) and it.about == "developer"
    }
    return each(
        ((name, [f"requirements.{name}"] if asked.outside(it.by) else []) for name, it in found.items()),
        lacks="nobody independent attests {names}",
        none="nothing is asked of the developer at `scale`",
    )


def watched(asked: Asked) -> Answer:
    """Whether safeguards are measured again while a model is deployed."""
    found = [(name, it) for cell in asked.cells(*_DEPLOYED) for name, it in asked.required(*cell)]
    again = [
        f"requirements.{name}"
        for name, it in found
        if isinstance(it, Measured) and _measures(asked, it) and it.rule_out.refresh.names_period
    ]
    if again:
        return met(again)
    renewed = [
        f"requirements.{name}"
        for name, it in found
        if isinstance(it, Attested) and it.fresh_for.months < UNBOUNDED_MONTHS
    ]
    return in_part(renewed, "attested again, not measured") if renewed else missing("nothing is shown again")


def _paths(asked: Asked, action: str, name: str, wanted: Callable[[Requirement], bool]) -> list[str]:
    return [f"requirements.{part}" for part, it in asked.required(action, name) if wanted(it)]


def _of_developer(it: Requirement) -> bool:
    return isinstance(it, Attested) and it.about == "developer"


def _of_model(it: Requirement) -> bool:
    return isinstance(it, Attested) and it.about != "developer"


def _cases(asked: Asked, action: str, name: str) -> Iterable[str]:
    return [f"requirements.{it.name}" for it in asked.cases(action, name)]
