"""Every changed file loads correctly or is refused in a sentence; ``make fuzz`` tries ten thousand."""

import contextlib
import functools

import fuzz
import pytest


def test_changed_files_are_loaded_correctly_or_refused(tmp_path):
    found = fuzz.attack(tmp_path, 500, seed=0)
    assert found.keys() == fuzz.kinds().keys()
    for name, counter in found.items():
        assert counter["refused"] > 10, name
        assert counter["loaded"] > 0, name


def test_the_attack_finds_files_that_are_loaded_wrongly(tmp_path, monkeypatch):
    monkeypatch.setattr("simatch.storage._arrays_file._digest_of", lambda *_: "the same for all")
    monkeypatch.setattr(fuzz, "learned", functools.cache(fuzz.learned.__wrapped__))  # with this checksum
    own = {name: kind for name, kind in fuzz.kinds().items() if name in ("network", "checkpoint")}
    monkeypatch.setattr(fuzz, "kinds", lambda: own)
    with pytest.raises(AssertionError, match=r"a changed (network|course) was loaded"):
        fuzz.attack(tmp_path, 2000, seed=0)


def test_the_attack_finds_errors_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr("simatch.storage._numpy_file._damage", lambda _: contextlib.nullcontext())
    with pytest.raises(AssertionError, match=r"samples \(np[yz]\) \d+, \w+: |does not name the file"):
        fuzz.attack(tmp_path, 500, seed=0)
