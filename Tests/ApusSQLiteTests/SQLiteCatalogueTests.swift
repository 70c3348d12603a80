import ApusCore
import ApusFakes
import ApusSQLite
import Foundation
import GRDB
import Testing

/// The catalogue's file: what survives, what is refused, and that nothing is half done.
@Suite struct SQLiteCatalogueTests {
    private let directory: TemporaryDirectory
    private var path: String { self.directory.file("catalogue.sqlite") }

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    private func filled(_ count: Int = 30) async throws -> SQLiteCatalogue {
        let catalogue = try SQLiteCatalogue(at: self.path)
        try await catalogue.commit(.alice)
        for number in 0..<count {
            try await catalogue.commit(.new(.sample("s\(number)", "orders", "topic-\(number)", period: .seconds(60))))
        }
        return catalogue
    }

    @Test("what was committed is there when the catalogue is opened again, closed or not", arguments: [true, false])
    func reopen(isClosed: Bool) async throws {
        var before: CataloguePage<RegisteredSubscription, SubscriptionName>
        do {
            let catalogue = try await self.filled()
            try await catalogue.note(try await catalogue.subscription("s3").id, at: Timestamp.start.rawValue + 9)
            before = try await catalogue.subscriptions()
            if isClosed { try catalogue.close() }
        }
        let catalogue = try SQLiteCatalogue(at: self.path, mustExist: true)
        #expect(try await catalogue.subscriptions() == before)
        #expect(try await catalogue.audit().items.count == 31)
        let next = try await catalogue.commit(.new(.sample("next")))
        #expect(next.version > before.version)
        #expect(try await catalogue.subscription("next").id > before.items.map(\.id).max() ?? .init(rawValue: 0))
    }

