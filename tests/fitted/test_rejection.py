"""Rejection: the formula against loops, leaving out, the finite-sample quantile, the threshold, and few texts."""

import json
import math

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.classifier import FewShotClassifier
from fewshot.encoders import TransformerEncoder
from fewshot.errors import ConfigError
from fewshot.evaluation.thresholds import best_threshold, lower_quantile
from fewshot.fitted import rejection as module
from fewshot.fitted.rejection import EmbeddedSupport, Rejection
from tests.fakes import FakeEncoder
from tests.synthetic import seeded
from tests.tiny_models import save_transformer

N_CLASSES, DIM = 6, 24


def planted(per_class, seed=0, noise=0.15, centres=range(N_CLASSES)):
    """Texts around one centre per class, centres drawn once; others than the first six belong to no class."""
    means = normalize(torch.randn(3 * N_CLASSES, DIM, generator=seeded(99)), dim=-1)
    classes = torch.arange(len(centres)).repeat_interleave(per_class)
    drawn = torch.randn(len(classes), DIM, generator=seeded(seed))
    return normalize(means[torch.tensor(list(centres))][classes] + noise * drawn, dim=-1), classes


def evidence(per_class=8, names=True, **settings):
    rows, classes = planted(per_class, **settings)
    if not names:
        return EmbeddedSupport(rows, classes, len(rows))
    of_names, its_classes = planted(1, seed=7)
    return EmbeddedSupport(torch.cat([rows, of_names]), torch.cat([classes, its_classes]), len(rows))


def by_loops(rows, classes, x, out_of_scope=()):
    """The module's formula, one text at a time."""
    rows, n_classes = rows.double(), int(classes.max()) + 1
    own = [[] for _ in range(n_classes)]
    for i, row in enumerate(rows):
        others = [rows[j] for j in range(len(rows)) if j != i and classes[j] == classes[i]]
        if others:
            own[classes[i]].append(float(row @ normalize(torch.stack(others).sum(0), dim=0)))
    everywhere = sum(map(sum, own)) / max(1, sum(map(len, own)))
    spread = [(sum(o) + module.PRIOR * everywhere) / (len(o) + module.PRIOR) for o in own]
    means = [normalize(rows[classes == c].sum(0), dim=0) for c in range(n_classes)]
    of_class = max(float(x.double() @ m) - module.OF_CLASS * s for m, s in zip(means, spread, strict=True))
    nearest = sorted(range(len(rows)), key=lambda j: -float(x.double() @ rows[j]))[: module.NEAREST]
    local = 0.0
    for j in nearest:
        others = sorted((float(rows[j] @ rows[k]) for k in range(len(rows)) if k != j), reverse=True)[: module.NEAREST]
        local += (float(x.double() @ rows[j]) - module.OF_REGION * sum(others) / len(others)) / len(nearest)
    against = max((float(x.double() @ o.double()) for o in out_of_scope), default=0.0)
    return of_class + module.LOCAL * local - module.AGAINST * against


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("against", [True, False])
def test_scores_are_those_of_the_formula(names, against):
    shown = evidence(4, names)
    query, _ = planted(2, seed=5, noise=0.4)
    outside = planted(3, seed=6, centres=range(12, 15))[0] if against else None
    scores = Rejection.without_threshold(shown, outside).scores(query)
    expected = [by_loops(shown.rows, shown.classes, x, () if outside is None else outside) for x in query]
    torch.testing.assert_close(scores.double(), torch.tensor(expected, dtype=torch.double), atol=1e-5, rtol=0)


@pytest.mark.parametrize("chunk", [5, 1024])
def test_a_labelled_text_is_scored_nearly_as_if_it_were_not_there(monkeypatch, chunk):
    """Only how wide its class and the regions are, averages over many texts, may still know of it a little."""
    monkeypatch.setattr(module, "_CHUNK", chunk)
    shown = evidence(10, noise=0.25)
    scores, counted = module._fitted(shown, None)[1:]
    assert counted.all()
    for place in range(0, shown.n_texts, 7):
        rest = torch.arange(len(shown.rows)) != place
        without = Rejection.without_threshold(EmbeddedSupport(shown.rows[rest], shown.classes[rest], shown.n_texts - 1))
        assert float(without.scores(shown.rows[place : place + 1])) == pytest.approx(float(scores[place]), abs=0.01)
    with_itself = Rejection.without_threshold(shown).scores(shown.rows[: shown.n_texts])
    assert (with_itself > scores + 0.05).all()


def test_out_of_scope_texts_are_scored_without_themselves():
    shown = evidence()
    outside, _ = planted(3, seed=6, centres=range(12, 15))
    scores = Rejection.without_threshold(shown, outside).scores_of_out_of_scope()
    for place in range(len(outside)):
        rest = outside[torch.arange(len(outside)) != place]
        alone = Rejection.without_threshold(shown, rest).scores(outside[place : place + 1])
        torch.testing.assert_close(alone, scores[place : place + 1])


