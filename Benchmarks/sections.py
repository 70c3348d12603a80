"""The measurements, one function for each part of the table. Each yields rows: what, result, beside it, goal, met."""

import json
import os
import signal
import statistics
import subprocess
import time

import edge
from peers import Nats, Redis, iperf3
from rig import LOAD_CORE, Apus, evict, interleaved, median, open_files, pinned, refill, resident_megabytes
from rows import Row, between, count, latencies, million, rate, throughput

KILO = 1024


def durable(options, say):
    """Durable produce beside our own page cache, at 1, 16 and 1,000 partitions."""
    records = int(options.gigabytes * 1e9 / KILO)
    rows = []
    with Apus(options.apus, options.work) as apus:
        for partitions, window in ((1, 16), (16, 16), (1000, 256)):
            flags = ["--record-bytes", KILO, "--batch-records", 64, "--connections", 4, "--in-flight", window,
                     "--partitions", partitions]

            def measure(durability):
                # The files of a partition are made by its first record; that is not what is measured here.
                once = ["--topic", "durable", "--durability", durability, *flags]
                apus.bench("pub", *once, "--records", 64 * partitions)
                try:
                    return apus.bench("pub", *once, "--records", records)
                finally:
                    apus.command("topic", "rm", "durable", "--yes")

            found = interleaved(
                {
                    durability: lambda durability=durability: measure(durability)
                    for durability in ("fsync", "page-cache")
                },
                options.repeats, say,
            )
            ratio = rate(found["fsync"]) / rate(found["page-cache"])
            rows.append(Row(
                f"durable produce (fdatasync before the answer), 1 KB, {partitions:,} partition{'s'[:partitions > 1]}",
                f"{count(rate(found['fsync']))} records/s, {throughput(found['fsync']):,.0f} MB/s "
                f"({between(found['fsync'], 'megabytes_per_second')})",
                f"page cache: {throughput(found['page-cache']):,.0f} MB/s "
                f"({between(found['page-cache'], 'megabytes_per_second')}); {ratio:.0%}",
                "80 % of page cache", ratio >= 0.8,
            ))
    return rows


def bulk(options, say):
    """Page-cache produce beside a bare TCP stream, and what it costs the broker."""
    with Apus(options.apus, options.work) as apus:
        flags = ["--durability", "page-cache", "--connections", 1]
        large = [*flags, "--record-bytes", KILO, "--batch-records", 200, "--in-flight", 16,
                 "--records", int(options.gigabytes * 1e9 / KILO)]
        small = [*flags, "--record-bytes", 100, "--batch-records", 1000, "--in-flight", 16,
                 "--records", int(options.gigabytes * 5e6)]
        found = interleaved(
            {
                "1 KB": lambda: apus.bench("pub", *large),
                "iperf3": iperf3,
                "100 B": lambda: apus.bench("pub", *small),
            },
            options.repeats, say,
        )
    ratio = throughput(found["1 KB"]) / throughput(found["iperf3"])
    gigabyte = median(found["1 KB"], "broker_cpu_seconds_per_gb")
    return [
        Row("page-cache produce, 1 KB in batches of 200",
            f"{throughput(found['1 KB']):,.0f} MB/s ({between(found['1 KB'], 'megabytes_per_second')}), "
            f"{count(rate(found['1 KB']))} records/s",
            f"iperf3: {throughput(found['iperf3']):,.0f} MB/s "
            f"({between(found['iperf3'], 'megabytes_per_second')}); {ratio:.0%}",
            "60 % of iperf3", ratio >= 0.6),
        Row("the same: broker CPU", f"{gigabyte:.3f} s per GB", "", "0.6 s per GB", gigabyte <= 0.6),
        Row("page-cache produce, 100 B in batches of 1,000: broker CPU",
            f"{million(found['100 B']):.3f} s per million records ({count(rate(found['100 B']))} records/s)", "",
            "0.15 s per million", million(found["100 B"]) <= 0.15),
    ]


