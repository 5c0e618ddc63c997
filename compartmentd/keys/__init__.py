"""Key material: read from files and the environment, or fetched from providers for as long as an entry needs it.

The public face: `files.read_material` reads local keys, `remote.RemoteKeys` keeps the remote keys of all entries
current, `fetch_once.fetch_once` fetches once for a command, `development.mint_for_entry` mints development tokens.

`schedule`, `missing_kids`, `state` and `response` are pure: when to fetch, which keys are known to be missing, and
what a response means. `http` is the edge, `fetch` one fetch, and `remote` runs the fetches of all entries.
"""
