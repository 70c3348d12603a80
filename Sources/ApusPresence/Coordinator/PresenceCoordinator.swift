package import ApusCore

/// Who is in which channel, on all endpoint servers: the one that decides it, so that every join and every leave is
/// written once.
///
/// Endpoint servers attend with a name and are given a *life*: a number and a lease. They report who came and who went,
/// and that nothing changed, within the lease. When it is over, the coordinator writes a leave for every client of that
/// life; the life is fenced from then on, whatever it still says. What is so follows from the log: a coordinator is
/// made from its records after a start, and gives each life that it finds there one whole lease to be heard of.
///
/// A report is applied at once and answered when it is written. It says what shall be so, not what happened: a report
/// that comes again after the coordinator was loaded anew (and does not know its number any more) writes nothing twice.
///
/// Owner: the shell that leads the partition of `__presence`.
package struct PresenceCoordinator: Sendable {
    /// One connection in one channel.
    struct Seat: Sendable {
        let life: NodeLife
        let place: PresencePlace
        let guest: PresenceGuest
        /// Nil: only its receipts are recorded.
        var since: Timestamp?
        var seen: [PartitionIndex: PresenceSeen] = [:]

        var byteCount: Int {
            self.life.node.utf8.count + self.place.channel.utf8.count + self.place.connection.utf8.count
                + self.guest.byteCount + 24 * self.seen.count
        }
    }

    struct SeatKey: Hashable, Sendable {
        let life: NodeLife
        let place: PresencePlace
    }

    struct Life: Sendable {
        var deadline: Instant
        /// Of its last report; nil when that is not known, because it came before the coordinator was loaded.
        var number: Int64?
        /// What there was no room for in its last report.
        var refused: [Int] = []
        var lastWrite: PresenceWriteID?
        var seats: Set<Int64> = []
    }

    /// What waits for a write.
    struct Pending: Sendable {
        var bytes: Int
        var replies: [(token: PresenceToken, answer: PresenceAnswer)] = []
    }

    package let lease: Duration
    var lives: [NodeLife: Life] = [:]
    /// Lives that are over, whose clients have not all left yet.
    var ending: [(life: NodeLife, reason: PresenceLeave, seats: [Int64])] = []
    /// By their numbers, which grow.
    private(set) var seats: [Int64: Seat] = [:]
    private var numbers: [SeatKey: Int64] = [:]
    /// The seats of each channel, ascending.
    private var channels: [String: [Int64]] = [:]
    private var seatLast: Int64 = 0
    private(set) var textBytes = 0
    var lifeLast: Int64
    var pending: [PresenceWriteID: Pending] = [:]
    private var writeLast: UInt64 = 0
    private(set) var pendingBytes = 0
    var tickedAt: Instant?
    /// There was no room for somebody who is not recorded now.
    private(set) var hasOmitted = false

    /// - Parameter start: this start's number, larger than at every start before: lives of before are told by it.
    package init(start: Epoch, lease: Duration = Limits.presenceLease) {
        self.lease = lease
        self.lifeLast = Int64(start.rawValue) << Self.livesPerStartBits
    }

    /// A million lives in one start.
    static let livesPerStartBits: Int64 = 20

    // MARK: From the records

    /// A record of the log, in its order.
    package mutating func load(_ record: PresenceRecord) {
        switch record {
        case .join(let life, let place, let guest, let at):
            self.lifeLast = max(self.lifeLast, life.number)
            if self.lives[life] == nil { self.lives[life] = Life(deadline: Instant(nanoseconds: .max)) }
            let number = self.numbers[SeatKey(life: life, place: place)] ?? self.newSeat(life, place, guest)
            self.seats[number]?.since = at
        case .receipt(let life, let place, let guest, let seen, _):
            self.lifeLast = max(self.lifeLast, life.number)
            if self.lives[life] == nil { self.lives[life] = Life(deadline: Instant(nanoseconds: .max)) }
            let number = self.numbers[SeatKey(life: life, place: place)] ?? self.newSeat(life, place, guest)
            for seen in seen { self.see(seen, at: number) }
        case .leave(let life, let place, _, _, _):
            self.lifeLast = max(self.lifeLast, life.number)
            // Its receipts, if there are any, end with a tombstone of their own.
            if let number = self.numbers[SeatKey(life: life, place: place)] {
                self.seats[number]?.since = nil
                if self.seats[number]?.seen.isEmpty == true { self.removeSeats([number]) }
            }
        case .over(let life, let place, let isReceipt):
            guard let number = self.numbers[SeatKey(life: life, place: place)] else { return }
            if isReceipt {
                self.textBytes -= 24 * (self.seats[number]?.seen.count ?? 0)
                self.seats[number]?.seen = [:]
            } else {
                self.seats[number]?.since = nil
            }
            if let seat = self.seats[number], seat.since == nil, seat.seen.isEmpty { self.removeSeats([number]) }
        }
    }

    /// All records were read.
    package mutating func loaded(at now: Instant) {
        for life in self.lives.keys { self.lives[life]?.deadline = now.advanced(by: self.lease) }
        self.lives = self.lives.filter { !$0.value.seats.isEmpty }
        self.tickedAt = now
    }

    // MARK: Who is there

    /// Connections in channels, all together.
    package var count: Int { self.seats.count }
    package var lifeCount: Int { self.lives.count }

    /// Those who are in a channel, in the order in which they came.
    ///
    /// - Parameters:
    ///   - place: behind this one.
    ///   - withReceipts: those who have confirmed something, whether they are recorded as present or not.
    package func page(of channel: String, behind place: Int64?, upTo limit: Int, withReceipts: Bool) -> PresencePage {
        let all = self.channels[channel] ?? []
        let wanted = all.filter { number in
            guard let seat = self.seats[number] else { return false }
            return withReceipts ? !seat.seen.isEmpty : seat.since != nil
        }
        let start = place.map { place in wanted.firstIndex { $0 > place } ?? wanted.count } ?? 0
        let numbers = wanted[start...].prefix(max(1, limit))
        var page = PresencePage(count: wanted.count, isComplete: !self.hasOmitted)
        page.members = numbers.compactMap { number in
            self.seats[number].map { seat in
                PresenceMember(
                    node: seat.life.node, life: seat.life.number, connection: seat.place.connection, guest: seat.guest,
                    since: seat.since, seen: seat.seen.values.sorted { $0.partition < $1.partition }, place: number)
            }
        }
        if start + numbers.count < wanted.count { page.next = numbers.last }
        return page
    }

    // MARK: Seats

    func seat(_ life: NodeLife, _ place: PresencePlace) -> Int64? {
        self.numbers[SeatKey(life: life, place: place)]
    }

    /// Whether there is room for one more, and so much text.
    func hasRoom(_ bytes: Int) -> Bool {
        self.seats.count < Limits.presencePlacesMax
            && self.textBytes + bytes <= Limits.presenceTextBytesMax.rawValue
    }

    mutating func newSeat(_ life: NodeLife, _ place: PresencePlace, _ guest: PresenceGuest) -> Int64 {
        self.seatLast += 1
        let seat = Seat(life: life, place: place, guest: guest)
        self.seats[self.seatLast] = seat
        self.numbers[SeatKey(life: life, place: place)] = self.seatLast
        self.channels[place.channel, default: []].append(self.seatLast)
        self.lives[life]?.seats.insert(self.seatLast)
        self.textBytes += seat.byteCount
        return self.seatLast
    }

    mutating func sit(_ number: Int64, since at: Timestamp) { self.seats[number]?.since = at }

    mutating func see(_ seen: PresenceSeen, at number: Int64) {
        if self.seats[number]?.seen.updateValue(seen, forKey: seen.partition) == nil { self.textBytes += 24 }
    }

    mutating func omitted() { self.hasOmitted = true }

    /// Takes seats away; those of one channel in one go.
    mutating func removeSeats(_ numbers: [Int64]) {
        var of: [String: Set<Int64>] = [:]
        for number in numbers {
            guard let seat = self.seats.removeValue(forKey: number) else { continue }
            self.numbers[SeatKey(life: seat.life, place: seat.place)] = nil
            self.lives[seat.life]?.seats.remove(number)
            self.textBytes -= seat.byteCount
            of[seat.place.channel, default: []].insert(number)
        }
        for (channel, gone) in of {
            self.channels[channel]?.removeAll { gone.contains($0) }
            if self.channels[channel]?.isEmpty == true { self.channels[channel] = nil }
        }
        if self.seats.isEmpty { self.hasOmitted = false }
    }

    // MARK: Writes

    /// Has records written, in as many batches as they need: each group of them is in one, so that a leave is never
    /// without its tombstone. Gives the number of the last.
    mutating func write(_ groups: [[PresenceRecord]], into actions: inout PresenceActions) -> PresenceWriteID? {
        var (records, bytes) = ([PresenceRecord](), 0)
        for group in groups {
            let more = group.reduce(0) { $0 + $1.byteCount }
            if bytes + more > Limits.presenceWriteBytesMax.rawValue, !records.isEmpty {
                self.write(records, bytes, into: &actions)
                (records, bytes) = ([], 0)
            }
            records += group
            bytes += more
        }
        guard !records.isEmpty else { return nil }
        self.write(records, bytes, into: &actions)
        return PresenceWriteID(rawValue: self.writeLast)
    }

    private mutating func write(_ records: [PresenceRecord], _ bytes: Int, into actions: inout PresenceActions) {
        self.writeLast += 1
        let id = PresenceWriteID(rawValue: self.writeLast)
        self.pending[id] = Pending(bytes: bytes)
        self.pendingBytes += bytes
        actions.writes.append(PresenceWrite(id: id, records: records))
    }

    /// The records are as durable as they will be.
    package mutating func written(_ id: PresenceWriteID, into actions: inout PresenceActions) {
        guard let pending = self.pending.removeValue(forKey: id) else { return }
        self.pendingBytes -= pending.bytes
        for reply in pending.replies { actions.replies.append((reply.token, .success(reply.answer))) }
    }

    /// They will never be there, or nobody knows.
    package mutating func failed(_ id: PresenceWriteID, into actions: inout PresenceActions) {
        guard self.pending[id] != nil else { return }
        actions.isLost = true
    }

    /// What was not written is not so: whoever waits is told to say it again.
    package mutating func resign(into actions: inout PresenceActions) {
        for (_, pending) in self.pending.sorted(by: { $0.key < $1.key }) {
            for reply in pending.replies { actions.replies.append((reply.token, .failure(.unavailable))) }
        }
        self.pending = [:]
        self.pendingBytes = 0
    }
}
