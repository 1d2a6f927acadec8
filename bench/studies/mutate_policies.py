"""Saved policies broken in many ways, each read in a process of its own: no crash, no hang, clear errors.

    python bench/studies/mutate_policies.py --count 1000
    python bench/studies/mutate_policies.py --count 200 --unprotected      # what XGBoost does without the checks

Mutations: noise in any file; noise in arrays and trees with a right SHA-256; odd values in policy.json; arrays of other
shapes and types; trees whose form is right and whose numbers are not (children out of range, cycles, ...). With
--unprotected the trees go to XGBoost unchecked, and only they are mutated: it shows that the mutations are ones that
matter, and is expected to find crashes.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))

import policy_mutations

from tcalloc.learn.saving import policy_folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="folder for the mutated copies that made trouble")
    parser.add_argument("--unprotected", action="store_true")
    options = parser.parse_args()
    if options.unprotected:
        vars(policy_folder)["checked_booster"] = lambda data, file: data
        trees = "trees, right hash"
        policy_mutations.MUTATIONS = {trees: policy_mutations.MUTATIONS[trees]}
        policy_mutations.KINDS = ("imitator", "xgboost")
        policy_mutations.SECONDS = 10.0
    with tempfile.TemporaryDirectory() as folder:
        found = policy_mutations.run(folder, options.count, options.seed, options.keep)
    print(f"{options.count} mutated policies, seed {options.seed}")
    for outcome, count in found["outcomes"].items():
        print(f"  {outcome:<45} {count:>5}")
    for bad in found["bad"]:
        print(f"  number {bad['number']}, {bad['policy']}, {bad['mutation']}: {json.dumps(bad['outcome'])[:200]}")
    print(f"crashes, hangs, other errors: {len(found['bad'])}")
    return 1 if found["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
