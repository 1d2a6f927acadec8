"""Judges that tests ask instead of a model: they read what a judge sees, and say what a test wants."""

import json
import re


def mark_of(prompt):
    return re.search(r'"mark": the text (\w+)', prompt)[1]


def material(prompt):
    """What a judge that reads JSON sees: question, reference, answer."""
    lines = re.findall(r"^(question|reference|answer): (.*)$", prompt, re.MULTILINE)
    assert [name for name, _ in lines] == ["question", "reference", "answer"]
    return {name: json.loads(value) for name, value in lines}


class Judge:
    """Replies with what `say` makes of the prompt; remembers what it was sent."""

    def __init__(self, say):
        self.say, self.seen = say, []

    def complete(self, messages, **parameters):
        self.seen.append((messages, parameters))
        return self.say(messages[0]["content"])


def verdict(prompt, right, final="42", before="", **more):
    return before + json.dumps(
        {"mark": mark_of(prompt), "final": final, "verdict": "in" * (not right) + "correct"} | more
    )


def honest(prompt):
    """A judge that looks at the material alone."""
    seen = material(prompt)
    return verdict(prompt, seen["answer"].strip() == seen["reference"], seen["answer"][:40], before="Let me see.\n")
