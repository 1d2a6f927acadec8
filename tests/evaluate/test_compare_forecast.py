"""The forecast of a comparison's time, on the times that real comparisons took, and the line that shows it."""

import heapq
import io

import pytest

from tcalloc.evaluate.forecast import Bar, Forecast

# Seconds of each training of each group: the recorded table (293 questions, three models), and GSM8K with one model
# (191 questions, 30 samples), as they were measured on a busy machine.
RECORDED = {
    "stopping": [24.67, 22.59, 26.52, 31.61, 37.58],
    "counting": [72.66, 0.03, 0.04, 0.04, 0.04],
    "text": [12.38, 5.48, 5.06, 5.38, 5.25],
    "fixed k": [0.01, 0.01, 0.01, 0.01, 0.01],
    "random": [0.12, 0.12, 0.13, 0.06, 0.06],
    "prompt length": [0.09, 0.07, 0.04, 0.04, 0.07],
    "oracle, held out": [3.27, 0.01, 0.01, 0.01, 0.01],
    "hindsight bound": [0.39, 0.01, 0.01, 0.01, 0.01],
}
GSM8K = {
    "text": [14.61, 6.33, 6.06, 6.57, 5.9],
    "stopping": [24.61, 22.03, 23.22, 23.04, 21.69],
    "counting": [34.1, 0.03, 0.04, 0.02, 0.02],
    "best fixed mixture": [0.01, 0.01, 0.01, 0.01, 0.01],
    "random": [0.07, 0.12, 0.13, 0.09, 0.09],
    "oracle, held out": [2.33, 0.02, 0.01, 0.01, 0.01],
    "hindsight bound": [0.39, 0.01, 0.03, 0.01, 0.01],
}
# Without X, and nothing but rules of counts.
RULES = {name: GSM8K[name] for name in ("counting", "best fixed mixture", "oracle, held out")}
# A group that nobody has measured takes nearly all the time.
STRANGE = {"my own": [40.0, 41.0, 39.0, 40.0, 42.0], "best fixed mixture": [0.01] * 5, "random": [0.1] * 5}


def race(times, workers, slower=1.0):
    """Yield (seconds that have passed, forecast, seconds that are really left), after each training, in `run`'s order.

    Each process computes anew what is the first training's alone.
    """
    grouped = ("stopping", "counting", "text")
    order = sorted(
        [(group, fold) for group in times for fold in range(5)], key=lambda p: (p[1] > 0, p[0] not in grouped)
    )
    now = 0.0
    forecast = Forecast([group for group, _ in order], workers, lambda: now)
    free, seen, events = [(0.01, worker) for worker in range(workers)], set(), []
    for group, fold in order:
        at, worker = heapq.heappop(free)
        took = times[group][0] if (group, worker) not in seen else times[group][max(fold, 1)]
        seen.add((group, worker))
        events.append((at + slower * took, group, slower * took, worker))
        heapq.heappush(free, (at + slower * took, worker))
    end = max(event[0] for event in events)
    for now, group, took, worker in sorted(events):
        forecast.done(group, took, worker)
        yield now, forecast.left(), end - now


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("slower", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("times", [RECORDED, GSM8K, RULES, STRANGE], ids=["recorded", "gsm8k", "rules", "strange"])
def test_it_is_within_a_factor_of_two_after_a_tenth_of_the_work(times, workers, slower):
    points = list(race(times, workers, slower))
    total = points[-1][0]
    looked = 0
    for passed, ahead, really in points:
        if passed >= 0.1 * total and really >= 0.05 * total:
            looked += 1
            assert really / 2 <= ahead <= 2 * really, (
                f"{ahead:.0f} s are forecast after {passed:.0f}, left: {really:.0f}"
            )
    assert looked or workers > 1
    assert points[-1][1] == pytest.approx(0, abs=0.02 * total)


def test_counting_trainings_would_be_far_off():
    """What the line said before: it must be possible to fail."""
    done, passed = 0, 0.0
    for point in race(RECORDED, 1):
        passed, _, really = point
        done += 1
        if passed >= 0.1 * 260:
            break
    assert passed / done * (40 - done) > 2 * really


def test_nothing_is_forecast_before_anything_is_known():
    assert Forecast(["text", "stopping"]).left() is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_on_a_terminal(capsys):
    now, terminal = 0.0, Terminal()
    with Bar(["a"] * 4, True, stream=terminal, clock=lambda: now) as bar:
        for _ in range(4):
            now += 60
            bar.step("a", 60.0)
    lines = terminal.getvalue().split("\r")
    assert lines[1].strip() == "tcalloc: compare: 0 of 4 trainings (0:00)"
    assert lines[2].strip() == "tcalloc: compare: 1 of 4 trainings (1:00, about 3:00 left)"
    assert lines[-1].strip() == "tcalloc: compare: 4 of 4 trainings (4:00)"
    assert terminal.getvalue().endswith("\n")
    with Bar(["a"], False) as silent:
        silent.step("a", 1.0)
    assert capsys.readouterr() == ("", "")


def test_elsewhere_a_line_every_half_minute():
    now, file = 0.0, io.StringIO()
    with Bar(["a"] * 10, True, stream=file, clock=lambda: now) as bar:
        for _ in range(10):
            now += 10
            bar.step("a", 10.0)
    assert file.getvalue().splitlines() == [
        f"tcalloc: compare: {done} of 10 trainings (0:{10 * done:02}, about {left} left)".replace(
            "0:60", "1:00"
        ).replace("0:90", "1:30")
        for done, left in ((3, "1:10"), (6, "0:40"), (9, "0:10"))
    ]
