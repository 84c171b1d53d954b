"""Native code is that of the files at hand, is kept where it can be, and refuses what does not fit together."""

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import simatch as sm
from simatch import _native as native

pytest.importorskip("numba")
_cache = pytest.importorskip("simatch._native._cache")
_ffi = pytest.importorskip("simatch._native._ffi")
FILES = sorted(file.name for file in Path(native.__file__).parent.glob("*.py"))

# Compiles one small function out of two files; says what it gives and whether it was found compiled.
PROBE = """
from numba import types
from simatch._native import _cache
from simatch._native._activity import tanh
from simatch._native._ffi import exported
from simatch._native._lanes import total

@exported(types.float32(types.float32))
def probe(u):
    return total(tanh(u - 0 * tanh(u)))

_cache.store().save()
print(round(probe.ctypes(1.0), 4), probe.cache_hits)
"""

RELAX = """
import jax.numpy as jnp, simatch as sm
from simatch import _native
assert _native.available()
net = sm.layered(sm.Grid(2, 2), [sm.Layer(units=2, stride=2, radius=2.0)])
print(float(jnp.abs(sm.relax(net, jnp.ones((1, 2, 2)), tolerance=0.3).states["layer1"]).sum()))
"""


@pytest.fixture
def copy(tmp_path):
    """Copy of the package whose files may be edited."""
    shutil.copytree(Path(sm.__file__).parent, tmp_path / "simatch", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(copy, script, **environment):
    """What a script prints in a process of its own, with a copy of the package."""
    own = {"PYTHONPATH": str(copy), "SIMATCH_CACHE_DIR": str(copy / "cache"), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error::UserWarning", "-c", script]
    settings = os.environ | own | environment
    done = subprocess.run(command, env=settings, cwd=copy, text=True, capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def edit(copy, name, old, new):
    file = copy / "simatch" / "_native" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_compiling_is_told_and_loading_is_not(capfd, monkeypatch):
    assert native.available()  # whose code all later calls in this process use
    monkeypatch.setattr(jax.ffi, "register_ffi_target", lambda *args, **settings: None)
    for entries, told in (({}, True), ({"f": b"code"}, False)):
        monkeypatch.setattr(_cache.store(), "entries", entries)
        assert native._start.__wrapped__()
        assert ("simatch compiles its native code" in capfd.readouterr().err) is told


def test_an_edit_of_any_file_changes_the_digest(copy):
    folder = copy / "simatch" / "_native"
    digests = {_cache.digest(folder)}
    assert digests == {_cache.digest()}
    for name in FILES:
        (folder / name).write_text((folder / name).read_text() + "\n# edited\n")
        digests.add(_cache.digest(folder))
    (folder / "_another.py").touch()
    digests.add(_cache.digest(folder))
    assert len(digests) == len(FILES) + 2


def test_an_edit_of_another_file_is_compiled(copy):
    first, again = run(copy, PROBE), run(copy, PROBE)
    assert (first[1], again[1]) == ("0", "1")
    assert float(again[0]) == float(first[0]) == pytest.approx(16 * 0.76159, abs=1e-3)
    edit(copy, "_activity.py", "return divide(x * p, q)", "return divide(x * p, q + q)")
    edited = run(copy, PROBE)
    assert edited[1] == "0"
    assert float(edited[0]) == pytest.approx(float(first[0]) / 2, abs=1e-3)


@pytest.mark.slow
def test_an_edit_changes_the_next_relaxation(copy):
    """Without optimisation, which halves the time that it takes to compile."""
    first = run(copy, RELAX, SIMATCH_CACHE_DIR=os.environ.get("SIMATCH_CACHE_DIR", ""))
    edit(copy, "_activity.py", "return divide(x * p, q)", "return divide(x * p, q + q)")
    assert float(run(copy, RELAX, NUMBA_OPT="0")[0]) < 0.9 * float(first[0])


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "missing"])
def test_a_damaged_file_holds_nothing(damage, tmp_path):
    path = tmp_path / "native" / ("a" * _cache.NAME_LENGTH)
    _cache.write(path, {"f": bytes(1000)})
    assert _cache.read(path) == {"f": bytes(1000)}
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    damaged = {"truncated": content[:700], "altered": content, "empty": b"", "missing": None}[damage]
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    assert _cache.read(path) == {}
    _cache.write(path, {"f": b"again"})
    assert _cache.read(path) == {"f": b"again"}
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_loaded_is_compiled_anew(copy):
    """Without a warning, which would be an error."""
    first = run(copy, PROBE)
    (file,) = (copy / "cache" / "native").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert run(copy, PROBE) == first
    entries = _cache.read(file)
    assert len(entries) == 1
    _cache.write(file, dict.fromkeys(entries, b"nonsense"))
    assert run(copy, PROBE) == first


def test_files_that_are_long_unused_are_removed(tmp_path):
    old, recent, foreign = (tmp_path / name for name in ("0" * _cache.NAME_LENGTH, "1" * _cache.NAME_LENGTH, "notes"))
    for file in (old, recent, foreign):
        file.touch()
    for file in (old, foreign):
        os.utime(file, (1, 1))
    _cache.write(tmp_path / ("2" * _cache.NAME_LENGTH), {})
    assert not old.exists()
    assert recent.exists()
    assert foreign.exists()


@pytest.mark.parametrize("why", ["not a folder", "no home"])
def test_a_folder_that_cannot_be_written_is_named_once(why, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    if why == "no home":
        monkeypatch.delenv("SIMATCH_CACHE_DIR", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("who are you?")))
    else:
        monkeypatch.setenv("SIMATCH_CACHE_DIR", str(tmp_path / "file"))
    store = _cache._Store()
    store.save()
    store.entries["f"], store.complete = b"code", False
    with pytest.warns(UserWarning, match="set the environment variable SIMATCH_CACHE_DIR"):
        store.save()
    store.save()


def test_native_code_is_not_used_without_numba(copy):
    script = (
        "import sys, warnings; sys.modules['numba'] = None\n"
        "warnings.simplefilter('always'); warnings.showwarning = lambda w, *_: print(w)\n"
    ) + RELAX.replace("assert ", "assert not ")
    *warning, result = run(copy, script)
    assert "slower" in " ".join(warning)
    assert "install it with: pip install 'simatch[native]'." in " ".join(warning)
    assert float(result) > 0
    (quiet,) = run(copy, RELAX.replace("assert ", "assert not "), SIMATCH_NATIVE="0")
    assert float(quiet) == float(result)


def test_a_broken_numba_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "simatch._native._handler", None)
    with pytest.warns(UserWarning, match="Native code is not used"):
        assert not native._start.__wrapped__()


