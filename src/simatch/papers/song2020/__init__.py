"""Song, Lukasiewicz, Xu, Bogacz, NeurIPS 2020; Salvatori et al., AAAI 2022: predictive coding and back-propagation."""
