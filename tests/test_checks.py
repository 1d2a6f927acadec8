"""Checks of single arguments: what passes, what is refused, and in which words."""

import math

import numpy as np
import pytest

from tcalloc import InputError
from tcalloc._checks import flag, level_of, number, whole


@pytest.mark.parametrize("value", [1, 7, np.int8(3), np.uint64(7), np.int64(1)])
def test_whole_numbers_pass_as_ints(value):
    found = whole("n", value, 1, 7)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", [0, 8, 3.0, np.float64(3), True, np.True_, "3", None, [3], math.nan])
def test_other_things_are_no_whole_numbers(value):
    with pytest.raises(InputError) as error:
        whole("n", value, 1, 7, of="samples", hint=", or None")
    assert str(error.value) == f"n is {value!r}; expected a whole number of samples from 1 to 7, or None."


def test_without_a_largest_all_numbers_pass():
    assert whole("seed", 1 << 80) == 1 << 80
    with pytest.raises(InputError, match=r"seed is -1; expected a whole number, at least 0\."):
        whole("seed", -1)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5)])
def test_numbers_pass_as_floats(value):
    found = number("share", value, 0, 1)
    assert found == 0.5
    assert type(found) is float


def test_the_ends_of_an_interval_are_allowed_only_on_request():
    assert number("x", 0, 0, 1, ends=True) == 0.0
    assert number("x", np.int32(1), 0, 1, ends=True) == 1.0
    for value in (0, 1):
        with pytest.raises(InputError, match="expected a number between 0 and 1"):
            number("x", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, True, np.False_, "0.5", None, 1 + 0j])
def test_other_things_are_no_numbers(value):
    with pytest.raises(InputError, match=r"expected a price, at least 0\."):
        number("x", value, ends=True, of="a price")
    with pytest.raises(InputError, match=r"expected a number above 0\."):
        number("x", value)
    with pytest.raises(InputError, match=r"such as 0\.95\."):
        level_of("level", value)


def test_flags():
    assert flag("gate", np.True_) is True
    assert flag("gate", False) is False
    for value in (0, 1, None, "yes"):
        with pytest.raises(InputError, match="allowed are True and False"):
            flag("gate", value)
