"""The API reference: docstrings of public names say what each parameter is, what can go wrong, and show an example."""

import ast
import enum
import functools
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import NamedTuple

import public
import pytest
from pydantic import BaseModel

from simatch.network import Activation, Kernel, Term

griffe = pytest.importorskip("griffe")

ARRAY = re.compile(r"\barrays?\b|\bmatrix\b")
NUMBER = re.compile(r"(int|float)\b(?! array)")
# Ways to tell the range of a number; "as in" refers to the description of another function.
RANGE = re.compile(
    r"above|at least|at most|between|not 0\b|from \d|to \d|positive|negative|0 or|any number|as in",
    re.IGNORECASE,
)
# Types that say nothing about what a value means.
PLAIN = re.compile(
    r"(int|float|str|bool|object|(scalar )?array|pytree|dict|mapping|callable|tuple of int)(, optional)?"
)
# An equation, in the code of a docstring.
EQUATION = re.compile(r"``[^`\n]* = [^`\n]*``")
SOURCE = re.compile(r"References\n---|[Ee]quations? \(|docs/(mathematics|models/\w+)\.md")
MADE_BY = ("__init__", "__post_init__", "__check_init__")
WORD = re.compile(r"\w+")

# Public names of models and estimators that are no model.
PLAIN_PARTS = {"Alternation", "Supervised", "independent_directions", "load", "save", "write"}
# What functions return; the examples of these functions show it.
RESULTS = {
    *("Alternation", "Certificate", "Change", "ComponentRun", "Course", "Credit", "DeclaredArray", "Draft", "Health"),
    *(
        "LabelledRun",
        "LayerState",
        "LearningState",
        "Problem",
        "Provenance",
        "Reading",
        "Readout",
        "Relaxation",
        "Report",
        "Run",
    ),
    *("Settled", "Trajectory"),
}
# Parts of `train`, of `relax`, and of the commands that train networks, which need a run around them. The example of
# `save` calls `load`.
PARTS = {
    *("certified", "concluded", "identity", "measure_on", "warn_short", "warn_unconverged", "warn_unhealthy"),
    *("settle", "settle_phases", "stage_problem", "curves", "overview", "Story", "run_labelled", "write", "load"),
    "run_components",
}


class Entry(NamedTuple):
    """A public function, class, or method of a public class, that has a docstring of its own."""

    path: str
    value: object
    parameters: tuple[inspect.Parameter, ...]
    nodes: tuple[ast.AST, ...]  # what runs when it is called

    @property
    def text(self):
        return inspect.cleandoc(self.value.__doc__ or "")

    def section(self, *kinds):
        """Items of sections of the docstring, one for each name, as the site shows them."""
        found = [s for s in _parsed(self.text) if s.kind.value in kinds]
        return [(name.strip().lstrip("*"), item) for s in found for item in s.value for name in item.name.split(",")]


@functools.cache
def _parsed(text):
    return griffe.Docstring(text).parse("numpy", warnings=False)


@functools.cache
def _tree(file):
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _nodes(value):
    """Syntax of a function or class: the decorators of beartype and Equinox hide its code from `inspect`."""
    found = (_tree(sys.modules[value.__module__].__file__),)
    for part in value.__qualname__.split("."):
        found = tuple(n for n in found[0].body if getattr(n, "name", None) == part)[-1:]
    return found


def _function(member):
    """The function of a member of a class; None if it is none."""
    member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    member = inspect.unwrap(getattr(member, "method", member)) if callable(member) else None
    return member if inspect.isfunction(member) else None


def _named(parameters):
    return tuple(p for p in parameters if p.name not in ("self", "cls") and not p.name.startswith("_"))


