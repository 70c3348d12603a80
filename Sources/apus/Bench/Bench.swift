import ArgumentParser

/// `apus bench …`.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Load a broker and measure: writing, reading, end to end, groups, pushing.",
        discussion: """
              apus bench pub --records 1M --record-bytes 100 --batch-records 1000
              apus bench sub --topic orders
              apus bench e2e --rate 10000 --duration 30s
              apus bench group --members 1000 --partitions 1000
              apus bench ws --connections 1000 --records 20k

            One thread on one core makes the load, with batches encoded beforehand, so that the broker is what is \
            measured. Results have the shape of Kafka's own perf tools. With --pid, what the broker's process spent.
            """,
        subcommands: [
            BenchPublish.self, BenchSubscribe.self, BenchEndToEnd.self, BenchTopics.self, BenchGroup.self,
            BenchWebSocket.self, BenchEventStream.self,
        ]
    )
}
