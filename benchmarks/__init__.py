"""Benchmarks of simatch, beside its peers, on one machine in one run.

``python -m benchmarks`` (or ``make benchmark``) runs the rows, each in a process of its own, and prints one table.
Within a row everything that is compared is timed in turn, once a round, and medians over the rounds are reported, so
that other work on the machine falls on all alike.

What the columns mean:

- *early* weights have learned from 10 batches, *trained* weights from as many as `networks.KINDS` says, with a rate
  that makes them forget their initial values as a full run does. Weights decide how many steps a solver needs.
- *train*: images a second in `simatch.training`, from the user's NumPy arrays to new weights, reports included.
- *encode*: images a second in `simatch.encode`.
- *steps*: solver steps an image, as the library reports them.
- *error*: the true relative error ``|r - r*| / |r*|`` of the activities at the tolerance that is timed, median (and
  largest) over images; r* is a float64 solution of the same network by `simatch.Accelerated` at a tolerance of 1e-10.
- *share*: what the necessary arithmetic of training / of encoding reaches, of the rate of this machine's float32 matrix
  product of 2048 by 2048 (the faster of NumPy's and JAX's, timed in turn with the row); `arithmetic` counts it.
- *memory*: the most that the row's process held, Python, JAX and the images included.
- *compile*: time of the first call less the median of the later ones.
"""