def single(options, say):
    """One record for each request, 64 in flight."""
    records = max(100_000, int(options.gigabytes * 300_000))
    flags = ["--record-bytes", 100, "--batch-records", 1, "--in-flight", 64, "--connections", 1, "--records", records]
    with Apus(options.apus, options.work) as apus:
        found = interleaved(
            {
                durability: lambda durability=durability: apus.bench("pub", *flags, "--durability", durability)
                for durability in ("page-cache", "fsync")
            },
            options.repeats, say,
        )
    rows = []
    for durability, results in found.items():
        rows.append(Row(
            f"one 100 B record a request, 64 in flight, {durability}",
            f"{count(rate(results))} requests/s ({between(results, 'records_per_second')}), "
            f"p99 {median(results, 'latency_ms', 'p99'):.3f} ms, {million(results):.2f} CPU-s per million", "",
            "60,000 requests/s", rate(results) >= 60_000,
        ))
    return rows


def catch_up(options, say):
    """Reading what is in the page cache, beside sendfile from a process that does nothing else."""
    with Apus(options.apus, options.work) as apus:
        apus.bench("pub", "--topic", "warm", "--durability", "page-cache", "--record-bytes", KILO, "--batch-records",
                   200, "--in-flight", 16, "--records", int(options.gigabytes * 1e9 / KILO))
        found = interleaved(
            {
                "apus": lambda: apus.bench("sub", "--topic", "warm", "--passes", 3),
                "iperf3 -Z": lambda: iperf3("-Z", sender="0", receiver="1"),
            },
            options.repeats, say,
        )
    ratio = throughput(found["apus"]) / throughput(found["iperf3 -Z"])
    gigabyte = median(found["apus"], "broker_cpu_seconds_per_gb")
    return [Row(
        "catch-up read, warm, one reader",
        f"{throughput(found['apus']):,.0f} MB/s ({between(found['apus'], 'megabytes_per_second')}), "
        f"{count(rate(found['apus']))} records/s, {gigabyte:.3f} CPU-s per GB",
        f"iperf3 -Z: {throughput(found['iperf3 -Z']):,.0f} MB/s "
        f"({between(found['iperf3 -Z'], 'megabytes_per_second')}); {ratio:.0%}",
        "90 % of iperf3 -Z", ratio >= 0.9,
    )]


def cold(options, say):
    """What reading cold data does to those who write."""
    writes = ["--rate", 10_000, "--record-bytes", KILO, "--batch-records", 10, "--in-flight", 64, "--durability",
              "page-cache", "--warmup", "1s", "--duration", "3s"]
    with Apus(options.apus, options.work) as apus:
        # So much cold that even a quick disk does not bring all of it before the writing ends, so that none is read
        # twice; so little warm that all of it is read once before the writing is measured.
        for topic, share in (("cold", 4), ("warm", 0.25)):
            apus.bench("pub", "--topic", topic, "--durability", "page-cache", "--record-bytes", KILO,
                       "--batch-records", 200, "--in-flight", 16, "--records",
                       int(share * options.gigabytes * 1e9 / KILO))
        speeds = []

        def beside_reader(topic):
            if topic == "cold":
                evict(apus.data)
                refill()
            read = [options.apus, "bench", "sub", "--topic", topic, "-s", apus.address, "-o", "json",
                    "--fetch-bytes", "1MiB", "--partition-bytes", "1MiB", "--duration", "4s"]
            # The reader yields to the writer where both need the load's core: it is the broker that is looked at.
            reader = subprocess.Popen(["nice", "-n", "19", *pinned(LOAD_CORE, read)],
                                      stdout=subprocess.PIPE, text=True)
            try:
                return apus.bench("pub", *writes)
            finally:
                found, _ = reader.communicate()
                if topic == "cold":
                    speeds.append(json.loads(found)["megabytes_per_second"])

        found = interleaved(
            {
                "alone": lambda: apus.bench("pub", *writes),
                "beside a warm reader": lambda: beside_reader("warm"),
                "beside a cold reader": lambda: beside_reader("cold"),
            },
            options.repeats, say,
        )
    p99 = {name: median(results, "latency_ms", "p99") for name, results in found.items()}
    ratio = p99["beside a cold reader"] / p99["alone"]
    return [Row(
        "produce at 10,000 records/s, page cache, while another reads cold data: p99",
        f"{p99['beside a cold reader']:.3f} ms",
        f"alone {p99['alone']:.3f} ms, beside a warm reader {p99['beside a warm reader']:.3f} ms; {ratio:.1f} times; "
        f"the reader has {statistics.median(speeds):,.0f} MB/s",
        "2 times alone", ratio <= 2,
    )]


