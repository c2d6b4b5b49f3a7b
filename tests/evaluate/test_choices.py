"""Weighing choices: equal to plain forward passes, whatever the company, and clear refusals."""

from __future__ import annotations

import json

import pytest

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import choices, local

torch = pytest.importorskip("torch")

SHOTS = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Is water wet?"},
    {"role": "assistant", "content": "yes"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return local.load(folder)


def ask(text, *texts, **settings):
    return choices.Question([*SHOTS, {"role": "user", "content": text}], texts or ("A", "B", "C"), **settings)


QUESTIONS = [
    *[ask("x" * (1 + 7 * i % 40)) for i in range(20)],
    *[ask("y" * (1 + 5 * i % 30), "no", "nothing", "perhaps" + "!" * (i % 5)) for i in range(12)],
    *[ask("z" * (3 + i), "left", "right", chat_template=False) for i in range(6)],
    *[choices.Question([{"role": "user", "content": "w" * (1 + i)}], ("a", "é", "ö")) for i in range(6)],
]


def plain(model, question):
    """One forward pass for each choice over all of its tokens, encoded as lm-evaluation-harness does."""
    tokenizer, found = model.tokenizer, []
    if question.chat_template:
        prompt = tokenizer.apply_chat_template(question.conversation, tokenize=False, add_generation_prompt=True)
    else:
        prompt = "".join(turn["content"] for turn in question.conversation)
    moved = prompt[len(prompt.rstrip()) :]
    context = tokenizer(prompt.rstrip(), add_special_tokens=False)["input_ids"]
    for text in question.choices:
        whole = tokenizer(prompt.rstrip() + moved + question.delimiter + text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model.model(input_ids=torch.tensor([whole])).logits[0]
        logprobs = logits.float().log_softmax(-1)
        found.append(sum(float(logprobs[i - 1, whole[i]]) for i in range(len(context), len(whole))))
    return found


def test_scores_equal_those_of_one_plain_forward_pass_a_choice(model):
    tolerance = 1e-4 if model.dtype == torch.float32 else 0.5
    scored = choices.score(model, QUESTIONS)
    for question, scores in zip(QUESTIONS, scored, strict=True):
        expected = plain(model, question)
        assert scores.logprobs == pytest.approx(expected, abs=tolerance)
        if model.dtype == torch.float32:
            assert choices.best(scores.logprobs, question.choices) == expected.index(max(expected))


def test_scores_do_not_depend_on_company_or_order(model):
    together = choices.score(model, QUESTIONS)
    order = sorted(range(len(QUESTIONS)), key=lambda i: (i * 17) % len(QUESTIONS))
    assert choices.score(model, [QUESTIONS[i] for i in order]) == [together[i] for i in order]
    for i in (0, 19, 25, 33, 40):
        assert choices.score(model, [QUESTIONS[i]]) == [together[i]]


def test_no_choice_sees_another(model):
    first, second = choices.score(model, [ask("q", "yes!", "never"), ask("q", "yes!", "maybe")])
    assert first.logprobs[0] == second.logprobs[0]
    assert first.logprobs[1] != second.logprobs[1]


def test_the_shared_part_is_computed_once_and_letters_take_one_pass(model, monkeypatch):
    seen, forward = [], model.model.forward
    scorer = choices.Scorer(model)
    monkeypatch.setattr(
        model.model, "forward", lambda **given: seen.append(tuple(given["input_ids"].shape)) or forward(**given)
    )
    items = [choices.encode(model, question) for question in QUESTIONS[:20]]
    for places in choices.plan(items):
        scorer.score([items[place] for place in places])
    assert seen.count((1, len(items[0].prefix))) == 1
    assert len(seen) == 1 + len(choices.plan(items))
    assert all(rows * width <= choices.BATCH_TOKENS for rows, width in seen[1:])


def test_batches_are_of_one_length_class_full_and_long_ones_first(model):
    items = [choices.encode(model, question) for question in QUESTIONS]
    planned = choices.plan(items)
    assert sorted(place for places in planned for place in places) == list(range(len(items)))
    assert all(len({(items[place].prefix, items[place].shape) for place in places}) == 1 for places in planned)
    widths = [items[places[0]].shape[0] for places in choices.plan(items[:20])]
    full = [len(places) == choices.BATCH_TOKENS // items[places[0]].shape[0] for places in choices.plan(items[:20])]
    assert {True, False} == set(full)
    order = [(not whole, -width) for whole, width in zip(full, widths, strict=True)]
    assert order == sorted(order)


def test_an_item_by_itself_is_cut_where_its_last_message_begins(model):
    item = choices.encode(model, ask("x"))
    text = model.tokenizer.apply_chat_template(SHOTS, tokenize=False)
    assert item.prefix[: len(text)] == tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_space_at_the_end_of_the_prompt_goes_to_the_choice(model):
    spaced = choices.Question([{"role": "user", "content": "Q: "}], ("a", "b"), "", chat_template=False)
    plainly = choices.Question([{"role": "user", "content": "Q:"}], ("a", "b"), " ", chat_template=False)
    assert choices.encode(model, spaced) == choices.encode(model, plainly)
    (item,) = [choices.encode(model, spaced)]
    assert [len(ids) for ids in item.choices] == [2, 2]


def test_bytes_favour_the_longer_choice_and_equals_go_to_the_first():
    texts = ["no", "a long answer"]
    assert choices.best([-4.0, -6.0], texts) == 0
    assert choices.best([-4.0, -6.0], texts, "bytes") == 1
    assert choices.best([-1.0, -1.0], ["a", "b"]) == 0
    assert choices.best([-4.0, -4.1], ["ab", "é"], "bytes") == 0  # two bytes each


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ((), "at least two choices, got 0"),
        (("only",), "at least two choices, got 1"),
        (("a", " "), "choice 2 of 2 is empty"),
        (("a", "b", "a"), "choices 1 and 3 are equal: `a`"),
    ],
)
def test_choices_that_are_none(model, texts, said):
    with pytest.raises(UsageError, match=said):
        choices.encode(model, choices.Question([{"role": "user", "content": "q"}], texts))


def test_a_prompt_longer_than_the_models_context_is_refused_and_never_cut(model):
    context = model.model.config.max_position_embeddings
    fits = len(choices.encode(model, ask("x")).rest) + len(choices.encode(model, ask("x")).prefix) - 1
    room = context - fits - 2  # of each choice, the header's newline and the delimiter are read, its letter is not
    choices.encode(model, ask("x" * room))
    with pytest.raises(UsageError, match=f"have {context + 1} tokens, expected at most {context}"):
        choices.encode(model, ask("x" * (room + 1)))


def test_an_empty_prompt_is_refused(model):
    with pytest.raises(UsageError, match="the prompt has no tokens"):
        choices.encode(model, choices.Question([{"role": "user", "content": " "}], ("a", "b"), chat_template=False))


def test_damaged_weights_are_refused(folder):
    broken = local.load(folder)
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvidenceError, match="non-finite logits"):
        choices.score(broken, [ask("x")])


