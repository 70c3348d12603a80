"""What a row of the table is, and how numbers of several runs are said."""

from collections import namedtuple

from rig import median, spread

Row = namedtuple("Row", "what result beside goal met")


def rate(results):
    return median(results, "records_per_second")


def throughput(results):
    return median(results, "megabytes_per_second")


def million(results):
    return median(results, "broker_cpu_seconds_per_million")


def count(number):
    return f"{number:,.0f}"


def between(results, *path, digits=0):
    low, high = spread(results, *path)
    return f"{low:,.{digits}f} to {high:,.{digits}f}"


def latencies(results):
    return " / ".join(f"{median(results, 'latency_ms', key):.3f}" for key in ("p50", "p99", "p999"))
