"""The training data: captions and little clips of one object that moves over a plain background.

Lengths and places are in units of 1/64 of the shorter side of the picture, so that every size shows the same scenes.
A scene is drawn at any moment between 0 (first frame) and 1 (last frame); nothing is stored.
"""

import itertools
import json
import pathlib

import numpy

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = {
    "red": (220, 30, 30), "green": (30, 170, 50), "blue": (40, 70, 230), "yellow": (245, 220, 40),
    "purple": (150, 50, 190), "orange": (250, 140, 20), "cyan": (40, 210, 220), "white": (245, 245, 245),
}
BACKGROUNDS = {
    "black": (12, 12, 12), "gray": (128, 128, 128), "white": (245, 245, 245), "blue": (30, 50, 140),
    "green": (20, 90, 50), "pink": (245, 170, 190),
}
MOTIONS = ("moving left", "moving right", "moving up", "moving down", "bouncing", "growing", "shrinking")

# What the video pipeline appends to every prompt by default; the model learns both forms.
SUFFIX = " aesthetic score: 6.5."

FRAMES = 17
SIZES = ((48, 48), (48, 64))  # height, width
HELD_OUT_FILE = pathlib.Path(__file__).parent / "held_out_prompts.jsonl"


def combinations():
    """All (shape, colour, background, motion); an object never has the name of its background's colour."""
    return [c for c in itertools.product(SHAPES, COLOURS, BACKGROUNDS, MOTIONS) if c[1] != c[2]]


def held_out():
    """The combinations of the evaluation, which no training stage ever draws."""
    with open(HELD_OUT_FILE) as lines:
        rows = [json.loads(line) for line in lines]
    return [(r["shape"], r["colour"], r["background"], r["motion"]) for r in rows]


def training_combinations():
    left_out = set(held_out())
    return [c for c in combinations() if c not in left_out]


def caption(shape, colour, background, motion=None):
    """`motion` None: the caption of a picture."""
    article = "an" if colour[0] in "aeiou" else "a"
    return " ".join(filter(None, (article, colour, shape, motion, f"on a {background} background")))


class Scenes:
    """Scenes drawn at random for given combinations, in arrays with one entry a scene."""

    def __init__(self, chosen, height, width, random):
        count = len(chosen)
        self.chosen, self.height, self.width = list(chosen), height, width
        unit = min(height, width) / 64
        self.shape = numpy.array([SHAPES.index(c[0]) for c in chosen])
        self.motion = numpy.array([MOTIONS.index(c[3]) for c in chosen])
        self.colour = numpy.array([COLOURS[c[1]] for c in chosen], numpy.float32)
        self.background = numpy.array([BACKGROUNDS[c[2]] for c in chosen], numpy.float32)
        self.radius = random.uniform(12, 16, count) * unit
        self.travel = random.uniform(0.32, 0.44, count)
        # Room that is left for the object when its largest extent stays inside the picture.
        room_x = width / 2 - 1.3 * self.radius
        room_y = height / 2 - 1.3 * self.radius
        self.x = width / 2 + random.uniform(-0.8, 0.8, count) * room_x
        self.y = height / 2 + random.uniform(-0.8, 0.8, count) * room_y
        horizontal, vertical = self.motion <= 1, (self.motion >= 2) & (self.motion <= 4)
        self.x[horizontal] = (width / 2 + 0.15 * (self.x - width / 2))[horizontal]
        self.y[vertical] = (height / 2 + 0.15 * (self.y - height / 2))[vertical]

    def captions(self, with_motion=True):
        return [caption(*c[:3], c[3] if with_motion else None) for c in self.chosen]

    def at(self, moments):
        """Centre x, centre y and radius at `moments` [scenes]."""
        x, y, radius = self.x.copy(), self.y.copy(), self.radius.copy()
        way = self.travel * (moments - 0.5)
        motion = [self.motion == i for i in range(len(MOTIONS))]
        x -= numpy.where(motion[0], way * self.width, 0) - numpy.where(motion[1], way * self.width, 0)
        y -= numpy.where(motion[2], way * self.height, 0) - numpy.where(motion[3], way * self.height, 0)
        p = (2 * moments) % 1  # two parabolas, from the ground up and back
        y -= numpy.where(motion[4], self.travel * self.height * (4 * p * (1 - p) - 0.5), 0)
        radius *= numpy.where(motion[5], 0.65 + 0.55 * moments, 1) * numpy.where(motion[6], 1.2 - 0.55 * moments, 1)
        return x, y, radius

    def draw(self, moments, which=None):
        """Frames [n, 3, height, width] in -1..1 and the object's coverage [n, height, width] in 0..1, for the scenes
        `which` (default: each once) at `moments` [n]."""
        which = numpy.arange(len(self.chosen)) if which is None else which
        one = self.take(which)
        x, y, radius = one.at(moments)
        coverage = draw_shapes(one.shape, x, y, radius, self.height, self.width)
        c = coverage[:, None]
        pixels = one.background[:, :, None, None] * (1 - c) + one.colour[:, :, None, None] * c
        return (pixels / 127.5 - 1).astype(numpy.float32), coverage

    def take(self, which):
        other = object.__new__(Scenes)
        other.__dict__ = {k: v[which] if isinstance(v, numpy.ndarray) else v for k, v in self.__dict__.items()}
        other.chosen = [self.chosen[i] for i in which]
        return other

    def clips(self, frames=FRAMES):
        """All frames, [scenes, 3, frames, height, width], and the coverage [scenes, frames, height, width]."""
        count = len(self.chosen)
        moments = numpy.tile(numpy.arange(frames) / max(frames - 1, 1), count)
        pixels, coverage = self.draw(moments, numpy.repeat(numpy.arange(count), frames))
        pixels = pixels.reshape(count, frames, 3, self.height, self.width).swapaxes(1, 2)
        return numpy.ascontiguousarray(pixels), coverage.reshape(count, frames, self.height, self.width)


