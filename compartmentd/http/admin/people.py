"""The ready-made people of the playground: those whom the policy tests beside the configuration speak of.

`demo.test.yaml` says `config: demo.yaml`, has the claims of its people under `tokens`, and tries rooms in its
`cases`. So whoever has written tests has a playground for the same people and rooms, and nothing is declared
twice.
"""

from __future__ import annotations

from pathlib import Path

from compartmentd.analysis.cases import People, collect_people, read_cases

PATTERN = "*.test.yaml"


def people_beside(path: str) -> People:
    """Return the people of the first test file, by name, that is for the configuration at `path`; else nobody.

    A file that cannot be read as such a test is passed over: it is no part of the configuration.
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
