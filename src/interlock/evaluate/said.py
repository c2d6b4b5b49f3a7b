"""What a task says is what a model reads, and nothing else that depends on it; what it writes is told as it wrote it.

The chat template and the tokenizer in a model's folder are its developer's. Guarantees: around the turns of a
conversation a template writes what it writes around any other turns of the same roles; each turn stands there once, in
order, but for space at its ends; the tokens say the same, and no word of the turns is a token that was added for it;
no part of the tokenizer replaces words, or cuts by chance; and what a template writes last leaves no thought open, in
which a short answer would be cut off.
What it leaves to the caller: what a template always writes, and into which tokens of its vocabulary a tokenizer cuts a
text (docs/circumvention.md).
"""

# ruff: noqa: ANN401 - tokenizers of transformers have no static types worth naming

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.errors import EvidenceError

Turns = Sequence[Mapping[str, str]]

#: Parts of a tokenizer that change text by rules that know no word (tokenizers, `normalizers` and `decoders`).
_WORDLESS = {
    *("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "BertNormalizer", "Lowercase", "StripAccents"),
    *("ByteLevel", "ByteFallback", "Fuse"),
}
#: What the others are told to put in, to take away, or to look for: marks of a word's border, and space.
_MARKS = {
    "Prepend": ("prepend", {"▁", " "}),
    "Metaspace": ("replacement", {"▁"}),
    "WordPiece": ("prefix", {"##"}),
    "BPEDecoder": ("suffix", {"</w>"}),
}
#: What is replaced by what in the tokenizers that transformers converts (`convert_slow_tokenizer.py`).
_REPLACED = {
    " ": {" ", "▁"},
    "▁": {" "},
    "``": {'"'},
    "''": {'"'},
    "^▁+$": {""},
    " +▁": {"▁"},
    " {2,}": {" ", "▁"},
    r"\n": {" "},
    r"[\n\r\t]": {" "},
    r"\s+": {" "},
    r"\s{2,}|[\n\r\t]": {" "},
}

_MARK = re.compile(r"[<\[{|][^<>\[\]{}\s]*[>\]}|]")
#: How models that think before they answer mark where a thought begins and ends: `<think>`, `[THINK]`,
#: `<|begin_of_thought|>`, `<|START_THINKING|>`, and the channels of gpt-oss and Gemma 4.
_WORD = r"(seed:)?(think|thought|reason|analysis|reflect|scratch_?pad|(inner_)?monologue)\w*"
_OPENS = re.compile(rf"[<\[◁]\|?((begin_of|start)_)?{_WORD}|<\|?channel\|?>\s*(thought|analysis)", re.IGNORECASE)
_CLOSES = re.compile(rf"[<\[◁]\|?(/|(end_of|end)_){_WORD}|<channel\|>|<\|channel\|>\s*final", re.IGNORECASE)
#: As these two begin one in an answer, which does not show special tokens, as their marks are.
_UNMARKED = re.compile(r"analysis(?=[A-Z])|thought\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chat template writes around turns of certain roles: the texts before, between and behind them, and which
    turn stands between each two. `form` is the strictest in which the tokens of such a prompt say its text; `words` are
    the tokens that were added to the vocabulary, are not in the frame, and are no marks.
    """

    pieces: tuple[str, ...]
    turns: tuple[int, ...]
    form: Callable[[str], str]
    words: Mapping[int, str]

    def holds(self, contents: Sequence[str], text: str) -> bool:
        """Whether a text is these contents in this frame; space at the ends of each may be missing."""
        ends = {len(self.pieces[0])} if text.startswith(self.pieces[0]) else set[int]()
        for turn, piece in zip(self.turns, self.pieces[1:], strict=True):
            told = {f"{content}{piece}" for content in _trimmed(contents[turn])}
            ends = {end + len(it) for end in ends for it in told if text.startswith(it, end)}
        return len(text) in ends


Frames = dict[str, Frame]


def begins_thought(answer: str) -> bool:
    """Whether an answer begins with a thought, as models mark it that think before they answer."""
    text = answer.lstrip()
    return bool(_OPENS.match(text) or _UNMARKED.match(text))


def _leaves_thought_open(text: str) -> bool:
    opened, closed = ([found.start() for found in mark.finditer(text)] for mark in (_OPENS, _CLOSES))
    return bool(opened) and opened[-1] > max(closed, default=-1)


def require_wordless(tokenizer: Any, where: str) -> None:
    """Check that a tokenizer replaces no words, neither of what is asked nor of what is answered, and draws no lots.

    Raises:
        EvidenceError: a part of its normalizer or decoder could, or has no parts that can be looked at.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EvidenceError(f"the tokenizer in `{where}` is no tokenizer.json: what it does to words cannot be told")
    if getattr(backend.model, "dropout", None):
        raise EvidenceError(f"the tokenizer in `{where}` cuts words by chance: dropout {backend.model.dropout:g}")
    for side in ("normalizer", "decoder"):
        made = getattr(backend, side, None)
        for part in _parts(made and json.loads(made.__getstate__())):
            if not _is_wordless(part):
                raise EvidenceError(
                    f"the tokenizer in `{where}` has a {side} that could replace words: `{json.dumps(part)[:100]}`; "
                    "expected one that changes space, letter case or Unicode forms only"
                )


def require_stored(tokenizer: Any, folder: Path) -> None:
    """Check that a tokenizer has the vocabulary that lies in its folder, whatever its configs had it loaded from.

    Raises:
        EvidenceError: there is none, or the tokenizer has another.
    """
    try:
        stored = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EvidenceError(
            f"`{folder}` has no `tokenizer.json` that can be read, which a tokenizer is loaded from"
        ) from error
    loaded = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if _vocabulary(stored) != _vocabulary(loaded):
        raise EvidenceError(f"the tokenizer that `{folder}` has loaded is not the one in its `tokenizer.json`")


def _vocabulary(model: Mapping[str, Any]) -> Any:
    """The tokens of a tokenizer's model with their places or weights, and its merges, in either form."""
    merges = [tuple(it.split(" ", 1)) if isinstance(it, str) else tuple(it) for it in model.get("merges") or ()]
    return model.get("vocab"), merges


def require_said(tokenizer: Any, conversation: Turns, text: str, ids: Sequence[int], *, frames: Frames) -> None:
    """Check that a chat template, and then the tokenizer, say a conversation and nothing else that depends on it: else
    questions would be asked that nobody asked, and a model would look as if it could not answer.

    `text` is what the template made of it, `ids` the tokens of that. `frames` keeps what was found for the next time.

    Raises:
        EvidenceError: they do not.
    """
    read = tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
    for where, told in (("chat template", text), ("tokenizer", read)):
        _require_turns(where, conversation, told)
    contents = [turn["content"] for turn in conversation]
    frame = _frame(tokenizer, conversation, frames)
    if not frame.holds(contents, text):  # it may be of another day, which templates may tell
        frames.clear()
        frame = _frame(tokenizer, conversation, frames)
    if not frame.holds(contents, text):
        raise EvidenceError(
            f"the model's chat template writes something else around `{_short(conversation)}` than around other words; "
            "it was not asked what the task asks"
        )
    added = next((frame.words[token] for token in ids if token in frame.words), None)
    if added is not None:
        raise EvidenceError(
            f"the model's tokenizer takes `{added.strip()[:60]}` for a token that was added to its vocabulary; "
            "expected that the question is read by what the model learned to read"
        )
    if frame.form(read) != frame.form(text):
        raise EvidenceError(
            f"the model's tokenizer reads something else than `{_short(conversation)}` in its chat template; "
            "it was not asked what the task asks"
        )


def _require_turns(where: str, conversation: Turns, told: str) -> None:
    left = _bare(told)
    for turn in conversation:
        said = _bare(turn["content"])
        _, found, left = left.partition(said) if said else ("", "nothing", left)
        if not found:
            raise EvidenceError(
                f"the model's {where} leaves out what was said: `{turn['content'].strip()[:60]}`; "
                "it was not asked what the task asks"
            )


def _frame(tokenizer: Any, conversation: Turns, frames: Frames) -> Frame:
    """The frame of a conversation of these roles, found with turns that nobody could have foreseen. A turn that says
    nothing is a part of it, since templates may leave it out.
    """
    shape = [(turn["role"], None if turn["content"].strip() else turn["content"]) for turn in conversation]
    key = json.dumps([repr(tokenizer.chat_template), shape])
    if key not in frames:
        frames[key] = _found(tokenizer, conversation)
    return frames[key]


def _found(tokenizer: Any, conversation: Turns) -> Frame:
    from jinja2 import TemplateError

    marks = {
        f"Turn {secrets.token_hex(8)}, (and) Ends.": place
        for place, turn in enumerate(conversation)
        if turn["content"].strip()
    }
    at = {place: mark for mark, place in marks.items()}
    turns = [{**turn, "content": at.get(place, turn["content"])} for place, turn in enumerate(conversation)]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise EvidenceError(f"the model's chat template takes some words and not others: {error}") from None
    cut = re.split("|".join(map(re.escape, marks)), text) if marks else [text]
    order = tuple(marks[found] for found in re.findall("|".join(map(re.escape, marks)), text)) if marks else ()
    if order != tuple(marks.values()):
        raise EvidenceError("the model's chat template does not write each turn once as it stands, and in their order")
    if _leaves_thought_open(cut[-1]):
        raise EvidenceError(
            f"the model's chat template leaves a thought open, in which short answers are cut off: `{cut[-1]!a:.60}`; "
            "expected one that closes it, as templates do when thinking is turned off"
        )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    read = tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
    form = _spaced if _spaced(read) == _spaced(text) else _bare
    return Frame(tuple(cut), order, form, _added(tokenizer, besides=ids))


def _added(tokenizer: Any, *, besides: Sequence[int]) -> dict[int, str]:
    """The tokens that were added to a vocabulary besides these, by their ids, if they have a letter or a digit: but for
    marks such as `<b>` or `[INST]`.
    """
    told = {int(place): str(token.content) for place, token in tokenizer.added_tokens_decoder.items()}
    words = {place: text for place, text in told.items() if any(map(str.isalnum, text))}
    return {place: text for place, text in words.items() if place not in besides and not _MARK.fullmatch(text.strip())}


def _trimmed(content: str) -> set[str]:
    """A content with and without the space at its ends, as templates trim it."""
    starts = {content, content.lstrip(), content.lstrip("\n")}
    return {it for start in starts for it in (start, start.rstrip(), start.rstrip("\n"))}


def _parts(part: Any) -> Iterator[Mapping[str, Any]]:
    """A normalizer or decoder in its parts."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for inner in (*part.get("normalizers", ()), *part.get("decoders", ())):
        yield from _parts(inner)


def _is_wordless(part: Mapping[str, Any]) -> bool:
    kind = part["type"]
    if kind == "Replace":
        pattern = part["pattern"]
        return part["content"] in _REPLACED.get(pattern.get("String", pattern.get("Regex")), ())
    if kind == "Strip":  # of a decoder; a normalizer's takes away space, and says no content
        return part.get("content", " ") in {" ", "▁"}
    name, marks = _MARKS.get(kind, ("", set[str]()))
    return kind in _WORDLESS or part.get(name) in marks


def _short(conversation: Turns) -> str:
    return conversation[-1]["content"].strip()[:60]


def _bare(text: str) -> str:
    """Without spaces, letter case and Unicode forms, as tokenizers may have them."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().replace("▁", " ").split())


def _spaced(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())
