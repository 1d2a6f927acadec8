"""The gateway as its users meet it: recorded tables played through it, its added latency, and a long run with faults."""
