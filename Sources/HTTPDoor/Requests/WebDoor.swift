import ApusBroker
import ApusCore
import Crypto
import Logging
import NIOCore
import Synchronization
import WebFormats

/// What all connections of one listener share. Any thread.
final class WebDoor: Sendable {
    let broker: Broker
    let login: WebLogin?
    /// Whether a page from elsewhere could reach this broker through its visitor's browser: nobody logs in, and only
    /// this machine's programs are meant to come.
    let isPrivate: Bool
    let configuration: HTTPListener.Configuration
    let logger: Logger
    /// For what reads find, until it was sent.
    let replyMemory = ReplyMemory(limit: Limits.webReplyMemory)
    /// For bodies of requests.
    let bodyMemory = MemoryBudget(limit: Limits.webBodyMemory)
    let logins = LoginMemory()
    /// How long requests took, by route.
    let times = RouteTimes(count: WebRoute.all.count)

    /// Everything that is connected to this node, by door; ours included once it listens.
    let sources = Mutex<[ConnectionSource]>([])

    private let isDrainingNow = Atomic<Bool>(false)
    private let isWatched = Atomic<Bool>(false)
    private let spreads = Atomic<UInt32>(0)
    private let connectionCount = Atomic<Int>(0)
    private let requestCount = Atomic<Int>(0)
    private let problemCount = Atomic<Int>(0)

    init(broker: Broker, configuration: HTTPListener.Configuration, logger: Logger) {
        self.broker = broker
        self.login = configuration.login
        self.configuration = configuration
        self.isPrivate = configuration.login == nil && HostName.isLoopback(configuration.host)
        self.logger = logger
    }

    var wallTime: Timestamp { self.broker.wallTime }

    var isDraining: Bool { self.isDrainingNow.load(ordering: .relaxed) }

    func beginDraining() { self.isDrainingNow.store(true, ordering: .relaxed) }

    /// Somebody asked for it. Not ready from now on; whoever the configuration says is told the first time.
    func drain() {
        guard !self.isDrainingNow.exchange(true, ordering: .relaxed) else { return }
        self.configuration.drainBegan?()
    }

    /// Somebody looks whether this node is ready, as a balancer does.
    var wasAskedWhetherReady: Bool { self.isWatched.load(ordering: .relaxed) }

    func askedWhetherReady() { self.isWatched.store(true, ordering: .relaxed) }

    /// A number that is another for every write: records without a key go to one partition each time, to all in turn.
    var nextSpread: UInt32 { self.spreads.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Bytes that nobody can guess.
    func randomBytes(_ count: Int) -> [UInt8] {
        SymmetricKey(size: SymmetricKeySize(bitCount: count * 8)).withUnsafeBytes { Array($0) }
    }

    // MARK: Counts, for operators

    var connections: Int { self.connectionCount.load(ordering: .relaxed) }
    var requests: Int { self.requestCount.load(ordering: .relaxed) }
    var problems: Int { self.problemCount.load(ordering: .relaxed) }

    func connectionOpened() { self.connectionCount.add(1, ordering: .relaxed) }
    func connectionClosed() { self.connectionCount.subtract(1, ordering: .relaxed) }

    func answered(withProblem isProblem: Bool) {
        self.requestCount.add(1, ordering: .relaxed)
        if isProblem { self.problemCount.add(1, ordering: .relaxed) }
    }
}
