import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded

@testable import ApusClient

/// A ``FakeCluster`` that also coordinates a group of one member: the test says which partitions it gets in each
/// generation, where the group is, and what commits are answered. It answers at once, in virtual time.
///
/// Owner: its event loop, which every use is made on. That is the proof behind `@unchecked Sendable`.
final class FakeCoordinator: @unchecked Sendable {
    struct Commit: Equatable {
        var generation: Int32
        var offsets: [Int32: Int64]
    }

    private static let answersFetchesAtTheEndAfter = TimeAmount.milliseconds(500)

    let loop = NIOAsyncTestingEventLoop()
    let cluster: FakeCluster
    /// Partitions of the member from the first generation on.
    private let shares: [[Int32]]
    private(set) var generation: Int32 = 0
    private(set) var commits: [Commit] = []
    /// What commits of a generation are answered; of others they are taken.
    var commitErrors: [Int32: KafkaErrorCode] = [:]
    var positions: [Int32: Int64] = [:]
    /// What happens between two generations.
    var onJoin: (Int32) throws -> Void = { _ in }
    /// Until the member joins again.
    var isRebalancing = false

    init(shares: [[Int32]]) {
        self.shares = shares
        self.cluster = FakeCluster(partitions: Int(shares.joined().max() ?? 0) + 1)
        let served: [ApiKey] = [
            .findCoordinator, .joinGroup, .syncGroup, .heartbeat, .leaveGroup, .offsetFetch, .offsetCommit,
        ]
        for key in served { self.cluster.apis[key] = key.versions }
    }

    func client() -> ClientCore {
        let environment = ClientEnvironment(
            wallTime: { Timestamp(rawValue: 1_000_000) }, randomness: SeededRandomness(seed: 1), loop: self.loop,
            connect: { [self] _, handler in self.connect(handler) })
        return ClientCore(ClientConfiguration(servers: ["broker:9092"]), environment: environment)
    }

    private func connect(_ handler: BrokerConnection) -> EventLoopFuture<any Channel> {
        let channel = NIOAsyncTestingChannel(loop: self.loop)
        do {
            try channel.pipeline.syncOperations.addHandlers([FakeBrokerEnd(self), handler])
            let address = try SocketAddress(unixDomainSocketPath: "fake")
            channel.pipeline.register(promise: nil)
            // As a socket would: after the caller has what it waits for.
            self.loop.execute { channel.connect(to: address, promise: nil) }
            return self.loop.makeSucceededFuture(channel)
        } catch {
            return self.loop.makeFailedFuture(error)
        }
    }

    /// Appends one batch to a partition.
    func write(_ count: Int, to partition: Int32) throws {
        var builder = RecordBatchBuilder()
        for number in 0..<count { builder.append(key: nil, value: ByteBuffer(string: "\(number)"), timestamp: 1) }
        _ = try self.cluster.logs[Int(partition)].append(builder.finish())
    }

    // MARK: Answers

    /// What comes back for a request, and after how long; nil: the connection breaks.
    func answer(_ frame: ByteBuffer) throws -> (pieces: [ByteBuffer], after: TimeAmount)? {
        var reader = WireReader(frame)
        let header = try RequestHeader(from: &reader)
        func encode(_ response: some KafkaResponse) -> (pieces: [ByteBuffer], after: TimeAmount) {
            (Frame.encode(response, version: header.version, correlationID: header.correlationID), .zero)
        }
        switch header.apiKey {
        case .findCoordinator:
            return encode(self.coordinator(try FindCoordinatorRequest(from: &reader, version: header.version)))
        case .joinGroup:
            return encode(try self.join(JoinGroupRequest(from: &reader, version: header.version)))
        case .syncGroup: return encode(self.sync())
        case .heartbeat:
            var response = HeartbeatResponse()
            if self.isRebalancing { response.errorCode = .rebalanceInProgress }
            return encode(response)
        case .leaveGroup: return encode(LeaveGroupResponse())
        case .offsetFetch: return encode(self.offsets())
        case .offsetCommit:
            return encode(self.commit(try OffsetCommitRequest(from: &reader, version: header.version)))
        case .fetch:
            let request = try FetchRequest(from: &reader, version: header.version)
            let isAtEnd = request.topics.flatMap(\.partitions).allSatisfy {
                $0.fetchOffset >= self.cluster.logs[Int($0.partition)].endOffset
            }
            return try self.cluster.answer(frame).map { ($0, isAtEnd ? Self.answersFetchesAtTheEndAfter : .zero) }
        default: return try self.cluster.answer(frame).map { ($0, .zero) }
        }
    }

