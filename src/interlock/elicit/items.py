"""Questions with answers, and which of them an elicitation may see.

Guarantees: demonstrations, development and test questions share no family and no text, and within a part what asks the
same is of one family; an elicitor is given `Material`, which has no test questions in it. That a question is worth
asking, and that its answer is right, is left to its author.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from interlock.elicit import grading
from interlock.errors import UsageError

Turn = dict[str, str]
Part = Literal["demonstration", "dev", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
ROLES = ("system", "user", "assistant")

#: Two texts with this share of word triples in common or more are near-duplicates (Jaccard index).
NEAR = 0.8
_SHINGLE = 3  # words
_LEAST_WORDS = 12  # shorter texts are duplicates only if they are equal: templates make short texts look alike
_WORD = re.compile(r"\w+")
_OPTION = re.compile(r"(?:^|\s)[(\[]?(\w)[.):\]](?=\s)")
_MEMBERS = {"id", "family", "input", "target", "choices", "part"}


@dataclass(frozen=True, slots=True)
class Item:
    """One question: chat messages up to the model's turn, and the answer that is right.

    Items that are made alike (of one template, about one fact) share a `family`; no split cuts through a family. With
    `choices` the answer is one of them.
    """

    id: str
    family: str
    messages: tuple[Turn, ...]
    target: str
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the user's last message says."""
        return self.messages[-1]["content"]


