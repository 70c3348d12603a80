import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct GroupSeek: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seek", abstract: "Move a group to other positions. Without --execute, show what would change.",
        discussion: """
              apus group seek billing --to-start                          all over again
              apus group seek billing --to-end --topic orders --execute   skip what is there
              apus group seek billing --to-time -2h --execute             the last two hours again
              apus group seek billing --to-time 2026-11-20T10:00 --topic orders:0,2
              apus group seek billing --by -100 --execute                 100 records back, in each partition

            All partitions in which the group has a position move, unless --topic names some. A target outside a \
            partition is held at its start or end. A group with members does not move: stop them first.
            """,
        aliases: ["reset"])

    @Argument(help: "Name of the group.")
    var name: String

    @Flag(help: "To the oldest record.")
    var toStart = false

    @Flag(help: "Behind the newest record.")
    var toEnd = false

    @Option(help: ArgumentHelp("To this offset.", valueName: "offset"))
    var toOffset: Int64?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "To the first record of this time or later: 2026-11-20T10:00 (UTC, or with a zone), -2h.",
            valueName: "time"),
        transform: { text in try parsing { try Position(text.hasPrefix("@") ? text : "@\(text)") } })
    var toTime: Position?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("So many offsets on, or back with a minus.", valueName: "count"))
    var by: Int64?

    @Option(
        name: [.customShort("t", allowingJoined: true), .long],
        help: ArgumentHelp("Only this topic, or TOPIC:0,2,5-7; may be repeated.", valueName: "topic"),
        transform: { text in try parsing { try PartitionChoice(text) } })
    var topic: [PartitionChoice] = []

    @Flag(help: "Do it.")
    var execute = false

    @Flag(help: "Show what would change, and change nothing: the default.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let chosen = [self.toStart, self.toEnd, self.toOffset != nil, self.toTime != nil, self.by != nil]
        guard chosen.count(where: { $0 }) == 1 else {
            throw ValidationError("say where to with one of --to-start, --to-end, --to-offset, --to-time and --by")
        }
        if let offset = self.toOffset, offset < 0 { throw ValidationError("--to-offset must be 0 or more") }
        guard !self.execute || !self.dryRun else { throw ValidationError("--execute and --dry-run exclude each other") }
    }

    func run() async throws {
        let target = self.target
        let (plan, hasMembers, refused) = try await self.connection.withClient { apus in
            let hasMembers = try await self.hasMembers(apus)
            // Before anything else: what follows may take long, and would be for nothing.
            if hasMembers, self.execute { throw self.refusal }
            let plan = GroupSeekPlan(target, try await self.places(target, apus))
            let refused = self.execute ? try await apus.groups.commitEach(plan.positions, for: self.name) : [:]
            if refused.count == plan.positions.count, let first = refused.min(by: { $0.key < $1.key }) {
                // Nothing was done.
                throw first.value
            }
            return (plan, hasMembers, refused)
        }
        try StandardOutput.write(
            plan.listing(isDone: self.execute, refused: refused).rendered(as: self.output.format))
        if let failure = plan.failure(of: refused) { throw failure }
        guard !self.execute, self.output.format == .table else { return }
        if hasMembers {
            StandardError.write("\(self.refusal.message): it can not be moved before they are stopped.\n")
        } else if !plan.positions.isEmpty {
            StandardError.write("Nothing was changed. With --execute it would be.\n")
        }
    }

    private var target: GroupSeekPlan.Target {
        if let offset = self.toOffset { return .offset(Offset(rawValue: offset)) }
        if let time = self.toTime?.time(at: .now) { return .time(time) }
        if let count = self.by { return .by(count) }
        return self.toStart ? .start : .end
    }

    private var refusal: ApusError {
        ApusError(.groupNotEmpty, "group \(self.name) has active members", group: self.name)
    }

    private func hasMembers(_ apus: ApusClient) async throws -> Bool {
        do {
            return try await !apus.groups.describe(self.name).state.hasNoMembers
        } catch let error as ApusError where error.code == .unknownGroup && !self.topic.isEmpty {
            // With topics named, a group may begin its life with positions.
            return false
        }
    }

    private func places(_ target: GroupSeekPlan.Target, _ apus: ApusClient) async throws -> [GroupSeekPlan.Place] {
        let positions = try await apus.groups.positions(of: self.name)
        let choices = try self.choices(positions)
        var places: [GroupSeekPlan.Place] = []
        for choice in choices {
            let starts = try await apus.topics.offsets(of: choice.topic, at: .start)
            let ends = try await apus.topics.offsets(of: choice.topic, at: .end)
            for partition in choice.partitions ?? [] where ends[partition] == nil {
                throw ApusError(
                    .unknownTopic, "\(choice.topic) has \(ends.count) partitions, there is no \(partition)",
                    topic: choice.topic)
            }
            var times: [PartitionIndex: OffsetDescription] = [:]
            if case .time(let time) = target {
                times = try await apus.topics.offsets(of: choice.topic, at: .time(time))
            }
            for (partition, end) in ends where choice.holds(partition) {
                let named = NamedPartition(choice.topic, partition)
                let position = positions[named]?.offset
                // Where the group never was it goes only when told to.
                if position == nil, self.topic.isEmpty { continue }
                places.append(
                    .init(
                        named, position: position, start: starts[partition]?.offset ?? .zero, end: end.offset,
                        timed: times[partition]?.offset))
            }
        }
        return places
    }

    private func choices(_ positions: [NamedPartition: GroupPosition]) throws -> [PartitionChoice] {
        if !self.topic.isEmpty { return self.topic }
        let topics = Set(positions.keys.map(\.topic)).sorted()
        guard !topics.isEmpty else {
            throw CommandFailure.usage(
                "group \(self.name) has no positions to move", next: "name its topics: --topic TOPIC")
        }
        return try topics.map { topic in try PartitionChoice(topic) }
    }
}
