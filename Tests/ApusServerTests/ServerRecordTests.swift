import ApusClient
import ApusCore
import ApusServer
import Foundation
import NIOCore
import Testing

/// One record's whole way, over a real socket onto a real disk, and what of it is there afterwards.
@Suite struct ServerRecordTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    private func connected<Answer>(
        to server: ApusServer, _ body: (ApusClient) async throws -> Answer
    ) async throws -> Answer {
        try await ApusClient(ClientConfiguration(servers: ["\(server.kafka)"])).withConnection(body)
    }

    private func publish(_ range: Range<Int>, on server: ApusServer) async throws {
        try await self.connected(to: server) { client in
            try await client.withProducer(ProducerOptions(topic: "t")) { producer in
                for number in range { try await producer.send("record \(number)", key: "\(number % 50)") }
            }
        }
    }

    private func read(from server: ApusServer) async throws -> [String] {
        try await self.connected(to: server) { client in
            var values: [String] = []
            for try await record in client.read("t", from: .start, until: .end) {
                values.append(record.value.map { String(buffer: $0) } ?? "")
            }
            return values
        }
    }

    private func names(_ range: Range<Int>) -> Set<String> { Set(range.map { "record \($0)" }) }

    @Test("what was acknowledged is read after every restart, once, and more is added to it", arguments: [1, 2])
    func restarts(loops: Int) async throws {
        var configuration = self.bench.configuration
        configuration.loops = loops
        configuration.partitionsDefault = 4
        for round in 0..<3 {
            let wasClean = try await self.bench.serve(configuration) { server in
                try await self.publish(round * 1000..<(round + 1) * 1000, on: server)
                let values = try await self.read(from: server)
                #expect(values.count == (round + 1) * 1000)
                #expect(Set(values) == self.names(0..<(round + 1) * 1000))
            }
            #expect(wasClean)
        }
    }

    /// A copy of a directory in use is what a killed process leaves: the kernel's view of every file.
    @Test("what was acknowledged is read from what a killed broker leaves")
    func killed() async throws {
        var copied = self.bench.configuration
        copied.dataDirectory = self.bench.directory.file("copy")
        try await self.bench.serve(self.bench.configuration) { server in
            try await self.publish(0..<2000, on: server)
            try FileManager.default.copyItem(
                atPath: self.bench.configuration.dataDirectory, toPath: copied.dataDirectory)
        }
        for round in 0..<2 {
            let isWell = try await self.bench.serve(copied) { server in
                // By the second time a patrol may have looked at every log, and the stop was a clean one.
                #expect(!server.recovery.isNew && (!server.recovery.wasClean || round > 0))
                let values = try await self.read(from: server)
                #expect(values.count == 2000)
                #expect(Set(values) == self.names(0..<2000))
            }
            #expect(isWell)
        }
    }
}
