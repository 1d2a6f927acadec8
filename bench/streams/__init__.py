"""The keeper's pacing rule on streams of requests that it was not tuned on, beside other rules."""
