import ApusCore
import NIOCore

/// One fetch request: read all of its partitions; if that is too little, park on all of them, and read again when one
/// of them has enough or the time is over. Answers once, for all shards together.
///
/// Memory is set aside before every read and kept until the answer is in other hands; who is parked holds none.
///
/// Unchecked because: everything but ``cancel()`` is touched on the home loop only, the one that the caller named.
final class FetchOperation: @unchecked Sendable {
    private enum State {
        /// For memory to read into.
        case waiting(ReplyMemory.Ticket)
        case reading
        case parked
        case answered
    }

    private let home: ShardMailbox
    private let memory: ReplyMemory?
    private let limits: FetchLimits
    /// nil: the broker reads for itself.
    private var rights: FetchRights?
    private let deadline: Instant
    private let parts: [FetchPart]
    private var results: [FetchResult]
    private var state = State.reading
    private var partsReading = 0
    /// What is set aside for the read under way.
    private var grant: ReplyMemory.Grant?
    /// There may be more to read than there was memory for: waiting for more bytes would wait for nothing.
    private var isCutShort = false
    /// Counts the parkings, so that a late wake-up of an earlier one is known as such.
    private var round: UInt32 = 0
    private var isTimeOver: Bool
    private var then: (([FetchResult]) -> Void)?

    /// - Parameter results: one for each entry; those that are no part's business have their error already.
    init(
        home: ShardMailbox, memory: ReplyMemory?, limits: FetchLimits, rights: FetchRights?, now: Instant,
        parts: [FetchPart], results: [FetchResult], then: @escaping ([FetchResult]) -> Void
    ) {
        self.home = home
        self.memory = memory
        self.limits = limits
        self.rights = rights
        self.deadline = now.advanced(by: limits.waitMax)
        self.parts = parts
        self.results = results
        self.isTimeOver = limits.waitMax <= .zero
        self.then = then
    }

    /// From any thread, once.
    func start() {
        self.home.run {
            guard !self.parts.isEmpty else { return self.answer() }
            for part in self.parts { part.operation = self }
            self.read()
        }
    }

    private func read() {
        guard let memory = self.memory else { return self.readParts() }
        let reservation = memory.reserve(self.wish, on: self.home.loop) { self.granted($0) }
        switch reservation {
        case .granted(let grant): self.read(with: grant)
        case .waiting(let ticket): self.state = .waiting(ticket)
        }
    }

    /// The shards read beside one another, each as if it were alone.
    private lazy var wish: ReplyMemory.Wish = {
        var wish = ReplyMemory.Wish(most: .zero, least: .zero)
        for part in self.parts {
            wish.most = wish.most + min(part.bytesWanted, self.limits.bytesMax)
            wish.least = wish.least + part.batchBytesMax
        }
        return wish
    }()

    private func granted(_ grant: ReplyMemory.Grant) {
        // Cancelled when the grant was on its way.
        guard case .waiting = self.state else {
            self.memory?.release(grant)
            return
        }
        self.read(with: grant)
    }

    private func read(with grant: ReplyMemory.Grant) {
        self.grant = grant
        self.isCutShort = grant.share < self.wish.most
        let share = ByteCount(rawValue: max(1, grant.share.rawValue / self.parts.count))
        for part in self.parts {
            part.bytesMax = self.isCutShort ? min(share, self.limits.bytesMax) : self.limits.bytesMax
        }
        self.readParts()
    }

    private func giveBack() {
        if let grant = self.grant.take() { self.memory?.release(grant) }
    }

    private func readParts() {
        self.state = .reading
        self.partsReading = self.parts.count
        for part in self.parts { part.shard.mailbox.run { part.shard.read(part) } }
    }

    /// From the part's shard, once for each read. The part is untouched there until it is told to park or read.
    func partRead(_ part: FetchPart) {
        self.home.run {
            self.partsReading -= 1
            if case .reading = self.state {
                for (entry, result) in zip(part.entries, part.results) { self.results[entry.position] = result }
                if self.partsReading == 0 { self.decide() }
            } else {
                // Cancelled; the disk is done with the memory only now.
                part.operation = nil
                part.forgetBatches()
                if self.partsReading == 0 { self.giveBack() }
            }
        }
    }

    private func decide() {
        self.refuseWhatWasRevoked()
        var byteCount = 0
        var isUrgent = self.isTimeOver
        for result in self.results {
            for batch in result.batches { byteCount += batch.readableBytes }
            if result.error != nil || result.divergingEpoch != nil { isUrgent = true }
        }
        if self.isCutShort, byteCount > 0 { isUrgent = true }
        guard !isUrgent, byteCount < self.limits.bytesMin.rawValue else { return self.answer() }
        self.state = .parked
        // They are read again: who waits takes no memory.
        for index in self.results.indices { self.results[index].batches = [] }
        for part in self.parts { part.forgetBatches() }
        self.giveBack()
        self.round &+= 1
        let missing = self.limits.bytesMin.rawValue - byteCount
        let round = self.round
        let deadline = self.deadline
        for part in self.parts {
            part.shard.mailbox.run { part.shard.park(part, missing: missing, until: deadline, round: round) }
        }
    }

