"""Live use of policies: answering questions within a budget."""
