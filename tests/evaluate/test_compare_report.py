"""The report: one page, nothing fetched, nothing run, every word of the user's escaped; and the picture alone."""

import itertools
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from comparisons import MIXTURE, curve, made, replaced, spending, with_standings
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from places import HELPERS

import tcalloc
from tcalloc import InputError, Samples, Table
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions import findings
from tcalloc.evaluate.conclusions.headline import headline
from tcalloc.evaluate.plots import PALETTE, contenders, draw, plot, spread, subject
from tcalloc.evaluate.report import render, sections, write_report
from tcalloc.evaluate.report.templating import text

VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><b>",
    "' onmouseover='alert(1)",
    "$\\frac{a$ {}%s #f10a01 $title",
    "&amp; &lt;b&gt; ${first}",
    "\u202eright to left\u2066",
    "line\nbreak\x00nul\ud800half",
    "漢字 😀 עברית",
    "x" * 5000,
    "",
]


class Page(HTMLParser):
    """All tags and texts of a page; refuses one whose tags do not close."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def result():
    return made()


@pytest.fixture(scope="module")
def html(result):
    return render(result)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_it_fetches_nothing_and_runs_nothing(html, page):
    assert not page.named("script")
    assert not re.search(r"https?:|//\w|url\((?!#)|@import|javascript:", html)
    for _, attrs in page.tags:
        assert not any(name.startswith("on") or name in ("src", "action") for name in attrs)
        assert all(value.startswith("#") for name, value in attrs.items() if name in ("href", "xlink:href"))
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_it_is_small(html):
    assert len(html.encode()) < 300_000


def test_it_is_for_everyone(html, page):
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    assert len(page.named("h2")) == 9
    assert all(attrs.get("scope") in ("col", "row", "rowgroup") for attrs in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table")) == 4
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    pictures = [attrs for attrs in page.named("svg") if attrs.get("role") == "img"]
    assert len(pictures) == 5
    named = " ".join(attrs["aria-labelledby"] for attrs in (*pictures, *page.named("section"))).split()
    assert set(named) <= set(ids)
    assert all(attrs.get("aria-hidden") == "true" for attrs in page.named("svg") if attrs.get("role") != "img")
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_pictures_take_the_pages_colours_and_keep_their_text(html, page):
    assert "#f10a" not in html
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert used <= set(re.findall(r"(--[\w-]+):", html))
    assert {"--line-1", "--mixture", "--ink", "--sans"} <= used
    assert any("mean samples per question (log scale)" in part for part in page.texts)
    # Only what has no text: marks that Matplotlib draws as glyphs would be paths.
    assert page.named("text")


def test_names_within_a_picture_are_its_own(page):
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for tag, attrs in page.tags:
        if tag == "use":
            assert attrs["href"][1:] in ids
        clip = re.fullmatch(r"url\(#(.*)\)", attrs.get("clip-path") or "")
        if clip:
            assert clip[1] in ids


def test_the_first_sentence_comes_first(page, result):
    first = "".join(page.texts).strip().split("\n")
    words = [line for line in first if line.strip()]
    heading = next(line for line in words if line.startswith("On your"))
    heading_words = " ".join(heading.split())  # blanks that do not break are blanks
    assert heading_words == " ".join(headline(result)[0].split())
    assert heading.startswith("On your 400 questions, stopping early (Sequential) reaches ")
    assert words.index(heading) < 4


def test_all_figures_of_the_table_are_there(html, result):
    body = html[html.index('id="table"') : html.index('id="where"')].replace("\N{NO-BREAK SPACE}", " ")
    for standing in result.standings:
        row = next(line for line in body.splitlines() if f"<bdi>{standing.name}</bdi>" in line and "<td" in line)
        for value in standing.accuracy:
            assert f"{100 * value:.1f} %" in row
        if standing.name != MIXTURE:
            for value in standing.gain:
                assert phrases.points(value).replace("-", "\N{MINUS SIGN}") in row
    assert body.count('class="pick"') == len(result.budgets)


def test_nothing_is_not_a_number(html, page):
    assert not re.search(r"\bnan\b|\binf\b", " ".join(page.texts).lower())


@pytest.mark.parametrize("first", [0, 6])
def test_hostile_names_are_words(first, page):
    """Six of them stand in the pictures, all in the tables and lists."""
    names = HOSTILE[first:] + HOSTILE[:first]
    policies = [
        (name, "own", lambda s, i=i: curve(s, half=1 + 0.1 * i), {"marks": (name,), "claimed": 0.01})
        for i, name in enumerate(names)
    ]
    votes = {"votes": (), "vote_accuracy": np.zeros(0), "unit": "cost"}
    told = {"skipped": dict(zip(names, names, strict=True)), "versions": dict(zip(names, names, strict=True))}
    html = render(made(policies, remarks=names, actions=(*names, *names)[:20], **told, **votes))
    html.encode("utf-8")
    found = Page(html)
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in page.tags}
    assert {key for _, attrs in found.tags for key in attrs} <= {key for _, attrs in page.tags for key in attrs}
    assert not any(letter in html for letter in "\x00\u202e\u2066")
    assert any("$\\frac{a$ {}%s #f10a01" in part for part in found.texts)


def test_names_are_told_whole_and_as_they_are():
    name = "a <b> & 'c' \"d\""
    result = made([(name, "own", lambda s: curve(s, half=1.2), {})])
    html = sections.everyone(result, result.recommend())
    assert f"<bdi>{text(name)}</bdi>" in html
    assert any(name in part for part in Page(html).texts)


def test_a_users_own_settings_of_matplotlib_do_not_reach_it(result, html):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render(result) == html


def test_where_nothing_is_shown_it_says_so():
    level = made([("kNN", "policy", lambda s: curve(s, half=3.0), {})], n=60)
    table = sections.everyone(level, level.recommend())
    assert all('class="pick"' not in line for line in table.splitlines() if MIXTURE not in line)
    page = Page(sections.advised(level.recommend()))
    assert any("no policy is shown to be better than the mixture" in part for part in page.texts)


def test_without_claims_and_bounds_their_parts_are_left_out():
    bare = made([("ESC", "policy", lambda s: curve(s, half=1.2), {})], bounds=False)
    html = render(with_standings(bare, lambda one: replaced(one, claimed=one.claimed * np.nan)))
    assert 'id="claims"' not in html
    assert "bounds: no policy" not in html
    Page(html)


def test_refit_noise_is_told_where_it_was_measured():
    again = made([("ESC", "policy", lambda s: curve(s, half=1.2), {"refit": 0.0123})], repeats=3)
    assert "standard deviation of up to 1.2 points" in sections.caveats(again)
    assert "standard deviation" not in sections.caveats(made())


# ---------------------------------------------------------------------------------------------- what it says


def test_where_the_compute_goes_adds_up(result):
    for b in range(len(result.budgets)):
        found = findings.groups(result, result["Sequential"], b)
        assert sum(group.share for group in found) == pytest.approx(1)
        assert sum(group.spent for group in found) == pytest.approx(1)
        whole = sum(group.share * group.accuracy for group in found)
        assert whole == pytest.approx(result["Sequential"].accuracy[b])


def test_claims_are_beside_what_was_reached(result):
    found = {(claim.policy, claim.budget): claim for claim in findings.claims(result)}
    assert found["AC Beta", 2.0].off == pytest.approx(0.03, abs=1e-6)
    assert found["Sequential", 2.0].spend == 2.0
    assert "oracle, held out" not in {policy for policy, _ in found}


def words_of(html):
    """What is read: names stand within their sentences, other tags part words."""
    parts = Page(re.sub(r"</?bdi>", "", html)).texts
    return " ".join(" ".join(parts).replace("\N{NO-BREAK SPACE}", " ").split())


def test_claims_are_not_set_beside_an_interval_that_they_can_hardly_leave(result):
    """They come from the same questions as what was reached."""
    found = sections.claimed(result, result["Sequential"])
    words = words_of(found)
    assert "outside" not in words
    assert not re.search(r"claims? \d+ lie|interval of what was reached", words)
    # Sequential claims .4 points too much at 4 budgets, AC Beta 3; the mixture's own claim is no policy's.
    assert (
        "Over 8 claims of policies, claimed minus reached is +1.7 points on average, and 1.7 in absolute value."
        in words
    )
    assert "Farthest off was AC Beta" in words


def test_signs_of_claims_do_not_hide_how_far_off_they_are():
    level = made([(name, "policy", curve, {"claimed": off}) for name, off in (("ESC", 0.02), ("AC Beta", -0.02))])
    assert "is 0.0 points on average, and 2.0 in absolute value" in words_of(sections.claimed(level, None))


def test_claims_tell_what_was_really_spent_where_it_is_not_the_budget(result):
    assert "really" not in re.sub("really: what", "", words_of(sections.claimed(result, None)))
    off = spending(result, "AC Beta", [1.5, 2.019, 3.031, 2.9])
    words = words_of(sections.claimed(off, off["Sequential"]))
    assert re.findall(r"[+-]\S+, really (\S+)", words) == ["3.03", "2.9"]  # 2.019 is within 1 % of 2
    one = spending(made([("ESC", "policy", curve, {"claimed": 0.02})], budgets=(4.0,)), "ESC", [2.9])
    assert "Farthest off was ESC at 4, really 2.9: claimed" in words_of(sections.claimed(one, None))


def test_where_the_compute_goes_says_what_was_really_spent(result):
    assert "really" not in words_of(sections.destinations(result, result["Sequential"]))
    off = spending(result, "Sequential", [1.5, 2.0, 3.0, 2.9])
    words = words_of(sections.destinations(off, off["Sequential"]))
    # Over the bars, and in the table.
    assert words.count("at 4 samples per question; really spent: Sequential 2.9, mixture 4") == 2
    assert words.count("really spent") == 2
    assert "accuracies here are not at the same spend" in words
    both = spending(spending(result, "Sequential", [1.2, 2, 3, 4]), MIXTURE, [1.2, 2, 3, 4])
    words = words_of(sections.destinations(both, both["Sequential"]))
    assert words.count("at 1.5 samples per question; really spent: Sequential 1.2, mixture 1.2") == 2
    assert "not at the same spend" not in words


# Of three models on 24 questions.
RIGHT = np.array([[1, 1, 1, 0, 0, 0] * 4, [1, 0, 0, 1, 0, 0] * 4, [1, 1, 0, 0, 0, 0] * 4])
NEVER = ~RIGHT.any(axis=0)


def recorded(times):
    named = zip("abc", 1 - RIGHT, strict=True)
    return Samples(arms={name: Samples(np.repeat(row[:, None], times, axis=1)) for name, row in named})


@pytest.mark.parametrize(
    ("data", "easy", "hopeless", "said"),
    [
        (recorded(1), ~NEVER, NEVER, "Easy: at least one action is right. Hopeless: none is."),
        (recorded(6), ~NEVER, NEVER, "Easy: a single sample of whichever model is best on the question is right at"),
        (Samples(recorded(6).arms["a"].answers), RIGHT[0] > 0, RIGHT[0] == 0, "Easy: a single sample is right at"),
        (Table(RIGHT.T * 1.0, [1, 2, 3]), RIGHT.all(axis=0), NEVER, "right at least 9 times in 10, on average over"),
        (Table(RIGHT[[0, 0]].T * 1.0, [1, 2]), RIGHT[0] > 0, RIGHT[0] == 0, "Easy: at least one action is right."),
    ],
    ids=["one answer per model", "several models", "one model", "table", "table without medium ones"],
)
def test_it_says_which_questions_are_easy(data, easy, hopeless, said):
    found = tcalloc.compare(data, policies=["fixed k"], budgets=[1, 2])
    assert found.difficulty.tolist() == np.where(easy, 0, np.where(hopeless, 2, 1)).tolist()
    assert said in words_of(sections.destinations(found, found["fixed k"]))


def test_how_it_was_computed_says_that_fixed_k_has_no_dial(result):
    assert "fixed k" not in sections.method(result)
    fixed = made([("fixed k", "baseline", curve, {})])
    assert "; fixed k has none, and uses" in sections.method(fixed)


def test_targets_name_actions_that_do_not_cost_their_number(result):
    """Where some questions have fewer samples, 16 samples are paid less than 16 times."""
    whole = sections.wanted(result, result["Sequential"])
    assert "samples</bdi>" not in whole
    ragged = made(action_spend=0.75 * np.arange(1, 21))
    assert re.search(r"<td>6.75<small><bdi>9 samples</bdi></small></td>", sections.wanted(ragged, ragged["Sequential"]))


def test_the_last_target_is_beyond_everybody(result):
    found = findings.targets(result, [result["Sequential"], result[MIXTURE]])
    assert 3 <= len(found) <= 8
    assert all(np.isfinite(target.spans[0].spend) for target in found[:-1])
    assert all(np.isnan(span.spend) for span in found[-1].spans)
    assert "not reached" in sections.wanted(result, result["Sequential"])


# ---------------------------------------------------------------------------------------------- files


def test_it_writes_a_file(result, html, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    result.report(path)
    assert path.read_text(encoding="utf-8") == html
    with pytest.raises(InputError, match="does not exist"):
        write_report(result, tmp_path / "nowhere" / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(("module", "calls"), [("matplotlib", 2), ("jinja2", 1)])
def test_a_missing_extra_is_one_sentence(tmp_path, module, calls):
    """Without Jinja2 there are pictures, but no report."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules[sys.argv[3]] = None\n"
        "from comparisons import made\n"
        "for call in (lambda: made().report(sys.argv[2]), made().plot)[:int(sys.argv[4])]:\n"
        "    try: call()\n"
        "    except ImportError as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", program, str(HELPERS), str(tmp_path / "r.html"), module, str(calls)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == calls
    assert all(line.startswith("MissingExtraError") and "pip install 'tcalloc[plot]'" in line for line in lines)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- real comparisons


