"""``tcalloc fit``: a policy that decides on new questions, from a run folder."""

import argparse
import os
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.cli import _policies as policies
from tcalloc.cli import _shared as shared
from tcalloc.cli import _stopping as stopping
from tcalloc.errors import InputError

if TYPE_CHECKING:
    from tcalloc.learn.certify import Certificate
    from tcalloc.measure import Samples

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Learn from a run folder which question deserves how much, and store it as a
policy that decides on new questions by their text. Says what the policy is
known to lose, on questions that it has not seen (cross-validation).
"""

EPILOG = f"""\
examples:
  tcalloc fit run/ --budget 4 --out policy/    4 per question on average
  tcalloc fit run/ --budget 4 --confidence 0.95 --out policy/
                                               a quarter of the questions sets
                                               the price: the expected spend is
                                               at most 4 with 95 % confidence
  tcalloc fit run/ --budget 4 --category task --out policy/
                                               by text and by the field "task"
                                               of the questions
  tcalloc fit run/ --budget 4 --policy imitator --out policy/
                                               as arXiv 2604.14853, to compare
  tcalloc fit run/ --budget 3 --policy sequential --out policy/
                                               draw until another sample is not
                                               worth its cost
  tcalloc decide policy/ new_questions.jsonl   which action for which question
  tcalloc answer new_questions.jsonl --policy policy/ --local
                                               do it, live

the run folder: from tcalloc sample or tcalloc import, with marked samples, and
the same number for every question. The actions are votes over 1, 3, 5, 9, 17,
33 samples of each model (as many as were drawn), or one sample of each model
where only right and wrong is known; a verifier is never assumed. Policies learn
from the texts of the questions; sequential does without them.

what is said: fidelity is the share of questions where the policy picks the
oracle's action; it means little beside what always picking one action reaches
and how often two oracles agree, each from half of the samples. The regret at
the price and the budget not spent bound how far the policy is below the
optimum. Where the texts tell too little, the policy serves the best fixed
mixture of actions and says so: the gate is closed.

{shared.EXIT_CODES}"""

# Fewer questions cannot be split and still say anything.
LEAST = 20
# Of the questions, with --confidence: those that set the price.
CALIBRATE = 0.25


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fit",
        prog="tcalloc fit",
        help="a policy that decides on new questions",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("table", metavar="RUN", help="a run folder")
    parser.add_argument(
        "--budget", metavar="B", type=shared.budget, required=True, help="mean cost per question that may be spent"
    )
    parser.add_argument(
        "--out", metavar="POLICY", required=True, help="the folder to write; a policy that is there is replaced"
    )
    parser.add_argument("--questions", metavar="FILE", help="the questions file, where the run holds no texts")
    parser.add_argument(
        "--category",
        metavar="FIELD",
        action="append",
        default=[],
        help="a field of the questions that names their kind; may be given often. New questions must have it too",
    )
    parser.add_argument(
        "--policy",
        choices=("priced", "imitator", "sequential"),
        default="priced",
        help="priced predicts what each action reaches; imitator predicts the oracle's action; sequential decides "
        "after each sample whether another is worth its cost (default: priced)",
    )
    parser.add_argument(
        "--confidence", metavar="C", type=_confidence, help="guarantee the budget with this confidence, such as 0.95"
    )
    parser.add_argument("--folds", metavar="N", type=_folds, default=5, help="of the cross-validation (default: 5)")
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="of splits and lots (default: 0)")
    shared.add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    _refuse_out(args.out)
    samples, x = _read(args)
    n = len(samples)
    if n < max(LEAST, 2 * args.folds):
        raise InputError(
            f"{args.table}: {shared.counted(n, 'question')}; at least {max(LEAST, 2 * args.folds)} are needed to learn "
            "and to be held out. Sample more questions."
        )
    everything = np.arange(n)
    if args.policy == "sequential":
        return stopping.run(args, samples, x)
    assert x is not None
    policy = _fitted(args, samples, x, everything)
    actions = list(policy.actions_)
    chosen = np.empty(n, np.int32)
    for train, held in _splits(n, args.folds, args.seed):
        chosen[held] = _fitted(args, samples, x, train, actions).decide([x[i] for i in held])
    certificate = _certified(args, policy, samples, actions, chosen)
    policy.save(args.out)
    if args.json:
        shared.print_json(_document(args, policy, n, certificate))
    else:
        print(_summary(args, policy, n, certificate))
    return 0


# ---------------------------------------------------------------------------------------------- the work


def _read(args: argparse.Namespace) -> tuple["Samples", list[Any] | None]:
    """Return the samples, and what is known of their questions beforehand; None where that is not needed."""
    from tcalloc.measure import Samples

    if not os.path.isdir(args.table):
        what = "no such folder" if not os.path.exists(args.table) else "not a folder"
        raise InputError(f"{args.table}: {what}; expected a run folder that tcalloc sample or tcalloc import wrote.")
    samples = Samples.load(args.table)
    for note in samples.notes:
        shared.say(f"note: {args.table}: {note}")
    ids = [] if samples.ids is None else samples.ids
    try:
        questions = policies.questions_of(args.table, ids, args.questions)
    except InputError:
        # What was asked for by name must be there; who stops while sampling may do without the texts.
        if args.policy != "sequential" or args.questions is not None or args.category:
            raise
        shared.say(
            f"note: {args.table}: does not hold the texts of its questions, so the policy goes by their samples alone. "
            "For one that looks at the texts too, give the file that was sampled: --questions FILE."
        )
        return samples, None
    where = args.questions or args.table
    columns = {name: [policies.category(question, name, where) for question in questions] for name in args.category}
    return samples, policies.rows_of([question.text for question in questions], columns)


def _fitted(
    args: argparse.Namespace, samples: "Samples", x: list[Any], rows: NDArray[np.intp], actions: list[Any] | None = None
) -> Any:
    """Return the policy of some questions, its price set on a part of them that it does not learn from if need be."""
    from tcalloc.learn.imitator import Imitator
    from tcalloc.learn.priced import PricedRegressor

    held = rows[:0]
    if args.confidence is not None:
        order = np.random.default_rng([args.seed, 1]).permutation(rows)
        size = max(int(CALIBRATE * len(rows)), 1)
        rows, held = np.sort(order[size:]), np.sort(order[:size])
    kind: Any = Imitator if args.policy == "imitator" else PricedRegressor
    policy = kind(budget=args.budget, random_state=args.seed)
    policy.fit([x[i] for i in rows], samples.take(rows), actions=actions)
    if args.confidence is not None:
        policy.calibrate([x[i] for i in held], samples.take(held), budget=args.budget, confidence=args.confidence)
    return policy


def _splits(n: int, folds: int, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    from tcalloc.learn.folds import split

    return split(n, folds, seed)


def _certified(
    args: argparse.Namespace, policy: Any, samples: "Samples", actions: list[Any], chosen: NDArray[np.int32]
) -> "Certificate":
    from tcalloc.learn.certify import certify

    # An imitator's own price is no rate of accuracy; the oracle's that it imitates is.
    price = getattr(policy, "oracle_price_", policy.price_)
    return certify(chosen, samples, price, budget=args.budget, actions=actions, random_state=args.seed)


def _refuse_out(path: str) -> None:
    """Refuse before the work what could not be written after it."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"{path}: not a folder; a policy is a folder. Choose another name.")
    if os.path.isdir(path) and os.listdir(path) and not os.path.exists(os.path.join(path, "policy.json")):
        raise InputError(f"{path}: holds other files and no policy. Choose another name.")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InputError(f"{path}: the folder {folder} does not exist. Create it first.")


