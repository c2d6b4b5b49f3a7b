"""Many organisms in one folder, under names that tell nothing.

`index.json` has what anyone may know: the organisms, and how many were asked for, since some are refused. `sealed.json`
says which name is which organism; it and the `truth.json` of each are what a blind game keeps back. Guarantees: an
organism that is whole is not made again, and one that was killed is taken up; a request on a folder that has a suite
adds what is not there yet; an organism that is gone is an error, and no smaller suite.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from interlock.elicit.elicitor import Progress
from interlock.elicit.organisms import sealing
from interlock.elicit.organisms.kinds import KINDS
from interlock.elicit.organisms.making import Effort, Order, make, make_base
from interlock.elicit.organisms.tiny import Shape
from interlock.errors import EvidenceError, UsageError

T = TypeVar("T")

INDEX, SEALED = "index.json", "sealed.json"
FORMAT = "organism-suite/v1"


@dataclass(frozen=True, slots=True)
class Refused:
    """An organism that did not become what its kind says, and why."""

    name: str
    why: str


def make_suite(
    orders: Sequence[Order], folder: Path, *, jobs: int, progress: Progress, cache: Path | None = None
) -> list[Refused]:
    """Make what is not there yet, in `jobs` processes, bases first; return the organisms that were refused.

    Raises:
        UsageError: `orders` is empty, or `folder` has files but no suite.
        EvidenceError: the suite's `sealed.json` or `index.json` is malformed.
    """
    if not orders:
        raise UsageError("cannot make a suite of 0 organisms, expected at least one")
    before = _told(folder)["organisms"] if (folder / INDEX).exists() else []
    names = _names(orders, folder)
    missing = {name: order for name, order in names.items() if order in orders and not (folder / name).is_dir()}
    firsts = {(order.family, order.seed, KINDS[order.kind].base): order for order in missing.values()}
    bases = [partial(_base, order, cache) for (_, _, base), order in firsts.items() if base]
    for done, _ in enumerate(in_processes(bases, jobs, partial(progress, "bases")), 1):
        progress("bases", done, len(bases))
    refused: list[Refused] = []
    works = [partial(_make, name, order, folder / name, cache) for name, order in missing.items()]
    for done, why in enumerate(in_processes(works, jobs, partial(progress, "organisms")), 1):
        progress("organisms", done, len(works), f"{len(refused)} refused" if refused else "")
        refused += [why] if why else []
    named = {it["name"]: it for it in before}  # one that is gone stays named
    named |= {it.name: {"name": it.name, **asdict(sealing.about(it))} for it in _whole(folder)}
    every = [named[name] for name in sorted(named)]
    _write(folder / INDEX, {"interlock": FORMAT, "asked_for": len(names), "organisms": every})
    return refused


def organisms(folder: Path) -> list[Path]:
    """The folders of a suite's organisms, in the order of their names.

    Raises:
        UsageError: there is no suite.
        EvidenceError: an organism that its index names is gone, or the index is malformed.
    """
    found, named = _whole(folder), _told(folder)["organisms"]
    there = {it.name for it in found}
    if gone := [it["name"] for it in named if it["name"] not in there]:
        raise EvidenceError(
            f"the suite `{folder}` has no organism `{gone[0]}` any more: got {len(named) - len(gone)} of those that "
            f"`{INDEX}` names, expected all {len(named)}"
        )
    return found


def sealed(folder: Path) -> dict[Order, Path]:
    """The folders of a suite's whole organisms by what they are: for whoever need not be blind.

    Raises:
        UsageError: there is no suite, or the names are kept elsewhere.
        EvidenceError: an organism is gone, or not what its sealed name and its truth say; or a file is malformed.
    """
    whole, file = organisms(folder), folder / SEALED
    if not file.exists():
        raise UsageError(f"`{folder}` has no `{SEALED}`: what its organisms are is kept elsewhere")
    known, found = _read(file), dict[Order, Path]()
    for it in whole:
        truth, order = sealing.truth(it), known.get(it.name)
        if order is None or (order.kind, order.family, order.seed) != (truth.kind, truth.family, truth.seed):
            raise EvidenceError(
                f"`{file}` says that `{it.name}` is {order or 'nothing'}, and its truth that it is `{truth.kind}` of "
                f"`{truth.family}` at seed {truth.seed}"
            )
        found[order] = it
    return found


def asked_for(folder: Path) -> int:
    """How many organisms were asked for: those that are not in the suite did not become what their kind says.

    Raises:
        UsageError: there is no suite.
        EvidenceError: its index is malformed.
    """
    return int(_told(folder)["asked_for"])


def _told(folder: Path) -> dict[str, Any]:
    """The index."""
    file = folder / INDEX
    try:
        told: dict[str, Any] = json.loads(file.read_bytes())
        if told["interlock"] == FORMAT and all(isinstance(it["name"], str) for it in told["organisms"]):
            return told
    except FileNotFoundError:
        raise UsageError(f"`{folder}` has no suite: `{INDEX}` is not there") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise EvidenceError(f"`{file}` is no index of a suite, expected {FORMAT}; make the suite again in another folder")


def _whole(folder: Path) -> list[Path]:
    found = (file.parent.parent for file in folder.glob(f"*/{sealing.MODEL}/{sealing.ABOUT}"))
    return sorted(it for it in found if not it.name.startswith("."))  # those are not finished


def _names(orders: Sequence[Order], folder: Path) -> dict[str, Order]:
    """A random name for each organism, kept once given. On disk before the first is made."""
    file = folder / SEALED
    if folder.is_dir() and not file.exists() and any(folder.iterdir()):
        raise UsageError(f"`{folder}` has files and no suite; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(file) if file.exists() else {}
    for order in orders:
        if order not in known.values():
            known[secrets.token_hex(4)] = order
    _write(file, {name: asdict(order) for name, order in sorted(known.items())})
    return known


def _read(file: Path) -> dict[str, Order]:
    try:
        return {name: _order(**it) for name, it in json.loads(file.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EvidenceError(f"`{file}` cannot be read: {error}") from None


def _order(kind: str, family: str, seed: int, effort: dict[str, Any]) -> Order:
    return Order(kind, family, seed, Effort(**{**effort, "shape": Shape(**effort["shape"])}))


def _write(file: Path, value: object) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(file)  # crash point: the earlier file stays until the new one is whole


Told = Callable[[int, int, str], None]


def in_processes(works: Sequence[Callable[[], T]], jobs: int, told: Told) -> Iterator[T]:
    """What each piece of work gives, as they end, in so many processes. One job at a time runs here."""
    if works:
        told(0, len(works), "")
    if jobs == 1:
        yield from (work() for work in works)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield from (done.result() for done in as_completed([pool.submit(work) for work in works]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _base(order: Order, cache: Path | None) -> None:
    make_base(order, progress=_silent, cache=cache)


def _make(name: str, order: Order, folder: Path, cache: Path | None) -> Refused | None:
    try:
        make(order, folder, progress=_silent, cache=cache)
    except EvidenceError as error:
        return Refused(name, str(error))
    return None


def _silent(stage: str, done: int, total: int, note: str = "") -> None:
    """A process of the pool has no terminal; the suite's bar counts organisms."""
