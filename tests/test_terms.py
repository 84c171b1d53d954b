"""Terms as a user writes them, each settled by the default solver and compared with SciPy and finite differences.

Of every term, by the same checks: the fixed point is the minimum that SciPy finds; the rule is the slope of the cost in
every parameter, up or down by its sign; the objective is twice the mean energy plus the costs; credit sums to it.
"""

import functools
from typing import ClassVar

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import simatch as sm
from simatch.network import total_cost

X, Y = sm.Grid(1, 1, 5), sm.Grid(1, 1, 4)


class Drain(sm.Term):
    """A leak without weights: strength |r|^2 / 2."""

    population: str = eqx.field(static=True)
    strength: float

    @property
    def populations(self):
        return (self.population,)

    def energy(self, parameters, r):
        return self.strength * jnp.sum(r**2, axis=0) / 2


class Pull(sm.Term):
    """A nudge towards another population: beta |r - y|^2."""

    target: str = eqx.field(static=True)
    population: str = eqx.field(static=True)
    beta: float
    feels: tuple = eqx.field(static=True, default=(0.0, 1.0))

    @property
    def populations(self):
        return self.target, self.population

    @property
    def felt(self):
        return self.feels

    def energy(self, parameters, y, r):
        return self.beta * jnp.sum((r[: len(y)] - y[: len(r)]) ** 2, axis=0)


class Kernel(sm.Term):
    """A kernel term -r.(q o f(w x)) with f = tanh, cost q^2 f(w.w) / 2: w descends, q ascends."""

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    signs: ClassVar = {"w": -1, "q": 1}

    @property
    def populations(self):
        return self.pre, self.post

    @property
    def felt(self):
        return 0.0, 1.0

    def energy(self, parameters, x, r):
        return -jnp.sum(r * parameters["q"][:, None] * jnp.tanh(parameters["w"] @ x), axis=0)

    def cost(self, parameters):
        return jnp.sum(parameters["q"] ** 2 * jnp.tanh(jnp.sum(parameters["w"] ** 2, axis=1))) / 2

    def initial(self, rng):
        return {"w": jnp.asarray(rng.normal(size=(4, 5))), "q": jnp.asarray(rng.uniform(0.5, 1, 4))}


class Whitening(sm.Term):
    """A whitening term |W x|^2 / 2, which r does not feel, and the drive -r'W x by the same W."""

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)

    @property
    def populations(self):
        return self.pre, self.post

    @property
    def felt(self):
        return 0.0, 1.0

    def energy(self, parameters, x, r):
        return jnp.sum((parameters @ x) ** 2, axis=0) / 2 - jnp.sum(r * (parameters @ x), axis=0)

    def initial(self, rng):
        return jnp.asarray(rng.normal(size=(4, 5)))


class Quartic(sm.Term):
    """A convex quartic term: sum r^4 / 4 + (sum r)^4 / 4, whose curvature at rest is 0."""

    population: str = eqx.field(static=True)

    @property
    def populations(self):
        return (self.population,)

    def energy(self, parameters, r):
        return jnp.sum(r**4, axis=0) / 4 + jnp.sum(r, axis=0) ** 4 / 4


class Prediction(sm.Pathway):
    """A prediction error |x - W f(y)|^2 / 2 with f = tanh, felt by both ends."""

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: sm.Connectivity
    scale: float = 1.0
    feedback: float = eqx.field(static=True, default=1.0)

    def energy(self, parameters, pre, post):
        return jnp.sum((post - self.connectivity.project(parameters, jnp.tanh(pre))) ** 2, axis=0) / 2

    def cost(self, parameters):
        return 0.05 * jnp.sum(parameters**2)

    def initial(self, rng):
        return self.connectivity.normal(rng) / 2


class Convolution(sm.Connectivity):
    """One filter of three weights that all sites of a row share."""

    pre: sm.Grid = eqx.field(static=True)
    post: sm.Grid = eqx.field(static=True)
    structure: jax.Array = eqx.field(default_factory=lambda: jnp.ones(3))

    @property
    def synapses(self):
        return 3 * self.post.size

    def project(self, weights, activity):
        return sum(weights[k] * activity[k : k + self.post.size] for k in range(3))

    def normal(self, rng):
        return jnp.asarray(rng.normal(size=3))


def hidden(*terms, activation="tanh", lateral=True):
    """Inputs x, four neurons r and the terms."""
    own = [sm.AntiHebbian("r", sm.Dense(Y, Y))] if lateral else []
    return sm.Network({"x": sm.Population(X), "r": sm.Population(Y, activation)}, [*terms, *own])


