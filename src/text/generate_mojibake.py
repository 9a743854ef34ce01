#!/usr/bin/env python3
"""Writes mojibake.inc, what text read in a wrong encoding looks like, from ftfy's tables (the reference of the cleaning).

usage: generate_mojibake.py > mojibake.inc      (needs: pip install ftfy==6.3.1, Apache License 2.0)
"""
import re

import ftfy
from ftfy import badness, chardata


def ranges(members):
    """The members of a regular expression's class, sorted and joined to ranges, in ASCII."""
    points = sorted(c for c in range(0x110000) if not 0xd800 <= c < 0xe000 and re.match(f"[{members}]", chr(c)))
    out = ""
    while points:
        count = next((i for i in range(1, len(points)) if points[i] != points[0] + i), len(points))
        out += f"\\x{{{points[0]:x}}}" + (f"-\\x{{{points[count - 1]:x}}}" if count > 1 else "")
        points = points[count:]
    return out


def compact(pattern):
    """A verbose pattern without its blanks and comments, in ASCII."""
    out, in_class = "", False
    for line in re.sub(r"(?m)^\s*#.*$", "", pattern).splitlines():
        for c in line:
            in_class = c == "[" or (in_class and c != "]")
            if in_class or not c.isspace() or ord(c) > 127:
                out += c if ord(c) < 128 else f"\\x{{{ord(c):x}}}"
    return out


def with_names(pattern, classes):
    for name, members in classes.items():
        pattern = pattern.replace(members, "{" + name + "}")
    return compact(pattern)


def codepage(encoding):
    upper = bytes(range(128, 256)).decode(encoding)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in upper)


classes = {**badness.MOJIBAKE_CATEGORIES, **chardata.UTF8_CLUES}
print(f"// Made by generate_mojibake.py from ftfy {ftfy.__version__} (Robyn Speer, Apache License 2.0).")
print("constexpr NamedCharacters character_classes[] = {")
for name, members in classes.items():
    print(f'    {{"{{{name}}}", R"({ranges(members)})"}},')
print("};\n// Sequences that are rare in text that was read rightly.\nconstexpr const char* unlikely_sequences[] = {")
for sequence in with_names(badness.BADNESS_RE.pattern, classes).split("|"):
    print(f'    R"({sequence})",')
print("};\n// A run of characters that stand for the bytes of UTF-8.\nconstexpr const char* mistaken_utf8 =")
print(f'    R"({with_names(chardata.UTF8_DETECTOR_RE.pattern, classes)})";')
print("// Bytes 128 to 255 of the encodings, in the order in which they are tried.\nconstexpr Codepage codepages[] = {")
for encoding in chardata.CHARMAP_ENCODINGS:
    print(f'    {{"{encoding}", U"{codepage(encoding)}"}},')
print("};")
