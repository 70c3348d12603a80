import ApusClient
import ApusCore
import ApusServer
import Foundation
import Testing

/// A bit that flipped in a file of `__consumer_offsets`, on a real disk, and what an operator does about it.
@Suite("Damaged records of groups on a real disk", .timeLimit(.minutes(10)))
struct DamagedGroupsTests {
    private let bench: ServerBench
    private let place = NamedPartition("orders", PartitionIndex(rawValue: 0))

    init() throws {
        self.bench = try ServerBench()
    }

    private func client<Answer: Sendable>(
        _ server: ApusServer, patience: Duration = .seconds(90), _ body: (ApusClient) async throws -> Answer
    ) async throws -> Answer {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
        configuration.callTimeout = patience
        return try await ApusClient(configuration).withConnection(body)
    }

    private func commit(_ offset: Int64, note: String, on server: ApusServer) async throws {
        let position = GroupPosition(Offset(rawValue: offset), metadata: note)
        try await self.client(server) { try await $0.groups.commit([self.place: position], for: "billing") }
    }

    /// The segment that says this, and where.
    private func segment(saying text: String) throws -> (file: URL, at: Data.Index) {
        let topics = URL(fileURLWithPath: self.bench.directory.file("data/topics"))
        let all = try #require(FileManager.default.enumerator(at: topics, includingPropertiesForKeys: nil))
        for case let file as URL in all where file.pathExtension == "segment" {
            if let range = try Data(contentsOf: file).range(of: Data(text.utf8)) { return (file, range.lowerBound) }
        }
        throw CocoaError(.fileNoSuchFile)
    }

    @Test("groups are refused until the file is made, then go on with what is whole, over restarts too")
    func accepted() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            _ = try await server.createTopic("orders", partitions: 1)
            try await self.commit(3, note: "the whole one", on: server)
            try await self.commit(4, note: "the damaged one", on: server)
        }
        let (file, at) = try self.segment(saying: "the damaged one")
        var bytes = try Data(contentsOf: file)
        bytes[at] ^= 1
        try bytes.write(to: file)
        let directory = file.deletingLastPathComponent()
        let acceptance = directory.appendingPathComponent("accept-damage")
        try await self.bench.serve(self.bench.configuration) { server in
            await #expect(throws: ApusError.self) {
                try await self.client(server, patience: .seconds(3)) { try await $0.groups.positions(of: "billing") }
            }
            // Records of others flow.
            _ = try await server.write(ServerRecord("still"), to: "orders")
            try Data().write(to: acceptance)
            let found = try await self.client(server) { try await $0.groups.positions(of: "billing") }
            #expect(found[self.place]?.offset == Offset(rawValue: 3))
            #expect(found[self.place]?.metadata == "the whole one")
            #expect(!FileManager.default.fileExists(atPath: acceptance.path))
            try await self.commit(5, note: "the next one", on: server)
        }
        try await self.bench.serve(self.bench.configuration) { server in
            let found = try await self.client(server) { try await $0.groups.positions(of: "billing") }
            #expect(found[self.place]?.offset == Offset(rawValue: 5))
        }
    }
}
