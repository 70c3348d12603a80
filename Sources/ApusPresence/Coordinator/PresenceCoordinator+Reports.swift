package import ApusCore

/// What endpoint servers say.
extension PresenceCoordinator {
    /// A report came. It is answered when what it says is written.
    package mutating func report(
        _ report: PresenceReport, _ token: PresenceToken, at now: Instant, into actions: inout PresenceActions
    ) {
        guard Self.isSound(report) else { return actions.replies.append((token, .failure(.invalid))) }
        if report.life == 0 { return self.attend(report, token, at: now, into: &actions) }
        let id = NodeLife(node: report.node, number: report.life)
        guard var life = self.lives[id] else { return actions.replies.append((token, .failure(.fenced))) }
        life.deadline = now.advanced(by: self.lease)
        if let last = life.number, report.number <= last {
            self.lives[id] = life
            return self.answer(id, token, into: &actions)
        }
        guard life.number.map({ report.number == $0 + 1 }) ?? true else {
            return actions.replies.append((token, .failure(.fenced)))
        }
        guard self.pendingBytes <= Limits.presenceWritesBytesMax.rawValue else {
            self.lives[id] = life
            return actions.replies.append((token, .failure(.unavailable)))
        }
        life.number = report.number
        self.lives[id] = life
        self.apply(report.changes, id, token, into: &actions)
    }

    private static func isSound(_ report: PresenceReport) -> Bool {
        (1...Limits.presenceNodeNameBytesMax.rawValue).contains(report.node.utf8.count)
            && report.life >= 0 && (0..<Int64.max).contains(report.number)
            && report.changes.count <= Limits.presenceChangesPerReportMax
            && report.byteCount <= Limits.presenceReportBytesMax.rawValue
            && report.changes.allSatisfy { $0.byteCount <= Limits.presenceChangeBytesMax.rawValue }
            && (report.life != 0 || report.changes.isEmpty)
    }

    private mutating func attend(
        _ report: PresenceReport, _ token: PresenceToken, at now: Instant, into actions: inout PresenceActions
    ) {
        let room = self.lives.count + self.ending.count < Limits.presenceNodesMax
        guard room, (self.lifeLast + 1) >> 53 == 0 else {
            return actions.replies.append((token, .failure(.tooMany)))
        }
        if report.isAlone {
            for life in self.lives.keys where life.node == report.node { self.end(life, .restarted) }
        }
        self.lifeLast += 1
        let id = NodeLife(node: report.node, number: self.lifeLast)
        self.lives[id] = Life(deadline: now.advanced(by: self.lease), number: 0)
        actions.replies.append((token, .success(PresenceAnswer(life: id.number, lease: self.lease))))
    }

    /// Answers when the last write of the life is done.
    private mutating func answer(_ id: NodeLife, _ token: PresenceToken, into actions: inout PresenceActions) {
        let refused = self.lives[id]?.refused ?? []
        let answer = PresenceAnswer(life: id.number, lease: self.lease, refused: refused)
        if let write = self.lives[id]?.lastWrite, self.pending[write] != nil {
            self.pending[write]?.replies.append((token, answer))
        } else {
            actions.replies.append((token, .success(answer)))
        }
    }

    private mutating func apply(
        _ changes: [PresenceChange], _ id: NodeLife, _ token: PresenceToken, into actions: inout PresenceActions
    ) {
        var groups: [[PresenceRecord]] = []
        var refused: [Int] = []
        for (index, change) in changes.enumerated() {
            var records: [PresenceRecord] = []
            if !self.apply(change, id, &records) { refused.append(index) }
            if !records.isEmpty { groups.append(records) }
        }
        self.lives[id]?.refused = refused
        if let write = self.write(groups, into: &actions) { self.lives[id]?.lastWrite = write }
        self.answer(id, token, into: &actions)
    }

    /// False when there is no room for it.
    private mutating func apply(_ change: PresenceChange, _ id: NodeLife, _ records: inout [PresenceRecord]) -> Bool {
        switch change {
        case .join(let place, let guest, let at):
            let known = self.seat(id, place)
            guard known.flatMap({ self.seats[$0]?.since }) == nil else { return true }
            guard known != nil || self.hasRoom(change.byteCount) else {
                self.omitted()
                return false
            }
            self.sit(known ?? self.newSeat(id, place, guest), since: at)
            records.append(.join(id, place, guest, at: at))
        case .leave(let place, let reason, let at):
            guard let number = self.seat(id, place), let seat = self.seats[number] else { return true }
            records += Self.records(of: seat, leaving: reason, at: at)
            self.removeSeats([number])
        case .seen(let place, let guest, let seen):
            return self.apply(seen, place, guest, id, &records)
        }
        return true
    }

    private mutating func apply(
        _ seen: [PresenceSeen], _ place: PresencePlace, _ guest: PresenceGuest, _ id: NodeLife,
        _ records: inout [PresenceRecord]
    ) -> Bool {
        let known = self.seat(id, place)
        let has = known.flatMap { self.seats[$0]?.seen } ?? [:]
        // A receipt goes forward only.
        let news = seen.filter { $0.next > has[$0.partition]?.next ?? .zero && $0.partition.rawValue >= 0 }
        guard !news.isEmpty else { return true }
        let partitions = Set(has.keys).union(news.map(\.partition)).count
        guard partitions <= Limits.receiptPartitionsMax,
            known != nil || self.hasRoom(place.channel.utf8.count + place.connection.utf8.count + guest.byteCount)
        else {
            self.omitted()
            return false
        }
        let number = known ?? self.newSeat(id, place, guest)
        for seen in news { self.see(seen, at: number) }
        let all = (self.seats[number]?.seen.values).map { $0.sorted { $0.partition < $1.partition } } ?? []
        let at = news.map(\.at).max() ?? .none
        records.append(.receipt(id, place, self.seats[number]?.guest ?? guest, all, at: at))
        return true
    }

    /// What is written of one who leaves.
    static func records(of seat: Seat, leaving reason: PresenceLeave, at: Timestamp) -> [PresenceRecord] {
        var records: [PresenceRecord] = []
        if seat.since != nil {
            records.append(.leave(seat.life, seat.place, seat.guest, reason, at: at))
            records.append(.over(seat.life, seat.place, isReceipt: false))
        }
        if !seat.seen.isEmpty { records.append(.over(seat.life, seat.place, isReceipt: true)) }
        return records
    }
}
