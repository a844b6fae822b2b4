"""The site model: descriptor and readers (mesh, DEM + orthophoto) → textured tiles in the local frame."""
