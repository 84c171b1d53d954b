"""The published algorithm in NumPy, stored and computed as in its authors' program.

One float64 matrix holds the weights between all neurons, those of the image included, and others of the same size say
which synapses exist, how they act and how they learn. Every image multiplies them, makes a sparse matrix of the
product, takes explicit Euler steps with it, and learns from the outer product of all activities: equations (10) and
(11) of ``docs/mathematics.md`` with the settings of its section 4.

In two points it stops sooner than the program, which looks at its stopping rule after every hundredth step only, and
whose change of u is not multiplied by the length of the step.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_matrix

import simatch as sm

MAX_STEPS, TOLERANCE = 3000, 1e-4
Layers = list[Float[np.ndarray, " neurons"]]
Matrix = Float[np.ndarray, "neurons neurons"]


@dataclasses.dataclass
class Published:
    """A chain of tanh layers above an image.

    Attributes
    ----------
    ends : array of int
        Where the neurons of the image and of every layer end, from bottom to top.
    weights : array of shape (neurons, neurons)
        From the neurons of the columns to those of the rows: upwards, laterally and, once more, downwards.
    action : array like `weights`
        Factor of a weight in the dynamics: 1 upwards, -1 laterally, gamma downwards, 0 without a synapse.
    identity : array like `weights`
        1 on the diagonal of the layers.
    importance : array like `weights`
        Factor of the learning rate, 0 without a synapse.
    decay : array like `weights`
        Inverse structure constants.
    """

    ends: np.ndarray
    weights: Matrix
    action: Matrix
    identity: Matrix
    importance: Matrix
    decay: Matrix

    @classmethod
    def of(cls, net: sm.Network) -> "Published":
        """Copy the weights and structure constants of a chain of tanh layers."""
        ends = np.cumsum([net.populations[name].grid.size for name in (*net.inputs, *net.layers)])
        matrices = [np.zeros((ends[-1], ends[-1])) for _ in range(5)]
        weights, action, identity, importance, decay = matrices
        at = [slice(*pair) for pair in zip([0, *ends], ends, strict=False)]
        gamma = net.feedforward[-1].feedback
        for p, (feedforward, lateral) in enumerate(zip(net.feedforward, net.lateral, strict=True)):
            below, own = at[p], at[p + 1]
            learns = gamma ** (p + 1 - len(net.layers)) if gamma else 1.0
            up, across = dense(feedforward), dense(lateral)
            parts = [(own, below, up, 1.0, learns), (own, own, across, -1.0, learns / 2)]
            if p > 0 and gamma:
                parts.append((below, own, (up[0].T, up[1].T), gamma, learns))
            for post, pre, (w, decays), acts, rate in parts:
                weights[post, pre], decay[post, pre] = w, decays
                action[post, pre], importance[post, pre] = acts * (decays > 0), rate * (decays > 0)
            identity[own, own] = np.eye(own.stop - own.start)
        return cls(ends, *matrices)

    def settle(self, x: Float[np.ndarray, " inputs"]) -> tuple[Layers, int]:
        """Run the dynamics (10) until ``|du| / |u| < 1e-4`` in every layer: activities, and steps taken."""
        matrix: csr_matrix = csr_matrix(self.weights * self.action + self.identity)
        first = self.ends[0]
        u, r = np.zeros(self.ends[-1]), np.zeros(self.ends[-1])
        r[:first] = x
        for n in range(MAX_STEPS):
            change = step_length(n) * (matrix @ r - u)
            u[first:] += change[first:]
            r[first:] = np.tanh(u[first:])
            if all(map(_settled, self._layers(change), self._layers(u))):
                return self._layers(r), n + 1
        return self._layers(r), MAX_STEPS

    def learn(self, x: Float[np.ndarray, " inputs"], r: Layers, rate: float) -> None:
        """Take one plasticity step (11), which is (7) for one layer."""
        every = np.concatenate([x, *r])
        self.weights += rate * (self.importance * (np.outer(every, every) - self.decay * self.weights))

    def _layers(self, values: Float[np.ndarray, " neurons"]) -> Layers:
        return np.split(values, self.ends[:-1])[1:]


def dense(pathway: sm.Pathway) -> tuple[Matrix, Matrix]:
    """Weights and inverse structure constants between all neurons of two populations, 0 without a synapse."""
    ones = jax.tree.map(jnp.ones_like, pathway.weights)
    return pathway.to_dense(), pathway.connectivity.to_dense(pathway.decay(ones))


def step_length(n: int) -> float:
    """Length of the n-th Euler step."""
    return max(0.2 / (1 + 0.005 * n), 0.05)


def published_rate(images: int) -> float:
    """Learning rate after a number of images."""
    return sm.published_schedule()(images)


def _settled(change: np.ndarray, u: np.ndarray) -> bool:
    return bool(np.linalg.norm(change) < TOLERANCE * np.linalg.norm(u))
