import ApusBroker
import ApusCore
import ApusServer
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

@Suite struct ApusServerTests {
    private let directory: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    private var configuration: ServerConfiguration {
        var configuration = ServerConfiguration(dataDirectory: self.directory.file("data"))
        configuration.kafka.port = 0
        configuration.loops = 1
        configuration.diskThreads = 2
        return configuration
    }

    private func refusal(_ configuration: ServerConfiguration) async throws -> ServerError {
        do {
            let server = try await ApusServer.start(configuration, logger: .quiet)
            await server.shutdown()
            throw Unrefused()
        } catch let error as ServerError {
            return error
        }
    }

    private struct Unrefused: Error {}

    /// Runs a server for the time of the body. Answers whether it stopped cleanly.
    @discardableResult
    private func serve(
        _ configuration: ServerConfiguration, _ body: (ApusServer) async throws -> Void
    ) async throws -> Bool {
        let server = try await ApusServer.start(configuration, logger: .quiet)
        do {
            try await body(server)
        } catch {
            await server.shutdown()
            throw error
        }
        return await server.shutdown()
    }

    @Test("a server on port 0 says its real port, takes connections there, and stops cleanly")
    func start() async throws {
        let wasClean = try await self.serve(self.configuration) { server in
            #expect(server.kafka.host == "127.0.0.1")
            #expect(server.kafka.port > 0)
            #expect(server.recovery.isNew)
            #expect(server.brokerID == BrokerID(rawValue: 1))
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: server.kafka.host, port: server.kafka.port).get()
            try await channel.close()
        }
        #expect(wasClean)
    }

    @Test("a stopped server says so as often as it is asked")
    func stopTwice() async throws {
        let server = try await ApusServer.start(self.configuration, logger: .quiet)
        async let first = server.shutdown()
        async let second = server.shutdown()
        let answers = await [first, second, server.shutdown()]
        #expect(answers == [true, true, true])
    }

    @Test("a second server on the same data is refused with one line, and the first goes on")
    func secondInstance() async throws {
        try await self.serve(self.configuration) { server in
            let error = try await self.refusal(self.configuration)
            #expect(error.code == .dataInUse)
            #expect(error.isRetryable)
            #expect(error.message.contains("in use by process \(ProcessInfo.processInfo.processIdentifier)"))
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: server.kafka.host, port: server.kafka.port).get()
            try await channel.close()
        }
    }

    @Test("a port that is taken is refused by the flag that changes it, and the data is as clean as before")
    func portTaken() async throws {
        try await self.serve(self.configuration) { server in
            var other = self.configuration
            other.dataDirectory = self.directory.file("other")
            try await self.serve(other) { _ in }
            other.kafka = server.kafka
            let error = try await self.refusal(other)
            #expect(error.code == .addressInUse)
            #expect(error.message.contains("--kafka"))
            other.kafka.port = 0
            try await self.serve(other) { #expect($0.recovery.wasClean) }
        }
    }

    @Test(
        "an address that other machines reach is refused until it is said in words",
        arguments: ["0.0.0.0", "::", "192.0.2.1"])
    func publicAddress(host: String) async throws {
        var configuration = self.configuration
        configuration.kafka.host = host
        let error = try await self.refusal(configuration)
        #expect(error.code == .publicAddress)
        #expect(error.message.contains("--insecure"))
        #expect(!FileManager.default.fileExists(atPath: configuration.dataDirectory))
        guard host == "0.0.0.0" else { return }
        configuration.isInsecure = true
        try await self.serve(configuration) { #expect($0.kafka.host == "0.0.0.0") }
    }

    @Test("an address of no machine, and one of another machine, are refused and named")
    func wrongAddress() async throws {
        var configuration = self.configuration
        configuration.isInsecure = true
        for host in ["192.0.2.1", "no such host"] {
            configuration.kafka.host = host
            let error = try await self.refusal(configuration)
            #expect(error.code == .addressRefused)
            #expect(error.message.contains(host))
        }
    }

    @Test("topics, cluster and broker id are there after a restart, and the start is clean")
    func restart() async throws {
        var configuration = self.configuration
        configuration.brokerID = BrokerID(rawValue: 7)
        var clusterID = ""
        try await self.serve(configuration) { server in
            clusterID = server.clusterID
            let topic = try await server.create("kept", partitions: 3)
            #expect(topic.partitionCount == 3)
        }
        configuration.dataMustExist = true
        configuration.brokerID = nil
        try await self.serve(configuration) { server in
            #expect(server.clusterID == clusterID)
            #expect(server.brokerID == BrokerID(rawValue: 7))
            #expect(!server.recovery.isNew && server.recovery.wasClean)
            #expect(server.recovery.topics == 1 && server.recovery.partitions == 3)
            #expect(server.broker.topics.topic(named: "kept")?.partitionCount == 3)
        }
    }

    @Test("each start leads in an epoch of its own, also after a start that was not clean")
    func epochs() async throws {
        var epochs: [Epoch] = []
        for round in 0..<4 {
            try await self.serve(self.configuration) { epochs.append($0.broker.settings.incarnation) }
            if round == 1 { try FileManager.default.removeItem(atPath: self.directory.file("data/clean")) }
        }
        #expect(epochs == [0, 1, 2, 3].map { Epoch(rawValue: $0) })
    }

    @Test("a store of another cluster or broker is noticed beside our identity, and the other way round")
    func swappedStore() async throws {
        var other = self.configuration
        other.dataDirectory = self.directory.file("other")
        try await self.serve(self.configuration) { _ in }
        try await self.serve(other) { _ in }
        let files = FileManager.default
        let mine = self.directory.file("data/broker.json")
        try files.moveItem(atPath: mine, toPath: self.directory.file("kept.json"))
        try files.copyItem(atPath: self.directory.file("other/broker.json"), toPath: mine)
        let error = try await self.refusal(self.configuration)
        #expect(error.code == .dataRefused)
        #expect(error.message.contains("store.sqlite"))
        try files.removeItem(atPath: mine)
        try files.moveItem(atPath: self.directory.file("kept.json"), toPath: mine)
        try await self.serve(self.configuration) { #expect($0.recovery.wasClean) }
    }

    @Test("a directory whose store is gone is refused, not begun anew")
    func missingStore() async throws {
        try await self.serve(self.configuration) { _ in }
        try FileManager.default.removeItem(atPath: self.directory.file("data/store.sqlite"))
        let error = try await self.refusal(self.configuration)
        #expect(error.code == .dataRefused)
        #expect(!FileManager.default.fileExists(atPath: self.directory.file("data/store.sqlite")))
    }

    @Test("a store with topics in it keeps a lost identity from being made anew")
    func lostIdentity() async throws {
        try await self.serve(self.configuration) { _ = try await $0.create("named", partitions: 1) }
        let data = self.directory.file("data")
        for name in try FileManager.default.contentsOfDirectory(atPath: data) where !name.hasPrefix("store.sqlite") {
            try FileManager.default.removeItem(atPath: "\(data)/\(name)")
        }
        #expect(try await self.refusal(self.configuration).code == .dataRefused)
    }

    @Test("a data directory of another broker is refused, and data that must be there and is not")
    func wrongData() async throws {
        var configuration = self.configuration
        configuration.dataMustExist = true
        #expect(try await self.refusal(configuration).code == .dataRefused)
        try await self.serve(self.configuration) { _ in }
        configuration.brokerID = BrokerID(rawValue: 9)
        let error = try await self.refusal(configuration)
        #expect(error.code == .dataRefused)
        #expect(error.message.contains("broker 1's, this is broker 9"))
    }

    @Test("values out of their range are refused before anything is touched")
    func ranges() async throws {
        let wrong: [(inout ServerConfiguration) -> Void] = [
            { $0.loops = 0 }, { $0.diskThreads = 0 }, { $0.requestMemory = .bytes(1) }, { $0.partitionsDefault = 0 },
            { $0.kafka.port = 65536 }, { $0.kafka.port = -1 }, { $0.brokerID = BrokerID(rawValue: -1) },
            { $0.clusterID = "" }, { $0.tailCache = .bytes(-1) },
        ]
        for change in wrong {
            var configuration = self.configuration
            change(&configuration)
            #expect(try await self.refusal(configuration).code == .configuration)
        }
        #expect(!FileManager.default.fileExists(atPath: self.directory.file("data")))
    }
}

extension ApusServer {
    fileprivate func create(_ name: String, partitions: Int32) async throws -> Topic {
        let client = ClientContext(principal: "anonymous", clientID: "test", address: "127.0.0.1")
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answers = await withCheckedContinuation { continuation in
            self.broker.create([TopicSpecification(name: name, partitions: partitions)], client: client, on: loop) {
                continuation.resume(returning: $0)
            }
        }
        guard let answer = answers.first else { throw CancellationError() }
        return try answer.get()
    }
}

extension Logger {
    fileprivate static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A directory of its own for one test, removed with everything in it when the test lets go.
private final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-server-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
    }

    // Nothing depends on a clean temporary directory.
    deinit { try? FileManager.default.removeItem(atPath: self.path) }

    func file(_ name: String) -> String { "\(self.path)/\(name)" }
}
