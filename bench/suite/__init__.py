"""What the suites that write a page of docs/perf/ share: servers under test, raw samples, the page."""
