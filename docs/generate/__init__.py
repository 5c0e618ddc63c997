"""Writes the reference of the documentation, `docs/reference/`, from the tables of the code.

Run by `make reference`. The pages are committed, and a test compares them with what is generated.
"""
