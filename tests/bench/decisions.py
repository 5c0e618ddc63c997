"""How long a decision takes, with ten templates and with a hundred thousand: `python -m tests.bench.decisions`.

Numbers are printed, not asserted. The room is another one each time, since a cache that knew it would be what is
measured.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

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
ROUNDS, EACH = 15, 1000


def templates(form: str, count: int) -> list[RoomTemplate]:
    """Return templates that differ in their literals and share everything else, as a large configuration would."""
    first = template(form.format(i=0, h=0, j=0), join=RULE)
    names = [form.format(i=i, h=i // 300, j=i % 300) for i in range(count)]
    return [structs.replace(first, name=name, pattern=text(name)) for name in names]


def microseconds(rules: Ruleset, rooms: Sequence[str]) -> float:
    """Return the best mean time of a decision over several rounds."""
    best = float("inf")
    facts = Facts()
    requests = [Join(HALL, room) for room in rooms]
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for request in requests:
            decide(rules, WHO, request, facts, NOW)
        best = min(best, time.perf_counter() - start)
    return best / len(rooms) * 1e6


def main() -> None:
    """Print a line for each form and number of templates."""
    for name, (form, room) in FORMS.items():
        times = []
        for count in (10, 100_000):
            start = time.perf_counter()
            rules = Ruleset.of(policy(namespace(*templates(form, count)), rules=NAMED))
            built = time.perf_counter() - start
            numbers = [random.randrange(count) for _ in range(EACH)]
            times.append(microseconds(rules, [room.format(i=i, h=i // 300, j=i % 300) for i in numbers]))
            print(f"{name:20} {count:7} templates: {times[-1]:6.2f} µs a decision, built in {built:5.2f} s")
        print(f"{name:20} ratio {times[1] / times[0]:.2f}")


if __name__ == "__main__":
    main()
