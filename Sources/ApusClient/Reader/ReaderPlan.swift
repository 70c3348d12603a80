import ApusCore
import NIOCore

/// What a reader was asked for, before any broker was.
struct ReaderPlan: Sendable {
    var topic: String
    var partitions: [PartitionIndex]?
    var start: ReaderStart
    var end: ReaderEnd
    var options: ReaderOptions

    /// Finds out the offsets, and begins to fetch.
    func start(on core: ClientCore) async throws -> ReaderLease {
        try await core.learn([self.topic], within: core.configuration.callTimeout)
        let known = await core.ask { core.metadata.topics[self.topic] }
        guard let topic = known else { throw ApusError(.unknownTopic, self.topic, topic: self.topic) }
        let partitions = try self.chosen(of: topic)
        let starts = try await self.starts(partitions, core)
        let ends = try await self.ends(partitions, core)
        let positions = partitions.map { partition in
            ReaderPosition(partition, from: starts[partition] ?? .zero, until: ends?[partition] ?? nil)
        }
        let mailbox = ReaderMailbox(bytesMax: self.options.bufferedBytesMax.rawValue)
        let engine = await core.ask {
            let engine = ReaderEngine(
                core: core, topic: topic, options: self.options, number: core.nextReader(), positions: positions,
                mailbox: mailbox
            )
            guard !core.isClosed else {
                mailbox.end(.failure(ClientCore.closedError))
                return engine
            }
            engine.start()
            return engine
        }
        return ReaderLease(engine)
    }

    private func chosen(of topic: TopicDescription) throws(ApusError) -> [PartitionIndex] {
        guard let asked = self.partitions else { return topic.partitions.map(\.index) }
        for partition in asked where !topic.partitions.indices.contains(Int(partition.rawValue)) {
            throw ApusError(
                .unknownTopic, "\(topic.name) has \(topic.partitions.count) partitions, there is no \(partition)",
                topic: topic.name)
        }
        return Set(asked).sorted()
    }

    private func starts(
        _ partitions: [PartitionIndex], _ core: ClientCore
    ) async throws -> [PartitionIndex: Offset] {
        switch self.start {
        case .start: return try await self.offsets(partitions, .start, core)
        case .end: return try await self.offsets(partitions, .end, core)
        case .time(let time): return try await self.offsets(partitions, at: time, core)
        case .offset(let offset):
            guard offset >= .zero else { throw ApusError(.invalidArgument, "an offset is 0 or more, not \(offset)") }
            return Dictionary(uniqueKeysWithValues: partitions.map { ($0, offset) })
        case .offsets(let offsets):
            let rest = partitions.filter { offsets[$0] == nil }
            let oldest = rest.isEmpty ? [:] : try await self.offsets(rest, .start, core)
            return offsets.merging(oldest) { asked, _ in asked }
        case .last(let count):
            guard count >= 0 else { throw ApusError(.invalidArgument, "\(count) records from the end") }
            let oldest = try await self.offsets(partitions, .start, core)
            let ends = try await self.offsets(partitions, .end, core)
            return ends.reduce(into: [:]) { starts, end in
                let back = end.value.rawValue - min(Int64(count), end.value.rawValue)
                starts[end.key] = max(oldest[end.key] ?? .zero, Offset(rawValue: back))
            }
        }
    }

    private func ends(_ partitions: [PartitionIndex], _ core: ClientCore) async throws -> [PartitionIndex: Offset]? {
        switch self.end {
        case .never: return nil
        case .end: return try await self.offsets(partitions, .end, core)
        case .offset(let offset): return Dictionary(uniqueKeysWithValues: partitions.map { ($0, offset) })
        case .time(let time): return try await self.offsets(partitions, at: time, core)
        }
    }

    /// The first record at that time or later; the end where there is none.
    private func offsets(
        _ partitions: [PartitionIndex], at time: Timestamp, _ core: ClientCore
    ) async throws -> [PartitionIndex: Offset] {
        guard time.rawValue >= 0 else { throw ApusError(.invalidArgument, "a time before 1970: \(time.rawValue)") }
        // The end first: a record that comes between the two questions must not be missed.
        let ends = try await self.offsets(partitions, .end, core)
        let found = try await self.offsets(partitions, .time(time), core)
        return ends.merging(found) { _, found in found }
    }

    private func offsets(
        _ partitions: [PartitionIndex], _ question: OffsetQuestion, _ core: ClientCore
    ) async throws -> [PartitionIndex: Offset] {
        let lookup = OffsetLookup(
            topic: self.topic, partitions: partitions, question: question, isolation: self.options.isolation)
        return try await lookup.run(on: core).mapValues(\.offset)
    }
}
