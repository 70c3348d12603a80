import ApusBroker
import ApusCore
import ApusFakes
import HTTPDoor
import Logging
import NIOCore
import NIOEmbedded
import WebFormats

/// What clients of the HTTP door send.
extension FuzzTarget {
    /// A whole connection, from its first byte to its last, through the handlers, the router and a broker, on one
    /// thread: requests of any bytes, in pieces whose length the first byte says. Whatever comes, what goes back is
    /// whole answers of HTTP, each with a head of ours.
    static let http = FuzzTarget(
        name: "http",
        // A topic of 10,000 partitions is asked for in sixty bytes.
        isProportional: false,
        heapBytesMax: { (32 << 20) + $0 * 256 },
        seeds: { HTTPSeeds.all },
        run: { bytes in
            let world = HTTPWorld.current ?? HTTPWorld()
            HTTPWorld.current = world
            world.serve(bytes)
        }
    )

    /// Any bytes as JSON. What is taken is written as one line that means the same, and its parts are JSON, too.
    static let json = FuzzTarget(
        name: "json",
        isProportional: true,
        heapBytesMax: { FuzzTarget.heapBytesFixed * 4 + $0 * 256 },
        seeds: {
            [
                #"{"a":[1,-2.5e3,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{"c":{}}}"#, "\n[ 1 ,\r\n\t2 ]",
                #""\ud800""#, #"{"a":1,"a":2}"#, String(repeating: "[", count: 100), "1e999999", "-0", "\"\u{2028}\"",
            ].map { Array($0.utf8) }
        },
        run: { bytes in
            guard let value = try? JSONValue(ByteBuffer(bytes: bytes)) else { return }
            var line = ByteBuffer()
            line.writeJSON(value)
            precondition(!line.readableBytesView.contains { $0 == 0x0A || $0 == 0x0D || $0 == 0 }, "several lines")
            guard let again = try? JSONValue(line) else { preconditionFailure("what was written is no JSON") }
            precondition(again.kind == value.kind && again.text == value.text && again.integer == value.integer)
            if let text = value.textBytes {
                precondition(UTF8Text.holds(text), "a text that is none")
                var quoted = ByteBuffer()
                quoted.writeJSONString(utf8: text)
                precondition((try? JSONValue(quoted))?.textBytes == text, "a text that does not come back")
            }
            for element in (try? value.elements(max: 1_000)) ?? [] {
                precondition((try? JSONValue(element.bytes)) != nil, "an element that is no JSON")
            }
            guard let object = try? value.object() else { return }
            precondition(Set(object.members.map(\.name)).count == object.members.count, "a name that stands twice")
            for member in object.members {
                precondition((try? JSONValue(member.value.bytes)) != nil, "a member that is no JSON")
            }
        }
    )
}

/// Runs what is asynchronous on the thread that asks for it, when it asks: so that inputs run the same each time, and
/// the memory that they cost is counted.
///
/// Unchecked because: one thread.
private final class InlineExecutor: TaskExecutor, @unchecked Sendable {
    private var jobs = CircularBuffer<UnownedJob>()

    func enqueue(_ job: consuming ExecutorJob) { self.jobs.append(UnownedJob(job)) }

    /// - Returns: whether there was anything to do.
    func drain() -> Bool {
        guard !self.jobs.isEmpty else { return false }
        while let job = self.jobs.popFirst() { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        return true
    }
}

/// A broker over a simulated disk and its HTTP door, on one embedded loop.
private final class HTTPWorld {
    // libFuzzer calls on one thread.
    nonisolated(unsafe) static var current: HTTPWorld?

    private let loop = EmbeddedEventLoop()
    private let clock = SimulatedClock()
    private let executor = InlineExecutor()
    private let broker: Broker
    private let service: HTTPService

    init() {
        let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
        let settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "web", brokerID: BrokerID(rawValue: 0)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data")
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), catalogue: FakeCatalogue(),
            clock: self.clock, randomness: SeededRandomness(seed: 1), logger: logger)
        let opened = Box<Result<Broker, BrokerError>>()
        Broker.open(settings, ports: ports, shards: [self.loop], on: self.loop) { opened.value = $0 }
        self.loop.run()
        guard case .success(let broker)? = opened.value else { preconditionFailure("the broker does not open") }
        self.broker = broker
        var configuration = HTTPListener.Configuration(host: "127.0.0.1", port: 0)
        configuration.cursorKeys = CursorKeys(current: Array(repeating: 9, count: 32))
        configuration.pool = self.executor
        self.service = HTTPService(configuration, broker: broker, logger: logger)
    }

    func serve(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        self.makeTopic()
        let channel = EmbeddedChannel(loop: self.loop)
        let answers = AnswerCollector()
        let ended = Box<Bool>()
        guard (try? channel.pipeline.syncOperations.addHandler(answers)) != nil else { return }
        let serve = self.service.take(channel)
        _ = Task(executorPreference: self.executor) {
            await serve()
            ended.value = true
        }
        channel.connect(to: Self.address, promise: nil)
        self.settle()
        var rest = ByteBuffer(bytes: bytes.dropFirst())
        let size = first == 0 ? 1 : first < 128 ? Int(first) * 8 : .max
        while channel.isActive, let piece = rest.readSlice(length: min(size, rest.readableBytes)),
            piece.readableBytes > 0
        {
            // What the handlers make of it they answer themselves.
            _ = try? channel.writeInbound(piece)
            self.settle()
        }
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        self.settle()
        // Reads may wait for records for a minute.
        for _ in 0..<65 where channel.isActive && !answers.wasUsed {
            self.clock.advance(by: .seconds(1))
            self.loop.advanceTime(by: .seconds(1))
            self.settle()
        }
        channel.close(promise: nil)
        self.settle()
        // What is still asked of the broker is answered to nobody.
        for _ in 0..<65 where ended.value != true {
            self.clock.advance(by: .seconds(1))
            self.loop.advanceTime(by: .seconds(1))
            self.settle()
        }
        precondition(ended.value == true, "a connection that does not end")
        WebAnswers.check(answers.bytes, mayLackBodies: bytes.mentions("HEAD"))
        self.removeTopics()
    }

    /// Any address: whoever connects has one.
    private static let address: SocketAddress = {
        guard let address = try? SocketAddress(ipAddress: "127.0.0.1", port: 1) else {
            preconditionFailure("an address")
        }
        return address
    }()

    private func settle() {
        repeat { self.loop.run() } while self.executor.drain()
    }

    private func makeTopic() {
        let wish = TopicSpecification(id: nil, name: "t", partitions: 2, configuration: [:])
        self.broker.create([wish], client: .embedded, on: self.loop) { _ in }
        self.settle()
    }

    /// What one input made the next must not meet, nor the memory of all of them grow.
    private func removeTopics() {
        let names = self.broker.topics(for: .embedded).filter { !$0.isInternal }.map { TopicReference.id($0.id) }
        self.broker.deleteTopics(names, client: .embedded, on: self.loop) { _ in }
        self.settle()
    }
}