def test_weights_that_break_in_one_token_only_are_refused(folder):
    broken = local.load(folder)
    with torch.no_grad():
        token = broken.tokenizer("~")["input_ids"][0]
        broken.model.get_input_embeddings().weight[token] = float("inf")
    with pytest.raises(EvidenceError, match="non-finite logits"):
        choices.score(broken, [ask("~")])


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    written = json.loads((folder / "tokenizer.json").read_text())
    written["model"]["vocab"]["Ġmore"] = 259
    (folder / "tokenizer.json").write_text(json.dumps(written))
    with pytest.raises(UsageError, match="is not this model's: it has tokens up to 259, expected at most 258"):
        local.load(folder)


def test_a_model_that_works_out_positions_itself_is_refused(folder, monkeypatch):
    stubborn = local.load(folder)
    forward = stubborn.model.forward
    monkeypatch.setattr(stubborn.model, "forward", lambda **given: forward(**{**given, "position_ids": None}))
    with pytest.raises(UsageError, match=r"cannot be scored with a `LlamaForCausalLM`: a trial is off by"):
        choices.score(stubborn, [ask("x")])


def test_a_recurrent_model_is_refused():
    from transformers import MambaConfig, MambaForCausalLM

    settings = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}
    with torch.random.fork_rng():
        recurrent = MambaForCausalLM(MambaConfig(**settings)).eval()
    with pytest.raises(UsageError, match="cannot be scored with a `MambaForCausalLM`"):
        choices.Scorer(local.LocalModel(recurrent, None, torch.float32))


def _too_big(model, monkeypatch, most):
    """A machine on which `most` rows fit in memory."""
    forward = model.model.forward

    def limited(**given):
        if len(given["input_ids"]) > most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")
        return forward(**given)

    monkeypatch.setattr(model.model, "forward", limited)


def test_out_of_memory_halves_the_batch_and_says_so(model, monkeypatch, caplog):
    questions = QUESTIONS[:20]
    expected = choices.score(model, questions)
    assert not any(scores.halved for scores in expected)
    _too_big(model, monkeypatch, most=3)
    scored = choices.score(model, questions)
    assert "the batch is halved, to" in caplog.text
    assert all(scores.halved for scores in scored)
    for scores, before in zip(scored, expected, strict=True):
        assert scores.logprobs == pytest.approx(before.logprobs, abs=1e-3 if model.dtype == torch.float32 else 0.5)


def test_an_item_that_does_not_fit_alone_is_named_by_its_size(model, monkeypatch):
    item = choices.encode(model, ask("x"))
    scorer = choices.Scorer(model)
    _too_big(model, monkeypatch, most=0)
    size = len(item.prefix) + len(item.rest)
    with pytest.raises(UsageError, match=f"out of memory: a question of {size} tokens does not fit even alone"):
        scorer.score([item])


def test_other_errors_of_the_model_are_not_taken_for_memory(model, monkeypatch):
    scorer = choices.Scorer(model)

    def broken(**_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        scorer.score([choices.encode(model, ask("x"))])