@pytest.mark.parametrize("answers", [np.zeros((12, 6), int), np.ones((12, 6), int)], ids=["right", "wrong"])
def test_reports_where_there_is_nothing_to_gain(answers):
    html = render(tcalloc.compare(Samples(answers), policies=["ESC", "AC Beta"]))
    assert not re.search(r"\bnan\b", " ".join(Page(html).texts).lower())


def test_report_of_five_questions():
    rng = np.random.default_rng(0)
    html = render(tcalloc.compare(Samples(rng.integers(0, 3, (5, 6))), policies=["ESC", "AC Beta"]))
    assert "On your 5 questions" in html
    Page(html)


# ---------------------------------------------------------------------------------------------- the picture


def test_plot_draws_on_given_axes(result):
    ax = Figure().add_subplot()
    assert plot(result, ax) is ax
    assert ax.get_xscale() == "log"
    labels = [note.get_text() for note in ax.texts]
    assert {"Sequential", MIXTURE, "oracle, held out"} <= set(labels)
    low, high = ax.get_ylim()
    assert low < result["Sequential"].low.min() < result["Sequential"].high.max() < high


def test_contenders_hold_the_recommended_and_the_users_own():
    policies = [(f"p{i}", "policy", lambda s, i=i: curve(s, half=1.2 + 0.1 * i), {}) for i in range(8)]
    policies.append(("mine", "own", lambda s: curve(s, half=2.9), {}))
    result = made(policies)
    names = [standing.name for standing in contenders(result)]
    assert names[0] == result.recommend().policy
    assert names[-1] == "mine"
    assert len(names) == 4


