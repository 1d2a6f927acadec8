"""Tolerances for rounding: the relative difference of two numbers that would be equal without rounding."""

# A budget that is the rounded mean of a feasible choice is kept by that choice (the contract of `solve`).
FEASIBLE = 2.0**-50
# A budget that is the rounded cost of an action, or of a setting, affords it: several means and products went into it.
AFFORDED = 2.0**-40
# Sums of the same numbers in another order.
SUMMED = 1e-12
# Costs, spends and accuracies that were computed in different ways, or read from a file.
COMPUTED = 1e-9
