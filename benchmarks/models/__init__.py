"""The models that benchmarks sample: the bundled one, tiny ones, full-size ones."""
