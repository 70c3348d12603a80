import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// One request in the hands of its API's handler: what it may know of its connection, and the way back.
struct Exchange<Response: KafkaResponse>: Sendable {
    let version: Int16
    let client: ClientContext
    let loop: any EventLoop
    let door: Door

    /// How many bytes the request had.
    let requestBytes: ByteCount
    private let correlationID: Int32
    private let place: ReplyQueue.Place
    private let connection: NIOLoopBound<KafkaConnection>

    init(_ call: Call, _ connection: KafkaConnection) {
        self.version = call.header.version
        self.correlationID = call.header.correlationID
        self.requestBytes = call.byteCount
        self.place = call.place
        self.door = connection.door
        self.loop = connection.loop.eventLoop
        self.client = connection.client(calling: call.header.clientID)
        self.connection = NIOLoopBound(connection, eventLoop: self.loop)
    }

    var broker: Broker { self.door.broker }

    /// Where this client reaches this broker: what the listener advertises, else the address the client came to.
    var endpoint: Endpoint {
        self.broker.endpoints[self.door.listenerName] ?? self.connection.value.localEndpoint
    }

    /// The fetch sessions of this connection's loop. Only on that loop.
    func withSessions<Result>(_ body: (inout FetchSessions) -> Result) -> Result {
        let loop = self.connection.value.loop
        return body(&loop.sessions)
    }

    /// The number of the loop's current sweep: its clock, in ``Limits/connectionSweepPeriod``.
    var sweep: UInt64 { self.connection.value.loop.sweep }

    /// How quick this client reads.
    var pace: ReaderPace { self.connection.value.pace }

    /// What this connection's fetches read is set aside here.
    var replyMemory: ReplyMemory { self.connection.value.loop.replyMemory }

    /// The fetch that runs for this connection, so that it is let go of when the connection ends.
    /// - Parameter yields: it waits only as long as nothing was asked behind it.
    func hold(_ ticket: FetchTicket, yields: Bool = false) {
        self.connection.value.hold(ticket, yields: yields, at: self.place)
    }

    /// Counts what the client has used, and gives the `throttle_time_ms` of its answer. Only on the connection's loop.
    func throttle(_ count: (inout QuotaMeter) -> Duration) -> Int32 {
        let wait = self.connection.value.count(for: self.client.clientID, count)
        return Int32(clamping: wait.wholeMilliseconds)
    }

    // MARK: The login

    /// A message of the connection's login, in its turn. `answer` is called exactly once, now or later.
    func hear(_ request: SaslRequest, answer: @escaping (SaslReply?) -> Void) {
        self.connection.value.hear(request, answer: answer)
    }

    func hear(handshake mechanism: String, answer: @escaping (SaslReply?) -> Void) {
        guard let login = self.door.login else { return answer(.illegalState) }
        self.hear(
            .handshake(mechanism: mechanism, version: self.version, nonce: login.nonce()), answer: answer)
    }

    // MARK: The way back: exactly one of these, exactly once, on the connection's loop

    func answer(_ response: Response) {
        let frame = Frame.encode(response, version: self.version, correlationID: self.correlationID)
        // Nobody would read it, and the client learns more from a closed connection than from silence.
        guard !frame.isEmpty else {
            return self.close(because: "\(Response.apiKey): an answer over \(WireLimits.frameBytesWrittenMax) bytes")
        }
        self.connection.value.answer(self.place, with: frame)
    }

    /// For requests that have no answer: Produce with acks=0.
    func answerNothing() {
        self.connection.value.answer(self.place, with: [])
    }

    /// When there is no way to answer: the client notices the closed connection.
    func close(because reason: String) {
        self.connection.value.answer(self.place, with: [])
        self.connection.value.close(because: reason)
    }
}