def end_to_end(options, say):
    """From the moment a record is due to be sent until a reader has it, at 10,000 records/s."""
    wanted, seconds = 10_000, options.seconds
    flags = ["--rate", wanted, "--record-bytes", KILO, "--warmup", "2s", "--duration", f"{seconds}s"]
    with Apus(options.apus, options.work) as apus, Nats(options.work) as nats, \
            Redis(options.work, "everysec") as redis, Redis(options.work, "always") as always:
        found = interleaved(
            {
                "page-cache": lambda: apus.bench("e2e", *flags, "--durability", "page-cache"),
                "fsync": lambda: apus.bench("e2e", *flags, "--durability", "fsync"),
                "NATS core": lambda: nats.end_to_end(KILO, wanted, 2, seconds),
                "Redis everysec": lambda: redis.end_to_end(KILO, wanted, 2, seconds),
                "Redis always": lambda: always.end_to_end(KILO, wanted, 2, seconds),
            },
            options.repeats, say,
        )
    p99 = {name: median(results, "latency_ms", "p99") for name, results in found.items()}
    kept = {name: rate(results) >= 0.99 * wanted for name, results in found.items()}

    def peer(name):
        return f"{name} {latencies(found[name])}" + ("" if kept[name] else " (rate not kept)")

    what = "end to end at 10,000 records/s of 1 KB, p50 / p99 / p99.9 in ms"
    return [
        Row(f"{what}, page cache", latencies(found["page-cache"]),
            f"{peer('NATS core')} (memory); {peer('Redis everysec')}", "p99 no worse than NATS core's",
            kept["page-cache"] and p99["page-cache"] <= p99["NATS core"]),
        Row(f"{what}, fsync", latencies(found["fsync"]), peer("Redis always"), "p99 of page cache + 0.2 ms",
            kept["fsync"] and p99["fsync"] <= p99["page-cache"] + 0.2),
    ]


def peers(options, say):
    """1 KB records beside Redis streams and NATS JetStream, with the same promise."""
    records = max(100_000, int(options.gigabytes * 250_000))
    batched = ["--record-bytes", KILO, "--batch-records", 64, "--connections", 4, "--in-flight", 16, "--records",
               int(options.gigabytes * 1e9 / KILO)]
    singly = ["--record-bytes", KILO, "--batch-records", 1, "--connections", 4, "--in-flight", 64, "--records", records]
    with Apus(options.apus, options.work) as apus, Nats(options.work) as nats, \
            Redis(options.work, "everysec") as redis, Redis(options.work, "always") as always:
        variants = {
            f"Apus {durability}, {shape}":
                lambda durability=durability, flags=flags: apus.bench("pub", *flags, "--durability", durability)
            for durability in ("fsync", "page-cache")
            for shape, flags in (("batches of 64", batched), ("one a request", singly))
        }
        variants["Redis always"] = lambda: always.publish(KILO, records, 4, 64)
        variants["Redis everysec"] = lambda: redis.publish(KILO, records, 4, 64)
        variants["NATS JetStream"] = lambda: nats.publish(KILO, records, 4, 64)
        found = interleaved(variants, options.repeats, say)

    def said(name):
        return f"{count(rate(found[name]))} records/s, {million(found[name]):.2f} CPU-s per million"

    rows = []
    for durability, others in (("fsync", ["Redis always"]), ("page-cache", ["Redis everysec", "NATS JetStream"])):
        for shape in ("batches of 64", "one a request"):
            ours = f"Apus {durability}, {shape}"
            ratios = ", ".join(f"{rate(found[ours]) / rate(found[other]):.1f} × {other}" for other in others)
            goal = "5 × Redis always" if durability == "fsync" else "more than either"
            least = 5 if durability == "fsync" else 1
            rows.append(Row(
                f"produce 1 KB, {durability}, {shape}, 4 connections", said(ours),
                "; ".join(f"{other}: {said(other)}" for other in others) + f"; {ratios}", goal,
                all(rate(found[ours]) >= least * rate(found[other]) for other in others),
            ))
    return rows


