#!/usr/bin/env python3
"""Fails when an #include reaches a module that the table in CMakeLists.txt does not allow, or two headers define a type of one name:
the linker would take either for both.

usage: architecture.py SOURCE_DIR MODULES_FILE   (lines "module: used used")
"""
import pathlib
import re
import sys

root, table = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
uses = {}
for line in table.read_text().splitlines():
    name, _, used = line.partition(":")
    uses[name] = used.split()


def reachable(name):
    seen, todo = set(), [name]
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += uses.get(module, [])
    return seen


folders = {name: root / name if name in ("kernels", "jobs") else root / "src" / name for name in uses}
wrong, counted, defined = [], 0, {}
for name, folder in folders.items():
    allowed = reachable(name)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".hpp", ".cpp", ".cu", ".cuh")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r"(?:struct|class|enum class) (\w+)[^;]*\{", line)
            if match and path.suffix in (".hpp", ".cuh") and defined.setdefault(match[1], path) != path:
                wrong.append(f"{path.relative_to(root)}:{number}: {match[1]} is the name of a type in {defined[match[1]].relative_to(root)} too")
            match = re.match(r'\s*#include "([a-z_0-9]+)/', line)
            if match and match[1] in uses:
                counted += 1
                if match[1] not in allowed:
                    wrong.append(f"{path.relative_to(root)}:{number}: {name} may not include {match[1]} "
                                 f"(it may use {', '.join(sorted(allowed - {name})) or 'nothing'})")
print(f"{counted} includes between modules, {len(defined)} types in headers, {len(wrong)} mistakes")
print("\n".join(wrong))
sys.exit(1 if wrong or not counted else 0)
