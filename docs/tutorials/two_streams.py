# %% [markdown]
# # Two streams and feedback
#
# Eyes and ears see the same world, each with its own noise. A network can have any number of inputs and populations,
# and feedback lets one area use what another one knows. We build two streams that meet, and see what feedback does
# when one stream is bad.

# %%
import matplotlib.pyplot as plt
import numpy as np

import simatch as sm

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
rng = np.random.default_rng(0)
world = rng.normal(size=(1200, 3)) * [2.0, 1.5, 1.0]  # what happens, three numbers for each moment
see, hear = rng.normal(size=(3, 12)) / 2, rng.normal(size=(3, 10)) / 2  # how eye and ear sense it


def sensed(world, noise_eye, noise_ear):
    eye = world @ see + noise_eye * rng.normal(size=(len(world), 12))
    ear = world @ hear + noise_ear * rng.normal(size=(len(world), 10))
    return {"eye": eye, "ear": ear}


# %% [markdown]
# ## Build
#
# A network is a dictionary of populations and a list of terms. Each sense has an area of its own, and both send to a
# joint area. `feedback=0.5` on the upper pathways means that the areas below feel the activity above half as strongly
# as the joint area feels them.

# %%
sizes = {"eye": 12, "ear": 10, "visual": 3, "auditory": 3, "joint": 3}


def network(feedback):
    grid = {name: sm.Grid(1, 1, n) for name, n in sizes.items()}
    areas = ("visual", "auditory", "joint")
    paths = [
        ("eye", "visual", 0.0),
        ("ear", "auditory", 0.0),
        ("visual", "joint", feedback),
        ("auditory", "joint", feedback),
    ]
    return sm.Network(
        {name: sm.Population(grid[name], "linear" if name in areas else None) for name in sizes},
        [
            *[sm.Hebbian(a, b, sm.Dense(grid[a], grid[b]), feedback=f) for a, b, f in paths],
            *[sm.AntiHebbian(name, sm.Dense(grid[name], grid[name])) for name in areas],
        ],
        seed=0,
    )


with_feedback, without = network(0.5), network(0.0)
print("relax together, with feedback:   ", with_feedback.stages())
print("relax one after the other, without:", without.stages())

# %% [markdown]
# A batch has an entry for each input, so arrays are passed in a dictionary. Both networks learn from good data.

# %%
data = sensed(world[:1000], 0.3, 0.3)
trained = {}
for name, net in (("with feedback", with_feedback), ("without feedback", without)):
    trained[name], reports = sm.train(sm.sized(net, data), data, epochs=20, progress=False)
    print(f"{name}: residual {reports[-1].residual:.1e}, {reports[-1].steps:.0f} steps to settle")

# %% [markdown]
# ## A bad stream
#
# Now the eye is in the fog: its noise grows to ten times what it was, while the ear is as good as before. How much
# does the *visual* area still know about the world? We read it out linearly: the share of variance of the world that
# its activities explain (R²), on new moments.

# %%
test = world[1000:]


def explained(activity, target):
    design = np.c_[activity, np.ones(len(activity))]
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return 1 - ((target - fitted) ** 2).sum() / ((target - target.mean(axis=0)) ** 2).sum()


fog = [0.3, 0.75, 1.5, 3.0]
_, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
known = {}
for name, net in trained.items():
    known[name] = []
    for noise in fog:
        out = sm.relax(net, sensed(test, noise, 0.3))
        known[name].append(explained(np.asarray(out.states["visual"]).T, test))
    ax.plot(fog, known[name], marker="o", label=name)
ax.set(xlabel="noise of the eye", ylabel="variance of the world explained\nby the visual area", ylim=(0, 1))
ax.legend()
plt.show()

# %% [markdown]
# Without feedback the visual area only knows what the eye sees. With feedback it also hears: the joint area, which both
# senses drive, pulls it towards what fits together.
#
# ## A missing stream
#
# A phase can leave a population out. With the eye *absent*, nothing but feedback drives the visual area, and it
# imagines what it would see:

# %%
blind = sm.Phase(["ear"], absent=["eye"])
net = trained["with feedback"]
clear = np.asarray(sm.relax(net, sensed(test, 0.3, 0.3)).states["visual"])
imagined = np.asarray(sm.relax(net, {"ear": sensed(test, 0.3, 0.3)["ear"]}, phase=blind).states["visual"])
_, ax = plt.subplots(figsize=(3.8, 3.6), layout="constrained")
for unit in range(3):
    ax.plot(clear[unit], imagined[unit], ".", markersize=4, label=f"unit {unit}")
ax.set(xlabel="activity with eye and ear", ylabel="activity with the ear alone")
ax.legend()
plt.show()
print("correlation:", [round(float(np.corrcoef(a, b)[0, 1]), 2) for a, b in zip(clear, imagined, strict=True)])

# %% [markdown]
# It is the same pattern, but weaker: activity that nothing but feedback drives is smaller. In a phase, populations can
# also be *clamped* to activities of your choice, `sm.Phase(["eye", "ear", "joint"])` with an entry "joint" in the
# batch: what would the senses do if the joint area were made to believe something else?
