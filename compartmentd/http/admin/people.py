"""The ready-made people of the playground: those of the policy tests beside the configuration.

`demo.test.yaml` says `config: demo.yaml`, has the claims of its people under `tokens`, and tries rooms in its
`cases`. So an operator who has written tests has a playground for the same people and rooms, and declares nothing
twice.
"""

from __future__ import annotations

from pathlib import Path

from compartmentd.analysis.cases import People, collect_people, read_cases

PATTERN = "*.test.yaml"


def find_people(path: str) -> People:
    """Return the people of the first test file, by name, that is for the configuration at `path`; else nobody.

    A file that is not a policy test is skipped: it is no part of the configuration.
    """
    configuration = Path(path)
    for file in sorted(configuration.parent.glob(PATTERN)):
        try:
            tests = read_cases(str(file), file.read_bytes())
        except OSError:
            continue
        named = tests.get("config")
        if isinstance(named, str) and (file.parent / named).resolve() == configuration.resolve():
            return collect_people(tests)
    return People()
