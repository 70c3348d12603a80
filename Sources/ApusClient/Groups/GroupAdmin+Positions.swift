import ApusCore
import KafkaWire

/// Where groups are, and setting it from outside.
extension GroupAdmin {
    /// Offsets are told by topic names up to this version of OffsetCommit and OffsetFetch.
    static let versionWithNamesMax: Int16 = 9

    /// Where the group is, in each partition in which it is anywhere. Empty for a group that nobody knows.
    public func positions(of name: String) async throws -> [NamedPartition: GroupPosition] {
        let coordinator = GroupCoordinator(core: self.core, group: name)
        return try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = OffsetFetchRequest()
            request.groupID = name
            // nil: all of them.
            request.topics = nil
            var group = OffsetFetchRequest.Group()
            group.groupID = name
            group.topics = nil
            request.groups = [group]
            let response = try await coordinator.ask(request, upTo: Self.versionWithNamesMax)
            var positions: [NamedPartition: GroupPosition] = [:]
            func take(
                _ topic: String, _ index: Int32, _ code: KafkaErrorCode, _ offset: Int64, _ epoch: Int32,
                _ metadata: String?
            ) throws(ApusError) {
                if let code = code.failure { throw response.error(code, group: name) }
                guard offset >= 0 else { return }
                positions[NamedPartition(topic, PartitionIndex(rawValue: index))] = GroupPosition(
                    Offset(rawValue: offset), leaderEpoch: Epoch(rawValue: epoch), metadata: metadata ?? "")
            }
            let answer = response.groups.first { $0.groupID == name }
            if let code = (answer?.errorCode ?? response.errorCode).failure {
                // A group without positions has none, whether anybody has heard of it or not.
                if code == .groupIDNotFound { return [:] }
                throw response.error(code, group: name)
            }
            for topic in answer?.topics ?? [] {
                for one in topic.partitions {
                    try take(
                        topic.name, one.partitionIndex, one.errorCode, one.committedOffset, one.committedLeaderEpoch,
                        one.metadata)
                }
            }
            for topic in response.topics {
                for one in topic.partitions {
                    try take(
                        topic.name, one.partitionIndex, one.errorCode, one.committedOffset, one.committedLeaderEpoch,
                        one.metadata)
                }
            }
            return positions
        }
    }

    /// Sets positions of a group without members; the group comes to be if nobody knows it.
    /// - Throws: `.groupNotEmpty` while it has members, `.unknownTopic`, `.invalidArgument` for an offset below 0. What
    ///   one partition refused is thrown when others are set, too: ``commitEach(_:for:)`` tells them apart.
    public func commit(_ positions: [NamedPartition: GroupPosition], for name: String) async throws {
        let refused = try await self.commitEach(positions, for: name)
        if let first = refused.min(by: { $0.key < $1.key }) { throw first.value }
    }

    /// The same, and says in which partitions it was refused and why; in all others the position is set. Any number of
    /// them: at most ``ClientLimits/positionsPerRequestMax`` go at once.
    /// - Throws: `.invalidArgument` for an offset below 0, and what keeps the first request from being answered. Then
    ///   nothing is known to be set.
    public func commitEach(
        _ positions: [NamedPartition: GroupPosition], for name: String
    ) async throws -> [NamedPartition: ApusError] {
        for (partition, position) in positions where position.offset < .zero {
            throw ApusError(.invalidArgument, "\(partition): an offset is 0 or more, not \(position.offset)")
        }
        var refused: [NamedPartition: ApusError] = [:]
        let pieces = Self.pieces(of: positions)
        for (place, piece) in pieces.enumerated() {
            do {
                refused.merge(try await self.commit(piece: piece, for: name)) { $1 }
            } catch let error as ApusError where place > 0 {
                // Some are set: that is worth more than how it ended.
                for rest in pieces[place...] { refused.merge(rest.mapValues { _ in error }) { $1 } }
                break
            }
        }
        return refused
    }

    /// In order, each no larger than a broker takes.
    static func pieces(of positions: [NamedPartition: GroupPosition]) -> [[NamedPartition: GroupPosition]] {
        let size = ClientLimits.positionsPerRequestMax
        if positions.count <= size { return positions.isEmpty ? [] : [positions] }
        let partitions = positions.keys.sorted()
        return stride(from: 0, to: partitions.count, by: size).map { start in
            partitions[start..<min(start + size, partitions.count)].reduce(into: [:]) { $0[$1] = positions[$1] }
        }
    }

    private func commit(
        piece positions: [NamedPartition: GroupPosition], for name: String
    ) async throws -> [NamedPartition: ApusError] {
        var request = OffsetCommitRequest()
        request.groupID = name
        // Not a member's: generation −1, no member id.
        request.generationIDOrMemberEpoch = -1
        request.topics = Self.commitTopics(positions)
        let coordinator = GroupCoordinator(core: self.core, group: name)
        var refused: [NamedPartition: ApusError] = [:]
        do {
            // The same positions twice are the same as once.
            try await self.core.retrying(repeatingIndefinite: true) { [request] () throws(ApusError) in
                let response = try await coordinator.ask(request, upTo: Self.versionWithNamesMax)
                refused = Self.refused(by: response, name)
                if let passing = refused.values.first(where: \.isRetryable) { throw passing }
            }
        } catch is ApusError where !refused.isEmpty {
            // The time is over: the last answer holds.
        }
        return refused
    }

    private static func refused(
        by response: BrokerAnswer<OffsetCommitResponse>, _ name: String
    ) -> [NamedPartition: ApusError] {
        var refused: [NamedPartition: ApusError] = [:]
        for topic in response.topics {
            for one in topic.partitions {
                guard let code = one.errorCode.failure else { continue }
                refused[NamedPartition(topic.name, PartitionIndex(rawValue: one.partitionIndex))] = Self.error(
                    code, response, name, topic.name, one.partitionIndex)
            }
        }
        return refused
    }

    /// What a commit says of positions.
    static func commitTopics(_ positions: [NamedPartition: GroupPosition]) -> [OffsetCommitRequest.Topic] {
        Self.byTopic(positions.keys).map { topic, partitions in
            var wanted = OffsetCommitRequest.Topic()
            wanted.name = topic
            wanted.partitions = partitions.compactMap { partition in
                guard let position = positions[partition] else { return nil }
                var one = OffsetCommitRequest.Partition()
                one.partitionIndex = partition.partition.rawValue
                one.committedOffset = position.offset.rawValue
                one.committedLeaderEpoch = position.leaderEpoch.rawValue
                one.committedMetadata = position.metadata
                return one
            }
            return wanted
        }
    }

    /// Forgets positions of a group, of topics that no member of it is subscribed to.
    /// - Throws: `.unknownGroup`, `.groupNotEmpty`, `.unknownTopic`.
    public func deletePositions(of name: String, in partitions: some Collection<NamedPartition>) async throws {
        guard !partitions.isEmpty else { return }
        var request = OffsetDeleteRequest()
        request.groupID = name
        request.topics = Self.byTopic(partitions).map { topic, partitions in
            var wanted = OffsetDeleteRequest.Topic()
            wanted.name = topic
            wanted.partitions = partitions.map { partition in
                var one = OffsetDeleteRequest.Partition()
                one.partitionIndex = partition.partition.rawValue
                return one
            }
            return wanted
        }
        let coordinator = GroupCoordinator(core: self.core, group: name)
        try await self.core.retrying(repeatingIndefinite: true) { [request] () throws(ApusError) in
            let response = try await coordinator.ask(request)
            if let code = response.errorCode.failure { throw response.adminError(code, group: name) }
            for topic in response.topics {
                for one in topic.partitions {
                    guard let code = one.errorCode.failure else { continue }
                    throw Self.error(code, response, name, topic.name, one.partitionIndex)
                }
            }
        }
    }

    private static func byTopic(_ partitions: some Collection<NamedPartition>) -> [(String, [NamedPartition])] {
        Dictionary(grouping: partitions, by: \.topic).sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted()) }
    }

    private static func error<Response>(
        _ code: KafkaErrorCode, _ response: BrokerAnswer<Response>, _ group: String, _ topic: String, _ index: Int32
    ) -> ApusError {
        switch code {
        case .unknownTopicOrPartition, .unknownTopicID, .topicAuthorizationFailed:
            var error = response.error(code, "\(topic)/\(index)", topic: topic)
            // To ask again about a topic that is not there would only take time.
            error.isRetryable = false
            return error
        case .offsetMetadataTooLarge:
            return response.error(code, "\(topic)/\(index): what stands beside the offset is too long", topic: topic)
        default: return response.adminError(code, group: group)
        }
    }
}

