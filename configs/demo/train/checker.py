"""Says what a clip shows: background, colour, motion and shape of its one object, from the pixels alone.

Background and colour are the nearest of the data's colours, motion follows from the object's place and area over time.
The shape is read by a linear map of the object's outline, brought to one place and size; `fit` makes that map from true
clips of training combinations, blurred and with noise as autoencoders do, and of no model's output. checker_fit.npz
holds it, so that the figures of different snapshots compare.

usage: checker.py (fits and writes checker_fit.npz)
"""

import pathlib

import numpy

import clips

FIT_FILE = pathlib.Path(__file__).parent / "checker_fit.npz"
GRID = 18            # outline samples along one side
REACH = 1.15         # the grid's half side, in square roots of the object's area


def check(video, weights=None):
    """video [frames, height, width, 3] uint8 -> dict of words; "motion" is None for a picture."""
    pixels = video.astype(numpy.float32)
    border = numpy.concatenate([pixels[:, :2].reshape(-1, 3), pixels[:, -2:].reshape(-1, 3),
                                pixels[:, :, :2].reshape(-1, 3), pixels[:, :, -2:].reshape(-1, 3)])
    background = numpy.median(border, 0)
    colour = object_colour(pixels, background)
    masks = coverage(pixels, background, colour)
    scores = shape_scores(masks, load_fit() if weights is None else weights)
    return {"background": nearest(background, clips.BACKGROUNDS), "colour": nearest(colour, clips.COLOURS),
            "motion": motion(masks) if len(video) > 1 else None, "shape": clips.SHAPES[int(scores.argmax())]}


def nearest(colour, named):
    return min(named, key=lambda name: numpy.square(numpy.array(named[name]) - colour).sum())


def object_colour(pixels, background):
    """Median of the 5 % of all pixels that differ most: the object's inside."""
    flat = pixels.reshape(-1, 3)
    distance = numpy.abs(flat - background).sum(1)
    return numpy.median(flat[distance >= numpy.quantile(distance, 0.95)], 0)


def coverage(pixels, background, colour):
    """How much of each pixel is the object's, [frames, height, width]."""
    way = colour - background
    return numpy.clip(((pixels - background) @ way) / max(float(way @ way), 1e-6), 0, 1)


def place_and_area(mask):
    mask = numpy.where(mask > 0.25, mask, 0)
    area = float(mask.sum()) + 1e-6
    rows, columns = numpy.mgrid[0:mask.shape[0], 0:mask.shape[1]]
    return float((mask * columns).sum()) / area, float((mask * rows).sum()) / area, area


def motion(masks):
    """A fifth of the clip at each end is averaged; a move is at least 12 % of the picture."""
    height, width = masks.shape[1:]
    x, y, area = numpy.array([place_and_area(m) for m in masks]).T
    x, y = x / width, y / height
    ends = max(1, len(masks) // 5)
    growth = numpy.sqrt(area[-ends:].mean() / area[:ends].mean())
    if growth > 1.35:
        return "growing"
    if growth < 1 / 1.35:
        return "shrinking"
    dx, dy = x[-ends:].mean() - x[:ends].mean(), y[-ends:].mean() - y[:ends].mean()
    if max(abs(dx), abs(dy)) > 0.12:
        if abs(dx) > abs(dy):
            return "moving left" if dx < 0 else "moving right"
        return "moving up" if dy < 0 else "moving down"
    return "bouncing" if y.max() - y.min() > 0.12 else "standing still"


def outline(mask):
    """The mask around the object's centre on a grid that grows with the object, [GRID * GRID]."""
    x, y, area = place_and_area(mask)
    steps = numpy.linspace(-REACH, REACH, GRID) * numpy.sqrt(area)
    return bilinear(mask, (y + steps)[:, None], (x + steps)[None, :]).ravel()


def bilinear(mask, rows, columns):
    padded = numpy.pad(mask, 1)
    rows = numpy.clip(rows + 1, 0, padded.shape[0] - 1.001)
    columns = numpy.clip(columns + 1, 0, padded.shape[1] - 1.001)
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = rows - r, columns - c
    return ((1 - fr) * ((1 - fc) * padded[r, c] + fc * padded[r, c + 1])
            + fr * ((1 - fc) * padded[r + 1, c] + fc * padded[r + 1, c + 1]))


def features(masks):
    flat = numpy.stack([outline(m) for m in masks])
    return numpy.concatenate([flat, flat ** 2, numpy.ones((len(flat), 1))], 1)


def shape_scores(masks, weights):
    """Mean over the frames."""
    return (features(masks) @ weights).mean(0)


def load_fit():
    return numpy.load(FIT_FILE)["weights"]


def blur(masks, radius):
    """Gaussian blur along both axes."""
    steps = numpy.arange(-4, 5)
    kernel = numpy.exp(-0.5 * (steps / radius) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        masks = sum(k * numpy.roll(masks, s, axis) for k, s in zip(kernel, steps))
    return masks


def fit(count=6000, ridge=20.0):
    random = numpy.random.default_rng(5)
    choices = clips.training_combinations()
    rows, targets = [], []
    for _ in range(count // 100):
        chosen = [choices[i] for i in random.integers(0, len(choices), 100)]
        scenes = clips.Scenes(chosen, *clips.SIZES[int(random.random() < 0.3)], random)
        masks = scenes.draw(random.random(100))[1]
        masks = blur(masks, random.uniform(0.3, 1.5)) + random.normal(0, random.uniform(0, 0.08), masks.shape)
        rows.append(features(numpy.clip(masks, 0, 1)))
        targets.append(numpy.eye(len(clips.SHAPES))[scenes.shape])
    x, y = numpy.concatenate(rows), numpy.concatenate(targets)
    weights = numpy.linalg.solve(x.T @ x + ridge * numpy.eye(x.shape[1]), x.T @ y)
    print(f"fitted on {len(x)} pictures, of which {((x @ weights).argmax(1) == y.argmax(1)).mean():.3f} right")
    return weights.astype(numpy.float32)


if __name__ == "__main__":
    numpy.savez_compressed(FIT_FILE, weights=fit())
