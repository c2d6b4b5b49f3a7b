"""A plug-in of the MLflow server: a model registry in which an alias that a policy guards is refused without a permit.

    INTERLOCK_MLFLOW_GUARD=guard.json mlflow server --registry-store-uri interlock:sqlite:///registry.db ...

Guarantees: through this server no version gets a guarded alias, nor a stage of that name, unless `Guard.check` passes;
without a guard file that can be read there is no store, and so no server. Taking an alias away is always allowed.
What it leaves to `interlock mlflow reconcile`: aliases that were set before, or behind its back in the database, and
permits that ended since.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError, missing_extra
from interlock.gate.aliases import Guard
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCHEME", "VARIABLE", "store"]

#: The scheme of the registry's URI; what follows is the database, as SQLAlchemy spells it.
SCHEME = "interlock:"
VARIABLE = "INTERLOCK_MLFLOW_GUARD"


def store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ANN401, ARG001  the signature is MLflow's
    """The registry of a database, guarded. MLflow calls it for URIs of this scheme.

    Raises:
        UsageError: no guard file is named, or it cannot be read; or MLflow is not here.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise UsageError(f"{VARIABLE} does not name a guard file, and without one every alias would be open")
    guard = Guard.load(Path(named))
    try:
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    except ImportError as error:
        raise missing_extra("mlflow", "mlflow") from error
    made = SqlAlchemyStore(store_uri.removeprefix(SCHEME))
    for name in ("set_registered_model_alias", "transition_model_version_stage"):
        setattr(made, name, _guarded(made, guard, getattr(made, name)))
    return made


def _guarded(made: Any, guard: Guard, method: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ANN401  MLflow's
    """One of the two methods that give a version a name to be fetched by."""
    if method.__name__ == "set_registered_model_alias":

        def set_registered_model_alias(name: str, alias: str, version: str) -> Any:  # noqa: ANN401
            _check(made, guard, name, version, alias)
            return method(name, alias, version)

        return set_registered_model_alias

    def transition_model_version_stage(
        name: str,
        version: str,
        stage: str,
        archive_existing_versions: bool,  # noqa: FBT001
    ) -> Any:  # noqa: ANN401
        _check(made, guard, name, version, stage)
        return method(name, version, stage, archive_existing_versions)

    return transition_model_version_stage


def _check(made: Any, guard: Guard, name: str, version: str, alias: str) -> None:  # noqa: ANN401
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED  # 403: the client does not try it again

    if guard.guarded(alias) is None:
        return
    found = made.get_model_version(name, version)
    try:
        guard.check(alias, source=found.source, tags=found.tags)
    except Held as held:
        raise MlflowException(f"held by interlock: {held}", PERMISSION_DENIED) from held
