package import ApusCore

/// Both clocks at one moment: deadlines go by the one that never jumps, records tell the time of day.
package struct Moment: Hashable, Sendable {
    package var instant: Instant
    package var wall: Timestamp
    /// How far the wall clock is ahead of what may be believed where something is taken away.
    package var wallLead: Duration

    /// - Parameter retention: the time of day that retention goes by; nil where it is the wall clock's.
    package init(instant: Instant, wall: Timestamp, retention: Timestamp? = nil) {
        self.instant = instant
        self.wall = wall
        self.wallLead = retention.map { wall.since($0) } ?? .zero
    }

    /// The time of day for what expires: who sets the wall clock a week ahead must not end a week of positions.
    package var retention: Timestamp { self.wall.earlier(by: self.wallLead) }
}

/// What an operator may set for groups. The defaults are ``Limits``.
package struct GroupSettings: Hashable, Sendable {
    /// Session timeouts that members may ask for.
    package var sessionTimeout = Limits.groupSessionTimeout
    /// How long an empty group waits for more members after the first; zero not to wait.
    package var initialDelay = Limits.groupInitialDelayDefault
    /// Members of one group.
    package var membersMax = Limits.groupMembersMax
    /// What the members of one group have told and were given.
    package var stateBytesMax = Limits.groupStateBytesMax
    /// Groups of one coordinator.
    package var groupsMax = Limits.groupsPerCoordinatorMax
    /// Positions of one group.
    package var positionsMax = Limits.positionsPerGroupMax
    /// Bytes of a position's metadata.
    package var metadataBytesMax = Limits.offsetMetadataBytesMax
    /// How long positions outlive their group's last member, or, without members, their commit.
    package var offsetsRetention = Limits.offsetsRetentionDefault
    /// After a coordinator has loaded, nothing expires before its groups had so long to come back.
    package var expiryGrace = Limits.subscriptionGraceAfterStart

    package init() {}
}