def fresh(options, say):
    """A start over nothing."""
    def measure():
        with Apus(options.apus, options.work) as apus:
            time.sleep(1)  # what the start still has to do
            return {"ready_ms": apus.ready_ms, "rss_mb": resident_megabytes(apus.pid)}

    found = interleaved({"serve": measure}, options.repeats, say)["serve"]
    ready, resident = median(found, "ready_ms"), median(found, "rss_mb")
    return [
        Row("fresh apus serve: ready", f"{ready:.0f} ms ({between(found, 'ready_ms')})", "", "300 ms", ready <= 300),
        Row("fresh apus serve: resident", f"{resident:.1f} MB", "", "40 MB", resident <= 40),
    ]


def topics(options, say):
    """Many topics with one record each. Once: it takes a while."""
    number = options.topics
    with Apus(options.apus, options.work) as apus:
        time.sleep(1)
        before = resident_megabytes(apus.pid)
        began = time.monotonic()
        apus.command("bench", "topics", "--count", number)
        made = time.monotonic() - began
        after, files = resident_megabytes(apus.pid), open_files(apus.pid)
        apus.end()
        apus.start()
        time.sleep(1)
        clean, again, files_again = apus.ready_ms, resident_megabytes(apus.pid), open_files(apus.pid)
        apus.end(signal.SIGKILL)
        apus.start()
        killed = apus.ready_ms
    each = (after - before) * 1e6 / number
    each_again = (again - before) * 1e6 / number
    files = max(files, files_again)
    scale = 1_000_000 / number
    return [
        Row(f"{number:,} topics with one record each: memory a topic",
            f"{each:,.0f} B after making them, {each_again:,.0f} B after a restart ({after:.0f} and {again:.0f} MB)",
            f"made and written in {made:.0f} s", "1,024 B idle", each_again <= 1024),
        Row(f"{number:,} topics: open files", f"{files:,}", "", "fewer than 1,000", files < 1000),
        Row(f"{number:,} topics: restart",
            f"{clean / 1000:.2f} s after a stop, {killed / 1000:.2f} s after kill -9", "",
            "10 s for a million", clean * scale <= 10_000),
        Row("a million topics, extrapolated",
            f"{(before + each_again * number * scale / 1e6) / 1000:.2f} GB, restart in {clean * scale / 1000:.1f} s",
            "in proportion to the rows above", "", None),
    ]


def groups(options, say):
    """One group of 1,000 members over 1,000 partitions: a storm of joins, then idle, then commits; commits of ten."""
    times = ["--idle-for", f"{max(9, options.seconds)}s", "--commit-for", f"{options.seconds}s"]
    storm = ["--members", 1000, "--partitions", 1000, *times]
    tens = ["--members", 100, "--partitions", 1000, "--idle-for", "0s", *times[2:]]
    with Apus(options.apus, options.work) as apus, Redis(options.work, "everysec") as redis:
        runs = {}
        for name in ("classic", "consumer"):
            runs[name] = lambda name=name: apus.bench("group", *storm, "--protocol", name)
            runs[f"{name}, tens"] = lambda name=name: apus.bench("group", *tens, "--protocol", name)
        # As often as members of the classic protocol say that they live.
        runs["redis"] = lambda: {"idle_core_percent": redis.pings(1000, every=3, seconds=9)}
        found = interleaved(runs, options.repeats, say)
    pings = f"Redis, {median(found['redis'], 'idle_core_percent'):.2f} % for as many PINGs (one in 3 s each)"
    rows = []
    for name in ("classic", "consumer"):
        results, many = found[name], found[f"{name}, tens"]
        settled, idle = median(results, "settle_seconds"), median(results, "idle_core_percent")
        commits, positions = median(results, "commits_per_second"), median(many, "positions_per_second")
        what = f"1,000 members over 1,000 partitions, {name} protocol"
        rows += [
            Row(f"{what}: all join at once, settled in",
                f"{settled:.2f} s ({between(results, 'settle_seconds', digits=2)}), "
                f"{median(results, 'settle_broker_cpu_seconds'):.2f} CPU-s", "", "2 s", settled <= 2),
            Row("the same group, idle",
                f"{idle:.2f} % of a core ({between(results, 'idle_core_percent', digits=2)})", pings, "1 %", idle < 1),
            Row("the same group, each member commits its one position, one commit in flight (fsync)",
                f"{count(commits)} commits/s ({between(results, 'commits_per_second')}), "
                f"{median(results, 'broker_cpu_seconds_per_million_commits'):.1f} CPU-s per million", "", "", None),
            Row(f"100 members of the {name} protocol, ten positions in each commit, one commit in flight (fsync)",
                f"{count(positions)} positions/s ({between(many, 'positions_per_second')})",
                "Kafka's offset-commit-rate counts positions, too", "100,000 a second", positions >= 100_000),
        ]
    return rows