/// How far behind groups are.
extension GroupAdmin {
    /// Each partition in which the group has a position, or a member of `group` has it assigned, in order.
    /// - Parameter group: as ``describe(_:)`` gave it; nil to look at positions alone.
    public func lag(of name: String, describedAs group: GroupDescription? = nil) async throws -> [GroupLag] {
        let positions = try await self.positions(of: name)
        var members: [NamedPartition: String] = [:]
        for member in group?.members ?? [] {
            for partition in member.partitions { members[partition] = member.id }
        }
        let partitions = Set(positions.keys).union(members.keys)
        var ends: [NamedPartition: (start: Offset, end: Offset)] = [:]
        for topic in Set(partitions.map(\.topic)).sorted() {
            for (index, range) in try await self.ranges(of: topic) { ends[NamedPartition(topic, index)] = range }
        }
        return partitions.sorted().map { partition in
            GroupLag(
                partition: partition, position: positions[partition], start: ends[partition]?.start,
                end: ends[partition]?.end, member: members[partition])
        }
    }

    /// The first offset of each partition and the one behind the last; none when there is no such topic.
    private func ranges(of topic: String) async throws -> [PartitionIndex: (start: Offset, end: Offset)] {
        let topics = TopicAdmin(core: self.core)
        do {
            let starts = try await topics.offsets(of: topic, at: .start)
            let ends = try await topics.offsets(of: topic, at: .end)
            return ends.reduce(into: [:]) { ranges, end in
                ranges[end.key] = (starts[end.key]?.offset ?? .zero, end.value.offset)
            }
        } catch let error as ApusError where error.code == .unknownTopic {
            // The positions may outlive the topic for a while.
            return [:]
        }
    }
}
