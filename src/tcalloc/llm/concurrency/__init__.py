"""Many requests at one time: one event loop, threads for what may block, and the limits of this process."""
