"""The bilinear form ``sum_ij post_i W_ij pre_j`` of the synapses of receptive fields, as one primitive of JAX.

Its derivative in the activities above is the drive, in the weights the association of plasticity, and in the
activities below the feedback. Each of these three products is linear in its two arguments, so its own derivatives are
again among the three. One primitive computes all of them; a parameter says which.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float, Int

from ... import _native as native
from .._grid import Grid

ROLES = ("pre", "post", "weights")
KERNELS = {"post": native.DRIVE, "weights": native.ASSOCIATE, "pre": native.FEED_BACK}

_NAMES = {"pre": "Activities below", "post": "Activities above", "weights": "Weights"}


def drive(
    pre: Grid,
    post: Grid,
    order: Int[Array, " sites"],
    sources: Sequence[Int[Array, "_ _"]],
    weights: Sequence[Float[Array, "_ units _"]],
    activity: Float[Array, "pre samples"],
) -> Float[Array, "post samples"]:
    """Drive of every unit from the sites of its receptive field.

    Parameters
    ----------
    pre, post : Grid
        Grids of the presynaptic and of the postsynaptic population.
    order : int array of shape (sites,)
        Position of every site of `post` in the concatenation of all groups.
    sources : sequence of int arrays of shape (sites of the group, inputs)
        For every group, the sites of `pre` from which each of its sites receives.
    weights : sequence of arrays of shape (sites of the group, units, inputs times channels)
        For every group, with the inputs in the order of `sources`, and within an input by unit of `pre`.
    activity : array of shape (neurons of `pre`, samples)

    Returns
    -------
    array of shape (neurons of `post`, samples)

    Raises
    ------
    ValueError
        If shapes or types do not fit together.
    """
    product = _Product("post", len(sources), pre, post.units)
    return product.bind((order, *sources), {"pre": [activity], "weights": weights})[0]


@dataclasses.dataclass(frozen=True)
class _Product:
    """Parameters of the primitive: which product it computes (`makes`), the number of groups, and the grids.

    Operands are the order and the sources, then the two factors of the product in the order of `ROLES`.
    """

    makes: str
    groups: int
    pre: Grid
    units: int

    def bind(self, fields: Sequence[Any], known: dict[str, Sequence[Any]]) -> list[Any]:
        operands = *fields, *(a for role in ROLES if role in known for a in known[role])
        self.check(operands)
        return _form.bind(*operands, product=self)

    def making(self, role: str) -> "_Product":
        return dataclasses.replace(self, makes=role)

    def split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Sequence[Any]]]:
        """Separate the order and the sources from the two factors of the product."""
        fields, rest = operands[: 1 + self.groups], operands[1 + self.groups :]
        first, second = (role for role in ROLES if role != self.makes)
        return fields, {first: rest[:1], second: rest[1:]}

    def samples(self, operands: Sequence[Any]) -> int:
        # The first factor is always an activity, of either end.
        return operands[1 + self.groups].shape[1]

    def shapes(self, operands: Sequence[Any]) -> dict[str, list[tuple[int, ...]]]:
        """Shapes of the activities of both ends and of the weights, for the number of samples in the operands."""
        (order, *sources), _ = self.split(operands)
        samples = self.samples(operands)
        return {
            "pre": [(self.pre.size, samples)],
            "post": [(order.shape[0] * self.units, samples)],
            "weights": [(s.shape[0], self.units, s.shape[1] * self.pre.units) for s in sources],
        }

    def results(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        dtype = operands[1 + self.groups].dtype
        return [jax.ShapeDtypeStruct(shape, dtype) for shape in self.shapes(operands)[self.makes]]

    def check(self, operands: Sequence[Any]) -> None:
        """Raise ValueError if operands do not fit together: native code would read and write outside of them."""
        if len(operands) != 2 + 2 * self.groups - (self.groups - 1) * (self.makes == "weights"):
            raise ValueError(
                f"There must be weights for each of the {self.groups} groups of sites: pass those of this connectivity."
            )
        (order, *sources), known = self.split(operands)
        placed = sum(s.shape[0] for s in sources)
        if order.shape != (placed,):
            raise ValueError(
                f"There are positions of shape {order.shape} for {placed} sites: build the connectivity anew from its "
                "grids."
            )
        shapes, dtype = self.shapes(operands), operands[1 + self.groups].dtype
        for role, own in known.items():
            for given, shape in zip(own, shapes[role], strict=True):
                if given.shape != shape:
                    raise ValueError(
                        f"{_NAMES[role]} must be of shape {shape}, not {given.shape}: pass those of the network that "
                        "this connectivity belongs to, with the samples on the last axis."
                    )
                if given.dtype != dtype:
                    raise ValueError(
                        f"{_NAMES[role]} are of type {given.dtype}, and what they are multiplied by of type {dtype}: "
                        "convert one with `astype`."
                    )


_form = Primitive("receptive_fields")
_form.multiple_results = True


def _jvp(primals, tangents, *, product):
    fields, known = product.split(primals)
    _, moved = product.split(tangents)
    parts = [
        product.bind(fields, {**known, role: [ad.instantiate_zeros(t) for t in change]})
        for role, change in moved.items()
        if any(type(t) is not ad.Zero for t in change)
    ]
    return product.bind(fields, known), [functools.reduce(jnp.add, changes) for changes in zip(*parts, strict=True)]


def _transpose(cotangents, *operands, product):
    fields, known = product.split(operands)
    (unknown,) = (role for role, own in known.items() if any(ad.is_undefined_primal(a) for a in own))
    given = {role: own for role, own in known.items() if role != unknown}
    answers = product.making(unknown).bind(
        fields, {**given, product.makes: [ad.instantiate_zeros(c) for c in cotangents]}
    )
    aligned = {role: answers if role == unknown else [None] * len(own) for role, own in known.items()}
    return [None] * len(fields) + [
        answer if ad.is_undefined_primal(a) else None
        for a, answer in zip(operands[len(fields) :], (a for own in aligned.values() for a in own), strict=True)
    ]


def _batched(operands, dims, *, product):
    results = jax.vmap(functools.partial(_in_jax, product=product), in_axes=dims)(*operands)
    return results, [0] * len(results)


def _in_jax(*operands, product):
    (order, *sources), known = product.split(operands)
    pre, wanted = product.pre, product.results(operands)

    def drive(weights, activity):
        sites = activity.reshape(pre.sites, pre.units, -1)
        drives = [
            w @ sites[s].reshape(s.shape[0], s.shape[1] * pre.units, -1) for w, s in zip(weights, sources, strict=True)
        ]
        drive = drives[0] if len(drives) == 1 else jnp.concatenate(drives)[order]
        return drive.reshape(len(order) * product.units, -1)

    # The association of plasticity and the feedback are transposes of the drive.
    if product.makes == "weights":
        return jax.linear_transpose(lambda w: drive(w, *known["pre"]), wanted)(*known["post"])[0]
    if product.makes == "pre":
        return jax.linear_transpose(lambda a: drive(known["weights"], a), *wanted)(*known["post"])
    return [drive(known["weights"], *known["pre"])]


def native_pays(product: _Product) -> bool:
    """Whether native code is faster than XLA here (``docs/performance.md``).

    Feedback always is; the others are with vector registers of 512 bits.
    """
    return native.available() and (product.makes == "pre" or native.wide())


def _on_cpu(*operands, product):
    results = product.results(operands)
    # With one sample the product is a single pass over the weights, which XLA fuses with other operations.
    single = operands[1 + product.groups].dtype == jnp.float32
    indexed = all(field.dtype == jnp.int32 for field in operands[: 1 + product.groups])
    if product.samples(operands) == 1 or not single or not indexed or not native_pays(product):
        return _in_jax(*operands, product=product)
    return native.call(KERNELS[product.makes], results, *operands)


def _abstract(*operands, product):
    product.check(operands)
    return [ShapedArray(result.shape, result.dtype) for result in product.results(operands)]


_compiled = jax.jit(_form.bind, static_argnames="product")


def _eager(*operands, product):
    if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
        # Without compilation the primitive would call itself without end.
        product.check(operands)
        return _in_jax(*operands, product=product)
    return _compiled(*operands, product=product)


_form.def_abstract_eval(_abstract)
_form.def_impl(_eager)
ad.primitive_jvps[_form] = _jvp
ad.primitive_transposes[_form] = _transpose
batching.primitive_batchers[_form] = _batched
mlir.register_lowering(_form, mlir.lower_fun(_in_jax, multiple_results=True))
mlir.register_lowering(_form, mlir.lower_fun(_on_cpu, multiple_results=True), platform="cpu")
