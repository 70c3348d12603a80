import ApusCore
import NIOCore
import WebFormats

/// The clients of one channel on one event loop, where they are not one alone. Owner: the loop's ``EndpointAudiences``.
final class EndpointAudience {
    /// One subscription of one connection.
    struct Member {
        let connection: EndpointConnection
        let token: SubscriptionToken

        func isSame(as other: Member) -> Bool { self.connection === other.connection && self.token == other.token }
    }

    /// Where the channel stands: all in front of it was given to the members. Nil while it has not joined its hub.
    private(set) var place: ChannelPlace?
    private var members: [Member] = []
    private var waiting: [(member: Member, then: (Result<ChannelPlace, Problem>) -> Void)] = []

    init() {}

    /// Of one client, who has the first seat.
    init(_ member: Member, at place: ChannelPlace) {
        self.members = [member]
        self.place = place
    }

    /// The one client that is in it, if nobody else is or comes.
    var soleMember: Member? { self.members.count == 1 && self.waiting.isEmpty ? self.members.first : nil }
    var isEmpty: Bool { self.members.isEmpty && self.waiting.isEmpty }

    func join(_ member: Member, _ then: @escaping (Result<ChannelPlace, Problem>) -> Void) {
        guard let place = self.place else { return self.waiting.append((member, then)) }
        self.seat(member)
        then(.success(place))
    }

    /// Each member knows its seat, so that ten thousand who leave at once do not look for themselves among the others.
    /// - Parameter seat: nil: it has not been seated yet.
    func leave(_ member: Member, from seat: Int32?) {
        guard let seat else { return self.waiting.removeAll { $0.member.isSame(as: member) } }
        let index = Int(seat)
        precondition(self.members[index].isSame(as: member), "a member in the seat of another")
        let last = self.members.removeLast()
        guard index < self.members.count else { return }
        self.members[index] = last
        last.connection.seated(last.token, at: seat)
    }

    private func seat(_ member: Member) {
        member.connection.seated(member.token, at: Int32(self.members.count))
        self.members.append(member)
    }

    func joined(at place: ChannelPlace) {
        guard self.place == nil else { return }
        self.place = place
        let waiting = self.waiting
        self.waiting = []
        for entry in waiting { self.seat(entry.member) }
        // Who leaves because of what another is told is not told any more.
        for entry in waiting where entry.member.connection.isSeated(entry.member.token) {
            entry.then(.success(self.place ?? place))
        }
    }

    func deliver(_ delivery: HubDelivery, _ format: WireFormat) {
        guard self.place != nil else { return }
        self.place?.advance(by: delivery)
        let frames = SharedFrames(delivery.push, format)
        for member in self.members { member.connection.pushed(delivery, frames, to: member.token) }
    }

    func lost(_ range: MissedRange) {
        guard self.place != nil else { return }
        self.place?.advance(range.partition, to: range.to)
        for member in self.members { member.connection.lost(range, member.token) }
    }

    func ended(_ problem: Problem) {
        let waiting = self.waiting
        self.waiting = []
        for entry in waiting { entry.then(.failure(problem)) }
        for member in self.members { member.connection.ended(member.token, problem) }
    }

    /// - Parameter channel: what the channel is, and of which topic.
    func rejoin(_ channel: EdgeChannel, of topic: TopicID) {
        let (waiting, place) = (self.waiting, self.place)
        self.waiting = []
        // They had not begun: they ask once more.
        for entry in waiting { entry.then(.failure(Problem(.noLeader, "the topic changes just now"))) }
        guard let place else { return }
        for member in self.members { member.connection.rejoin(member.token, channel, of: topic, from: place) }
    }
}

/// One push as each kind of connection is sent it: made once for all sockets of a loop, and only if there is one.
final class SharedFrames {
    let push: Push
    private let format: WireFormat
    private(set) lazy var webSocket = WebSocketFrame.of(self.format.opcode, self.push.body(in: self.format))
    /// For those who take compressed messages; the same as the other one where it would not be shorter.
    private(set) lazy var deflated: ByteBuffer =
        MessageDeflate.deflated(self.push.body(in: self.format)).map {
            WebSocketFrame.of(self.format.opcode, $0, isDeflated: true)
        } ?? self.webSocket
    private(set) lazy var stream: ByteBuffer = {
        var event = ByteBuffer()
        event.reserveCapacity(self.push.body.readableBytes + (self.push.eventID?.readableBytes ?? 0) + 16)
        EventStream.write(self.push, into: &event)
        return event
    }()

    /// For a stream of several channels: its id is the client's own, and stands in front.
    private(set) lazy var streamData: ByteBuffer = {
        var event = ByteBuffer()
        event.reserveCapacity(self.push.body.readableBytes + 16)
        EventStream.write(data: self.push.body, into: &event)
        return event
    }()

    init(_ push: Push, _ format: WireFormat) {
        self.push = push
        self.format = format
    }

    func isOf(_ push: Push, _ format: WireFormat) -> Bool { self.format == format && self.push.isSame(as: push) }
}
