import ApusBroker
import ApusCore
import ApusSQLite
import ApusSystem
import EdgeDoor
import HTTPDoor
import KafkaDoor
import Logging
import NIOCore
import NIOPosix
import WebFormats

/// The concrete parts of one server, in the order in which they start; they stop in the opposite one. A part that is
/// not there was not started, or has stopped.
struct ServerParts: Sendable {
    /// What a start that went well answers.
    struct Started: Sendable {
        var kafka: ServerAddress
        var http: ServerAddress?
        var broker: Broker
        var recovery: RecoveryReport
    }

    let logger: Logger
    private var stopWaitMax = Limits.drainWaitMax
    private var drainGrace = Duration.zero
    /// For blocking calls at start and stop, when there is no event loop to keep waiting and no disk thread yet.
    private var helper: NIOThreadPool?
    private var directory: DataDirectory?
    /// What the next start is told should this one end before it has a broker. Nil: nothing but what it finds.
    private var ends: LogEnds?
    private var journal: JournaledDisk?
    private var hasBallast = false
    private(set) var store: SQLiteCoordinatorStore?
    private var catalogue: ReopeningCatalogue?
    private(set) var loops: MultiThreadedEventLoopGroup?
    /// For what may take long and must not hold up a loop that serves.
    private var aside: MultiThreadedEventLoopGroup?
    private var threads: DiskThreads?
    private var broker: Broker?
    private var ballast: BallastKeeper?
    private(set) var security: ServerSecurity?
    private var listener: KafkaListener?
    /// What signs the cursors of the endpoint server.
    private(set) var cursorKey: [UInt8] = []
    /// One-time tickets that this process gave.
    let tickets = EndpointTickets(clock: SystemClock())
    /// HTTP, and the endpoint server on the same port.
    var web: WebParts?

    init(logger: Logger) {
        self.logger = logger
    }

    /// Who is connected to the Kafka port, for `/v1/connections`.
    var kafkaConnections: [ConnectionSource] { self.listener.map { [$0.connections] } ?? [] }

    // MARK: Start

    mutating func start(_ configuration: ServerConfiguration) async throws(ServerError) -> Started {
        let clock = SystemClock()
        let began = clock.now
        self.stopWaitMax = configuration.stopWaitMax
        self.drainGrace = configuration.drainGrace
        try Self.check(configuration)
        let helper = NIOThreadPool(numberOfThreads: 1)
        helper.start()
        self.helper = helper
        let address = try await self.blocking { () throws(ServerError) in
            try ListenAddress(
                configuration.kafka, danger: configuration.isInsecure ? nil : configuration.dangerInPublic)
        }
        let web = try await self.webAddress(configuration)
        let logger = self.logger
        self.security = try await self.blocking { () throws(ServerError) in
            try ServerSecurity(configuration, clock: clock, randomness: SystemRandomness(), logger: logger)
        }
        DescriptorLimit.raise()
        let (directory, replay) = try await self.openData(configuration)
        let found = self.ends(in: directory)
        let claim = try await self.claim(directory, after: found.life, configuration, clock)
        // Only what the last life itself left can say that it ended in order: after a crash, or from a copy, an older
        // list tells of ends that the logs have left behind since.
        let ends = found.life == claim.previous || directory.identity == nil ? found : found.unclean
        if ends.isClean { self.ends = ends.carried(into: claim.incarnation) }
        let broker = try await self.startBroker(configuration, directory, claim, ends, clock)
        let endpoint = try await self.listen(on: address, configuration, broker)
        let http = try await self.listen(onWeb: web, configuration, broker)
        let topics = broker.topics.all
        let recovery = RecoveryReport(
            isNew: directory.identity == nil, wasClean: directory.identity != nil && ends.isClean, topics: topics.count,
            partitions: topics.reduce(0) { $0 + Int($1.partitionCount) }, bytesReplayed: replay.bytes,
            duration: clock.now.since(began))
        self.tell(recovery, broker, endpoint, http)
        return Started(kafka: endpoint, http: http, broker: broker, recovery: recovery)
    }

