import ApusCore
import ApusSQLite
import Foundation
import GRDB
import Testing

/// The store's file: what survives, and what is refused.
@Suite struct SQLiteFileTests {
    private let directory: TemporaryDirectory
    private var path: String { self.directory.file("store.sqlite") }

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    @Test("what was committed is there when the store is opened again, closed or not", arguments: [true, false])
    func reopen(isClosed: Bool) async throws {
        var revision = StoreRevision.none
        do {
            let store = try SQLiteCoordinatorStore(at: self.path)
            for number in 0..<50 { revision = try await store.commit([.put("k\(number)", "\(number)")]) }
            if isClosed { try store.close() }
        }
        let store = try SQLiteCoordinatorStore(at: self.path, mustExist: true)
        let snapshot = try await store.read(prefix: "")
        #expect(snapshot.entries.count == 50)
        #expect(snapshot.revision == revision)
        #expect(try await store.commit([.put("k", "v")]) > revision)
    }

    /// A copy of the files at this moment is what a killed process leaves.
    @Test("what was committed is in the files at once, with no close")
    func killed() async throws {
        let store = try SQLiteCoordinatorStore(at: self.path)
        for number in 0..<50 { try await store.commit([.put("k\(number)", "\(number)")]) }
        for end in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: self.path + end, toPath: self.directory.file("copy.sqlite" + end))
        }
        let copy = try SQLiteCoordinatorStore(at: self.directory.file("copy.sqlite"), mustExist: true)
        #expect(try await copy.read(prefix: "").entries.count == 50)
        _ = try await store.read(prefix: "")
    }

    @Test("nobody but the owner may read a new store, nor what SQLite puts beside it")
    func rights() async throws {
        let store = try SQLiteCoordinatorStore(at: self.path)
        try await store.commit([.put("k", "v")])
        for end in ["", "-wal"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: self.path + end)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(end)")
        }
        try store.close()
    }

    @Test("a store that must be there and is not, or is empty, is refused and not made anew", arguments: [true, false])
    func missing(isEmpty: Bool) throws {
        if isEmpty { #expect(FileManager.default.createFile(atPath: self.path, contents: nil)) }
        #expect(throws: SQLiteStoreError.missing(path: self.path, content: "the names of all topics")) {
            try SQLiteCoordinatorStore(at: self.path, mustExist: true)
        }
        #expect(FileManager.default.fileExists(atPath: self.path) == isEmpty)
    }

    @Test("a file that is no database is refused and left alone")
    func noDatabase() throws {
        let content = Data("this is not a database, but somebody needs it".utf8)
        try content.write(to: URL(fileURLWithPath: self.path))
        #expect(throws: SQLiteStoreError.damaged(path: self.path, "file is not a database")) {
            try SQLiteCoordinatorStore(at: self.path)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: self.path)) == content)
    }

    @Test("a database of another program is refused")
    func foreign() throws {
        let database = try DatabaseQueue(path: self.path)
        try database.write { try $0.execute(sql: "CREATE TABLE theirs (a)") }
        try database.close()
        #expect(throws: SQLiteStoreError.foreign(path: self.path)) { try SQLiteCoordinatorStore(at: self.path) }
    }

    @Test("a format of a newer Apus is refused by its number")
    func newer() throws {
        try SQLiteCoordinatorStore(at: self.path).close()
        let database = try DatabaseQueue(path: self.path)
        try database.write { try $0.execute(sql: "PRAGMA user_version = 9") }
        try database.close()
        #expect(throws: SQLiteStoreError.newerFormat(path: self.path, version: 9, known: 1)) {
            try SQLiteCoordinatorStore(at: self.path)
        }
    }

    /// Every page is hit in turn; SQLite's own check or the row's checksum sees it, or nothing that is read is hurt.
    @Test("a flipped bit is refused at opening or at reading, or does not matter", arguments: 0..<64)
    func flipped(seed: Int) async throws {
        do {
            let store = try SQLiteCoordinatorStore(at: self.path)
            for number in 0..<40 {
                try await store.commit([.put("topics/\(number)", String(repeating: "v", count: 400))])
            }
            try store.close()
        }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: self.path))
        let position = bytes.startIndex + (seed * 7919 + 24) % bytes.count
        bytes[position] ^= 1 << (seed % 8)
        try bytes.write(to: URL(fileURLWithPath: self.path))
        do {
            let store = try SQLiteCoordinatorStore(at: self.path, mustExist: true)
            let entries = try await store.read(prefix: "").entries
            #expect(entries.count == 40)
            #expect(entries.allSatisfy { $0.value == Array(repeating: 0x76, count: 400) })
        } catch is SQLiteStoreError {
        } catch StoreError.corrupt {
        }
    }

    @Test("while another process holds the lock a commit is refused whole, and works again afterwards")
    func locked() async throws {
        let store = try SQLiteCoordinatorStore(at: self.path)
        try await store.commit([.put("a", "1")])
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let holder = try DatabaseQueue(path: self.path, configuration: configuration)
        try await holder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let refused = await Result { try await store.commit([.put("a", "2"), .put("b", "2")]) }
        try await holder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        guard case .failure(StoreError.unavailable) = refused else {
            Issue.record("committed under somebody else's lock: \(refused)")
            return
        }
        #expect(try await store.read(prefix: "").texts == ["a=1"])
        try await store.commit([.put("a", "2")])
        #expect(try await store.read(prefix: "").texts == ["a=2"])
    }

    @Test("enough commits fold the log into the database many times, and nothing is lost by it")
    func checkpoints() async throws {
        do {
            let store = try SQLiteCoordinatorStore(at: self.path)
            for round in 0..<12 {
                try await store.commit((0..<1000).map { .put("k\($0)", "\(round)") })
            }
            let size = try FileManager.default.attributesOfItem(atPath: self.path)[.size] as? Int ?? 0
            #expect(size > 20_000)
        }
        let store = try SQLiteCoordinatorStore(at: self.path, mustExist: true)
        let snapshot = try await store.read(prefix: "")
        #expect(snapshot.entries.count == 1000)
        #expect(snapshot.entries.allSatisfy { $0.value == Array("11".utf8) })
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
