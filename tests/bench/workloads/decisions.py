"""How long a join decision takes, and that a hundred thousand templates cost what ten do.

A process of its own on the servers' core builds policies (without YAML) and decides, in turns. The templates are
of four forms, which dispatch meets in different ways. Each round has rooms of its own, with `MEMBERS` members each,
who all join in any order. Were each room asked for once, a hundred thousand templates would cost 1.3 times what ten
do, because objects that were not used lately are not in the CPU's caches; with 10 members it is below 1.1.

    python -m tests.bench.workloads.decisions ROUNDS EACH COUNT...

prints the µs a decision of every round, a line of JSON a round.
"""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import structs

from compartmentd.names import RoomName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Facts, Join
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.policy.ruleset import Ruleset
from tests.bench.bench import BASE, OURS, Bench
from tests.bench.rows import DECISION, FEWEST, TEMPLATES, Row, median, row
from tests.bench.servers import on_the_servers_core
from tests.bench.trees import Tree
from tests.support.policies import HALL, NOW, namespace, person, policy, template, text

FORMS = (
    "t{n}:{{x}}",  # a literal first
    "{{a}}:t{n}:{{x}}",  # a parameter first
    "t{n}-{{x}}",  # no delimiter
    "{{a}}:h{h}:{{b}}:j{j}:{{x}}",  # two literals that only together tell templates apart
)
RULE = {"any": [{"claim": "projects", "contains": "{x}"}, {"scope": "project:{x}:read"}, {"rule": "staff"}]}
NAMED = {"staff": {"claim": ["realm_access", "roles"], "contains": "staff"}}
FACTS = Facts()
MEMBERS = 10
MODULE = "tests.bench.workloads.decisions"
"""This module, which is `__main__` in the process that measures."""


def form(number: int) -> str:
    """Return the template with this number, with its parameters open."""
    return FORMS[number % len(FORMS)].format(n=number, h=number // 300, j=number % 300)


def templates(count: int) -> list[RoomTemplate]:
    """Return templates that differ in their names and share everything else, as a large configuration would."""
    firsts = [template(form(number), join=RULE) for number in range(len(FORMS))]
    names = [form(number) for number in range(count)]
    return [
        structs.replace(firsts[number % len(FORMS)], name=name, pattern=text(name))
        for number, name in enumerate(names)
    ]


class Asked(NamedTuple):
    """A decision to make: a person, and the room of a person's project."""

    who: Principal
    request: Join


def asked(count: int, round_: int, each: int) -> list[Asked]:
    """Return a round's decisions, on templates drawn from so many."""
    draw = random.Random(round_)
    due = []
    for number in range(each // MEMBERS):
        project = f"p{round_}-{number}"
        room = RoomName(form(draw.randrange(count)).format(a="acme", b="north", x=project))
        due += [
            Asked(
                person(
                    f"{project}-{member}", scope="chat", projects=[project], realm_access={"roles": ["user"]}
                ),
                Join(HALL, room),
            )
            for member in range(MEMBERS)
        ]
    draw.shuffle(due)
    return due


def timed(rules: Ruleset, due: list[Asked]) -> float:
    """Decide all that is due, and return the µs of one."""
    start = time.process_time()
    for who, request in due:
        decide(rules, who, request, FACTS, NOW)
    return (time.process_time() - start) / len(due) * 1e6


def measure(rounds: int, each: int, counts: list[int]) -> None:
    """Print the rounds."""
    rules = {count: Ruleset.build(policy(namespace(*templates(count)), rules=NAMED)) for count in counts}
    for count in counts:  # a refusal would be another, shorter way
        who, request = asked(count, 0, MEMBERS)[0]
        assert decide(rules[count], who, request, FACTS, NOW).allowed
    for number in range(rounds):
        took = []
        for count in counts:
            # Made right before it is timed, since people lie in memory, too: made for all counts beforehand, those
            # of the last count took 0.3 µs a decision more than those of the first, also where both are ten.
            due = asked(count, number, each)
            gc.collect()
            gc.freeze()  # a policy lives as long as it is in force: garbage in it is no part of a decision
            took.append(timed(rules[count], due))
        print(json.dumps(took), flush=True)


def _run(tree: Tree, rounds: int, each: int, counts: Sequence[int]) -> list[list[float]]:
    """Measure a tree's own code in a process of its own; return the rounds' µs for each of the counts."""
    with on_the_servers_core():
        done = subprocess.run(
            tree.command(MODULE, *map(str, (rounds, each, *counts))),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree.root,
            env={**os.environ, **tree.environment()},
        )
    return [list(each) for each in zip(*map(json.loads, done.stdout.splitlines()), strict=True)]


def _compared(bench: Bench, each: int) -> Iterator[Row]:
    """Yield the rows of a round of an A/B run: a process of each tree, whose own three rounds make one value."""
    counts = [count for count in TEMPLATES if bench.wants(DECISION.format(count))]
    values = {
        name: [median(took) for took in _run(tree, 3, each, counts)] for name, tree in bench.trees.items()
    }
    for count, ours, base in zip(counts, values[OURS], values[BASE], strict=True):
        yield row(DECISION.format(count), "µs", [ours], BASE, [base])


def rows(bench: Bench) -> Iterator[Row]:
    """Yield a row for each number of templates: alone the smallest, and against it the others."""
    each = bench.scale(4000, 2000, 50)
    if bench.is_ab:
        yield from _compared(bench, each)
        return
    rounds = max(bench.rounds, bench.scale(15, 7, 1))
    fewest, *more = _run(bench.trees[OURS], rounds, each, TEMPLATES)
    yield row(DECISION.format(TEMPLATES[0]), "µs", fewest)
    for count, values in zip(TEMPLATES[1:], more, strict=True):
        yield row(DECISION.format(count), "µs", values, FEWEST, fewest)


if __name__ == "__main__":
    measure(int(sys.argv[1]), int(sys.argv[2]), [int(count) for count in sys.argv[3:]])
