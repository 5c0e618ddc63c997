"""Verification of tokens: pure functions of the token's text, the key set and the time. No network, files or clock.

The public face: `verify.verify` turns a token into a `Verified` or a `Rejected`, `verify.reverify` checks it again
under another key set, and `cache.TokenCache` remembers results. `logout.verify_logout` verifies logout tokens,
`diagnosis.diagnose` runs every check, `keyset.KeySet` holds the keys, and `keyfile.read_keys` and
`jwk_set.read_jwk_set` read them. An `entry.IssuerEntry` is the configuration of one issuer.
"""
