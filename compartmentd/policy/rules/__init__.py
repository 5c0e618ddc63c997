"""Rules: conditions and their combinators, evaluated in a context with three-valued results.

The public face: `combinators.CompiledRules` compiles and keeps the rules of a policy, `context` holds the
`EvaluationContext` and the `Verdict`, `describe` words rules and `traverse` walks through them.
"""
