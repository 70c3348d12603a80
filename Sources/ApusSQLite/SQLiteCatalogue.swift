package import ApusCore
import GRDB
import Synchronization

/// The catalogue of a broker that is alone: consumers, subscriptions and their audit trail in one SQLite file, beside
/// the coordinator store's.
///
/// Durable means synced: write-ahead log with `synchronous=FULL`. Everything happens on one serial queue of its own, in
/// the order in which it was asked; commits that come while one is being synced share the next sync. A file that takes
/// no changes is opened all the same, and says so to whoever wants one.
package final class SQLiteCatalogue: Catalogue {
    enum Request: Sendable {
        case write(CatalogueBatch.Write, changes: Int)
        case read(@Sendable (Database) -> Void)
        case watch(CatalogueWatcher, after: CatalogueVersion)
    }

    private struct Watches {
        var history: CatalogueHistory
        var watchers: [CatalogueWatcher] = []
    }

    /// Nothing can be changed: the file, its directory or its file system does not let us.
    package let isReadOnly: Bool
    /// Why it takes no changes any more, until it is opened again.
    package var failure: CatalogueError? { self.line.failure }
    let line: SQLiteLine<Request, CatalogueError>
    private let watches: Mutex<Watches>
    private let caps: CatalogueCaps

    /// Opens the catalogue in this file, making it when there is none unless `mustExist`. Blocking.
    package init(
        at path: String, mustExist: Bool = false, isReadOnly: Bool = false,
        bytesMax: ByteCount = Limits.catalogueBytesDefault, caps: CatalogueCaps = CatalogueCaps()
    ) throws(SQLiteStoreError) {
        let format = CatalogueSchema.format(bytesMax: bytesMax)
        let opened = try Self.open(path, format, mustExist: mustExist, isReadOnly: isReadOnly)
        let version: CatalogueVersion
        do {
            version = try opened.database.writeWithoutTransaction { try Self.begin($0) }
        } catch let damage as CatalogueDamage {
            throw .damaged(path: path, damage.text)
        } catch {
            throw SQLiteStoreError(error, at: path)
        }
        self.isReadOnly = opened.isReadOnly
        self.line = SQLiteLine(opened.database)
        self.watches = Mutex(Watches(history: CatalogueHistory(startingAt: version, keeping: caps.history)))
        self.caps = caps
    }

    /// Does what is waiting, folds the log into the database and lets go of the files. Blocking; nothing may be asked
    /// afterwards.
    package func close() throws(SQLiteStoreError) {
        try self.line.close { self.run($0, on: $1) }
    }

    private static func open(
        _ path: String, _ format: SQLiteFormat, mustExist: Bool, isReadOnly: Bool
    ) throws(SQLiteStoreError) -> (database: DatabaseQueue, isReadOnly: Bool) {
        if !isReadOnly {
            do throws(SQLiteStoreError) {
                return (try SQLiteFile.open(path, format, mustExist: mustExist), false)
            } catch .readOnly {
                // Reading may work.
            }
        }
        return (try SQLiteFile.open(path, format, mustExist: true, isReadOnly: true), true)
    }

    private static func begin(_ database: Database) throws -> CatalogueVersion {
        if let counter = try CatalogueCounter.read(database) { return counter.version }
        guard try Row.fetchOne(database, sql: "SELECT 1 FROM audit") == nil, !database.configuration.readonly else {
            throw CatalogueDamage(text: "the counter is missing")
        }
        try database.inTransaction(.immediate) {
            try CatalogueCounter().write(to: database)
            return .commit
        }
        return .none
    }

    // MARK: Asking

    package func consumers(
        _ query: ConsumerQuery,
        then: @escaping @Sendable (Result<CataloguePage<RegisteredConsumer, ConsumerName>, CatalogueError>) -> Void
    ) {
        self.read(then) { try CatalogueRows.consumers(query, $0) }
    }

    package func subscriptions(
        _ query: SubscriptionQuery,
        then:
            @escaping @Sendable (Result<CataloguePage<RegisteredSubscription, SubscriptionName>, CatalogueError>) ->
            Void
    ) {
        self.read(then) { try CatalogueRows.subscriptions(query, $0) }
    }

    package func audit(
        _ query: AuditQuery,
        then: @escaping @Sendable (Result<CataloguePage<AuditEntry, AuditNumber>, CatalogueError>) -> Void
    ) {
        self.read(then) { try CatalogueRows.audit(query, $0) }
    }

    package func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void
    ) {
        self.ask(.write(.commit(transaction, then: then), changes: transaction.changes.count))
    }

    package func note(_ uses: [SubscriptionUse], then: @escaping @Sendable (Result<Void, CatalogueError>) -> Void) {
        self.ask(.write(.note(uses, then: then), changes: uses.count))
    }

    package func watch(
        after version: CatalogueVersion, onEvent: @escaping @Sendable (CatalogueEvent) -> Void
    ) -> any CatalogueWatch {
        let watcher = CatalogueWatcher(onEvent: onEvent)
        self.ask(.watch(watcher, after: version))
        return watcher
    }

    private func read<Answer>(
        _ then: @escaping @Sendable (Result<Answer, CatalogueError>) -> Void,
        _ body: @escaping @Sendable (Database) throws -> Answer
    ) {
        let run: @Sendable (Database) -> Void = { database in
            do {
                then(.success(try database.reading { try body(database) }))
            } catch {
                then(.failure(CatalogueFailure(error, isCommitting: false).error))
            }
        }
        self.ask(.read(run))
    }

    private func ask(_ request: Request) {
        self.line.ask(request) { self.run($0, on: $1) }
    }

    // MARK: On the queue

    /// In order, but changes that follow one another become one transaction of the database, with one sync.
    private func run(_ requests: [Request], on database: Database) {
        var writes: [CatalogueBatch.Write] = []
        var changes = 0
        for request in requests {
            if case .write(let write, let count) = request {
                writes.append(write)
                changes += count
                if writes.count < CatalogueBatch.writesMax { continue }
            }
            self.run(&writes, &changes, on: database)
            switch request {
            case .write: continue
            case .read(let body): body(database)
            case .watch(let watcher, let version):
                let events = self.watches.withLock { watches in
                    watches.watchers.append(watcher)
                    return watches.history.events(after: version)
                }
                for event in events { watcher.tell(event) }
            }
        }
        self.run(&writes, &changes, on: database)
    }

    private func run(_ writes: inout [CatalogueBatch.Write], _ changes: inout Int, on database: Database) {
        guard !writes.isEmpty else { return }
        defer {
            writes.removeAll()
            changes = 0
        }
        if let failure = self.line.failure {
            for write in writes { write.answer(.refused(failure)) }
            return
        }
        let outcome = CatalogueBatch(writes: writes, caps: self.caps).run(on: database)
        if let failure = outcome.failure { self.line.failure = failure }
        let receipts = outcome.answers.compactMap { answer -> CatalogueReceipt? in
            if case .committed(let receipt) = answer { receipt } else { nil }
        }
        let watchers = self.watches.withLock { watches in
            for receipt in receipts { watches.history.append(receipt) }
            watches.watchers.removeAll { $0.isOver }
            return watches.watchers
        }
        for receipt in receipts {
            for watcher in watchers { watcher.tell(.committed(receipt)) }
        }
        for (write, answer) in zip(writes, outcome.answers) { write.answer(answer) }
        self.line.changed(changes, in: database) { error in
            let failure = CatalogueFailure(error, isCommitting: false)
            return failure.isFinal ? failure.error : nil
        }
    }
}

