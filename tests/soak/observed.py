"""The daemon with a window: `python -m tests.soak.observed FILE serve …` tells its number of tasks and objects.

What the process holds is read from /proc; what only the interpreter knows, a thread appends to FILE, a line of JSON
every two seconds. The daemon itself is the real one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

from compartmentd.cli.main import main

INTERVAL = 2.0


def observe(path: str) -> None:
    """Append the counts, for as long as the process lives."""
    while True:
        counts = {
            "at": time.time(),
            "tasks": len(asyncio.tasks._all_tasks),  # all_tasks() wants a loop of its own thread
            "blocks": sys.getallocatedblocks(),
        }
        with open(path, "a", encoding="utf-8") as lines:  # noqa: PTH123 - a plain thread, every two seconds
            lines.write(json.dumps(counts) + "\n")
        time.sleep(INTERVAL)


if __name__ == "__main__":
    threading.Thread(target=observe, args=[sys.argv.pop(1)], daemon=True).start()
    main()
