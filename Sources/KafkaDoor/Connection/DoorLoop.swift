import ApusBroker
import ApusCore
import Logging
import NIOCore

/// What the connections of one event loop share: the sweep, the flush at the end of a tick, and the fetch sessions.
/// Owner: its event loop; touched nowhere else.
final class DoorLoop {
    let eventLoop: any EventLoop
    /// Memory for answers, shared with the other loops.
    let replyMemory: ReplyMemory
    var sessions: FetchSessions
    var logins = LoginPlaces()

    private let logger: Logger
    private var numbers: (first: UInt64, step: UInt64)
    private(set) var connections: [ObjectIdentifier: KafkaConnection] = [:]
    private var unflushed: [KafkaConnection] = []
    private var sweepTask: Scheduled<Void>?
    /// Set when this loop takes no more connections; kept when the last has gone.
    private var drained: EventLoopPromise<Void>?
    /// How many sweeps there were: the clock of the watches.
    private(set) var sweep: UInt64 = 0
    private var linesLeft = Limits.peerLogLinesPerSweepMax
    private var linesDropped = 0
    private var linesCountedFrom = NIODeadline.uptimeNanoseconds(0)

    /// - Parameters:
    ///   - replyMemory: the same for all loops of a listener.
    ///   - fetchSessionsMax: fetch sessions kept by this loop.
    ///   - numbers: those of its connections, so that none of another loop has the same: the first, and how far apart.
    init(
        eventLoop: any EventLoop, logger: Logger, replyMemory: ReplyMemory, fetchSessionsMax: Int,
        numbers: (first: UInt64, step: UInt64) = (1, 1)
    ) {
        self.numbers = numbers
        self.eventLoop = eventLoop
        self.logger = logger
        self.replyMemory = replyMemory
        self.sessions = FetchSessions(countMax: fetchSessionsMax)
    }

    var connectionCount: Int { self.connections.count }

    // MARK: Connections

    func nextNumber() -> UInt64 {
        defer { self.numbers.first += self.numbers.step }
        return self.numbers.first
    }

    func add(_ connection: KafkaConnection) {
        guard self.drained == nil else { return connection.close() }
        self.connections[ObjectIdentifier(connection)] = connection
        connection.watch.begin(at: self.sweep)
        if self.sweepTask == nil { self.scheduleSweep() }
    }

    func remove(_ connection: KafkaConnection) {
        self.connections[ObjectIdentifier(connection)] = nil
        guard self.connections.isEmpty else { return }
        self.sweepTask?.cancel()
        self.sweepTask = nil
        self.drained?.succeed()
    }

    /// Takes no more requests on any connection, answers those there are, and closes; cuts those that are not done
    /// within `patience`. The future is done when all are closed.
    func drain(within patience: Duration) -> EventLoopFuture<Void> {
        if let drained = self.drained { return drained.futureResult }
        let drained = self.eventLoop.makePromise(of: Void.self)
        self.drained = drained
        for connection in Array(self.connections.values) { connection.drain() }
        guard !self.connections.isEmpty else {
            drained.succeed()
            return drained.futureResult
        }
        let cut = self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(patience.wholeNanoseconds)) {
            for connection in Array(self.connections.values) { connection.close() }
        }
        drained.futureResult.assumeIsolated().whenComplete { _ in cut.cancel() }
        return drained.futureResult
    }

    // MARK: Flushing

    /// Answers found outside a connection's own turn are flushed together, once, at the end of this tick.
    func flushSoon(_ connection: KafkaConnection) {
        self.unflushed.append(connection)
        guard self.unflushed.count == 1 else { return }
        self.eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        let connections = self.unflushed
        self.unflushed.removeAll(keepingCapacity: true)
        for connection in connections { connection.flushIfNeeded() }
    }

    // MARK: The sweep

    private func scheduleSweep() {
        self.sweepTask = self.eventLoop.assumeIsolated().scheduleTask(
            in: .nanoseconds(Limits.connectionSweepPeriod.wholeNanoseconds)
        ) {
            self.runSweep()
            if !self.connections.isEmpty { self.scheduleSweep() } else { self.sweepTask = nil }
        }
    }

    private func runSweep() {
        self.sweep += 1
        self.tellLinesDropped()
        self.sessions.expire(at: self.sweep)
        for connection in Array(self.connections.values) { connection.sweep(at: self.sweep) }
    }

    // MARK: Log lines about peers

    private func tellLinesDropped() {
        guard self.linesDropped > 0 else { return }
        self.logger.notice("\(self.linesDropped) more connections were closed for what they sent")
        self.linesDropped = 0
    }

    /// One line about a client. So many a sweep, then they are only counted: a client can not fill the disk with them.
    /// Control characters and what is not ASCII are escaped.
    func log(_ line: String) {
        let now = self.eventLoop.now
        // By time, not by sweeps: without connections there are none, and clients that never stay are the ones to name.
        if now - self.linesCountedFrom >= .nanoseconds(Limits.connectionSweepPeriod.wholeNanoseconds) {
            self.tellLinesDropped()
            self.linesCountedFrom = now
            self.linesLeft = Limits.peerLogLinesPerSweepMax
        }
        guard self.linesLeft > 0 else {
            self.linesDropped += 1
            return
        }
        self.linesLeft -= 1
        self.logger.notice("\(line.printable(upTo: Limits.peerLogCharactersMax))")
    }
}