def _of_class(path, value):
    """Entries of a class and of its own methods."""
    # Settings have a page of their own, made from the descriptions of their fields (test_site.py); members of an
    # enumeration and errors are not made by users; nor are abstract classes, whose parameters are their subclasses'.
    bare = issubclass(value, BaseModel | enum.Enum | BaseException) or inspect.isabstract(value)
    own = vars(value)
    parameters = () if bare else _named(inspect.signature(value).parameters.values())
    made = tuple(n for n in _nodes(value)[0].body if getattr(n, "name", "") in MADE_BY)
    yield Entry(path, value, parameters, made)
    for name, member in own.items():
        function = _function(member)
        if function and function.__doc__ and (name == "__call__" or not name.startswith("_")):
            parameters = () if isinstance(member, property) else inspect.signature(function).parameters.values()
            yield Entry(f"{path}.{name}", function, _named(parameters), _nodes(function))


@functools.cache
def _entries():
    found = []
    for name in (name for room in public.rooms() for name in public.names_of(room)):
        value = getattr(importlib.import_module(f"simatch.{name.room}"), name.name)
        if inspect.isclass(value):
            found += _of_class(name.path, value)
        elif inspect.isroutine(value):
            function = inspect.unwrap(value)
            parameters = _named(inspect.signature(function).parameters.values())
            found.append(Entry(name.path, function, parameters, _nodes(function)))
    return tuple(found)


def _parameter_faults(entry):
    """Parameters and descriptions without each other, arrays without shape, numbers without range."""
    described = dict(entry.section("parameters", "other parameters", "attributes"))
    expected = {p.name: p for p in entry.parameters}
    yield from (f"{name} is not described" for name in expected if name not in described)
    for name, item in entry.section("parameters", "other parameters"):
        kind, text = str(item.annotation or ""), " ".join(item.description.split())
        if name not in expected:
            yield f"{name} is no parameter"
            continue
        if PLAIN.fullmatch(kind) and not text:
            yield f"{name} has no description"
        if ARRAY.search(kind) and not re.search("shape|scalar|pytree", f"{kind} {text}"):
            yield f"{name} has no shape"
        if NUMBER.match(kind) and not RANGE.search(text):
            yield f"{name} has no range"


def _result_faults(entry):
    typed = "'" in str(getattr(entry.value, "__annotations__", {}).get("return", ""))  # jaxtyping tells the shape
    for section in _parsed(entry.text):
        for item in section.value if section.kind.value in ("returns", "yields") and not typed else ():
            kind = str(item.annotation)
            if ARRAY.search(kind) and not re.search("shape|scalar|pytree", f"{kind} {item.description}"):
                yield f"its result {kind} has no shape"


