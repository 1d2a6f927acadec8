"""Why a contestant cannot take part, in plain words."""

from tcalloc.evaluate.contestants.bounds import halves as half_of
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.thresholds import FEWEST
from tcalloc.learn.registry import PROBED, Entry, entry_of

__all__ = ["Skipped"]

IF_THERE_IS_ONE = "If a verifier recognises right answers live, say verifier=True (--verifier)"
PROBE = int(dict(entry_of(PROBED).options)["probe"])


class Skipped:
    """Collects who cannot take part.

    Parameters
    ----------
    problem : Problem
        In what.

    Attributes
    ----------
    why : dict of str to str
        By name.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.why: dict[str, str] = {}

    def allows(self, entry: Entry) -> bool:
        """Say whether a policy that needs so much can take part; if not, note why."""
        needs = set(entry.needs)
        reasons = [
            self._samples(bool(needs & {"samples", "halves"}), "verifier" in needs, "votes" in needs),
            self._marks("answers" in needs),
            self._told("x" in needs, "text" in needs, "label" in needs),
            self._probe("probe" in needs),
            self._halves("halves" in needs),
        ]
        for reason in reasons:
            if reason:
                self.why[entry.name] = reason
                return False
        return True

    def _samples(self, needed: bool, verifier: bool, votes: bool) -> str:
        problem = self.problem
        if needed and problem.samples is None:
            return "it needs samples, and a table has one number per question and action"
        if verifier and not problem.verifier:
            return f"it needs a verifier. {IF_THERE_IS_ONE}"
        if votes and problem.verifier:
            return "with a verifier the first right sample is the answer, so votes add nothing"
        return ""

    def _marks(self, looks: bool) -> str:
        problem = self.problem
        if not looks or problem.verifier or problem.samples is None or problem.samples.answered:
            return ""
        silent = [name for name, arm in problem.samples.by_model.items() if arm.answers is None and name]
        of = f" of {', '.join(silent)}" if silent else ""
        return f"it compares answers, and only right and wrong were recorded{of}. {IF_THERE_IS_ONE}"

    def _told(self, x: bool, text: bool, label: bool) -> str:
        problem = self.problem
        if label and problem.labels is None:
            return "no difficulty labels were given (difficulty=…)"
        if (x or text) and problem.rows is None:
            return "it decides by the questions, which were not given (X=…)"
        if text and problem.texts is None:
            return "X holds no texts, so no prompt has a length"
        if x and len(problem.menu.names) < 2:
            return "there is only one action"
        if x and problem.questions < FEWEST:
            return f"learning from X takes at least {FEWEST} questions, and there are {problem.questions}"
        return ""

    def _probe(self, needed: bool) -> str:
        problem = self.problem
        if not needed or problem.samples is None:
            return ""
        if problem.questions < FEWEST:
            return f"learning takes at least {FEWEST} questions, and there are {problem.questions}"
        drawing = [action for action in problem.menu.actions or () if action is not None]
        if not any(action.samples > 1 for action in drawing) and len(drawing) < 2:
            return "no action draws more samples after a probe"
        if any(action.kind.shown_as is None for action in drawing):
            return "a probe's pattern does not show scores, by which an action chooses"
        if problem.menu.available is not None:
            return "some questions have fewer samples than some actions need"
        if int(problem.samples.sizes.min()) < PROBE:
            return f"a probe takes {PROBE} samples, and some questions have fewer"
        return ""

    def _halves(self, needed: bool) -> str:
        if needed and not half_of(self.problem):
            return (
                "more than a tenth of the questions have one sample of each model, so that no half of the samples can "
                "choose while the other scores"
            )
        return ""
