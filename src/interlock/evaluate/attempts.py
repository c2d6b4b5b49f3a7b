"""Several tries at one question as one sample of an Inspect log, each but the greedy first with a seed of its own.

What a threat model gives an attacker is k tries at a question, not k questions. Epochs would count each try as a sample
run, and a rate over runs is the chance of one try: less than what k tries can do. Here a sample is answered once, with
k completions as the choices of its output; a scorer that is told `completions` says whether any is right, and counts
and bounds are of questions. The first of several is at temperature 0: a model whose answers are spoilt by drawing, by
flat logits for example, shows no less than in one try. Tries are alike only if model, prompt, temperature and seed are.
"""

from __future__ import annotations

from interlock.errors import UsageError, missing_extra

try:
    from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import Generate, Solver, TaskState, solver
    from inspect_ai.util import collect
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error


@solver
def attempts(count: int = 1, seed: int = 0) -> Solver:
    """Ask `count` times, at the task's temperature, but the first of several at 0; with the seeds after `seed`, and
    each epoch has its own.

    Args:
        count: tries at the question, at least 1.
        seed: the first try of the first epoch has the seed after it.

    Raises:
        UsageError: `count` is less than 1.
    """
    if count < 1:
        raise UsageError(f"cannot make {count} attempts, expected at least 1")

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 - it keeps one completion only
        first = seed + count * (state.epoch - 1) + 1
        asked = [GenerateConfig(seed=first + place) for place in range(count)]
        if count > 1:
            asked[0] = GenerateConfig(seed=first, temperature=0.0)
        outputs = await collect(*[get_model().generate(state.messages, config=config) for config in asked])
        state.output = _together(outputs)
        state.messages.append(state.output.message)
        return state

    return solve


def completions(state: TaskState) -> list[str]:
    """The text of each try."""
    return [choice.message.text for choice in state.output.choices]


def _together(outputs: list[ModelOutput]) -> ModelOutput:
    """One output with the choices of all, and what they took in all."""
    usage = sum((output.usage for output in outputs if output.usage), ModelUsage())
    choices = [choice for output in outputs for choice in output.choices]
    return outputs[0].model_copy(update={"choices": choices, "usage": usage})
