"""How fast a manifest is hashed, beside what the machine can do and beside model-signing. One run, as ratios.

    python benchmarks/manifest.py [--gigabytes 2] [--files 8] [--folder FOLDER] [--markdown FILE]

Every contender reads the same files, from the page cache, in turn, several times; the best of each counts, since what
disturbs a run only ever slows it down. On a machine that others use too, compare the seconds of CPU: who waits for a
core is not charged for it. Without model-signing (`pip install -e '.[interop]'`) it is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from interlock.subject import manifest
from interlock.subject._hashing import cores

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 1 << 20
_SIGN = "import sys; from model_signing import hashing; print(len(hashing.Config().hash(sys.argv[1])._item_to_digest))"


def model(folder: Path, *, files: int, size: int) -> int:
    """A folder of so many shards and bytes that passes for a model. Returns the bytes in it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    names = [f"model-{n:05}-of-{files:05}.safetensors" for n in range(1, files + 1)]
    named = ", ".join(f'"t{n}": "{name}"' for n, name in enumerate(names))
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{named}}}}}')
    each = size // files
    for n, name in enumerate(names):
        header = f'{{"t{n}": {{"dtype": "U8", "shape": [{each}], "data_offsets": [0, {each}]}}}}'.encode()
        with (folder / name).open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            block = os.urandom(_BLOCK)
            for left in range(each, 0, -_BLOCK):
                file.write(block[: min(left, _BLOCK)])
    return sum(path.stat().st_size for path in folder.iterdir())


def machine(size: int) -> Callable[[], None]:
    """SHA-256 of so many bytes in memory, on all cores: no file is read."""
    block, each = os.urandom(_BLOCK), size // cores() // _BLOCK

    def one(_: int) -> None:
        digest = hashlib.sha256()
        for _ in range(each):
            digest.update(block)

    def run() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(one, range(cores())))

    return run


def read(folder: Path) -> Callable[[], None]:
    """Reading the same files on all cores, without hashing."""

    def one(path: Path) -> None:
        buffer = bytearray(_BLOCK)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    def run() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(one, folder.iterdir()))

    return run


def process(*command: str) -> Callable[[], None]:
    """A process of its own, from its start to its end."""

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return run


def in_one_process(folder: Path) -> Callable[[], None]:
    """model-signing's hashing as its interface has it, without the start of a process."""
    from model_signing import hashing  # type: ignore[import-not-found,unused-ignore]

    return lambda: hashing.Config().hash(folder)


def contenders(folder: Path, size: int) -> dict[str, Callable[[], None]]:
    """Who is timed, by what the table calls it."""
    ours = (
        "import sys; from pathlib import Path; from interlock.subject import manifest; manifest.of(Path(sys.argv[1]))"
    )
    found = {
        "SHA-256 in memory, all cores": machine(size),
        "reading the files, all cores": read(folder),
        "interlock": lambda: manifest.of(folder) and None,
        "interlock, a process of its own": process(sys.executable, "-c", ours, str(folder)),
    }
    if shutil.which("openssl"):
        weights = [str(path) for path in sorted(folder.glob("*.safetensors"))]
        found["openssl dgst -sha256, one core"] = process("openssl", "dgst", "-sha256", *weights)
    if importlib.util.find_spec("model_signing"):
        found["model-signing"] = in_one_process(folder)
        found["model-signing, a process of its own"] = process(sys.executable, "-c", _SIGN, str(folder))
    return found


def best(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, tuple[float, float]]:
    """The least time and the least CPU of each, in seconds, taken in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            began, used = perf_counter(), _used()
            run()
            times[name].append((perf_counter() - began, _used() - used))
    return {name: (min(took for took, _ in found), min(cpu for _, cpu in found)) for name, found in times.items()}


def _used() -> float:
    """Seconds of CPU so far, of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def table(times: dict[str, tuple[float, float]], size: int) -> str:
    """As markdown: time, rate and CPU, and how many times the machine's own."""
    base, used = times["SHA-256 in memory, all cores"]
    rows = [
        f"| {name} | {took:.2f} s | {size / took / 1e9:.2f} GB/s | {took / base:.2f} x "
        f"| {cpu:.2f} s | {cpu / used:.2f} x |"
        for name, (took, cpu) in times.items()
    ]
    head = ["| what | best time | rate | beside SHA-256 in memory | CPU | beside it |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write the files, for as long as this runs")
    parser.add_argument("--markdown", type=Path, help="keep what is printed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name) / "model"
        size = model(folder, files=asked.files, size=int(asked.gigabytes * 1e9))
        told = f"{asked.files} files, {size / 1e9:.2f} GB, {cores()} cores, Python {platform.python_version()}, "
        text = f"{told}best of {asked.repeats}\n\n{table(best(contenders(folder, size), asked.repeats), size)}\n"
    print(text, end="")
    if asked.markdown:
        asked.markdown.write_text(text)


if __name__ == "__main__":
    main()
