"""Aliases that a permit guards: what a version must be, and what is not believed; and a real MLflow server, if one is
installed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import lab
import ledger_lab as made
import release_lab
from interlock import cli
from interlock.cli import aliasing
from interlock.errors import UsageError
from interlock.gate.aliases import FORMAT, TAG, Guard
from interlock.gate.permit import Held
from interlock.gate.serving import Asked
from release_lab import issue

DIGEST = "1" * 64


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return release_lab.make(tmp_path_factory.mktemp("aliases"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return release_lab.copy(_lab, tmp_path / "here")


@pytest.fixture
def permit(workspace):
    return issue(workspace, "deploy-api")


def members(workspace, **changes):
    alias = {"alias": "production", "action": "deploy-api", "deployment": None}
    return {"alias_guard": FORMAT, "workspace": str(workspace.folder), "aliases": [alias]} | changes


def written(workspace, **changes):
    path = workspace.folder.parent / "guard.json"
    path.write_text(json.dumps(members(workspace, **changes)))
    return path


@pytest.fixture
def guard(workspace):
    return Guard.load(written(workspace))


@pytest.fixture
def source(workspace):
    return str(workspace.folder.parent / "model")


def test_a_permit_opens_an_alias_for_the_files_that_lie_there(guard, source, permit):
    for where in (source, f"file://{source}"):
        guard.check("production", source=where, tags={TAG: permit[:12]})


def test_an_alias_that_is_not_guarded_is_anybodys(guard):
    guard.check("candidate", source="s3://x", tags={})


def test_artifacts_of_the_server_lie_where_the_guard_file_says(workspace, source, permit):
    folder = Path(source)
    guard = Guard.load(written(workspace, artifacts="."))
    guard.check("production", source=f"mlflow-artifacts:/{folder.name}", tags={TAG: permit})


@pytest.mark.parametrize(
    "alias",
    [
        "production",
        "Production",
        "PRODUCTION",
        "pr\u00f6duction",
        "pr\u00f8duct\u0131on",
        "\uff50roduction",
        "production ",
        "pro\u200bduction",
        "produc\u0301tion",
    ],
    ids=ascii,
)
def test_attack_an_alias_that_a_database_takes_for_the_guarded_one(guard, source, alias):
    with pytest.raises(Held, match=r"no tag `interlock\.permit`"):
        guard.check(alias, source=source, tags={})


def test_attack_the_tag_of_another_version(guard, permit, tmp_path):
    with pytest.raises(Held, match="the permit is for subject"):
        guard.check("production", source=str(release_lab.weights(tmp_path / "m", seed=5)), tags={TAG: permit})


def test_attack_a_permit_for_another_action(guard, source, workspace):
    for action in ("scale", "release-weights"):
        with pytest.raises(Held, match=f"the permit is for `{action}`"):
            guard.check("production", source=source, tags={TAG: issue(workspace, action)})


def test_attack_a_permit_for_the_bare_model_opens_no_deployment(workspace, source, permit):
    entry = {"alias": "production", "action": "deploy-api", "deployment": DIGEST}
    with pytest.raises(Held, match="the ledger has no deployment"):
        Guard.load(written(workspace, aliases=[entry])).check("production", source=source, tags={TAG: permit})
    assert Asked("deploy-api", DIGEST, DIGEST).lift.endswith(f"-d {DIGEST}")


def test_a_permit_that_was_revoked_or_a_result_that_turned(guard, source, workspace, permit, capsys):
    digest = workspace.read().subject("real").digest
    other = issue(workspace, "deploy-api")
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
    with pytest.raises(Held, match="was revoked"):
        guard.check("production", source=source, tags={TAG: permit})
    made.evaluate(workspace, correct=120, seed=5, about=digest)
    with pytest.raises(Held, match="holds: adept reached"):
        guard.check("production", source=source, tags={TAG: other})


@pytest.mark.parametrize(
    "where",
    [
        "s3://weights/m",
        "runs:/1/m",
        "models:/m-1",
        "mlflow-artifacts:/1/m",
        "file://host/m",
        "m",
        "",
        "/a/../m",
        "file://[m",
        "/%2e",
    ],
)
def test_a_source_that_cannot_be_hashed_here_holds(guard, permit, where):
    with pytest.raises(Held, match="its source"):
        guard.check("production", source=where, tags={TAG: permit})


@pytest.mark.parametrize(
    "write", ["{}/mo\tdel", "file://{}/mo\tdel", "{}/mo\ndel", " {}/model", "{}/model ", "\x01{}/model"]
)
def test_attack_a_source_that_is_read_as_the_folder_of_another_model(guard, source, permit, write):
    """MLflow serves the folder with a tab in its name; a URL is parsed without."""
    where = write.format(Path(source).parent)
    with pytest.raises(Held, match=r"its source .* is no plain place"):
        guard.check("production", source=where, tags={TAG: permit})


def test_what_is_gone_holds(guard, source, workspace, permit):
    with pytest.raises(Held, match="nothing shows"):
        guard.check("production", source=f"{source}/none", tags={TAG: permit})
    workspace.folder.rename(workspace.folder.with_name("away"))
    with pytest.raises(Held, match="nothing shows"):
        guard.check("production", source=source, tags={TAG: permit})


@pytest.mark.parametrize(
    "changes",
    [
        {"aliases": []},
        {"aliases": [{"alias": it, "action": "scale", "deployment": None} for it in ("a", "A")]},
        {"aliases": [{"alias": "a", "action": "scale"}]},
        {"alias_guard": "v2"},
        {"more": 1},
        {"artifacts": 1},
    ],
    ids=str,
)
def test_a_guard_file_that_says_something_else_is_refused(workspace, changes):
    with pytest.raises(UsageError, match="guard"):
        Guard.load(written(workspace, **changes))
    with pytest.raises(UsageError, match="cannot read it"):
        Guard.load(workspace.folder / "none")
    os.mkfifo(workspace.folder / "pipe")
    with pytest.raises(UsageError, match="no file"):
        Guard.load(workspace.folder / "pipe")


# -- reconciling, on a stand-in for MLflow's client --------------------------------------------------------------------


class Listed(list):
    """A page."""

    token = None


class Registry:
    """Models with their aliases and stages, and the versions that can be read; the rest fails as MLflow fails."""

    def __init__(self, *, aliases, versions, stages=()):
        self.aliases, self.versions, self.stages = aliases, versions, dict(stages)
        self.stuck, self.prompts, self.listed = set(), set(), 9

    def search_registered_models(self, *, filter_string, max_results, page_token):
        assert max_results
        place = len(page_token or "")
        if place >= self.listed:
            raise ConnectionError("no\n  answer")
        names = [name for name in self.aliases if (name in self.prompts) == bool(filter_string)]
        page = Listed(self._model(it) for it in names[place : place + 1])
        page.token = "." * (place + 1) if place + 1 < len(names) else None
        return page

    def _model(self, name):
        latest = {at: version for (of, version), at in sorted(self.stages.items()) if of == name}
        versions = [SimpleNamespace(version=version, current_stage=at) for at, version in latest.items()]
        return SimpleNamespace(name=name, aliases=dict(self.aliases[name]), latest_versions=versions)

    def get_model_version(self, name, version):
        return self.versions[name, version]

    def delete_registered_model_alias(self, name, alias):
        if name in self.stuck:
            raise RuntimeError("read only")
        del self.aliases[name][alias]

    def transition_model_version_stage(self, name, version, stage):
        self.stages[name, version] = stage


def standing(monkeypatch, workspace, source, permit, **changes):
    """A registry: `good` is opened by a permit, the version of `gone` is not there, `bare` has no tag."""
    good, bare = (SimpleNamespace(source=source, tags=tags) for tags in ({TAG: permit}, {}))
    versions = {("good", "1"): good, ("bare", "1"): bare, ("good", "2"): bare}
    aliases = {name: {"production": 1} for name in ("gone", "bare", "good")}
    registry = Registry(**{"aliases": aliases, "versions": versions} | changes)
    monkeypatch.setattr(aliasing, "_client", lambda _: registry)
    return registry, ["mlflow", "reconcile", "--guard", str(written(workspace)), "--tracking-uri", "x"]


def left(registry):
    return {name for name, aliases in registry.aliases.items() if aliases}


def test_attack_an_alias_that_cannot_be_read_keeps_no_other_from_being_taken_away(
    monkeypatch, workspace, source, permit, capsys
):
    registry, told = standing(monkeypatch, workspace, source, permit)
    assert cli.run([*told, "--dry-run"]) == 3
    assert left(registry) == {"gone", "bare", "good"}
    assert cli.run(told) == 3
    assert left(registry) == {"good"}
    said = capsys.readouterr().out
    assert "gone@production (version 1) taken away: `production` is guarded, and its version cannot be read" in said
    assert cli.run(told) == 0


def test_one_that_cannot_be_taken_away_is_told_and_the_rest_goes_on(monkeypatch, workspace, source, permit, capsys):
    registry, told = standing(monkeypatch, workspace, source, permit)
    registry.stuck.add("gone")
    assert cli.run([*told, "--json"]) == 1
    assert left(registry) == {"gone", "good"}
    said = capsys.readouterr()
    assert "1 of 2 that are held could not be taken away" in said.err
    told = {it["model"]: it["left"] for it in json.loads(said.out)["aliases"]}
    assert told == {"gone": "it cannot be taken away: read only", "bare": None, "good": None}


def test_what_cannot_be_listed_is_told_and_what_can_is_judged(monkeypatch, workspace, source, permit, capsys):
    registry, told = standing(monkeypatch, workspace, source, permit)
    registry.listed = 1
    assert cli.run(told) == 1
    assert left(registry) == {"bare", "good"}
    assert "the registry's models cannot be listed: no answer" in capsys.readouterr().err


def test_a_registry_that_cannot_be_reached_is_an_error(monkeypatch, workspace, source, permit, capsys):
    registry, told = standing(monkeypatch, workspace, source, permit)
    registry.listed = 0
    assert cli.run(told) == 1
    assert capsys.readouterr().err == "interlock: the registry's models cannot be listed: no answer\n"


def test_attack_a_model_is_tagged_as_a_prompt_so_that_no_list_of_models_shows_it(
    monkeypatch, workspace, source, permit
):
    registry, told = standing(monkeypatch, workspace, source, permit)
    registry.prompts = {"bare", "good"}
    assert cli.run(told) == 3
    assert left(registry) == {"good"}


def test_a_stage_of_a_guarded_name_is_taken_away_too_and_what_stood_behind_it(
    monkeypatch, workspace, source, permit, capsys
):
    stages = {("good", "1"): "Production", ("good", "2"): "Production", ("good", "3"): "Production"}
    stages[("bare", "1")] = "Staging"
    aliases = {"good": {}, "bare": {}}
    registry, told = standing(monkeypatch, workspace, source, permit, aliases=aliases, stages=stages)
    assert cli.run([*told, "--dry-run"]) == 3
    assert registry.stages == stages
    assert cli.run(told) == 3
    assert registry.stages == stages | {("good", "2"): "None", ("good", "3"): "None"}
    assert "good in stage Production (version 2) taken away: `Production` is guarded" in capsys.readouterr().out
    assert cli.run(told) == 0


# -- a real server ----------------------------------------------------------------------------------------------------

PLUGGED = any(it.name == "interlock" for it in entry_points(group="mlflow.model_registry_store"))
real = pytest.mark.skipif(
    not (find_spec("mlflow") and PLUGGED), reason="mlflow is not installed: pip install 'interlock[mlflow]'"
)


@pytest.fixture
def server(tmp_path, workspace):
    """A server with the plug-in, on loopback; its database, and where it is."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    database, where = tmp_path / "registry.db", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'tracking.db'}", "--no-serve-artifacts"]
    command += ["--registry-store-uri", f"interlock:sqlite:///{database}"]
    command += ["--default-artifact-root", str(tmp_path / "artifacts")]
    environment = os.environ | {
        "INTERLOCK_MLFLOW_GUARD": str(written(workspace)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (tmp_path / "server.log").open("wb") as log:
        started = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=tmp_path, start_new_session=True
        )
    try:
        _wait(where, started, tmp_path / "server.log")
        yield where, database
    finally:
        os.killpg(started.pid, 15)
        started.wait()


def _wait(where, started, log):
    """Until it answers, at most two minutes."""
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{where}/health") as answer:  # noqa: S310  loopback
            if answer.status == 200:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(0.5)
            break
    raise AssertionError(log.read_text())


@real
@pytest.mark.filterwarnings("ignore")
def test_a_real_server_refuses_a_guarded_alias_and_one_set_behind_its_back_is_taken_away(
    server, workspace, source, permit, capsys, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    where, database = server
    client = MlflowClient(where, where)
    run = client.create_run(client.create_experiment("e"))
    client.log_artifacts(run.info.run_id, source, "m")
    client.create_registered_model("m")
    lies = f"{run.info.artifact_uri}/m"
    version = client.create_model_version("m", lies, run.info.run_id).version
    client.set_registered_model_alias("m", "candidate", version)
    for alias in ("production", "Production"):
        with pytest.raises(MlflowException, match=r"held by interlock: `.*` is guarded, and the version has no tag"):
            client.set_registered_model_alias("m", alias, version)
    with pytest.raises(MlflowException, match="held by interlock"):
        client.transition_model_version_stage("m", version, "Production")
    client.set_model_version_tag("m", version, TAG, permit)
    client.set_registered_model_alias("m", "production", version)

    reconcile = ["mlflow", "reconcile", "--guard", str(written(workspace)), "--tracking-uri", where]
    capsys.readouterr()
    assert cli.run(reconcile) == 0
    assert "m@production (version 1) is opened by a permit" in capsys.readouterr().out

    other = Path(lies.removeprefix("file://")).with_name("other")
    shutil.rmtree(other, ignore_errors=True)
    release_lab.weights(other, seed=9)
    bad = client.create_model_version("m", str(other), run.info.run_id, tags={TAG: permit}).version
    with pytest.raises(MlflowException, match="the permit is for subject"):
        client.set_registered_model_alias("m", "production", bad)
    with sqlite3.connect(database) as behind:
        behind.execute("UPDATE registered_model_aliases SET version = ? WHERE alias = 'production'", (bad,))
    behind.close()
    assert str(client.get_model_version_by_alias("m", "production").version) == str(bad)
    assert cli.run([*reconcile, "--dry-run"]) == 3
    assert "production" in client.get_registered_model("m").aliases
    assert cli.run(reconcile) == 3
    assert set(client.get_registered_model("m").aliases) == {"candidate"}
    assert cli.run(reconcile) == 0

    client.create_registered_model("first")  # is looked at before `m`
    client.create_registered_model("m, too")
    client.set_model_version_tag("m", version, "mlflow.prompt.is_prompt", "true")  # hides it from lists of versions,
    client.set_registered_model_tag("m", "mlflow.prompt.is_prompt", "true")  # and this from those of models
    with sqlite3.connect(database) as behind:
        aliases = [("first", "production", 7), ("m", "production", bad), ("m, too", "pr\u00f6duction", 1)]
        behind.executemany("INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, ?, ?)", aliases)
        behind.execute("UPDATE model_versions SET current_stage = 'Production' WHERE version = ?", (bad,))
    behind.close()
    capsys.readouterr()
    assert cli.run(reconcile) == 3
    said = capsys.readouterr().out
    assert said.count("taken away") == 4
    assert f"m in stage Production (version {bad}) taken away" in said
    with sqlite3.connect(database) as behind:
        behind.execute("DELETE FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt'")
    behind.close()
    assert client.get_model_version("m", bad).current_stage == "None"
    assert not client.get_registered_model("first").aliases
    assert not client.get_registered_model("m, too").aliases
    assert set(client.get_registered_model("m").aliases) == {"candidate"}
    assert cli.run(reconcile) == 0


def test_without_mlflow_the_command_says_how_to_install_it(workspace, capsys, monkeypatch):
    for name in ("mlflow", "mlflow.tracking._model_registry.client"):
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["mlflow", "reconcile", "--guard", str(written(workspace)), "--tracking-uri", "http://x"]) == 2
    assert "pip install 'interlock[mlflow]'" in capsys.readouterr().err


def test_without_a_guard_file_there_is_no_store(monkeypatch):
    from interlock.gate.mlflow_store import store

    monkeypatch.delenv("INTERLOCK_MLFLOW_GUARD", raising=False)
    with pytest.raises(UsageError, match="does not name a guard file"):
        store("interlock:sqlite:///x")
    monkeypatch.setenv("INTERLOCK_MLFLOW_GUARD", "none.json")
    with pytest.raises(UsageError, match="cannot read it"):
        store("interlock:sqlite:///x")
