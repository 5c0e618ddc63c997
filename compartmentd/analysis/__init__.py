"""Analyses of a policy that need no running server. Pure, like the compiler.

The public face: `cases.read_cases` reads a policy test file, `cases.collect_people` collects its people;
`examples.suggest_rooms` and `examples.suggest_people` make examples for a policy.
"""
