import ApusCore
import NIOCore

/// A member of a classic group, as long as its coordinator lives.
struct ClassicMember: Sendable {
    private(set) var id: MemberID
    let instance: InstanceID?
    private(set) var client: ClientIdentity
    var sessionTimeout: Duration
    private(set) var rebalanceTimeout: Duration
    /// In the order in which it prefers them. After a recovery only the one that the group used.
    private(set) var protocols: [GroupProtocol]
    var assignment = ByteBuffer()
    /// Its place in the order in which members came.
    let order: UInt64
    /// Its unanswered join.
    var joining: RequestToken?
    /// Its unanswered sync.
    var syncing: RequestToken?
    /// Not in a generation yet.
    var isNew = true
    /// Asked for what this generation gives it, or can not know that it should.
    var hasSynced = true

    init(_ request: JoinRequest, id: MemberID, order: UInt64) {
        self.id = id
        self.instance = request.instance
        self.client = ClientIdentity(
            clientID: ClientIdentity.printable(request.client.clientID),
            host: ClientIdentity.printable(request.client.host)
        )
        self.order = order
        self.sessionTimeout = request.sessionTimeout
        self.rebalanceTimeout = .zero
        self.protocols = []
        self.take(request)
    }

    /// From the group's record.
    init(_ kept: ClassicImage.Member, protocolName: String, order: UInt64) {
        self.id = kept.id
        self.instance = kept.instance
        self.client = kept.client
        self.order = order
        self.sessionTimeout = kept.sessionTimeout
        self.rebalanceTimeout = Self.clamped(kept.rebalanceTimeout)
        self.protocols = [GroupProtocol(name: protocolName, metadata: kept.subscription)]
        self.assignment = kept.assignment
        self.isNew = false
    }

    /// What a join tells, each time.
    mutating func take(_ request: JoinRequest) {
        self.sessionTimeout = request.sessionTimeout
        self.rebalanceTimeout = Self.clamped(request.rebalanceTimeout)
        // Copies: what came is a slice of the whole request, which would stay as long as the member.
        self.protocols = request.protocols.map {
            GroupProtocol(name: $0.name, metadata: ByteBuffer(bytes: $0.metadata.readableBytesView))
        }
    }

    /// A static member goes on under another name.
    mutating func rename(_ id: MemberID, _ client: ClientIdentity) {
        self.id = id
        self.client = client
    }

    private static func clamped(_ timeout: Duration) -> Duration {
        min(max(timeout, .zero), Limits.groupRebalanceTimeoutMax)
    }

    func metadata(for name: String?) -> ByteBuffer {
        self.protocols.first { $0.name == name }?.metadata ?? ByteBuffer()
    }

    /// What it keeps of the group's memory: its own words, and its assignment.
    var stateBytes: Int {
        self.protocols.reduce(self.assignment.readableBytes) { $0 + $1.name.utf8.count + $1.metadata.readableBytes }
            + Self.bytesBesides
    }

    /// Names, timeouts and places in tables, about.
    static let bytesBesides = 512
}
