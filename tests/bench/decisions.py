"""How long a decision takes, with ten templates and with a hundred thousand: `python -m tests.bench.decisions`.

Numbers are printed, not asserted. The room is another one each time, since a cache that knew it would be what is
measured.
"""

from __future__ import annotations

import gc
import random
import time

from msgspec import structs

from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Facts, Join
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.ruleset import Ruleset
from tests.support.policies import HALL, NOW, namespace, person, policy, template, text

FORMS = {
    "a literal first": ("t{i}:{{x}}", "t{i}:apollo"),
    "a parameter first": ("{{a}}:t{i}:{{x}}", "acme:t{i}:apollo"),
    "no delimiter": ("t{i}-{{x}}", "t{i}-apollo"),
    "two literals": ("{{a}}:h{h}:{{b}}:j{j}:{{x}}", "a:h{h}:b:j{j}:apollo"),
}
RULE = {"any": [{"claim": "projects", "contains": "{x}"}, {"scope": "project:{x}:read"}, {"rule": "staff"}]}
NAMED = {"staff": {"claim": ["realm_access", "roles"], "contains": "staff"}}
WHO = person("ann", scope="chat", projects=["apollo"], realm_access={"roles": ["user"]})
ROUNDS, EACH = 40, 1000


def templates(form: str, count: int) -> list[RoomTemplate]:
    """Return templates that differ in their literals and share everything else, as a large configuration would."""
    first = template(form.format(i=0, h=0, j=0), join=RULE)
    names = [form.format(i=i, h=i // 300, j=i % 300) for i in range(count)]
    return [structs.replace(first, name=name, pattern=text(name)) for name in names]


class Measured:
    """A ruleset with rooms to ask it for, and the best mean time of a decision so far, in microseconds."""

    def __init__(self, form: str, room: str, count: int) -> None:
        start = time.process_time()
        self.rules = Ruleset.of(policy(namespace(*templates(form, count)), rules=NAMED))
        self.built = time.process_time() - start
        self.count = count
        numbers = [random.randrange(count) for _ in range(EACH)]
        self.requests = [Join(HALL, room.format(i=i, h=i // 300, j=i % 300)) for i in numbers]
        self.best = float("inf")

    def measure(self) -> None:
        """Ask for every room once."""
        facts = Facts()
        start = time.process_time()
        for request in self.requests:
            decide(self.rules, WHO, request, facts, NOW)
        self.best = min(self.best, (time.process_time() - start) / EACH * 1e6)


def main() -> None:
    """Print a line for each form and number of templates, and the ratio."""
    for name, (form, room) in FORMS.items():
        measured = [Measured(form, room, count) for count in (10, 100_000)]
        gc.collect()
        gc.freeze()  # a policy lives as long as it is in force: looking for garbage in it is no part of a decision
        for _ in range(ROUNDS):  # in turns, so that what else the machine does hits both
            for each in measured:
                each.measure()
        for each in measured:
            print(
                f"{name:20} {each.count:7} templates: {each.best:6.2f} µs a decision, built in {each.built:5.2f} s"
            )
        print(f"{name:20} ratio {measured[1].best / measured[0].best:.2f}")
        gc.unfreeze()


if __name__ == "__main__":
    main()
