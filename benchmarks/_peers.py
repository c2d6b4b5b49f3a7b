"""Cedar (cedarpy) and Rego (regopy, which is rego-cpp) as their documents say to use them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import cedarpy
import regopy

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent / "same-policy"
REQUEST = {"principal": 'Gate::"gate"', "action": 'Action::"deploy"', "resource": 'Model::"model"'}


@dataclass(frozen=True, slots=True)
class Answer:
    """`permit`, `deny` or `refused` (no answer at all), and the errors that were told beside it."""

    verdict: str
    errors: tuple[str, ...] = ()


class Cedar:
    """A policy set and perhaps a schema, both parsed once; each request's context is the JSON text of the input."""

    def __init__(self, policies: str, schema: str = "") -> None:
        self._policies = cedarpy.PolicySet.from_str((FOLDER / policies).read_text())
        self._schema = cedarpy.Schema.from_str((FOLDER / schema).read_text()) if schema else None
        if schema:
            checked = cedarpy.validate_policies((FOLDER / policies).read_text(), self._schema)
            if not checked.validation_passed:
                raise ValueError(f"`{policies}` does not fit `{schema}`: {checked.errors}")

    def ask(self, text: str) -> Answer:
        """What is decided on an input."""
        said = cedarpy.is_authorized({**REQUEST, "context": text}, self._policies, [], self._schema)
        verdicts = {"Allow": "permit", "Deny": "deny", "NoDecision": "refused"}
        return Answer(verdicts[said.decision.value], tuple(said.diagnostics.errors))


class Rego:
    """Modules, and the query whose answer is the decision."""

    def __init__(self, *modules: str, query: str) -> None:
        self._modules, self._query = modules, query

    def ask(self, text: str) -> Answer:
        """What is decided on an input, whose text the engine itself reads."""
        return self._answer(lambda engine: engine.set_input_term(text))

    def ask_through_python(self, text: str) -> Answer:
        """What is decided on an input that Python's `json` reads first."""
        return self._answer(lambda engine: engine.set_input(json.loads(text)))

    def _answer(self, give: Callable[[regopy.Interpreter], None]) -> Answer:
        engine = regopy.Interpreter()
        engine.log_level = regopy.LogLevel.NONE
        for name in self._modules:
            engine.add_module(name, (FOLDER / name).read_text())
        try:
            give(engine)
            said = engine.query(self._query)
        except (regopy.RegoError, ValueError) as error:
            return Answer("refused", (str(error).split("\n", maxsplit=1)[0],))
        if not said.ok():
            return Answer("refused", (str(said),))
        return Answer("permit" if said.results and said.results[0].expressions == [True] else "deny")


def styles() -> dict[str, Cedar | Rego]:
    """The ways of writing and using the same policy, by name."""
    return {
        "Cedar (a)": Cedar("forbid.cedar"),
        "Cedar (b)": Cedar("permit.cedar"),
        "Cedar (c)": Cedar("forbid.cedar", "schema.cedarschema"),
        "Rego (a)": Rego("deny.rego", query="data.gate.allow"),
        "Rego (b)": Rego("allow.rego", query="data.gate.allow"),
        "Rego (c)": Rego("allow.rego", "typed.rego", query="data.gate.permitted"),
    }


def versions() -> dict[str, str]:
    """Which engines answered."""
    return {"cedarpy": version("cedarpy"), "regopy": f"{version('regopy')} (rego-cpp)"}
