"""Backends tried on real clusters, by `make test-ray`; `make test` passes them over."""
