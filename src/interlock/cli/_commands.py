"""Commands by name, each imported when it is asked for: `interlock decide` must not wait for what it does not use.

Typer (0.29) turns every argument into its type by pydantic, whose import takes longer than a decision. For plain
text, paths and flags there is next to nothing to turn, so that is done here; everything else is left to Typer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

#: `module:name` in `interlock.cli`, by command; a dict is a group of commands.
Table = dict[str, "str | Table"]


def group(table: Table, helps: Mapping[str, str] | None = None) -> type[TyperGroup]:
    """A class of groups that have the table's commands, in its order. `helps` describes the groups within."""

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:  # noqa: ANN401  typer's own
            super().__init__(**settings)
            self.commands = _Commands(table, helps or {})

        def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002  the signature is typer's
            return list(table)

    return Group


class _Commands(MutableMapping[str, Any]):
    """What Typer keeps in a dict. The class of its commands is private to it, hence `Any`."""

    def __init__(self, table: Table, helps: Mapping[str, str]) -> None:
        self._table, self._helps, self._made = dict(table), helps, dict[str, Any]()

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._made:
            self._made[name] = self._make(name, self._table[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def _make(self, name: str, where: str | Table) -> Any:  # noqa: ANN401
        """The command or group of that name, as Typer builds it."""
        outer = typer.Typer(add_completion=False, rich_markup_mode=None)
        if isinstance(where, dict):
            inner = typer.Typer(help=self._helps[name], no_args_is_help=True, cls=group(where))
            outer.add_typer(inner, name=name)
            return typer.main.get_group(outer).commands[name]
        module, _, attribute = where.partition(":")
        found = getattr(import_module(f"interlock.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            outer.add_typer(found, name=name)
            return typer.main.get_group(outer).commands[name]
        outer.command(name)(found)
        return typer.main.get_command(outer)


class _Plain:
    """Takes text for text, flags for flags, and paths that can be read or are not there; leaves the rest to Typer."""

    def __init__(self, wanted: Any) -> None:  # noqa: ANN401
        self._wanted = wanted

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401
        """The value as the command's function gets it."""
        kind = self._wanted.annotation
        if not param.multiple and param.nargs == 1:
            if value is None or (kind in {str, bool} and type(value) is kind):
                return value
            if (
                kind is Path
                and isinstance(value, str | Path)
                and (os.access(value, os.R_OK) or not Path(value).exists())
            ):
                return Path(value)
        return _typers_own(self._wanted).coerce(value, param=param, ctx=ctx)


_CORE = vars(typer.core)
_typers_own: Any = _CORE.get("build_runtime_param")
if _typers_own is not None:  # private to Typer: built otherwise one day, it loads pydantic again, and a test says so
    _CORE["build_runtime_param"] = _Plain
