import ApusAccess
import ApusBroker
import ApusCore
import DequeModule
import NIOCore
import WebFormats

/// What the connections of one event loop are read of the past. Who asks for what is read for another just now, or was
/// a moment ago, is given the same piece: five thousand clients that lost their connections at once cost one read of
/// the log and one encoding for each place at which some of them stand.
///
/// Pieces are kept for ``Limits/edgePastKeptFor``, on one loop at most ``Limits/edgePastMemoryPerLoop`` of them. They
/// are given to so many clients at a time, so that the loop's sockets are read meanwhile. A client's rights are asked
/// before it asks here.
///
/// Owner: the loop's ``EndpointLoop``.
final class EndpointPast {
    fileprivate struct Key: Hashable {
        let topic: TopicID
        let channel: EdgeChannel
        let format: WireFormat
        /// Whoever reads less than there is, shares with nobody else. Nil: nobody does.
        let reader: Principal?
        let start: PastReading.Start
    }

    /// A client that waits for a piece.
    struct Waiter {
        let connection: EndpointConnection
        let token: SubscriptionToken
        let channel: EdgeChannel
        let reading: PastReading
        /// Which of the connection's reads it is.
        let round: Int

        var isWaiting: Bool { self.connection.isReading(self.token, self.round) }
    }

    /// One read of the log that is under way.
    final class Read {
        fileprivate let key: Key
        fileprivate var waiters: [Waiter]
        /// How many of them have not given up.
        fileprivate var wanted = 1
        fileprivate var ticket: (any EdgeTicket)?

        fileprivate init(_ key: Key, _ waiter: Waiter) {
            self.key = key
            self.waiters = [waiter]
        }
    }

    private struct Kept {
        let key: Key
        let piece: PastPiece
        let until: Instant
    }

    private let turns: EndpointTurns
    private let upstream: any EdgeUpstream
    private let clock: any Clock
    private var reads: [Key: Read] = [:]
    private var kept: [Key: [PastPiece]] = [:]
    /// The oldest first.
    private var order: Deque<Kept> = []
    private(set) var memory = ByteCount.zero
    private var due: Deque<(waiter: Waiter, outcome: Result<PastPiece, Problem>)> = []
    private var isGiving = false

    init(_ turns: EndpointTurns, upstream: any EdgeUpstream, clock: any Clock) {
        self.turns = turns
        self.upstream = upstream
        self.clock = clock
    }

    /// Has a client given what it wants to have read, not before this call returns.
    /// - Returns: what it may give up; nil when nothing needs to be read.
    func read(_ topic: TopicID, _ waiter: Waiter) -> Read? {
        let isWindowed = self.upstream.isWindowed(waiter.channel.topic)
        let key = Key(
            topic: topic, channel: waiter.channel, format: waiter.connection.session.format,
            reader: isWindowed ? waiter.connection.client.principal : nil, start: waiter.reading.start)
        if waiter.reading.isShared {
            self.forgetOld()
            if let piece = self.kept[key]?.last(where: { $0.serves(waiter.reading) }) {
                self.give(.success(piece), to: waiter)
                return nil
            }
            if let read = self.reads[key] {
                read.waiters.append(waiter)
                read.wanted += 1
                return read
            }
        }
        let read = Read(key, waiter)
        if waiter.reading.isShared { self.reads[key] = read }
        self.begin(read, for: waiter)
        return read
    }

    /// One of those who wait does not want it any more.
    func giveUp(_ read: Read) {
        read.wanted -= 1
        guard read.wanted == 0 else { return }
        read.ticket?.cancel()
        self.end(read)
    }

    /// Once a second.
    func sweep() { self.forgetOld() }

    private func end(_ read: Read) {
        if self.reads[read.key] === read { self.reads[read.key] = nil }
    }

    private func begin(_ read: Read, for waiter: Waiter) {
        let (wishes, channel) = (waiter.reading.wishes, waiter.channel)
        let entries = wishes.map {
            FetchEntry(
                topic: .id(read.key.topic), partition: $0.partition, offset: $0.from,
                bytesMax: Limits.edgeCatchUpBytesMax)
        }
        // There is something to read, as far as the loop knows; if not, this is how often it looks.
        let limits = FetchLimits(
            bytesMin: .bytes(1), bytesMax: Limits.edgeCatchUpBytesMax, waitMax: Limits.connectionSweepPeriod)
        let bound = NIOLoopBound((past: self, read: read), eventLoop: self.turns.eventLoop)
        read.ticket = self.upstream.fetch(
            entries, limits: limits, client: waiter.connection.reader(of: channel), on: self.turns.eventLoop
        ) { results in
            let (past, read) = bound.value
            past.end(read)
            // What was found is read while its memory is set aside.
            past.found(EndpointConnection.finds(wishes, results, channel), read)
        }
    }

    private func found(_ outcome: Result<[CatchUp.Found], Problem>, _ read: Read) {
        var pieces: [PastPiece] = []
        for (index, waiter) in read.waiters.enumerated() where waiter.isWaiting {
            let finds: [CatchUp.Found]
            switch outcome {
            case .success(let found): finds = found
            // It was read with the first one's rights: to the others that says nothing, and they ask once more.
            case .failure(let problem) where problem.code == .forbidden && index > 0: finds = []
            case .failure(let problem):
                self.give(.failure(problem), to: waiter)
                continue
            }
            if let piece = pieces.last(where: { $0.serves(waiter.reading) }) {
                self.give(.success(piece), to: waiter)
                continue
            }
            let connection = waiter.connection
            let piece = PastPiece(
                finds, for: waiter.reading, of: waiter.channel,
                seal: connection.door.seal(of: waiter.channel, in: read.key.topic), in: read.key.format)
            pieces.append(piece)
            self.keep(piece, read.key, waiter.reading)
            self.give(.success(piece), to: waiter)
        }
    }

    // MARK: Keeping

    private func keep(_ piece: PastPiece, _ key: Key, _ reading: PastReading) {
        guard reading.isShared, piece.isWhole, piece.memory <= Limits.edgePastMemoryPerLoop else { return }
        self.order.append(Kept(key: key, piece: piece, until: self.clock.now.advanced(by: Limits.edgePastKeptFor)))
        self.kept[key, default: []].append(piece)
        self.memory = self.memory + piece.memory
        while self.memory > Limits.edgePastMemoryPerLoop { self.forgetOldest() }
    }

    private func forgetOld() {
        guard !self.order.isEmpty else { return }
        let now = self.clock.now
        while let oldest = self.order.first, oldest.until <= now { self.forgetOldest() }
    }

    private func forgetOldest() {
        guard let oldest = self.order.popFirst() else { return }
        self.memory = self.memory - oldest.piece.memory
        // Those of one place are in the order in which they were read.
        self.kept[oldest.key]?.removeFirst()
        if self.kept[oldest.key]?.isEmpty == true { self.kept[oldest.key] = nil }
    }

    // MARK: Giving

    private func give(_ outcome: Result<PastPiece, Problem>, to waiter: Waiter) {
        self.due.append((waiter, outcome))
        guard !self.isGiving else { return }
        self.isGiving = true
        self.turns.inTurn { self.giveSome() }
    }

    private func giveSome() {
        for _ in 0..<Limits.edgeFlushesPerTickMax {
            guard let (waiter, outcome) = self.due.popFirst() else { break }
            waiter.connection.wasRead(outcome, for: waiter.token, waiter.round)
        }
        self.isGiving = !self.due.isEmpty
        if self.isGiving { self.turns.inTurn { self.giveSome() } }
    }
}
