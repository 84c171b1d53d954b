"""Contrastive learning as published, in NumPy: a fixed number of steps in two phases, from states that are kept.

As in the program of Qin, Mudur and Pehlevan (2021), and that of Scellier and Bengio (2017) on which it builds: batches
of 20 images in a fixed order, single precision, projected gradient steps of length 0.5 on all layers at once, 20 in the
free and 4 in the nudged phase, each computing the whole energy's gradient anew, the product with the image included,
because the image is part of the state that the program's loop carries. Structured layers are dense matrices times a
mask. The states after the free phase are kept for every image.
"""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float

STEP, FREE_STEPS, NUDGED_STEPS, BATCH = np.float32(0.5), 20, 4, 20
Matrix = Float[np.ndarray, "_ _"]


@dataclasses.dataclass
class PublishedContrast:
    """A chain of layers with activities between 0 and 1 above an image.

    Attributes
    ----------
    forward : list of arrays of shape (neurons below, neurons)
    lateral : list of arrays of shape (neurons, neurons)
        Of all layers but the last; empty without lateral synapses.
    biases : list of arrays of shape (neurons,)
    masks : list of arrays like `forward`, or None
        1 where a synapse exists.
    kept : list of arrays of shape (images, neurons)
        States of all images after their last free phase.
    """

    forward: list[Matrix]
    lateral: list[Matrix]
    biases: list[Float[np.ndarray, " neurons"]]
    masks: list[Matrix | None]
    kept: list[Matrix]

    @classmethod
    def dense(cls, sizes: list[int], images: int, *, lateral: bool, seed: int = 0) -> "PublishedContrast":
        """Draw the initial weights of dense layers: uniform, as Glorot and Bengio; lateral ones A A'."""
        rng = np.random.default_rng(seed)

        def uniform(pre: int, post: int) -> Matrix:
            bound = np.sqrt(6 / (pre + post))
            return rng.uniform(-bound, bound, (pre, post)).astype(np.float32)

        across = [uniform(n, n) for n in sizes[1:-1]] if lateral else []
        return cls(
            [uniform(*pair) for pair in itertools.pairwise(sizes)],
            [a @ a.T for a in across],
            [np.zeros(n, np.float32) for n in sizes[1:]],
            [None] * (len(sizes) - 1),
            [np.zeros((images, n), np.float32) for n in sizes[1:]],
        )

    def descend(self, layers: list[Matrix], target: Matrix | None, beta: float, steps: int) -> list[Matrix]:
        """Take projected gradient steps on all layers but the image."""
        for _ in range(steps):
            new = [layers[0]]
            for p in range(1, len(layers)):
                force = layers[p - 1] @ self._synapses(p - 1) + self.biases[p - 1] - layers[p]
                if p < len(layers) - 1:
                    force += layers[p + 1] @ self._synapses(p).T
                    if self.lateral:
                        # The gradient of r'Lr / 2 as automatic differentiation gives it, for any L.
                        force -= (layers[p] @ self.lateral[p - 1] + layers[p] @ self.lateral[p - 1].T) / 2
                elif target is not None:
                    force -= np.float32(2 * beta) * (layers[p] - target)
                new.append(np.clip(layers[p] + STEP * force, 0, 1))
            layers = new
        return layers

    def learn(
        self,
        x: Matrix,
        target: Matrix,
        chosen: slice,
        *,
        beta: float,
        rates: list[float],
        lateral_rates: list[float],
    ) -> None:
        """Learn from one batch."""
        free = self.descend([x, *(kept[chosen] for kept in self.kept)], None, 0.0, FREE_STEPS)
        for kept, states in zip(self.kept, free[1:], strict=True):
            kept[chosen] = states
        nudged = self.descend(free, target, beta, NUDGED_STEPS)
        size = len(x)
        for p, rate in enumerate(rates):
            step = np.float32(rate / (beta * size))
            change = nudged[p].T @ nudged[p + 1] - free[p].T @ free[p + 1]
            mask = self.masks[p]
            self.forward[p] += step * (change if mask is None else change * mask)
            self.biases[p] += step * np.sum(nudged[p + 1] - free[p + 1], axis=0)
        for p, rate in enumerate(lateral_rates):
            own = nudged[p + 1]
            self.lateral[p] += np.float32(rate / (2 * beta)) * (own.T @ own / size - self.lateral[p])

    def answers(self, x: Matrix, steps: int = 100) -> Matrix:
        """Activities of the last layer after a free phase from 0."""
        begin = [np.zeros((len(x), len(b)), np.float32) for b in self.biases]
        return self.descend([x, *begin], None, 0.0, steps)[-1]

    def _synapses(self, p: int) -> Matrix:
        mask = self.masks[p]
        return self.forward[p] if mask is None else self.forward[p] * mask
