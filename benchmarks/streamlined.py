"""The published algorithm in NumPy, in float32 and with every saving that dense matrices of a layer allow.

It computes what `benchmarks.published` computes. But only neurons of neighbouring layers share a matrix, the drive of
an image is multiplied once and not in every step, and a learning step makes nine passes over a matrix and allocates
nothing.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

import simatch as sm

from .published import MAX_STEPS, TOLERANCE, Layers, dense, step_length


class Synapses:
    """The weights between all neurons of two populations, zero where there is no synapse.

    Parameters
    ----------
    pathway : Pathway
        With one structure constant for all synapses that exist.
    dtype : dtype

    Raises
    ------
    ValueError
        If structure constants differ.
    """

    def __init__(self, pathway: sm.Pathway, dtype: np.typing.DTypeLike):
        weights, decays = dense(pathway)
        self.weights, self.exists = np.array(weights, dtype), np.array(decays > 0, dtype)
        decays = decays[decays > 0]
        if np.ptp(decays) > 1e-6 * decays[0]:
            raise ValueError("The published algorithm is written for one structure constant a pathway.")
        self.decay = float(decays[0])
        self._change = np.empty_like(self.weights)

    def learn(self, post: np.ndarray, pre: np.ndarray, rate: float) -> None:
        """Add ``rate (post pre' - weights / c)`` to the weights that exist."""
        np.multiply.outer(self.weights.dtype.type(rate) * post, pre, out=self._change)
        self._change *= self.exists
        self.weights *= self.weights.dtype.type(1 - rate * self.decay)
        self.weights += self._change


@dataclasses.dataclass
class Streamlined:
    """A chain of tanh layers.

    Attributes
    ----------
    feedforward, lateral : list of Synapses
        W and L of every layer, from bottom to top; the image is the lowest population.
    feedback : float
        gamma.
    """

    feedforward: list[Synapses]
    lateral: list[Synapses]
    feedback: float

    @classmethod
    def of(cls, net: sm.Network, dtype: np.typing.DTypeLike = np.float32) -> "Streamlined":
        """Copy the weights and structure constants of a chain of tanh layers."""
        return cls(
            [Synapses(p, dtype) for p in net.feedforward],
            [Synapses(p, dtype) for p in net.lateral],
            net.feedforward[-1].feedback,
        )

    def settle(self, x: Float[np.ndarray, " inputs"]) -> tuple[Layers, int]:
        """Run the dynamics (10) until ``|du| / |u| < 1e-4`` in every layer: activities, and steps taken."""
        W, L = [p.weights for p in self.feedforward], [p.weights for p in self.lateral]
        top, drive = len(W) - 1, W[0] @ x
        u = [np.zeros(len(m), m.dtype) for m in L]
        r = [np.tanh(v) for v in u]
        for n in range(MAX_STEPS):
            length = step_length(n)
            change = []
            for p in range(len(W)):
                current = (drive if p == 0 else W[p] @ r[p - 1]) + r[p] - L[p] @ r[p]
                if p < top and self.feedback:
                    current += self.feedback * (W[p + 1].T @ r[p + 1])
                change.append(length * (current - u[p]))
            u = [v + du for v, du in zip(u, change, strict=True)]
            r = [np.tanh(v) for v in u]
            if all(np.linalg.norm(du) < TOLERANCE * np.linalg.norm(v) for du, v in zip(change, u, strict=True)):
                return r, n + 1
        return r, MAX_STEPS

    def learn(self, x: Float[np.ndarray, " inputs"], r: Layers, rate: float) -> None:
        """Take one plasticity step (11), which is (7) for one layer."""
        below = [x, *r[:-1]]
        for p, own in enumerate(r):
            importance = self.feedback ** (p + 1 - len(r)) if self.feedback else 1.0
            self.feedforward[p].learn(own, below[p], rate * importance)
            self.lateral[p].learn(own, own, rate * importance / 2)
