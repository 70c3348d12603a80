import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire

/// The fetch sessions of one event loop (KIP-227): a consumer names its partitions once, and later only what changed;
/// it is told only what changed, too.
///
/// A session belongs to the loop it was begun on. A client that comes back on another loop is told that its session is
/// not known, which is legal at any time, and begins a new one.
struct FetchSessions {
    /// How a fetch is to be served.
    enum Plan {
        /// Answer all the partitions, as session `id`; 0 is none.
        case whole(id: Int32, [FetchEntry])
        /// Answer those that changed.
        case changes(id: Int32, [FetchEntry])
        /// Answer nothing but this code.
        case refused(KafkaErrorCode)
    }

    /// What a fetch says of its session.
    struct Request {
        var id: Int32
        var epoch: Int32
        /// Topics are named by id.
        var isByID: Bool
        var entries: [FetchEntry]
        var forgotten: [PartitionReference]
        /// Who asks: nobody else's sessions are known to him.
        var owner: Principal
    }

    fileprivate struct Partition {
        var entry: FetchEntry
        /// What the client was told last; −1 makes it be told again.
        var highWatermark = Offset(rawValue: -1)
        var logStartOffset = Offset(rawValue: -1)

        var reference: PartitionReference { self.entry.reference }
    }

    fileprivate struct Session {
        /// The epoch that the next fetch must have.
        var epoch: Int32
        var isByID: Bool
        let owner: Principal
        var partitions: [Partition] = []
        var places: [PartitionReference: Int] = [:]
        /// Where the next fetch begins, so that partitions that always have much to give do not starve the others.
        var start = 0
        var lastUsed: UInt64
    }

    private let countMax: Int
    private let partitionsMax: Int
    private var sessions: [Int32: Session] = [:]
    private var partitionCount = 0

    init(countMax: Int, partitionsMax: Int = Limits.fetchSessionPartitionsMax) {
        self.countMax = countMax
        self.partitionsMax = partitionsMax
    }

    var count: Int { self.sessions.count }

    // MARK: Before a fetch

    /// - Parameters:
    ///   - sweep: now, in sweeps.
    ///   - newID: a random number; asked again while the one it gave is taken.
    mutating func plan(_ request: Request, at sweep: UInt64, newID: () -> Int32) -> Plan {
        switch request.epoch {
        case Self.epochNone:
            self.end(request)
            return .whole(id: 0, request.entries)
        case Self.epochFirst:
            self.end(request)
            return .whole(id: self.begin(request, at: sweep, newID: newID), request.entries)
        default:
            return self.continued(request, at: sweep)
        }
    }

    /// The session that a request names goes, if it is his who asks.
    private mutating func end(_ request: Request) {
        guard self.sessions[request.id]?.owner == request.owner else { return }
        self.remove(request.id)
    }

    /// The new session's number, or 0 when there is no room for one.
    private mutating func begin(_ request: Request, at sweep: UInt64, newID: () -> Int32) -> Int32 {
        guard !request.entries.isEmpty, self.sessions.count < self.countMax,
            self.partitionCount + request.entries.count <= self.partitionsMax
        else { return 0 }
        var id = newID()
        while id <= 0 || self.sessions[id] != nil { id = newID() }
        var session = Session(epoch: 1, isByID: request.isByID, owner: request.owner, lastUsed: sweep)
        for entry in request.entries { session.put(entry) }
        // A partition named twice would have two places; such a request gets its answer and no session.
        guard session.partitions.count == request.entries.count else { return 0 }
        self.sessions[id] = session
        self.partitionCount += session.partitions.count
        return id
    }

