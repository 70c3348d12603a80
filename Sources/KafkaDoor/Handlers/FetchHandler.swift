import ApusBroker
import ApusCore
import KafkaWire

/// Fetch (1): reads whole batches, waiting until there are enough bytes or long enough (KIP-74, KIP-227, KIP-516).
///
/// One that `yields` (ours) waits only until something is asked behind it: an endpoint server asks everything over one
/// connection, and answers leave in order.
///
/// The answer's record bytes are those of the log, shared and not copied.
enum FetchHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 4...17

    /// From here on an answer has an error of its own, and there are sessions (KIP-227).
    private static let versionSessions: Int16 = 7
    /// From here on clients read zstd (KIP-110).
    private static let versionZstd: Int16 = 10
    /// From here on topics are named by id (KIP-516).
    private static let versionByID: Int16 = 13
    /// From here on a replica says so in a tagged field (KIP-903).
    private static let versionReplicaState: Int16 = 15

    static func handle(_ request: inout FetchRequest, _ exchange: Exchange<FetchResponse>) {
        let asked = self.entries(request, exchange.version)
        let replica =
            exchange.version >= self.versionReplicaState ? request.replicaState.replicaID : request.replicaID
        // Replicas fetch on the brokers' own port; here the number would move another broker's place in the log.
        guard replica < 0 else { return self.refuse(asked, .clusterAuthorizationFailed, exchange) }
        let session = FetchSessions.Request(
            id: request.sessionID, epoch: exchange.version >= self.versionSessions ? request.sessionEpoch : -1,
            isByID: exchange.version >= self.versionByID, entries: asked,
            forgotten: self.forgotten(request, exchange.version), owner: exchange.client.principal
        )
        let sweep = exchange.sweep
        let plan = exchange.withSessions {
            $0.plan(session, at: sweep, newID: { Int32.random(in: 1...Int32.max) })
        }
        let (bytesMin, bytesMax) = (max(0, Int(request.minBytes)), max(0, Int(request.maxBytes)))
        let limits = FetchLimits(
            bytesMin: ByteCount(rawValue: bytesMin),
            bytesMax: ByteCount(rawValue: exchange.pace.bytesMax(asked: bytesMax, atLeast: bytesMin)),
            waitMax: .milliseconds(max(0, request.maxWaitMs)),
            isolation: request.isolationLevel == 1 ? .committed : .uncommitted
        )
        switch plan {
        case .refused(let code):
            var response = FetchResponse()
            response.errorCode = code
            exchange.answer(response)
        case .whole(let id, let entries):
            // A new session's first fetch counts as its epoch 0.
            self.run(entries, limits, Told(id: id, epoch: 0, isWhole: true), exchange, yields: request.yields)
        case .changes(let id, let entries):
            let told = Told(id: id, epoch: request.sessionEpoch, isWhole: false)
            self.run(entries, limits, told, exchange, yields: request.yields)
        }
    }

    /// What of the answer the client must be told.
    private struct Told: Sendable {
        var id: Int32
        var epoch: Int32
        var isWhole: Bool
    }

    private static func run(
        _ entries: [FetchEntry], _ limits: FetchLimits, _ told: Told, _ exchange: Exchange<FetchResponse>,
        yields: Bool
    ) {
        let ticket = exchange.broker.fetch(
            entries, limits: limits, client: exchange.client, memory: exchange.replyMemory, on: exchange.loop
        ) { results in
            let results = self.withoutZstd(results, of: entries, exchange)
            let news = exchange.withSessions { $0.news(id: told.id, epoch: told.epoch, results: results) }
            guard let news else {
                var response = FetchResponse()
                response.errorCode = .invalidFetchSessionEpoch
                return exchange.answer(response)
            }
            var response = self.response(
                to: entries, results, isCommitted: limits.isolation == .committed,
                tells: { told.isWhole || news[$0] }
            )
            response.sessionID = told.id
            let bytes = results.reduce(ByteCount.zero) { $0 + $1.byteCount }
            if bytes > .zero { response.throttleTimeMs = exchange.throttle { $0.fetched(bytes) } }
            exchange.answer(response)
        }
        exchange.hold(ticket, yields: yields)
    }

    // MARK: Reading the request

    private static func entries(_ request: FetchRequest, _ version: Int16) -> [FetchEntry] {
        var entries: [FetchEntry] = []
        for topic in request.topics {
            let reference = TopicReference(name: topic.topic, id: topic.topicID, byID: version >= self.versionByID)
            for partition in topic.partitions {
                entries.append(
                    FetchEntry(
                        topic: reference, partition: PartitionIndex(rawValue: partition.partition),
                        offset: Offset(rawValue: partition.fetchOffset),
                        bytesMax: ByteCount(rawValue: max(0, Int(partition.partitionMaxBytes))),
                        currentLeaderEpoch: Epoch(rawValue: partition.currentLeaderEpoch),
                        lastFetchedEpoch: Epoch(rawValue: partition.lastFetchedEpoch)
                    )
                )
            }
        }
        return entries
    }

    private static func forgotten(_ request: FetchRequest, _ version: Int16) -> [PartitionReference] {
        request.forgottenTopicsData.flatMap { topic in
            let reference = TopicReference(name: topic.topic, id: topic.topicID, byID: version >= self.versionByID)
            return topic.partitions.map {
                PartitionReference(topic: reference, partition: PartitionIndex(rawValue: $0))
            }
        }
    }

    // MARK: Making the answer

    private static func response(
        to entries: [FetchEntry], _ results: [FetchResult], isCommitted: Bool, tells: (Int) -> Bool
    ) -> FetchResponse {
        precondition(entries.count == results.count, "an answer for every entry")
        var response = FetchResponse()
        var last: TopicReference?
        for index in entries.indices where tells(index) {
            let entry = entries[index]
            if entry.topic != last {
                response.responses.append(FetchResponse.Topic(entry.topic))
                last = entry.topic
            }
            let partition = FetchResponse.Partition(entry.partition, results[index], isCommitted: isCommitted)
            response.responses[response.responses.count - 1].partitions.append(partition)
        }
        return response
    }

    private static func refuse(
        _ entries: [FetchEntry], _ code: KafkaErrorCode, _ exchange: Exchange<FetchResponse>
    ) {
        var response = FetchResponse()
        if exchange.version >= self.versionSessions {
            response.errorCode = code
        } else {
            let results = entries.map { _ in FetchResult() }
            response = self.response(to: entries, results, isCommitted: false) { _ in true }
            for topic in response.responses.indices {
                for partition in response.responses[topic].partitions.indices {
                    response.responses[topic].partitions[partition].errorCode = code
                }
            }
        }
        exchange.answer(response)
    }

    /// Clients of old versions can not read zstd; a topic that is kept in it refuses them (KIP-110).
    private static func withoutZstd(
        _ results: [FetchResult], of entries: [FetchEntry], _ exchange: Exchange<FetchResponse>
    ) -> [FetchResult] {
        guard exchange.version < self.versionZstd else { return results }
        let topics = exchange.broker.topics
        return zip(entries, results).map { entry, result in
            guard result.error == nil, let topic = try? topics.topic(entry.topic),
                topic.configuration.overrides["compression.type"] == CompressionCodec.zstd.name
            else { return result }
            return FetchResult(error: .unsupportedCompression("The topic is kept in zstd."))
        }
    }
}

extension FetchResponse.Topic {
    fileprivate init(_ reference: TopicReference) {
        self.init()
        switch reference {
        case .name(let name): self.topic = name
        case .id(let id): self.topicID = id.wire
        }
    }
}

extension FetchResponse.Partition {
    fileprivate init(_ index: PartitionIndex, _ result: FetchResult, isCommitted: Bool) {
        self.init()
        self.partitionIndex = index.rawValue
        self.errorCode = result.error?.kafkaCode ?? .none
        self.highWatermark = result.highWatermark.rawValue
        self.lastStableOffset = result.lastStableOffset.rawValue
        self.logStartOffset = result.logStartOffset.rawValue
        // Null when nothing was asked about transactions; there are none, so none were aborted.
        self.abortedTransactions = isCommitted ? [] : nil
        if let diverging = result.divergingEpoch {
            self.divergingEpoch.epoch = diverging.epoch.rawValue
            self.divergingEpoch.endOffset = diverging.endOffset.rawValue
        }
        // No records are zero bytes, not null: some clients take null for a malformed answer.
        self.records = WireRecords(result.batches)
    }
}
