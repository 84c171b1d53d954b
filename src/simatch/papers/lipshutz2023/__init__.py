"""Lipshutz et al., Neural Computation 35 (2023): generalised eigenproblems by neurons with two compartments."""