extension CatalogueBatch.Write {
    fileprivate func answer(_ answer: CatalogueBatch.Answer) {
        switch (self, answer) {
        case (.commit(_, let then), .committed(let receipt)): then(.success(receipt))
        case (.commit(_, let then), .refused(let error)): then(.failure(error))
        case (.note(_, let then), .noted): then(.success(()))
        case (.note(_, let then), .refused(let error)): then(.failure(error))
        case (.commit, .noted), (.note, .committed): preconditionFailure("another write's answer")
        }
    }
}

extension Database {
    /// All of a page is of one moment.
    fileprivate func reading<Answer>(_ body: () throws -> Answer) throws -> Answer {
        var answer: Answer?
        try self.inTransaction(.deferred) {
            answer = try body()
            return .commit
        }
        guard let answer else { throw CatalogueDamage(text: "a read without an answer") }
        return answer
    }
}

/// One watch: told on the catalogue's queue, cancelled from anywhere.
final class CatalogueWatcher: CatalogueWatch {
    private let onEvent: @Sendable (CatalogueEvent) -> Void
    private let over = Atomic(false)

    init(onEvent: @escaping @Sendable (CatalogueEvent) -> Void) {
        self.onEvent = onEvent
    }

    var isOver: Bool { self.over.load(ordering: .acquiring) }

    /// Nothing is told after this returns, but for what is being told at this moment.
    func cancel() {
        self.over.store(true, ordering: .releasing)
    }

    func tell(_ event: CatalogueEvent) {
        guard !self.isOver else { return }
        if event == .missed { self.cancel() }
        self.onEvent(event)
    }
}
