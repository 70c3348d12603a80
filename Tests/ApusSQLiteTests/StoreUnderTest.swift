import ApusCore
import ApusFakes
import ApusSQLite
import Foundation
import Synchronization

/// Every coordinator store there is: the same suite holds for each.
enum StoreUnderTest: CaseIterable, Sendable {
    case sqlite
    case fake

    func make(in directory: TemporaryDirectory) throws -> any CoordinatorStore {
        switch self {
        case .sqlite: try SQLiteCoordinatorStore(at: directory.file("store.sqlite"))
        case .fake: FakeCoordinatorStore()
        }
    }
}

/// A directory of its own for one test, removed with everything in it when the test lets go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-store-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
    }

    // Nothing depends on a clean temporary directory.
    deinit { try? FileManager.default.removeItem(atPath: self.path) }

    func file(_ name: String) -> String { "\(self.path)/\(name)" }
}

extension CoordinatorStore {
    func read(prefix: String) async throws -> StoreSnapshot {
        try await withCheckedContinuation { continuation in
            self.read(prefix: prefix) { continuation.resume(returning: $0) }
        }.get()
    }

    @discardableResult
    func commit(
        _ changes: [StoreChange], if conditions: [StoreTransaction.Condition] = []
    ) async throws -> StoreRevision {
        try await withCheckedContinuation { continuation in
            self.commit(StoreTransaction(conditions: conditions, changes: changes)) {
                continuation.resume(returning: $0)
            }
        }.get()
    }
}

extension StoreChange {
    static func put(_ key: String, _ value: String) -> StoreChange { .put(key: key, value: Array(value.utf8)) }
}

extension StoreTransaction.Condition {
    static func absent(_ key: String) -> Self { Self(key: key, modified: .none) }
}

extension StoreSnapshot {
    var texts: [String] { self.entries.map { "\($0.key)=\(String(decoding: $0.value, as: UTF8.self))" } }
}

/// What a watch was told.
final class Told: Sendable {
    private let changes = Mutex<[(StoreChange, StoreRevision)]>([])

    func add(_ changes: [StoreChange], _ revision: StoreRevision) {
        self.changes.withLock { $0 += changes.map { ($0, revision) } }
    }

    var all: [StoreChange] { self.changes.withLock { $0.map(\.0) } }
    var revisions: [StoreRevision] { self.changes.withLock { $0.map(\.1) } }
}
