import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

/// What the three loads have in common.
struct BenchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Process id of the broker, to account for its CPU time.", valueName: "pid"))
    var pid: Int32?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    /// The one broker that is loaded.
    func address() throws -> HostPort {
        guard let address = try HostPort.list(self.connection.choice().servers).first else {
            throw CommandFailure.usage("no server was named")
        }
        return address
    }

    /// Runs `body` and prints what it measured.
    func measure(_ body: (ApusClient) async throws -> BenchReport) async throws {
        let report = try await self.connection.withClient(body)
        switch self.output.format {
        case .table: try StandardOutput.write(report.text)
        case .json: try StandardOutput.write(report.json.pretty + "\n")
        case .ndjson, .raw: try StandardOutput.write(report.json.compact + "\n")
        }
        if report.errors > 0 {
            throw CommandFailure(
                .failure, code: "bench_errors", "\(report.errors) errors, so these are not the numbers")
        }
    }

    /// Makes the topic where needed, runs `body` with its name and number of partitions, removes what was made.
    func withTopic(
        _ wanted: BenchTopicOptions, _ body: (ApusClient, String, Int) async throws -> BenchReport
    ) async throws {
        try await self.measure { apus in
            let name = wanted.topic ?? "bench-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
            do {
                try await apus.topics.create(name, partitions: wanted.partitions, configuration: wanted.settings)
            } catch let error as ApusError where error.code == .topicExists && wanted.topic != nil {
                // A topic that was named may be there already: it is used as it is.
            }
            let partitions = try await apus.topics.describe(name).partitions.count
            do {
                let report = try await body(apus, name, partitions)
                if wanted.topic == nil { try await apus.topics.delete(name) }
                return report
            } catch {
                // The run's own error matters more than that the topic stays behind.
                if wanted.topic == nil { try? await apus.topics.delete(name) }
                throw error
            }
        }
    }

    /// The CPU time that the broker has spent so far.
    func brokerTime() -> Duration? { self.pid.flatMap { ProcessTime.spent(by: $0) } }
}

/// Where a load writes.
struct BenchTopicOptions: ParsableArguments {
    @Option(help: "Topic to use; it is kept. [default: a new one, removed at the end]")
    var topic: String?

    @Option(help: "Partitions of the topic, if it is made.")
    var partitions = 1

    @Option(help: "Durability of the topic, if it is made: fsync or page-cache. [default: the broker's]")
    var durability: String?

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("A setting of the topic, if it is made; may be repeated.", valueName: "name=value"),
        transform: { text in try parsing { try KeyValue.setting(text) } })
    var config: [KeyValue] = []

    /// The topic's settings, by name; of one that was given twice, the last.
    var settings: [String: String] {
        var settings = Dictionary(self.config.map { ($0.name, $0.value) }) { _, last in last }
        if let durability = self.durability { settings["durability"] = durability }
        return settings
    }
}

/// `--acks` of a load: what is not acknowledged can not be measured.
enum BenchAcknowledging: String, ExpressibleByArgument, CaseIterable {
    case all, leader

    /// As it stands in a produce request.
    var wireValue: Int16 { self == .all ? -1 : 1 }
}

/// A duration with its unit, as an option takes it.
func parsedDuration(_ text: String) throws -> Duration {
    try parsing { try Quantity.duration(text) }
}

/// A count with an optional unit of thousands: `500k`, `2M`.
func parsedCount(_ text: String) throws -> Int64 {
    let scales: [Character: Int64] = ["k": 1000, "K": 1000, "M": 1_000_000, "G": 1_000_000_000]
    let scale = text.last.flatMap { scales[$0] }
    guard let count = Int64(scale == nil ? text[...] : text.dropLast()), count > 0, count < 1_000_000_000_000 else {
        throw ValidationError("\"\(text)\" is not a count; write it as 500000, 500k or 2M")
    }
    return count * (scale ?? 1)
}
