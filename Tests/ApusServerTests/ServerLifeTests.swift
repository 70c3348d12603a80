import ApusBroker
import ApusCore
import ApusServer
import Foundation
import NIOCore
import NIOPosix
import Testing

@Suite struct ServerLifeTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    @Test("a server on port 0 says its real port, takes connections there, and stops cleanly")
    func start() async throws {
        let wasClean = try await self.bench.serve(self.bench.configuration) { server in
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
        let server = try await ApusServer.start(self.bench.configuration, logger: ServerBench.logger)
        async let first = server.shutdown()
        async let second = server.shutdown()
        let answers = await [first, second, server.shutdown()]
        #expect(answers == [true, true, true])
    }

    @Test("a second server on the same data is refused with one line, and the first goes on")
    func secondInstance() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            let error = try await self.bench.refusal(self.bench.configuration)
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
        try await self.bench.serve(self.bench.configuration) { server in
            var other = self.bench.configuration
            other.dataDirectory = self.bench.directory.file("other")
            try await self.bench.serve(other) { _ in }
            other.kafka = server.kafka
            let error = try await self.bench.refusal(other)
            #expect(error.code == .addressInUse)
            #expect(error.message.contains("--kafka"))
            other.kafka.port = 0
            try await self.bench.serve(other) { #expect($0.recovery.wasClean) }
        }
    }

    @Test(
        "an address that other machines reach is refused until it is said in words",
        arguments: ["0.0.0.0", "::", "192.0.2.1"])
    func publicAddress(host: String) async throws {
        var configuration = self.bench.configuration
        configuration.kafka.host = host
        let error = try await self.bench.refusal(configuration)
        #expect(error.code == .publicAddress)
        #expect(error.message.contains("--insecure"))
        #expect(!FileManager.default.fileExists(atPath: configuration.dataDirectory))
        guard host == "0.0.0.0" else { return }
        configuration.isInsecure = true
        try await self.bench.serve(configuration) { #expect($0.kafka.host == "0.0.0.0") }
    }

    @Test("an address of no machine, and one of another machine, are refused and named")
    func wrongAddress() async throws {
        var configuration = self.bench.configuration
        configuration.isInsecure = true
        for host in ["192.0.2.1", "no such host"] {
            configuration.kafka.host = host
            let error = try await self.bench.refusal(configuration)
            #expect(error.code == .addressRefused)
            #expect(error.message.contains(host))
        }
    }

    @Test("topics, cluster and broker id are there after a restart, and the start is clean")
    func restart() async throws {
        var configuration = self.bench.configuration
        configuration.brokerID = BrokerID(rawValue: 7)
        var clusterID = ""
        try await self.bench.serve(configuration) { server in
            clusterID = server.clusterID
            let topic = try await server.createTopic("kept", partitions: 3)
            #expect(topic.partitionCount == 3)
        }
        configuration.dataMustExist = true
        configuration.brokerID = nil
        try await self.bench.serve(configuration) { server in
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
            try await self.bench.serve(self.bench.configuration) { epochs.append($0.broker.settings.incarnation) }
            if round == 1 { try FileManager.default.removeItem(atPath: self.bench.directory.file("data/ends")) }
        }
        #expect(epochs == [0, 1, 2, 3].map { Epoch(rawValue: $0) })
    }
}
