"""Predictions: terms that are half of a squared error, between a population and what others say about it."""

from collections.abc import Collection, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._activation import Activation, Linear
from ._activation import activation as resolve_activation
from ._pathway import checked_feedback
from ._registry import register
from ._term import Connection, Term
from .connectivity import Connectivity


@register("prediction", Term)
@final
class Prediction(Term):
    """Synapses by which populations together predict another one: energy ``|r_post - sum_l W_l f_l(r_l) - b|^2 / 2``.

    The error ``e = r_post - sum_l W_l f_l(r_l) - b`` is the force on the predicted population, and population l gets
    ``f_l'(r_l) W_l' e``. Learning descends the energy: ``dW_l = <e f_l(r_l)'>`` and ``db = <e>``, without decay. The
    term is one for all l, because the error of a population is the difference from the sum of all predictions.

    Parameters
    ----------
    pre : sequence of str
        Names of the populations that predict, at least one, each once.
    post : str
        Name of the population that is predicted, another one.
    connectivity : sequence of Connectivity
        Which synapses exist, for each of `pre`.
    functions : sequence of Activation or str
        f_l for each of `pre`, which the term applies to its activities; ``"linear"`` leaves them as they are, as is
        usual for inputs. Populations that relax should themselves be ``"linear"``, so that the term can correct a
        state beyond the range of f_l.
    feedback : float
        gamma, at least 0: how strongly the populations `pre` feel the error, compared with `post`. With 0, activities
        settle at the feedforward pass, ``r_post = sum_l W_l f_l(r_l) + b``.
    parameters : dict, optional
        ``"weights"``, a tuple with the weights of each connectivity in its layout, and ``"bias"``, an array of shape
        (neurons of `post`,). By default a network draws the weights, and biases are 0.

    Raises
    ------
    ValueError
        If the numbers of populations, connectivities and functions differ, a name occurs twice, or `feedback` is out of
        range.

    References
    ----------
    Rao and Ballard 1999; Whittington and Bogacz 2017.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> one = sm.Grid(1, 1, 1)
    >>> term = sm.Prediction(["a", "b"], "c", [sm.Dense(one, one)] * 2, ["linear", "relu"])
    >>> weights = {"weights": (jnp.ones((1, 1)), jnp.ones((1, 1))), "bias": jnp.ones(1)}
    >>> a, b, c = jnp.array([[1.0]]), jnp.array([[-5.0]]), jnp.array([[4.0]])
    >>> float(term.predicted(weights, a, b)[0, 0]), float(term.energy(weights, a, b, c)[0])
    (2.0, 2.0)
    """

    pre: tuple[str, ...] = eqx.field(static=True)
    post: str = eqx.field(static=True)
    connectivity: tuple[Connectivity, ...]
    functions: tuple[Activation, ...]
    feedback: float = eqx.field(static=True)

    def __init__(
        self,
        pre: Sequence[str],
        post: str,
        connectivity: Sequence[Connectivity],
        functions: Sequence[Activation | str],
        *,
        feedback: float = 1.0,
        parameters=None,
    ):
        if isinstance(pre, str):
            raise ValueError(f'Predicting populations are a sequence of names, such as ["input"], got {pre!r}.')
        if not len(pre) == len(connectivity) == len(functions) > 0:
            raise ValueError(
                f"{len(pre)} populations predict {post!r}, with {len(connectivity)} connectivities and "
                f"{len(functions)} functions; give at least one population, and one of both for each."
            )
        if len({*pre, post}) <= len(pre):
            raise ValueError(f"The names {', '.join(map(repr, [*pre, post]))} must differ; give each population once.")
        for own in connectivity:
            if own.post != connectivity[0].post:
                raise ValueError(
                    f"The connectivities of a prediction of {post!r} lead to {connectivity[0].post} and {own.post}; "
                    "make all for the grid of this population."
                )
        self.pre, self.post, self.connectivity = tuple(pre), post, tuple(connectivity)
        self.functions = tuple(resolve_activation(f) for f in functions)
        self.feedback, self.parameters = checked_feedback(feedback), parameters

    @classmethod
    def planned(cls, most: int, *, connectivity: Sequence[Connectivity], **arguments: Any) -> int:
        return connectivity[0].post.size

    @property
    def populations(self) -> tuple[str, ...]:
        return *self.pre, self.post

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple((name, self.post, own) for name, own in zip(self.pre, self.connectivity, strict=True))

    @property
    def felt(self) -> tuple[float, ...]:
        return *(self.feedback for _ in self.pre), 1.0

    def predicted(self, parameters: PyTree, *activities: Float[Array, "_ samples"]) -> Float[Array, "post samples"]:
        """Return what the populations `pre` predict, ``sum_l W_l f_l(r_l) + b``.

        Parameters
        ----------
        parameters : dict
            As in the attribute `parameters`.
        *activities : arrays of shape (neurons, samples)
            One for each of `pre`.

        Returns
        -------
        array of shape (neurons of `post`, samples)
        """
        total = parameters["bias"][:, None]
        for own, weights, f, r in zip(
            self.connectivity, parameters["weights"], self.functions, activities, strict=True
        ):
            total = total + own.project(weights, f(r))
        return total

    def energy(self, parameters: PyTree, *activities: Float[Array, "_ samples"]) -> Float[Array, " samples"]:
        *pre, post = activities
        return jnp.sum((post - self.predicted(parameters, *pre)) ** 2, axis=0) / 2

    def initial(self, rng: np.random.Generator) -> PyTree:
        """Weights drawn from N(0, 1), divided by the square root of the mean number of inputs to a neuron; no bias.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        dict of "weights", one pytree for each of `connectivity`, and "bias", array of shape (post neurons,)
        """
        size = self.connectivity[0].post.size
        width = np.sqrt(sum(own.synapses for own in self.connectivity) / size)
        weights = tuple(own.drawn(rng, width) for own in self.connectivity)
        return {"weights": weights, "bias": jnp.zeros(size)}

    def quadratic(self, relaxing: Collection[str]) -> bool:
        pairs = zip(self.pre, self.functions, strict=True)
        return all(isinstance(f, Linear) for name, f in pairs if name in relaxing)

    def curvature(self, parameters: PyTree, population: str) -> tuple[Float[Array, "1 1 1"], ...] | None:
        return (jnp.ones((1, 1, 1)),) if population == self.post else None


