"""One short real run, for every test of this folder. Not to be changed."""

from __future__ import annotations

import pytest
from inspect_ai.log import read_eval_log, write_eval_log

import foreign
from interlock.evaluate import inspect_run, local, tasks

SAMPLES = 8


@pytest.fixture(scope="session")
def short_run(model_folder, tmp_path_factory):
    """Eight samples of the codebook, answered by a tiny model; a log whose scorer judges no refusals."""
    task = tasks.codebook(seed=5)
    task.dataset = task.dataset[:SAMPLES]
    log = inspect_run.run(
        task,
        local=local.load(model_folder),
        model_name="tiny",
        model_args={},
        log_dir=tmp_path_factory.mktemp("logs"),
        progress=lambda done, total: None,
    )
    whole = read_eval_log(str(log))
    foreign.unjudged(whole)
    write_eval_log(whole, str(log))
    return log