    private static func check(_ configuration: ServerConfiguration) throws(ServerError) {
        if let loops = configuration.loops, !(1...Limits.loopsMax).contains(loops) {
            throw ServerError(.configuration, "\(loops) event loops: from 1 to \(Limits.loopsMax) can be had")
        }
        guard (1...Limits.diskThreadsMax).contains(configuration.diskThreads) else {
            throw ServerError(
                .configuration,
                "\(configuration.diskThreads) disk threads: from 1 to \(Limits.diskThreadsMax) can be had")
        }
        guard configuration.requestMemory >= configuration.frameBytesMax, configuration.frameBytesMax > .zero else {
            throw ServerError(
                .configuration,
                "\(configuration.requestMemory) of request memory cannot hold one request of "
                    + "\(configuration.frameBytesMax)")
        }
        guard configuration.tailCache >= .zero, configuration.freeBytesFloor >= .zero else {
            throw ServerError(.configuration, "a size is 0 or more")
        }
        guard configuration.partitionsDefault > 0, configuration.partitionsDefault <= Limits.partitionsPerTopicMax
        else {
            throw ServerError(
                .configuration,
                "\(configuration.partitionsDefault) partitions: from 1 to \(Limits.partitionsPerTopicMax) can be had")
        }
        if let brokerID = configuration.brokerID, brokerID.rawValue < 0 {
            throw ServerError(.configuration, "broker id \(brokerID): it is 0 or more")
        }
        if let clusterID = configuration.clusterID, clusterID.isEmpty || clusterID.contains("\n") {
            throw ServerError(.configuration, "a cluster id is one line of text")
        }
    }

    private mutating func openData(
        _ configuration: ServerConfiguration
    ) async throws(ServerError) -> (DataDirectory, JournalReplayReport) {
        let logger = self.logger
        let opened = try await self.blocking { () throws(ServerError) in
            let directory: DataDirectory
            do throws(DataDirectoryError) {
                directory = try DataDirectory(
                    at: configuration.dataDirectory, brokerID: configuration.brokerID,
                    clusterID: configuration.clusterID, mustHoldData: configuration.dataMustExist)
            } catch {
                throw ServerError(error)
            }
            if !directory.readableByAll.isEmpty {
                logger.warning(
                    "everybody on this machine may read what is kept here: chmod o-rwx",
                    metadata: ["paths": "\(directory.readableByAll.joined(separator: " "))"])
            }
            do throws(DiskError) {
                var journaling = JournaledDisk.Configuration()
                journaling.makeRoom = { () throws(DiskError) in
                    logger.warning("no room to replay the journal: giving the ballast back")
                    try directory.dropBallast()
                    return true
                }
                let (journal, report) = try JournaledDisk.open(over: directory.disk, configuration: journaling)
                Self.tell(report, logger)
                let hasBallast = try directory.takeBallast()
                // Without it a full disk is met with less in hand.
                if !hasBallast { logger.warning("no room for the ballast file") }
                return (directory, journal, report, hasBallast)
            } catch {
                throw ServerError(.disk, "data directory \(configuration.dataDirectory): \(error)", cause: error)
            }
        }
        self.directory = opened.0
        self.journal = opened.1
        self.hasBallast = opened.3
        return (opened.0, opened.2)
    }

    /// Damage is told line by line: what was acknowledged may be gone with it, and the logs themselves may not know.
    private static func tell(_ report: JournalReplayReport, _ logger: Logger) {
        guard !report.damage.isEmpty else { return }
        for finding in report.damage { logger.error("journal damaged: \(finding)") }
        let kept = report.damagedFiles.map { "\($0.damaged)" }.joined(separator: ", ")
        logger.error(
            "the journal is damaged: acknowledged records may be lost; everything else in it was replayed",
            metadata: ["kept": "\(kept)", "entries": "\(report.entries)", "more": "\(report.damageUntold)"])
    }

