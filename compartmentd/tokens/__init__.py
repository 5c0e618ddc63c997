"""Tokens: pure, given the token's text, the key set and the time. Nothing is fetched or read here."""
