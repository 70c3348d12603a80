/// The number of a group's membership as its coordinator counts it (KIP-848).
///
/// One number line for three things. The *group epoch* grows whenever the members, their subscriptions or their topics
/// change. The *assignment epoch* is the group epoch that the target assignment was computed for. A *member epoch* is
/// how far one member has come on the way to it; requests carry it, and it fences who is behind.
package struct GroupEpoch: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// In a heartbeat: I join. In state: before the first assignment.
    package static let join = GroupEpoch(rawValue: 0)
    /// In a heartbeat: I leave.
    package static let leave = GroupEpoch(rawValue: -1)
    /// In a heartbeat of a static member, and in its state until it is back: I leave and come back.
    package static let leaveStatic = GroupEpoch(rawValue: -2)

    /// The next epoch; the largest stays where it is, whatever a damaged record said.
    package var next: GroupEpoch {
        GroupEpoch(rawValue: self.rawValue == .max ? .max : self.rawValue + 1)
    }

    package static func < (left: GroupEpoch, right: GroupEpoch) -> Bool { left.rawValue < right.rawValue }

    package var description: String { String(self.rawValue) }
}
