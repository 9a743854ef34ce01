"""What Pillow makes of pictures in other sizes, as Open-Sora v1.2 asks it to (resize_crop_to_fill of VideoSys' data_process.py): the SHA-256 of the
pixels, lines of the table in tests/dataset/reference.cpp, which makes the same pictures. Needs Pillow and NumPy. usage: pillow_sizes.py"""
import hashlib

import numpy
from PIL import Image


def picture(height, width):
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing="ij")
    return Image.fromarray(((x * 7 + y * 13 + c * 29 + x * y % 17 * 5) % 256).astype(numpy.uint8))


def filling(image, height, width):
    by_height, by_width = height / image.height, width / image.width
    if by_height > by_width:
        whole = image.resize((round(image.width * by_height), height), Image.BICUBIC)
    else:
        whole = image.resize((width, round(image.height * by_width)), Image.BICUBIC)
    top, left = round((whole.height - height) / 2), round((whole.width - width) / 2)
    return numpy.asarray(whole)[top:top + height, left:left + width]


for of in [(30, 40), (9, 17), (64, 64), (50, 31), (3, 100), (40, 1), (480, 640), (48, 85)]:
    for to in [(24, 16), (48, 48), (8, 8), (64, 85)]:
        pixels = filling(picture(*of), *to)
        print(f'{{{of[0]}, {of[1]}, {to[0]}, {to[1]}, "{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"}},')