FLATTERED = ("mine", "own", lambda s: curve(s, half=1.0), {"marks": ("not trained here: it may know them",)})


def test_the_policy_with_the_band_is_the_one_that_the_caption_names():
    """Best of all is one that may not be recommended; and nothing else is shown to be better."""
    result = made([FLATTERED, ("kNN", "policy", lambda s: curve(s, half=3.0), {})], n=60)
    advice = result.recommend()
    assert not advice.shown
    about = subject(result, advice)
    assert about.name == contenders(result)[0].name == "kNN"
    ax = Figure().add_subplot()
    lines = draw(result, ax)
    assert [line.standing.name for line in lines if line.main] == ["kNN"]
    bands = [to_hex(band.get_facecolor()[0]) for band in ax.collections if isinstance(band, PolyCollection)]
    assert bands == [PALETTE.policies[0], PALETTE.mixture]
    assert [note.get_text() for note in ax.texts if note.get_weight() == "bold"] == ["kNN"]
    assert "kNN and the best fixed mixture carry 95 % bands" in words_of(sections.accuracy(result, about))


def test_a_policy_that_may_know_the_answers_carries_no_band():
    result = made([FLATTERED])
    about = subject(result, result.recommend())
    assert about is None
    ax = Figure().add_subplot()
    lines = draw(result, ax)
    assert lines[0].standing.name == "mine"
    assert not any(line.main for line in lines)
    bands = [to_hex(band.get_facecolor()[0]) for band in ax.collections if isinstance(band, PolyCollection)]
    assert bands == [PALETTE.mixture]
    assert "The best fixed mixture carries a 95 % band:" in words_of(sections.accuracy(result, about))
    Page(render(result))


