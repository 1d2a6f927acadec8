"""What decides in comparisons: every threshold of statistics, choices and sentences, once.

Numbers that only shape a picture, a grid or a search stand where they are used.
"""

# ---- what is a difference
# Two-sided chance of error, over all policies that are tested together.
ALPHA = 0.05
# A gain below this (0.05 points) is printed as 0, and does not count, however small its p-value is.
WORTH = 0.0005
# A policy takes the place of the default only if it is better by more than this (0.1 points), beyond the interval.
MARGIN = 0.001
# A vote that gains this much from the second half of its samples would gain from more.
RISING = 0.005
# A saving below this share is not worth a sentence.
SAVED = 0.02
# The most expensive sensible fixed action has this share of all that fixed actions gain. More compute buys little.
SENSIBLE = 0.9

# ---- what is the same spend
# A spend that differs from the budget by no more than this share is the one asked for, and keeps the budget.
CLOSE = 0.005
# The real spend is printed where it differs from the budget by more than this share.
OFF = 0.01
# Slopes are taken over this share of a spend, to both sides: closer, it is the slope of two settings on one fold.
WINDOW = 0.05

# ---- what is too good to be true
# Standard errors: what an oracle must gain for a share of it to mean anything, and what is too good to be chance even
# when many policies are looked at.
CLEAR, SUSPICIOUS = 1.96, 4.0
# Share of what the hindsight bound gains: more cannot be foreseen where answers are by chance.
NEARLY = 0.9
# Where less than this of what is right is luck (`Hindsight.luck`), a policy that knows the chances may reach NEARLY. Of
# two models that are right with chances p and 1 − p, each on half of the questions, it reaches 2p − 1 of the bound's
# gain, and luck is 4p(1 − p) there.
LUCK = 1 - NEARLY**2

# ---- how much data is enough
# Random halves of each question's samples where no gold answers are known; each half is judged by the other one.
HALVES = 2
# With fewer questions nothing is learned from X, and nothing can be split.
FEWEST = 20
# With fewer questions than this, or fewer samples per question, a caveat is printed.
FEW_QUESTIONS, FEW_SAMPLES = 200, 10
# With fewer samples per question, a question that was always right may have been lucky.
LUCKY = 4
# Where the oracle gives more of the questions than this the largest action that a half allows, it would give them more.
# Fewer questions than this with too few samples do not change what holds of the others.
BINDS = 0.1
# The chance that the number of questions named would show a difference that exists.
POWER = 0.8
# More than this many times the questions at hand cannot be had in practice.
FAR = 100