def drive():
    return sm.Hebbian("x", "r", sm.Dense(X, Y))


def convolved():
    row, above = sm.Grid(1, 1, 6), sm.Grid(1, 1, 4)
    return sm.Network(
        {"x": sm.Population(row), "r": sm.Population(above, "tanh")},
        [sm.Hebbian("x", "r", Convolution(row, above)), sm.AntiHebbian("r", sm.Dense(above, above))],
    )


def generative():
    """Two latent layers: y predicts r, r predicts the clamped x."""
    top = sm.Grid(1, 1, 3)
    return sm.Network(
        {"x": sm.Population(X), "r": sm.Population(Y, "linear"), "y": sm.Population(top, "linear")},
        [Prediction("r", "x", sm.Dense(Y, X)), Prediction("y", "r", sm.Dense(top, Y)), Drain("y", 0.3)],
    )


def regressing():
    """Whitened synapses of the library, within a loop: the population r below feels its term, r above it."""
    above = sm.Grid(1, 1, 3)
    return sm.Network(
        {"x": sm.Population(X), "r": sm.Population(Y, "relu"), "y": sm.Population(above, "linear")},
        [
            sm.WhitenedHebbian("x", "r", sm.Dense(X, Y), scale=0.7),
            sm.AntiHebbian("r", sm.Dense(Y, Y)),
            sm.WhitenedHebbian("r", "y", sm.Dense(Y, above), scale=2.0, feedback=1.0),
            Drain("y", 3.0),
        ],
        seed=2,
    )


NETWORKS = {
    "leak": lambda: hidden(drive(), Drain("r", 0.7)),
    "leak alone": lambda: hidden(drive(), Drain("r", 0.7), activation="relu", lateral=False),
    "nudge": lambda: hidden(drive(), Pull("x", "r", 0.4)),
    "kernel": lambda: hidden(Kernel("x", "r"), Drain("r", 1e-3), activation="linear"),
    "whitening": lambda: hidden(Whitening("x", "r"), activation="relu"),
    "quartic": lambda: hidden(drive(), Quartic("r")),
    "quartic, linear units": lambda: hidden(drive(), Quartic("r"), activation="linear", lateral=False),
    "quartic, rectified units": lambda: hidden(drive(), Quartic("r"), activation="relu"),
    "prediction": generative,
    "convolution": convolved,
    "whitened synapses": regressing,
}
F = {  # the cost of activities, typed out
    "tanh": lambda r: r * np.arctanh(r) + np.log(1 - r**2) / 2 - r**2 / 2,
    "linear": lambda r: 0 * r,
    "relu": lambda r: 0 * r,
}


@functools.cache
def settled(name):
    """Each network, some samples and its relaxation by default settings, once for all tests."""
    net = NETWORKS[name]()
    x = np.random.default_rng(0).normal(size=(6, net.populations["x"].grid.size))
    return net, x, sm.relax(net, x, tolerance=1e-11)


@pytest.fixture(params=NETWORKS)
def case(request, x64):
    return settled(request.param)


def energy_by_hand(net, states):
    """Sum of all terms for one sample, from their own `energy` and the costs F typed out in NumPy."""
    total = 0.0
    for term in net.terms:
        total += float(term.energy(term.parameters, *(jnp.asarray(states[n])[:, None] for n in term.populations))[0])
    for name, f in net.activations.items():
        total += float(np.sum(F[type(f).__name__.lower()](states[name])))
    return total


def test_the_default_solver_finds_the_minimum_that_scipy_finds(case):
    net, x, out = case
    assert out.converged.all()
    sizes = [net.populations[name].grid.size for name in net.layers]
    bounds = [b for name, n in zip(net.layers, sizes, strict=True) for b in n * [_inside(net.activations[name])]]

    def split(r):
        return dict(zip(net.layers, np.split(r, np.cumsum(sizes)[:-1]), strict=True))

    gradient = jax.jit(
        jax.grad(
            lambda r, x: sum(t.energy(t.parameters, *({"x": x, **r}[n] for n in t.populations))[0] for t in net.terms)
        )
    )
    for k in range(3):
        found = np.concatenate([np.asarray(out.states[name][:, k]) for name in net.layers])

        def slope(r, k=k):
            columns = {name: jnp.asarray(own)[:, None] for name, own in split(r).items()}
            own = gradient(columns, jnp.asarray(x[k])[:, None])
            rest = {
                n: np.arctanh(v) - v if isinstance(net.activations[n], sm.network.Tanh) else 0
                for n, v in split(r).items()
            }
            return np.concatenate([np.asarray(own[n])[:, 0] + rest[n] for n in net.layers])

        best = scipy.optimize.minimize(
            lambda r, k=k: energy_by_hand(net, {"x": x[k], **split(r)}),
            np.clip(0.9 * found + 0.05, *np.array(bounds).T),
            jac=slope,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 2000, "maxfun": 20000},
        )
        np.testing.assert_allclose(found, best.x, atol=2e-6)


