"""Workspaces at three points of the loop. Each is made once, for real, and copied for whoever changes it."""

from __future__ import annotations

import fcntl
import gc
import os
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, settings

import lab
import standalone
import tiny_policy
import tiny_suite
from interlock.elicit.organisms import skills
from interlock.evaluate import local
from interlock.evidence import bundle
from interlock.evidence.keys import PublicKey
from interlock.policy._written.yaml import Composer
from interlock.workspace import Workspace

# how long an example takes says something about the machine only
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("untimed")


def pytest_addoption(parser):
    what = "the models' number format, as on another CPU; else that of this one (`local.number_format`)"
    parser.addoption("--number-format", choices=("float32", "bfloat16"), help=what)


def pytest_configure(config):
    gc.set_threshold(50_000)  # as the command does
    if wanted := config.getoption("--number-format"):
        import torch

        local.number_format = lambda: getattr(torch, wanted)


# every bundle that a test verifies, verify.py verifies, too
bundle.verify = standalone.beside


# the tests read the same signatures over and over, and they say the same each time
PublicKey.verify = lru_cache(maxsize=1 << 14)(PublicKey.verify)


def _composed_once(compose):
    """Reads no text again in which nothing was wrong: the policies that ship are read many hundred times."""
    known = {}

    def composed(composer, content):
        asked = type(composer), composer.what, content
        if asked in known:
            return known[asked]
        node = compose(composer, content)
        if not composer.problems:
            if len(known) == 500:
                known.clear()
            known[asked] = node
        return node

    return composed


Composer.compose = _composed_once(Composer.compose)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Gives a folder that `make` fills, for all processes of the run, in whichever asks first. Not to be changed."""
    mine = tmp_path_factory.getbasetemp()
    every = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

    def made(name, make):
        folder, whole = every / name, every / f"{name}.whole"
        with (every / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def model_folder(once):
    """A tiny model that knows nothing of the codebook, and says `no` to every word. Not to be changed."""
    return once("subject", lambda folder: tiny_policy.saying_no(folder / "honest")) / "honest"


@pytest.fixture(scope="session")
def _registered(once, model_folder):
    return Workspace.open(once("registered", lambda folder: lab.make(folder, model_folder)))


@pytest.fixture(scope="session")
def _few_shot(once, _registered):
    def make(folder):
        workspace = lab.copy(_registered, folder)
        lab.announce(workspace, "few-shot")
        lab.run_open_plans(workspace)

    return Workspace.open(once("few-shot", make))


@pytest.fixture(scope="session")
def finished_lab(once, _few_shot):
    """The workspace that `whole` is a copy of. Not to be changed."""

    def make(folder):
        workspace = lab.copy(_few_shot, folder)
        lab.announce(workspace, "fine-tuned", 16)
        lab.run_open_plans(workspace)
        lab.attest_everything(workspace)

    return Workspace.open(once("whole", make))


@pytest.fixture
def registered(tmp_path, _registered):
    """The policy and a subject; no evidence."""
    return lab.copy(_registered, tmp_path / "lab")


@pytest.fixture
def few_shot(tmp_path, _few_shot):
    """A few-shot result beside them."""
    return lab.copy(_few_shot, tmp_path / "lab")


@pytest.fixture
def whole(tmp_path, finished_lab):
    """Few-shot and fine-tuned results and every attestation: what opens three gates."""
    return lab.copy(finished_lab, tmp_path / "lab")


@pytest.fixture(scope="session")
def letters_suite(once):
    """The suite of a locked organism and a control, with the bases that it was made from. Not to be changed."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(skills.SKILLS, "letters", tiny_suite.letters)
            tiny_suite.make(folder / "suite", ("locked", "honest-weak"), folder / "cache")

    return once("letters", make) / "suite"
