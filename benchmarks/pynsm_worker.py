"""The part of the comparison with pynsm that needs PyTorch; it runs in an interpreter of its own.

It reads one JSON object a line from standard input and answers each with one: ``settle`` writes activities to a file,
``train`` returns the seconds that some batches took. Nothing of simatch is imported.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from pynsm import SimilarityMatching  # pyright: ignore[reportMissingImports]


def matching(data, length: float, iterations: int) -> SimilarityMatching:
    """Build pynsm's circuit with given weights, steps of `length` and as many of them as `iterations`."""
    feedforward, lateral = data["feedforward"], data["lateral"]
    encoder = torch.nn.Linear(feedforward.shape[1], feedforward.shape[0], bias=False)
    encoder.weight.data = torch.from_numpy(feedforward.copy())
    # tau = 1 makes its two learning rates stand as those of rule (5).
    circuit = SimilarityMatching(
        encoder,
        len(feedforward),
        tau=1.0,
        max_iterations=iterations,
        iteration_lr=length,
        iteration_projection=torch.nn.functional.relu,
    )
    circuit.competitor.weight.data = torch.from_numpy(lateral.copy())
    return circuit


def train(data, length: float, iterations: int, rate: float) -> float:
    """Learn from all batches; seconds."""
    circuit = matching(data, length, iterations)
    # Its loss is a mean over batch and units with factors of 4: this is the step of size `rate` in rule (5).
    optimiser = torch.optim.SGD(circuit.parameters(), lr=rate * circuit.out_channels / 4)
    batches = [torch.from_numpy(batch) for batch in data["batches"]]
    began = time.perf_counter()
    for batch in batches:
        y = circuit(batch)
        loss = circuit.loss(batch, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.perf_counter() - began


def main() -> None:
    """Answer until standard input ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    folder = Path(sys.argv[1])
    with np.load(folder / "data.npz") as arrays:
        data = {name: arrays[name] for name in arrays}
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "settle":
            y = matching(data, order["length"], order["iterations"])(torch.from_numpy(data["batches"][0]))
            np.save(folder / "activities.npy", y.numpy())
            answer = {}
        else:
            answer = {"seconds": train(data, order["length"], order["iterations"], order["rate"])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
