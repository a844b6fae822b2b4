"""The benches: what is measured against what, over which frames, from which priors."""
