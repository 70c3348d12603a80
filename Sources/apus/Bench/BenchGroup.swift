import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import KafkaWire
import NIOCore
import NIOPosix

struct BenchGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group",
        abstract: "Let many members join one group at once; then leave it idle; then commit.",
        discussion: """
              apus bench group --pid PID
              apus bench group --members 100 --partitions 1000 --protocol consumer --commit-for 0s

            Settled means that every partition has one owner and all members are in one generation; it is counted from \
            the first request to join, with all connections made before. Every member commits what it has, \
            again and again, with one commit in flight. The broker that is named must coordinate the group.
            """
    )

    enum GroupProtocol: String, ExpressibleByArgument, CaseIterable {
        case classic, consumer
    }

    @Option(help: "Members, each with a connection of its own.")
    var members = 1000

    @Option(help: "Partitions of the topic, which is made and removed.")
    var partitions = 1000

    @Option(name: .customLong("protocol"), help: "How the group shares partitions out.")
    var groupProtocol = GroupProtocol.classic

    @Option(help: "Leave the settled group alone for so long. [default: 10s]", transform: parsedDuration)
    var idleFor: Duration?

    @Option(help: "Commit for so long. [default: 5s]", transform: parsedDuration)
    var commitFor: Duration?

    @Option(help: "Give up when the group has not settled by then. [default: 60s]", transform: parsedDuration)
    var patience: Duration?

    @OptionGroup var options: BenchOptions

    private typealias Member = (connection: NIOLoopBound<GroupLoadConnection>, channel: any Channel)

    func validate() throws {
        guard (1...20_000).contains(self.members) else { throw ValidationError("--members must be 1 to 20000") }
        guard (1...10_000).contains(self.partitions) else { throw ValidationError("--partitions must be 1 to 10000") }
    }

    func run() async throws {
        let address = try self.options.address()
        let report = try await self.options.connection.withClient { apus in
            let name = "bench-group-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
            let topic = try await apus.topics.create(
                name, partitions: self.partitions, configuration: ["durability": "page-cache"])
            do {
                let report = try await self.measured(topic, address, apus)
                try await Self.clean(name, apus)
                return report
            } catch {
                // The run's own error matters more than what stays behind.
                try? await Self.clean(name, apus)
                throw error
            }
        }
        switch self.options.output.format {
        case .table: try StandardOutput.write(report.text)
        case .json: try StandardOutput.write(report.json.pretty + "\n")
        case .ndjson, .raw: try StandardOutput.write(report.json.compact + "\n")
        }
        if report.errors > 0 {
            throw CommandFailure(
                .failure, code: "bench_errors", "\(report.errors) errors, so these are not the numbers")
        }
    }

    private static func clean(_ name: String, _ apus: ApusClient) async throws {
        try await apus.groups.delete(name)
        try await apus.topics.delete(name)
    }

    private func measured(
        _ topic: TopicAdmin.Created, _ address: HostPort, _ apus: ApusClient
    ) async throws -> GroupReport {
        let threads = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let load = GroupLoad(
            loop: threads.any(), group: topic.name, topic: topic.name,
            topicID: WireUUID(high: topic.id.high, low: topic.id.low), members: self.members,
            partitions: self.partitions)
        do {
            let report = try await self.measured(load, address, apus)
            try await threads.shutdownGracefully()
            if let error = load.firstError { StandardError.write("apus: first error: \(error)\n") }
            return report
        } catch {
            try await threads.shutdownGracefully()
            throw error
        }
    }

    private func measured(_ load: GroupLoad, _ address: HostPort, _ apus: ApusClient) async throws -> GroupReport {
        // The first question about a coordinator may make the topic that it keeps everything in.
        _ = try await apus.groups.positions(of: load.group)
        let members = try await self.connect(load, apus, address)
        var report = try await self.storm(load, members)
        // A broker that thinks otherwise than the members has not settled.
        let described = try await apus.groups.describe(load.group)
        if described.members.count != self.members || described.state != .stable {
            throw CommandFailure(
                .failure, code: "bench_errors",
                "the broker says \(described.state) with \(described.members.count) members")
        }
        let idle = self.idleFor ?? .seconds(10)
        if idle > .zero {
            (report.idle, report.idleTime) = try await self.spent { try await Self.pass(idle, on: load.loop) }
        }
        let time = self.commitFor ?? .seconds(5)
        if time > .zero {
            try await load.loop.submit { load.startCommitting() }.get()
            (report.committing, report.commitTime) = try await self.spent {
                try await load.loop.submit { for member in members { member.connection.value.commit() } }.get()
                try await Self.pass(time, on: load.loop)
                try await load.loop.submit { load.stopCommitting() }.get()
            }
        }
        let isSettled: Bool
        (report.commits, report.positions, report.errors, isSettled) = try await load.loop.submit {
            (load.commits, load.positions, load.errors, load.settling.isSettled)
        }.get()
        if !isSettled { report.errors += 1 }
        try await self.leave(load, members)
        return report
    }

    /// The time of a measurement.
    private static func pass(_ time: Duration, on loop: any EventLoop) async throws {
        try await loop.scheduleTask(in: TimeAmount(time)) {}.futureResult.get()
    }

    private func connect(
        _ load: GroupLoad, _ apus: ApusClient, _ address: HostPort
    ) async throws -> [Member] {
        var members: [Member] = []
        for index in 0..<self.members {
            let isClassic = self.groupProtocol == .classic
            let channel = try await apus.bareConnection(to: address.host, port: address.port, on: load.loop).get()
            let member = try await load.loop.submit {
                let member = GroupLoadConnection(load: load, index: index)
                member.become(isClassic ? ClassicLoadMember(member) : ConsumerLoadMember(member))
                try channel.pipeline.syncOperations.addHandler(member)
                return NIOLoopBound(member, eventLoop: load.loop)
            }.get()
            members.append((member, channel))
        }
        return members
    }

    /// All join at once.
    private func storm(
        _ load: GroupLoad, _ members: [Member]
    ) async throws -> GroupReport {
        let patience = load.loop.scheduleTask(in: TimeAmount(self.patience ?? .seconds(60))) { load.giveUp() }
        let before = self.options.brokerTime()
        let (began, settled) = try await load.loop.flatSubmit {
            let began = Instant.now
            for member in members { member.connection.value.join() }
            return load.settled().map { (began, $0) }
        }.get()
        patience.cancel()
        var report = GroupReport(
            protocolName: self.groupProtocol.rawValue, members: self.members, partitions: self.partitions,
            settled: settled.since(began),
            requestsToSettle: try await load.loop.submit { load.requests }.get())
        if let before, let after = self.options.brokerTime() { report.settleTime = after - before }
        return report
    }

    private func leave(_ load: GroupLoad, _ members: [Member]) async throws {
        try await load.loop.submit { for member in members { member.connection.value.leave() } }.get()
        for member in members { try await member.channel.closeFuture.get() }
    }

    /// How long `body` took, and the broker's CPU time meanwhile.
    private func spent(_ body: () async throws -> Void) async throws -> (Duration, Duration?) {
        let (began, before) = (Instant.now, self.options.brokerTime())
        try await body()
        let after = self.options.brokerTime()
        let time: Duration? = if let before, let after { after - before } else { nil }
        return (Instant.now.since(began), time)
    }
}
