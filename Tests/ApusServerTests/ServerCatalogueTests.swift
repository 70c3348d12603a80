import ApusClient
import ApusCore
import ApusServer
import Foundation
import Testing

/// The catalogue's file on a real file system: what is wrong with it stops no record.
@Suite("The catalogue of a server", .timeLimit(.minutes(10)))
struct ServerCatalogueTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    private func client<Answer: Sendable>(
        _ server: ApusServer, _ body: (ApusClient) async throws -> Answer
    ) async throws -> Answer {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
        configuration.callTimeout = .seconds(60)
        return try await ApusClient(configuration).withConnection(body)
    }

    private var wish: Subscription {
        Subscription(
            name: SubscriptionName("billing"), owner: ConsumerName(""), interest: .names(["orders"]),
            period: .seconds(7200))
    }

    @Test("a subscription survives the broker; changing one that somebody changed meanwhile is refused")
    func survives() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            _ = try await server.createTopic("orders", partitions: 1)
            let made = try await self.client(server) { try await $0.subscriptions.create(self.wish) }
            #expect(made.subscription.owner.text == "User:ANONYMOUS")
        }
        try await self.bench.serve(self.bench.configuration) { server in
            try await self.client(server) { client in
                let found = try await client.subscriptions.describe("billing")
                #expect(found.subscription.period == .seconds(7200))
                var longer = found
                longer.subscription.period = .seconds(10_800)
                try await client.subscriptions.change(longer)
                await #expect(throws: ApusError.self) { try await client.subscriptions.change(longer) }
                let holdings = try await client.subscriptions.holdings(of: "orders")
                #expect(holdings.holders.map(\.subscription) == ["billing"])
                #expect(try await client.subscriptions.remove(["billing"]).count == 1)
                #expect(try await client.subscriptions.list().isEmpty)
            }
        }
    }

    @Test("a catalogue that is no database any more is named, and records flow")
    func corrupt() async throws {
        try await self.bench.serve(self.bench.configuration) { _ = try await $0.createTopic("orders", partitions: 1) }
        let file = self.bench.directory.file("data/catalogue.sqlite")
        #expect(FileManager.default.fileExists(atPath: file))
        try Data(repeating: 0x5A, count: 8192).write(to: URL(fileURLWithPath: file))
        try await self.bench.serve(self.bench.configuration) { server in
            _ = try await server.write(ServerRecord("still"), to: "orders")
            #expect(try await server.read("orders", from: .zero).count == 1)
            let code = try await self.client(server) { client -> ApusError.Code? in
                do {
                    try await client.subscriptions.create(self.wish)
                    return nil
                } catch let error as ApusError {
                    #expect(error.message.contains("damaged"))
                    return error.code
                }
            }
            #expect(code == .catalogue)
        }
    }
}
