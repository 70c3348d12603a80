import ApusCore
import KafkaWire
import NIOCore

/// A member by the consumer protocol (KIP-848). It gives up at once what it no longer shall have, takes what it is
/// given, and says so in its next heartbeat. Owner: its connection's event loop.
final class ConsumerLoadMember: GroupLoadProtocol {
    private static let version: Int16 = 1
    private static let retryAfter = TimeAmount.milliseconds(100)

    private unowned let connection: GroupLoadConnection
    private let memberID: String
    private var epoch: Int32 = 0
    private var partitions: [Int32] = []
    private var isIn = false
    private var turn = 0

    private var load: GroupLoad { self.connection.load }

    init(_ connection: GroupLoadConnection) {
        self.connection = connection
        self.memberID = "\(TopicID(high: .random(in: 0 ... .max), low: .random(in: 0 ... .max)))"
    }

    var membership: GroupLoadMembership? {
        guard self.isIn else { return nil }
        return GroupLoadMembership(id: self.memberID, generation: self.epoch, partitions: self.partitions)
    }

    func join() {
        guard !self.connection.isLeaving else { return }
        self.isIn = false
        self.turn += 1
        self.epoch = 0
        self.partitions = []
        self.load.left(self.connection.index)
        var request = self.request()
        request.rebalanceTimeoutMs = 60_000
        request.subscribedTopicNames = [self.load.topic]
        request.topicPartitions = []
        self.send(request)
    }

    private func request() -> ConsumerGroupHeartbeatRequest {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = self.load.group
        request.memberID = self.memberID
        request.memberEpoch = self.epoch
        return request
    }

    private func send(_ request: ConsumerGroupHeartbeatRequest) {
        let turn = self.turn
        self.connection.send(request, version: Self.version) { response in
            guard self.turn == turn, !self.connection.isLeaving else { return }
            self.answered(response)
        }
    }

    private func answered(_ response: ConsumerGroupHeartbeatResponse) {
        switch response.errorCode {
        case .none: break
        case .unknownMemberID, .fencedMemberEpoch: return self.join()
        case .coordinatorLoadInProgress, .coordinatorNotAvailable, .notCoordinator:
            return self.connection.after(Self.retryAfter) { [weak self] in self?.join() }
        default: return self.load.fail("ConsumerGroupHeartbeat: \(response.errorCode)")
        }
        self.epoch = response.memberEpoch
        self.isIn = true
        var hasChanged = false
        if let assignment = response.assignment {
            let given = assignment.topicPartitions.flatMap(\.partitions).sorted()
            hasChanged = given != self.partitions
            self.partitions = given
        }
        self.load.joined(self.connection.index, generation: self.epoch, partitions: self.partitions)
        // What changed is said at once: others may wait for what was given up.
        if hasChanged { return self.heartbeat(withPartitions: true) }
        let turn = self.turn
        self.connection.after(.milliseconds(Int64(response.heartbeatIntervalMs))) { [weak self] in
            guard let self, self.turn == turn, !self.connection.isLeaving else { return }
            self.heartbeat(withPartitions: false)
        }
    }

    private func heartbeat(withPartitions: Bool) {
        var request = self.request()
        if withPartitions {
            var topic = ConsumerGroupHeartbeatRequest.TopicPartitions()
            topic.topicID = self.load.topicID
            topic.partitions = self.partitions
            request.topicPartitions = self.partitions.isEmpty ? [] : [topic]
        }
        self.send(request)
    }

    func leave() {
        self.turn += 1
        var request = self.request()
        request.memberEpoch = -1
        self.connection.send(request, version: Self.version) { _ in self.connection.close() }
    }
}
