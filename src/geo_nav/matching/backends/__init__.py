"""The matchers: every file of this folder registers one (or several alike) by name."""
