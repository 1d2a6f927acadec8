"""What a stopping rule sees: the votes, weights and features of a run, live, recorded or simulated."""