RULES = (
    # What lets the load in: a prefix, as most names are given away.
    [("bench-*", "create,write,read,delete", False)]
    + [(f"orders.{number}", "create,write,read,alter", False) for number in range(9)]
    + [(f"team-{number}-*", "create,write,read,alter", False) for number in range(8)]
    # Denials are looked for first: some of these prefixes fit the load's topics as well, for other operations.
    + [(prefix, "alter,alter-configs,describe-configs", True) for prefix in ("b*", "ben*", "benc*", "bench*")]
    + [(f"private.{number}", "write,read,describe,delete", True) for number in range(4)]
)


def access(options, say):
    """What it costs the broker to know who writes, and to ask 100 rules whether he may."""
    records = max(2000, int(options.gigabytes * 1_000_000))
    shapes = {
        "one 100 B record a request": ["--batch-records", 1, "--in-flight", 64, "--records", records],
        "100 B records in batches of 100": ["--batch-records", 100, "--in-flight", 16, "--records", records * 20],
    }
    common = ["--record-bytes", 100, "--durability", "page-cache"]
    logins = {}
    for user in ("admin", "load"):
        secret = os.path.join(options.work, f"{user}.password")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"the password of {user}\n")
        logins[user] = ("--user", user, "--password-file", secret)
    first = ("--auth", "scram", "--bootstrap-user", "admin", "--bootstrap-password-file", logins["admin"][-1])
    with Apus(options.apus, options.work) as free, \
            Apus(options.apus, options.work, *first, login=logins["load"]) as asked:
        asked.command("user", "add", "load", "--new-password-file", logins["load"][-1], login=logins["admin"])
        for name, operations, denies in RULES:
            denial = ("--deny",) if denies else ()
            asked.command("acl", "add", "load", operations, f"topic:{name}", *denial, login=logins["admin"])
        found = interleaved(
            {
                f"{shape}, {name}": lambda flags=flags, apus=apus: apus.bench("pub", *common, *flags)
                for shape, flags in shapes.items()
                for name, apus in (("everybody", free), ("rules", asked))
            },
            options.repeats, say,
        )
    rows = []
    for shape in shapes:
        everybody, rules = found[f"{shape}, everybody"], found[f"{shape}, rules"]
        spent = "broker_cpu_seconds_per_million"
        ratios = [one[spent] / other[spent] for one, other in zip(rules, everybody, strict=True)]
        more = statistics.median(ratios) - 1
        rows.append(Row(
            f"produce, {shape}, page cache, by a user with 100 rules (SCRAM): broker CPU",
            f"{million(rules):.3f} s per million records ({between(rules, spent, digits=3)}), "
            f"{count(rate(rules))} records/s",
            f"without authentication {million(everybody):.3f} ({between(everybody, spent, digits=3)}), "
            f"{count(rate(everybody))} records/s; {more:+.1%} (median of turns; {min(ratios) - 1:+.1%} to "
            f"{max(ratios) - 1:+.1%})", "2 % more", more <= 0.02,
        ))
    return rows


SECTIONS = {
    "durable": durable, "bulk": bulk, "single": single, "catch-up": catch_up, "cold": cold, "e2e": end_to_end,
    "peers": peers, "groups": groups, "access": access, "fresh": fresh, "topics": topics, **edge.SECTIONS,
}
