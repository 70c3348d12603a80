import ApusBroker
import ApusCore
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
    let logins = LoginMemory()

    private let isDrainingNow = Atomic<Bool>(false)
    private let spreads = Atomic<UInt32>(0)

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

    /// A number that is another for every write: records without a key go to one partition each time, to all in turn.
    var nextSpread: UInt32 { self.spreads.wrappingAdd(1, ordering: .relaxed).newValue }
}
