"""JPEG files and what Pillow reads in them, for tests/dataset/reference.cpp: colours of the whole size, of half the columns and of half of both,
grey; sizes at which halves are rounded. Needs Pillow and NumPy. usage: pillow_jpegs.py FOLDER (tests/data/jpeg)"""
import pathlib
import sys

import numpy
from PIL import Image

folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
y, x = numpy.mgrid[0:13, 0:19]
waves = [128 + 90 * numpy.sin(x * a + y * b) for a, b in [(0.5, 0.2), (-0.3, 0.6), (0.8, -0.4)]]
picture = Image.fromarray(numpy.stack(waves, -1).astype(numpy.uint8))
for name, colours, options in [("444", "RGB", {"subsampling": 0}), ("422", "RGB", {"subsampling": 1}), ("420", "RGB", {"subsampling": 2}),
                               ("420_narrow", "RGB", {"subsampling": 2}), ("420_progressive", "RGB", {"subsampling": 2, "progressive": True}),
                               ("grey", "L", {})]:
    file = folder / f"{name}.jpg"
    (picture.crop((0, 0, 3, 7)) if name == "420_narrow" else picture).convert(colours).save(file, quality=90, optimize=True, **options)
    Image.open(file).convert("RGB").save(folder / f"{name}.ppm")
