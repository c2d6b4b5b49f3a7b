"""The workflow of integrations/github: its steps, each as a runner starts them, under real permits. No runner is here:
what stands between the steps (`needs`, `if`, `outputs`) is read by a few lines that know only what the file uses.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import permit_lab
import release_lab

FILE = Path(__file__).parents[2] / "integrations" / "github" / "gated.yml"
#: How a runner starts a step with `shell: bash`
#: (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell).
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("github")
    opened = permit_lab.POLICY.replace("deploy-internal: {judged: [never]}", "deploy-internal: {expert: [watched]}")
    opened = opened.replace("{adept: [agreed]}", "{adept: [agreed], judged: [never]}")
    workspace = release_lab.make(folder / "lab", opened)
    files = {}
    for action in ("scale", "deploy-internal"):
        digest = release_lab.issue(workspace, action)
        files[action], files["trust"] = permit_lab.files(workspace, folder / action, digest)
    return {**files, "model": folder / "lab" / "model"}


class Runner:
    """Runs the jobs in the order in which they stand, in one checkout."""

    def __init__(self, folder, environment):
        self.folder, self.summary = folder, folder / "summary"
        self.summary.write_text("")
        commands = folder / "bin"
        commands.mkdir(exist_ok=True)
        command = commands / "interlock"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from interlock.cli import main; main()" "$@"\n')
        command.chmod(0o755)
        path = f"{commands}:{os.environ['PATH']}"
        self.environment = {**os.environ, **environment, "PATH": path}
        self.environment |= {"GITHUB_STEP_SUMMARY": str(self.summary), "RUNNER_TEMP": str(folder)}
        self.told = {}

    def run(self):
        """Exit codes of the steps that ran, by job and place; the first one that is not 0 ends all that follows."""
        codes, jobs = {}, YAML(typ="safe").load(FILE)["jobs"]
        for name, job in jobs.items():
            if not self.met(job.get("if")):
                continue
            for place, step in enumerate(it for it in job["steps"] if "run" in it):
                if self.met(step.get("if")):
                    codes[name, place] = self.step(step)
                    if codes[name, place]:
                        return codes
            for output, value in job.get("outputs", {}).items():
                self.told[f"needs.{name}.outputs.{output}"] = self.told.get(value.strip("${ }"), "")
        return codes

    def met(self, condition):
        """A comparison of an output with a text; what no step said is empty."""
        if condition is None:
            return True
        name, text = re.fullmatch(r"([\w.]+) == '(\w+)'", condition).groups()
        return self.told.get(name, "") == text

    def step(self, step):
        assert step["shell"] == "bash"
        output, script = self.folder / "output", self.folder / "step.sh"
        output.write_text("")
        script.write_text(step["run"])
        environment = {**self.environment, "GITHUB_OUTPUT": str(output)}
        code = subprocess.run([*BASH, script], cwd=self.folder, env=environment, timeout=120, check=False).returncode
        for line in output.read_text().splitlines():
            name, value = line.split("=")
            self.told[f"steps.{step['id']}.outputs.{name}"] = value
        return code


TRAINER = """#!/bin/sh
touch trained
echo 'it was the last step that the permit allows' >&2
exit "${TRAINER_SAYS:-0}"
"""


@pytest.fixture
def run(tmp_path, files):
    """Run the workflow with some of its environment changed; gives exit codes and what was left behind."""

    def run(**changed):
        for name, text in (("train.sh", TRAINER), ("deploy.sh", "#!/bin/sh\ntouch deployed\n")):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        environment = {
            "TRUST": files["trust"],
            "TRAINING": files["scale"],
            "SERVING": files["deploy-internal"],
            "SEEN": tmp_path / "seen",
            "START": files["model"],
            "WEIGHTS": files["model"],
            **changed,
        }
        runner = Runner(tmp_path, {name: str(it) for name, it in environment.items()})
        codes = runner.run()
        done = {it for it in ("trained", "deployed") if (tmp_path / it).exists()}
        for it in done:
            (tmp_path / it).unlink()
        return codes, done, runner.summary.read_text()

    return run


def test_every_variable_of_the_workflow_is_set_here(files):
    """So that no test runs a line whose files are not those that it thinks of."""
    told = YAML(typ="safe").load(FILE)
    assert set(told["env"]) == {"TRUST", "TRAINING", "SERVING", "SEEN", "START", "WEIGHTS"}
    steps = [step for job in told["jobs"].values() for step in job["steps"] if "run" in step]
    assert all(step["shell"] == "bash" for step in steps)
    assert len(steps) == 3


def test_under_both_permits_it_trains_and_deploys(run):
    codes, done, _ = run()
    assert set(codes.values()) == {0}
    assert done == {"trained", "deployed"}


def test_on_a_hold_nothing_is_trained_or_deployed_and_the_run_says_why_and_is_green(run, files):
    codes, done, summary = run(TRAINING=files["deploy-internal"])
    assert codes == {("train", 0): 0}
    assert done == set()
    assert summary == "interlock: the permit is for `deploy-internal`, expected one for `scale`\n"


def test_a_training_that_stops_on_a_hold_is_not_deployed(run):
    codes, done, summary = run(TRAINER_SAYS=3)
    assert codes == {("train", 0): 0}
    assert done == {"trained"}
    assert "the last step that the permit allows" in summary


def test_a_training_that_fails_fails_the_run(run):
    assert run(TRAINER_SAYS=7)[:2] == ({("train", 0): 7}, {"trained"})


def test_what_was_trained_is_not_deployed_under_a_permit_for_something_else(run, files):
    codes, done, summary = run(SERVING=files["scale"])
    assert codes == {("train", 0): 0, ("deploy", 0): 0}
    assert done == {"trained"}
    assert summary == "interlock: the permit is for `scale`, expected one for `deploy-internal`\n"


@pytest.mark.parametrize("which", ["TRAINING", "SERVING"])
def test_a_permit_that_is_no_sound_one_fails_the_run(run, files, tmp_path, which):
    altered = tmp_path / "altered.json"
    altered.write_bytes(files["scale"].read_bytes()[:-9])
    codes, done, _ = run(**{which: altered})
    assert list(codes.values())[-1] not in {0, 3}
    assert "deployed" not in done


def test_other_weights_than_the_permits_are_neither_trained_nor_deployed(run, tmp_path):
    other = release_lab.weights(tmp_path / "other", seed=1, size=10)
    assert run(START=other)[1] == set()
    assert run(WEIGHTS=other)[1] == {"trained"}
