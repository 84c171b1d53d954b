"""Interventions: lesioned units, clamped populations, frozen synapses, and weights recorded over learning."""

import equinox as eqx
import jax
import networks
import numpy as np
import pytest

import simatch as sm


def layers(rng, activation="tanh", gamma=0.3):
    net = networks.randomised(networks.two_layers("local", networks.structure(rng), gamma, activation=activation), rng)
    return net, rng.normal(size=(6, 48))


def without(net, units):
    """One-layer network in which units are missing, instead of silent."""
    (W,), (L,) = networks.matrices(net)
    kept = np.setdiff1d(np.arange(len(W)), units)
    small = sm.layered(W.shape[1], [sm.Layer(units=len(kept), activation=net.populations["layer1"].activation)])
    return small.with_weights([W[kept], L[np.ix_(kept, kept)]]), kept


@pytest.mark.parametrize("activation", [pytest.param("linear", marks=pytest.mark.slow), "soft_threshold:0.2"])
def test_a_lesioned_unit_is_as_if_it_were_not_there(rng, activation):
    net = networks.randomised(sm.layered(4, [sm.Layer(units=5, activation=activation)]), rng)
    x = rng.normal(size=(6, 4))
    small, kept = without(net, [1, 3])
    out = sm.relax(sm.lesion(sm.lesion(net, {"layer1": [3]}), {"layer1": [1]}), x, tolerance=1e-6)
    r = np.asarray(out.states["layer1"])
    np.testing.assert_allclose(r[kept], sm.relax(small, x, tolerance=1e-6).states["layer1"], atol=1e-5)
    assert not r[[1, 3]].any()


def test_lesions_learn_relax_and_are_saved_like_other_networks(rng, tmp_path):
    net, x = layers(rng)
    hurt = sm.lesion(net, {"layer1": [0, 7], "layer2": [4]})
    sm.save(hurt, tmp_path / "net.safetensors")
    again = sm.load(tmp_path / "net.safetensors")
    out, same = sm.relax(hurt, x), sm.relax(again, x)
    for name in hurt.layers:
        np.testing.assert_array_equal(out.states[name], same.states[name])
    after = sm.learn(hurt, out, rate=1.0, rule=sm.AveragingRule())
    W, _ = networks.matrices(after)
    assert not W[0][[0, 7]].any()
    assert W[0][[1, 8]].any()


def test_another_feedback_is_as_if_the_network_had_been_built_with_it(rng):
    structure = networks.structure(rng)
    weak, strong = (networks.two_layers("local", structure, gamma) for gamma in (0.1, 0.7))
    strong = networks.randomised(strong, rng)
    (forward, lateral, above, top), x = strong.weights, rng.normal(size=(6, 48))
    weak = weak.with_weights([forward, jax.tree.map(lambda w: w * 1.1 / 1.7, lateral), above, top])
    found = sm.with_feedback(strong, 0.1)
    # Weights of the upper layer, which hears nothing from above, stay.
    for own, other in zip(jax.tree.leaves(found.weights), jax.tree.leaves(weak.weights), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-6)
    assert [p.feedback for p in found.feedforward] == [p.feedback for p in weak.feedforward] == [0.0, 0.1]
    for name in weak.layers:
        np.testing.assert_allclose(sm.relax(found, x)[name], sm.relax(weak, x)[name], atol=1e-4)
    traced = eqx.filter_jit(lambda own: sm.with_feedback(own, 0.1))(strong)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(traced), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    each = sm.with_feedback(strong, [0.0, 0.1])
    assert [p.feedback for p in each.feedforward] == [0.0, 0.1]


def test_feedback_that_makes_no_sense_is_refused(rng):
    net, _ = layers(rng)
    with pytest.raises(ValueError, match=r"2 Hebbian pathways, but 1 strengths"):
        sm.with_feedback(net, [0.1])
    with pytest.raises(ValueError, match=r"-0\.1"):
        sm.with_feedback(net, -0.1)


