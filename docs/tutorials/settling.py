# %% [markdown]
# # Watch a network settle
#
# A similarity-matching network does not compute its answer in one pass. Its neurons influence each other, and their
# activities move until every neuron agrees with its inputs. This tutorial looks at that movement: how activities and
# energy change, why some patterns of activity are slow, and what noise and changing input do.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import simatch as sm

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
x = load_digits().images / 16
x = x - x.mean(axis=0)
net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=12, activation="relu")], seed=0)
net = sm.sized(net, x)
net, _ = sm.train(net, x, epochs=5, progress=False)

# %% [markdown]
# ## The path of the activities
#
# `sm.relax` returns where activities end. `sm.trajectory` takes the same steps and records the way there. Here are the
# published dynamics (Euler steps) for one image. Every line is one neuron. At first all neurons that the image drives
# become a little active; then they inhibit each other through the lateral synapses, and few remain.

# %%
path = sm.trajectory(net, x[:3], solver=sm.Euler(step_size=0.1, decay=0.0), steps=100)
ax = sm.plot.activity(path, sample=0)
ax.set(title="Activities of twelve neurons", xlabel="steps")
plt.show()

# %% [markdown]
# ## The energy falls
#
# Activities go downhill in one energy. If it ever rose, the steps would be too long. Three images, three curves:

# %%
ax = sm.plot.energy(path)
ax.set(title="Energy of three images", xlabel="steps")
plt.show()
assert (np.diff(path.energy, axis=0) < 1e-6).all()

# %% [markdown]
# ## Why Euler crawls
#
# Close to the end, the distance from the fixed point shrinks by the same factor in every step. The factor follows from
# the *eigenvalues* of the lateral weight matrix L, which is the curvature of the energy: along an eigenvector with
# eigenvalue h, a step of length a leaves `1 - a h` of the distance. The largest eigenvalue limits the step (longer
# than 2 / h diverges), and the smallest one then makes the crawl. Here are all eigenvalues, from the largest to the
# smallest:

# %%
h = sm.analysis.curvature_eigenvalues(net).ravel()
print(f"eigenvalues from {h.min():.2f} to {h.max():.2f}; the longest stable Euler step is {2 / h.max():.2f}")
sm.plot.spectrum(net)
plt.show()

# %% [markdown]
# The other solvers go to the same fixed point on other ways. `Accelerated` uses momentum, and a step that is as long as
# the curvature allows. The residual below is the distance from the fixed-point equation, relative to the activities:
# the default tolerance of `sm.relax` is the grey line. The default solver, `Blockwise`, needs still fewer steps, but
# takes them inside of compiled code, where they cannot be recorded.

# %%
_, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
for name, solver in {
    "Euler, steps of 0.1": sm.Euler(0.1, 0.0),
    "Euler, as published": sm.Euler(),
    "Accelerated": sm.Accelerated(),
}.items():
    recorded = sm.trajectory(net, x[:20], solver=solver, steps=150)
    ax.semilogy(recorded.time, recorded.residual.mean(axis=1), label=name)
ax.axhline(1e-4, color="grey", linewidth=0.8)
ax.set(xlabel="steps", ylabel="residual, mean of 20 images", ylim=(1e-7, None))
ax.legend()
plt.show()

# %% [markdown]
# ## In time: a changing input, and noise
#
# A solver only cares about the end. A brain, or a chip, also has a *time constant*: `sm.simulate` moves all neurons in
# time, with a time constant `tau`, an input that may change, and noise. Here `tau` is 20 ms; the image changes after
# 200 ms. The noise has a strength of 0.05: so much would the potential of a neuron on its own fluctuate.

# %%
first, second = x[:1], x[1:2]
path = sm.simulate(
    net, lambda t: first if t < 0.2 else second, duration=0.4, dt=0.001, tau=0.02, noise=0.05, seed=0, every=2
)
ax = sm.plot.activity(path)
ax.axvline(0.2, color="grey", linewidth=0.8)
ax.set(title="The image changes at 0.2 s", xlabel="time in s")
plt.show()

# %% [markdown]
# ## Experiments on a network
#
# Units can be silenced with `sm.lesion`, and populations can be held at activities of your choice by a phase
# (`sm.Phase(["input", "layer1"])`). What do the other neurons do without the most active one? Some that it inhibited
# take over its part:

# %%
whole = np.asarray(sm.relax(net, x[:1])["layer1"]).ravel()
strongest = int(whole.argmax())
hurt = np.asarray(sm.relax(sm.lesion(net, {"layer1": [strongest]}), x[:1])["layer1"]).ravel()
_, ax = plt.subplots(figsize=(5.2, 3), layout="constrained")
ax.bar(np.arange(12) - 0.2, whole, 0.4, label="whole network")
ax.bar(np.arange(12) + 0.2, hurt, 0.4, label=f"without unit {strongest}")
ax.set(xlabel="unit", ylabel="activity")
ax.legend()
plt.show()

# %% [markdown]
# **What to take away.** Activities descend one energy. Slow settling means small eigenvalues, not a bug: look at them
# with `sm.plot.spectrum`, and let a better solver than Euler do the work when only the end matters.
