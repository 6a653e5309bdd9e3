"""One step of each optimiser against its formula, and the way to a minimum without noise."""

from types import SimpleNamespace

import numpy as np
import pytest

from parvmc import declarations
from parvmc.optimizers import adam, gradient, momentum, reconfiguration

COUNT = 5


def made(seed=1):
    """Return the moments of a made-up iteration: a gradient and a covariance."""
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((COUNT, 2 * COUNT))
    return SimpleNamespace(gradient=generator.standard_normal(COUNT), covariance=root @ root.T / (2 * COUNT))


def test_gradient_and_momentum_steps():
    """-eta g, and the second step of momentum is mu v - eta g."""
    moments = made()
    step, memory = declarations.step(gradient.Settings(learning_rate=0.2), {}, moments, 0)
    np.testing.assert_allclose(step, -0.2 * moments.gradient)
    settings = momentum.Settings(learning_rate=0.2, momentum=0.5)
    memory = declarations.start(settings, COUNT)
    for factor in (1.0, 1.5, 1.75):
        step, memory = declarations.step(settings, memory, moments, 0)
        np.testing.assert_allclose(step, -0.2 * factor * moments.gradient)


def test_a_step_taken_back_is_forgotten_in_part():
    """What momentum and SPRING remember of a step is what is left of it; Adam's means are of gradients, and stay."""
    memory = {"velocity": np.array([1.0, -2.0])}
    found = declarations.shrunk(momentum.Settings(), memory, 0.25)
    np.testing.assert_array_equal(found["velocity"], [0.25, -0.5])
    found = declarations.shrunk(reconfiguration.Settings(method="spring"), {"previous": memory["velocity"]}, 0.0)
    np.testing.assert_array_equal(found["previous"], 0.0)
    memory = declarations.start(adam.Settings(), 2)
    assert declarations.shrunk(adam.Settings(), memory, 0.25) is memory


def test_adam_steps():
    """The first step is eta sign(g); the third equals the algorithm written out in loops."""
    settings = adam.Settings(learning_rate=0.01)
    memory = declarations.start(settings, COUNT)
    first, second = [0.0] * COUNT, [0.0] * COUNT
    for iteration in range(3):
        moments = made(iteration)
        step, memory = declarations.step(settings, memory, moments, iteration)
        for k, g in enumerate(moments.gradient):
            first[k] = 0.9 * first[k] + 0.1 * g
            second[k] = 0.999 * second[k] + 0.001 * g * g
            m, v = first[k] / (1 - 0.9 ** (iteration + 1)), second[k] / (1 - 0.999 ** (iteration + 1))
            assert step[k] == pytest.approx(-0.01 * m / (np.sqrt(v) + 1e-8), rel=1e-12)
        if iteration == 0:
            np.testing.assert_allclose(step, -0.01 * np.sign(moments.gradient), rtol=2e-8 / abs(moments.gradient).min())


def test_reconfiguration_solves_its_equation():
    """(S + shift diag S + floor) d = -eta g / 2 where the bound on the step does not bind."""
    moments = made()
    settings = reconfiguration.Settings(learning_rate=0.01, shift=0.1, floor=0.02, max_step=100.0)
    step, _ = declarations.step(settings, {}, moments, 0)
    matrix = moments.covariance + np.diag(0.1 * np.diag(moments.covariance) + 0.02)
    np.testing.assert_allclose(matrix @ step, -0.005 * moments.gradient, rtol=1e-12)


def test_reconfiguration_bounds_the_step_in_the_metric():
    """However large the force, sqrt(d A d) is at most max_step, and the direction stays."""
    moments = made()
    free, _ = declarations.step(reconfiguration.Settings(learning_rate=1.0, max_step=1e9), {}, moments, 0)
    step, _ = declarations.step(reconfiguration.Settings(learning_rate=1.0, max_step=0.1), {}, moments, 0)
    matrix = moments.covariance + np.diag(1e-3 * np.diag(moments.covariance) + 1e-4)
    assert np.sqrt(step @ matrix @ step) == pytest.approx(0.1, rel=1e-12)
    np.testing.assert_allclose(step / np.linalg.norm(step), free / np.linalg.norm(free), rtol=1e-12)


def test_reconfiguration_does_not_depend_on_the_parameters_scales():
    """With parameters in other units the step is the same in those units: the shift is relative (the floor is not)."""
    moments = made()
    scales = np.array([1e-3, 1.0, 50.0, 1e4, 0.1])
    other = SimpleNamespace(
        gradient=moments.gradient * scales, covariance=moments.covariance * np.outer(scales, scales)
    )
    step, _ = declarations.step(reconfiguration.Settings(floor=0.0), {}, moments, 0)
    scaled, _ = declarations.step(reconfiguration.Settings(floor=0.0), {}, other, 0)
    np.testing.assert_allclose(scaled * scales, step, rtol=1e-9)


def test_a_derivative_that_does_not_vary_stays():
    """A parameter without effect is not moved, and does not spoil the others' step."""
    moments = made()
    moments.covariance[2] = moments.covariance[:, 2] = moments.gradient[2] = 0.0
    for floor in (0.0, 1e-4):
        step, _ = declarations.step(reconfiguration.Settings(floor=floor), {}, moments, 0)
        assert step[2] == 0.0
        assert np.isfinite(step).all()
        assert np.abs(step).max() > 0.0


def test_a_hidden_unit_that_has_died_out_takes_no_leap():
    """Derivatives of spread 1e-6 with a force as large as their noise: without the floor the step is a thousand
    times."""
    moments = made()
    small = 1e-6
    moments.covariance[2] *= small
    moments.covariance[:, 2] *= small
    moments.gradient[2] *= 0.1 * small
    leap, _ = declarations.step(reconfiguration.Settings(floor=0.0, max_step=1e9), {}, moments, 0)
    step, _ = declarations.step(reconfiguration.Settings(max_step=1e9), {}, moments, 0)
    assert abs(leap[2]) > 100.0
    assert abs(step[2]) < 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        gradient.Settings(learning_rate=0.3),
        momentum.Settings(learning_rate=0.1, momentum=0.8),
        adam.Settings(learning_rate=0.05),
        reconfiguration.Settings(learning_rate=0.2, max_step=10.0),
    ],
    ids=lambda settings: settings.kind,
)
def test_all_reach_the_minimum_of_a_quadratic(settings):
    """E = d A d / 2 with eigenvalues between 0.2 and 2, without noise, 400 iterations: within 1e-3 of the minimum."""
    generator = np.random.default_rng(4)
    basis = np.linalg.qr(generator.standard_normal((COUNT, COUNT)))[0]
    hessian = basis @ np.diag(np.linspace(0.2, 2.0, COUNT)) @ basis.T
    vector, memory = np.ones(COUNT), declarations.start(settings, COUNT)
    for iteration in range(400):
        moments = SimpleNamespace(gradient=hessian @ vector, covariance=hessian + 0.1 * np.eye(COUNT))
        step, memory = declarations.step(settings, memory, moments, iteration)
        vector = vector + step
    assert np.linalg.norm(vector) < 1e-3
