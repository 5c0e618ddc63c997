"""Remote keys: where a provider publishes them, fetched, and fetched again for as long as an entry needs them.

`course`, `unknown` and `answer` are pure: when to fetch, which keys are known to be missing, what an answer
means. `http` is the edge, `lookup` one fetch, and `remote` runs them for all entries.
"""
