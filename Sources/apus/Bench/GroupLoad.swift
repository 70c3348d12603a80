import ApusCommand
import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// One large group: what its members have in common. Touched on its event loop only.
///
/// `@unchecked Sendable`: made before the members, and used on `loop` afterwards, which the members' channels prove.
final class GroupLoad: @unchecked Sendable {
    let loop: any EventLoop
    let group: String
    let topic: String
    let topicID: WireUUID
    let partitions: Int
    private(set) var settling: GroupSettling
    private var whenSettled: EventLoopPromise<Instant>?
    private(set) var requests: Int64 = 0
    private(set) var errors: Int64 = 0
    private(set) var firstError: String?
    private(set) var commits: Int64 = 0
    private(set) var positions: Int64 = 0
    private(set) var isCommitting = false

    init(
        loop: any EventLoop, group: String, topic: String, topicID: WireUUID, members: Int, partitions: Int
    ) {
        self.loop = loop
        self.group = group
        self.topic = topic
        self.topicID = topicID
        self.partitions = partitions
        self.settling = GroupSettling(members: members, partitions: partitions)
    }

    func fail(_ message: String) {
        self.errors += 1
        if self.firstError == nil { self.firstError = message }
    }

    func requested() { self.requests += 1 }

    func joined(_ member: Int, generation: Int32, partitions: [Int32]) {
        self.settling.joined(member, generation: generation, partitions: partitions)
        if self.settling.isSettled { self.whenSettled.take()?.succeed(.now) }
    }

    func left(_ member: Int) { self.settling.left(member) }

    /// The moment at which the group is at rest: now, or when it comes.
    func settled() -> EventLoopFuture<Instant> {
        self.loop.preconditionInEventLoop()
        if self.settling.isSettled { return self.loop.makeSucceededFuture(.now) }
        if let promise = self.whenSettled { return promise.futureResult }
        let promise = self.loop.makePromise(of: Instant.self)
        self.whenSettled = promise
        return promise.futureResult
    }

    /// It will not be waited for any longer.
    func giveUp() {
        self.whenSettled.take()?.fail(
            CommandFailure(
                .failure, code: "bench_errors",
                "the group did not settle in time" + (self.firstError.map { "; first error: \($0)" } ?? ""),
                next: "more time: --patience 5m"))
    }

    func startCommitting() {
        self.isCommitting = true
        (self.commits, self.positions) = (0, 0)
    }

    func stopCommitting() { self.isCommitting = false }

    func committed(_ positions: Int) {
        self.commits += 1
        self.positions += Int64(positions)
    }
}

/// What a member of either protocol does when its time comes. Called on its event loop.
protocol GroupLoadProtocol: AnyObject {
    /// Becomes a member.
    func join()
    /// Leaves, and closes the connection behind it.
    func leave()
    /// What its commits carry; nil while it is in no generation.
    var membership: GroupLoadMembership? { get }
}

struct GroupLoadMembership {
    var id: String
    var generation: Int32
    var partitions: [Int32]
}

/// One member's connection: requests out, answers in, in order. Owner: its event loop.
final class GroupLoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The last version of OffsetCommit that names topics; carries the epoch of either protocol.
    private static let commitVersion: Int16 = 9

    let load: GroupLoad
    let index: Int
    private var context: ChannelHandlerContext?
    private var answers: Deque<(ByteBuffer) throws -> Void> = []
    private var received = ByteBuffer()
    private var offset: Int64 = 0
    private(set) var isLeaving = false
    private var member: (any GroupLoadProtocol)?

    init(load: GroupLoad, index: Int) {
        self.load = load
        self.index = index
    }

    /// What this connection is a member by. Holds the connection as well, until it is closed.
    func become(_ member: any GroupLoadProtocol) { self.member = member }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func send<Request: KafkaRequest>(
        _ request: Request, version: Int16, then: @escaping (Request.Response) -> Void
    ) {
        guard let context = self.context else { return }
        self.load.requested()
        self.answers.append { frame in
            then(try Frame.decode(Request.Response.self, from: frame, version: version).response)
        }
        let frame = Frame.encode(request, version: version, correlationID: 0, clientID: "apus-bench")
        for part in frame { context.write(self.wrapOutboundOut(part), promise: nil) }
        context.flush()
    }

    func after(_ time: TimeAmount, _ body: @escaping () -> Void) {
        self.load.loop.assumeIsolated().scheduleTask(in: time) { body() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do {
            while let frame = try Frame.next(from: &self.received, limit: Limits.frameBytesMax.rawValue) {
                guard let answer = self.answers.popFirst() else { return self.broken("an answer to nothing", context) }
                try answer(frame)
            }
        } catch {
            self.broken("an answer that is none: \(error)", context)
        }
        self.received.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.isLeaving { self.load.fail("the broker closed a member's connection") }
        self.load.left(self.index)
        self.member = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.broken("\(error)", context) }

    private func broken(_ message: String, _ context: ChannelHandlerContext) {
        self.load.fail(message)
        context.close(promise: nil)
    }

    // MARK: What both protocols do

    func join() { self.member?.join() }

    func leave() {
        self.isLeaving = true
        self.member?.leave()
    }

    func close() { self.context?.close(promise: nil) }

    /// Commits what it has, again and again, one commit at a time, while the load wants it.
    func commit() {
        guard self.load.isCommitting, !self.isLeaving, let membership = self.member?.membership,
            !membership.partitions.isEmpty
        else { return }
        var request = OffsetCommitRequest()
        request.groupID = self.load.group
        request.memberID = membership.id
        request.generationIDOrMemberEpoch = membership.generation
        var topic = OffsetCommitRequest.Topic()
        topic.name = self.load.topic
        self.offset += 1
        topic.partitions = membership.partitions.map { index in
            var partition = OffsetCommitRequest.Partition()
            partition.partitionIndex = index
            partition.committedOffset = self.offset
            partition.committedMetadata = ""
            return partition
        }
        request.topics = [topic]
        self.send(request, version: Self.commitVersion) { response in
            let refused = response.topics.lazy.flatMap(\.partitions).first { $0.errorCode != .none }
            if let refused {
                self.load.fail("OffsetCommit: \(refused.errorCode)")
            } else {
                self.load.committed(membership.partitions.count)
            }
            self.commit()
        }
    }
}
