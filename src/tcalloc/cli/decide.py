"""``tcalloc decide``: choose the action for each new question, with a fitted policy."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.cli import _shared as shared
from tcalloc.cli import _tables as tables
from tcalloc.errors import InputError

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Choose an action for every question of a file, with a policy from tcalloc fit.
Nothing is sampled. Prints a summary; --out writes the actions.
"""

EPILOG = f"""\
examples:
  tcalloc decide policy/ new_questions.jsonl   at the price of the policy
  tcalloc decide policy/ new_questions.jsonl --budget 3
                                               3 on average over these questions
  tcalloc decide policy/ new_questions.jsonl --price 0.01
                                               one more unit of cost must gain
                                               one point of accuracy
  tcalloc decide policy/ new_questions.jsonl --out actions.csv
                                               id, action, cost of each question
  tcalloc decide policy/ new_questions.jsonl --out - | head
                                               the same on standard output
  tcalloc decide policy/ new_questions.jsonl --json
                                               everything, for programs

the questions: one JSON object per line, such as
  {{"id": "q1", "question": "6 times 7?"}}
answers are not looked at; .jsonl or .jsonl.gz. The categories that the policy
was fitted with must be there. The cost of an action is its average cost when
the policy was fitted.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("policy", metavar="POLICY", help="the folder that tcalloc fit wrote")
    parser.add_argument("table", metavar="QUESTIONS", help="the questions: .jsonl or .jsonl.gz")
    shared.add_features(parser, cost=False)
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--budget", metavar="B", type=shared.budget, help="mean cost per question over this file")
    limit.add_argument("--price", metavar="P", type=shared.budget, help="accuracy that one more unit of cost must gain")
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=shared.output,
        help="write id, action, cost of every question: .csv, .parquet, .npz, or - for CSV on standard output (the "
        "summary then goes to standard error)",
    )
    shared.add_unit(parser)
    shared.add_force(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    shared.check_outputs(args, ("id", "action", "cost"))
    from tcalloc.learn.question_rows import rows_for
    from tcalloc.learn.saving.policy_folder import load_policy
    from tcalloc.llm.questions import load_questions

    policy = load_policy(args.policy)
    if not hasattr(policy, "decide") or getattr(policy, "probed_", None) is not None:
        raise InputError(
            f"{args.policy}: a {type(policy).__name__} decides while its samples come in, not before. Use it with "
            "tcalloc answer."
        )
    questions = load_questions(args.table)
    x = rows_for(policy, questions, args.table, args.features)
    chosen = policy.decide(x, budget=args.budget, price=args.price)
    found = {
        "id": np.array([question.id for question in questions], object),
        "action": np.array(policy.action_names_, object)[chosen],
        "cost": np.asarray(policy.cost_)[chosen],
    }
    if args.out is not None:
        tables.write_output(args.out, found)
    shared.print_result(args, lambda: _document(args, policy, chosen, found), lambda: _summary(args, policy, chosen))
    return 0


def _asked(args: argparse.Namespace, policy: Any) -> str:
    """Return the setting that the decision used, in words."""
    if args.budget is not None:
        return f"budget {shared.cost(args.budget, args.unit)}"
    if args.price is not None:
        return f"price {shared.number(args.price)}"
    if policy.budget_ is None:
        return "the policy's own setting"
    kept = "" if policy.guarantee_ is None or policy.guarantee_.confidence is None else ", guaranteed"
    return f"the policy's budget of {shared.cost(policy.budget_, args.unit)}{kept}"


def _summary(args: argparse.Namespace, policy: Any, chosen: NDArray[np.int32]) -> str:
    n, k = len(chosen), len(policy.cost_)
    counts = np.bincount(chosen, minlength=k)
    spend = float(np.asarray(policy.cost_)[chosen].mean())
    head = "cost" if args.unit is None else f"cost ({shared.unit_words(args.unit)})"
    rows = zip(
        policy.action_names_,
        [f"{count:,}" for count in counts],
        [shared.share(count / n) for count in counts],
        shared.columns_of([float(value) for value in policy.cost_]),
        strict=True,
    )
    return "\n\n".join(
        [
            f"{args.table}: {shared.counted(n, 'question')}, decided by {args.policy} at {_asked(args, policy)}",
            shared.text_table(("action", "questions", "share", head), [*rows]),
            f"Expected spend: {shared.cost(spend, args.unit)} per question.",
        ]
    )


def _document(
    args: argparse.Namespace, policy: Any, chosen: NDArray[np.int32], found: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    return {
        "policy": args.policy,
        "questions": args.table,
        "asked": shared.given(args, "budget", "price"),
        "budget": policy.budget_,
        "price": policy.price_,
        "spend": float(found["cost"].mean()),
        "action_names": list(policy.action_names_),
        "action_costs": [float(value) for value in policy.cost_],
        "counts": np.bincount(chosen, minlength=len(policy.cost_)).tolist(),
        "ids": found["id"].tolist(),
        "actions": chosen.tolist(),
        "out": args.out,
    }
