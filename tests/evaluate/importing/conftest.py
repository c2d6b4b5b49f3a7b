"""One short real run, for every test of this folder. Not to be changed."""

from __future__ import annotations

import pytest

import tiny_model
from interlock.evaluate import inspect_run, local, tasks

SAMPLES = 8


@pytest.fixture(scope="session")
def short_run(tmp_path_factory):
    """Eight samples of the codebook, answered by a tiny model."""
    task = tasks.codebook(seed=5)
    task.dataset = task.dataset[:SAMPLES]
    return inspect_run.run(
        task,
        local=local.load(tiny_model.build(tmp_path_factory.mktemp("tiny"))),
        model_name="tiny",
        model_args={},
        log_dir=tmp_path_factory.mktemp("logs"),
        progress=lambda done, total: None,
    )