def test_far_texts_score_lowest_and_those_of_other_classes_lower_than_those_of_the_own():
    rejection = Rejection.without_threshold(evidence())
    inside = rejection.scores(planted(20, seed=1)[0])
    between = normalize(planted(20, seed=2)[0] + planted(20, seed=3, centres=range(12, 18))[0], dim=-1)
    outside = planted(20, seed=4, centres=range(12, 18))[0]
    assert inside.quantile(0.05) > rejection.scores(outside).quantile(0.95)
    assert inside.mean() > rejection.scores(between).mean() > rejection.scores(outside).mean()


def test_given_out_of_scope_texts_pull_down_those_like_them():
    outside, alike = (planted(6, seed=seed, noise=0.3, centres=range(12, 15))[0] for seed in (1, 2))
    shown, inside = evidence(noise=0.3), planted(20, seed=3, noise=0.3)[0]
    plain, against = Rejection.without_threshold(shown), Rejection.without_threshold(shown, outside)
    margins = [(r.scores(inside).mean() - r.scores(alike).mean()) / r.scores(inside).std() for r in (plain, against)]
    assert margins[1] > margins[0] + 0.3


@pytest.mark.parametrize(
    ("n", "rate", "place"), [(19, 0.05, 1), (18, 0.05, 0), (39, 0.05, 2), (38, 0.05, 1), (9, 0.1, 1), (99, 0.5, 50)]
)
def test_the_quantile_is_the_finite_sample_one(n, rate, place):
    scores = torch.randperm(n, generator=seeded(0)).float() + 1
    assert lower_quantile(scores, rate) == (float(place) if place else -math.inf)


def test_the_quantile_keeps_the_rate_over_draws():
    scores = torch.rand(20000, 40, generator=seeded(0))
    below = [float(new) < lower_quantile(held, 0.1) for *_, new, held in ((row[0], row[1:]) for row in scores[:4000])]
    assert sum(below) / len(below) == pytest.approx(0.1, abs=0.015)  # floor(0.1 * 40) / 40 of 39 scores


@pytest.mark.parametrize("names", [True, False])
def test_the_rate_asked_for_is_the_rate_of_new_texts(names):
    rates = []
    for seed in range(10):
        rejection = Rejection.at_rate(evidence(10, names, seed=seed, noise=0.3), 0.1)
        rates.append(float(rejection.rejected(planted(100, seed=seed + 100, noise=0.3)[0]).double().mean()))
    assert 0.05 < sum(rates) / len(rates) < 0.12


def test_too_few_texts_reject_none_and_say_so():
    shown = evidence(2, names=False)
    rejection = Rejection.at_rate(shown, 0.05)
    assert rejection.threshold == -math.inf
    assert not rejection.rejected(-shown.rows).any()
    assert "12 texts" in rejection.details["note"]
    assert "it takes 19" in rejection.details["note"]
    assert "note" not in Rejection.at_rate(evidence(4, names=False), 0.05).details


def test_single_texts_and_names_alone_are_scored_but_not_calibrated_by():
    for shown in (evidence(1, names=False), EmbeddedSupport(planted(1)[0], torch.arange(N_CLASSES), 0)):
        rejection = Rejection.at_rate(shown, 0.5)
        assert rejection.threshold == -math.inf
        assert rejection.details["n_texts"] == 0
        inside, outside = planted(5, seed=1)[0], planted(5, seed=2, centres=range(12, 18))[0]
        assert rejection.scores(inside).mean() > rejection.scores(outside).mean()
    assert torch.isfinite(Rejection.at_rate(evidence(1, names=True), 0.5).scores(inside)).all()
    two = Rejection.without_threshold(EmbeddedSupport(planted(1)[0][:2], torch.arange(2), 0))
    assert two.scores(planted(1)[0][:2]).min() > two.scores(outside).max()


def test_the_threshold_has_the_best_mean_of_accuracy_and_recall():
    generator = seeded(0)
    inside, outside = torch.randn(60, generator=generator) + 1, torch.randn(30, generator=generator) - 1
    right = torch.rand(60, generator=generator) < 0.8

    def mean(threshold):
        return ((right & (inside >= threshold)).double().mean() + (outside < threshold).double().mean()) / 2

    everywhere = [float(mean(t)) for t in torch.linspace(-5, 5, 5001)]
    assert float(mean(best_threshold(inside, right, outside))) == pytest.approx(max(everywhere))


def test_equal_scores_are_not_separated():
    ties = torch.ones(4)
    threshold = best_threshold(ties, torch.ones(4, dtype=torch.bool), torch.ones(2))
    assert threshold in (0.5, 1.5)


def test_texts_that_are_classified_wrongly_anyway_do_not_hold_the_threshold_down():
    shown = evidence(8, noise=0.3)
    outside, _ = planted(8, seed=6, noise=0.3, centres=range(12, 15))
    all_right = Rejection.tuned_on(shown, outside)
    scores = module._fitted(shown, outside)[1]
    lowest = scores.argsort()[:12].sort().values
    right = torch.ones(shown.n_texts, dtype=torch.bool)
    right[lowest] = False
    assert Rejection.tuned_on(shown, outside, right).threshold >= all_right.threshold


