#!/usr/bin/env python3
"""Writes html_entities.inc, the named characters of HTML 5, from Python's own table (the reference of the cleaning).

usage: generate_entities.py > html_entities.inc
"""
from html.entities import html5

print("// Made by generate_entities.py: names of HTML 5 as they may stand behind &, and the characters they mean.")
for name in sorted(html5):
    value = "".join(f"\\x{byte:02x}" for byte in html5[name].encode("utf-8"))
    print(f'{{"{name}", "{value}"}},')
