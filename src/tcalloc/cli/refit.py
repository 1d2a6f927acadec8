"""``tcalloc refit``: the next policy, from what a gateway explored."""

import argparse
import os
import shlex

from tcalloc.cli import _shared as shared
from tcalloc.cli.fit import POLICY_LIST, folds, policy_name, seed

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Fit the next policy on the requests that a gateway explored, and compare it with
the policy that is served, on requests that neither has learned from. No gold
answers are needed. The new policy is stored in a new folder either way.
"""

# The work is done, and the new policy should not be served.
NO_SWAP = 3

EPILOG = f"""\
examples:
  tcalloc refit policy/ --from traffic/ --out policy2/
                                               the same kind, at the same spend
  tcalloc refit vote8 --from traffic/ --out policy2/ --budget 3
                                               the first policy of a gateway
                                               that always draws 8 samples

the traffic: the run folder of tcalloc serve --explore 0.02 --traffic traffic/.
Each request says which policy was served. Both are compared on the requests of
POLICY only; the new policy learns from all.

swap: yes, if the gain in agreement with the reference is above -0.5 points with
95 % confidence. To swap, put the new folder in the place of the old one, then
send the gateway SIGHUP, or POST /admin/policy.

the policies:
{POLICY_LIST}

exit codes: 0 done, and the new policy should be served; 3 done, and it should
not; 1 the work failed; 2 wrong command line; 130 interrupted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("served", metavar="POLICY", help="the policy that is served: a folder, or an action's name")
    parser.add_argument(
        "--from", dest="traffic", metavar="RUN", required=True, help="the run folder of tcalloc serve --traffic"
    )
    parser.add_argument("--out", metavar="POLICY2", required=True, help="a new folder for the new policy")
    parser.add_argument(
        "--budget",
        metavar="B",
        type=shared.budget,
        help="mean cost per request of the new policy (default: what the served one spends)",
    )
    parser.add_argument(
        "--served-budget",
        metavar="B",
        type=shared.budget,
        help="the budget of the served policy, if tcalloc serve --budget set it",
    )
    parser.add_argument(
        "--policy",
        metavar="NAME",
        type=policy_name,
        help="another kind of policy; see below (default: that of POLICY; of an action, Sequential)",
    )
    parser.add_argument(
        "--labels",
        metavar="KIND",
        type=shared.labels,
        default="agreement",
        help="what counts as the right answer, as in tcalloc fit (default: agreement)",
    )
    parser.add_argument(
        "--folds", metavar="N", type=folds, default=5, help="folds of the cross-validation (default: 5)"
    )
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="random seed (default: 0)")
    shared.add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc.evaluate.refit import refit
    from tcalloc.learn.saving.policy_folder import refuse_new
    from tcalloc.serve.gateway.live_policy import policy_named

    refuse_new(args.out)
    served = policy_named("POLICY", args.served)
    if args.served_budget is not None:
        if not hasattr(served, "at"):
            raise shared.UsageError(f"--served-budget: {args.served} is one action, which has no budget. Leave it out.")
        served = served.at(args.served_budget)
    report = refit(
        served,
        args.traffic,
        args.budget,
        args.policy,
        labels=args.labels,
        folds=args.folds,
        random_state=args.seed,
        out=args.out,
    )
    for note in report.notes:
        shared.say(f"note: {args.traffic}: {note}")
    if args.json:
        shared.print_json({"served": args.served, "traffic": args.traffic, "out": args.out} | report.to_dict())
    else:
        print(report.text(traffic=args.traffic, out=args.out, unit=args.unit))
        if report.swap and os.path.isdir(args.served):
            old, new = (shlex.quote(name.rstrip("/")) for name in (args.served, args.out))
            print(f"\nTo swap: mv {old} {old}.old && mv {new} {old}, then send the gateway SIGHUP.")
    return 0 if report.swap else NO_SWAP