    private func coordinator(_ request: FindCoordinatorRequest) -> FindCoordinatorResponse {
        var response = FindCoordinatorResponse()
        (response.nodeID, response.host, response.port) = (1, "broker", 9092)
        response.coordinators = request.coordinatorKeys.map { key in
            var coordinator = FindCoordinatorResponse.Coordinator()
            (coordinator.key, coordinator.nodeID, coordinator.host, coordinator.port) = (key, 1, "broker", 9092)
            return coordinator
        }
        return response
    }

    private func join(_ request: JoinGroupRequest) throws -> JoinGroupResponse {
        self.isRebalancing = false
        self.generation += 1
        try self.onJoin(self.generation)
        var response = JoinGroupResponse()
        (response.memberID, response.leader) = ("member", "member")
        response.generationID = self.generation
        response.protocolType = request.protocolType
        response.protocolName = request.protocols.first?.name
        var member = JoinGroupResponse.Member()
        member.memberID = response.memberID
        member.metadata = request.protocols.first?.metadata ?? ByteBuffer()
        response.members = [member]
        return response
    }

    private func sync() -> SyncGroupResponse {
        var assignment = ConsumerAssignment()
        let place = min(Int(self.generation), self.shares.count) - 1
        assignment.partitions = [.init(topic: "t", partitions: self.shares[place])]
        var response = SyncGroupResponse()
        (response.protocolType, response.protocolName) = ("consumer", RangeShares.name)
        response.assignment = assignment.encoded(version: 0)
        return response
    }

    private func offsets() -> OffsetFetchResponse {
        var topic = OffsetFetchResponse.GroupTopic()
        topic.name = "t"
        topic.partitions = self.positions.map { index, offset in
            var partition = OffsetFetchResponse.GroupPartition()
            (partition.partitionIndex, partition.committedOffset) = (index, offset)
            return partition
        }
        var group = OffsetFetchResponse.Group()
        (group.groupID, group.topics) = ("g", [topic])
        var response = OffsetFetchResponse()
        response.groups = [group]
        return response
    }

    private func commit(_ request: OffsetCommitRequest) -> OffsetCommitResponse {
        let error = self.commitErrors[request.generationIDOrMemberEpoch] ?? .none
        let partitions = request.topics.flatMap(\.partitions)
        let offsets = Dictionary(uniqueKeysWithValues: partitions.map { ($0.partitionIndex, $0.committedOffset) })
        self.commits.append(Commit(generation: request.generationIDOrMemberEpoch, offsets: offsets))
        var response = OffsetCommitResponse()
        response.topics = request.topics.map { asked in
            var topic = OffsetCommitResponse.Topic()
            topic.name = asked.name
            topic.partitions = asked.partitions.map { asked in
                var partition = OffsetCommitResponse.Partition()
                (partition.partitionIndex, partition.errorCode) = (asked.partitionIndex, error)
                return partition
            }
            return topic
        }
        return response
    }
}

/// Where a connection ends: hands requests to the broker, and its answers back.
private final class FakeBrokerEnd: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let broker: FakeCoordinator
    private var received = ByteBuffer()

    init(_ broker: FakeCoordinator) { self.broker = broker }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.received.writeImmutableBuffer(Self.unwrapOutboundIn(data))
        promise?.succeed()
        do {
            while let frame = try Frame.next(from: &self.received) {
                guard let (pieces, delay) = try self.broker.answer(frame) else { return context.close(promise: nil) }
                // After the writer has gone on, as with a socket.
                context.eventLoop.assumeIsolated().scheduleTask(in: delay) {
                    for piece in pieces { context.fireChannelRead(Self.wrapInboundOut(piece)) }
                    context.fireChannelReadComplete()
                }
            }
        } catch {
            context.close(promise: nil)
        }
    }
}
