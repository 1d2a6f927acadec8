"""The states that a stopping rule sees: votes, weights and features of a run, live, recorded or simulated."""
