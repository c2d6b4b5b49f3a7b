"""Run one planned task on a loaded model through Inspect's `eval_set`, and give the one log that it left.

Guarantees: the same call on the same `log_dir` resumes what was cut short, runs no completed sample again, and returns
a finished log at once; completed samples are on disk soon after they are scored; nothing is written to the terminal;
and the log that is returned asked exactly the task's samples. One `log_dir` belongs to one plan: to keep it so is left
to the caller. Inspect's own settings in the environment do not change what is run.
"""

from __future__ import annotations

import ast
import builtins
import gc
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import ZipFile

import rich
from rich.text import Text

from interlock import errors
from interlock.errors import EvidenceError, UsageError, missing_extra

try:
    from inspect_ai import Task, eval_set
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.log import (
        EvalLog,
        EvalSampleSummary,
        list_eval_logs,
        read_eval_log,
        read_eval_log_sample_summaries,
        write_eval_log,
    )
    from inspect_ai.model import Model

    from interlock.evaluate import logs, provider
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error

if TYPE_CHECKING:
    from interlock.evaluate.local import LocalModel

_FLUSH_EVERY = 4  # samples; each flush writes the whole log anew

# Set for an outside runner that drives `eval_set`; here they would make it run something else, or nothing.
_DRIVEN = ("INSPECT_EVAL_SET_CAPTURE", "INSPECT_EVAL_SET_SELECTION", "INSPECT_EVAL_SET_OVERRIDES")


def run(
    task: Task,
    *,
    local: LocalModel,
    model_name: str,
    model_args: Mapping[str, str],
    log_dir: Path,
    progress: Callable[[int, int], None],
) -> Path:
    """Run `task` on `local` and return the path of its `.eval` log.

    The log names the model `interlock/MODEL_NAME` with `model_args`, which must tell this model from any other.
    `progress` is told (done, total) in samples; samples reused from an earlier, interrupted run count as done. It may
    draw, on any console but Rich's global one, which is kept quiet meanwhile.

    Raises:
        UsageError: the task has no samples, or asks for what a local model does not do.
        EvidenceError: a sample failed (the logs are kept, and the next call tries again), or what is in `log_dir` is
            damaged, edited, or of another task, model or set of samples.
        OSError: a log could not be written, such as on a full disk.
        KeyboardInterrupt: interrupted, with the completed samples on disk.
    """
    planned = logs.samples_digest(task)
    total = planned[1]
    if not total:
        raise UsageError(f"task `{task.name}` has no samples, expected at least one")
    provider.refuse_unhonoured(task.config)
    reused = 0

    def report(answered: int) -> None:
        progress(min(reused + answered, total), total)

    model = provider.model(local, name=model_name, args=model_args, progress=report)
    with _alone():
        reused = _completed(log_dir, task, model)
        report(0)
        log = _eval_set(task, model, log_dir)
        path = _finished(log, log_dir)
        _keep_one_record_each(path)
    logs.same_samples(planned, logs.read(path))
    progress(total, total)
    return path


def asked(log_dir: Path) -> int:
    """How many samples the runs in `log_dir` were to ask, at the most; 0 if there is none.

    Raises:
        EvidenceError: a log there is damaged.
    """
    with _alone():
        headers = [header for header, _ in _logs(log_dir)]
    return max((len(header.eval.dataset.sample_ids or []) for header in headers), default=0)


def _eval_set(task: Task, model: Model, log_dir: Path) -> EvalLog:
    try:
        _, headers = eval_set(
            task,
            log_dir=str(log_dir),
            model=model,
            retry_attempts=1,
            retry_immediate=False,  # with False, one attempt is one attempt, and nothing warns about it
            ctl_server=False,
            display="none",
            score_display=False,
            log_level="notset",
            log_format="eval",
            log_realtime=False,  # no copy of the samples outside `log_dir`
            log_buffer=_FLUSH_EVERY,
            max_samples=provider.CONNECTIONS,
            max_connections=provider.CONNECTIONS,
        )
    except PrerequisiteError as error:
        plain = " ".join(Text.from_markup(str(error.message)).plain.split())
        raise EvidenceError(f"inspect refuses log directory `{log_dir}`: {plain}") from None
    if not headers or headers[0].status == "cancelled":  # Inspect handles the signal itself, and returns
        raise KeyboardInterrupt
    return headers[0]


def _finished(log: EvalLog, log_dir: Path) -> Path:
    path = log_dir / PurePosixPath(log.location).name
    if log.status != "success":
        reason = _reason(log.error.message if log.error else "no reason given")
        raise EvidenceError(f"the run ended with status `{log.status}`: {reason}; its log is `{path}`")
    return path


def _keep_one_record_each(path: Path) -> None:
    """Interrupted, resumed, killed and resumed again, Inspect leaves some samples' records twice: write them once."""
    with ZipFile(path) as archive:
        names = archive.namelist()
    if len(names) != len(set(names)):
        write_eval_log(read_eval_log(str(path)), str(path))


def _reason(message: str) -> str:
    """The text of an error that Inspect shows as `EvidenceError('text')`. An OSError is raised, as what it is."""
    shown = re.fullmatch(r"(\w+)(\(.*\))", message, re.DOTALL)
    try:
        arguments = ast.literal_eval(f"{shown[2][:-1]},)") if shown else ()
    except (ValueError, SyntaxError):
        return message
    kind = getattr(errors, shown[1], None) or getattr(builtins, shown[1], None) if shown else None
    if isinstance(kind, type) and issubclass(kind, OSError):
        raise kind(*arguments)
    if isinstance(kind, type) and issubclass(kind, errors.InterlockError):
        return " ".join(map(str, arguments))
    return message


def _completed(log_dir: Path, task: Task, model: Model) -> int:
    """The samples in `log_dir` that Inspect will not run again, once every log there is known to be of this run."""
    done = 0
    for header, summaries in _logs(log_dir):
        got = header.eval.task_registry_name, header.eval.model, header.eval.model_args
        expected = task.registry_name, str(model), model.model_args
        if got != expected:
            raise EvidenceError(f"log directory `{log_dir}` holds another run: got {got}, expected {expected}")
        done = max(done, sum(summary.completed and not summary.error for summary in summaries))
    return done


def _logs(log_dir: Path) -> Iterator[tuple[EvalLog, list[EvalSampleSummary]]]:
    for info in list_eval_logs(str(log_dir)) if log_dir.is_dir() else ():
        try:
            yield read_eval_log(info, header_only=True), read_eval_log_sample_summaries(info)
        except Exception as error:  # noqa: BLE001 - whatever a damaged archive makes its parsers raise
            raise EvidenceError(f"log `{info.name}` is damaged: {' '.join(str(error).split())}") from None


@contextmanager
def _alone() -> Iterator[None]:
    """Keep Inspect and its warnings off the terminal, and an outside runner's or `.env` file's settings off Inspect."""
    environment, console = dict(os.environ), rich.get_console()
    was_quiet, console.quiet = console.quiet, True
    os.environ.update(dict.fromkeys(_DRIVEN, ""))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            finally:
                gc.collect()  # Inspect leaves open streams in cycles, whose warnings would meet a later caller
    finally:
        console.quiet = was_quiet
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
