"""The parts of `./dev bench gateway`: gateways under test, experiments, report."""