# ---------------------------------------------------------------------------------------------- words


def _facts(policy: Any) -> list[str]:
    """Return what the policy says of itself after fit."""
    lines = [line.strip() for line in repr(policy).splitlines() if line.startswith("  ")]
    start = next((i for i, line in enumerate(lines) if line.startswith("fitted on")), len(lines))
    return lines[start:]


def _summary(args: argparse.Namespace, policy: Any, n: int, certificate: "Certificate") -> str:
    k = len(policy.action_names_)
    head = f"{args.table}: {shared.counted(n, 'question')}, {shared.counted(k, 'action')}{shared.costs_in(args.unit)}"
    facts = "\n".join(textwrap.fill(line, 98, subsequent_indent="  ") for line in _facts(policy))
    told = f"Held out, in {args.folds}-fold cross-validation (every question decided by a policy that has not seen it):"
    figures = str(replace_notes(certificate))
    notes = [textwrap.fill(note, 98) for note in certificate.notes]
    return "\n\n".join([head, f"{args.out}: {type(policy).__name__}\n{facts}", f"{told}\n\n{figures}", *notes])


def replace_notes(certificate: "Certificate") -> "Certificate":
    """Return it without its notes, which are said below, in lines of their own."""
    from dataclasses import replace

    return replace(certificate, notes=())


def _document(args: argparse.Namespace, policy: Any, n: int, certificate: "Certificate") -> dict[str, Any]:
    return {
        "run": args.table,
        "out": args.out,
        "policy": type(policy).__name__,
        "questions": n,
        "budget": shared.finite(args.budget),
        "price": shared.finite(policy.price_),
        "action_names": list(policy.action_names_),
        "action_costs": [shared.finite(value) for value in policy.cost_],
        "categories": args.category,
        "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
        "facts": _facts(policy),
        "folds": args.folds,
        "certificate": certificate.to_dict(),
    }


# ---------------------------------------------------------------------------------------------- arguments


def _confidence(text: str) -> float:
    value = shared.budget(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1; such as 0.95")
    return value


def _folds(text: str) -> int:
    return shared.count(text, 2)


def _seed(text: str) -> int:
    return shared.count(text, 0)
