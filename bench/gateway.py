"""The gateway against nginx, vllm-router and no gateway: issue 5's table of figures. Each experiment leaves raw samples in
docs/perf/gateway/, the report is made of all that are there, so that a run can be split. usage: gateway [EXPERIMENT...] [--quick]."""
import argparse
import signal
import sys

from gateway_suite import report
from gateway_suite.experiments import EXPERIMENTS, ROUNDS, Plan
from suite.report import say


def main():
    parser = argparse.ArgumentParser(prog="./dev bench gateway", description=__doc__)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"{', '.join(EXPERIMENTS)}; report: only make the report anew. Default: all")
    parser.add_argument("--quick", action="store_true", help="short rounds: does it work? Its numbers are noise")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--minutes", type=float, default=10, help="how long the 2,000 streams run (default 10)")
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
            rounds = chosen.rounds or (min(2, ROUNDS[name]) if chosen.quick else ROUNDS[name])
            say(f"{name}, {rounds} rounds")
            plan = Plan(rounds, chosen.quick, chosen.minutes)
            report.PAGE.keep(name, lambda: EXPERIMENTS[name](plan), quick=chosen.quick, rounds=rounds)
    report.write()


main()
