import ApusCore
import ApusGroups

/// What an operator may set for groups. Taken in when a coordinator is loaded: at the broker's start.
extension BrokerOption {
    /// Of the options of groups; see ``definition``.
    var groupDefinition: OptionDefinition {
        // May be changed, and is kept: a coordinator takes it in when it is loaded.
        func milliseconds(_ value: Duration, _ text: String, atLeast least: Int64 = 1) -> OptionDefinition {
            OptionDefinition(
                .int, String(value.wholeMilliseconds), .number(least...Int64(Int32.max)),
                "\(text) Read at the broker's start, or when its first group comes."
            )
        }
        func count(_ value: Int, _ most: Int, _ text: String) -> OptionDefinition {
            OptionDefinition(.int, String(value), .number(1...Int64(most)), text, isReadOnly: true)
        }
        return switch self {
        case .groupInitialDelay:
            milliseconds(
                Limits.groupInitialDelayDefault,
                "How long an empty group of the classic protocol waits for more members after the first; again when "
                    + "some came.", atLeast: 0)
        case .groupSessionTimeoutMin:
            milliseconds(Limits.groupSessionTimeout.lowerBound, "The shortest session timeout a member may ask for.")
        case .groupSessionTimeoutMax:
            milliseconds(Limits.groupSessionTimeout.upperBound, "The longest session timeout a member may ask for.")
        case .groupMembersMax:
            count(Limits.groupMembersMax, Limits.groupMembersMax, "Members of one group of the classic protocol.")
        case .offsetsRetention:
            OptionDefinition(
                .int, String(Limits.offsetsRetentionDefault.components.seconds / 60), .number(1...Int64(Int32.max)),
                "How many minutes a group's positions outlive its last member, or, without members, their commit.",
                isReadOnly: true
            )
        case .offsetMetadataBytesMax:
            count(Limits.offsetMetadataBytesMax, Limits.offsetMetadataBytesMax, "Bytes of text beside a position.")
        case .consumerSessionTimeout:
            milliseconds(
                Limits.consumerSessionTimeoutDefault,
                "A member of the consumer protocol that says nothing for so long is out.")
        case .consumerHeartbeatInterval:
            milliseconds(
                Limits.consumerHeartbeatIntervalDefault,
                "How often members of the consumer protocol speak while their group is settled.")
        case .consumerMembersMax:
            count(Limits.consumerGroupMembersMax, Limits.consumerGroupMembersMax, "Members of one consumer group.")
        default: preconditionFailure("\(self) is no option of groups")
        }
    }
}

extension GroupSettings {
    init(_ table: ConfigurationTable) {
        self.init()
        func number(_ option: BrokerOption) -> Int64 { Int64(table.value(option)) ?? 0 }
        let least = number(.groupSessionTimeoutMin)
        self.sessionTimeout = .milliseconds(least) ... .milliseconds(max(least, number(.groupSessionTimeoutMax)))
        self.initialDelay = .milliseconds(number(.groupInitialDelay))
        self.membersMax = Int(clamping: number(.groupMembersMax))
        self.metadataBytesMax = Int(clamping: number(.offsetMetadataBytesMax))
        self.offsetsRetention = .seconds(60 * number(.offsetsRetention))
        self.expiryGrace = .milliseconds(number(.subscriptionGrace))
    }
}

extension ConsumerGroupSettings {
    init(_ table: ConfigurationTable) {
        self.init()
        func number(_ option: BrokerOption) -> Int64 { Int64(table.value(option)) ?? 0 }
        self.sessionTimeout = .milliseconds(number(.consumerSessionTimeout))
        self.heartbeatInterval = .milliseconds(number(.consumerHeartbeatInterval))
        self.membersMax = Int(clamping: number(.consumerMembersMax))
    }
}
