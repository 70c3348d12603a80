package import ApusCore

/// An endpoint server's part of presence: who is in which of its channels, and what of that the coordinator was told.
///
/// It keeps what is so (``members``) and what was told (``told``); a report says the difference. So joins and leaves
/// that come together in a storm are few reports, who came and went between two of them is not told at all, and a
/// coordinator that does not know this life any more is told everything again, in another one. One report is under way
/// at a time; one that was not answered is told again as it was.
///
/// While nobody is in a channel that keeps presence it says nothing.
///
/// Owner: one event loop of the endpoint server.
package struct PresenceNode: Sendable {
    private struct Member: Sendable {
        let guest: PresenceGuest
        /// When it came; nil: only what it has seen is recorded.
        var since: Timestamp?
        var seen: [PartitionIndex: PresenceSeen] = [:]
        /// Partitions whose receipts were not told yet.
        var unconfirmed: Set<PartitionIndex> = []

        var isOver: Bool { self.since == nil && self.seen.isEmpty }
    }

    private enum Phase: Sendable {
        /// Nobody knows us.
        case away
        case attending
        case attended(life: Int64)
    }

    package let name: String
    private let isAlone: Bool
    private var phase = Phase.away
    private var members: [PresencePlace: Member] = [:]
    /// Places that the coordinator has, or will have when the report under way is taken; true for those that
    /// have joined.
    private var told: [PresencePlace: Bool] = [:]
    /// Places that are not as they were told, in the order in which that came about.
    private var changed: [PresencePlace] = []
    private var isChanged: Set<PresencePlace> = []
    /// Places that have confirmed more than was told.
    private var confirmed: [PresencePlace] = []
    private var isConfirmed: Set<PresencePlace> = []
    private var reasons: [PresencePlace: (PresenceLeave, at: Timestamp)] = [:]
    private var number: Int64 = 0
    private var underWay: PresenceReport?
    /// Not before then: an answer is waited for, or somebody shall not be asked too often.
    private var notBefore = Instant(nanoseconds: 0)
    private var heardAt: Instant?
    private var confirmedAt: Instant?
    private var lease = Limits.presenceLease
    /// Places for which there was no room.
    package private(set) var omittedCount = 0

    /// - Parameter isAlone: no other endpoint server has this name while this one is there, so a former life of it
    ///   is over.
    package init(name: String, isAlone: Bool) {
        self.name = name
        self.isAlone = isAlone
    }

    /// All that is so was told and taken.
    package var isTold: Bool { self.underWay == nil && self.changed.isEmpty && self.confirmed.isEmpty }
    package var memberCount: Int { self.members.count }

    // MARK: What happens

    /// A connection came to a channel that keeps presence.
    package mutating func joined(_ place: PresencePlace, _ guest: PresenceGuest, at wall: Timestamp) {
        if self.members[place] != nil {
            guard self.members[place]?.since == nil else { return }
            self.members[place]?.since = wall
            return self.change(place)
        }
        guard self.members.count < Limits.presencePlacesPerNodeMax else {
            self.omittedCount += 1
            return
        }
        self.members[place] = Member(guest: guest, since: wall)
        self.reasons[place] = nil
        self.change(place)
    }

    /// It is not there any more. Nothing when it was not recorded.
    package mutating func left(_ place: PresencePlace, _ reason: PresenceLeave, at wall: Timestamp) {
        guard self.members.removeValue(forKey: place) != nil else { return }
        self.reasons[place] = (reason, wall)
        self.change(place)
    }

    /// It has confirmed what it has seen, in a channel that keeps receipts.
    package mutating func confirmed(_ place: PresencePlace, _ guest: PresenceGuest, _ seen: [PresenceSeen]) {
        if self.members[place] == nil {
            guard self.members.count < Limits.presencePlacesPerNodeMax else {
                self.omittedCount += 1
                return
            }
            self.members[place] = Member(guest: guest)
        }
        guard var member = self.members[place] else { return }
        for seen in seen where seen.next > member.seen[seen.partition]?.next ?? .zero {
            guard member.seen[seen.partition] != nil || member.seen.count < Limits.receiptPartitionsMax else {
                continue
            }
            member.seen[seen.partition] = seen
            member.unconfirmed.insert(seen.partition)
        }
        self.members[place] = member.isOver ? nil : member
        guard !member.unconfirmed.isEmpty, self.isConfirmed.insert(place).inserted else { return }
        self.confirmed.append(place)
    }

    private mutating func change(_ place: PresencePlace) {
        if self.isChanged.insert(place).inserted { self.changed.append(place) }
    }

    // MARK: Reports

    /// When there is something to say, if nothing happens before; nil: not at all.
    package var deadline: Instant? {
        guard self.underWay == nil else { return self.notBefore }
        let due: Instant?
        switch self.phase {
        case .away, .attending:
            due = self.changed.isEmpty && self.confirmed.isEmpty ? nil : Instant(nanoseconds: 0)
        case .attended:
            var times: [Instant] = []
            if !self.changed.isEmpty { times.append(Instant(nanoseconds: 0)) }
            if !self.confirmed.isEmpty {
                times.append(self.confirmedAt?.advanced(by: Limits.receiptPause) ?? Instant(nanoseconds: 0))
            }
            if !self.told.isEmpty, let heard = self.heardAt { times.append(heard.advanced(by: self.lease / 3)) }
            due = times.min()
        }
        return due.map { max($0, self.notBefore) }
    }

    /// What is to be said now, once; nil when nothing is.
    package mutating func nextReport(at now: Instant) -> PresenceReport? {
        guard let deadline = self.deadline, deadline <= now else { return nil }
        if let report = self.underWay {
            // The answer was lost, or never came.
            self.notBefore = now.advanced(by: Limits.presenceAnswerWaitMax)
            return report
        }
        let report: PresenceReport
        if case .attended(let life) = self.phase, self.isKnown(at: now) {
            self.number += 1
            report = PresenceReport(node: self.name, life: life, number: self.number, changes: self.changes(at: now))
        } else {
            self.phase = .attending
            self.number = 0
            report = PresenceReport(node: self.name, isAlone: self.isAlone)
        }
        self.underWay = report
        self.notBefore = now.advanced(by: Limits.presenceAnswerWaitMax)
        return report
    }

    /// With nobody to tell of, we said nothing for longer than the lease; our life is over, and nobody was in it.
    private func isKnown(at now: Instant) -> Bool {
        guard self.told.isEmpty, let heard = self.heardAt else { return true }
        return now.since(heard) < self.lease / 2
    }

    /// The report under way was answered. What is answered twice is answered once.
    package mutating func answered(
        _ report: PresenceReport, _ answer: Result<PresenceAnswer, PresenceError>, at now: Instant
    ) {
        guard self.underWay?.life == report.life, self.underWay?.number == report.number else { return }
        switch answer {
        case .success(let answer):
            self.underWay = nil
            self.heardAt = now
            self.lease = answer.lease
            self.phase = .attended(life: answer.life)
            self.notBefore = now.advanced(by: report.life == 0 ? .zero : Limits.presenceReportPause)
            for index in answer.refused where report.changes.indices.contains(index) {
                self.refused(report.changes[index])
            }
        case .failure(.fenced), .failure(.invalid):
            self.underWay = nil
            self.notBefore = now.advanced(by: answer == .failure(.fenced) ? .zero : Limits.presenceRetryPause)
            self.tellAgain()
        case .failure:
            // It may have been taken: only the same again is safe.
            self.notBefore = now.advanced(by: Limits.presenceRetryPause)
        }
    }

    private mutating func refused(_ change: PresenceChange) {
        self.omittedCount += 1
        switch change {
        case .join(let place, _, _):
            self.told[place] = nil
            self.members[place] = nil
        case .seen(let place, _, _):
            self.members[place]?.unconfirmed = []
            if self.members[place]?.since == nil {
                self.told[place] = nil
                self.members[place] = nil
            }
        case .leave: break
        }
    }

    /// Our life is over for the coordinator: whoever is still here joins in the next one. Who left meanwhile has left.
    private mutating func tellAgain() {
        self.phase = .away
        self.told = [:]
        self.reasons = [:]
        (self.changed, self.isChanged, self.confirmed, self.isConfirmed) = ([], [], [], [])
        for (place, member) in self.members.sorted(by: { $0.value.since ?? .none < $1.value.since ?? .none }) {
            if member.since != nil { self.change(place) }
            guard !member.seen.isEmpty else { continue }
            self.members[place]?.unconfirmed = Set(member.seen.keys)
            self.isConfirmed.insert(place)
            self.confirmed.append(place)
        }
    }

    private mutating func changes(at now: Instant) -> [PresenceChange] {
        var changes: [PresenceChange] = []
        var bytes = 0
        func hasRoom() -> Bool {
            changes.count < Limits.presenceChangesPerReportMax
                && bytes <= Limits.presenceReportBytesMax.rawValue - Limits.presenceChangeBytesMax.rawValue
        }
        var taken = 0
        while taken < self.changed.count, hasRoom() {
            let place = self.changed[taken]
            taken += 1
            self.isChanged.remove(place)
            guard let change = self.change(of: place) else { continue }
            changes.append(change)
            bytes += change.byteCount
        }
        self.changed.removeFirst(taken)
        guard self.confirmedAt.map({ now.since($0) >= Limits.receiptPause }) ?? true else { return changes }
        taken = 0
        while taken < self.confirmed.count, hasRoom() {
            let place = self.confirmed[taken]
            taken += 1
            self.isConfirmed.remove(place)
            guard let member = self.members[place], !member.unconfirmed.isEmpty else { continue }
            let seen = member.unconfirmed.sorted().compactMap { member.seen[$0] }
            self.members[place]?.unconfirmed = []
            if self.told[place] == nil { self.told[place] = false }
            changes.append(.seen(place, member.guest, seen))
            bytes += changes.last?.byteCount ?? 0
        }
        self.confirmed.removeFirst(taken)
        // What did not fit follows at once; after the last of them there is a pause.
        if self.confirmed.isEmpty, taken > 0 { self.confirmedAt = now }
        return changes
    }

    /// What is to be said of a place; nothing when it is as it was told.
    private mutating func change(of place: PresencePlace) -> PresenceChange? {
        if let member = self.members[place] {
            guard let since = member.since, self.told.updateValue(true, forKey: place) != true else { return nil }
            return .join(place, member.guest, at: since)
        }
        let (reason, at) = self.reasons.removeValue(forKey: place) ?? (.closed, at: .none)
        return self.told.removeValue(forKey: place) == nil ? nil : .leave(place, reason, at: at)
    }
}
