package import ApusCore

/// What a broker's owner can set about its consumer groups.
package struct ConsumerGroupSettings: Hashable, Sendable {
    /// A member that says nothing for so long is out (Kafka's `group.consumer.session.timeout.ms`).
    package var sessionTimeout = Limits.consumerSessionTimeoutDefault
    /// How often members speak (Kafka's `group.consumer.heartbeat.interval.ms`).
    package var heartbeatInterval = Limits.consumerHeartbeatIntervalDefault
    /// How often they speak while their group is moving, so that it settles in seconds.
    package var heartbeatIntervalMoving = Limits.consumerHeartbeatIntervalMoving
    /// How long a group counts as moving after its epoch grew.
    package var movingTime = Limits.consumerGroupMovingTime
    /// Members of one group (Kafka's `group.consumer.max.size`).
    package var membersMax = Limits.consumerGroupMembersMax
    /// Groups of one coordinator.
    package var groupsMax = Limits.consumerGroupsMax
    /// The longest record of a group.
    package var recordBytesMax = Limits.consumerRecordBytesMax
    /// For each member of a group, the time that passes at least between two computations of its target assignment, and
    /// between two looks through its topics. A topic that members ask for counts as a member, and so do
    /// `Limits.partitionsPausedAsMember` partitions. So groups cost the same part of a core at most, however large they
    /// are and however often their members or topics change.
    package var assignmentPausePerMember = Limits.assignmentPausePerMember

    package init() {}
}
