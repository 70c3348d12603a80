package import ApusCore

/// What an endpoint server tells the coordinator: that it is there, and what changed since its last report.
///
/// A life begins with a report without one, and without changes: the answer has the life's number. Later reports are
/// numbered, one is under way at a time, and one that was not answered is told again as it was.
package struct PresenceReport: Hashable, Sendable {
    package var node: String
    /// Zero: a life begins.
    package var life: Int64
    /// One more than that of the report before.
    package var number: Int64
    /// Where a life begins: there can be no other endpoint server of this name, so former ones are gone.
    package var isAlone: Bool
    package var changes: [PresenceChange]

    package init(
        node: String, life: Int64 = 0, number: Int64 = 0, isAlone: Bool = false, changes: [PresenceChange] = []
    ) {
        self.node = node
        self.life = life
        self.number = number
        self.isAlone = isAlone
        self.changes = changes
    }

    /// The texts in it.
    var byteCount: Int { self.changes.reduce(0) { $0 + $1.byteCount } }
}

/// One of a report. Each is what shall be so: to say it twice changes nothing.
package enum PresenceChange: Hashable, Sendable {
    case join(PresencePlace, PresenceGuest, at: Timestamp)
    case leave(PresencePlace, PresenceLeave, at: Timestamp)
    case seen(PresencePlace, PresenceGuest, [PresenceSeen])

    package var place: PresencePlace {
        switch self {
        case .join(let place, _, _), .leave(let place, _, _), .seen(let place, _, _): place
        }
    }

    package var byteCount: Int {
        let place = self.place.channel.utf8.count + self.place.connection.utf8.count
        switch self {
        case .join(_, let guest, _): return place + guest.byteCount
        case .leave: return place
        case .seen(_, let guest, let seen): return place + guest.byteCount + 24 * seen.count
        }
    }
}

extension PresenceGuest {
    var byteCount: Int { self.user.utf8.count + self.client.utf8.count }
}

package struct PresenceAnswer: Hashable, Sendable {
    package var life: Int64
    /// Before it is over the endpoint server says something again.
    package var lease: Duration
    /// The places of changes in the report that there was no room for.
    package var refused: [Int]

    package init(life: Int64, lease: Duration, refused: [Int] = []) {
        self.life = life
        self.lease = lease
        self.refused = refused
    }
}

/// Why a report was not taken, or nobody can say who is where.
package enum PresenceError: Error, Hashable, Sendable {
    /// The coordinator does not know this life: it was declared gone. All that is there is told again in another one.
    case fenced
    /// The coordinator reads its records.
    case loading
    /// It can not write, or is not here. The same may be told again.
    case unavailable
    /// More endpoint servers than there may be.
    case tooMany
    /// Not what an endpoint server of ours would say.
    case invalid
    /// The client may not.
    case forbidden
}

/// One connection in a channel, for those who ask.
package struct PresenceMember: Hashable, Sendable {
    package var node: String
    package var life: Int64
    package var connection: String
    package var guest: PresenceGuest
    /// Since when it is there; nil when that is not recorded, and only its receipts are.
    package var since: Timestamp?
    /// In the order of the partitions.
    package var seen: [PresenceSeen]
    /// Grows from one member of the channel to the next: where the next page begins.
    package var place: Int64

    package init(
        node: String, life: Int64, connection: String, guest: PresenceGuest, since: Timestamp?, seen: [PresenceSeen],
        place: Int64
    ) {
        self.node = node
        self.life = life
        self.connection = connection
        self.guest = guest
        self.since = since
        self.seen = seen
        self.place = place
    }
}

/// A part of those who are in a channel.
package struct PresencePage: Hashable, Sendable {
    package var members: [PresenceMember]
    /// All of the channel's, on this page or not.
    package var count: Int
    /// Where the next page begins; nil when this is the last.
    package var next: Int64?
    /// False when there are so many places that not all are recorded.
    package var isComplete: Bool

    package init(members: [PresenceMember] = [], count: Int = 0, next: Int64? = nil, isComplete: Bool = true) {
        self.members = members
        self.count = count
        self.next = next
        self.isComplete = isComplete
    }
}
