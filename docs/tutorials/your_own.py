# %% [markdown]
# # Your own term, activation and connectivity
#
# The library has no list of allowed networks. A network is a sum of *terms* of one energy, and dynamics and learning
# follow from the energy by automatic differentiation. So a new idea is a class of about ten lines, and everything else
# (solvers, training, reports, files) works with it.

# %%
import equinox as eqx
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import simatch as sm

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
rng = np.random.default_rng(0)
ring = np.arange(40)
centre = rng.uniform(0, 40, size=(400, 1))
x = np.exp(-(((ring - centre + 20) % 40 - 20) ** 2) / 20)  # 400 bumps on a ring of 40 inputs
x = x - x.mean(axis=0)

# %% [markdown]
# ## A term: neighbours that agree
#
# Suppose that neighbouring neurons on a ring should have similar activities, as in a cortical map. That is a term of
# the energy: half of the squared differences of neighbours, times a strength. It has no parameters that learn.
# `quadratic` is optional; it lets solvers take a faster way.


# %%
class Neighbours(sm.Term):
    """Energy ``strength/2 * sum (r_i - r_{i+1})^2`` on a ring."""

    population: str = eqx.field(static=True)
    strength: float

    @property
    def populations(self):
        return (self.population,)

    def energy(self, parameters, r):
        return self.strength / 2 * jnp.sum((r - jnp.roll(r, 1, axis=0)) ** 2, axis=0)

    def quadratic(self, relaxing):
        return True


# %% [markdown]
# ## An activation: a neuron that saturates softly
#
# An activation is a function f from potential to activity, and the cost F of an activity, with `F'(r) = u - r` at
# `r = f(u)`. For a neuron `u / (1 + u)` of positive potentials the potential is `u = r / (1 - r)`, so F is the integral
# of `r / (1 - r) - r`.


# %%
class Saturating(sm.Activation):
    lower, upper = 0.0, 1.0

    def __call__(self, u):
        u = jnp.maximum(u, 0)
        return u / (1 + u)

    def cost(self, r):
        return -r - jnp.log1p(-r) - r**2 / 2


# %% [markdown]
# ## A connectivity: structure constants of your own
#
# Which synapses exist, and how strong they can become, is a matrix of *structure constants*: 0 means that there is no
# synapse. Here each of 20 neurons sees a window of the ring, and inhibits all others. `sm.Sparse` stores only the
# synapses that exist; a class of your own (`sm.Connectivity`) is needed only for weights that are stored or shared in
# another way.

# %%
units = np.arange(20) * 2
distance = abs((ring[None] - units[:, None] + 20) % 40 - 20)
window = (distance <= 6).astype(float)
inputs, neurons = sm.Grid(1, 40), sm.Grid(1, 20)


def network(strength):
    return sm.Network(
        {"input": sm.Population(inputs), "map": sm.Population(neurons, Saturating())},
        [
            sm.Hebbian("input", "map", sm.Sparse(inputs, neurons, window), scale=4.0),
            sm.AntiHebbian("map", sm.Dense(neurons, neurons)),
            Neighbours("map", strength),
        ],
        seed=0,
    )


# %% [markdown]
# ## Train and look
#
# Without the new term each neuron finds its own feature. With it, neighbours share their activity, and the responses to
# a bump at position 20 become one smooth hill.

# %%
probe = np.exp(-((ring - 20.0) ** 2) / 20)[None] - np.exp(-(((ring[:, None] - ring + 20) % 40 - 20) ** 2) / 20).mean(
    axis=0
)
_, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True)
for ax, strength in zip(axes, (0.0, 2.0), strict=True):
    net, reports = sm.train(network(strength), x, epochs=10, progress=False)
    r = np.asarray(sm.relax(net, probe)["map"]).ravel()
    ax.bar(units, r, 1.6)
    ax.set(title=f"strength {strength:g}", xlabel="position of the neuron on the ring")
axes[0].set_ylabel("activity")
plt.show()

# %% [markdown]
# ## Is it right?
#
# The rule of the library is the derivative of your energy, but is the fixed point a minimum of it? Check with SciPy, as
# the library's own tests do:

# %%
from scipy.optimize import minimize

W, L = net.feedforward[0].to_dense(), net.lateral[0].to_dense()


def energy(r):
    cost = -r - np.log1p(-r) - r**2 / 2
    return -r @ W @ probe[0] + r @ L @ r / 2 + np.sum((r - np.roll(r, 1)) ** 2) + cost.sum()


best = minimize(energy, np.full(20, 0.1), bounds=[(0, 1 - 1e-9)] * 20, tol=1e-12).x
settled = np.asarray(sm.relax(net, probe, tolerance=1e-6)["map"]).ravel()
print("largest difference from SciPy's minimum:", abs(settled - best).max())
assert abs(settled - best).max() < 1e-3

# %% [markdown]
# To save such a network (`sm.save`), put `@sm.register("neighbours", sm.Term)` above the class, and the like for the
# activation: a file names the kinds of its parts.
