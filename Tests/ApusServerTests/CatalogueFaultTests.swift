import ApusClient
import ApusCore
import ApusServer
import Foundation
import Testing

/// A real SQLite file without room, locked by a real process, on a file system that takes no changes: each time records
/// flow, changes are refused whole with a word about what to do, and when it is over it works again by itself.
@Suite("Faults of the catalogue's file", .timeLimit(.minutes(10)))
struct CatalogueFaultTests {
    private let bench: ServerBench
    private var file: String { self.bench.directory.file("data/catalogue.sqlite") }

    init() throws {
        self.bench = try ServerBench()
    }

    // MARK: What is asked

    private func client<Answer: Sendable>(
        _ server: ApusServer, patience: Duration = .seconds(60), _ body: (ApusClient) async throws -> Answer
    ) async throws -> Answer {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
        configuration.callTimeout = patience
        return try await ApusClient(configuration).withConnection(body)
    }

    private func create(_ name: String, on server: ApusServer) async throws {
        let wish = Subscription(
            name: SubscriptionName(name), owner: ConsumerName(""), interest: .names(["orders"]), period: .seconds(7200))
        _ = try await self.client(server) { try await $0.subscriptions.create(wish) }
    }

    private func names(_ server: ApusServer) async throws -> [String] {
        try await self.client(server) { try await $0.subscriptions.list() }.map(\.subscription.name.text).sorted()
    }

    /// The catalogue's own words for refusing every kind of change.
    private func refusal(_ server: ApusServer) async throws -> String {
        var words: Set<String> = []
        let changes: [@Sendable (ApusClient) async throws -> Void] = [
            {
                try await $0.subscriptions.create(
                    Subscription(
                        name: SubscriptionName("refused"), owner: ConsumerName(""), interest: .names(["orders"])))
            },
            { for removed in try await $0.subscriptions.remove(["first"]) { try removed.get() } },
        ]
        for change in changes {
            do {
                // A client goes on asking while somebody holds the lock.
                try await self.client(server, patience: .seconds(6)) { try await change($0) }
                Issue.record("a change was taken")
            } catch let error as ApusError {
                #expect(error.code == .catalogue)
                words.insert(error.message)
            }
        }
        return words.sorted().joined(separator: "\n")
    }

    /// Records and positions go their way whatever the catalogue says.
    private func recordsFlow(_ server: ApusServer) async throws {
        let before = try await server.read("orders", from: .zero).count
        _ = try await server.write(ServerRecord("record \(before)"), to: "orders")
        #expect(try await server.read("orders", from: .zero).count == before + 1)
        let client = ApusClient(ClientConfiguration(servers: ["\(server.kafka)"]))
        try await client.withConnection { client in
            let position = Offset(rawValue: Int64(before))
            let place = NamedPartition("orders", PartitionIndex(rawValue: 0))
            try await client.groups.commit([place: GroupPosition(position)], for: "tool-\(before)")
            #expect(try await client.groups.positions(of: "tool-\(before)")[place]?.offset == position)
        }
    }

    /// What was refused works again soon, without the broker being started again.
    private func comesBack(_ server: ApusServer) async throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(120))
        while true {
            do {
                return try await self.create("second", on: server)
            } catch let error as ApusError where error.code == .catalogue && ContinuousClock.now < deadline {
                await Task.yield()
            }
        }
    }

    /// A data directory whose catalogue lies on a file system of its own, with a topic and a subscription.
    private func separate(bytes: Int) async throws -> SmallFileSystem {
        try await self.prepare()
        let small = try SmallFileSystem(bytes: bytes, in: self.bench.directory)
        try FileManager.default.moveItem(atPath: self.file, toPath: small.file("catalogue.sqlite"))
        try FileManager.default.createSymbolicLink(
            atPath: self.file, withDestinationPath: small.file("catalogue.sqlite"))
        return small
    }

    private func prepare() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            _ = try await server.createTopic("orders", partitions: 1)
            try await self.create("first", on: server)
        }
    }

    private func expectAfterRestart(_ names: [String]) async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            #expect(try await self.names(server).filter { !$0.hasPrefix("tool") } == names)
            try await self.recordsFlow(server)
        }
    }

    // MARK: Faults

    @Test("no room on its file system", .enabled(if: SmallFileSystem.isPossible, "needs root that may mount"))
    func outOfSpace() async throws {
        let small = try await self.separate(bytes: 1 << 20)
        try await self.bench.serve(self.bench.configuration) { server in
            try small.fill()
            let words = try await self.refusal(server)
            #expect(words.contains("no room for the catalogue") && words.contains("free some space"))
            #expect(try await self.names(server).contains("refused") == false)
            try await self.recordsFlow(server)
            try small.makeRoom()
            try await self.comesBack(server)
            #expect(try await self.names(server).filter { !$0.hasPrefix("tool") } == ["first", "second"])
        }
        try await self.expectAfterRestart(["first", "second"])
    }

    @Test(
        "no room on its file system when the broker starts",
        .enabled(if: SmallFileSystem.isPossible, "needs root that may mount"))
    func outOfSpaceAtStart() async throws {
        let small = try await self.separate(bytes: 1 << 20)
        try small.fill()
        try await self.bench.serve(self.bench.configuration) { server in
            let words = try await self.refusal(server)
            #expect(words.contains("Nothing was changed"))
            try await self.recordsFlow(server)
            try small.makeRoom()
            try await self.comesBack(server)
        }
        try await self.expectAfterRestart(["first", "second"])
    }

    @Test(
        "a file system that takes no changes",
        .enabled(if: SmallFileSystem.isPossible, "needs root that may mount"))
    func readOnly() async throws {
        let small = try await self.separate(bytes: 4 << 20)
        try small.remount(isReadOnly: true)
        try await self.bench.serve(self.bench.configuration) { server in
            let words = try await self.refusal(server)
            #expect(words.contains("takes no changes") && words.contains("let the broker write to the file"))
            // It is read all the same.
            #expect(try await self.names(server) == ["first"])
            try await self.recordsFlow(server)
            try small.remount(isReadOnly: false)
            try await self.comesBack(server)
        }
        try await self.expectAfterRestart(["first", "second"])
    }

    @Test("another process writes to it", .enabled(if: LockHolder.isPossible, "needs python3"))
    func locked() async throws {
        try await self.prepare()
        try await self.bench.serve(self.bench.configuration) { server in
            let holder = try LockHolder(self.file, isWhole: false)
            let words = try await self.refusal(server)
            #expect(words.contains("locked by another process") && words.contains("end that process"))
            #expect(try await self.names(server) == ["first"])
            try await self.recordsFlow(server)
            try holder.letGo()
            try await self.comesBack(server)
        }
        try await self.expectAfterRestart(["first", "second"])
    }

    @Test(
        "another process has it for itself when the broker starts",
        .enabled(if: LockHolder.isPossible, "needs python3"))
    func lockedAtStart() async throws {
        try await self.prepare()
        let holder = try LockHolder(self.file, isWhole: true)
        try await self.bench.serve(self.bench.configuration) { server in
            let words = try await self.refusal(server)
            #expect(words.contains("locked by another process") && words.contains("end that process"))
            try await self.recordsFlow(server)
            try holder.letGo()
            try await self.comesBack(server)
        }
        try await self.expectAfterRestart(["first", "second"])
    }
}
