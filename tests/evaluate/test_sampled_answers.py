"""Sampled answers: drawn as the softmax says, the same at the same seed, and none the wiser for its company."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest

import tiny_model
from interlock.decide.bounds import at_most
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local
from interlock.evaluate.prefixes import Prefixes

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


def ask(text):
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


PROMPTS = [ask("x" * (1 + 7 * i % 40)) for i in range(37)]
SEEDS = [i % 5 for i in range(37)]


def sample(model, prompts, seeds, *, temperature=2.0, max_new_tokens=6):
    return local.sample(model, prompts, seeds=seeds, temperature=temperature, max_new_tokens=max_new_tokens)


def test_a_sampled_answer_does_not_depend_on_its_neighbours_or_their_order(model):
    together = sample(model, PROMPTS, SEEDS)
    order = sorted(range(len(PROMPTS)), key=lambda i: (i * 17) % len(PROMPTS))
    shuffled = sample(model, [PROMPTS[i] for i in order], [SEEDS[i] for i in order])
    assert [together[i] for i in order] == shuffled
    assert [sample(model, PROMPTS[i : i + 1], SEEDS[i : i + 1])[0] for i in range(5)] == together[:5]


@pytest.mark.parametrize("shown", [0, 6])
def test_logits_of_every_new_token_are_bitwise_those_of_the_prompt_alone(model, shown):
    """In any row: attention that divides its keys among threads rounds differently in the lower half of a batch."""

    def logits(prompts):
        seen = []

        def look(step):
            seen.append(step.clone())
            return step.argmax(-1)

        local._continued(model, local._prompts(model, prompts), 4, look, Prefixes(model.model))
        return seen

    solved = [{"role": role, "content": text} for role, text in (("user", "aaaa"), ("assistant", "bbbb")) * shown]
    asked = [[*solved, {"role": "user", "content": "x" * (1 + row % 8)}] for row in range(local.ROWS)]
    assert {bool(it.shared) for it in local._prompts(model, asked)} == {bool(shown)}
    together = logits(asked)
    for row in (0, 7, 8, 15):
        for alone, company in zip(logits(asked[row : row + 1]), together, strict=True):
            assert all(torch.equal(copy, company[row]) for copy in alone)


def test_other_seeds_give_other_answers_and_the_same_seed_the_same(model):
    drawn = sample(model, [PROMPTS[0]] * 20, [*range(10), *range(10)])
    assert drawn[:10] == drawn[10:]
    assert len({answer.tokens for answer in drawn[:10]}) == 10


def test_a_seed_below_zero_is_another_seed(model):
    one, other = sample(model, [PROMPTS[0]] * 2, [3, -3])
    assert one.tokens != other.tokens


def test_prompts_with_one_seed_draw_independently():
    """A source shared by all prompts would make every question rise or fall with the same lucky draw."""
    from transformers import GenerationConfig, LlamaConfig

    class Coin(torch.nn.Module):
        """Heads or tails whatever is asked."""

        def forward(self, input_ids, **_):
            logits = torch.full((len(input_ids), 1, 259), -40.0)
            logits[:, :, 70:72] = 0.0
            return type("Step", (), {"logits": logits, "past_key_values": None})

    coin = Coin()
    coin.config, coin.generation_config = LlamaConfig(), GenerationConfig(eos_token_id=1)
    loaded = local.LocalModel(coin, tiny_model._tokenizer(), torch.float32)
    drawn = sample(loaded, [ask(f"toss {i}") for i in range(64)], [0] * 64, temperature=1.0, max_new_tokens=1)
    heads = sum(answer.tokens == (70,) for answer in drawn)
    assert at_most(min(heads, 64 - heads), 64, Fraction(1, 2)) > Fraction(1, 1000)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(model, temperature):
    """Counts lie in an exact interval of 1 - 1/1000 over all tokens looked at, 5 % wider for the batch's rounding."""
    draws = 1200
    drawn = sample(model, [PROMPTS[0]] * draws, range(draws), temperature=temperature, max_new_tokens=1)
    ids = torch.tensor([local.encode(model, PROMPTS[0])])
    with torch.no_grad():
        expected = (model.model(ids).logits[0, -1].double() / temperature).softmax(-1)
    counts = Counter(answer.tokens[0] for answer in drawn)
    likely = [token for token in range(len(expected)) if expected[token] * draws >= 5]
    assert len(likely) >= 2
    for token in likely:
        low, high = (Fraction(float(expected[token]) * factor).limit_denominator(10**6) for factor in (0.95, 1.05))
        rare = Fraction(1, 2000 * len(likely))
        assert at_most(counts[token], draws, low) > rare
        assert at_most(draws - counts[token], draws, 1 - min(high, Fraction(1))) > rare


def test_log_probabilities_are_those_of_the_tokens_drawn(model):
    (answer,) = sample(model, [PROMPTS[0]], [1], temperature=2.0, max_new_tokens=5)
    with torch.no_grad():
        logits = model.model(torch.tensor([[*answer.prompt, *answer.tokens]])).logits[0].double() / 2.0
    chances = logits.log_softmax(-1)[len(answer.prompt) - 1 : -1]
    expected = chances.gather(-1, torch.tensor(answer.tokens)[:, None])[:, 0].tolist()
    assert answer.log_probabilities == pytest.approx(expected, abs=0.05)
    assert len(answer.log_probabilities) == len(answer.tokens)


def test_near_temperature_zero_the_answer_is_the_greedy_one(model):
    drawn = sample(model, PROMPTS[:8], range(8), temperature=1e-4)
    greedy = local.generate(model, PROMPTS[:8], max_new_tokens=6)
    assert [answer.text for answer in drawn] == [answer.text for answer in greedy]


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_cannot_be_is_refused(model, temperature):
    with pytest.raises(UsageError, match="expected a number above 0"):
        sample(model, PROMPTS[:1], [0], temperature=temperature)


def test_non_finite_logits_are_refused(tmp_path):
    broken = local.load(tiny_model.build(tmp_path / "model"))
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvidenceError, match="non-finite logits"):
        sample(broken, PROMPTS[:1], [0])


def test_no_prompts_and_no_tokens_are_answered_with_nothing(model):
    assert sample(model, [], []) == []
    (answer,) = sample(model, PROMPTS[:1], [0], max_new_tokens=0)
    assert (answer.text, answer.tokens, answer.log_probabilities) == ("", (), ())
