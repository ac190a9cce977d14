"""One-vs-rest logistic regression, beside scikit-learn's."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.learners.one_vs_rest import OneVsRest, fit_one_vs_rest
from fewshot.learners.saving import classifier_from, described_classifier


def drawn(n=60, dim=8, n_way=3):
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(n, dim, generator=generator), dim=-1)
    directions = torch.randn(dim, n_way, generator=generator)
    return features, (features @ directions + 0.3 * torch.randn(n, n_way, generator=generator)) > 0.4


def test_it_is_the_balanced_logistic_regression_of_each_label():
    features, targets = drawn()
    classifier = fit_one_vs_rest(features, targets, l2=1e-3, iterations=500)
    # The bias is a weight of a constant feature of 10, whose penalty is then a hundredth.
    wide = np.hstack([features.numpy(), np.full((len(features), 1), 10.0)])
    for label in range(3):
        reference = LogisticRegression(
            C=1 / (1e-3 * len(features)), class_weight="balanced", fit_intercept=False, tol=1e-8, max_iter=10000
        )
        # Balanced weights have a mean of 1, ours add up to 1.
        expected = reference.fit(wide, targets[:, label].numpy()).decision_function(wide)
        logits = classifier.logits(features[None])[0, :, label]
        np.testing.assert_allclose(logits.numpy(), expected, atol=0.02)


def test_labels_do_not_touch_each_other():
    features, targets = drawn()
    together = fit_one_vs_rest(features, targets, 1e-3, 500).logits(features[None])[0]
    alone = fit_one_vs_rest(features, targets[:, 1:2], 1e-3, 500).logits(features[None])[0]
    torch.testing.assert_close(together[:, 1:2], alone, atol=0.02, rtol=0)


def test_labels_of_no_text_and_of_all_are_finite_and_decided():
    features, targets = drawn()
    targets[:, 0], targets[:, 1] = False, True
    logits = fit_one_vs_rest(features, targets, 1e-4).logits(features[None])[0]
    assert logits.isfinite().all()
    assert (logits[:, 0] < 0).all()
    assert (logits[:, 1] > 0).all()


def test_it_is_saved_to_the_bit():
    features, targets = drawn()
    classifier = fit_one_vs_rest(features, targets, 1e-3).shifted(0.5)
    loaded = classifier_from(*described_classifier(classifier))
    assert isinstance(loaded, OneVsRest)
    assert torch.equal(loaded.logits(features[None]), classifier.logits(features[None]))
