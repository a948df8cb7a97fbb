# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks' entry: started by tests/bench/run, in the lab's sandbox."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))

import forward  # noqa: E402
import idle     # noqa: E402
import publish  # noqa: E402
import recovery  # noqa: E402
import scale    # noqa: E402
import start    # noqa: E402
import table    # noqa: E402
from pinlab import Lab  # noqa: E402

BENCHES = {"start": start.main, "idle": idle.main, "recovery": recovery.main,
           "publish": publish.main, "scale": scale.main, "table": table.main,
           "forward": forward.main}


def main():
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    wanted = [a for a in arguments if a in BENCHES] or list(BENCHES)
    # All that is started inherits it: what else this machine does disturbs less.
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    lab = Lab()
    print(f"kernel {os.uname().release}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start",
          flush=True)
    for name, bench in BENCHES.items():
        if name in wanted:
            print(flush=True)
            bench(lab, quick)
            for complaint in lab.reset():
                print(complaint, file=sys.stderr)


if __name__ == "__main__":
    main()