    /// A copy of the files at this moment is what a killed process leaves.
    @Test("what was committed is in the files at once, with no close")
    func killed() async throws {
        let catalogue = try await self.filled()
        for end in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: self.path + end, toPath: self.directory.file("copy.sqlite" + end))
        }
        let copy = try SQLiteCatalogue(at: self.directory.file("copy.sqlite"), mustExist: true)
        #expect(try await copy.subscriptions() == catalogue.subscriptions())
    }

    @Test("a catalogue that must be there and is not is refused by name, and so is somebody else's file")
    func refused() async throws {
        #expect(
            throws: SQLiteStoreError.missing(path: self.path, content: "all consumers and subscriptions")
        ) { try SQLiteCatalogue(at: self.path, mustExist: true) }
        try SQLiteCoordinatorStore(at: self.path).close()
        #expect(throws: SQLiteStoreError.foreign(path: self.path)) { try SQLiteCatalogue(at: self.path) }
        let other = self.directory.file("other.sqlite")
        try SQLiteCatalogue(at: other).close()
        #expect(throws: SQLiteStoreError.foreign(path: other)) { try SQLiteCoordinatorStore(at: other) }
        let database = try DatabaseQueue(path: other)
        try await database.write { try $0.execute(sql: "PRAGMA user_version = 9") }
        try database.close()
        #expect(throws: SQLiteStoreError.newerFormat(path: other, version: 9, known: 1)) {
            try SQLiteCatalogue(at: other)
        }
    }

    /// Every page is hit in turn; SQLite's own check or a row's checksum sees it, or nothing that is read is hurt.
    @Test("a flipped bit is refused at opening or at reading, or does not matter", arguments: 0..<96)
    func flipped(seed: Int) async throws {
        let before: CataloguePage<RegisteredSubscription, SubscriptionName>
        let trail: CataloguePage<AuditEntry, AuditNumber>
        do {
            let catalogue = try await self.filled(20)
            before = try await catalogue.subscriptions()
            trail = try await catalogue.audit()
            try catalogue.close()
        }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: self.path))
        let position = bytes.startIndex + (seed * 7919 + 24) % bytes.count
        bytes[position] ^= 1 << (seed % 8)
        try bytes.write(to: URL(fileURLWithPath: self.path))
        do {
            let catalogue = try SQLiteCatalogue(at: self.path, mustExist: true)
            #expect(try await catalogue.subscriptions() == before)
            #expect(try await catalogue.audit() == trail)
            #expect(try await catalogue.subscriptions(SubscriptionQuery(topic: "orders")).items.count == 20)
        } catch is SQLiteStoreError {
        } catch CatalogueError.corrupt {
        }
    }

    @Test("a value that was changed behind our back is damage, and no change is taken on top of it")
    func tampered() async throws {
        try await self.filled(3).close()
        let database = try DatabaseQueue(path: self.path)
        try await database.write { try $0.execute(sql: "UPDATE subscription SET period = 1 WHERE name = 's1'") }
        try database.close()
        let catalogue = try SQLiteCatalogue(at: self.path)
        let damage = CatalogueError.corrupt("subscription 's1' has the wrong checksum")
        await #expect(throws: damage) { try await catalogue.subscriptions() }
        let version = try await catalogue.subscription("s2").version
        await #expect(throws: damage) {
            try await catalogue.commit(
                .removeSubscription(SubscriptionName("s2"), expecting: version),
                .removeSubscription(SubscriptionName("s1"), expecting: version))
        }
        // From here on nothing is changed any more, and what is whole can be read.
        await #expect(throws: damage) { try await catalogue.commit(.new(.sample("new"))) }
        #expect(try await catalogue.subscription("s2").version == version)
    }

    @Test("an entry that refers to one that is not there is refused at opening")
    func dangling() async throws {
        try await self.filled(3).close()
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let database = try DatabaseQueue(path: self.path, configuration: configuration)
        try await database.write { try $0.execute(sql: "DELETE FROM consumer") }
        try database.close()
        let refusal = SQLiteStoreError.damaged(path: self.path, "an entry refers to one that is not there")
        #expect(throws: refusal) { try SQLiteCatalogue(at: self.path) }
    }

    @Test("while another process holds the lock a change is refused whole by name, and works again afterwards")
    func locked() async throws {
        let catalogue = try await self.filled(2)
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let holder = try DatabaseQueue(path: self.path, configuration: configuration)
        try await holder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let refused = await #expect(throws: CatalogueError.self) {
            try await catalogue.commit(.bob, .new(.sample("t", owner: .bob)))
        }
        try await holder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        guard case .busy = refused else {
            Issue.record("not busy: \(String(describing: refused))")
            return
        }
        #expect(refused?.isRetryable == true)
        #expect(try await catalogue.consumers().items.count == 1)
        try await catalogue.commit(.bob, .new(.sample("t", owner: .bob)))
        #expect(try await catalogue.subscriptions().items.count == 3)
    }

    @Test("without room a change is refused whole by name, smaller ones and reads go on, and removing makes room")
    func full() async throws {
        let catalogue = try SQLiteCatalogue(at: self.path, bytesMax: .kibibytes(160))
        try await catalogue.commit(.alice)
        var made = 0
        var refusal: CatalogueError?
        while refusal == nil, made < 2000 {
            do {
                let details = Consumer(
                    name: ConsumerName("c\(made)"), details: String(repeating: "x", count: 3000))
                try await catalogue.commit(
                    .putConsumer(details, expecting: .none), .new(.sample("s\(made)", owner: details.name)))
                made += 1
            } catch let error as CatalogueError {
                refusal = error
            }
        }
        guard case .full = refusal else {
            Issue.record("not full after \(made): \(String(describing: refusal))")
            return
        }
        #expect(made > 5)
        #expect(try await catalogue.consumers().items.count == made + 1)
        #expect(try await catalogue.subscriptions().items.count == made)
        #expect(try await catalogue.audit().items.count == 2 * made + 1)
        for number in 0..<5 {
            let version = try await catalogue.subscription("s\(number)").version
            try await catalogue.commit(
                .removeSubscription(SubscriptionName("s\(number)"), expecting: version),
                .removeConsumer(ConsumerName("c\(number)"), expecting: version))
        }
        try await catalogue.commit(.new(.sample("again")))
        #expect(try await catalogue.subscriptions().items.count == made - 4)
    }

    @Test("a catalogue opened for reading only is read, and a change is refused by name")
    func readOnly() async throws {
        try await self.filled(3).close()
        let catalogue = try SQLiteCatalogue(at: self.path, isReadOnly: true)
        #expect(catalogue.isReadOnly)
        let refused = await #expect(throws: CatalogueError.self) { try await catalogue.commit(.bob) }
        guard case .readOnly = refused else {
            Issue.record("not read-only: \(String(describing: refused))")
            return
        }
        await #expect(throws: CatalogueError.self) { try await catalogue.note(SubscriptionID(rawValue: 1), at: 1) }
        #expect(try await catalogue.subscriptions().items.count == 3)
        try catalogue.close()
        #expect(try await SQLiteCatalogue(at: self.path).consumers().items.count == 1)
    }

    @Test("a commit that is refused does not hurt those that wait with it")
    func neighbours() async throws {
        let catalogue = try await self.filled(1)
        let results = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<60 {
                group.addTask {
                    // Every third one has no owner.
                    let owner: ConsumerName = number % 3 == 0 ? .bob : .alice
                    return (try? await catalogue.commit(.new(.sample("n\(number)", owner: owner)))) != nil
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count { $0 } == 40)
        #expect(try await catalogue.subscriptions().items.count == 41)
        #expect(try await catalogue.audit().items.count == 42)
    }

    @Test("what the fake is told to fail with, it answers, and nothing is changed meanwhile")
    func fakeFailure() async throws {
        let fake = FakeCatalogue()
        try await fake.commit(.alice)
        fake.failure = .full("no space")
        await #expect(throws: CatalogueError.full("no space")) { try await fake.commit(.bob) }
        #expect(try await fake.consumers().items.count == 1)
        fake.failure = .busy("locked")
        await #expect(throws: CatalogueError.busy("locked")) { try await fake.consumers() }
        fake.failure = nil
        try await fake.commit(.bob)
        #expect(try await fake.consumers().items.count == 2)
    }
}
