"""Workspaces at three points of the loop. Each is made once, for real, and copied for whoever changes it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

import lab
import standalone
import tiny_policy
from interlock.evaluate import local
from interlock.evidence import bundle

# how long an example takes says something about the machine only
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("untimed")


def pytest_addoption(parser):
    what = "the models' number format, as on another CPU; else that of this one (`local.number_format`)"
    parser.addoption("--number-format", choices=("float32", "bfloat16"), help=what)


def pytest_configure(config):
    if wanted := config.getoption("--number-format"):
        import torch

        local.number_format = lambda: getattr(torch, wanted)


# every bundle that a test verifies, verify.py verifies, too
bundle.verify = standalone.beside


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A tiny model that knows nothing of the codebook, and says `no` to every word. Not to be changed."""
    return tiny_policy.saying_no(tmp_path_factory.mktemp("subject") / "honest")


@pytest.fixture(scope="session")
def _registered(tmp_path_factory, model_folder):
    return lab.make(tmp_path_factory.mktemp("registered") / "lab", model_folder)


@pytest.fixture(scope="session")
def _few_shot(tmp_path_factory, _registered):
    workspace = lab.copy(_registered, tmp_path_factory.mktemp("few-shot") / "lab")
    lab.announce(workspace, "few-shot")
    lab.run_open_plans(workspace)
    return workspace


@pytest.fixture(scope="session")
def finished_lab(tmp_path_factory, _few_shot):
    """The workspace that `whole` is a copy of. Not to be changed."""
    workspace = lab.copy(_few_shot, tmp_path_factory.mktemp("whole") / "lab")
    lab.announce(workspace, "fine-tuned", 16)
    lab.run_open_plans(workspace)
    lab.attest_everything(workspace)
    return workspace


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