/// Unchecked because: one thread.
private final class Box<Value>: @unchecked Sendable {
    var value: Value?
}

/// Keeps what would go to the socket.
private final class AnswerCollector: ChannelOutboundHandler {
    typealias OutboundIn = IOData

    private(set) var bytes = ByteBuffer()

    /// Somebody was answered; nobody waits for time to pass.
    var wasUsed: Bool { self.bytes.readableBytes > 0 }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .byteBuffer(let bytes) = Self.unwrapOutboundIn(data) { self.bytes.writeImmutableBuffer(bytes) }
        promise?.succeed()
    }
}

/// Answers of HTTP/1.1, one behind the other, held against their grammar (RFC 9112).
private enum WebAnswers {
    /// - Parameter mayLackBodies: some may answer HEAD; only heads up to the first body are looked at then.
    static func check(_ bytes: ByteBuffer, mayLackBodies: Bool) {
        var rest = bytes.readableBytesView[...]
        while !rest.isEmpty {
            guard let head = Self.head(of: &rest) else { preconditionFailure("no head where an answer begins") }
            if mayLackBodies { return }
            if (100..<200).contains(head.status) || head.status == 204 || head.status == 304 { continue }
            let body: ByteBufferView
            if head.fields["transfer-encoding"] == "chunked" {
                guard let chunks = Self.chunks(&rest) else { return }
                body = chunks
            } else if let length = head.fields["content-length"].flatMap({ Int($0) }) {
                guard length <= rest.count else { return }
                body = rest.prefix(length)
                rest = rest.dropFirst(length)
            } else {
                body = rest
                rest = rest.suffix(0)
            }
            let types = ["application/json", "application/problem+json"]
            guard types.contains(head.fields["content-type"] ?? "") else { continue }
            precondition(!body.contains { $0 < 0x20 && $0 != 0x09 }, "an answer of JSON in several lines")
            precondition(body.isEmpty || body.first == UInt8(ascii: "{"), "an answer that is no object")
        }
    }

    private static func head(of rest: inout ByteBufferView) -> (status: Int, fields: [String: String])? {
        guard let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        precondition(rest[..<end.lowerBound].allSatisfy { (0x20...0x7E).contains($0) || $0 == 13 || $0 == 10 })
        rest = rest[end.upperBound...]
        guard let first = lines.first, first.hasPrefix("HTTP/1.1 "), let status = Int(first.dropFirst(9).prefix(3))
        else { return nil }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            precondition(parts.count == 2 && self.names.contains(parts[0].lowercased()), "a header: \(line)")
            precondition(!line.contains { $0 == "\r" || $0 == "\n" }, "half a line end in a header")
            let isNew =
                fields.updateValue(
                    parts[1].trimmingPrefix(" ").lowercased(), forKey: parts[0].lowercased()) == nil
            precondition(isNew, "a header that stands twice: \(line)")
        }
        return (status, fields)
    }

    /// Nil when the connection ended in the middle of it.
    private static func chunks(_ rest: inout ByteBufferView) -> ByteBufferView? {
        var body = ByteBuffer()
        while true {
            guard let end = rest.firstRange(of: Array("\r\n".utf8)) else { return nil }
            guard let length = Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16), length >= 0
            else { preconditionFailure("a chunk without its length") }
            rest = rest[end.upperBound...]
            guard rest.count >= length + 2 else { return nil }
            body.writeBytes(rest.prefix(length))
            rest = rest.dropFirst(length)
            precondition(rest.starts(with: Array("\r\n".utf8)), "a chunk without its end")
            rest = rest.dropFirst(2)
            if length == 0 { return body.readableBytesView }
        }
    }

    /// All that this door ever writes.
    private static let names: Set<String> = [
        "allow", "cache-control", "connection", "content-length", "content-security-policy", "content-type", "date",
        "etag", "idempotent-replayed", "location", "referrer-policy", "retry-after", "server", "transfer-encoding",
        "vary", "www-authenticate", "x-content-type-options", "x-frame-options", "cross-origin-opener-policy",
        "cross-origin-resource-policy",
    ]
}

extension [UInt8] {
    fileprivate func mentions(_ word: String) -> Bool { self.firstRange(of: Array(word.utf8)) != nil }
}
