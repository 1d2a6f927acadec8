"""When to stop: families of rules, and the backward inductions that make them."""