    /// Opens the coordinator store and takes this start's number; a new data directory becomes ours for good.
    ///
    /// - Parameter life: a number that is taken, whatever the store says.
    private mutating func claim(
        _ directory: DataDirectory, after life: Epoch, _ configuration: ServerConfiguration, _ clock: SystemClock
    ) async throws(ServerError) -> StoreClaim {
        let store = try await self.blocking { () throws(ServerError) in
            do throws(SQLiteStoreError) {
                return try SQLiteCoordinatorStore(at: directory.storePath, mustExist: directory.identity != nil)
            } catch {
                switch error {
                case .unavailable, .locked, .full: throw ServerError(.disk, "\(error)", cause: error)
                case .missing, .foreign, .newerFormat, .damaged, .readOnly:
                    throw ServerError(.dataRefused, "\(error)", cause: error)
                }
            }
        }
        self.store = store
        let snapshot = await withCheckedContinuation { continuation in
            store.read(prefix: "") { continuation.resume(returning: $0) }
        }
        let fallback = DirectoryIdentity(
            clusterID: configuration.clusterID ?? DirectoryIdentity.newClusterID(from: SystemRandomness()),
            brokerID: configuration.brokerID ?? BrokerID(rawValue: 1), createdAt: clock.wallTime)
        let claim: StoreClaim
        switch snapshot {
        case .success(let snapshot):
            claim = try StoreClaim(
                snapshot, identity: directory.identity, after: life, fallback: fallback,
                path: configuration.dataDirectory)
        case .failure(let error): throw StoreClaim.refusal(error)
        }
        try await claim.take(in: store)
        guard directory.identity == nil else { return claim }
        try await self.blocking { () throws(ServerError) in
            let identity = DirectoryIdentity(
                clusterID: claim.clusterID, brokerID: claim.brokerID, createdAt: fallback.createdAt)
            do throws(DiskError) {
                try directory.initialise(identity)
            } catch {
                throw ServerError(.disk, "data directory \(directory.path): \(error)", cause: error)
            }
        }
        return claim
    }

    /// Where no log may end below, and whether the life that says so ended in order.
    private func ends(in directory: DataDirectory) -> LogEnds {
        // A new directory has no log that could be damaged.
        guard directory.identity != nil else { return LogEnds(isClean: true) }
        let reason: String
        switch directory.ends {
        case .success(nil): return LogEnds()
        case .success(let bytes?):
            if let ends = LogEnds(from: bytes) { return ends }
            reason = "its checksum does not hold"
        case .failure(let error): reason = "\(error)"
        }
        self.logger.error(
            "the list of where the logs ended can not be read: records missing at an end are not noticed",
            metadata: ["reason": "\(reason)"])
        return LogEnds()
    }

