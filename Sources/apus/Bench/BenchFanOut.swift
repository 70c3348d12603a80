import ApusClient
import ApusCommand
import ApusCore
import ApusSystem
import ArgumentParser
import NIOCore
import NIOPosix

struct BenchWebSocket: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ws",
        abstract: "Connect many WebSockets, write records, and take the time until each is pushed.",
        discussion: """
              apus bench ws --connections 1000 --records 20k --pid PID
              apus bench ws --connections 5000 --rate 50 --duration 20s
              apus bench ws --connections 10000 --hold 60s --records 1
              apus bench ws --connections 1000 --channels 10 --records 100k
              apus bench ws --connections 5000 --reconnect --records 1000

            Without --rate the next records are written when those before have been delivered, so that nobody falls \
            behind: that is the most that can be pushed. Records are written over Kafka to one partition; latency is \
            from the moment at which a record was due until a connection has it, taken on 16 of them.

            With --reconnect all connections are cut at once, the records are written, and all come back at once with \
            their cursors: how long until the last one has every record, and whether each has each of them once. \
            Latency is from a connection's first attempt until it has all.
            """
    )

    @OptionGroup var fanOut: FanOutOptions

    func run() async throws { try await self.fanOut.run(.webSocket) }
}

struct BenchEventStream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sse",
        abstract: "Connect many event streams, write records, and take the time until each is pushed.",
        discussion: """
              apus bench sse --connections 1000 --records 20k --pid PID

            As apus bench ws; an event stream has one channel.
            """
    )

    @OptionGroup var fanOut: FanOutOptions

    func validate() throws {
        if self.fanOut.channels > 1 { throw ValidationError("an event stream has one channel: --channels 0 or 1") }
    }

    func run() async throws { try await self.fanOut.run(.eventStream) }
}

/// A load on an endpoint server.
struct FanOutOptions: ParsableArguments {
    @Option(help: "Connections.")
    var connections = 1000

    @Option(help: "Channels of each connection that nobody else is in (topic/key); 0: all are in the whole topic.")
    var channels = 0

    @Option(help: ArgumentHelp("Records to write. [default: 10k]", valueName: "count"), transform: parsedCount)
    var records: Int64?

    @Option(help: "Records a second. [default: as fast as they are delivered]")
    var rate: Double?

    @Option(help: "With --rate: write for so long. [default: 10s]", transform: parsedDuration)
    var duration: Duration?

    @Option(help: ArgumentHelp("Bytes of one record's value, a JSON object.", valueName: "size"))
    var recordBytes = "128"

    @Option(help: "Records of one batch.")
    var batchRecords = 100

    @Option(help: "Without --rate, records that are written ahead of what is delivered.")
    var window: Int64 = 1000

    @Option(help: "Leave the connections alone for so long before. [default: 0s]", transform: parsedDuration)
    var hold: Duration?

    @Option(help: "And for so long afterwards. [default: 0s]", transform: parsedDuration)
    var stay: Duration?

    @Flag(help: "Cut all connections, write the records, and take the time until all have come back and have them.")
    var reconnect = false

    @Option(help: "With --reconnect: connections that are made at a time. [default: 1000]")
    var atOnce: Int?

    @Option(
        help: ArgumentHelp(
            "Where the endpoint server is. [default: port 8080 of the first --server]", valueName: "host:port"))
    var http: String?

