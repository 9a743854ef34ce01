"""What PyTorch makes of frames in other sizes, as Open-Sora v1.2 asks it to (resize_crop_to_fill of its video_transforms.py): the mean and three
pixels, lines of the table in tests/dataset/reference.cpp, which makes the same frames. Needs PyTorch and NumPy. usage: torch_filling.py"""
import numpy
import torch


def frame(height, width):
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing="ij")
    return torch.as_tensor(((x * 7 + y * 13 + c * 29 + x * y % 17 * 5) % 256).astype(numpy.uint8)).permute(2, 0, 1)[None].float() / 255


def filling(pixels, height, width):
    by_height, by_width = height / pixels.shape[2], width / pixels.shape[3]
    whole = (height, round(pixels.shape[3] * by_height)) if by_height > by_width else (round(pixels.shape[2] * by_width), width)
    resized = torch.nn.functional.interpolate(pixels, size=whole, mode="bilinear", align_corners=False)
    top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
    return resized[0, :, top:top + height, left:left + width].permute(1, 2, 0)


for of in [(30, 40), (9, 17), (64, 64), (3, 100), (40, 1), (480, 640), (27, 34)]:
    for to in [(24, 16), (48, 48), (16, 24)]:
        pixels = filling(frame(*of), *to)
        places = ["{" + ", ".join(f"{v:.6f}f" for v in pixels[y, x].tolist()) + "}" for y, x in [(0, 0), (to[0] // 2, to[1] // 2), (-1, -1)]]
        print(f"{{{of[0]}, {of[1]}, {to[0]}, {to[1]}, {pixels.double().mean().item():.8f}, {', '.join(places)}}},")
