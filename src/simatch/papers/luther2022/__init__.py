"""Luther and Seung, "Kernel similarity matching with Hebbian neural networks", NeurIPS 2022, arXiv 2204.07475."""
