import ApusCore
import ApusFakes
import Foundation
import GRDB
import Testing

@testable import ApusSQLite

/// The catalogue as a broker has it: whatever is wrong with its file, and when that is over.
@Suite struct ReopeningCatalogueTests {
    private let directory: TemporaryDirectory
    private let clock = SimulatedClock()
    private var path: String { self.directory.file("catalogue.sqlite") }

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    private func reopening() -> ReopeningCatalogue { ReopeningCatalogue(at: self.path, clock: self.clock) }

    private func fill() async throws {
        let catalogue = try SQLiteCatalogue(at: self.path)
        try await catalogue.commit(.alice, .new(.sample("kept")))
        try catalogue.close()
    }

    /// Holds the whole file, as somebody's backup does, until it is let go of.
    private func holder() async throws -> DatabaseQueue {
        let holder = try DatabaseQueue(path: self.path)
        try await holder.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; UPDATE subscription SET name = name")
        }
        return holder
    }

    @Test("a file that is locked when it is opened is answered by name, and opened when it is not locked any more")
    func locked() async throws {
        try await self.fill()
        let holder = try await self.holder()
        let catalogue = self.reopening()
        let asked = await #expect(throws: CatalogueError.self) { try await catalogue.subscriptions() }
        guard case .busy(let text) = asked else {
            Issue.record("not busy: \(String(describing: asked))")
            return
        }
        #expect(text.contains(self.path) && "\(asked ?? .busy(""))".contains("end that process"))
        await #expect(throws: CatalogueError.self) { try await catalogue.commit(.bob) }
        try holder.close()
        // Not before its time: who asks is answered at once.
        await #expect(throws: CatalogueError.self) { try await catalogue.commit(.bob) }
        self.clock.advance(by: Limits.catalogueRetryPeriod)
        try await catalogue.commit(.bob)
        #expect(try await catalogue.subscriptions().items.map(\.subscription.name.text) == ["kept"])
        #expect(catalogue.problem == nil)
    }

    @Test("while it is opened, all that ask wait for it and are answered in their order")
    func waiting() async throws {
        try await self.fill()
        let holder = try await self.holder()
        let catalogue = self.reopening()
        try holder.close()
        self.clock.advance(by: Limits.catalogueRetryPeriod)
        let answered = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<50 {
                group.addTask { (try? await catalogue.commit(.new(.sample("n\(number)")))) != nil }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answered.count { $0 } == 50)
        #expect(try await catalogue.subscriptions().items.count == 51)
        try catalogue.close()
    }

    @Test("a file that is no database is put in order while the broker runs, and is the catalogue then")
    func restored() async throws {
        try await self.fill()
        let whole = try Data(contentsOf: URL(fileURLWithPath: self.path))
        try Data(repeating: 0x5A, count: 8192).write(to: URL(fileURLWithPath: self.path))
        let catalogue = self.reopening()
        let asked = await #expect(throws: CatalogueError.self) { try await catalogue.commit(.bob) }
        guard case .corrupt = asked else {
            Issue.record("not corrupt: \(String(describing: asked))")
            return
        }
        try whole.write(to: URL(fileURLWithPath: self.path))
        self.clock.advance(by: Limits.catalogueRetryPeriod)
        #expect(try await catalogue.subscriptions().items.count == 1)
        try await catalogue.commit(.bob)
    }

    @Test("after its device failed it is read, and opened anew for the next change; who watches is told to look again")
    func deviceFailed() async throws {
        let catalogue = self.reopening()
        try await catalogue.commit(.alice)
        let heard = Heard()
        let watch = catalogue.watch(after: .none) { heard.add($0) }
        let old = try #require(catalogue.current)
        old.line.failure = .unavailable("the device failed")
        await #expect(throws: CatalogueError.unavailable("the device failed")) { try await catalogue.commit(.bob) }
        #expect(try await catalogue.consumers().items.count == 1)
        #expect(catalogue.problem == .unavailable("the device failed"))
        self.clock.advance(by: Limits.catalogueRetryPeriod)
        #expect(try await catalogue.consumers().items.count == 1)
        #expect(catalogue.current === old)
        try await catalogue.commit(.bob)
        #expect(catalogue.current !== old && catalogue.problem == nil)
        #expect(heard.all.last == .missed)
        #expect(try await catalogue.consumers().items.count == 2)
        watch.cancel()
        try catalogue.close()
    }

    @Test("with damage among its entries it takes no changes however often it is asked, and is not opened anew")
    func damaged() async throws {
        try await self.fill()
        let database = try DatabaseQueue(path: self.path)
        try await database.write { try $0.execute(sql: "UPDATE subscription SET period = 1") }
        try database.close()
        let catalogue = self.reopening()
        let version = CatalogueVersion(rawValue: 1)
        await #expect(throws: CatalogueError.self) {
            try await catalogue.commit(.removeSubscription(SubscriptionName("kept"), expecting: version))
        }
        let opened = try #require(catalogue.current)
        self.clock.advance(by: Limits.catalogueRetryPeriod)
        await #expect(throws: CatalogueError.self) { try await catalogue.commit(.bob) }
        #expect(catalogue.current === opened)
    }
}
