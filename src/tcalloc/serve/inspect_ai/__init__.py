"""Epochs of inspect_ai that are not worth their price: its `EarlyStopping` protocol, driven by a policy.

What to use when
----------------
`stop_epochs`
    One argument of a task, ``early_stopping=stop_epochs(policy)``: a question gets no more epochs than its votes need.
`vote`
    The reducer that is right for such a task, ``epochs=Epochs(8, vote())``: the score of the majority answer.

Inspect is not a dependency of tcalloc: ``pip install inspect_ai``. `TESTED` says with which version this was tested.
"""

from tcalloc.serve.inspect_ai.stopping import TESTED, StopEpochs, stop_epochs
from tcalloc.serve.inspect_ai.votes import vote

__all__ = ["TESTED", "StopEpochs", "stop_epochs", "vote"]