def test_clamped_populations_drive_the_others(rng):
    net, x = layers(rng, gamma=0.0)
    free = sm.relax(net, x)
    imposed = rng.normal(size=(6, 5))
    # With layer1 held where it settled, layer2 settles where it did; with layer2 held elsewhere and no feedback, layer1
    # does not notice.
    held = sm.relax(net, {"input": x, "layer1": free["layer1"]}, phase=sm.Phase(["input", "layer1"]))
    np.testing.assert_allclose(held["layer2"], free["layer2"], atol=1e-4)
    above = sm.relax(net, {"input": x, "layer2": imposed}, phase=sm.Phase(["input", "layer2"]))
    np.testing.assert_allclose(above["layer1"], free["layer1"], atol=1e-4)


@pytest.mark.parametrize("kind", networks.KINDS)
def test_changes_are_multiplied_synapse_by_synapse(rng, kind):
    net = networks.randomised(networks.two_layers(kind, networks.structure(rng), 0.0), rng)
    factors = rng.uniform(size=net.pathways[0].to_dense().shape)
    frozen = sm.Plasticity(net, {"input->layer1": factors, "layer1": 0.0, "layer1->layer2": 0.25})
    changes, _ = frozen.update(net.parameters, None)
    for p, change, factor in zip(net.pathways, changes, (factors, 0, 0.25, 1), strict=True):
        np.testing.assert_allclose(p.connectivity.to_dense(change), factor * p.to_dense(), rtol=1e-6)


def test_frozen_synapses_stay_the_others_learn_and_other_masks_do_not_compile_again(rng):
    net, x = sm.layered(4, [sm.Layer(units=3)]), rng.normal(size=(50, 4))

    def trained(mask):
        frozen = sm.Plasticity(net, {"input->layer1": mask})
        after, _ = sm.train(net, x, batch_size=50, rate=0.1, rule=sm.GradientRule(), transform=frozen, progress=False)
        return after.pathways[0].to_dense()

    before, free = net.pathways[0].to_dense(), trained(np.ones((3, 4)))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(count := lambda event, *_, **__: compiled.append(event))
    try:
        np.testing.assert_allclose(trained(np.eye(3, 4)), np.where(np.eye(3, 4), free, before), atol=1e-7)
        assert not any("backend_compile" in event for event in compiled)
        jax.jit(lambda a: a + 1)(1)
        assert any("backend_compile" in event for event in compiled)  # so that they would have been seen
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert np.abs(free - before).min() > 0


def test_weights_are_recorded_over_learning(rng):
    net, x = sm.layered(4, [sm.Layer(units=2, activation="linear")]), rng.normal(size=(60, 4))
    seen = []

    def record(now, report):
        seen.append((report.batches, now.pathways[0].to_dense()[1, [0, 3]]))

    how = {"batch_size": 20, "rate": 0.2, "progress": False}
    after, _ = sm.train(net, x, **how, report_every=1, observe=record)
    assert [batches for batches, _ in seen] == [1, 2, 3]
    np.testing.assert_array_equal(seen[-1][1], after.pathways[0].to_dense()[1, [0, 3]])
    # One step of the averaging rule, by hand.
    first = next(sm.epochs_of(x, batch_size=20))
    out = sm.relax(net, first, tolerance=1e-6)
    rate = 0.2
    W, r = net.pathways[0].to_dense(), np.asarray(out.states["layer1"])
    np.testing.assert_allclose(seen[0][1], ((1 - rate) * W + rate * r @ first / 20)[1, [0, 3]], atol=1e-5)


MISTAKES = {
    "population": (
        lambda net: sm.lesion(net, {"input": [0]}),
        "'input' cannot have lesions, because it does not relax",
    ),
    "unit": (lambda net: sm.lesion(net, {"layer1": [3]}), r"'layer1' have numbers from 0 to 2, got \[3\]"),
    "mask": (
        lambda net: sm.Plasticity(net, {"input->layer1": np.ones((4, 3))}),
        r"must be one number or an array of shape \(3, 4\), got \(4, 3\)",
    ),
    "range": (lambda net: sm.Plasticity(net, {"input->layer1": np.full((3, 4), -1)}), "between 0 and 1"),
    "symmetry": (lambda net: sm.Plasticity(net, {"layer1": np.triu(np.ones((3, 3)))}), "'layer1' must be symmetric"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make(sm.layered(4, [sm.Layer(units=3)]))
