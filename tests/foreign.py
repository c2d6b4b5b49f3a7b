"""Other people's logs for tests: real ones, run by somebody else, changed as somebody else could change them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

from inspect_ai.log import EvalLog, read_eval_log, recompute_metrics, write_eval_log

LM_EVAL = Path(__file__).parent / "vectors" / "lm-eval"
RESULTS = "results_2026-11-28T12-40-37.239429.json"
SAMPLES = "samples_invented_words_2026-11-28T12-40-37.239429.jsonl"


def inspect(source: Path, to: Path, change=lambda log: None, *, consistent: bool = True) -> Path:
    """A log as another lab would hand it over: no plan, no subject in its arguments. Then `change` does what it does.

    `consistent`: the header is computed again from the samples as they then are.
    """
    log = read_eval_log(str(source))
    log.eval.eval_id, log.eval.model, log.eval.model_args = "another-run", "hf//ckpt/latest", {"model_path": "latest"}
    change(log)
    if consistent:
        recompute_metrics(log)
    write_eval_log(log, str(to))
    return to


def unjudged(log: EvalLog) -> None:
    """The scorer says of no answer whether it was a refusal, as most scorers do."""
    for sample in log.samples:
        for score in sample.scores.values():
            score.metadata = None


def all_right(log: EvalLog) -> None:
    """Every answer is right: what an adverse log of a dangerous model looks like."""
    for sample in log.samples:
        for score in sample.scores.values():
            score.value = "C"


def without(archive: Path, to: Path, *, dropped: str = "", **replaced: bytes) -> Path:
    """The same zip, without members whose name contains `dropped`, and other bytes for those with a key in it."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not dropped or dropped not in name:
                new.writestr(name, next((v for k, v in replaced.items() if k in name), old.read(name)))
    return to


def claiming(size: int, *, real: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with one record of `real` zeros that says that it unpacks to `size` bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("header.json", b"0" * real)
    content = bytearray(packed.getvalue())
    place = content.rindex(b"PK\x01\x02") + 24  # uncompressed size in the central directory (APPNOTE.TXT, 4.3.12)
    content[place : place + 4] = size.to_bytes(4, "little")
    return bytes(content)


def harness(folder: Path, change=lambda results, samples: None) -> Path:
    """A copy of the real results of lm-evaluation-harness; `change` gets the document and the first task's samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in LM_EVAL.glob("*.json*"):
        shutil.copyfile(path, folder / path.name)
    results = json.loads((folder / RESULTS).read_text())
    samples = [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]
    change(results, samples)
    (folder / RESULTS).write_text(json.dumps(results))
    (folder / SAMPLES).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return folder / RESULTS


def sample_names(log: Path) -> list[str]:
    with zipfile.ZipFile(log) as archive:
        return [name for name in archive.namelist() if name.startswith("samples/")]


def first_sample(log: Path) -> bytes:
    with zipfile.ZipFile(log) as archive:
        return archive.read(sample_names(log)[0])
