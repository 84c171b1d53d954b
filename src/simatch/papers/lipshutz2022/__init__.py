"""Lipshutz, Pehlevan, Chklovskii, Biological Cybernetics (2022): nonnegative independent components."""
