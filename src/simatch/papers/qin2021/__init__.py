"""Qin, Mudur, Pehlevan, Neural Computation 33 (2021): contrastive similarity matching, and equilibrium propagation."""
