"""A server and its workers: issue 7's table of figures. Each experiment leaves raw samples in docs/perf/cluster/, the report is made of all
that are there, so that a run can be split. usage: cluster [EXPERIMENT...] [--quick]."""
import argparse
import signal
import sys

from cluster_suite import report
from cluster_suite.experiments import EXPERIMENTS, Plan
from suite.report import say


def main():
    parser = argparse.ArgumentParser(prog="./dev bench cluster", description=__doc__)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"{', '.join(EXPERIMENTS)}; report: only make the report anew. Default: all")
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work? Its numbers are noise")
    chosen = parser.parse_args()
    unknown = set(chosen.experiments) - {*EXPERIMENTS, "report"}
    if unknown:
        parser.error(f"no experiment called {', '.join(sorted(unknown))}")
    # A killed run stops its servers as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if chosen.quick:
        report.PAGE.only_try()
    for name in chosen.experiments or EXPERIMENTS:
        if name != "report":
            say(name)
            report.PAGE.keep(name, lambda: EXPERIMENTS[name](Plan(chosen.quick)), quick=chosen.quick)
    report.write()


main()
