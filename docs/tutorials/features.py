# %% [markdown]
# # From an array to features that beat pixels
#
# You have an array of images and no labels, and want features in which the images are easier to tell apart. This
# tutorial trains a small network on scikit-learn's handwritten digits, looks at what it has learned, and tests it
# honestly: on images that it has not seen, beside the pixels and beside the same network before learning.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import simatch as sm
from simatch.readout import LinearReadout

plt.style.use(sm.plot.SETTINGS)  # one style for all figures
digits = load_digits()
x, y = digits.images.astype(np.float32) / 16, digits.target  # 1797 images of 8 by 8 pixels
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)

# %% [markdown]
# ## Prepare
#
# The network matches *similarities*, inner products of images. All digits share a lot (ink in the middle), so the mean
# image is subtracted, and then the mean of each image; otherwise everything is similar to everything. Dividing by 2
# puts the activities in a comfortable range.

# %%
mean = x_train.mean(axis=0)


def prepared(images):
    centred = images - mean
    return (centred - centred.mean(axis=(1, 2), keepdims=True)) / 2


# %% [markdown]
# ## Build and train
#
# Two layers. In the first, 4 by 4 sites of 24 units look at the image through windows of radius 2.5 pixels; in the
# second, 2 by 2 sites of 16 units look at the first layer. Units within a site inhibit each other, and the second layer
# sends feedback of strength 0.1. `relu` units cannot be negative, so that they become detectors of parts.

# %%
layers = [
    sm.Layer(units=24, stride=2, radius=2.5, activation="relu"),
    sm.Layer(units=16, stride=2, radius=2.0, activation="relu", scale=0.1),
]
net = sm.layered(sm.Grid(8, 8), layers, feedback=0.1, seed=0)
untrained = sm.sized(net, prepared(x_train), seed=0)  # initial weights of a size that suits the data
history = []
net, reports = sm.train(
    untrained,
    prepared(x_train),
    epochs=4,
    batch_size=25,
    report_every=24,
    observe=lambda now, report: history.append((report.samples, sm.certificate(now, prepared(x_test)))),
    progress=False,
)
print(history[-1][1])

# %% [markdown]
# `observe` is called a few times during learning; here it measures, on images that the network does not learn from, how
# far learning has come (`sm.certificate`). Learning is finished when two costs meet: the *dual* cost is that of the
# weights, the *primal* cost is what the activities achieve with the best weights for them, and the gap between the two
# tells how much the weights could still improve. (In short: `held_out=` does this by itself now and then.)

# %%
sm.plot.costs(history)
plt.show()

# %% [markdown]
# ## What the units see
#
# Each little picture is one unit of the first layer: the weights from the pixels (red: positive, blue: negative; grey:
# there is no synapse). Units are edges, strokes and blobs at the place at which the unit looks.

# %%
fields = sm.analysis.receptive_fields(net.feedforward[0])
ax = sm.plot.mosaic(fields[::8], columns=12)
ax.set(title="Every eighth unit of the first layer")
plt.show()

# %% [markdown]
# ## Are the features better?
#
# `sm.encode` returns the activities. A linear classifier is trained on labelled training images and tested on the
# others, with three kinds of features.


# %%
def features(network, images):
    return sm.encode(network, prepared(images), layers=network.layers)


def errors(train, test):
    return 100 * (1 - LinearReadout().fit(train, y_train).score(test, y_test))


table = {
    "pixels": errors(x_train.reshape(-1, 64), x_test.reshape(-1, 64)),
    "before learning": errors(features(untrained, x_train), features(untrained, x_test)),
    "after learning": errors(features(net, x_train), features(net, x_test)),
}
for name, percent in table.items():
    print(f"{name:16s} {percent:.2f} % errors")
assert table["after learning"] < table["pixels"]

# %% [markdown]
# A large layer of units with random weights is already better than pixels, which is why this line must be in every such
# table: it says how much is due to learning, and how much to having many units. One split of 450 test images is
# noisy: one image is 0.22 %. `simatch demo` repeats this on five splits, with a mean of 4.0 % for pixels, 1.8 % before
# learning and 1.1 % after it. (Sizes and radii of the layers were chosen on three other splits.)
#
# ## The similarities
#
# Why is a linear classifier better here? In the matrix, each row and column is an image, sorted by digit, and the
# colour is the similarity of two images. Blocks on the diagonal are digits whose images look alike to the network.

# %%
chosen = sm.analysis.class_samples(y_test, 12, seed=0)
_, axes = plt.subplots(1, 2, figsize=(8, 3.7), layout="constrained")
for ax, r, title in ((axes[0], x_test, "pixels"), (axes[1], features(net, x_test), "features")):
    if r is x_test:
        r = prepared(x_test)
    sm.plot.similarity(sm.analysis.similarity(r[chosen]), y_test[chosen], bar=None, limit=1, ax=ax).set(title=title)
plt.show()

# %% [markdown]
# **Next.** `simatch.estimators.DeepSimilarityMatching` does all of this behind scikit-learn's interface, so that it
# fits into a pipeline.
