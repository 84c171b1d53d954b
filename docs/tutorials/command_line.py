# %% [markdown]
# # A network on your own images, from the command line
#
# No Python is needed to train a network on a folder of images or on a file of NumPy: the command `simatch` reads the
# images, trains, and writes a page with figures. This notebook calls the command as you would in a terminal.

# %%
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images

folder = Path(tempfile.mkdtemp())


def command(line):
    """Run a command in the folder and show what it prints, as in a terminal."""
    print(f"$ {line}")
    name, *arguments = shlex.split(line)
    environment = os.environ | {"COLUMNS": "100", "FORCE_COLOR": ""}  # no colours, no progress bar
    done = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    print(done.stderr.strip(), done.stdout.strip(), sep="\n")
    assert done.returncode == 0, done.stderr


# %% [markdown]
# ## Your images
#
# Any of these works: a `.npy` file of shape (images, height, width) or (images, height, width, channels); a `.npz` file
# with `x_train`, and `y_train` if there are labels; a `.zip` file of image files, whose folders are the classes. All
# images have the same size. As an example, here are 6,000 patches of 12 by 12 pixels of two photographs:

# %%
rng = np.random.default_rng(0)
photographs = [image.mean(axis=2) / 255 for image in load_sample_images().images]
patches = []
for _ in range(6000):
    image = photographs[rng.integers(2)]
    row, column = rng.integers(image.shape[0] - 12), rng.integers(image.shape[1] - 12)
    patches.append(image[row : row + 12, column : column + 12])
np.save(folder / "mine.npy", np.array(patches, np.float32))

# %% [markdown]
# ## Train
#
# One layer of 36 rectified units that see the whole patch. Photographs have patches of sky with hardly any contrast and
# edges with a hundred times as much, and the strong ones would decide everything; so each patch is divided by its own
# size. Such settings of the preprocessing stand in a file, the others are options; `simatch train --help` lists them.
#
# The command prints where the results are, and how far learning is from its optimum on images that it did not learn
# from: below 0.05 it has arrived. The line of the layer tells whether units are healthy.

# %%
(folder / "settings.toml").write_text("""
[preprocessing]
own_mean = true  # subtract the mean of each image
own_scale = true  # and divide it by its standard deviation
""")
command(
    "simatch train mine.npy --units 36 --activation relu --epochs 8 --no-compare --config settings.toml --out result"
)

# %% [markdown]
# The folder is the model: network, preprocessing, settings, numbers and a page. Open `index.html` in a browser. If the
# command is interrupted, the same command goes on where it was.

# %%
print(*sorted(path.name for path in (folder / "result").iterdir()), sep="\n")

# %% [markdown]
# ## Look
#
# The page has this figure; here it is drawn from the saved network. The units have become edges and bars.

# %%
import matplotlib.pyplot as plt

import simatch as sm

plt.style.use(sm.plot.SETTINGS)
net = sm.load(folder / "result" / "network.safetensors")
sm.plot.mosaic(sm.analysis.receptive_fields(net.feedforward[0]), columns=9)
plt.show()

# %% [markdown]
# ## Apply to new images
#
# `simatch encode` writes the activities for new images, one row for each.

# %%
np.save(folder / "new.npy", np.array(patches[:50], np.float32))
command("simatch encode result new.npy --out features.npy")
print(np.load(folder / "features.npy").shape)
