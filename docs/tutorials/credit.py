# %% [markdown]
# # How each synapse knows what to do
#
# In a deep network trained by back-propagation, a synapse learns from an error that travels down from the output. In
# similarity matching there is no such error: every synapse improves its *own share* of one cost, and this share depends
# only on the weight and on the activities of the two neurons that it joins. We compute these shares by hand, compare
# them with the library, and check that learning by hand is learning by the library.

# %%
import matplotlib.pyplot as plt
import numpy as np

import simatch as sm

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
rng = np.random.default_rng(0)
x = rng.normal(size=(200, 6)) * [3, 2, 1, 0.5, 0.5, 0.5]
net = sm.layered(6, [sm.Layer(units=3, activation="linear")], seed=0)
W = net.feedforward[0].to_dense()  # (3, 6): from 6 inputs to 3 neurons
L = net.lateral[0].to_dense()  # (3, 3): inhibition between the neurons

# %% [markdown]
# ## Activities by hand
#
# Linear neurons settle where the input current is used up: `W x = L r`. So the activities are the solution of one small
# linear system. `sm.relax` finds the same numbers by following the dynamics.

# %%
r = np.linalg.solve(L, W @ x.T).T
out = sm.relax(net, x, tolerance=1e-6)
print("largest difference:", abs(r - np.asarray(out["layer1"]).reshape(200, 3)).max())

# %% [markdown]
# ## Shares by hand
#
# The cost is a sum over synapses. Feedforward synapse *ij* contributes `-2 W_ij <r_i x_j> + W_ij²`: it wants a large
# weight where its two neurons are active together, and pays for the weight. Lateral synapse *ij* contributes `L_ij
# <r_i r_j> - L_ij²/2`, where `<...>` is the mean over the samples. Nothing else enters: no error signal, no weight of
# another synapse.

# %%
rx, rr = r.T @ x / len(x), r.T @ r / len(x)
share_W = -2 * W * rx + W**2
share_L = L * rr - L**2 / 2
total = share_W.sum() + share_L.sum()
print(f"sum of all shares: {total:.4f}; cost of the network: {sm.objective(net, x):.4f}")

# %% [markdown]
# The library's `sm.credit` does this for any network, and also says which neuron carries how much:

# %%
credit = sm.credit(net, out)
print(f"by the library:    {credit.total():.4f}")
_, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained", width_ratios=(2, 1))
for ax, share, title in ((axes[0], share_W, "feedforward synapses"), (axes[1], share_L, "lateral synapses")):
    limit = abs(share).max()
    image = ax.imshow(share, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="from", ylabel="to neuron", yticks=range(3), xticks=range(share.shape[1]))
    ax.grid(visible=False)
    plt.colorbar(image, ax=ax)
plt.show()

# %% [markdown]
# Blue shares lower the cost: these synapses already join neurons that are active together. Red ones raise it; before
# learning, each neuron inhibits only itself. Feedforward synapses learn to *lower* their share, lateral ones to
# *raise* theirs: they are opponents, which is what makes the neurons different from each other.
#
# ## One step by hand
#
# The derivative of a share in its own weight is the learning rule. Hebb for feedforward synapses, `<r_i x_j> - W_ij`;
# anti-Hebb for lateral ones, `<r_i r_j> - L_ij`: both move towards the correlation of their two neurons.

# %%
rate = 0.1
W_new = W + rate * (rx - W)
L_new = L + rate * (rr - L)
after = sm.learn(net, out, rate=rate, rule=sm.AveragingRule())
print("largest difference, W:", abs(W_new - after.feedforward[0].to_dense()).max())
print("largest difference, L:", abs(L_new - after.lateral[0].to_dense()).max())

# %% [markdown]
# ## Many steps
#
# `sm.train` repeats this. Its argument `observe` is called with the network at every report, so that you can keep the
# weights of some synapses over time. Each line is one synapse of the first neuron.

# %%
seen = []
trained, reports = sm.train(
    net,
    x,
    epochs=60,
    batch_size=200,
    rate=0.2,
    report_every=1,
    progress=False,
    observe=lambda now, report: seen.append(now.feedforward[0].to_dense()[0]),
)
_, ax = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
ax.plot(np.arange(1, len(seen) + 1), seen, label=[f"from input {j}" for j in range(6)])
ax.set(xlabel="steps of learning", ylabel="weight")
ax.legend(ncols=2, fontsize=8)
plt.show()

# %% [markdown]
# And what have they learned? The inputs had standard deviations 3, 2, 1 and 0.5 (three times). Three neurons can keep
# three directions, and the best choice is the three with the largest variance: principal components. The weights from
# the other inputs are nearly gone.

# %%
print(abs(trained.feedforward[0].to_dense()).round(2))

# %% [markdown]
# To freeze a synapse, multiply its changes by 0 with `sm.Plasticity`: one number for a whole pathway, or one for each
# synapse. Here the first neuron keeps the weights that it had:

# %%
mask = np.ones((3, 6))
mask[0] = 0
kept, _ = sm.train(net, x, progress=False, transform=sm.Plasticity(net, {"input->layer1": mask}))
print(np.array_equal(kept.feedforward[0].to_dense()[0], W[0]), np.array_equal(kept.feedforward[0].to_dense()[1], W[1]))
