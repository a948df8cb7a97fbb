# SPDX-License-Identifier: GPL-2.0-or-later
"""The blocks of pinhold-recipes(7), as a reader copies them."""
import os
import re

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src", "pinhold-recipes.7")
ESCAPES = {r"\e": "\\", r"\(dq": '"', r"\&": ""}


def _plain(line):
    def one(match):
        assert match[0] in ESCAPES, f"{PAGE}: {match[0]} in {line!r}"
        return ESCAPES[match[0]]

    assert not line.startswith((".", "'")), f"{PAGE}: {line!r} in a literal block"
    return re.sub(r"\\(?:\(..|.)", one, line)


def recipe(name, file):
    """What stands on the page for that file, its blocks one after the other."""
    with open(PAGE, encoding="utf-8") as f:
        lines = f.read().splitlines()
    blocks = []
    for n, line in enumerate(lines):
        if line == f'.\\" recipe: {name} {file}':
            assert lines[n + 1].startswith(".Bd -literal"), f"{PAGE}:{n + 2}: no literal block"
            end = lines.index(".Ed", n)
            blocks.append("\n".join(map(_plain, lines[n + 2:end])) + "\n")
    assert blocks, f"{PAGE}: no block of {name} for {file}"
    return "\n".join(blocks)


def filled(text, values):
    """What the page calls the reader's own, replaced: {old: new}; each must be there."""
    for old, new in values.items():
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, new)
    return text
