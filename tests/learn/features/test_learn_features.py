"""Features: what each column is, one question like many, scikit-learn's own checks."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcalloc import InputError
from tcalloc.learn.rows import as_rows

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from tcalloc.learn.features import LEXICAL, Features, lexical_features
from tcalloc.learn.features._scan import BLOCK, CLASSES, blocks, pairs, scan

QUESTIONS = [
    "Janet’s ducks lay 16 eggs per day; she sells each for $2.50. How much does she make?",
    "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total does it take?",
    "Name the capital of FRANCE.",
    "What is 12 * 12 + 3?",
    "Solve \\(x^2 - 5x + 6 = 0\\).\nGive both roots:\n- the larger\n- the smaller",
    "Which is larger, 3.11 or 3.9? Explain...",
    "Wie heißt die Hauptstadt von Österreich?",
    "",
] + [f"Tom has {i} apples and gives {i // 2} to each of his {i % 7} friends. How many are left?" for i in range(20)]
FRAME = pd.DataFrame({"q": QUESTIONS, "task": ["a", "b"] * 14, "n": np.arange(28.0)})


# ---------------------------------------------------------------------------------------------- lexical


def test_there_are_sixteen_and_each_is_named_and_told():
    assert len(LEXICAL) == 16
    assert all(re.fullmatch(r"[a-z_]+", name) and said for name, said in LEXICAL.items())


def test_lexical_counts_by_hand():
    text = "Is $5.50 more than 20%? Ada, Bob: (1 + 2) * 3 <= 9.\nExplain \\frac{1}{2} twice!"
    found = dict(zip(LEXICAL, lexical_features([text])[0], strict=True))
    words = re.findall(r"\w+", text)
    assert found["characters"] == np.log1p(len(text))
    assert found["words"] == np.log1p(len(words))
    assert found["sentences"] == np.log1p(3)  # ? . ! and not that inside 5.50
    assert found["word_length"] == pytest.approx(np.mean([len(word) for word in words]))
    assert found["long_words"] == 0
    assert found["capitals"] == pytest.approx(100 * sum(c.isupper() for c in text) / len(text))
    assert found["digits"] == pytest.approx(100 * sum(c.isdigit() for c in text) / len(text))
    assert found["numbers"] == np.log1p(len(re.findall(r"\d+", text)))
    assert found["operators"] == np.log1p(4)  # + * < =
    assert found["brackets"] == np.log1p(6)
    assert found["commas"] == np.log1p(2)
    assert found["lines"] == np.log1p(1)
    assert found["money_percent"] == np.log1p(2)
    assert found["latex"] == np.log1p(1)
    assert found["question_words"] == np.log1p(3)  # Is, Explain, ?
    assert found["comparison_words"] == np.log1p(3)  # more, than, twice


def slow_counts(text):
    """The same by regular expressions, one text at a time."""
    return {
        "characters": len(text),
        "words": len(re.findall(r"\w+", text)),
        "numbers": len(re.findall(r"\d+", text)),
        "lines": text.count("\n"),
        "commas": len(re.findall("[,;:、，]", text)),
        "brackets": len(re.findall(r"[()\[\]{}]", text)),
        "question_words": len(re.findall("[?？]", text)),
    }


TEXT = st.text(max_size=60) | st.text("aZ 0.9$%?\n\\,é", max_size=60)


@given(st.lists(TEXT, min_size=1, max_size=6))
@example(["", "\0", "\0a\0", "a\0b"])
@example(["İstanbul ǅ", "\ud800 lone", "日本語 ５", "𝟘 math digits"])
def test_scanning_many_texts_is_scanning_each(texts):
    together = lexical_features(texts)
    assert np.isfinite(together).all()
    assert np.array_equal(together, np.concatenate([lexical_features([text]) for text in texts]))
    found = scan(texts)
    assert found.counts.sum(axis=1).tolist() == [len(text) for text in texts]
    assert found.words.sum() == len(found.hashes) == len(found.lengths)
    for text, row in zip(texts, together, strict=True):
        plain = slow_counts(text)
        values = dict(zip(LEXICAL, row, strict=True))
        for name in ("characters", "words", "numbers", "lines", "commas", "brackets"):
            assert values[name] == pytest.approx(np.log1p(plain[name])), name
        assert values["question_words"] >= np.log1p(plain["question_words"])


@given(st.lists(st.text("abAB é_1", max_size=12), min_size=1, max_size=5))
def test_hashes_are_those_of_words(texts):
    found = scan(texts)
    words = [word for text in texts for word in re.findall(r"\w+", text.lower())]
    assert len(words) == len(found.hashes)
    assert len(set(words)) == len(set(found.hashes.tolist()))
    assert len(set(zip(words, found.hashes.tolist(), strict=True))) == len(set(words))
    second, owners = pairs(found)
    expected = [(i, pair) for i, text in enumerate(texts) for pair in re.findall(r"(?=\b(\w+)\W+(\w+))", text.lower())]
    assert owners.tolist() == [i for i, _ in expected]
    assert len(set(second.tolist())) == len({pair for _, pair in expected})


def test_blocks_hold_all_texts_in_order():
    texts = ["a" * (BLOCK // 3)] * 7 + ["", "b" * (3 * BLOCK), "c"]
    cut = list(blocks(texts))
    assert [text for block in cut for text in block] == texts
    assert len(cut) > 3
    assert list(blocks([])) == []


def test_a_giant_text_is_read():
    text = "word " * 500_000
    assert lexical_features([text])[0, 1] == np.log1p(500_000)
    assert len(CLASSES) == scan([text]).counts.shape[1]


# ---------------------------------------------------------------------------------------------- tf-idf


def test_tfidf_is_that_of_scikit_learn():
    texts = [text for text in QUESTIONS if "İ" not in text]
    made = Features(components=5).fit(texts).texts_["text"]
    weights = made._sparse(texts)
    theirs = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\w+")
    expected = theirs.fit_transform(texts)
    assert weights.shape == expected.shape
    # The columns stand in another order (ours in that of the hashes), so compare all inner products.
    assert np.allclose((weights @ weights.T).toarray(), (expected @ expected.T).toarray(), rtol=0, atol=1e-12)


def test_tfidf_columns_are_the_leading_singular_directions():
    made = Features(lexical=False, components=5).fit(QUESTIONS)
    weights = made.texts_["text"]._sparse(QUESTIONS).toarray()
    values = np.linalg.svd(weights, compute_uv=False)[:5]
    assert np.allclose(np.linalg.norm(made.transform(QUESTIONS), axis=0), values, rtol=1e-4)


@pytest.mark.parametrize("text", ["tfidf", "hashing", None])
@pytest.mark.parametrize(
    "X", [QUESTIONS, FRAME, FRAME[["q"]], pl.from_pandas(FRAME)], ids=["texts", "frame", "q", "pl"]
)
def test_one_is_the_same_bits_as_one_of_many(text, X):
    features = Features(text=text, components=6).fit(X)
    many = features.transform(X)
    assert many.dtype == np.float64
    assert many.shape == (len(QUESTIONS), len(features.get_feature_names_out()))
    assert np.isfinite(many).all()
    rows = as_rows(X, expected=features.schema_)
    for i in range(rows.n):
        assert np.array_equal(features.transform_one(rows.row(i)), many[i])


def test_columns_are_named_and_standardized():
    features = Features(components=3).fit(FRAME)
    names = features.get_feature_names_out().tolist()
    expected = [f"lexical:{name}" for name in LEXICAL] + ["tfidf:svd00", "tfidf:svd01", "tfidf:svd02"]
    assert names == [*expected, "task=a", "task=b", "n"]
    values = dict(zip(names, features.transform(FRAME).T, strict=True))
    assert values["task=a"].tolist() == [1, 0] * 14
    for name in ("lexical:characters", "lexical:digits", "n"):
        assert np.abs(values[name]).max() <= 4
    assert values["n"].mean() == pytest.approx(0, abs=1e-12)
    assert values["n"].std() == pytest.approx(1)
    two = pd.DataFrame({"q": QUESTIONS, "more": QUESTIONS[::-1]})
    names = Features(components=2).fit(two).get_feature_names_out().tolist()
    assert "q:lexical:words" in names
    assert "more:tfidf:svd01" in names


def test_outliers_are_clipped_and_what_does_not_vary_is_zero():
    features = Features().fit(np.column_stack([np.arange(10.0), np.full(10, 0.1)]))
    found = features.transform([[1e300, 0.1], [-1e300, 1e300]])
    assert found.tolist() == [[4, 0], [-4, 0]]


def test_a_category_that_was_not_seen_is_all_zeros():
    features = Features(lexical=False, text=None).fit(FRAME)
    found = features.transform(FRAME.assign(task="new"))
    assert found[:, :2].tolist() == [[0, 0]] * len(FRAME)


def test_only_the_most_frequent_categories_have_columns():
    values = [f"c{i:03}" for i in range(300)] + ["c299"]
    frame = pd.DataFrame({"c": pd.Categorical(values)})
    features = Features().fit(frame)
    assert features.transform(frame).shape == (301, 256)
    assert "c=c299" in features.get_feature_names_out()


def test_hashing_learns_nothing_of_the_texts():
    features = Features(lexical=False, text="hashing", components=64).fit(["only this"])
    found = features.transform(QUESTIONS)
    assert found.shape == (len(QUESTIONS), 64)
    length = np.linalg.norm(found, axis=1)
    assert np.allclose(length[[len(text) > 0 for text in QUESTIONS]], 1)
    assert np.array_equal(
        found, Features(lexical=False, text="hashing", components=64).fit(QUESTIONS).transform(QUESTIONS)
    )


@pytest.mark.parametrize("texts", [["a"], ["", ""], ["same", "same"], ["a b", "c d"], ["?", "!"]])
def test_hardly_any_text_is_enough(texts):
    features = Features().fit(texts)
    assert np.isfinite(features.transform([*texts, "something else 12"])).all()


def test_a_seed_decides():
    first, again = (Features(components=4, random_state=3).fit(QUESTIONS).transform(QUESTIONS) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"text": "bert"}, "text is 'bert'"),
        ({"components": 0}, "components"),
        ({"components": 2.5}, "components"),
        ({"lexical": "yes"}, "lexical"),
        ({"random_state": -1}, "random_state"),
        ({"embed": 3}, "embed"),
        ({"lexical": False, "text": None}, "no feature is left"),
    ],
)
def test_parameters_that_are_not_allowed(parameters, said):
    with pytest.raises(InputError, match=said):
        Features(**parameters).fit(QUESTIONS)


def test_before_fit_nothing_works():
    for call in (Features().transform, Features().transform_one):
        with pytest.raises(NotFittedError):
            call(QUESTIONS)


# ---------------------------------------------------------------------------------------------- scikit-learn

# Checks that do not apply, each with its reason.
EXEMPT = {"check_dtype_object": "asks for a TypeError; bad input is one class here, InputError, which is a ValueError"}


@parametrize_with_checks([Features(), Features(text="hashing")], expected_failed_checks=lambda estimator: EXEMPT)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_clone_and_pipelines():
    features = Features(components=4, text="hashing")
    assert clone(features.fit(QUESTIONS)).get_params() == features.get_params()
    y = np.array([len(text) for text in QUESTIONS], float)
    fitted = make_pipeline(features, Ridge(1e-3)).fit(QUESTIONS, y)
    assert fitted.score(QUESTIONS, y) > 0.9
    frame = clone(features).set_output(transform="pandas").fit(QUESTIONS).transform(QUESTIONS)
    assert frame.columns.tolist() == features.get_feature_names_out().tolist()
    assert clone(Features().set_params(components=9)).components == 9


def test_names_of_the_frame_are_kept_and_asked_for():
    features = Features(components=2).fit(FRAME)
    assert features.feature_names_in_.tolist() == ["q", "task", "n"]
    assert features.n_features_in_ == 3
    with pytest.raises(InputError, match="yet now missing"):
        features.transform(FRAME[["q", "n"]])
    assert not hasattr(features.fit(QUESTIONS), "feature_names_in_")


def test_threads_agree():
    features = Features(components=4).fit(QUESTIONS)
    alone = features.transform(QUESTIONS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: features.transform(QUESTIONS), range(40)))
        # New characters fill shared tables while others read them.
        odd = ["".join(map(chr, range(start, start + 300))) + " Ω" for start in range(0x400, 0x3000, 300)]
        twice = list(pool.map(lambda text: lexical_features([text]), odd * 2))
    assert all(np.array_equal(alone, one) for one in found)
    assert all(np.array_equal(a, b) for a, b in zip(twice, twice[len(odd) :], strict=False))
    assert all(np.array_equal(a, lexical_features([text])) for a, text in zip(twice, odd, strict=False))


def test_without_scikit_learn_the_extra_is_named():
    script = """
import sys
sys.modules["sklearn"] = None
import tcalloc
import tcalloc.learn.rows, tcalloc.learn.saving.policy_folder
try:
    import tcalloc.learn.features
except tcalloc.MissingExtraError as error:
    assert "pip install 'tcalloc[learn]'" in str(error), error
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_feature_table_says_what_each_column_is():
    features = Features(components=2).fit(FRAME)
    table = features.describe()
    assert list(table) == features.get_feature_names_out().tolist()
    assert table["lexical:digits"] == "digits in 100 characters"
    assert table["tfidf:svd01"] == "coordinate of the SVD of words and pairs of words, number 1"
    assert table["task=a"] == "1 where 'task' is 'a', else 0"
    assert table["n"] == "the column 'n'"
    hashed = Features(lexical=False, text="hashing", components=4, embed=lambda texts: np.zeros((len(texts), 3)))
    table = hashed.fit(QUESTIONS).describe()
    assert table["hashing:02"] == "bucket of hashed words and pairs of words, number 2"
    assert table["embedding:1"] == "entry 1 of the embedding"
