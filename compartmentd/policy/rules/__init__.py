"""Rules: their conditions and combinators over an evaluation context, with three-valued results."""
