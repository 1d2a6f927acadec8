r"""The experiment of arXiv 2604.14853, with any OpenAI-compatible server, on the local model, or on recorded answers.

    python -m bench.paper --replay gsm8k_gpt4omini                      recorded answers, nothing is asked
    python -m bench.paper --local --limit 30 --responses 8              all of it here, on SmolLM2-135M, in a minute
    python -m bench.paper --gsm8k test.jsonl --math math.jsonl --model gpt-4o-mini --model deepseek-v3 --out runs/

What is done. Every question gets 48 responses (`sampling.py`; the same command goes on after ctrl-C, kill -9 or a
limit, and asks nothing twice). Actions are majority votes over 1, 2, 4, 8, 16 and 48 responses, or as many as there
are; cost counts responses (`data.py`). Policies see 16 lexical counts of the question, and some of them the entropy of
one cheap call: the mean −log p of a token of the first response, which is what one sample says of the mean entropy of
a token. Where a server gives no log-probabilities, the first response's length stands in, and the tables say so. That
response is paid for: it is the first one of the vote, and what follows is replayed in many orders (`calls.py`).
Contestants (`methods.py`): fixed, the best fixed mixture, random, length; the paper's imitator (XGBoost, 100 trees of
depth 5) with and without the call; ours: priced, priced after one response, and stopping at a price; two oracles.

What counts (`figures.py`). Five folds over questions: nothing is trained, tuned or gated on the questions that score
it. Spends are matched as in `tcalloc.learn.holdout.folds`; a method that cannot spend as much is marked, and compared
where it is. The gain is over the best fixed mixture at the same real spend, paired by question, with a 95 % interval
over questions (of one cell: nothing is corrected for many cells). "oracle, own samples" chooses by the samples that
score it, as a table of estimates makes easy, and overstates accuracy; "oracle, held out" chooses on one half of a
question's samples, among votes that fit in it, and is scored on the other. Fidelity stands beside the share of the
oracle's most frequent action and the agreement of two oracles from half of the samples each;
`bench/studies/paper_regime.py` says what it can mean.

What is printed (`words.py`): a table of methods by budgets for each data set and model, gains, fidelity, and ours
beside the paper's claims: up to 12.8 % relative gain on MATH, more than 91 % fidelity. One row that others report of
it, setting unknown, stands apart: no figure here is comparable with it.

Before money is spent, the command estimates the cost from the questions' lengths and asks for consent (--yes gives it).
A few paid calls then improve the estimate. If that is more than what was agreed to, the command asks again. A run stops
at the agreed amount. Prices in `presets.py` are list prices with date and source: check them before you trust them.
Keys are found as by ``tcalloc sample``.

The files: GSM8K's (``question``, ``answer`` that ends in ``#### 42``) and MATH's (``problem``, ``solution`` with
``\boxed{…}``, perhaps ``level``), one JSON object a line. MATH is graded by math-verify: pip install 'tcalloc[math]'.
"""
