"""The attacker's process: `python -m tests.abuse.attacker`, an order in JSON on stdin, a report in JSON on stdout.

Where the attack's sockets are to stay open, it waits for the end of stdin after the report.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from tests.abuse.attack import Target
from tests.abuse.catalogue import ATTACKS


def main() -> None:
    order = json.loads(sys.stdin.readline())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    attack = ATTACKS[order["attack"]]
    admin = order["admin"]
    target = Target(
        host=order["host"],
        port=order["port"],
        tokens=order["tokens"],
        until=time.monotonic() + order["seconds"],
        admin=None if admin is None else (admin[0], admin[1]),
    )
    try:
        attack.run(target)
    except OSError as error:  # shut out: what a defence may do
        target.seen[f"stopped: {type(error).__name__} {error}"] += 1
    print(json.dumps({"seen": target.seen, "wrong": target.wrong}), flush=True)
    if attack.stays:
        sys.stdin.read()


if __name__ == "__main__":
    main()
