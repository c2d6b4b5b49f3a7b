"""Which elicitor a plan runs, and how it is found again from what the plan says.

A plan names its recipe, a hash over the elicitor's name, kind and settings. The usual elicitor of its kind needs no
more than that. Of another one the workspace keeps what was chosen, in `elicitors/`, in a file named by the recipe.
Guarantees: nothing is elicited by an elicitor whose recipe is not the plan's; what was chosen is on disk before its
plan can stand in the ledger.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from interlock.decide.facts import UNKNOWN
from interlock.errors import EvidenceError, UsageError
from interlock.evidence.predicates import Fields, strings
from interlock.policy.model import TRAINED
from interlock.workspace import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from interlock.decide.facts import Protocol
    from interlock.elicit.elicitor import Elicitor
    from interlock.policy.model import Elicitation
    from interlock.workspace import Workspace

#: The elicitations that this version has an elicitor for.
RUNNABLE: tuple[Elicitation, ...] = ("prompted", "few-shot", "fine-tuned", "rl-fine-tuned")
#: Examples shown, and demonstrations trained on, where nobody asks for more.
SHOTS, DEMONSTRATIONS = 5, 16


def usual(elicitation: str, *, shots: int = SHOTS, attempts: int = 1) -> Elicitor:
    """The elicitor of a kind where nobody chose another.

    Raises:
        UsageError: there is none that makes so many attempts at a question.
    """
    from interlock.elicit.best_of_k import BestOfK
    from interlock.elicit.chain import Chain
    from interlock.elicit.few_shot import FewShot
    from interlock.elicit.grpo import Grpo
    from interlock.elicit.prompted import Prompted
    from interlock.elicit.supervised import Supervised

    if attempts > 1 and elicitation in {"prompted", "few-shot"}:
        return BestOfK(attempts, shots=shots if elicitation == "few-shot" else 0)
    if attempts > 1:
        raise UsageError(f"this version makes one attempt at a question under `{elicitation}`, asked are {attempts}")
    if elicitation == "prompted":
        return Prompted()
    if elicitation == "few-shot":
        return FewShot(shots)
    if elicitation == "fine-tuned":
        return Supervised()
    if elicitation == "rl-fine-tuned":  # supervised first: what is never sampled is never rewarded
        return Chain(Supervised(), Grpo())
    raise UsageError(f"this version cannot run `{elicitation}`; it can run {', '.join(RUNNABLE)}")


def shown(elicitor: Elicitor) -> int:
    """How many solved examples stand before each question: the first ones of the demonstrations.

    Raises:
        UsageError: it chooses them when it runs, and a plan says which samples will be asked.
    """
    from interlock.elicit.best_of_k import BestOfK
    from interlock.elicit.chain import Chain
    from interlock.elicit.few_shot import FewShot

    if isinstance(elicitor, Chain):
        return shown(elicitor.second) or shown(elicitor.first)
    if isinstance(elicitor, FewShot) and elicitor.draws > 1:
        raise UsageError(
            f"`{elicitor.name}` with {elicitor.draws} draws chooses its examples when it runs, "
            "and a plan says which are shown; expected 1 draw"
        )
    return elicitor.shots if isinstance(elicitor, (FewShot, BestOfK)) else 0


def tries(elicitor: Elicitor) -> int:
    """How many attempts it makes at a question."""
    from interlock.elicit.best_of_k import BestOfK
    from interlock.elicit.chain import Chain

    if isinstance(elicitor, Chain):
        return tries(elicitor.second)
    return elicitor.k if isinstance(elicitor, BestOfK) else 1


def trained_on(elicitation: str, demonstrations: int) -> int:
    """How many demonstrations a run of this kind trains on if so many are asked for; 0 asks for the usual number."""
    return (demonstrations or DEMONSTRATIONS) if elicitation in TRAINED else 0


def keep(workspace: Workspace, name: str, settings: Mapping[str, str]) -> Elicitor:
    """The elicitor of this name with these settings, as text; what was chosen is written down.

    Raises:
        UsageError: there is no such elicitor or setting.
    """
    from interlock.elicit.elicitor import recipe
    from interlock.elicit.elicitors import make

    made = make(name, settings)
    path = file(workspace, recipe(made))
    path.parent.mkdir(exist_ok=True)
    written = {"elicitor": name, "set": dict(settings), "recipe": recipe(made)}
    write_whole(path, json.dumps(written, indent=2, sort_keys=True).encode() + b"\n")
    return made


def of(workspace: Workspace, protocol: Protocol) -> Elicitor:
    """The elicitor that a protocol's recipe names; the usual one of its kind where it names none.

    Raises:
        UsageError: this version has none of that kind.
        EvidenceError: what was chosen is not on record, is another elicitor's, or is not of the protocol's kind.
    """
    from interlock.elicit.elicitor import recipe

    wanted = protocol.recipe
    path = file(workspace, wanted)
    if wanted == UNKNOWN or not path.exists():
        found = usual(protocol.elicitation, shots=protocol.shots, attempts=protocol.attempts)
    else:
        found = _read(path)
    if wanted == UNKNOWN:
        return found
    if (got := recipe(found)) != wanted:
        if path.exists():
            raise EvidenceError(f"`{path}` describes the recipe {got[:12]}, the plan announced {wanted[:12]}")
        raise EvidenceError(
            f"the plan announced the recipe {wanted[:12]}, which is not the usual one of `{protocol.elicitation}` "
            f"({got[:12]}); `{path}`, which would say what it is, is missing"
        )
    if (found.kind, shown(found), tries(found)) != (protocol.elicitation, protocol.shots, protocol.attempts):
        raise EvidenceError(
            f"the plan announced `{protocol.elicitation}` with {protocol.shots} shots and {protocol.attempts} attempts "
            f"by the recipe {wanted[:12]}, which is `{found.kind}` with {shown(found)} and {tries(found)}"
        )
    return found


def file(workspace: Workspace, recipe: str) -> Path:
    """Where it says which elicitor a recipe is."""
    return workspace.folder / "elicitors" / f"{recipe[:16]}.json"


def _read(path: Path) -> Elicitor:
    from interlock.elicit.elicitors import make

    try:
        told: Any = json.loads(path.read_bytes())
        fields = Fields(told, str(path))
        name, settings = fields.text("elicitor"), strings(fields.take("set"), "set", str(path))
        fields.digest("recipe")
        fields.done()
        return make(name, settings)
    except (OSError, ValueError, RecursionError, UsageError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise EvidenceError(f"`{path}` does not describe an elicitor: {why}") from None
