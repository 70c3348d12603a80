import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import WebFormats

/// One request in the hands of its route: who asks, and the broker that is asked.
struct WebContext: RequestContext {
    struct Source: RequestContextSource {
        let logger: Logger
        let door: WebDoor
        let channel: any Channel
    }

    var coreContext: CoreRequestContextStorage
    let door: WebDoor
    let channel: any Channel
    /// Set once the client is known; until then nobody, who may do nothing.
    var client: ClientContext
    var session: WebSession?

    init(source: Source) {
        self.coreContext = .init(source: source)
        self.door = source.door
        self.channel = source.channel
        self.client = ClientContext()
    }

    var broker: Broker { self.door.broker }
    /// Where the broker answers: the connection's own loop, mostly a shard's.
    var loop: any EventLoop { self.channel.eventLoop }

    /// The topic that the path names: by name, or as `id:` and its id.
    func topic() throws(Problem) -> TopicReference {
        let text = try self.segment("topic")
        guard text.hasPrefix("id:") else { return .name(text) }
        guard let id = TopicID(String(text.dropFirst(3))) else {
            throw Problem(.invalidRequest, "'id:' is followed by a topic's id")
        }
        return .id(id)
    }

    /// A part of the path, decoded.
    func segment(_ name: String) throws(Problem) -> String {
        guard let text = self.parameters.get(name).flatMap({ PercentText.decoded($0) }) else {
            throw Problem(.invalidRequest, "the path is not percent-encoded UTF-8")
        }
        return text
    }

    /// Asks the broker for one thing, and waits for its answer.
    func ask<Value: Sendable>(
        _ ask: (@escaping @Sendable (Result<Value, BrokerError>) -> Void) -> Void
    ) async throws(Problem) -> Value {
        let result = await withCheckedContinuation { continuation in
            ask { continuation.resume(returning: $0) }
        }
        do throws(BrokerError) { return try result.get() } catch { throw Problem(error) }
    }

    /// The same for what answers with many outcomes.
    func wait<Value: Sendable>(_ ask: (@escaping @Sendable (Value) -> Void) -> Void) async -> Value {
        await withCheckedContinuation { continuation in
            ask { continuation.resume(returning: $0) }
        }
    }

    // MARK: Quotas

    /// Keeps one waiting who is over a quota, or refuses when that takes too long: a connection of HTTP is not muted,
    /// because the next request may come on another.
    func throttle(_ kind: QuotaKind) async throws {
        let subject = QuotaSubject(self.client.principal, clientID: self.client.clientID)
        let wait = self.broker.quotas.charge(kind, 0, to: subject)
        guard wait > .zero else { return }
        guard wait <= Limits.webThrottleHeldMax else {
            throw Problem(
                .throttled, "the quota is used up for \(wait.wholeMilliseconds) ms", retryIn: wait)
        }
        try await self.loop.scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) {}.futureResult.get()
    }

    func charge(_ kind: QuotaKind, _ bytes: Int) {
        let subject = QuotaSubject(self.client.principal, clientID: self.client.clientID)
        _ = self.broker.quotas.charge(kind, Double(bytes), to: subject)
    }
}