def test_native_code_is_not_used_where_jax_has_no_cpu(monkeypatch):
    def no_cpu(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", no_cpu)
    assert not native._start.__wrapped__()


@pytest.mark.parametrize(
    ("triple", "estimated"),
    [("x86_64-unknown-linux-gnu", True), ("aarch64-unknown-linux-gnu", False), ("arm64-apple-darwin23", False)],
)
def test_reciprocals_are_estimated_on_x86_only(triple, estimated):
    """One refinement of an estimate is nearly exact there; on ARM it would have 16 bits."""
    assert any("reciprocal" in attribute for attribute in _ffi.vector_attributes(triple)) == estimated


def settled(**changed):
    """Settle two blocks of three neurons and four samples, with other operands than belong there."""
    operands = {
        "matrices": jnp.ones((2, 3, 3)),
        "drive": jnp.ones((2, 3, 4)),
        "start": jnp.ones((2, 3, 0)),
        "settings": jnp.asarray([native.TANH, 0, -1, 1, 1e-3], jnp.float32),
        "most": jnp.asarray([10], jnp.int32),
    }
    # Without what checks signatures in tests only.
    return inspect.unwrap(native.settle)(*(operands | changed).values(), potentials=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"matrices": jnp.ones((2, 4, 4))},
        {"matrices": jnp.ones((1, 3, 3))},
        {"start": jnp.ones((2, 3, 5))},
        {"start": jnp.ones((2, 2, 0))},
        {"settings": jnp.ones(4)},
        {"most": jnp.ones(1, jnp.int8)},
        {"drive": jnp.ones((2, 3, 4), jnp.float16)},
        {"active": jnp.ones(4)},  # from rest, all samples are to settle
        {"active": jnp.ones(3), "start": jnp.ones((2, 3, 4))},
    ],
)
def test_operands_that_do_not_fit_are_refused(changed):
    with pytest.raises(ValueError, match=r"must be of shape .* not .*: pass"):
        settled(**changed)


def test_operands_that_fit_are_settled():
    if not native.available():
        pytest.skip("native code does not run here")
    potentials, activities, *_ = settled()
    assert potentials.shape == activities.shape == (2, 3, 4)
    assert settled(start=potentials)[2].shape == (2, 4)