    private mutating func startBroker(
        _ configuration: ServerConfiguration, _ directory: DataDirectory, _ claim: StoreClaim, _ ends: LogEnds,
        _ clock: SystemClock
    ) async throws(ServerError) -> Broker {
        guard let journal = self.journal, let store = self.store else { preconditionFailure("started out of order") }
        let loops = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration.loops ?? max(1, System.coreCount / 2))
        let aside = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let threads = DiskThreads(count: configuration.diskThreads, disk: journal)
        self.loops = loops
        self.aside = aside
        self.threads = threads
        var settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: claim.clusterID, brokerID: claim.brokerID),
            incarnation: claim.incarnation, wasCleanShutdown: ends.isClean, dataDirectory: directory.path)
        settings.ends = ends
        settings.tailCache = configuration.tailCache
        settings.requestMemory = configuration.requestMemory
        settings.freeBytesFloor = configuration.freeBytesFloor
        settings.configuration = configuration.brokerOptions
        settings.isAuthorizing = configuration.isAuthenticating
        settings.superUsers = try ServerSecurity.superUsers(configuration)
        let catalogue = try await self.openCatalogue(directory, clock)
        let ports = BrokerPorts(
            disk: threads, store: store, catalogue: catalogue, clock: clock, randomness: SystemRandomness(),
            logger: self.logger)
        let result = await withCheckedContinuation { [settings] continuation in
            Broker.open(
                settings, ports: ports, shards: Array(loops.makeIterator()), aside: aside.any(), on: loops.any()
            ) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(let broker):
            self.broker = broker
            let ballast = BallastKeeper(
                directory, hasBallast: self.hasBallast, threads: threads, floor: configuration.freeBytesFloor,
                logger: self.logger)
            ballast.start(on: loops.any())
            self.ballast = ballast
            return broker
        case .failure(let error):
            throw ServerError(.broker, "the broker does not start: \(error)", cause: error)
        }
    }

    /// Whatever is wrong with it is no reason not to start: what needs it says why it does not work.
    private mutating func openCatalogue(
        _ directory: DataDirectory, _ clock: SystemClock
    ) async throws(ServerError) -> any Catalogue {
        let (path, logger) = (directory.cataloguePath, self.logger)
        let catalogue = try await self.blocking { () throws(ServerError) in
            ReopeningCatalogue(at: path, clock: clock) { opened in
                guard !opened.isReadOnly else { return }
                logger.notice("the catalogue was opened again and takes changes", metadata: ["file": "\(path)"])
            }
        }
        if let problem = catalogue.problem {
            logger.error(
                "the catalogue takes no changes or can not be opened; tried again when it is needed",
                metadata: ["file": "\(path)", "reason": "\(problem)"])
        }
        self.catalogue = catalogue
        return catalogue
    }

    private mutating func listen(
        on address: ListenAddress, _ configuration: ServerConfiguration, _ broker: Broker
    ) async throws(ServerError) -> ServerAddress {
        guard let loops = self.loops, let security = self.security, let store = self.store else {
            preconditionFailure("started out of order")
        }
        self.cursorKey = try await CursorKeyRecord.bytes(in: store, SystemRandomness())
        try await security.open(broker, configuration, on: loops.any(), logger: self.logger)
        security.start(on: loops.any())
        var door = KafkaListener.Configuration(host: address.host, port: address.port)
        door.frameBytesMax = configuration.frameBytesMax
        door.cursorKey = self.cursorKey
        let tickets = self.tickets
        door.tickets = EdgeTickets { digest, then in then(tickets.redeem(digest: digest).map { EdgeLogin($0) }) }
        security.protect(&door, of: broker, configuration)
        if let advertised = configuration.advertised {
            guard let port = UInt16(exactly: advertised.port) else {
                throw ServerError(.configuration, "--advertise \(advertised): a port is a number from 0 to 65535")
            }
            broker.advertise(Endpoint(host: advertised.host, port: port), for: door.name)
        }
        do {
            let listener = try await KafkaListener.start(door, broker: broker, on: loops, logger: self.logger).get()
            self.listener = listener
            return ServerAddress(host: listener.endpoint.host, port: Int(listener.endpoint.port))
        } catch {
            throw address.refusal(of: error)
        }
    }

    func reload() {
        guard let security = self.security, let loops = self.loops else { return }
        security.reload(on: loops.any())
    }

    private func tell(
        _ recovery: RecoveryReport, _ broker: Broker, _ kafka: ServerAddress, _ http: ServerAddress?
    ) {
        self.logger.info(
            "ready",
            metadata: [
                "cluster": "\(broker.identity.clusterID)", "broker": "\(broker.identity.brokerID)",
                "kafka": "\(kafka)", "http": "\(http.map { "\($0)" } ?? "none")",
                "incarnation": "\(broker.settings.incarnation)",
                "topics": "\(recovery.topics)", "partitions": "\(recovery.partitions)",
                "clean": "\(recovery.wasClean)", "replayed": "\(recovery.bytesReplayed)",
                "ms": "\(recovery.duration.wholeMilliseconds)",
            ])
    }

    // MARK: Stop

    /// Stops what was started, newest first. True: nothing went wrong on the way.
    ///
    /// The next start is told where the logs ended, and whether the broker vouches for all of them. After a start that
    /// was not clean it can do so only once its patrol has looked at every log; until then the next start checks again,
    /// and that is no failure of this stop.
    mutating func stop(within patience: Duration?) async -> Bool {
        // First of all, while everything is served still.
        if patience == nil, self.web?.listener.beginDraining() == true { await self.waitForBalancers() }
        // Who waits for others of his group is sent away, so that nobody waits for his answer.
        self.broker?.closeGroups()
        if let web = self.web {
            await self.quietly("http") { try await web.stop(within: patience ?? self.stopWaitMax) }
        }
        if let listener = self.listener {
            await self.quietly("listener") { try await listener.stop(within: patience ?? self.stopWaitMax).get() }
        }
        if let security = self.security {
            let loop = self.loops?.any()
            await self.quietly("security") { try await security.stop(on: loop) }
        }
        // A start that ended before there was a broker has touched no log.
        var ends = self.ends
        var isWell = true
        if let broker = self.broker, let loop = self.loops?.any() {
            await self.ballast?.stop(on: loop)
            ends = await withCheckedContinuation { continuation in
                broker.close(on: loop) { continuation.resume(returning: $0) }
            }
            isWell = ends?.isClean == true || !broker.settings.wasCleanShutdown
        }
        await self.threads?.shutdown()
        (self.listener, self.web, self.security) = (nil, nil, nil)
        (self.broker, self.ballast, self.threads) = (nil, nil, nil)
        if let helper = self.helper {
            let isClosed = await self.closeData(leaving: ends, helper)
            isWell = isWell && isClosed
            await self.quietly("helper") { try await helper.shutdownGracefully() }
        }
        for loops in [self.aside, self.loops].compactMap(\.self) {
            await self.quietly("event loops") { try await loops.shutdownGracefully() }
        }
        // The last thing to go is the lock.
        self.directory?.letGo()
        self.catalogue = nil
        (self.journal, self.store, self.helper, self.directory) = (nil, nil, nil, nil)
        (self.loops, self.aside) = (nil, nil)
        return isWell
    }

    /// Those who look whether this node is ready see that it is not, and send nobody any more.
    private func waitForBalancers() async {
        guard let loop = self.loops?.any(), self.drainGrace > .zero else { return }
        self.logger.info("not ready any more", metadata: ["grace": "\(self.drainGrace)"])
        let grace = TimeAmount.nanoseconds(self.drainGrace.wholeNanoseconds)
        await withCheckedContinuation { continuation in
            loop.scheduleTask(in: grace) { continuation.resume() }
        }
    }

    private func closeData(leaving ends: LogEnds?, _ helper: NIOThreadPool) async -> Bool {
        let (journal, store, directory, logger) = (self.journal, self.store, self.directory, self.logger)
        let catalogue = self.catalogue
        let isClosed = await Self.run(on: helper) {
            do {
                try journal?.checkpoint()
                try store?.close()
                if let ends { try directory?.writeEnds(ends.encoded()) }
                // Last: nothing of the logs depends on it.
                try catalogue?.close()
                return true
            } catch {
                logger.error("the data directory was not closed whole", metadata: ["error": "\(error)"])
                return false
            }
        }
        if directory != nil { logger.info("stopped", metadata: ["clean": "\(ends?.isClean == true && isClosed)"]) }
        return isClosed
    }

    private func quietly(_ part: String, _ stop: () async throws -> Void) async {
        do {
            try await stop()
        } catch {
            self.logger.warning("\(part) did not stop well", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Blocking calls

    func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws(ServerError) -> Value
    ) async throws(ServerError) -> Value {
        guard let helper = self.helper else { preconditionFailure("no thread for a blocking call") }
        return try await Self.run(on: helper) { Result(catching: body) }.get()
    }

    private static func run<Value: Sendable>(
        on helper: NIOThreadPool, _ body: @escaping @Sendable () -> Value
    ) async -> Value {
        await withCheckedContinuation { continuation in
            helper.submit { _ in continuation.resume(returning: body()) }
        }
    }
}

extension ServerError {
    fileprivate init(_ error: DataDirectoryError) {
        let code: Code =
            switch error {
            case .inUse: .dataInUse
            case .failed: .disk
            default: .dataRefused
            }
        self.init(code, "\(error)", cause: error)
    }
}

extension EdgeLogin {
    fileprivate init(_ session: WebSession) {
        self.init(
            principal: session.principal, mechanism: session.mechanism, expires: session.expires,
            channels: session.channels, keyID: session.keyID)
    }
}
