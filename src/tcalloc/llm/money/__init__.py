"""What requests cost: limits that hold while requests are under way, and a journal of what was paid."""