@pytest.mark.parametrize("kind", [native.TANH, native.SHRINK])
@pytest.mark.parametrize(("size", "samples"), [(3, 40), (4, 40), (4, 2), (9, 40), (24, 40), (70, 40)])
def test_samples_that_are_not_active_stay_where_they_start(kind, size, samples, rng):
    """Newton's method with samples or blocks in the lanes, sweeps and alternating directions."""
    if not native.available():
        pytest.skip("native code does not run here")
    noise = rng.normal(size=(5, size, size)) / np.sqrt(size)
    matrices = jnp.asarray(noise @ noise.transpose(0, 2, 1) + np.eye(size), jnp.float32)
    drive, start = (jnp.asarray(rng.normal(size=(5, size, samples)), jnp.float32) for _ in range(2))
    active = jnp.asarray(np.arange(samples) % 3 == 1, jnp.float32)
    lower, upper = (-1, 1) if kind == native.TANH else (0, np.inf)
    settings, most = jnp.asarray([kind, 0, lower, upper, 1e-5], jnp.float32), jnp.asarray([1000], jnp.int32)
    every = native.settle(matrices, drive, start, settings, most, potentials=True)
    some = native.settle(matrices, drive, start, settings, most, active, potentials=True)
    chosen = np.asarray(active) > 0
    activity = jnp.tanh(start) if kind == native.TANH else jnp.maximum(start, 0)
    for own, whole, before in zip(some[:2], every[:2], (start, activity), strict=True):
        np.testing.assert_allclose(own[..., chosen], whole[..., chosen], atol=1e-4)
        np.testing.assert_allclose(own[..., ~chosen], before[..., ~chosen], atol=1e-6)
    np.testing.assert_array_equal(some[0][..., ~chosen], start[..., ~chosen])
    steps, defect, length = some[2:]
    assert (np.asarray(steps)[:, ~chosen] == 0).all()
    assert (np.asarray(steps)[:, chosen].max(axis=0) > 0).all()
    assert (np.asarray(defect)[:, ~chosen] == 0).all()
    assert (np.asarray(defect) <= 1.01e-10 * np.asarray(length)).all()


@pytest.mark.parametrize("size", [20, 40, 64])
def test_rectified_blocks_that_are_nearly_singular(size, rng):
    """Against nonnegative least squares; sweeps alone take 140 steps and more."""
    if not native.available():
        pytest.skip("native code does not run here")
    turned = np.linalg.qr(rng.normal(size=(size, size)))[0]
    matrix = (turned * np.geomspace(1, 1e-3, size)) @ turned.T
    drive = matrix @ np.maximum(rng.normal(size=(size, 20)), 0) - rng.uniform(0, 0.01, (size, 20))
    factor = np.linalg.cholesky(matrix)
    best = np.array([scipy.optimize.nnls(factor.T, np.linalg.solve(factor, b))[0] for b in drive.T]).T
    single = (jnp.asarray(a[None], jnp.float32) for a in (matrix, drive, np.zeros((size, 0))))
    settings = jnp.asarray([native.SHRINK, 0.0, 0.0, np.inf, 1e-5], jnp.float32)
    _, found, steps, *_ = native.settle(*single, settings, jnp.asarray([1000], jnp.int32), potentials=False)
    assert np.linalg.norm(found[0] - best) < 2e-3 * np.linalg.norm(best)
    assert np.max(steps) <= 20


def test_relaxation_without_compilation():
    net = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=2.0)])
    x = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    with jax.disable_jit():
        step_by_step = sm.relax(net, x, tolerance=1e-4)
    np.testing.assert_allclose(
        step_by_step.states["layer1"], sm.relax(net, x, tolerance=1e-4).states["layer1"], atol=1e-3
    )


@pytest.fixture(scope="module")
def written():
    """The NumPy forms of the kernels, from the page for those who maintain them."""
    assert native.available()
    page = (Path(__file__).parents[1] / "docs" / "native.md").read_text(encoding="utf-8")
    code = "".join(block.split("```")[0] for block in page.split("```python")[1:])
    names = {}
    exec(code, names)  # noqa: S102 - a page of this repository
    return names


@pytest.mark.parametrize("size", [4, 20])
def test_settling_is_what_the_page_says(written, size, rng):
    noise = rng.normal(size=(3, size, size)) / np.sqrt(size)
    A = noise @ noise.transpose(0, 2, 1) + np.eye(size)
    b = rng.normal(size=(3, size, 10))
    settings = jnp.asarray([native.SHRINK, 0.0, 0.0, np.inf, 1e-6], jnp.float32)
    single = (jnp.asarray(a, jnp.float32) for a in (A, b, np.zeros((3, size, 0))))
    _, r, *_ = native.settle(*single, settings, jnp.asarray([1000], jnp.int32), potentials=False)
    np.testing.assert_allclose(r, written["settle"](A, b), atol=1e-4)


def test_products_are_what_the_page_says(written, rng):
    below, above = sm.Grid(1, 6, 2), sm.Grid(1, 6, 3)
    local = sm.Local(below, above, 0.0)  # every site sees its own two neurons: one group
    fields = [np.array([2 * k, 2 * k + 1]) for k in range(6)]
    weights, pre, post = rng.normal(size=(6, 3, 2)), rng.normal(size=(12, 5)), rng.normal(size=(18, 5))
    w, x, r = (jnp.asarray(a, jnp.float32) for a in (weights, pre, post))
    sites = post.reshape(6, 3, 5)
    drive = written["drive"](fields, weights, pre).reshape(18, 5)
    np.testing.assert_allclose(local.project((w,), x), drive, atol=1e-5)
    (change,) = jax.vjp(lambda w: local.project((w,), x), w)[1](r)
    np.testing.assert_allclose(change, written["associate"](fields, sites, pre), atol=1e-5)
    (back,) = jax.vjp(lambda x: local.project((w,), x), x)[1](r)
    np.testing.assert_allclose(back, written["feed_back"](fields, weights, sites, 12), atol=1e-5)
