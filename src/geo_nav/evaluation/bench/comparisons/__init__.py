"""Other ways to register a frame, on the same frames, priors and pictures as ours."""
