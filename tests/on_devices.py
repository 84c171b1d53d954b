"""Learn on four CPU devices, all in one process or two in each of two; `test_devices` starts this and compares.

python on_devices.py PROCESS PROCESSES ADDRESS RESULTS
"""

import contextlib
import dataclasses
import sys
from collections import namedtuple
from pathlib import Path

import jax
import jaxtyping
import numpy as np

BATCH, SAMPLES, DEVICES = 20, 120, 4
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # as in all tests
LEARNING = {"batch_size": BATCH, "rate": 0.05, "tolerance": 1e-6, "progress": False}


def network(sm, kind, seed=0):
    """One local layer, two layers with feedback, or a layer that can diverge."""
    layers = {
        "local": [sm.Layer(units=3, stride=2, radius=2.0)],
        "feedback": [sm.Layer(units=3, stride=2, radius=2.0), sm.Layer(units=5)],
        "linear": [sm.Layer(units=3, activation="linear")],
    }
    net = sm.layered(sm.Grid(4, 4), layers[kind], feedback=0.3 if kind == "feedback" else 0, seed=seed)
    # Strong lateral synapses, so that relaxing takes its time.
    return net.with_weights([jax.tree.map(lambda w, add=4 * (p.signs > 0): w + add, p.weights) for p in net.pathways])


def samples():
    """Inputs from faint to strong, and many empty ones: they take very different numbers of steps."""
    rng = np.random.default_rng(0)
    strength = rng.permutation(np.linspace(0, 3, SAMPLES) ** 2) * (rng.random(SAMPLES) < 0.4)
    return strength[:, None, None] * rng.normal(size=(SAMPLES, 4, 4))


def poisoned():
    """Three batches; in the last, one sample on the last device makes activities grow without bound."""
    batches = samples()[: 3 * BATCH].reshape(3, BATCH, 4, 4)
    batches[2, -1] = 1e18
    return batches


def weights(net, name):
    return {f"{name} weight {i}": np.asarray(w) for i, w in enumerate(jax.tree.leaves(net.weights))}


def counted(report, name):
    return {f"{name} counts": np.array([report.batches, report.samples, report.unconverged])}


def measured(report, name):
    shares = [figure for own in report.health.values() for figure in dataclasses.astuple(own)]
    return {f"{name} report": np.array([report.cost, report.residual, report.steps, *shares])}


def contrast(sm):
    """Settings of a rule of two phases, with momentum: a state that all devices must agree on."""
    nudge = sm.Nudge("layer2", target="label", strength=0.5)
    nudged = sm.Phase(["input", "label"], terms=[nudge], start="previous")
    momentum = namedtuple("Momentum", ("init", "update"))(
        init=lambda parameters: jax.tree.map(jax.numpy.zeros_like, parameters),
        update=lambda changes, state, _: 2 * (jax.tree.map(lambda m, d: 0.5 * m + d, state, changes),),
    )
    return {"rule": sm.ContrastRule(sm.Phase(), nudged, beta=0.5), "transform": momentum}


def labelled(parts):
    """The same inputs with targets."""
    return {"input": parts, "label": np.tanh(parts.reshape(len(parts), -1)[:, :5])}


def resumed(sm, net, own, mesh, folder):
    """Learn with an interruption after the first report; the processes share the folder of checkpoints."""
    settings = {**LEARNING, "mesh": mesh, "report_every": 2}

    def stop(_, report):
        if report.batches == 4:
            raise InterruptedError

    for observe in (stop, None):
        checkpoints = sm.Checkpoints(folder / "checkpoints", every=0)
        with contextlib.suppress(InterruptedError):
            trained, reports = sm.train(net, own, checkpoints=checkpoints, observe=observe, **settings)
    assert [report.batches for report in reports] == [2, 4, 6]
    return trained


def main(process, processes, address, results):
    with jaxtyping.install_import_hook("simatch", CHECKER):
        import simatch as sm  # before the devices are chosen, as users will

    jax.config.update("jax_num_cpu_devices", DEVICES // processes)
    jax.config.update("jax_disable_most_optimizations", True)  # compiles sooner
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, processes, process, coordinator_bind_address=address)
    mesh = jax.make_mesh((2, DEVICES // 2), ("any", "axes"))
    own = np.split(samples(), processes)[process]
    found = {}

    def learn(kind, name):
        net, reports = sm.train(network(sm, kind), own, mesh=mesh, **LEARNING)
        found.update(weights(net, name) | counted(reports[-1], name) | measured(reports[-1], name))
        return net

    def encode(net, name):
        found[f"{name} features"] = sm.encode(net, own, mesh=mesh, batch_size=4 * DEVICES, tolerance=1e-6)

    def refused(name, work):
        try:
            work()
        except (ValueError, sm.DivergenceError) as error:
            found[f"{name} refused"] = str(error)
            return error
        raise AssertionError(f"{name} was not refused")

    with jax.enable_x64(True):
        encode(learn("local", "local"), "local")
    net = network(sm, "local")
    refused("batch size", lambda: sm.train(net, own, batch_size=6, mesh=mesh))
    refused("encoding", lambda: sm.encode(net, own, batch_size=6, mesh=mesh))
    refused("stream", lambda: list(sm.training(net, [own[:5]], rate=0.1, mesh=mesh)))
    if processes == 1:
        learn("local", "float32")
        with jax.enable_x64(True):
            encode(learn("feedback", "feedback"), "feedback")
            net, reports = sm.train(network(sm, "feedback"), labelled(own), mesh=mesh, **contrast(sm), **LEARNING)
            found.update(weights(net, "contrast") | counted(reports[-1], "contrast"))
            found["contrast cost"] = np.array(reports[-1].cost)
    else:
        half = slice(process * BATCH // 2, (process + 1) * BATCH // 2)
        batches = [batch[half] for batch in poisoned()]
        error = refused("divergence", lambda: list(sm.training(network(sm, "linear"), batches, rate=0.1, mesh=mesh)))
        found.update(weights(error.network, "divergence"))
        refused("networks", lambda: sm.train(network(sm, "local", seed=process), own, mesh=mesh, **LEARNING))
        refused("samples", lambda: sm.train(net, own[process:], mesh=mesh, **LEARNING))
        with jax.enable_x64(True):
            found.update(weights(resumed(sm, network(sm, "local"), own, mesh, Path(results).parent), "resumed"))
    np.savez(results, **found)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
