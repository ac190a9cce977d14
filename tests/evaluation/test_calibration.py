import pytest
import torch
from torch.nn.functional import cross_entropy

from fewshot.evaluation import expected_calibration_error, fit_temperature
from tests.synthetic import seeded


def calibrated(seed=0, episodes=400, n_query=50, n_way=5):
    """Logits whose softmax is the distribution that the targets were drawn from."""
    generator = seeded(seed)
    logits = 2 * torch.randn(episodes, n_query, n_way, generator=generator)
    targets = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1, generator=generator)
    return logits, targets.view(episodes, n_query)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0, 20.0])
def test_a_known_temperature_is_found(temperature):
    logits, targets = calibrated()
    found = fit_temperature(temperature * logits, targets)
    assert found == pytest.approx(temperature, rel=0.03)
    assert expected_calibration_error(temperature * logits, targets, found) < 0.01


def test_no_temperature_nearby_is_better():
    logits, targets = calibrated(seed=1, episodes=20)
    found = fit_temperature(5 * logits, targets)

    def loss(temperature):
        return float(cross_entropy(5 * logits.double().flatten(0, 1) / temperature, targets.flatten()))

    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02))


@pytest.mark.parametrize(("right", "bound"), [(True, 0.01), (False, 100.0)])
def test_it_stays_within_its_bounds_where_nothing_or_everything_is_wrong(right, bound):
    logits = torch.tensor([[[5.0, 0.0]] * 8])
    targets = torch.tensor([[0 if right else 1] * 8])
    # All right: any temperature far below 5 has a loss of nothing, so only the bounds are promised.
    found = fit_temperature(logits, targets)
    assert 0.01 <= found <= 100
    assert (found < 1) if right else (found > 90)