    @OptionGroup var topicOptions: BenchTopicOptions
    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard (1...100_000).contains(self.connections) else { throw ValidationError("--connections is 1 to 100000") }
        guard (0...1000).contains(self.channels) else { throw ValidationError("--channels is 0 to 1000") }
        guard self.batchRecords > 0, self.window > 0 else { throw ValidationError("counts must be 1 or more") }
        if let rate = self.rate, !(rate > 0 && rate <= 10_000_000) { throw ValidationError("--rate must be above 0") }
        guard self.duration == nil || self.rate != nil else { throw ValidationError("--duration goes with --rate") }
        guard self.records == nil || self.rate == nil else {
            throw ValidationError("--records and --rate exclude each other: --rate and --duration say how many")
        }
        guard self.atOnce.map({ self.reconnect && (1...100_000).contains($0) }) ?? true else {
            throw ValidationError("--at-once is 1 to 100000, and goes with --reconnect")
        }
        if self.reconnect, self.channels > 0 || self.rate != nil || self.hold != nil || self.stay != nil {
            throw ValidationError("--reconnect is of the whole topic, without --channels, --rate, --hold and --stay")
        }
        guard self.topicOptions.partitions == 1 else {
            throw ValidationError("records are written to one partition: --partitions 1")
        }
    }

    func run(_ transport: PushDrain.Transport) async throws {
        let recordBytes = try Quantity.size(self.recordBytes).rawValue
        guard (FanOutProducer.frameBytes...1_000_000).contains(recordBytes) else {
            throw CommandFailure.usage("--record-bytes is \(FanOutProducer.frameBytes) to 1000000")
        }
        let kafka = try self.options.address()
        let address =
            try self.http.map { text throws(CommandFailure) in try HostPort(text) }
            ?? HostPort(host: kafka.host, port: 8080)
        guard DescriptorLimit.raise() > self.connections + 64 else {
            throw CommandFailure.usage(
                "this process may not have \(self.connections) connections", next: "ulimit -Hn shows how many")
        }
        try await self.options.withTopic(self.topicOptions) { apus, topic, partitions in
            guard partitions == 1 else {
                throw CommandFailure.usage("\(topic) has \(partitions) partitions", next: "name one with a single one")
            }
            let pid = self.options.pid
            return try await LoadLoop.run(brokerTime: { pid.flatMap { ProcessTime.spent(by: $0) } }) { load in
                if self.reconnect {
                    return try await self.measureReconnecting(load, transport, topic, recordBytes, at: address, apus)
                }
                return try await self.measure(load, transport, topic, recordBytes, at: address, kafka, apus)
            }
        }
    }

    private func measure(
        _ load: LoadLoop, _ transport: PushDrain.Transport, _ topic: String, _ recordBytes: Int,
        at address: HostPort, _ kafka: HostPort, _ apus: ApusClient
    ) async throws -> BenchReport {
        let login = try self.authorization()
        let fanOut = try await load.loop.submit {
            NIOLoopBound(
                FanOutLoad(load, transport, address, authorization: login, connections: self.connections),
                eventLoop: load.loop)
        }.get()
        var audience = try await self.gather(fanOut, load, topic)
        if let hold = self.hold, hold > .zero {
            let before = self.options.brokerTime()
            try await load.loop.scheduleTask(in: TimeAmount(hold)) {}.futureResult.get()
            audience.idle = hold
            if let before, let after = self.options.brokerTime() { audience.idleTime = after - before }
        }
        try await self.write(fanOut, load, topic, recordBytes, to: kafka, apus)
        var report = try await load.loop.submit { load.report("delivered") }.get()
        if let stay = self.stay { try await load.loop.scheduleTask(in: TimeAmount(stay)) {}.futureResult.get() }
        report.latencyOf = "push"
        report.rateWanted = self.rate.map { $0 * Double(self.audience) }
        report.audience = audience
        return report
    }

    /// The same login as at the Kafka port, in a header.
    func authorization() throws -> String? {
        let security = try self.options.connection.choice().security
        if security.usesTLS { throw CommandFailure.usage("this load speaks HTTP without TLS") }
        if let file = security.tokenFile { return "Bearer \(try SecretFile.line(of: file))" }
        guard let user = security.user else { return nil }
        guard let file = security.passwordFile else {
            throw CommandFailure.usage("the password is needed in a file here", next: "--password-file FILE")
        }
        return "Basic \(Base64.encoded("\(user):\(try SecretFile.line(of: file))".utf8))"
    }

    /// To how many connections each record goes.
    private var audience: Int { self.channels == 0 ? self.connections : 1 }

    private func channels(of connection: Int, in topic: String) -> [String] {
        guard self.channels > 0 else { return [topic] }
        return (0..<self.channels).map { "\(topic)/c\(connection)-\($0)" }
    }

    /// Connects and subscribes all, some hundreds at a time.
    private func gather(
        _ fanOut: NIOLoopBound<FanOutLoad>, _ load: LoadLoop, _ topic: String
    ) async throws -> BenchAudience {
        let memory = self.options.pid.flatMap { ProcessMemory.resident(of: $0) }
        let began = Instant.now
        let address = try await load.loop.submit { fanOut.value.address }.get()
        let bootstrap = ClientBootstrap(group: load.loop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 * 1024))
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
        for start in stride(from: 0, to: self.connections, by: 256) {
            let connecting = (start..<min(self.connections, start + 256)).map { index in
                let channels = self.channels(of: index, in: topic)
                return bootstrap.channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            FanOutSubscriber(fanOut.value, channels: channels, takesTime: index < 16))
                    }
                }.connect(host: address.host, port: address.port)
            }
            do {
                for channel in connecting { _ = try await channel.get() }
            } catch {
                throw CommandFailure(
                    .unreachable, code: "unreachable", "no endpoint server answers at \(address) (\(error))",
                    next: "apus serve --http HOST:PORT, and --http HOST:PORT here")
            }
        }
        let patience = load.loop.scheduleTask(in: .seconds(60)) { fanOut.value.lost("not all were subscribed in time") }
        try await load.loop.flatSubmit { fanOut.value.allSubscribed }.get()
        patience.cancel()
        var audience = BenchAudience(
            transport: try await load.loop.submit { fanOut.value.transport.rawValue }.get(),
            connections: self.connections, channels: max(1, self.channels) * self.connections,
            connecting: Instant.now.since(began))
        if let memory, let after = self.options.pid.flatMap({ ProcessMemory.resident(of: $0) }) {
            audience.memory = (memory, after)
        }
        return audience
    }

    private func write(
        _ fanOut: NIOLoopBound<FanOutLoad>, _ load: LoadLoop, _ topic: String, _ recordBytes: Int,
        to kafka: HostPort, _ apus: ApusClient
    ) async throws {
        let channel = try await load.connect(apus, to: kafka, readBytes: 64 * 1024)
        let schedule = self.rate.map { OpenLoopSchedule(start: .now.advanced(by: .milliseconds(100)), rate: $0) }
        let length = self.duration ?? .seconds(10)
        let records = schedule.map { $0.count(at: $0.start.advanced(by: length)) } ?? self.records ?? 10_000
        let keys =
            self.channels == 0
            ? []
            : (0..<self.connections).flatMap { connection in (0..<self.channels).map { "c\(connection)-\($0)" } }
        let plan = FanOutProducer.Plan(
            topic: topic, keys: keys, records: records, recordBytes: recordBytes, batchRecords: self.batchRecords,
            audience: Int64(self.audience), schedule: schedule, window: self.window)
        let patience = load.loop.scheduleTask(in: TimeAmount(length + .seconds(120))) {
            fanOut.value.lost("not all was delivered in time")
        }
        try await load.loop.flatSubmit {
            fanOut.value.expected = records * plan.audience
            do {
                try channel.pipeline.syncOperations.addHandler(FanOutProducer(fanOut.value, plan))
            } catch {
                fanOut.value.finished.fail(error)
            }
            return fanOut.value.finished.futureResult
        }.get()
        patience.cancel()
        channel.close(promise: nil)
    }
}
