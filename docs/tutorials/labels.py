# %% [markdown]
# # Labels by local rules
#
# Local rules can also learn a task. The trick is to let the network settle twice: once freely, and once with its output
# *nudged* a little towards the right answer. Every synapse compares what its two neurons did in the two phases. This
# tutorial shows one such comparison, trains two classifiers on digits, and puts them beside a usual one.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import simatch as sm
from simatch.estimators import EquilibriumPropagation, SupervisedSimilarityMatching

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=500, stratify=y, random_state=0)

# %% [markdown]
# ## A free and a nudged phase
#
# A small network with an output population. A *nudge* is a term of the energy that pulls the output towards a target.
# A phase says which populations are clamped, and which terms join.

# %%
grid = {"input": sm.Grid(1, 1, 64), "hidden": sm.Grid(1, 1, 30), "output": sm.Grid(1, 1, 10)}
net = sm.Network(
    {
        "input": sm.Population(grid["input"]),
        "hidden": sm.Population(grid["hidden"], "clip"),
        "output": sm.Population(grid["output"], "clip"),
    },
    [
        sm.Hebbian("input", "hidden", sm.Dense(grid["input"], grid["hidden"])),
        sm.Hebbian("hidden", "output", sm.Dense(grid["hidden"], grid["output"]), feedback=1.0),
        sm.Leak("hidden"),
        sm.Leak("output"),
    ],
    seed=0,
)
target = np.eye(10)[y_train]
free = sm.Phase(["input"])
nudged = sm.Phase(["input", "label"], terms=[sm.Nudge("output", target="label", strength=0.5)])
few = {"input": X_train[:1], "label": target[:1]}
before = np.asarray(sm.relax(net, {"input": few["input"]}, phase=free)["output"]).ravel()
after = np.asarray(sm.relax(net, few, phase=nudged)["output"]).ravel()
_, ax = plt.subplots(figsize=(5.2, 2.8), layout="constrained")
ax.bar(np.arange(10) - 0.2, before, 0.4, label="free")
ax.bar(np.arange(10) + 0.2, after, 0.4, label="nudged")
ax.set(title=f"Output of an untrained network for a {y_train[0]}", xlabel="output neuron", ylabel="activity")
ax.set_xticks(range(10))
ax.legend()
plt.show()

# %% [markdown]
# The nudge raises the neuron of the right digit and lowers the others. Through feedback it also moves the hidden
# neurons, a little. That small movement tells every synapse in which direction to change: `<r_i x_j>` in the nudged
# phase minus `<r_i x_j>` in the free phase. As the nudge becomes small, this is exactly the gradient that
# back-propagation computes, but every synapse has it at hand.
#
# ## Two classifiers
#
# `EquilibriumPropagation` learns all weights by this comparison. `SupervisedSimilarityMatching` is simpler: labels are
# one more input of the units while it learns, so that images of one digit become similar; then a linear output is
# regressed. Both keep scikit-learn's interface.

# %%
models = {
    "equilibrium propagation": EquilibriumPropagation((40,), max_iter=15, random_state=0),
    "supervised similarity matching": SupervisedSimilarityMatching(random_state=0),
    "logistic regression": LogisticRegression(max_iter=1000),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    print(f"{name:31s} {100 * model.score(X_test, y_test):.1f} % right")

# %% [markdown]
# A linear classifier is a strong opponent on such small images; the point here is not to win but to see that rules
# without an error signal learn a task at all. Larger experiments, with back-propagation beside them, are on the pages
# of the models.
#
# ## What hidden units look for
#
# The weights from the pixels to units of both networks. The units of similarity matching (above) show whole digits and
# parts of them: their weights are averages of the images to which they respond. Those of equilibrium propagation
# (below) look like noise: nothing makes their random initial weights decay, and they moved only as far as the task
# needed. A network that answers well need not have weights that a person can read.

# %%
_, axes = plt.subplots(2, 1, figsize=(6, 4.6), layout="constrained")
for ax, name in zip(axes, ("supervised similarity matching", "equilibrium propagation"), strict=True):
    weights = models[name].network_.pathways[0].to_dense()[:30]
    sm.plot.mosaic(weights.reshape(-1, 8, 8, 1), columns=10, ax=ax).set(title=name)
plt.show()

# %% [markdown]
# Which digits are confused? Rows are the true digits; the diagonal (right answers) is left out.

# %%
predicted = models["equilibrium propagation"].predict(X_test)
confusion = np.zeros((10, 10))
np.add.at(confusion, (y_test, predicted), 1)
np.fill_diagonal(confusion, 0)
_, ax = plt.subplots(figsize=(3.8, 3.3), layout="constrained")
image = ax.imshow(confusion, cmap="Blues")
ax.set(xlabel="predicted", ylabel="digit", xticks=range(10), yticks=range(10))
ax.grid(visible=False)
plt.colorbar(image, ax=ax, label="images")
plt.show()
