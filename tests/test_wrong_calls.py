"""Wrong and unusual calls of the public interface: refused in one sentence, or right; no plausible wrong number."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tightrope import (
    UserError,
    conditioning,
    constraints,
    critics,
    data,
    doctor,
    dynamics,
    evaluation,
    losses,
    methods,
    metrics,
    optimizers,
    penalties,
    perturbations,
    report,
    runs,
    schedules,
    spectra,
    training,
)
from tightrope.studies import statistics

NAN, INF = math.nan, math.inf
X, Y = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(0))
Z = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
NONE = torch.empty(0, 2)
R1 = methods.build("r1")
P = nn.Parameter(torch.ones(2, dtype=torch.float64))
GAME = (lambda: P.square().sum(), lambda: P.sum())
SPECTRUM = torch.tensor([2.0, NAN])


RING = data.open_data("toy:ring", progress=False, limit=64)


def critic():
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))


def generator():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def run(method=R1, **settings):
    given = {"generator": generator(), "critic": critic(), "seed": 0, "latent": 3} | settings
    return training.start(method, given.pop("generator"), given.pop("critic"), **given)


def train(**budget):
    return next(training.train(run(), [X], **budget))


def filled(layer, value):
    nn.init.constant_(layer.weight, value)
    return layer


def hinge(**changes):
    rule = R1.critic_optimizer
    return methods.Method(**({"name": "own", "loss": losses.hinge, "critic_optimizer": rule,
                              "generator_optimizer": rule} | changes))  # fmt: skip


def sharing():
    shared = nn.Linear(2, 2)
    return {"generator": nn.Sequential(nn.Linear(3, 2), shared), "critic": nn.Sequential(shared, nn.Linear(2, 1))}


LOSSES = [
    (lambda: losses.hinge.critic(X, None), "pass both"),
    (lambda: losses.wasserstein.critic(X), "pass both"),
    (lambda: losses.hinge.critic(NONE, NONE), "empty batch"),
    (lambda: losses.hinge.generator(NONE), "empty batch"),
    (lambda: losses.wasserstein.critic(X, NONE), "empty batch"),
    (lambda: losses.relativistic.critic(NONE, NONE), "empty batch"),
    (lambda: losses.hinge.critic(X, Y.int()), "floating point"),
    (lambda: losses.hinge.critic(X, Y, reduce="max"), "'sum' or 'mean'"),
    (lambda: losses.Loss("own", None, None), "function of scores"),
]
PENALTIES = [
    (lambda: penalties.r1(critic(), None), "as a tensor"),
    (lambda: penalties.r1(critic(), X.numpy()), "torch.as_tensor"),
    (lambda: penalties.r1(critic(), X.tolist()), "torch.as_tensor"),
    (lambda: penalties.r1(critic(), NONE), "at least one"),
    (lambda: penalties.r1(critic(), torch.randn(8, 3)), r"does not take samples of shape \[8, 3\]"),
    (lambda: penalties.r1(critic(), X.double()), "float64"),
    (lambda: penalties.r1(critic(), X.half()), "float16"),
    (lambda: penalties.r1(critic(), X.to("meta")), "on meta"),
    (lambda: penalties.r1(critic(), X, gamma=-1.0), "gamma as a finite number >= 0"),
    (lambda: penalties.r1(critic(), X, gamma=NAN), "gamma as a finite number"),
    (lambda: penalties.r1(critic(), X, gamma="10"), "gamma as a finite number"),
    (lambda: penalties.r1(critic(), X, gamma=torch.ones(2)), "gamma as a finite number"),
    (lambda: penalties.r1(critic(), X, gamma=1j), "gamma as a finite number"),
    (lambda: penalties.r1(None, X), "as a module or a function"),
    (lambda: penalties.r1(nn.Linear, X), "the class Linear"),
    (lambda: penalties.r1(nn.Linear(2, 0), X), "layer of size 0"),
    (lambda: penalties.r2(critic(), None, None), "as a tensor"),
    (lambda: penalties.gradient_penalty(critic(), X, None), "fake samples as a tensor"),
    (lambda: penalties.gradient_penalty(critic(), X, Y, weight=-1), "weight as a finite number >= 0"),
    (lambda: penalties.gradient_penalty(critic(), X, Y, target=NAN), "target as a finite number"),
    (lambda: penalties.gradient_penalty(critic(), X, Y, one_sided="no"), "one_sided=True or False"),
    (lambda: penalties.gradient_penalty(critic(), X, Y, rng=0), "torch.Generator"),
    (lambda: penalties.gradient_penalty(critic(), X.int(), Y.int()), "floating point"),
    (lambda: penalties.interpolate(X, Y[:1]), "one shape on one device"),
    (lambda: penalties.interpolate(X, Y, rows=3), "whole packs of 3"),
    (lambda: penalties.finite_difference_r1(critic(), X, sigma=NAN), "sigma as a finite number"),
    (lambda: penalties.finite_difference_r1(critic(), X, draws=INF), "draws as a finite number"),
    (lambda: penalties.soft_orthogonality(critic(), weight=-5), "weight as a finite number >= 0"),
    (lambda: penalties.soft_orthogonality(critic(), form=["gram"]), "expected form"),
    (lambda: penalties.jacobian_clamping(generator(), Z.int()), "latents in floating point"),
    (lambda: penalties.jacobian_clamping(generator(), X), "does not take"),
    (lambda: penalties.jacobian_clamping(generator(), Z, epsilon=NAN), "epsilon > 0"),
    (lambda: penalties.jacobian_clamping(generator(), Z, labels=[0] * 8), "one per latent"),
    (lambda: conditioning.finite_gain(generator(), Z, epsilon=-1), "epsilon > 0"),
    (lambda: penalties.lazy(penalties.r1, 2.5), "at least one critic step"),
    (lambda: penalties.Penalty("r1"), "penalty as a function"),
    (lambda: penalties.Penalty(penalties.r1, {"gama": 1.0}), "did you mean gamma"),
    (lambda: penalties.Penalty(penalties.r1, {"gamma": "10"}), "gamma as a finite number"),
    (lambda: penalties.Penalty(penalties.r1, every=NAN), "at least one critic step"),
    (lambda: penalties.from_gan_stability("10"), "reg_param as a finite number"),
    (lambda: perturbations.InstanceNoise(NAN), "sigma as a finite number"),
    (lambda: perturbations.instance_noise(X, sigma=INF), "sigma as a finite number"),
    (lambda: schedules.Linear(NAN, 0.0, images=10), "two finite numbers"),
    (lambda: schedules.Cosine(1.0, 0.0, images=NAN), "positive number of images"),
    (lambda: schedules.value_at("a", 3), "or a schedule"),
]
METHODS = [
    (lambda: methods.build("r1", gamma="10"), "gamma as a finite number"),
    (lambda: methods.build("r1", gamma=NAN), "gamma as a finite number"),
    (lambda: methods.build("r1", gamma=-1.0), "gamma as a finite number >= 0"),
    (lambda: methods.build("r1", gamma=None), "gamma as a finite number"),
    (lambda: methods.build("r1", learning_rate="fast"), "learning_rate as a finite number"),
    (lambda: methods.build("r1", n_critic=2.5), "n_critic as a whole number"),
    (lambda: methods.build("r1", n_critic=True), "n_critic as a whole number"),
    (lambda: methods.build("r1", every=None), "every as a whole number"),
    (lambda: methods.build("r1", optimizer="adam", betas=0.5), "betas as 2 values"),
    (lambda: methods.build("r1", approximate="no"), "approximate as True or False"),
    (lambda: methods.build("wgan", bound=-1.0), "positive bound"),
    (lambda: methods.build("orthogonal_wgan", way=3), "way as one of hard, soft, svd, got 3"),
    (lambda: methods.build("r1", setting=3), "a setting out of A"),
    (lambda: methods.build("wgan_gp", weight=-3.0), "weight as a finite number >= 0"),
    (lambda: methods.build(["r1"]), "a method out of"),
    (lambda: methods.r1(learning_rate=None), "learning_rate as a number"),
    (lambda: methods.r1(n_critic="5"), "n_critic of at least 1"),
    (lambda: hinge(loss="hinge"), "loss of Method as a Loss"),
    (lambda: hinge(critic_optimizer=torch.optim.Adam), "critic_optimizer of Method"),
    (lambda: hinge(penalties=(penalties.r1,)), "tuple of penalties.Penalty"),
    (lambda: hinge(projection=constraints.clip_weights_), "projection of Method"),
    (lambda: hinge(batch_size=0), "batch_size >= 1"),
    (lambda: optimizers.ExtraAdam([P], betas=(0.5,)), "two Adam betas"),
    (lambda: optimizers.OptimisticAdam([P], eps=NAN), "eps as a finite number"),
    (lambda: optimizers.Momentum([P], lr="x"), "finite learning rate"),
    (lambda: optimizers.Lookahead([P], k=2.5), "k of at least 1"),
]
TRAINING = [
    (lambda: run("r1"), "methods.build"),
    (lambda: run(generator=None), "generator as a torch.nn.Module"),
    (lambda: run(critic=nn.Linear), "the class Linear"),
    (lambda: run(**sharing()), "weights of their own"),
    (lambda: run(critic=nn.Linear(2, 0)), "layer of size 0"),
    (lambda: run(generator=nn.LazyLinear(2)), "lazy layers"),
    (lambda: run(seed=None), "seed as a whole number"),
    (lambda: run(seed=1.5), "seed as a whole number"),
    (lambda: run(batch_size=0), "batch_size >= 1"),
    (lambda: run(batch_size="64"), "batch_size >= 1"),
    (lambda: run(device="meta"), "holds values"),
    (lambda: run(device="gpu"), "device that is there"),
    (lambda: run(shape=2), "sample shape as whole numbers"),
    (lambda: run(ema_half_life_images=NAN), "ema_half_life_images as a finite number"),
    (lambda: training.critic_step(run(), None), "got none"),
    (lambda: training.critic_step(run(), NONE), "at least one"),
    (lambda: training.critic_step(run(), torch.randn(8, 3)), r"of shape \(2,\)"),
    (lambda: training.critic_step(run(), torch.randn(8, 2, 2)), r"of shape \(2,\)"),
    (lambda: training.critic_step(run(), torch.tensor(1.0)), "at least one"),
    (lambda: training.joint_step(run(methods.build("consensus")), None), "got none"),
    (lambda: training.generator_step(run(methods.build("r3gan")), NONE), "at least one"),
    (lambda: train(steps=NAN), "steps as a number"),
    (lambda: train(minutes=NAN), "minutes as a number"),
    (lambda: train(images="3"), "images as a number"),
    (lambda: next(training.train(run(), 3, steps=1)), "Expected batches"),
]
NUMBERS = [
    (lambda: constraints.spectral_norm(None), "network as a torch.nn.Module"),
    (lambda: constraints.clip_weights_(None), "network as a torch.nn.Module"),
    (lambda: constraints.remove([critic()]), "network as a torch.nn.Module"),
    (lambda: constraints.export("x"), "network as a torch.nn.Module"),
    (lambda: spectra.singular_values(nn.Linear(2, 3).to(torch.cfloat), (2,)), "real weight"),
    (lambda: spectra.operator_norm(nn.Linear(2, 3).to(torch.cfloat), (2,)), "real weight"),
    (lambda: spectra.operator_norm(filled(nn.Linear(2, 2), INF), (2,)), "finite weight"),
    (lambda: spectra.singular_values(nn.Linear(0, 3), (0,)), "at least one entry"),
    (lambda: spectra.singular_values(nn.Linear(2, 3), (2.5,)), "input shape as whole numbers"),
    (lambda: spectra.layer_spectra(critic()), "sample as a tensor"),
    (lambda: spectra.layer_spectra(critic(), torch.randn(3, 5)), "does not take"),
    (lambda: spectra.effective_rank(SPECTRUM), "finite singular values"),
    (lambda: spectra.stable_rank(SPECTRUM), "finite singular values"),
    (lambda: spectra.condition_number(torch.tensor([-1.0, 2.0])), "finite singular values"),
    (lambda: spectra.stable_rank([1.0, 2.0]), "as a tensor"),
    (lambda: critics.wasserstein_estimate(lambda x: x.sum(1) * NAN, X, Y), "finite scores"),
    (lambda: critics.wasserstein_estimate(critic(), X * NAN, Y), "finite samples"),
    (lambda: critics.wasserstein_estimate(critic(), X, None), "fake samples as a tensor"),
    (lambda: critics.lipschitz_interval(lambda x: x.sum(1) * NAN, X, Y), "slopes that are finite"),
    (lambda: critics.lipschitz_interval(critic(), X, Y, steps=-1), "steps >= 0"),
    (lambda: critics.lipschitz_interval(critic(), X, Y, seed="a"), "seed as a whole number"),
    (lambda: critics.lipschitz_interval(critic(), X.cfloat(), Y.cfloat()), "floating point"),
    (lambda: critics.train_critic(R1, critic(), X, lambda n, rng: None, steps=1), "samples as one tensor"),
    (lambda: conditioning.extremes(generator(), Z[0] * NAN), "finite latents"),
    (lambda: conditioning.jacobian(generator(), Z.numpy()), "torch.as_tensor"),
    (lambda: conditioning.jacobian(generator(), X), "does not take latents"),
    (lambda: conditioning.jacobian(generator(), Z, dtype="float64"), "floating type of torch"),
    (lambda: conditioning.jacobian(generator(), Z, labels=torch.zeros(8).long()), "does not take latents"),
    (lambda: conditioning.pushed_forward(generator(), Z, X), "direction for each latent"),
    (lambda: conditioning.log_condition_number(torch.tensor([[2.0, -1.0]])), "finite singular values"),
    (lambda: conditioning.reference_gain(X * NAN, latent=3), "finite samples"),
    (lambda: dynamics.eigenvalues(GAME, None), "players as a sequence"),
    (lambda: dynamics.predict(lambda: None, (P, P)), "sequence of tensors"),
    (lambda: dynamics.predict(None, ([P],)), "step as a function"),
    (lambda: dynamics.predict(lambda: None, ([P],), ("sgd",)), "torch optimisers"),
    (lambda: dynamics.euler_limit(torch.tensor([NAN, -1.0])), "finite eigenvalues"),
    (lambda: metrics.frechet_distance(X, None), "array of real numbers"),
    (lambda: metrics.frechet_distance(X.cfloat(), Y.cfloat()), "array of real numbers"),
    (lambda: metrics.wasserstein1(X.cfloat(), Y.cfloat()), "array of real numbers"),
    (lambda: metrics.kernel_distance(X, Y, degree=2.5), "must be whole"),
    (lambda: metrics.kernel_distance(X, Y, offset=NAN), "offset as a finite number"),
    (lambda: metrics.precision_recall_density_coverage(X, Y, k=0), "at least 1"),
    (lambda: metrics.precision_recall_density_coverage(X, Y, k="a"), "must be whole"),
    (lambda: metrics.class_coverage(torch.tensor([-1, 2]), torch.tensor([1, 2])), "must hold counts"),
    (lambda: metrics.class_coverage(torch.tensor([1.5, 2.0]), torch.tensor([1, 2])), "must hold counts"),
    (lambda: metrics.sliced_wasserstein(X, Y, rng=1), "torch.Generator"),
]


def evaluate(sample=lambda n, seed: torch.randn(n, 2), **options):
    return evaluation.evaluate(sample, RING, RING, **options)


def tune(**changes):
    given = {"method_at": lambda gamma: methods.build("r1", gamma=gamma), "data": X, "latent": 3} | changes
    return doctor.tune_gamma(given.pop("method_at"), lambda seed: (generator(), critic()), given.pop("data"), **given)


STUDIES = [
    (lambda: data.Sampler([X], 4, seed=0), "Expected a Dataset"),
    (lambda: data.Sampler(RING, 2.5, seed=0), "batch size as a whole number"),
    (lambda: data.Sampler(RING, 4, seed=None), "seed as a whole number"),
    (lambda: data.open_data("toy:ring", limit=2.5), "limit as a whole number"),
    (lambda: evaluate(generator()), "function"),
    (lambda: evaluate(lambda n, seed: None), "samples as one tensor"),
    (lambda: evaluate(n=2.5), "n as a whole number"),
    (lambda: evaluate(seed="a"), "seed as a whole number"),
    (lambda: evaluate(metrics=[]), "metrics as a list"),
    (lambda: evaluate(features="inception"), "evaluation.open_features"),
    (lambda: evaluation.compare(X, Y), "evaluation.open_samples"),
    (lambda: runs.load(None), "as a path"),
    (lambda: report.summary(3), "as a path"),
    (lambda: tune(gammas=[-1.0]), "every gamma"),
    (lambda: tune(seeds=()), "seeds as a sequence"),
    (lambda: tune(steps=0), "steps >= 1"),
    (lambda: tune(data=None), "samples as a tensor"),
    (lambda: statistics.mean([1.0, 2.0, 3.0], level=95), "level between 0 and 1"),
    (lambda: statistics.mean("abc"), "Expected numbers"),
    (lambda: statistics.bootstrap(np.mean, [1.0, 2.0, 3.0], resamples=0), "resamples as a whole number"),
    (lambda: statistics.bootstrap(lambda rows: NAN, [1.0, 2.0, 3.0], resamples=9), "finite on every draw"),
    (lambda: statistics.permutation_test([1.0, 2.0], [1.0, 3.0], resamples=0), "resamples as a whole number"),
    (lambda: statistics.holm([NAN, 0.1]), "finite numbers"),
    (lambda: statistics.holm([-0.1, 2.0]), "from 0 to 1"),
    (lambda: statistics.detectable(-1.0, 5), "standard deviation"),
    (lambda: statistics.detectable(1.0, 5, alpha=0), "alpha between 0 and 1"),
    (lambda: statistics.seeds_needed(1.0, -1.0), "standard deviation"),
]


KINDS = [
    (lambda: next(training.train(run(), [X.to_sparse()], steps=1)), "a dense tensor .* got a sparse one"),
    (lambda: penalties.r1(critic(), X.to_sparse()), "a dense tensor .* got a sparse one"),
    (lambda: next(training.train(run(), [torch.nested.nested_tensor(list(X))], steps=1)), "got a nested one"),
    (lambda: penalties.r1(nn.Conv2d(1, 1, 3), torch.ones(2, 1, 2, 2)), "does not take samples of shape"),
    (lambda: penalties.r1(nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)), torch.ones(2, 1, 3, 3)), "does not take"),
    (lambda: penalties.gradient_penalty(critic(), torch.nested.nested_tensor(list(X)), X), "got a nested one"),
]


@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:Complex modules", "ignore:Casting complex")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(("call", "sentence"), LOSSES + PENALTIES + METHODS + TRAINING + NUMBERS + STUDIES + KINDS)
def test_wrong_calls_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_unusual_calls_stay_right():
    net = critic()
    exact = penalties.r1(net, X, gamma=2.0)
    for same in (2, np.float32(2), np.int64(2), torch.tensor(2.0)):
        torch.testing.assert_close(penalties.r1(net, X, gamma=same), exact)
    assert schedules.value_at(np.float32(3), 0) == 3.0
    assert penalties.gradient_penalty(net, X, Y.double()).isfinite()
    torch.testing.assert_close(spectra.effective_rank(torch.tensor([1, 1])), torch.tensor(2.0))
    state = run(latent=np.int64(3), batch_size=np.int64(4))
    assert (state.latent, state.batch_size, state.sample_shape) == (3, 4, (2,))


def test_an_error_of_the_users_own_is_not_taken_for_one_of_torch():
    """Words of torch's are looked for as words: 'beta tensor' is no tensor on the device meta."""

    def own(x):
        raise RuntimeError("the beta tensor has the wrong sign")

    with pytest.raises(RuntimeError, match="beta tensor") as met:
        penalties.r1(own, X)
    assert "device meta" not in str(met.value)
