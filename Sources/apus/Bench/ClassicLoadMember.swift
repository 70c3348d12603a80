import KafkaWire
import NIOCore

/// A member by the classic protocol, which shares partitions out by ranges of the members' ids when it leads.
/// Owner: its connection's event loop.
final class ClassicLoadMember: GroupLoadProtocol {
    private static let assignor = "range"
    private static let joinVersion: Int16 = 5
    private static let syncVersion: Int16 = 3
    private static let heartbeatVersion: Int16 = 3
    private static let leaveVersion: Int16 = 3
    private static let heartbeatEvery = TimeAmount.seconds(3)
    private static let retryAfter = TimeAmount.milliseconds(100)

    private unowned let connection: GroupLoadConnection
    private var memberID = ""
    private var generation: Int32 = -1
    private var partitions: [Int32] = []
    private var isIn = false
    /// Counts the time between two joins, so that a heartbeat of an earlier one ends.
    private var turn = 0

    private var load: GroupLoad { self.connection.load }

    init(_ connection: GroupLoadConnection) {
        self.connection = connection
    }

    var membership: GroupLoadMembership? {
        guard self.isIn else { return nil }
        return GroupLoadMembership(id: self.memberID, generation: self.generation, partitions: self.partitions)
    }

    func join() {
        guard !self.connection.isLeaving else { return }
        self.isIn = false
        self.turn += 1
        self.load.left(self.connection.index)
        var request = JoinGroupRequest()
        request.groupID = self.load.group
        request.sessionTimeoutMs = 45_000
        request.rebalanceTimeoutMs = 60_000
        request.memberID = self.memberID
        request.protocolType = "consumer"
        var subscription = ConsumerSubscription()
        subscription.topics = [self.load.topic]
        var offer = JoinGroupRequest.AssignmentProtocol()
        offer.name = Self.assignor
        offer.metadata = subscription.encoded(version: 0)
        request.protocols = [offer]
        self.connection.send(request, version: Self.joinVersion) { self.joined($0) }
    }

    private func joined(_ response: JoinGroupResponse) {
        switch response.errorCode {
        case .none:
            self.memberID = response.memberID
            self.generation = response.generationID
            self.sync(response.leader == response.memberID ? self.shares(response.members.map(\.memberID)) : [])
        case .memberIDRequired:
            self.memberID = response.memberID
            self.join()
        default: self.failed("JoinGroup", response.errorCode)
        }
    }

    /// Each member's range of the partitions, as long as another's or one longer.
    private func shares(_ members: [String]) -> [SyncGroupRequest.Assignment] {
        let (each, more) = self.load.partitions.quotientAndRemainder(dividingBy: max(members.count, 1))
        var next = 0
        return members.sorted().enumerated().map { place, member in
            let count = each + (place < more ? 1 : 0)
            let partitions = (next..<next + count).map { Int32($0) }
            next += count
            var assignment = ConsumerAssignment()
            assignment.partitions = [.init(topic: self.load.topic, partitions: partitions)]
            var share = SyncGroupRequest.Assignment()
            share.memberID = member
            share.assignment = assignment.encoded(version: 0)
            return share
        }
    }

    private func sync(_ shares: [SyncGroupRequest.Assignment]) {
        var request = SyncGroupRequest()
        request.groupID = self.load.group
        request.generationID = self.generation
        request.memberID = self.memberID
        request.assignments = shares
        self.connection.send(request, version: Self.syncVersion) { response in
            guard response.errorCode == .none else { return self.failed("SyncGroup", response.errorCode) }
            guard let assignment = try? ConsumerAssignment(from: response.assignment) else {
                return self.load.fail("an assignment that is none")
            }
            self.isIn = true
            self.partitions = assignment.partitions.flatMap(\.partitions)
            self.load.joined(self.connection.index, generation: self.generation, partitions: self.partitions)
            // Spread over the period, as members that came at different times are.
            let phase = Self.heartbeatEvery.nanoseconds / 1000 * Int64(self.connection.index % 1000)
            self.heartbeat(in: .nanoseconds(phase), of: self.turn)
        }
    }

    private func heartbeat(in time: TimeAmount, of turn: Int) {
        self.connection.after(time) { [weak self] in
            guard let self, self.turn == turn, !self.connection.isLeaving else { return }
            var request = HeartbeatRequest()
            request.groupID = self.load.group
            request.generationID = self.generation
            request.memberID = self.memberID
            self.connection.send(request, version: Self.heartbeatVersion) { response in
                guard self.turn == turn else { return }
                if response.errorCode == .none { return self.heartbeat(in: Self.heartbeatEvery, of: turn) }
                self.failed("Heartbeat", response.errorCode)
            }
        }
    }

    /// Goes on as the protocol has it: these answers are part of a storm, others are errors.
    private func failed(_ what: String, _ code: KafkaErrorCode) {
        switch code {
        case .rebalanceInProgress, .illegalGeneration: self.join()
        case .unknownMemberID:
            self.memberID = ""
            self.join()
        case .coordinatorLoadInProgress, .coordinatorNotAvailable, .notCoordinator:
            self.connection.after(Self.retryAfter) { [weak self] in self?.join() }
        default: self.load.fail("\(what): \(code)")
        }
    }

    func leave() {
        self.turn += 1
        var request = LeaveGroupRequest()
        request.groupID = self.load.group
        var member = LeaveGroupRequest.Member()
        member.memberID = self.memberID
        request.members = [member]
        self.connection.send(request, version: Self.leaveVersion) { _ in self.connection.close() }
    }
}