def _raised(node, functions, seen=()):
    """Names of the errors that a function raises, itself or in functions of its module, checks of settings included."""
    found, todo = set(), list(node.body)
    while todo:
        part = todo.pop()
        if isinstance(part, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(part, ast.Try):  # what its handlers may catch does not count
            todo += [*part.handlers, *part.orelse, *part.finalbody]
            continue
        if isinstance(part, ast.With) and "suppress" in ast.unparse(part.items[0]):
            continue
        name = ast.unparse(getattr(part, "func", part)) if isinstance(part, ast.Call) else ""
        if isinstance(part, ast.Raise) and part.exc:
            found.add(ast.unparse(getattr(part.exc, "func", part.exc)))
        elif name in ("whole", "number"):  # of `simatch._checks`
            found.add("ValueError")
        elif name in functions and name not in seen:
            found |= _raised(functions[name], functions, (*seen, name))
        todo += ast.iter_child_nodes(part)
    return found


def _error_faults(entry):
    space = vars(sys.modules[entry.value.__module__])
    functions = {n.name: n for n in _tree(space["__file__"]).body if isinstance(n, ast.FunctionDef)}
    told = " ".join(str(item.annotation) for s in _parsed(entry.text) if s.kind.value == "raises" for item in s.value)
    for name in set().union(*(_raised(node, functions) for node in entry.nodes)):
        found = _value_of(name, space)
        # A method that a subclass must define, an absent attribute and what cannot happen are no errors of users.
        if found in (None, NotImplementedError, AssertionError, AttributeError):
            continue
        if not any(base.__name__ in re.findall(r"\w+", told) for base in found.__mro__[:-2]):
            yield f"{name} is not among the errors"


def _value_of(name, space):
    """The class of an error; None for what is no class, such as an error that another function has made."""
    first, *rest = name.split(".")
    value = space.get(first, getattr(__import__("builtins"), first, None))
    for part in rest:
        value = getattr(value, part, None)
    return value if inspect.isclass(value) and issubclass(value, BaseException) else None


def _source_faults(entry):
    """What stands for an equation names it, or a publication; methods may leave that to their class."""
    room, *_, member = entry.path.split(".")[1:]
    family = inspect.isclass(entry.value) and issubclass(entry.value, Term | Kernel | Activation)
    model = room in ("models", "estimators") and member not in PLAIN_PARTS and entry.path.count(".") == 2
    text = entry.text if inspect.isclass(entry.value) else entry.text + _class_text(entry)
    if (family or model or EQUATION.search(entry.text)) and not SOURCE.search(text):
        yield "it does not say where its equation comes from"


def _class_text(entry):
    """The docstring of the class of a method; nothing for a function."""
    owner = entry.path.rpartition(".")[0]
    return "".join(other.text for other in _entries() if other.path == owner)


RULES = (_parameter_faults, _result_faults, _error_faults, _source_faults)


@pytest.mark.parametrize("rule", RULES)
def test_docstrings_are_complete(rule):
    assert [f"{entry.path}: {fault}" for entry in _entries() for fault in rule(entry)] == []


def test_every_public_name_has_an_example():
    """Of its own, or of one of its methods; what only extensions need may be in the example of another name."""
    own = {".".join(entry.path.split(".")[1:3]) for entry in _entries() if ">>> " in entry.text}
    code = (line for entry in _entries() for line in re.findall(r"^(?:>>>|\.\.\.) (.*)", entry.text, re.MULTILINE))
    used = {word for line in code for word in WORD.findall(line)} - {name.name for name in public.names_of("")}
    missing = set()
    for entry in _entries():
        _, room, name, *method = entry.path.split(".")
        value = entry.value
        abstract = inspect.isclass(value) and (inspect.isabstract(value) or issubclass(value, Exception | BaseModel))
        # The console is for the commands of the library, whose page has examples.
        if not (method or abstract or room == "console" or f"{room}.{name}" in own or name in RESULTS | PARTS | used):
            missing.add(entry.path)
    assert missing == set()


def test_exemptions_are_needed():
    text = dict.fromkeys({entry.path.split(".")[2] for entry in _entries()}, "")
    for entry in _entries():
        text[entry.path.split(".")[2]] += entry.text
    assert {name for name in RESULTS | PARTS if ">>> " in text[name]} == set()
    assert {name for name in PLAIN_PARTS if SOURCE.search(text[name])} == set()
    results = " ".join(
        str(item.annotation)
        for entry in _entries()
        for section in _parsed(entry.text)
        if section.kind.value in ("returns", "yields", "attributes")
        for item in section.value
    )
    assert RESULTS - set(WORD.findall(results)) == set()


def faulty(x, count, *, seed=0):
    """Return ``y = c x``.

    Parameters
    ----------
    x : array
        Numbers.
    count : int
        How many.
    other : str

    Returns
    -------
    array
    """
    _refuse(count)
    return seed * x


def _refuse(count):
    if not count:
        raise KeyError


def test_faults_are_found():
    parameters = tuple(inspect.signature(faulty).parameters.values())
    entry = Entry("simatch.room.faulty", faulty, parameters, _nodes(faulty))
    assert [fault for rule in RULES for fault in rule(entry)] == [
        "seed is not described",
        "x has no shape",
        "count has no range",
        "other is no parameter",
        "its result array has no shape",
        "KeyError is not among the errors",
        "it does not say where its equation comes from",
    ]
