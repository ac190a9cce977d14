"""`FewShotClassifier` as an estimator of scikit-learn: its contract, data of all kinds, several labels, long texts."""

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import config
from sklearn.base import ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from fewshot import FewShotClassifier
from fewshot.encoders import TransformerEncoder
from fewshot.errors import ConfigError, TaskError
from tests.conftest import ANIMALS
from tests.fakes import FakeEncoder
from tests.tiny_models import save_transformer

# Checks of scikit-learn that `check_estimator` would run on an estimator of numbers, by what they come to here.
PASSED = """
    check_estimator_tags_renamed check_valid_tag_types check_estimator_repr check_no_attributes_set_in_init
    check_fit_score_takes_y check_dont_overwrite_parameters check_estimators_fit_returns_self
    check_readonly_memmap_input check_estimators_unfitted check_do_not_raise_errors_in_init_or_set_params
    check_mixin_order check_positive_only_tag_during_fit check_estimators_dtypes check_dtype_object
    check_pipeline_consistency check_estimators_pickle check_f_contiguous_array_estimator
    check_classifier_data_not_an_array check_classifiers_one_label_sample_weights check_classifiers_classes
    check_classifiers_multilabel_output_format_predict check_classifiers_multilabel_output_format_predict_proba
    check_classifiers_multilabel_output_format_decision_function check_supervised_y_no_nan
    check_non_transformer_estimators_n_iter check_decision_proba_consistency check_parameters_default_constructible
    check_methods_sample_order_invariance check_fit2d_1feature check_get_params_invariance check_set_params
    check_dict_unchanged check_fit_idempotent check_fit_check_is_fitted check_fit1d check_fit2d_predict1d
    check_requires_y_none check_estimator_cloneable
""".split()  # noqa: SIM905
A_TEXT_HAS_NO_FEATURES = "a text has no number of features, so there is no n_features_in_ to compare"
NUMBERS = "it is about a matrix of numbers, which a text estimator is never given"
FLOATS = "labels are strings or whole numbers: 1.0 and 1 would be two labels in a saved file"
TWO_LABELS = "one label alone is refused with a sentence: nothing tells it from others"
RULED_OUT = {
    "check_estimators_overwrite_params": "an encoder loads its weights in fit, which changes its hash but no setting",
    "check_n_features_in_after_fitting": A_TEXT_HAS_NO_FEATURES,
    "check_n_features_in": A_TEXT_HAS_NO_FEATURES,
    "check_estimators_partial_fit_n_features": A_TEXT_HAS_NO_FEATURES,
    "check_classifiers_train": A_TEXT_HAS_NO_FEATURES,
    "check_complex_data": NUMBERS,
    "check_estimators_nan_inf": NUMBERS,
    "check_estimators_empty_data_messages": NUMBERS,
    "check_estimator_sparse_tag": NUMBERS,
    "check_estimator_sparse_array": NUMBERS,
    "check_estimator_sparse_matrix": NUMBERS,
    "check_array_api_input": NUMBERS,
    "check_classifiers_regression_target": FLOATS,
    "check_classifiers_one_label": TWO_LABELS,
    "check_fit2d_1sample": TWO_LABELS,
    "check_classifiers_multilabel_representation_invariance": "a list of lists is labels, not zeros and ones",
    "check_supervised_y_2d": "a column of labels is what a data frame gives, so it needs no warning",
    "check_methods_subset_invariance": "features are float32, and batches of other lengths differ in the last bits",
}

TEXTS = [f"{animal} number {i} likes {animal}food" for animal in ANIMALS[:3] for i in range(6)]
LABELS = [animal for animal in ANIMALS[:3] for _ in range(6)]
NEW = [f"a {animal} eats {animal}food" for animal in ANIMALS[:3]]


def texts_of(rows) -> list[str]:
    """Each row of a matrix as words."""
    rows = np.asarray(rows)
    if rows.ndim != 2:
        raise ValueError("Expected 2D array, got 1D array instead. Reshape your data using X.reshape(-1, 1)")
    return [" ".join(f"feature{column}is{value:.0f}" for column, value in enumerate(row.astype(float))) for row in rows]


