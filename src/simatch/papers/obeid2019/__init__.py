"""Obeid, Ramambason, Pehlevan, NeurIPS 2019: "Structured and Deep Similarity Matching"."""
