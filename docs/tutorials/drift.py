# %% [markdown]
# # Learning online from a stream that drifts
#
# Local rules learn from one batch at a time and keep nothing but the weights. That is what a stream needs: data that
# arrive for ever, and change. Here the important directions of the data turn slowly and then jump, and we watch how
# well a network follows, depending on how long it remembers.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import subspace_angles
from sklearn.decomposition import IncrementalPCA

import simatch as sm
from simatch.estimators import SimilarityMatching

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
DIMENSIONS, BATCH = 20, 100


def stream(batches, seed=0):
    """Batches with three strong directions, which turn by a tenth of a degree a batch and jump in the middle."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(DIMENSIONS, 6)))
    for n in range(batches):
        if n == batches // 2:
            basis = basis[:, [3, 4, 5, 0, 1, 2]]  # the jump: other directions are strong now
        turn = np.deg2rad(0.1) * n
        strong = np.cos(turn) * basis[:, :3] + np.sin(turn) * basis[:, 3:]
        yield rng.normal(size=(BATCH, 3)) * [3, 2, 1.4] @ strong.T + 0.5 * rng.normal(size=(BATCH, DIMENSIONS)), strong


# %% [markdown]
# ## A network that follows
#
# `partial_fit` learns from one batch. With a learning rate of 0.1 every batch replaces a tenth of what the weights
# know: the network remembers about ten batches, here 1,000 rows. A higher rate follows faster and is noisier.
# Scikit-learn's `IncrementalPCA` weighs all rows alike, for ever, so that it cannot forget.
#
# The measure is the largest angle between the three directions of the network and the true ones: 0° is perfect, 90°
# means that one direction is missed completely.

# %%
learners = {
    "rate 0.5": SimilarityMatching(3, learning_rate=0.5, batch_size=BATCH, random_state=0),
    "rate 0.1": SimilarityMatching(3, learning_rate=0.1, batch_size=BATCH, random_state=0),
    "IncrementalPCA": IncrementalPCA(3),
}
angles = {name: [] for name in learners}
for rows, strong in stream(200):
    for name, learner in learners.items():
        learner.partial_fit(rows)
        angles[name].append(np.rad2deg(subspace_angles(learner.components_.T, strong)[0]))

# %%
_, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, values in angles.items():
    ax.plot(values, label=name)
ax.axvline(100, color="grey", linewidth=0.8)
ax.set(xlabel="batches", ylabel="largest angle, degrees", ylim=(0, 92))
ax.legend()
plt.show()

# %% [markdown]
# The fast learner is back soon after the jump, but never closer than some degrees: that is the noise of a short memory.
# The slow one is more precise, and needs longer after the jump. `IncrementalPCA` is the best at first, falls behind
# while the directions turn, and is lost after the jump.
#
# **Choose the rate by the memory that you want:** `memory = batch size / rate`, in rows. It should be shorter than the
# time in which the data change, and longer than the noise needs to average out.

# %%
for name, values in angles.items():
    print(f"{name:15s} before the jump {np.mean(values[80:100]):5.1f}°, at the end {np.mean(values[-20:]):5.1f}°")
assert np.mean(angles["rate 0.1"][-20:]) < np.mean(angles["IncrementalPCA"][-20:])
