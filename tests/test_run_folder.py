"""A run that is stopped and goes on from its folder ends where one that was not stopped does, whatever the rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_phases import Averaged, Trace, data, deep, rule

import simatch as sm
from simatch.storage import RunFolder, load_state, save_state


@pytest.mark.parametrize("own", [None, Averaged(), rule(0.3)], ids=["gradient", "with a state", "contrast"])
@pytest.mark.parametrize("transform", [None, Trace])
def test_a_stopped_run_goes_on(own, transform, rng, tmp_path):
    net, settings = deep(), {"rate": 0.05, "transform": transform, "report_every": 2, "rule": own}
    batches = [dict(zip(("input", "label"), data(rng), strict=True)) for _ in range(6)]
    if not isinstance(own, sm.ContrastRule):
        batches = [{"input": batch["input"]} for batch in batches]
    *_, (whole, _) = sm.training(net, batches, **settings)

    folder = RunFolder.open(tmp_path / "run", {"seed": 0}, overwrite=False)
    for half, report in sm.training(net, batches, **settings):
        folder.checkpoint("row", {"batches": report.batches}, half, report.state)
        if report.batches == 4:
            break

    rule_state = (own or sm.GradientRule()).init(net)
    like = sm.LearningState(rule_state, transform and transform.init(net.parameters))
    again = RunFolder.open(tmp_path / "run", {"seed": 0}, overwrite=False).resume("row", like)
    assert again is not None
    state, half, learning = again
    *_, (resumed, _) = sm.training(half, batches[4:], start=state["batches"], state=learning, **settings)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole.weights, resumed.weights)
    assert len(list((tmp_path / "run" / "rows").glob("row.*"))) == 2 + bool(jax.tree.leaves(like))


def test_a_state_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "state"
    state = sm.LearningState({"mean": jnp.ones(3)}, None)
    save_state(state, path)
    with pytest.raises(ValueError, match=r"state of another rule or network: it holds .*mean.* of shape \(3,\)"):
        load_state(path, sm.LearningState({"mean": jnp.ones(4)}, None))
    with pytest.raises(ValueError, match="where nothing was expected"):
        load_state(path, sm.LearningState(None, None))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated"):
        load_state(path, state)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_state(tmp_path / "none", state)
