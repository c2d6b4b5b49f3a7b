"""What stands at the gates: no gate and no cell is empty, every action is gated or left open, every threshold stands
where its role says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from interlock.policy._scalar import suggest
from interlock.policy._structure.cycles import needed
from interlock.policy._structure.parts import Parts, Path, Problem, listed, mention
from interlock.policy.model import BINDING, STANDARD_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy.model import Cell


def check_gates(parts: Parts) -> Iterator[Problem]:
    """Everything wrong with gates, actions, and where thresholds stand."""
    yield from _cells(parts)
    yield from _placed(parts)
    yield from _actions(parts)


def _cells(parts: Parts) -> Iterator[Problem]:
    whole = {"gates", "not_governed"} <= parts.names.keys()
    settled = parts.names["gates"] | parts.names["not_governed"] if whole else frozenset(STANDARD_ACTIONS)
    for action in STANDARD_ACTIONS:
        if action not in settled:
            hint = suggest(action, settled - frozenset(STANDARD_ACTIONS))
            wanted = f"expected action `{action}` under `gates`, or with its source under `not_governed`"
            yield Problem(("gates",), f"{wanted}, got neither{hint}", at_key=True)
    for action, cells in parts.gates.items():
        path = ("gates", action)
        for threshold, cell in cells.items():
            yield from mention(parts, "thresholds", threshold, (*path, threshold), at_key=True)
            yield from _cell(parts, cell, (*path, threshold))
        written = parts.listed.get(action, frozenset())
        if not written:
            yield Problem(path, f"expected at least one threshold at gate `{action}`, got none")
        elif set(cells) == written and all(cell.weaker and not cell.requires for cell in cells.values()):
            yield Problem(path, f"expected at least one cell of gate `{action}` with `must` or `will`, got none")


def _cell(parts: Parts, cell: Cell, path: Path) -> Iterator[Problem]:
    if not cell.requires and not cell.weaker:
        yield Problem(path, "expected at least one requirement, got an empty cell")
    if cell.modality not in BINDING:
        yield Problem(path, f"expected `must` or `will` for what gates, got `{cell.modality}`")
    counts = Counter(name for _, name in listed(cell))
    for twice in (name for name, count in counts.items() if count > 1):
        yield Problem(path, f"requirement `{twice}` is listed twice")
    for at, name in listed(cell):
        yield from mention(parts, "requirements", name, (*path, *at))
    for modality, _ in cell.weaker:
        if modality in BINDING:
            yield Problem(path, f"expected `intends` or `recommends` for what does not gate, got `{modality}`")


def _placed(parts: Parts) -> Iterator[Problem]:
    """A threshold gates something, unless it only watches or alerts."""
    gates = {name for names in parts.listed.values() for name in names}
    reached = needed(parts) if _whole(parts) else frozenset(parts.thresholds)
    for name, threshold in parts.thresholds.items():
        if threshold.role == "gate" and name not in reached:
            yield Problem(
                ("thresholds", name),
                f"threshold `{name}` stands at no gate; expected it in `gates`, or `role: watch`",
                at_key=True,
            )
        elif threshold.role != "gate" and name in gates:
            action = next(action for action, names in parts.listed.items() if name in names)
            yield Problem(
                ("gates", action, name),
                f"threshold `{name}` has `role: {threshold.role}` and stands at no gate; expected one that gates",
                at_key=True,
            )


def _whole(parts: Parts) -> bool:
    """Whether everything could be read that may ask for a threshold."""
    asking = {"thresholds": parts.thresholds, "assumptions": parts.assumptions, "requirements": parts.requirements}
    unread = [section for section, read in asking.items() if parts.names.get(section, {""}) - {"never"} > read.keys()]
    return "gates" in parts.names and not unread


def _actions(parts: Parts) -> Iterator[Problem]:
    gated = parts.names.get("gates", frozenset())
    for name in parts.not_governed:
        if name in gated:
            yield Problem(("not_governed", name), f"action `{name}` is gated and not governed", at_key=True)
    for name, action in parts.actions.items():
        path = ("actions", name)
        yield from mention(parts, "actions", action.refines, (*path, "refines"))
        if {"gates", "not_governed"} <= parts.names.keys() and name not in gated | parts.names["not_governed"]:
            yield Problem(path, f"expected a gate for action `{name}`, or `not_governed`, got neither", at_key=True)
        refined, ends = _refined(parts, name)
        if not ends:
            way = " -> ".join(f"`{step}`" for step in refined)
            yield Problem((*path, "refines"), f"action `{name}` refines itself: {way}")
        elif action.reversible and "release-weights" in refined:
            yield Problem((*path, "reversible"), "weights that are released cannot be taken back; expected `false`")
        if ends and "scale" in refined[1:] and name in gated:  # what scaling led to is asked at `scale` alone
            message = f"action `{name}` refines `scale` and is gated; expected its cells at `scale`, or `not_governed`"
            yield Problem((*path, "refines"), message)


def _refined(parts: Parts, name: str) -> tuple[list[str], bool]:
    """The action, what it refines, what that refines, and so on; and whether that ends."""
    trail = {name: None}
    while name in parts.actions and parts.actions[name].refines:
        name = parts.actions[name].refines
        if name in trail:
            return [*trail, name], False
        trail[name] = None
    return list(trail), True