def test_tuning_separates_and_counts_what_it_went_by():
    shown = evidence()
    outside, alike = (planted(8, seed=seed, centres=range(12, 15))[0] for seed in (1, 2))
    rejection = Rejection.tuned_on(shown, outside)
    assert rejection.rejected(alike).all()
    assert not rejection.rejected(planted(8, seed=3)[0]).any()
    assert rejection.details == {"n_texts": 48, "n_out_of_scope": 24}
    assert "few" in Rejection.tuned_on(shown, outside[:5]).details["note"]


def test_it_is_the_same_after_json_and_tensors():
    shown = evidence()
    outside, _ = planted(8, seed=1, centres=range(12, 15))
    query = planted(3, seed=2, noise=0.4)[0]
    for rejection in (
        Rejection.at_rate(shown, 0.1),
        Rejection.at_rate(shown, 0.001),
        Rejection.tuned_on(shown, outside),
    ):
        description, tensors = rejection.described()
        again = Rejection.from_described(
            json.loads(json.dumps(description)), {k: v.clone() for k, v in tensors.items()}
        )
        assert torch.equal(again.scores(query), rejection.scores(query))
        assert again.threshold == rejection.threshold
        assert again.details == rejection.details


def test_lengths_do_not_matter():
    shown, (outside, _), (query, _) = evidence(), planted(8, seed=1, centres=range(12, 15)), planted(3, seed=2)
    longer = Rejection.tuned_on(EmbeddedSupport(3 * shown.rows, shown.classes, shown.n_texts), 2 * outside)
    torch.testing.assert_close(longer.scores(5 * query), Rejection.tuned_on(shown, outside).scores(query))


def test_no_text_has_no_score():
    assert len(Rejection.at_rate(evidence(), 0.1).rejected(torch.zeros(0, DIM))) == 0


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5.0])
def test_a_rate_is_between_zero_and_one(rate):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Rejection.at_rate(evidence(), rate)


def test_one_out_of_scope_text_is_refused():
    with pytest.raises(ConfigError, match="expected 20 or more"):
        Rejection.tuned_on(evidence(), planted(1, centres=[12])[0])


def coloured_classifier(encoder=None, **settings):
    texts = [f"{colour} w{n} w{n % 3}" for colour in ("red", "green", "blue") for n in range(12)]
    labels = [text.split()[0] for text in texts]
    return FewShotClassifier(encoder=encoder or FakeEncoder(48), stage="prototypes", **settings).fit(texts, labels)


FAR = [f"far{n} away{n} off{n}" for n in range(25)]


def test_a_classifier_rejects_what_is_of_none_of_its_labels():
    plain, strict = coloured_classifier(), coloured_classifier(reject=0.1, reject_label="other")
    near = ["red w1 w2", "blue w3 w1"]
    assert plain.predict([*near, *FAR]).tolist()[:2] == ["red", "blue"]
    assert None not in plain.predict(FAR).tolist()
    assert strict.predict([*near, *FAR]).tolist() == ["red", "blue", *["other"] * len(FAR)]
    assert [one.rejected for one in strict.model_.predictions([near[0], FAR[0]])] == [False, True]


def test_it_rejects_the_same_after_saving(tmp_path):
    encoder = TransformerEncoder(str(save_transformer("bert", tmp_path / "bert")), dtype="float32", cache=None)
    for reject in (0.2, FAR[:20], [*FAR[:2]]):
        fitted = coloured_classifier(encoder=encoder, reject=reject, reject_label="other")
        fitted.save_pretrained(tmp_path / "m")
        again = FewShotClassifier.from_pretrained(tmp_path / "m")
        assert again.predict(FAR).tolist() == fitted.predict(FAR).tolist()
        assert torch.equal(again.model_.rejection.rows, fitted.model_.rejection.rows)


def test_it_is_tuned_on_texts_of_no_label():
    tuned = coloured_classifier(reject=FAR[:20])
    assert tuned.predict(["red w1 w2", *FAR[20:]]).tolist() == ["red", *[None] * 5]
    assert tuned.score(["red w1 w2", FAR[21]], ["red", "red"]) == 0.5


def test_a_label_that_is_learnt_later_is_in_scope():
    grown = coloured_classifier(reject=0.1)
    assert grown.predict(["purple w1 w2"]).tolist() == [None]
    grown.partial_fit([f"purple w{n} w{n % 3}" for n in range(12)], ["purple"] * 12)
    assert grown.predict(["purple w1 w2", FAR[0]]).tolist() == ["purple", None]


@pytest.mark.parametrize("reject", [0.0, 1.5, -0.1])
def test_a_share_outside_of_0_to_1_is_refused_in_fit(reject):
    with pytest.raises(ConfigError, match="expected a number between 0 and 1"):
        coloured_classifier(reject=reject)
