"""From repeated answers in lm-evaluation-harness to a policy that stops (pip install 'tcalloc[learn]').

lm_eval_repeats.yaml is the task, and says how to run it. Then: python examples/lm_eval_repeats.py results
"""

import sys

import tcalloc

samples = tcalloc.from_lm_eval(sys.argv[1], grader="normalized")  # the one line
for note in samples.notes:
    print(f"note: {note}")
table = samples.table([tcalloc.Vote(1), tcalloc.Vote(4)])
print(f"accuracy of 1 and of 4 samples: {table.acc.mean(axis=0).round(3).tolist()}")
tcalloc.Sequential(budget=2).fit(None, samples).save("stop/")
print("stop/ draws 2 samples per question on average, more where they disagree")
