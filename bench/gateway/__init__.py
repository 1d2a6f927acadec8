"""The gateway as its users meet it: recorded tables played through it, and a long run with faults."""
