import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import NIOCore

struct BenchSubscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Read a topic from its start to its end as fast as the broker gives it.",
        discussion: """
            Latency is that of one fetch. The records are counted by their batch headers and thrown away.
            """
    )

    @Option(help: "Topic to read.")
    var topic: String

    @Option(help: "Read it all so many times.")
    var passes = 1

    @Option(
        help: "Read it again until so much time has gone.",
        transform: parsedDuration)
    var duration: Duration?

    @Option(help: "Connections; the partitions are dealt out among them.")
    var connections = 1

    @Option(help: ArgumentHelp("Most bytes of one answer.", valueName: "size"))
    var fetchBytes = "8MiB"

    @Option(help: ArgumentHelp("Most bytes of one partition in one answer.", valueName: "size"))
    var partitionBytes = "8MiB"

    @Flag(help: "Every connection reads all partitions, as so many subscribers would.")
    var everyConnectionReadsAll = false

    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard self.passes > 0, self.connections > 0 else { throw ValidationError("counts must be 1 or more") }
    }

    func run() async throws {
        let address = try self.options.address()
        let fetchBytes = Int32(clamping: try Quantity.size(self.fetchBytes).rawValue)
        let partitionBytes = Int32(clamping: try Quantity.size(self.partitionBytes).rawValue)
        let topic = self.topic
        try await self.options.measure { apus in
            let starts = try await apus.topics.offsets(of: topic, at: .start)
            let ends = try await apus.topics.offsets(of: topic, at: .end)
            var spans: [Int32: Range<Int64>] = [:]
            for (partition, end) in ends {
                let start = min(starts[partition]?.offset.rawValue ?? 0, end.offset.rawValue)
                spans[partition.rawValue] = start..<end.offset.rawValue
            }
            guard spans.values.contains(where: { !$0.isEmpty }) else {
                throw CommandFailure.usage("\(topic) is empty", next: "apus bench pub --topic \(topic) fills it")
            }
            let plan = FetchLoad.Plan(
                topic: topic, spans: spans, fetchBytes: fetchBytes, partitionBytes: partitionBytes,
                passes: self.duration == nil ? self.passes : .max)
            let pid = self.options.pid
            return try await LoadLoop.run(brokerTime: { pid.flatMap { ProcessTime.spent(by: $0) } }) { load in
                try await self.drive(load, plan, apus, address)
                return try await load.loop.submit { load.report("read") }.get()
            }
        }
    }

    private func drive(
        _ load: LoadLoop, _ plan: FetchLoad.Plan, _ apus: ApusClient, _ address: HostPort
    ) async throws {
        let shares = (0..<self.connections).map { index in
            var share = plan
            if !self.everyConnectionReadsAll {
                share.spans = plan.spans.filter { Int($0.key) % self.connections == index }
            }
            return share
        }.filter { share in share.spans.values.contains { !$0.isEmpty } }
        var channels: [any Channel] = []
        for _ in shares { channels.append(try await load.connect(apus, to: address, readBytes: 1024 * 1024)) }
        try await load.loop.submit { load.startCounting() }.get()
        if let duration = self.duration { load.loop.scheduleTask(in: TimeAmount(duration)) { load.stop() } }
        let finished = try await load.begin(on: channels) { index, finished in
            FetchLoad(load: load, plan: shares[index], finished: finished)
        }
        try await finished.get()
        try await load.loop.submit { load.stop() }.get()
    }
}