def _inside(activation):
    lower = 0.0 if isinstance(activation, sm.network.ReLU) else -np.inf
    return (-1 + 1e-9, 1 - 1e-9) if isinstance(activation, sm.network.Tanh) else (lower, np.inf)


def test_homogeneous_terms_exert_no_force_at_rest(case):
    net, _, out = case
    rest = jax.tree.map(jnp.zeros_like, out.states)
    for term in net.terms:
        own = {name: rest[name] for name in term.populations}
        slope = jax.grad(lambda r, t=term: jnp.sum(t.energy(t.parameters, *(r[name] for name in t.populations))))(own)
        if term.homogeneous:
            assert not any(np.any(force) for force in slope.values())


def test_layers_at_rest_are_not_multiplied():
    """The first sweep over layers with feedback takes no products with the activities of 0 above."""
    layers = [sm.Layer(units=n, stride=2, radius=2.0) for n in (4, 3, 2)]
    net = sm.layered(sm.Grid(8, 8), layers, feedback=0.1)
    x = jnp.ones((64, 5))
    problem = sm.relaxation.stage_problem(net, net.stages()[0], {"input": x})
    above = jnp.ones((net.populations["layer2"].grid.size, 5))

    def products(name, others):
        return str(jax.make_jaxpr(lambda: problem.pull(name, others))()).count("receptive_fields[")

    assert products("layer1", {}) == 0
    assert products("layer1", {"layer2": above}) > 0


def test_the_rule_is_the_slope_of_the_cost(case):
    net, _, out = case
    changes = sm.GradientRule().change(net, (out.states,), None, {}).parameters
    cost = jax.jit(lambda parameters: total_cost(net.with_parameters(parameters), out.states))
    rng = np.random.default_rng(1)
    for k, term in enumerate(net.terms):
        leaves, form = jax.tree.flatten(term.parameters)
        signs = jax.tree.leaves(sm.network.signs_of(term))
        for i, (leaf, sign) in enumerate(zip(leaves, signs, strict=True)):
            direction = rng.normal(size=leaf.shape)
            if isinstance(term, sm.AntiHebbian):
                direction = direction + direction.T

            def along(h, i=i, k=k, leaves=leaves, form=form, direction=direction):
                own = jax.tree.unflatten(form, [w + h * direction if j == i else w for j, w in enumerate(leaves)])
                return float(cost([own if m == k else p for m, p in enumerate(net.parameters)]))

            slope = (along(1e-5) - along(-1e-5)) / 2e-5
            moved = float(np.sum(np.asarray(jax.tree.leaves(changes[k])[i]) * direction))
            np.testing.assert_allclose(moved, sign * slope, rtol=1e-6, atol=1e-8)


def test_objective_and_credit(case):
    net, x, out = case
    states = {name: np.asarray(r) for name, r in out.states.items()}
    mean = np.mean([energy_by_hand(net, {n: r[:, k] for n, r in states.items()}) for k in range(len(x))])
    expected = 2 * (mean + sum(float(term.cost(term.parameters)) for term in net.terms))
    np.testing.assert_allclose(sm.objective(net, out), expected, rtol=1e-10)
    np.testing.assert_allclose(sm.credit(net, out).total(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["leak", "nudge", "convolution"])
def test_similarity_cost_is_the_objective_at_the_best_weights(name, x64):
    """Also of networks with terms without parameters: feedforward weights that SciPy finds are no better."""
    net, _, out = settled(name)
    primal = sm.similarity_cost(net, out)

    def descended(w):
        return 2 * total_cost(net.with_parameters([w, *net.parameters[1:-1], best]), out.states)

    best = sm.network.optimal_parameters(net, out.states)[-1]
    start, form = jax.flatten_util.ravel_pytree(net.parameters[0])
    slope = jax.jit(jax.value_and_grad(lambda w: descended(form(w))))
    result = scipy.optimize.minimize(slope, start, method="BFGS", jac=True, tol=1e-9)
    np.testing.assert_allclose(primal, result.fun, rtol=1e-6)


@pytest.mark.parametrize("name", ["kernel", "whitening", "prediction"])
def test_where_there_is_no_primal_cost_it_is_said(name, rng):
    net = NETWORKS[name]()
    x = rng.normal(size=(6, net.populations["x"].grid.size))
    with pytest.raises(ValueError, match="no closed form"):
        sm.similarity_cost(net, x)
    with pytest.raises(ValueError, match="no closed form"):
        sm.calibrate(net, x)


@pytest.mark.parametrize("name", ["kernel", "prediction"])
def test_terms_learn_in_the_compiled_loop(name, x64):
    """`train` takes the step of `learn`, batch by batch, and reports the objective."""
    net, x, _ = settled(name)
    trained, reports = sm.train(net, iter([x, x]), rate=1e-3, tolerance=1e-11, progress=False)
    out = sm.relax(net, x, tolerance=1e-11)
    stepped = sm.learn(net, out, 1e-3)
    out = sm.relax(stepped, x, tolerance=1e-11)
    np.testing.assert_allclose(reports[-1].cost, sm.objective(stepped, out), rtol=1e-8)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
        trained.parameters,
        sm.learn(stepped, out, 1e-3).parameters,
    )


