"""Draws the held-out combinations once: every word equally often as far as 64 prompts allow."""

import json
import random

import clips

COUNT = 64


def draw():
    generator = random.Random(20)
    candidates = clips.combinations()
    chosen, used = [], {}
    while len(chosen) < COUNT:
        generator.shuffle(candidates)
        # The combination whose words (and whose pairs of words) were used least.
        best = min((c for c in candidates if c not in chosen), key=lambda c: cost(c, used))
        chosen.append(best)
        for key in keys(best):
            used[key] = used.get(key, 0) + 1
    return chosen


def keys(combination):
    words = list(enumerate(combination))
    return words + [(a, b) for a in words for b in words if a < b]


def cost(combination, used):
    return sum(used.get(k, 0) ** 2 * (10 if isinstance(k[0], int) else 1) for k in keys(combination))


if __name__ == "__main__":
    with open(clips.HELD_OUT_FILE, "w") as out:
        for i, (shape, colour, background, motion) in enumerate(draw()):
            row = {"id": f"held-out-{i + 1:02d}", "prompt": clips.caption(shape, colour, background, motion),
                   "shape": shape, "colour": colour, "background": background, "motion": motion}
            out.write(json.dumps(row) + "\n")
