"""The parts of `./dev bench engine`: servers under test, experiments, report."""
