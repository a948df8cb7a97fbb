# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share."""
import os

BIND_PORT, PUBLIC_PORT = 8443, 48443


def program(name):
    return os.path.join(os.environ["BENCH_PROGRAMS"], name)


def pinhold_program():
    return os.environ["PINHOLD"]


def server_options(lab):
    """Two keep-alive and two STUN servers, by address: no name look-up is measured."""
    a, b, c, d = (s.address for s in lab.internet.real)
    return ["-s", a, "-s", b, "-h", c, "-h", d]


def table(rows, head):
    """Prints rows of strings, the first column to the left, the others to the right."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        first, *rest = (cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths)))
        print("   ".join([first, *rest]).rstrip(), flush=True)