    private mutating func continued(_ request: Request, at sweep: UInt64) -> Plan {
        guard var session = self.sessions[request.id], session.owner == request.owner else {
            return .refused(.fetchSessionIDNotFound)
        }
        guard session.isByID == request.isByID else { return .refused(.fetchSessionTopicIDError) }
        guard session.epoch == request.epoch else { return .refused(.invalidFetchSessionEpoch) }
        let before = session.partitions.count
        self.sessions[request.id] = nil
        for entry in request.entries { session.put(entry) }
        session.drop(request.forgotten)
        self.partitionCount += session.partitions.count - before
        guard self.partitionCount <= self.partitionsMax, !session.partitions.isEmpty else {
            self.partitionCount -= session.partitions.count
            // Nothing left to remember: answered without a session. Too much: the client begins again with all of it.
            return session.partitions.isEmpty ? .whole(id: 0, []) : .refused(.fetchSessionIDNotFound)
        }
        session.epoch = Self.epoch(after: session.epoch)
        session.lastUsed = sweep
        let entries = session.inTurn.map { session.partitions[$0].entry }
        self.sessions[request.id] = session
        return .changes(id: request.id, entries)
    }

    // MARK: After a fetch

    /// Which of the entries of a plan have news for the client. Remembers that it will have been told.
    ///
    /// - Parameter plan: as given; its entries are in the order of `results`.
    /// - Returns: nil when the session was used by another fetch in between, or is gone.
    mutating func news(id: Int32, epoch: Int32, results: [FetchResult]) -> [Bool]? {
        guard id != 0 else { return results.map { _ in true } }
        guard var session = self.sessions[id], session.epoch == Self.epoch(after: epoch),
            session.partitions.count == results.count
        else { return nil }
        self.sessions[id] = nil
        let turn = session.inTurn
        var news: [Bool] = []
        for (place, result) in zip(turn, results) { news.append(session.tell(place, result)) }
        if let last = results.lastIndex(where: { !$0.batches.isEmpty }) {
            session.start = (turn[last] + 1) % session.partitions.count
        }
        self.sessions[id] = session
        return news
    }

    mutating func remove(_ id: Int32) {
        guard let session = self.sessions.removeValue(forKey: id) else { return }
        self.partitionCount -= session.partitions.count
    }

    /// Forgets the sessions that were not used for ``Limits/fetchSessionIdleMax``.
    mutating func expire(at sweep: UInt64) {
        let period = Limits.connectionSweepPeriod.wholeMilliseconds
        let sweeps = UInt64(Limits.fetchSessionIdleMax.wholeMilliseconds / period)
        for id in self.sessions.filter({ sweep - $0.value.lastUsed >= sweeps }).keys { self.remove(id) }
    }

    /// The epoch after `epoch`; it never comes back to 0, which would begin a session.
    static func epoch(after epoch: Int32) -> Int32 {
        epoch == Int32.max ? 1 : epoch + 1
    }

    private static let epochNone: Int32 = -1
    private static let epochFirst: Int32 = 0
}

extension FetchSessions.Session {
    /// The places of all partitions, the one whose turn it is first.
    fileprivate var inTurn: [Int] {
        self.partitions.indices.map { ($0 + self.start) % self.partitions.count }
    }

    fileprivate mutating func put(_ entry: FetchEntry) {
        if let place = self.places[entry.reference] {
            self.partitions[place].entry = entry
        } else {
            self.places[entry.reference] = self.partitions.count
            self.partitions.append(FetchSessions.Partition(entry: entry))
        }
    }

    fileprivate mutating func drop(_ forgotten: [PartitionReference]) {
        let gone = Set(forgotten.compactMap { self.places[$0] })
        guard !gone.isEmpty else { return }
        self.partitions = self.partitions.indices.filter { !gone.contains($0) }.map { self.partitions[$0] }
        self.places = [:]
        for (place, partition) in self.partitions.enumerated() { self.places[partition.reference] = place }
        self.start = 0
    }

    /// Whether the client must be told, and remembers what it is told.
    fileprivate mutating func tell(_ place: Int, _ result: FetchResult) -> Bool {
        let isNews =
            result.error != nil || !result.batches.isEmpty || result.divergingEpoch != nil
            || result.highWatermark != self.partitions[place].highWatermark
            || result.logStartOffset != self.partitions[place].logStartOffset
        // After an error the client must hear of the partition again, even if nothing else changes.
        self.partitions[place].highWatermark = result.error == nil ? result.highWatermark : Offset(rawValue: -1)
        self.partitions[place].logStartOffset = result.logStartOffset
        return isNews
    }
}

extension FetchEntry {
    fileprivate var reference: PartitionReference {
        PartitionReference(topic: self.topic, partition: self.partition)
    }
}
