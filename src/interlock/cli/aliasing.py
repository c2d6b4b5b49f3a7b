"""`mlflow`: aliases of a model registry that only a permit opens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli.options import JsonOption, print_json
from interlock.errors import HOLD, OK, missing_extra
from interlock.gate.aliases import Guard
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="Guard the aliases of an MLflow model registry.", no_args_is_help=True, rich_markup_mode=None)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A guarded alias as it stands in the registry; `why` it is held, or None."""

    model: str
    alias: str
    version: str
    why: str | None


@app.callback()
def _begin() -> None:
    """Nothing is done before a command."""


@app.command("reconcile")
def reconcile(
    guard: Annotated[Path, typer.Option("--guard", help="The guard file: which aliases, and what each is taken for.")],
    tracking_uri: Annotated[
        str, typer.Option("--tracking-uri", help="The MLflow server.", envvar="MLFLOW_TRACKING_URI")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken away, and leave it.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Take away every guarded alias that no permit opens now: set behind the gate's back, or outlived by its permit.

    \b
    interlock mlflow reconcile --guard guard.json --tracking-uri http://127.0.0.1:5000

    The files of each version are hashed where they lie. What cannot be read or verified is taken away, too. Exit code
    3 if an alias was held, 0 if none was. Run it at an interval; docs/releasing.md has the guard file.
    """
    client, rules = _client(tracking_uri), Guard.load(guard)
    found = list(_look(client, rules))
    held = [it for it in found if it.why is not None]
    for it in [] if dry_run else held:
        client.delete_registered_model_alias(it.model, it.alias)
    if as_json:
        print_json({"aliases": [asdict(it) for it in found], "taken_away": 0 if dry_run else len(held)})
    for it in [] if as_json else found:
        said = "is opened by a permit" if it.why is None else f"{'held' if dry_run else 'taken away'}: {it.why}"
        typer.echo(f"{it.model}@{it.alias} (version {it.version}) {said}")
    return HOLD if held else OK


def _client(tracking_uri: str) -> Any:  # noqa: ANN401  MLflow's
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise missing_extra("mlflow", "mlflow") from error
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _look(client: Any, rules: Guard) -> Iterator[Found]:  # noqa: ANN401
    """Every guarded alias of every model."""
    token = None
    while True:
        page = client.search_registered_models(max_results=_PAGE, page_token=token)
        for model in page:
            for alias, version in client.get_registered_model(model.name).aliases.items():
                if rules.guarded(alias) is not None:
                    yield Found(model.name, alias, str(version), _why(client, rules, model.name, alias, str(version)))
        token = page.token
        if not token:
            return


def _why(client: Any, rules: Guard, name: str, alias: str, version: str) -> str | None:  # noqa: ANN401
    try:
        found = client.get_model_version(name, version)
        rules.check(alias, source=found.source, tags=found.tags)
    except Held as held:
        return str(held)
    return None
