"""Telemetry: logs, the log and the live feed of decisions, traces, tables of metrics, and the lag of the loop.

The public face: `logs.log` writes an event of `log_events`, `decision_log.DecisionLog` records decisions,
`decision_feed.DecisionFeed` publishes them to subscribers, `tracing.create_tracing` exports them as spans.
"""
