"""docs/benchmarks.md: the table, losses included. Sections that were not run keep their rows."""

import os
import re

HEAD = "| what | Apus | beside it | goal | |\n|---|---|---|---|---|\n"


def mark(met):
    return {True: "met", False: "**missed**", None: ""}[met]


def table(rows):
    lines = [f"| {row.what} | {row.result} | {row.beside} | {row.goal} | {mark(row.met)} |" for row in rows]
    return HEAD + "\n".join(lines)


def kept(path):
    """The tables of an earlier run, by section."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        text = file.read()
    return dict(re.findall(r"<!-- section ([\w-]+) -->\n(.*?)<!-- end -->", text, re.DOTALL))


def notes(path):
    """What somebody wrote by hand about rows that miss their goal. It stays until somebody takes it out."""
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        found = re.search(r"<!-- notes -->\n(.*?)<!-- end of notes -->", file.read(), re.DOTALL)
    return found[1] if found else ""


def write(path, facts, results, order, options):
    sections, by_hand = kept(path), notes(path)
    command = f"Benchmarks/run --only NAME --repeats {options.repeats} --gigabytes {options.gigabytes:g} " \
              f"--seconds {options.seconds} --topics {options.topics}"
    for name, rows in results.items():
        sections[name] = f"### {name}\n\n{facts['date']}, commit {facts['commit']}: " \
                         f"`{command.replace('NAME', name)}`\n\n{table(rows)}\n"
    body = "\n".join(
        f"<!-- section {name} -->\n{sections[name]}<!-- end -->\n" for name in order if name in sections
    )
    with open(path, "w") as file:
        file.write(f"""# Numbers

Apus beside its peers and beside the machine's own limits, on one machine, in turns. `make bench` prints the table and
writes this page; rows that miss their goal stay in it.

Machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Linux {facts['kernel']}. Apus \
{facts['apus']['version']} ({facts['apus']['build']}), Redis {facts['redis-server']}, NATS {facts['nats-server']}, mosquitto \
{facts['mosquitto']}, iperf3 {facts['iperf3']}.

## How it is measured

- The server has core 0 (`taskset`), the load core 1. So "CPU" is the cost of the server alone, and a rate is that of one core.
- Variants of a row run in turns (A B A B …), each five times unless the section's command says `--repeats`; medians are
  given, and the range in brackets. A run during which the hypervisor took more than 2 % of the machine is repeated.
- The page cache is kept full (`--free-memory` leaves it): a virtual machine gives free pages back to its host and gets them
  anew at ten times the price, so a row that writes into free memory would measure the host. See `rig.PageCache`.
- The loads encode their requests beforehand: `apus bench` for Apus, `Benchmarks/peerload.c`, `fanload.c` and
  `httpload.c` for the others.
- Broker CPU is the sum of `/proc/PID/task/*/schedstat`: every thread, to the nanosecond.
- *fsync*: fdatasync has returned before the answer leaves. *page-cache*: the kernel has it. Redis `always` keeps the
  first promise, `everysec` and NATS JetStream's file store (synced every two minutes by default; this release can not sync
  always) the second, NATS core none.
- End to end is an open loop: latency counts from the moment a record was *due* to be sent, whatever the sender was busy
  with (no coordinated omission).
- Redis and NATS take one record at a time; Kafka's protocol takes batches. Both shapes are shown.

## Results

{body}
## What stands in the way

<!-- notes -->
{by_hand}<!-- end of notes -->

## By hand

    taskset -c 0 apus serve --data /tmp/bench &
    taskset -c 1 apus bench pub --record-bytes 1024 --batch-records 64 --connections 4 --in-flight 16 --records 2M --pid PID
    taskset -c 1 apus bench e2e --rate 10000 --record-bytes 1024 --duration 10s --durability page-cache --pid PID
""")
