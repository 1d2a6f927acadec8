"""The budget of live traffic: an average that is paced, a cap that holds, and the state that processes share."""
