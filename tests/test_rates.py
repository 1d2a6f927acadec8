"""One cost model: what a request costs adds up, grows with every count, and is bounded by what is reserved for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import InputError, Rates

PRICE = st.one_of(st.just(0.0), st.floats(1e-9, 1e-2))
MAYBE = st.one_of(st.none(), PRICE)
RATES = st.builds(
    Rates,
    input=PRICE,
    output=PRICE,
    reasoning=MAYBE,
    prompt_once=st.booleans(),
    cached_input=MAYBE,
    cache_write=MAYBE,
    cache_write_1h=MAYBE,
    request=PRICE,
)
COUNT = st.integers(0, 10**6)


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-18)


@given(RATES, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, st.integers(1, 64))
def test_parts_add_up(rates, plain, cached, short, hour, shown, reasoning, samples):
    prompt = plain + cached + short + hour, cached, short + hour, hour
    whole = rates.of(
        prompt[0], shown + reasoning, reasoning, samples,
        cached_tokens=cached, cache_write_tokens=short + hour, cache_write_1h_tokens=hour,
    )  # fmt: skip
    request, answer = rates.request_cost(*prompt), rates.answer_cost(shown + reasoning, reasoning)
    assert close(whole, request * rates.prompts(samples) + answer * samples)
    # The provider's own arithmetic: each kind of token times its price.
    read = rates.input if rates.cached_input is None else rates.cached_input
    write = rates.input if rates.cache_write is None else rates.cache_write
    kept = write if rates.cache_write_1h is None else rates.cache_write_1h
    think = rates.output if rates.reasoning is None else rates.reasoning
    listed = math.fsum([plain * rates.input, cached * read, short * write, hour * kept, rates.request])
    assert close(request, listed)
    assert close(answer, shown * rates.output + reasoning * think)
    # Two requests of one sample cost what they cost one by one.
    if samples == 1:
        assert close(2 * whole, whole + request + answer)
    # What is reserved is never less: no prompt has more tokens than bytes.
    assert whole <= rates.most(prompt[0], samples, shown + reasoning) * (1 + 1e-12)


@given(RATES, st.tuples(*[COUNT] * 6), st.integers(0, 5), st.integers(1, 1000))
def test_every_further_token_costs_no_less_than_nothing(rates, counts, which, more):
    def cost(plain, cached, short, hour, shown, reasoning):
        prompt = rates.request_cost(plain + cached + short + hour, cached, short + hour, hour)
        return prompt + rates.answer_cost(shown + reasoning, reasoning)

    larger = list(counts)
    larger[which] += more
    assert cost(*larger) >= cost(*counts) * (1 - 1e-12)


def test_arrays_cost_like_numbers():
    rates = Rates.per_million(1, 4, 5, cached_input=0.1, cache_write=1.25, cache_write_1h=2, request=10)
    tokens = np.array([[500.0, 400, 50, 20], [900, 0, 0, 0]])
    found = rates.request_cost(*tokens.T)
    assert found.tolist() == [rates.request_cost(*row) for row in tokens.tolist()]
    assert round(found[0] * 1e6, 9) == 50 + 40 + 30 * 1.25 + 20 * 2 + 10


def test_prices_that_are_none_are_named():
    for name in ("cached_input", "cache_write", "cache_write_1h"):
        with pytest.raises(InputError, match=rf"Rates\.{name} is -1; expected a rate per token, at least 0"):
            Rates(**{name: -1})
    with pytest.raises(InputError, match=r"Rates\.request is nan; expected a rate per request"):
        Rates(request=math.nan)
    with pytest.raises(InputError, match="the price of cached input tokens is -1; expected a price per million tokens"):
        Rates.per_million(1, 1, cached_input=-1)
    with pytest.raises(InputError, match="the price of requests is inf; expected a price per million requests"):
        Rates.per_million(1, 1, request=math.inf)


def test_files_hold_what_is_set():
    rates = Rates.per_million(1, 4, cached_input=0.1, request=3)
    assert Rates(**rates.as_dict()) == rates
    assert "cache_write" not in rates.as_dict()
