import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import KafkaWire
import NIOCore

struct BenchTopics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics",
        abstract: "Make many topics and write one record to each. They are kept.",
        discussion: "For what a topic costs: look at the broker's memory and open files before and after."
    )

    @Option(help: ArgumentHelp("How many topics. [default: 1000]", valueName: "count"), transform: parsedCount)
    var count: Int64 = 1000

    @Option(help: "What their names begin with.")
    var prefix = "bench"

    @Option(help: ArgumentHelp("Bytes of each record's value.", valueName: "size"))
    var recordBytes = "100"

    @Option(help: "Topics of one request.")
    var topicsPerRequest = 500

    @Option(help: ArgumentHelp("Process id of the broker, to account for its CPU time.", valueName: "pid"))
    var pid: Int32?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.topicsPerRequest > 0 else { throw ValidationError("--topics-per-request must be 1 or more") }
    }

    func run() async throws {
        let width = String(self.count).count
        let names = (0..<self.count).map { index in
            let digits = String(index)
            return "\(self.prefix)-\(String(repeating: "0", count: width - digits.count))\(digits)"
        }
        let batch = ProduceFrames.batch(
            records: 1, recordBytes: try Quantity.size(self.recordBytes).rawValue, codec: .none)
        let frames = ProduceFrames(
            topics: names, perRequest: self.topicsPerRequest, acks: -1, batch: batch, records: 1)
        guard let address = try HostPort.list(self.connection.choice().servers).first else { return }
        let (report, created) = try await self.connection.withClient { apus in
            let began = Instant.now
            try await self.create(names, apus)
            let created = Instant.now.since(began)
            return (try await self.write(frames, apus, address), created)
        }
        try self.show(report, created: created)
    }

    private func write(_ frames: ProduceFrames, _ apus: ApusClient, _ address: HostPort) async throws -> BenchReport {
        let pid = self.pid
        return try await LoadLoop.run(brokerTime: { pid.flatMap { ProcessTime.spent(by: $0) } }) { load in
            let channel = try await load.connect(apus, to: address, readBytes: 64 * 1024)
            let plan = ProduceLoad.Plan(
                frames: frames, inFlightMax: 4, requests: Int64(frames.frames.count), firstFrame: 0, schedule: nil)
            try await load.loop.submit { load.startCounting() }.get()
            try await load.begin([plan], on: [channel]).get()
            try await load.loop.submit { load.stop() }.get()
            return try await load.loop.submit { load.report("sent") }.get()
        }
    }

    private func create(_ names: [String], _ apus: ApusClient) async throws {
        var progress = Progress(at: .now, recordsExpected: self.count)
        for start in stride(from: 0, to: names.count, by: self.topicsPerRequest) {
            let chunk = names[start..<min(start + self.topicsPerRequest, names.count)]
            let results = try await apus.topics.create(chunk.map { .init($0, partitions: 1) })
            for case .failure(let error) in results where error.code != .topicExists { throw error }
            if let line = progress.line(records: Int64(start + chunk.count), bytes: .zero, at: .now) {
                StandardError.rewriteLine(line)
            }
        }
        StandardError.rewriteLine("")
    }

    private func show(_ report: BenchReport, created: Duration) throws {
        let seconds = max(Double(created.wholeNanoseconds) / 1e9, 1e-9)
        var summary = Summary()
        summary.add("topics", "Topics", .count(self.count))
        summary.add("create_seconds", "Made in", Cell(.number(seconds), text: Numbers.duration(created)))
        let rate = Double(self.count) / seconds
        summary.add(
            "topics_per_second", "Topics a second", Cell(.number(rate), text: Numbers.grouped(Int64(rate))))
        summary.add("records", "Records", .count(report.records))
        summary.add(
            "records_per_second", "Records a second",
            Cell(.number(report.recordsPerSecond), text: Numbers.grouped(Int64(report.recordsPerSecond))))
        summary.add("errors", "Errors", .count(report.errors))
        try StandardOutput.write(summary.rendered(as: self.output.format))
        guard report.errors == 0 else {
            throw CommandFailure(.failure, code: "bench_errors", "\(report.errors) records were refused")
        }
    }
}