@register("copy", Term)
@final
class Copy(Term):
    """A population that copies another one of the same size: energy ``|r_post - r_pre|^2 / 2``, no parameters.

    Parameters
    ----------
    pre, post : str
        Names of the two populations.
    feedback : float
        gamma, at least 0: how strongly `pre` feels the difference, compared with `post`.

    Raises
    ------
    ValueError
        If `feedback` is out of range, or, when the energy is evaluated, if the populations differ in size.

    References
    ----------
    Salvatori et al., AAAI 2022, where copies are called identity vertices.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> float(sm.Copy("a", "b").energy(None, jnp.zeros((2, 1)), jnp.ones((2, 1)))[0])
    1.0
    """

    pre: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    feedback: float = eqx.field(static=True)

    homogeneous = True

    def __init__(self, pre: str, post: str, *, feedback: float = 1.0):
        self.pre, self.post, self.parameters = pre, post, None
        self.feedback = checked_feedback(feedback)

    @property
    def populations(self) -> tuple[str, ...]:
        return self.pre, self.post

    @property
    def felt(self) -> tuple[float, ...]:
        return self.feedback, 1.0

    def energy(
        self, parameters: None, pre: Float[Array, "pre samples"], post: Float[Array, "post samples"]
    ) -> Float[Array, " samples"]:
        if len(pre) != len(post):
            raise ValueError(
                f"Population {self.post!r} has {len(post)} neurons and copies {self.pre!r}, which has {len(pre)}; "
                "give both the same number."
            )
        return jnp.sum((post - pre) ** 2, axis=0) / 2

    def quadratic(self, relaxing: Collection[str]) -> bool:
        return True

    def curvature(self, parameters: None, population: str) -> tuple[Float[Array, "1 1 1"], ...]:
        return (jnp.ones((1, 1, 1)),)
