"""Small helpers that know nothing of ours: wording of counts, pacing of long work, tuning of the collector."""