def draw_shapes(shape, x, y, radius, height, width):
    """Coverage [n, height, width] of shapes with circle-like size `radius`, anti-aliased over one pixel."""
    rows, columns = numpy.mgrid[0:height, 0:width].astype(numpy.float32) + 0.5
    dx = columns[None] - numpy.asarray(x, numpy.float32)[:, None, None]
    dy = rows[None] - numpy.asarray(y, numpy.float32)[:, None, None]
    r = numpy.broadcast_to(numpy.asarray(radius, numpy.float32)[:, None, None], dx.shape)
    distance = numpy.empty(dx.shape, numpy.float32)  # signed, negative inside
    for index, function in enumerate((circle, square, triangle, star)):
        those = numpy.asarray(shape) == index
        if those.any():
            distance[those] = function(dx[those], dy[those], r[those])
    return numpy.clip(0.5 - distance, 0, 1)


def circle(dx, dy, r):
    return numpy.hypot(dx, dy) - r


def square(dx, dy, r):
    return numpy.maximum(numpy.abs(dx), numpy.abs(dy)) - 0.886 * r  # the circle's area


def triangle(dx, dy, r):
    """Equilateral, apex up, a little smaller than the circle's area so that it fits where a circle fits."""
    inner = 0.68 * r
    dy = dy - 0.2 * r  # its bounding box is centred, not its centroid
    return numpy.maximum(dy - inner, 0.8660254 * numpy.abs(dx) - 0.5 * dy - inner)


def star(dx, dy, r):
    """Five points, one up."""
    outer, inner = 1.35 * r, 0.58 * r
    sector = numpy.pi / 5
    angle = numpy.abs((numpy.arctan2(dx, -dy) + sector) % (2 * sector) - sector)  # 0 at a point, sector at a notch
    length = numpy.hypot(dx, dy)
    px, py = length * numpy.cos(angle), length * numpy.sin(angle)
    # The edge runs from the point (outer, 0) to the notch.
    nx, ny = inner * numpy.cos(sector), inner * numpy.sin(sector)
    ex, ey = nx - outer, ny
    return (ex * py - ey * (px - outer)) / -numpy.hypot(ex, ey)
