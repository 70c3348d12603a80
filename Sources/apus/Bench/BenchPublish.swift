import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import KafkaWire
import NIOCore

struct BenchPublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Write as fast as the broker acknowledges, or with --rate at a fixed rate.",
        discussion: """
            Latency is that of one request: from its sending to its acknowledgment or, with --rate, from the moment at \
            which it was due.
            """
    )

    @Option(help: ArgumentHelp("Bytes of one record's value.", valueName: "size"))
    var recordBytes = "1024"

    @Option(help: "Records of one batch; a request holds one batch.")
    var batchRecords = 100

    @Option(help: "Requests in flight on each connection.")
    var inFlight = 5

    @Option(help: "Connections.")
    var connections = 1

    @Option(help: "Records a second, whatever the broker does (an open loop).")
    var rate: Double?

    @Option(help: ArgumentHelp("Who has it when a record counts as written.", valueName: "who"))
    var acks: BenchAcknowledging = .all

    @Option(help: "Compression of the batches.")
    var codec: Compression = .none

    @Option(help: ArgumentHelp("Stop after so many records.", valueName: "count"), transform: parsedCount)
    var records: Int64?

    @Option(
        help: "Measure for so long. [default: 10s, without --records]",
        transform: parsedDuration)
    var duration: Duration?

    @Option(
        help: "Load for so long before measuring. [default: 0s]",
        transform: parsedDuration)
    var warmup: Duration?

    @OptionGroup var topicOptions: BenchTopicOptions
    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard self.batchRecords > 0, self.inFlight > 0, self.connections > 0 else {
            throw ValidationError("counts must be 1 or more")
        }
        if let rate = self.rate, rate <= 0 { throw ValidationError("--rate must be above 0") }
        guard self.records == nil || self.duration == nil else {
            throw ValidationError("--records and --duration exclude each other")
        }
        guard self.records == nil || self.warmup == nil else {
            throw ValidationError("--warmup goes with --duration")
        }
    }

    func run() async throws {
        let recordBytes = try Quantity.size(self.recordBytes).rawValue
        let address = try self.options.address()
        guard let codec = CompressionCodec(self.codec) else { throw CommandFailure.usage("unknown codec") }
        let batch = ProduceFrames.batch(records: self.batchRecords, recordBytes: recordBytes, codec: codec)
        try await self.options.withTopic(self.topicOptions) { apus, topic, partitions in
            let frames = ProduceFrames(
                topic: topic, partitions: partitions, acks: self.acks.wireValue, batch: batch,
                records: self.batchRecords)
            let before = try await Self.end(of: topic, apus)
            let pid = self.options.pid
            var report = try await LoadLoop.run(brokerTime: { pid.flatMap { ProcessTime.spent(by: $0) } }) { load in
                try await self.drive(load, frames, apus, address)
                return try await load.loop.submit { load.report("sent") }.get()
            }
            // The log must have grown by what was acknowledged, and with a fixed count by no more.
            report.rateWanted = self.rate
            let grown = try await Self.end(of: topic, apus) - before
            if grown < report.records || (self.records != nil && grown != report.records) {
                report.errors += 1
                StandardError.write("apus: \(report.records) records acknowledged, the log grew by \(grown)\n")
            }
            return report
        }
    }

    private func drive(
        _ load: LoadLoop, _ frames: ProduceFrames, _ apus: ApusClient, _ address: HostPort
    ) async throws {
        var channels: [any Channel] = []
        for _ in 0..<self.connections {
            channels.append(try await load.connect(apus, to: address, readBytes: 64 * 1024))
        }
        let requests = self.records.map { ($0 + frames.recordsPerBatch - 1) / frames.recordsPerBatch } ?? .max / 2
        let connections = Int64(self.connections)
        let schedule = self.rate.map { rate in
            OpenLoopSchedule(start: .now, rate: rate / Double(frames.recordsPerBatch) / Double(connections))
        }
        if self.records != nil { try await load.loop.submit { load.startCounting() }.get() }
        let plans = (0..<connections).map { index in
            ProduceLoad.Plan(
                frames: frames, inFlightMax: self.inFlight,
                requests: requests / connections + (index < requests % connections ? 1 : 0),
                firstFrame: Int(index) * frames.frames.count / self.connections, schedule: schedule)
        }
        let finished = try await load.begin(plans, on: channels)
        if self.records == nil {
            let warmup = self.warmup ?? .zero
            let end = warmup + (self.duration ?? .seconds(10))
            load.loop.scheduleTask(in: TimeAmount(warmup)) { load.startCounting() }
            load.loop.scheduleTask(in: TimeAmount(end)) { load.stop() }
        }
        try await finished.get()
        try await load.loop.submit { load.stop() }.get()
    }

    private static func end(of topic: String, _ apus: ApusClient) async throws -> Int64 {
        try await apus.topics.offsets(of: topic, at: .end).values.reduce(0) { $0 + $1.offset.rawValue }
    }
}

extension LoadLoop {
    /// Begins to send, on each connection by its plan. The future is kept when all is answered.
    func begin(_ plans: [ProduceLoad.Plan], on channels: [any Channel]) async throws -> EventLoopFuture<Void> {
        try await self.begin(on: channels) { index, finished in
            ProduceLoad(load: self, plan: plans[index], finished: finished)
        }
    }
}

extension CompressionCodec {
    /// The wire's codec of the client's compression.
    init?(_ compression: Compression) {
        switch compression {
        case .none: self = .none
        case .gzip: self = .gzip
        case .snappy: self = .snappy
        case .lz4: self = .lz4
        case .zstd: self = .zstd
        }
    }
}
