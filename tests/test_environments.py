"""Strange environments: no home, forks, threads, workers, other precisions, no compilation."""

import multiprocessing
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
from joblib import Parallel, delayed

import simatch as sm
from simatch import console
from simatch._caches import cache_folder


def net():
    return sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=1.5)])


def samples():
    return np.random.default_rng(0).normal(size=(30, 4, 4))


def encoded(_=0):
    return sm.encode(net(), samples()).sum().item()


def fitted(_=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = samples().reshape(30, -1)
        return sm.SimilarityMatching(2, random_state=0, max_iter=2, tol=0).fit(X).components_.sum().item()


def test_where_compiled_programs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SIMATCH_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder("native") == tmp_path / ".cache" / "simatch" / "native"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder("native") == Path("/caches/simatch/native")
    monkeypatch.setenv("SIMATCH_CACHE_DIR", "/own")
    assert cache_folder("native") == Path("/own/native")


def test_without_a_home_nothing_is_kept_and_nothing_fails(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("SIMATCH_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert cache_folder("compiled") is None
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        console.cache_compiled_programs()
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_threads():
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(encoded, range(8))) == {encoded()}
        assert set(pool.map(fitted, range(4))) == {fitted()}


def test_workers_of_joblib():
    assert Parallel(n_jobs=2)(delayed(encoded)() for _ in range(2)) == [encoded()] * 2


@pytest.mark.filterwarnings("ignore:os.fork")
def test_a_fork_after_use_is_told_what_to_do():
    """Otherwise it would wait for ever."""
    expected = encoded()
    assert np.isfinite(expected)
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(RuntimeError, match=r"start workers with"):
        pool.apply_async(encoded).get(timeout=60)


WORK = {
    "relax": lambda own, x: sm.relax(own, x).activities[0],
    "encode": sm.encode,
    "train": lambda own, x: sm.train(own, x, progress=False)[0].weights[0],
    "learn": lambda own, x: sm.learn(own, sm.relax(own, x), 0.1).weights[0],
    "objective": sm.objective,
    "similarity_cost": sm.similarity_cost,
    "certificate": lambda own, x: sm.certificate(own, x).distance,
    "credit": lambda own, x: sm.credit(own, x).neurons,
    "calibrate": lambda own, x: sm.calibrate(own, x).weights[0],
    "sized": lambda own, x: sm.sized(own, x).weights[0],
    "imprinted": lambda own, x: sm.imprinted(own, x).weights[0],
}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.filterwarnings("ignore::simatch.HealthWarning")
def test_other_precision_after_the_network_was_made(name):
    own, x = net(), samples()
    single = WORK[name](own, x)
    with jax.enable_x64(True):
        double = WORK[name](own, x)
        for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)
            assert np.asarray(b).dtype == np.float64


def test_without_compilation():
    own, x = net(), samples()[:3]
    expected = sm.relax(own, x, tolerance=1e-5).activities[0]
    with jax.disable_jit():
        found = sm.relax(own, x, tolerance=1e-5).activities[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
