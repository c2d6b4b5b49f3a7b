"""`mlflow`: aliases of a model registry that only a permit opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import JsonOption, print_json
from interlock.errors import HOLD, OK, InterlockError, missing_extra
from interlock.gate.aliases import Guard
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="Guard the aliases of an MLflow model registry.", no_args_is_help=True, rich_markup_mode=None)
_PAGE = 100
_NO_STAGE = "None"  # as MLflow spells it
_PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"  # any model may have the tag; no other search shows it then
_Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A guarded alias, or a stage of that name (`kind`), as it stands in the registry; `why` it is held, or None;
    `left`: why it stands there still, although it is held.
    """

    model: str
    kind: str
    alias: str
    version: str
    why: str | None = None
    left: str | None = None

    def __str__(self) -> str:
        where = f"{self.model}@{self.alias}" if self.kind == "alias" else f"{self.model} in stage {self.alias}"
        said = "is opened by a permit" if self.why is None else f"taken away: {self.why}"
        if self.left is not None:
            said = f"held, and still there ({self.left}): {self.why}"
        return f"{where} (version {self.version}) {said}"


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

    The files of each version are hashed where they lie. What cannot be read or verified is taken away, too, and so is
    a stage of a guarded name. Exit code 3 if one was held, 0 if none was; 1 if one could not be taken away, or if
    something could not be listed. Run it at an interval; docs/releasing.md has the guard file.
    """
    client, rules, failed = _client(tracking_uri), Guard.load(guard), list[str]()
    settle = _leave if dry_run else _take_away
    found = [it if it.why is None else settle(client, it) for it in _look(client, rules, failed.append)]
    held = [it for it in found if it.why is not None]
    left = [it for it in held if it.left is not None]
    if as_json:
        print_json({"aliases": [asdict(it) for it in found], "taken_away": len(held) - len(left), "failed": failed})
    for it in [] if as_json else found:
        say(str(it))
    if left and not dry_run:
        failed.append(f"{len(left)} of {len(held)} that are held could not be taken away")
    if failed:
        raise InterlockError(*dict.fromkeys(failed))
    return HOLD if held else OK


def _client(tracking_uri: str) -> Any:  # noqa: ANN401  MLflow's
    try:
        # Not `MlflowClient`: that one refuses to read or change a model that somebody tagged as a prompt.
        from mlflow.tracking._model_registry.client import ModelRegistryClient
    except ImportError as error:
        raise missing_extra("mlflow", "mlflow") from error
    return ModelRegistryClient(registry_uri=tracking_uri, tracking_uri=tracking_uri)


# Whatever the server or the check of one alias fails with is caught: it must not keep the others from being judged.


def _take_away(client: Any, it: Found) -> Found:  # noqa: ANN401
    try:
        if it.kind == "alias":
            client.delete_registered_model_alias(it.model, it.alias)
        else:
            client.transition_model_version_stage(it.model, it.version, _NO_STAGE)
    except Exception as error:  # noqa: BLE001
        return replace(it, left=f"it cannot be taken away: {_said(error)}")
    return it


def _leave(_client: Any, it: Found) -> Found:  # noqa: ANN401
    return replace(it, left="--dry-run")


def _look(client: Any, rules: Guard, tell: _Tell) -> Iterator[Found]:  # noqa: ANN401
    """Every guarded alias of every model, and the version that each stage of a guarded name stands for.

    All is listed again as long as something new stands there: behind a version that was taken out of a stage there may
    be an older one.
    """
    judged = set[Found]()
    while new := [it for it in _standing(client, tell) if rules.guarded(it.alias) and it not in judged]:
        for it in new:
            judged.add(it)
            yield replace(it, why=_why(client, rules, it))


def _standing(client: Any, tell: _Tell) -> Iterator[Found]:  # noqa: ANN401
    for model in [*_models(client, None, tell), *_models(client, _PROMPTS, tell)]:
        for alias, version in model.aliases.items():
            yield Found(model.name, "alias", alias, str(version))
        for latest in model.latest_versions:
            if latest.current_stage not in {None, "", _NO_STAGE}:
                yield Found(model.name, "stage", latest.current_stage, str(latest.version))


def _models(client: Any, only: str | None, tell: _Tell) -> list[Any]:  # noqa: ANN401
    """The models on all pages; where one cannot be read, those on the pages before it."""
    read: list[Any] = []
    token = None
    while True:
        try:
            page = client.search_registered_models(filter_string=only, max_results=_PAGE, page_token=token)
        except Exception as error:  # noqa: BLE001
            tell(f"the registry's models cannot be listed: {_said(error)}")
            return read
        read += page
        token = page.token
        if not token:
            return read


def _why(client: Any, rules: Guard, it: Found) -> str | None:  # noqa: ANN401
    try:
        found = client.get_model_version(it.model, it.version)
        rules.check(it.alias, source=found.source, tags=found.tags)
    except Held as held:
        return str(held)
    except Exception as error:  # noqa: BLE001
        return f"`{it.alias}` is guarded, and its version cannot be read: {_said(error)}"
    return None


def _said(error: Exception) -> str:
    """What an error of MLflow says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