class Convex(sm.Term):
    """A convex function of A r, of which the curvature changes by orders of magnitude."""

    population: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    A: jax.Array

    @property
    def populations(self):
        return (self.population,)

    def energy(self, parameters, r):
        z = self.A @ r
        forms = {
            "quartic": lambda: z**4 / 4,
            "softplus": lambda: jax.nn.softplus(z),
            "cosh": lambda: jnp.cosh(z),
            "huber": lambda: jnp.where(jnp.abs(z) < 1, z**2 / 2, jnp.abs(z) - 0.5),
        }
        return jnp.sum(forms[self.kind](), axis=0)


@pytest.mark.parametrize("activation", ["linear", "tanh", "soft_threshold:0.3"])
@pytest.mark.parametrize("kind", ["quartic", "softplus", "cosh", "huber"])
def test_the_default_solver_converges_on_stiff_convex_energies(kind, activation, rng, x64):
    """Condition numbers of some thousands: every sample reaches a point where no force is left."""
    term = Convex("r", kind, jnp.asarray(3 * rng.normal(size=(9, 4))))
    net = hidden(drive(), term, activation=activation)
    out = sm.relax(net, 3 * rng.normal(size=(10, 5)), tolerance=1e-8)
    assert out.converged.all()


def test_terms_can_be_switched_by_a_number_without_compiling_anew(rng):
    """A nudge of strength 0 is none; its strength is an array."""
    x, y = rng.normal(size=(3, 5)), rng.normal(size=(3, 4))
    net = hidden(drive())
    entries = {"x": x, "y": y}
    phases = [sm.Phase(["x", "y"], terms=[sm.Nudge("r", "y", strength)]) for strength in (0.0, 5.0)]
    off, on = (sm.relax(net, entries, phase=phase) for phase in phases)
    np.testing.assert_allclose(off.states["r"], sm.relax(net, x).states["r"], atol=1e-3)
    assert np.abs(on.states["r"] - np.clip(y.T, -1, 1)).mean() < np.abs(off.states["r"] - np.clip(y.T, -1, 1)).mean()


def test_calibration_leaves_pathways_to_inputs_alone(rng):
    """A pathway may end in a population that cannot relax; there is nothing to calibrate there."""
    label = sm.Grid(1, 1, 2)
    net = sm.Network(
        {"x": sm.Population(X), "r": sm.Population(Y, "tanh"), "label": sm.Population(label)},
        [drive(), sm.AntiHebbian("r", sm.Dense(Y, Y)), sm.Hebbian("r", "label", sm.Dense(Y, label), feedback=0.1)],
    )
    data = {"x": rng.normal(size=(50, 5)), "label": rng.normal(size=(50, 2))}
    scaled = sm.calibrate(net, data, batches=3)
    assert float(scaled.feedforward[0].scale) != 1.0
    assert float(scaled.feedforward[1].scale) == 1.0


def test_a_curvature_for_another_number_of_neurons_is_refused(rng):
    class Wide(sm.Leak):
        def curvature(self, parameters, population):
            return (jnp.eye(3)[None],)

    grids = sm.Grid(1, 1, 4), sm.Grid(1, 1, 2)
    populations = {"x": sm.Population(grids[0]), "r": sm.Population(grids[1], "tanh")}
    net = sm.Network(populations, [sm.Hebbian("x", "r", sm.Dense(*grids)), Wide("r", 0.5)])
    with pytest.raises(ValueError, match="The curvature of the Wide term of 'r' is for 3 neurons, but population 'r' "):
        sm.relax(net, rng.normal(size=(5, 4)))