def test_a_band_about_a_single_spend_is_an_interval():
    def short(one):
        fields = ("curve_spend", "curve_accuracy", "curve_low", "curve_high")
        return one if one.name != "ESC" else replaced(one, **{name: getattr(one, name)[5:6] for name in fields})

    result = with_standings(made([("ESC", "policy", lambda s: curve(s, half=1.2), {})]), short)
    ax = Figure().add_subplot()
    draw(result, ax)
    (bar,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    one = result["ESC"]
    expected = [[one.curve_spend[0], one.curve_low[0]], [one.curve_spend[0], one.curve_high[0]]]
    np.testing.assert_allclose(bar.get_segments()[0], expected)


@pytest.mark.parametrize("spends", [(1, 2, 3, 4), (0.5, 1, 2, 60), (2,), (0.1, 0.2, 60, 70)])
def test_fixed_k_goes_in_steps(spends):
    """It mixes nothing: between 1 sample and 2 it does what 1 sample does."""

    def stepped(one):
        x = np.array(spends, float)
        return (
            one
            if one.name != "fixed k"
            else replaced(one, curve_spend=x, curve_accuracy=x / 100, curve_low=x / 100, curve_high=x / 100)
        )

    result = with_standings(made([("fixed k", "baseline", curve, {})]), stepped)
    ax = Figure().add_subplot()
    draw(result, ax)
    (line,) = [one for one in ax.lines if to_hex(one.get_color()) == PALETTE.other]
    x, y = line.get_data()
    left, right = 1.0, 5.4
    inside = [spend for spend in spends if left <= spend <= right]
    if len(spends) == 1:
        assert (x.tolist(), y.tolist()) == ([2.0], [0.02])
        return
    assert line.get_drawstyle() == "steps-post"
    assert set(inside) <= set(x)
    assert set(x) <= {left, *inside, right}
    for spend, accuracy in zip(x, y, strict=True):
        assert accuracy == max(one for one in spends if one <= spend) / 100
    others = [one for one in ax.lines if one is not line and len(one.get_xdata()) > 20]
    assert len(others) == 2
    assert all(one.get_drawstyle() == "default" for one in others)
    assert "fixed k goes in steps" in sections.accuracy(result, None)


def test_numbers_of_votes_stand_where_votes_are_drawn():
    result = made(action_spend=0.75 * np.arange(1, 21))
    ax = Figure().add_subplot()
    draw(result, ax)
    at = {note.get_text(): note.xy[0] for note in ax.texts if note.get_text().isdigit()}
    assert at["4"] == 3.0
    (dots,) = [line for line in ax.lines if line.get_marker() == "s"]
    assert set(at.values()) <= set(dots.get_xdata())


@pytest.mark.parametrize("places", [[0.5] * 4, [0.0, 0.01, 0.99, 1.0], [1.0, 1.0, 1.0], [0.2], []])
def test_labels_are_moved_apart_and_stay_in_order(places):
    found = spread(places, 0.1)
    order = sorted(range(len(places)), key=lambda i: places[i])
    ranked = [found[i] for i in order]
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(ranked))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in found)
