"""What the daemon tells about itself: logs, the record and the live feed of decisions, traces, the loop's lag."""