    /// It may have waited long: what may no longer be read is not told, although it was read.
    private func refuseWhatWasRevoked() {
        guard self.rights?.haveChanged() == true, let rights = self.rights else { return }
        for part in self.parts {
            for (index, entry) in part.entries.enumerated() where !rights.allow(entry.topic) {
                part.results[index] = FetchResult(error: .topicAuthorizationFailed)
                self.results[entry.position] = part.results[index]
            }
        }
    }

    /// From a part's shard: there is enough to read now, or the time is over, or something about a partition changed.
    func woken(round: UInt32, isTimeOver: Bool) {
        self.home.run {
            guard case .parked = self.state, round == self.round else { return }
            self.isTimeOver = isTimeOver
            self.unpark()
            self.read()
        }
    }

    /// It waits no longer. Any thread.
    func hurry() {
        self.home.run {
            switch self.state {
            case .answered: return
            case .parked: self.woken(round: self.round, isTimeOver: true)
            case .waiting, .reading: self.isTimeOver = true
            }
        }
    }

    /// The client has gone. Any thread.
    func cancel() {
        self.home.run {
            switch self.state {
            case .answered: return
            case .reading: break
            case .parked: for part in self.parts { part.shard.mailbox.run { part.shard.forget(part) } }
            case .waiting(let ticket):
                self.memory?.leave(ticket)
                for part in self.parts { part.operation = nil }
            }
            self.state = .answered
            self.then = nil
            self.results = []
        }
    }

    private func unpark() {
        for part in self.parts { part.shard.mailbox.run { part.shard.unpark(part) } }
    }

    private func answer() {
        self.state = .answered
        // No part is parked or reading now; they and we must not keep one another.
        for part in self.parts {
            part.operation = nil
            part.forgetBatches()
        }
        self.trim()
        let (then, results) = (self.then, self.results)
        self.then = nil
        self.results = []
        then?(results)
        // Only now: whoever took the answer counts it by now.
        self.giveBack()
    }

    /// Partitions are read beside one another, so together they may have found more than was asked for. What is first
    /// in the request stays; the first batch of all stays even when it alone is too large (KIP-74).
    private func trim() {
        var byteCount = 0
        for index in self.results.indices where !self.results[index].batches.isEmpty {
            let whole = self.results[index].byteCount.rawValue
            if byteCount + whole <= self.limits.bytesMax.rawValue {
                byteCount += whole
                continue
            }
            var kept = 0
            for batch in self.results[index].batches {
                guard byteCount == 0 || byteCount + batch.readableBytes <= self.limits.bytesMax.rawValue else { break }
                byteCount += batch.readableBytes
                kept += 1
            }
            self.results[index].batches.removeSubrange(kept...)
        }
    }
}

/// The entries of one fetch that one shard owns.
///
/// Unchecked because: it goes back and forth whole. The operation leaves it alone between handing it to the shard and
/// ``FetchOperation/partRead(_:)``; what says "shard" is touched on the shard's loop only.
final class FetchPart: @unchecked Sendable {
    struct Entry {
        let topic: Topic
        let wish: FetchEntry
        /// Its place in the request.
        let position: Int

        var id: TopicPartition { TopicPartition(topic: self.topic.id, partition: self.wish.partition) }
    }

    let shard: Shard
    let entries: [Entry]
    let reader: WindowReader
    /// The most bytes of the next read; one batch may go over it. Set between reads.
    var bytesMax: ByteCount
    /// Set before the first read.
    var operation: FetchOperation?
    /// One for each entry, complete when the part is read.
    var results: [FetchResult]

    // MARK: Shard

    /// What was seen of each partition at the last read; parking is for what comes after it.
    var seen: [Seen]
    var readsPending = 0
    var bytesFound = 0
    /// Bytes that this read may still take from the page cache on the event loop itself.
    var cachedBytesLeft = 0
    var isParked = false
    var bytesMissing = 0
    var round: UInt32 = 0
    var timer: TimerWheel<ShardDeadline>.Timer?

    struct Seen {
        var slot: PartitionSlot?
        var visibleBytes: Int64 = 0
    }

    init(shard: Shard, reader: WindowReader, limits: FetchLimits, entries: [Entry]) {
        self.shard = shard
        self.reader = reader
        self.entries = entries
        self.bytesMax = limits.bytesMax
        self.results = [FetchResult](repeating: FetchResult(), count: entries.count)
        self.seen = [Seen](repeating: Seen(), count: entries.count)
    }

    /// What its entries ask for, all together.
    var bytesWanted: ByteCount {
        .bytes(self.entries.reduce(0) { min($0 + $1.wish.bytesMax.rawValue, Limits.fetchBytesMax.rawValue) })
    }

    /// The largest batch that its partitions take.
    var batchBytesMax: ByteCount {
        self.entries.reduce(.zero) { max($0, min($1.topic.configuration.batchBytesMax, Limits.frameBytesMax)) }
    }

    /// What was found is in other hands, or is read again.
    func forgetBatches() {
        for index in self.results.indices { self.results[index].batches = [] }
    }
}
