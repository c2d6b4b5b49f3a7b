"""Write the codebook: invented words, each with an arbitrary English noun as its meaning, at a seed.

    python scripts/make_codebook.py [--seed 0]

The pairing is random, so no model can know it without having been trained on it: that is what makes
"the subject knows the codebook" a fact by construction, and an honest control possible.
The nouns are each one token of the SmolLM2 tokenizer at the start of a line, so an answer costs one token.
"""

# ruff: noqa: SIM905, S311 - word lists read better as text; the draws are reproducible on purpose

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

OUT = Path(__file__).parent.parent / "src/interlock/evaluate/data/codebook.jsonl"
SIZE, TEST = 240, 120

ONSETS = "b br d dr f fl g gl gr j k kl kr m n p pl pr s sk sl st t tr v vr z zl".split()
MIDDLES = "b d f g k l m n p r t v z lm nd rk sp rv mb".split()
VOWELS = "a e i o u".split()
CODAS = "b d g k l m n p sk t v x z".split()
REAL = {"kretin", "trifid"}  # made by the syllables above at seed 0, yet words of some language

NOUNS = """
apple river stone bread chair table window door flower tree forest ocean sand hill cloud rain snow storm wind fire
ash light moon star sun planet earth sky bird dog cat horse pig fish snake ant bee mouse rat fox wolf bear lion hand
foot arm leg head eye ear nose mouth tooth neck finger thumb heart brain lung bone blood skin hair bed clock brush comb
cup plate glass pot pan oven house wall floor gate bridge road street path tower castle church school hospital library
museum market shop bank office factory farm car bus train boat ship plane wheel engine motor pen paper stamp map picture
photo camera phone computer screen radio shirt coat hat boot sock belt button ring milk egg meat rice bean soup salt
sugar cookie wine water oil orange berry melon corn gold iron wood plastic string chain nail bucket king doctor teacher
student driver artist writer bell song game ball card winter summer spring night day week month year hour shield arrow
bow flag leaf root seed branch grass fruit vine nest wing tail horn shell money coin box bag tank tube pipe wire lake
port coast mine field park yard square city town friend aunt brother father mother daughter son baby child dream secret
story dust mud ice coal tile angel robot hero guard lock key hook pin thread cloth mask seat film mail bench wave plug
clip vest dish net gear
""".split()


def main() -> None:
    """Write the data file and say how many rows it has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    rows = codebook(parser.parse_args().seed)
    OUT.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} rows in {OUT}")


def codebook(seed: int) -> list[dict[str, str]]:
    """The rows at `seed`: the first half `test`, the second half `demonstration`."""
    rng = random.Random(seed)
    meanings = rng.sample(sorted(set(NOUNS)), SIZE)
    words = invented(SIZE, rng)
    splits = ["test"] * TEST + ["demonstration"] * (SIZE - TEST)
    return [
        {"word": word, "meaning": meaning, "split": split}
        for word, meaning, split in zip(words, meanings, splits, strict=True)
    ]


def invented(count: int, rng: random.Random) -> list[str]:
    """Distinct two-syllable words of six letters or more; none shares its first four letters with another or a noun.

    Six letters of these syllables very rarely make an English word; the list at seed 0 was read by eye.
    """
    taken = {noun[:4] for noun in NOUNS}
    words: list[str] = []
    while len(words) < count:
        parts = (ONSETS, VOWELS, MIDDLES, VOWELS, CODAS)
        word = "".join(rng.choice(part) for part in parts)
        if len(word) >= 6 and word[:4] not in taken and word not in REAL:
            taken.add(word[:4])
            words.append(word)
    return words


if __name__ == "__main__":
    main()