class OfNumbers(FewShotClassifier):
    """The classifier with numbers made into texts, for checks that know nothing else."""

    def fit(self, X, y):
        return super().fit(texts_of(X), y)

    def partial_fit(self, X, y):
        return super().partial_fit(texts_of(X), y)

    def predict(self, X):
        return super().predict(texts_of(X))

    def predict_proba(self, X):
        return super().predict_proba(texts_of(X))

    def decision_function(self, X):
        return super().decision_function(texts_of(X))

    def score(self, X, y, sample_weight=None):
        return ClassifierMixin.score(self, X, y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags


def classifier(**settings) -> FewShotClassifier:
    return FewShotClassifier(**{"encoder": FakeEncoder(dim=32), "stage": "prototypes"} | settings)


@pytest.fixture
def as_in_use():
    """Without the checks of types that tests alone have, for what is of a wrong type on purpose."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = save_transformer("bert", tmp_path_factory.mktemp("classifier") / "bert")
    return TransformerEncoder(str(folder), dtype="float32", cache=None)


def listed() -> set[str]:
    """Names of all checks that scikit-learn would run."""
    checks = estimator_checks._yield_all_checks(OfNumbers(encoder=FakeEncoder()), legacy=True)
    return {getattr(check, "func", check).__name__ for check in checks}


@pytest.mark.parametrize("name", sorted(PASSED))
@pytest.mark.filterwarnings("ignore:.*least populated class:UserWarning")
@pytest.mark.usefixtures("as_in_use")
def test_the_checks_of_scikit_learn_by_name(name):
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    check("OfNumbers", OfNumbers(encoder=FakeEncoder(dim=32), stage="prototypes"))


def test_every_check_is_run_or_ruled_out_with_a_reason():
    assert not set(PASSED) & set(RULED_OUT)
    assert all(len(reason) > 20 for reason in RULED_OUT.values())
    assert listed() <= {*PASSED, *RULED_OUT}


def test_parameters_are_stored_untouched_and_checked_in_fit():
    names = {"bear": "a bear"}
    own = FewShotClassifier(label_names=names, stage="nonsense", long_texts="shred", multi_label="perhaps")
    assert own.get_params()["label_names"] is names
    assert {"encoder", "meta_model", "multi_label", "long_texts", "random_state"} <= set(own.get_params())
    with pytest.raises(ConfigError, match="multi_label='perhaps'"):
        own.fit(TEXTS, LABELS)
    with pytest.raises(ConfigError, match="stage='nonsense'"):
        own.set_params(multi_label="auto", label_names=None).fit(TEXTS, LABELS)
    with pytest.raises(ConfigError, match="long_texts='shred', expected one of cut, chunk, chunk_max"):
        classifier(long_texts="shred").fit(TEXTS, LABELS)


def test_a_clone_is_not_fitted_and_has_the_same_parameters():
    own = classifier(random_state=7).fit(TEXTS, LABELS)
    other = clone(own)
    assert other.get_params().keys() == own.get_params().keys()
    assert other.random_state == 7
    with pytest.raises(NotFittedError):
        other.predict(NEW)


def test_it_is_the_last_step_of_a_pipeline():
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.lower() for text in texts]), classifier())
    assert pipeline.fit([text.upper() for text in TEXTS], LABELS).predict(NEW).tolist() == list(ANIMALS[:3])
    assert pipeline.score(TEXTS, LABELS) == 1


def test_cross_validation_and_grid_search_take_it():
    assert cross_val_score(classifier(), TEXTS, LABELS, cv=3).tolist() == [1, 1, 1]
    search = GridSearchCV(classifier(), {"label_names": ["auto", None], "stage": ["prototypes", "head"]}, cv=2)
    search.fit(np.array(TEXTS), np.array(LABELS))
    assert set(search.best_params_) == {"label_names", "stage"}
    assert search.predict(NEW).tolist() == list(ANIMALS[:3])


def test_it_can_be_calibrated_once_more():
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(np.array(TEXTS), LABELS)
    probabilities = calibrated.predict_proba(np.array(NEW))
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert calibrated.predict(np.array(NEW)).tolist() == list(ANIMALS[:3])


FORMS = {
    "list": (list, list),
    "tuple": (tuple, tuple),
    "array of objects": (lambda x: np.array(x, dtype=object), np.array),
    "array of strings": (np.array, np.array),
    "column vector": (lambda x: np.array(x)[:, None], lambda y: np.array(y)[:, None]),
    "Series": (lambda x: pd.Series(x, index=range(5, 5 + len(x))), pd.Series),
    "DataFrame": (lambda x: pd.DataFrame({"text": x}), lambda y: pd.DataFrame({"label": y})),
    "categories": (pd.Series, lambda y: pd.Series(y, dtype="category")),
    "iterator": (iter, iter),
}


@pytest.mark.usefixtures("as_in_use")
@pytest.mark.parametrize(("of_texts", "of_labels"), FORMS.values(), ids=FORMS)
def test_texts_and_labels_come_in_any_form(of_texts, of_labels):
    own = classifier().fit(of_texts(TEXTS), of_labels(LABELS))
    assert own.classes_.tolist() == list(ANIMALS[:3])
    assert own.predict(of_texts(NEW)).tolist() == list(ANIMALS[:3])


def test_columns_of_polars_come_too():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"text": TEXTS, "label": LABELS})
    own = classifier().fit(frame["text"], frame["label"])
    assert own.predict(frame.select("text")).tolist() == own.predict(TEXTS).tolist()


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ("one text", ["a"], "Got one text for X"),
        (["a", "b"], None, "the target y is None"),
        (["a", "b"], ["x"], "Got 2 texts and 1 labels"),
        (np.zeros((2, 2)), ["x", "y"], r"Got X of shape \(2, 2\)"),
        (["a", "b"], ["x", 0.5], "Got the label 0.5"),
        (["a", "b"], ["x", "x"], "expected two or more"),
    ],
)
@pytest.mark.usefixtures("as_in_use")
def test_what_cannot_be_fitted_is_named(texts, labels, message):
    with pytest.raises(TaskError, match=message):
        classifier().fit(texts, labels)


def test_whole_numbers_stay_numbers():
    own = classifier().fit(TEXTS, [3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    assert own.classes_.tolist() == [1, 2, 3]
    assert own.predict(NEW).tolist() == [3, 1, 2]


BOTH = [f"{TEXTS[i]} {TEXTS[i + 6]}" for i in range(6)]  # a bear and a crow
SEVERAL = [*([animal] for animal in LABELS), *([["bear", "crow"]] * 6)]


@pytest.fixture(scope="module")
def several():
    return classifier().fit([*TEXTS, *BOTH, "nothing at all"], [*SEVERAL, []])


def test_several_labels_are_an_array_of_tuples(several):
    found = several.predict([NEW[0], f"{TEXTS[2]} {TEXTS[9]}", NEW[2]])
    assert found.dtype == object
    assert found.shape == (3,)
    assert found.tolist() == [("bear",), ("bear", "crow"), ("deer",)]
    assert several.multi_label_
    assert several.predict_proba(NEW).shape == several.decision_function(NEW).shape == (3, 3)
    reached = several.decision_function(TEXTS) >= 0
    assert [tuple(several.classes_[row]) for row in reached] == several.predict(TEXTS).tolist()


def test_score_is_the_share_of_texts_with_all_their_labels_and_no_more(several):
    right = [set(own) for own in several.predict(NEW)]
    assert several.score(NEW, right) == 1
    assert several.score(NEW, [*right[:2], {"bear", *right[2]}]) == pytest.approx(2 / 3)
    assert several.score(NEW, [*right[:2], set()], sample_weight=[1, 1, 2]) == pytest.approx(0.5)


def test_strings_and_lists_and_a_matrix_say_the_same(several):
    strings = ["|".join(own) for own in [*SEVERAL, []]]
    by_strings = classifier().fit([*TEXTS, *BOTH, "nothing at all"], strings)
    assert by_strings.predict(NEW).tolist() == several.predict(NEW).tolist()
    columns = pd.DataFrame({name: [int(name in own) for own in [*SEVERAL, []]] for name in several.classes_})
    by_matrix = classifier().fit([*TEXTS, *BOTH, "nothing at all"], columns)
    assert by_matrix.predict(NEW).tolist() == [
        [int(name in own) for name in several.classes_] for own in several.predict(NEW)
    ]
    assert by_matrix.classes_.tolist() == several.classes_.tolist()
    assert not classifier(multi_label=False).fit([*TEXTS, *BOTH], strings[:-1]).multi_label_


def test_several_labels_are_cross_validated_as_a_matrix():
    matrix = np.array([[int(name in own) for name in ANIMALS[:3]] for own in SEVERAL])
    order = np.random.default_rng(0).permutation(len(matrix))
    scores = cross_val_score(classifier(), np.array([*TEXTS, *BOTH])[order], matrix[order], cv=3, scoring="f1_micro")
    assert scores.min() > 0.8


def test_more_texts_and_new_labels_are_learnt_and_forgotten(several):
    own = classifier().fit([*TEXTS, *BOTH], SEVERAL)
    new = [f"frog number {i} likes frogfood" for i in range(6)]
    own.partial_fit([*new, f"{new[0]} {TEXTS[0]}"], [*([["frog"]] * 6), "frog|bear"])
    assert own.classes_.tolist() == ["bear", "crow", "deer", "frog"]
    assert "out_of_fold" not in own.model_.details  # the score is of fewer texts
    assert own.predict(["a frog eats frogfood"]).tolist() == [("frog",)]
    own.forget("crow")
    assert own.classes_.tolist() == ["bear", "deer", "frog"]
    support = own.model_.evidence.support
    assert len(support.texts) == 12 + 6 + 7  # texts that were about crows alone are gone
    assert not any("crow" in labels for labels in support.label_sets())
    anew = classifier().fit(support.texts, support.label_sets())
    torch.testing.assert_close(
        own.model_.classifier.weight,
        anew.model_.classifier.weight,
        atol=0.05 * own.model_.details["l2"] / 1e-5,
        rtol=0.2,
    )


def test_an_encoder_is_not_tuned_on_several_labels():
    with pytest.raises(ConfigError, match=r"stage='lora' for texts with several labels.*Leave stage out"):
        classifier(stage="lora").fit(TEXTS, SEVERAL[: len(TEXTS)])


def test_label_names_alone_with_several_labels():
    own = classifier(label_names={"bear": "bear", "crow": "crow"}, multi_label=True).fit([], [])
    assert own.predict(["bear", "crow"]).tolist() == [("bear",), ("crow",)]


LONG = "heart attack pain chest " * 40
CLASSES = {"red": "red one two", "green": "green three four", "blue": "blue new old"}


@pytest.mark.parametrize("long_texts", ["chunk", "chunk_max"])
def test_what_stands_at_the_end_of_a_long_text_decides_if_it_is_read(bert, tmp_path, long_texts):
    texts, labels = list(CLASSES.values()), list(CLASSES)
    own = classifier(encoder=bert, long_texts=long_texts).fit(texts, labels)
    cut = classifier(encoder=bert).fit(texts, labels)
    ends = [LONG + text for text in texts]
    assert np.ptp(cut.predict_proba(ends), axis=0).max() < 1e-6
    assert np.ptp(own.predict_proba(ends), axis=0).max() > 1e-3
    np.testing.assert_allclose(own.predict_proba(texts), cut.predict_proba(texts), atol=1e-6)
    assert own.model_.long_texts == long_texts
    own.save_pretrained(tmp_path / "model")
    loaded = FewShotClassifier.from_pretrained(tmp_path / "model")
    assert loaded.model_.long_texts == long_texts
    np.testing.assert_array_equal(loaded.predict_proba(ends), own.predict_proba(ends))
    assert loaded.explain(ends[0]).logit == pytest.approx(float(own.model_.logits(ends[:1]).max()), abs=1e-4)


def test_the_largest_logit_over_the_pieces_counts(bert):
    own = classifier(encoder=bert, long_texts="chunk_max").fit(list(CLASSES.values()), list(CLASSES))
    features, counts = bert.reading("chunk").encode_pieces([LONG])
    pieces = own.model_.classifier.logits(features[None])[0]
    assert counts[0] > 1
    torch.testing.assert_close(own.model_.logits([LONG])[0], pieces.amax(0))


def test_cut_texts_are_said_once_in_fit_and_once_in_each_prediction(bert, caplog):
    texts = [LONG, LONG + " red", *CLASSES.values()]
    own = classifier(encoder=bert, stage="head").fit(texts, ["red", "blue", *CLASSES])
    assert [record.getMessage()[:40] for record in caplog.records] == ["2 of 5 texts are longer than the 64 toke"]
    for _ in range(2):
        caplog.clear()
        own.predict(texts[1:3])
        assert len(caplog.records) == 1
        assert "1 of 2 texts is longer than the 64 tokens" in caplog.text
        assert 'long_texts="chunk"' in caplog.text
    caplog.clear()
    own.predict_proba(list(CLASSES.values()))
    assert caplog.records == []


def test_the_bundled_encoder_warns_of_chinese_mails(caplog, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.languages._warned", set())
    texts = ["我的银行卡丢了", "卡被偷了", "我的余额是多少", "账户里有多少钱"]
    own = FewShotClassifier(stage="prototypes").fit(texts, ["card", "card", "balance", "balance"])
    assert "paraphrase-multilingual-MiniLM-L12-v2" in caplog.text
    caplog.clear()
    own.predict(texts)
    assert caplog.records == []  # said in this process
    monkeypatch.setattr("fewshot.encoders.languages._warned", set())
    for _ in range(2):
        own.predict(texts)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", ["one label", "rejecting", "several labels"])
def test_many_texts_are_scored_part_by_part(monkeypatch, kind):
    texts = ["red car", "red bus", "car red", "blue sea", "blue sky", "sea blue"]
    labels = ["r", "r", "r", "b", "b", "b"]
    if kind == "several labels":
        labels = [(label,) for label in labels[:-1]] + [("r", "b")]
    reject = 0.3 if kind == "rejecting" else None
    classifier = FewShotClassifier(encoder=FakeEncoder(), label_names=None, reject=reject, reject_label="other")
    new = [*texts, "green tea", "sky car", "red sea"]
    model = classifier.fit(texts, labels).model_
    whole, cells = model.predict(new), list(model.predictions(new))
    assert len(set(whole)) > 1
    assert ("other" in whole) == (kind == "rejecting")
    monkeypatch.setattr("fewshot.text_classifier._CHUNK", 2)
    assert model.predict(new) == whole
    again = list(model.predictions(new))
    assert [one.label for one in again] == [one.label for one in cells]
    assert [one.probability for one in again] == pytest.approx([one.probability for one in cells], abs=1e-6)
    assert model.predict([]) == list(model.predictions([])) == []
