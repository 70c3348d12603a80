import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import NIOCore

struct BenchEndToEnd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "e2e",
        abstract: "Write at a fixed rate and take the time until each record is read (an open loop).",
        discussion: """
            Latency is from the moment at which a record was due to be sent until a reader that waits for it has it: \
            what a slow answer delays is counted, too. A run that does not keep its rate is void.
            """
    )

    @Option(help: "Records a second. [default: 10000]")
    var rate: Double?

    @Option(help: ArgumentHelp("Bytes of one record's value, 8 or more.", valueName: "size"))
    var recordBytes = "1024"

    @Option(
        help: "Measure for so long. [default: 10s]",
        transform: parsedDuration)
    var duration: Duration?

    @Option(
        help: "Load for so long before measuring. [default: 2s]",
        transform: parsedDuration)
    var warmup: Duration?

    @Option(help: "Requests in flight; what is due while they are all out goes together.")
    var inFlight = 64

    @Option(help: ArgumentHelp("Who has it when a record counts as written.", valueName: "who"))
    var acks: BenchAcknowledging = .all

    @OptionGroup var topicOptions: BenchTopicOptions
    @OptionGroup var options: BenchOptions

    private var recordRate: Double { self.rate ?? 10_000 }

    func validate() throws {
        guard self.recordRate > 0, self.recordRate <= 10_000_000 else {
            throw ValidationError("--rate must be above 0")
        }
        guard self.inFlight > 0 else { throw ValidationError("--in-flight must be 1 or more") }
    }

    func run() async throws {
        let recordBytes = try Quantity.size(self.recordBytes).rawValue
        guard recordBytes >= 8 else { throw CommandFailure.usage("--record-bytes must be 8 or more") }
        let address = try self.options.address()
        try await self.options.withTopic(self.topicOptions) { apus, topic, partitions in
            let ends = try await apus.topics.offsets(of: topic, at: .end)
            var positions: [Int32: Int64] = [:]
            for (partition, end) in ends { positions[partition.rawValue] = end.offset.rawValue }
            let pid = self.options.pid
            var report = try await LoadLoop.run(brokerTime: { pid.flatMap { ProcessTime.spent(by: $0) } }) { load in
                let reader = try await load.connect(apus, to: address, readBytes: 256 * 1024)
                let writer = try await load.connect(apus, to: address, readBytes: 64 * 1024)
                try await self.drive(
                    load, topic: topic, partitions: partitions, positions: positions, recordBytes: recordBytes,
                    reader: reader, writer: writer)
                return try await load.loop.submit { load.report("delivered") }.get()
            }
            report.latencyOf = "record"
            report.rateWanted = self.recordRate
            return report
        }
    }

    private func drive(
        _ load: LoadLoop, topic: String, partitions: Int, positions: [Int32: Int64], recordBytes: Int,
        reader: any Channel, writer: any Channel
    ) async throws {
        // A moment ahead, so that the reader waits already when the first record is due.
        let start = Instant.now.advanced(by: .milliseconds(200))
        let countsFrom = start.advanced(by: self.warmup ?? .seconds(2))
        let end = countsFrom.advanced(by: self.duration ?? .seconds(10))
        let schedule = OpenLoopSchedule(start: start, rate: self.recordRate)
        let records = schedule.count(at: end)
        var padding = ByteBuffer()
        while padding.readableBytes < recordBytes - 8 { padding.writeInteger(UInt8.random(in: 0...255)) }
        let plan = ScheduledProducer.Plan(
            topic: topic, partitions: partitions, acks: self.acks.wireValue, schedule: schedule, records: records,
            padding: padding, inFlightMax: self.inFlight)

        // A broker that loses records must not leave us waiting for them.
        let patience = end.since(.now) + .seconds(10)
        load.loop.scheduleTask(in: TimeAmount(patience)) { reader.close(promise: nil) }
        let finished = try await load.begin(on: [reader, writer]) { index, finished -> any ChannelHandler in
            index == 0
                ? TimingReader(
                    load: load, topic: topic, positions: positions, countsFrom: countsFrom, records: records,
                    finished: finished)
                : ScheduledProducer(load: load, plan: plan, finished: finished)
        }
        try await finished.get()
        try await load.loop.submit { load.stop() }.get()
    }
}