@dataclass(frozen=True, slots=True)
class Material:
    """What an elicitor may use: questions to learn from, and others to choose settings with. Never the test."""

    demonstrations: tuple[Item, ...]
    dev: tuple[Item, ...]
    grade: grading.Grade
    max_new_tokens: int

    @property
    def digest(self) -> str:
        """SHA-256 in hex over its questions, in their order, and how they are graded."""
        parts = [[_row(item) for item in part] for part in (self.demonstrations, self.dev)]
        head = {"grade": self.grade, "max_new_tokens": self.max_new_tokens, "items": parts}
        return hashlib.sha256(json.dumps(head, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def first(self, count: int) -> Material:
        """The same with only the first `count` demonstrations.

        Raises:
            UsageError: there are fewer.
        """
        if not 0 < count <= len(self.demonstrations):
            raise UsageError(f"cannot use {count} demonstrations, expected 1 to {len(self.demonstrations)}")
        return Material(self.demonstrations[:count], self.dev, self.grade, self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of one evaluation in their three parts, and how an answer is graded."""

    name: str
    grade: grading.Grade
    max_new_tokens: int
    demonstrations: tuple[Item, ...]
    dev: tuple[Item, ...]
    test: tuple[Item, ...]

    @property
    def material(self) -> Material:
        """What an elicitor may see."""
        return Material(self.demonstrations, self.dev, self.grade, self.max_new_tokens)

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all questions, their parts and how they are graded."""
        rows = [[p, _row(item)] for p in PARTS for item in self.of(p)]
        head = {"grade": self.grade, "max_new_tokens": self.max_new_tokens, "items": rows}
        return hashlib.sha256(json.dumps(head, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def of(self, part: Part) -> tuple[Item, ...]:
        """The questions of a part."""
        return {"demonstration": self.demonstrations, "dev": self.dev, "test": self.test}[part]


def questions(
    name: str, parts: Mapping[Part, Sequence[Item]], *, grade: grading.Grade, max_new_tokens: int
) -> Questions:
    """Questions whose parts are checked to be apart.

    Raises:
        UsageError: no demonstrations or no test questions, an item that cannot be used, parts that overlap, or a part
            with copies in several families.
    """
    for part in ("demonstration", "test"):
        if not parts.get(part):
            raise UsageError(f"`{name}` has no {part} questions, expected at least one")
    every = [item for part in PARTS for item in parts.get(part, ())]
    _check_items(every, grade)
    _check_apart(parts)
    for part in PARTS:
        _check_copies(parts.get(part, ()), part)
    first, dev, test = (tuple(parts.get(part, ())) for part in PARTS)
    return Questions(name, grade, max_new_tokens, first, dev, test)


def written(of: Questions) -> str:
    """The questions as JSON lines, which `read` reads."""
    rows = [
        {"id": it.id, "family": it.family, "input": list(it.messages), "target": it.target, "part": part}
        | ({"choices": list(it.choices)} if it.choices else {})
        for part in PARTS
        for it in of.of(part)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(path: Path) -> dict[Part | None, list[Item]]:
    """The items of a JSON-lines file by their `part`; None where the file names no part.

    A line has `input` (a text, or chat messages), `target`, and perhaps `id`, `family`, `choices` and `part`: the names
    of Inspect's samples. Without `family` an item is a family of its own.

    Raises:
        UsageError: the file cannot be read, a line is malformed, or only some lines name a part.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read `{path}`: {error}") from None
    found: dict[Part | None, list[Item]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            part, item = _parse(line, f"{path}:{number}", number)
            found.setdefault(part, []).append(item)
    if not found:
        raise UsageError(f"`{path}` has no items, expected one JSON object a line")
    if None in found and len(found) > 1:
        raise UsageError(f"`{path}` names a `part` on some lines only, expected on all or on none")
    return found


def load(
    path: Path, *, grade: grading.Grade, max_new_tokens: int, dev: Fraction, test: Fraction, seed: int
) -> Questions:
    """The questions of a file. Where its lines name no part, they are divided by family (`split`).

    Raises:
        UsageError: as `read`, `split` and `questions`.
    """
    found = read(path)
    undivided = found.pop(None, None)
    parts = {part: found.get(part, []) for part in PARTS} if undivided is None else None
    if parts is None:
        parts = split(undivided or [], dev=dev, test=test, seed=seed)
    return questions(path.stem, dict(parts), grade=grade, max_new_tokens=max_new_tokens)


def split(items: Sequence[Item], *, dev: Fraction, test: Fraction, seed: int) -> dict[Part, list[Item]]:
    """Divide items by family: about these shares for dev and test, the rest for demonstrations.

    Families are taken in the order of SHA-256(seed, family): who knows the seed can divide them again, and adding an
    item moves no other.

    Raises:
        UsageError: the shares leave nothing for demonstrations, or there are fewer than three families.
    """
    if not (dev >= 0 and test > 0 and dev + test < 1):
        raise UsageError(f"cannot give {dev} to dev and {test} to test, expected shares that leave some items")
    families = sorted({item.family for item in items}, key=lambda family: _rank(seed, family))
    if len(families) < 3:
        raise UsageError(f"cannot divide {len(families)} families in three parts, expected at least 3 families")
    tests = max(1, round(len(families) * test))
    devs = max(1, round(len(families) * dev)) if dev else 0
    of: dict[str, Part] = {}
    for place, family in enumerate(families):
        of[family] = "test" if place < tests else "dev" if place < tests + devs else "demonstration"
    parts: dict[Part, list[Item]] = {part: [] for part in PARTS}
    for item in sorted(items, key=lambda it: _rank(seed, it.family + "\n" + it.id)):
        parts[of[item.family]].append(item)
    return parts


def _check_items(items: Sequence[Item], grade: grading.Grade) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise UsageError(f"item `{item.id}` is there twice, expected each id once")
        seen.add(item.id)
        problem = _problem(item, grade)
        if problem:
            raise UsageError(f"item `{item.id}`: {problem}")


def _problem(item: Item, grade: grading.Grade) -> str:
    if not item.target.strip():
        return "its target is empty"
    if item.choices:
        return _problem_of_choices(item)
    asked = " ".join(normal(turn["content"]) for turn in item.messages)
    if f" {normal(item.target)} " in f" {asked} ":
        return f"the question contains its answer `{item.target}`"
    return grading.problem(grade, item.target)


def _problem_of_choices(item: Item) -> str:
    if len(item.choices) < 2 or any(not choice.strip() for choice in item.choices):
        return f"its choices are {list(item.choices)}, expected two or more that are not empty"
    twice = next((choice for choice in item.choices if item.choices.count(choice) > 1), None)
    if twice is not None:
        return f"it has the choice `{twice}` twice"
    return "" if item.target in item.choices else f"its target `{item.target}` is not one of its choices"


def _check_apart(parts: Mapping[Part, Sequence[Item]]) -> None:
    """Nothing that is tested may have been seen: no family, no text and no near-duplicate in two parts."""
    for one, two in (("demonstration", "test"), ("dev", "test"), ("demonstration", "dev")):
        left, right = parts.get(one, ()), parts.get(two, ())  # type: ignore[call-overload]  # both are parts
        shared = {item.family for item in left} & {item.family for item in right}
        if shared:
            raise UsageError(f"family `{min(shared)}` is in {one} and in {two}, expected it in one of them")
        for ours, theirs, how in overlaps(left, right):
            raise UsageError(f"item `{ours.id}` of {one} is {how} of item `{theirs.id}` of {two}")


def _check_copies(items: Sequence[Item], part: Part) -> None:
    """One question asked under several names is one question: in families of their own, copies would count as many."""
    first: dict[str, Item] = {}
    for item, text in zip(items, _bare(items).values(), strict=True):
        same = first.setdefault(text, item)
        if same.family != item.family:
            raise UsageError(
                f"item `{item.id}` of {part} asks the same as item `{same.id}` and is of another family, "
                "expected one `family` for both"
            )


def require_open(items: Iterable[Item], *, by: str) -> None:
    """Check that no item has choices: they are weighed, and nothing is drawn.

    Raises:
        UsageError: one has, and `by` asks for drawn answers.
    """
    for item in items:
        if item.choices:
            raise UsageError(f"item `{item.id}` has choices, which are weighed and never drawn: {by} is not for it")


def overlaps(left: Sequence[Item], right: Sequence[Item]) -> Iterator[tuple[Item, Item, str]]:
    """Pairs of items that ask the same: whose conversations are equal, or nearly equal, but for case, width, layout,
    punctuation, characters that nobody sees (`visible`), and the order and letters of options (`_options_sorted`).

    Nearly: of texts of at least 12 words, 80 % of their word triples in common (Jaccard index; Broder 1997, On the
    resemblance and containment of documents). What all items say alike at their start and end is left out first.
    """
    bare = _bare([*left, *right])
    exact = {bare[item.id]: item for item in right}
    by_shingle: dict[tuple[str, ...], list[Item]] = {}
    shingles = {item.id: _shingles(bare[item.id]) for item in [*left, *right]}
    for item in right:
        for shingle in shingles[item.id]:
            by_shingle.setdefault(shingle, []).append(item)
    for item in left:
        if bare[item.id] in exact:
            yield item, exact[bare[item.id]], "a duplicate"
        ours = shingles[item.id]
        for theirs in {it.id: it for shingle in ours for it in by_shingle.get(shingle, ())}.values():
            both = shingles[theirs.id]
            if bare[item.id] != bare[theirs.id] and len(ours & both) >= NEAR * len(ours | both):
                yield item, theirs, "a near-duplicate"


def normal(text: str) -> str:
    """Its words in lower case, one space apart, in compatibility form (Unicode NFKC)."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def visible(text: str) -> str:
    """The text in compatibility form (Unicode NFKC) and lower case, without format characters (category Cf), which
    nobody sees: zero-width spaces and joiners, soft hyphens, marks of direction.
    """
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold()


def _bare(items: Sequence[Item]) -> dict[str, str]:
    """What each item asks, in words: its last message, and all before it, each without what all items say alike."""
    before = _without_template([_words(item.messages[:-1]) for item in items])
    last = _without_template([_words(item.messages[-1:]) for item in items])
    return {item.id: " ".join([*one, *two]) for item, one, two in zip(items, before, last, strict=True)}


def _words(turns: Sequence[Turn]) -> list[str]:
    """The normal words of messages, or, where they have none, what stands between spaces."""
    text = _options_sorted(visible("\n".join(turn["content"] for turn in turns)))
    return normal(text).split() or text.split()


def _options_sorted(text: str) -> str:
    """A text in lower case with each list of options (`a)`, `(b)`, `1.`, ...) in the order of what they say, without
    their marks; what follows an option in further lines comes after the list.
    """
    lists: list[list[re.Match[str]]] = []
    for mark in _OPTION.finditer(text):
        if lists and ord(mark[1]) == ord(lists[-1][-1][1]) + 1:
            lists[-1].append(mark)
        elif mark[1] in "a1":
            lists.append([mark])
    lists = [marks for marks in lists if len(marks) > 1]
    starts = [*(marks[0].start() for marks in lists), len(text)]
    told = [text[: starts[0]]]
    for marks, end in zip(lists, starts[1:], strict=True):
        stops = [*(mark.start() for mark in marks[1:]), end]
        options = [text[mark.end() : stop].strip().partition("\n") for mark, stop in zip(marks, stops, strict=True)]
        told += [*sorted(option for option, _, _ in options), *(rest for _, _, rest in options)]
    return "\n".join(told)


def _without_template(told: Sequence[list[str]]) -> list[list[str]]:
    """Texts, in words, without the words that all begin or end with: nothing, if all are the same."""
    if all(words == told[0] for words in told):
        return [[] for _ in told]
    least = min((len(words) for words in told), default=0)
    start = next((i for i in range(least) if len({words[i] for words in told}) > 1), 0)
    end = next((i for i in range(least - start) if len({words[-1 - i] for words in told}) > 1), 0)
    return [words[start : len(words) - end] for words in told]


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    if len(words) < _LEAST_WORDS:
        return frozenset()
    return frozenset(tuple(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1))


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()


def _row(item: Item) -> list[Any]:
    return [item.id, item.family, list(item.messages), item.target, list(item.choices)]


def _parse(line: str, where: str, number: int) -> tuple[Part | None, Item]:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: not JSON: {error}") from None
    if not isinstance(told, dict):
        raise UsageError(f"{where}: got {type(told).__name__}, expected an object")
    unknown = sorted(told.keys() - _MEMBERS)
    if unknown:
        raise UsageError(f"{where}: unknown member `{unknown[0]}`, expected {', '.join(sorted(_MEMBERS))}")
    name = _string(told, "id", where) if "id" in told else str(number)
    family = _string(told, "family", where) if "family" in told else name
    choices = told.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise UsageError(f"{where}: `choices` must be a list of texts")
    if "choices" in told and not choices:
        raise UsageError(f"{where}: `choices` is empty, expected two or more")
    part = told.get("part")
    if part is not None and part not in PARTS:
        raise UsageError(f"{where}: `part` is `{part}`, expected {', '.join(PARTS)}")
    return part, Item(name, family, _messages(told, where), _string(told, "target", where), tuple(choices))


def _messages(told: dict[str, Any], where: str) -> tuple[Turn, ...]:
    given = told.get("input")
    if isinstance(given, str) and given.strip():
        return ({"role": "user", "content": given},)
    if not isinstance(given, list) or not given:
        raise UsageError(f"{where}: `input` must be a text or a list of messages")
    for turn in given:
        if not isinstance(turn, dict) or turn.keys() != {"role", "content"} or turn["role"] not in ROLES:
            raise UsageError(f"{where}: a message of `input` must have a `role` ({', '.join(ROLES)}) and a `content`")
        if not isinstance(turn["content"], str):
            raise UsageError(f"{where}: the `content` of a message must be a text")
    if given[-1]["role"] != "user":
        raise UsageError(f"{where}: the last message of `input` is by `{given[-1]['role']}`, expected `user`")
    return tuple(given)


def _string(told: dict[str, Any], name: str, where: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}: `{name}` must be a text that is not empty")
    return value


def digest(items: Iterable[Item]) -> str:
    """SHA-256 in hex over items, in their order."""
    rows = [_row(item) for item in items]
    return hashlib.sha256(json.dumps(rows, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def ids(items: Iterable[Item]) -> tuple[str, ...]:
    """The ids of items, in their order."""
    return tuple(item.id for item in items)
