import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

/// What the three loads have in common.
struct BenchOptions: ParsableArguments {
    @Option(help: "Topic to use; it is kept. [default: a new one, removed at the end]")
    var topic: String?

    @Option(help: "Partitions of the topic, if it is made.")
    var partitions = 1

    @Option(help: "Durability of the topic, if it is made: fsync or page-cache. [default: the broker's]")
    var durability: String?

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("A setting of the topic, if it is made.", valueName: "name=value"),
        transform: { text in try parsing { try KeyValue.setting(text) } })
    var config: [KeyValue] = []

    @Option(help: ArgumentHelp("Process id of the broker, to account for its CPU time.", valueName: "pid"))
    var pid: Int32?

    @OptionGroup var connection: ConnectionOptions

    @Option(name: .shortAndLong, help: "How to print: table (a line for people) or json.")
    var output: OutputFormat?

    /// The one broker that is loaded.
    func address() throws -> HostPort {
        guard let address = try HostPort.list(self.connection.servers).first else {
            throw CommandFailure.usage("no server was named")
        }
        return address
    }

    /// Makes the topic where needed, runs `body` with its name and number of partitions, removes what was made.
    func withTopic(_ body: (ApusClient, String, Int) async throws -> BenchReport) async throws {
        let report = try await self.connection.withClient { apus in
            let name = self.topic ?? "bench-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
            var settings = Dictionary(self.config.map { ($0.name, $0.value) }) { _, last in last }
            if let durability = self.durability { settings["durability"] = durability }
            do {
                try await apus.topics.create(name, partitions: self.partitions, configuration: settings)
            } catch let error as ApusError where error.code == .topicExists && self.topic != nil {
                // A topic that was named may be there already: it is used as it is.
            }
            let partitions = try await apus.topics.describe(name).partitions.count
            do {
                let report = try await body(apus, name, partitions)
                if self.topic == nil { try await apus.topics.delete(name) }
                return report
            } catch {
                // The run's own error matters more than that the topic stays behind.
                if self.topic == nil { try? await apus.topics.delete(name) }
                throw error
            }
        }
        switch self.output ?? .table {
        case .table: try StandardOutput.write(report.text)
        case .json: try StandardOutput.write(report.json.pretty + "\n")
        case .ndjson, .raw: try StandardOutput.write(report.json.compact + "\n")
        }
        if report.errors > 0 {
            throw CommandFailure(
                .failure, code: "bench_errors", "\(report.errors) errors, so these are not the numbers")
        }
    }

    /// The CPU time that the broker has spent so far.
    func brokerTime() -> Duration? { self.pid.flatMap { ProcessTime.spent(by: $0) } }
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
