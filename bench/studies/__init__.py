"""Studies: what is true of estimates, intervals, policies and live runs (scripts, and tests of what they print)."""
