import ApusCore
import Testing

/// What every coordinator store keeps, whichever it is.
@Suite struct CoordinatorStoreTests {
    private let directory: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    @Test("a new store is empty, and its first commit has a revision", arguments: StoreUnderTest.allCases)
    func empty(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let before = try await store.read(prefix: "")
        #expect(before.entries.isEmpty)
        let revision = try await store.commit([.put("a", "1")])
        #expect(revision > before.revision && revision > .none)
        let after = try await store.read(prefix: "")
        #expect(after.revision == revision)
        #expect(after.entries == [StoreEntry(key: "a", value: [0x31], modified: revision)])
    }

    @Test("a prefix is read sorted by key, with nothing beside it", arguments: StoreUnderTest.allCases)
    func prefixes(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        for key in ["topics0", "topics/b", "topics/a/0", "topic", "topics/a", "zebra", "topics/ü", "topics/~"] {
            try await store.commit([.put(key, "v")])
        }
        #expect(
            try await store.read(prefix: "topics/").entries.map(\.key)
                == ["topics/a", "topics/a/0", "topics/b", "topics/~", "topics/ü"])
        #expect(try await store.read(prefix: "").entries.count == 8)
        #expect(try await store.read(prefix: "topics/a/0").entries.count == 1)
        #expect(try await store.read(prefix: "x").entries.isEmpty)
    }

    @Test(
        "each commit has a larger revision, and a key tells which commit changed it last",
        arguments: StoreUnderTest.allCases)
    func revisions(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let first = try await store.commit([.put("a", "1"), .put("b", "1")])
        let second = try await store.commit([.put("b", "2")])
        #expect(second > first)
        let entries = try await store.read(prefix: "").entries
        #expect(entries.map(\.modified) == [first, second])
    }

    @Test("a condition that does not hold changes nothing and names its key", arguments: StoreUnderTest.allCases)
    func conditions(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let first = try await store.commit([.put("a", "1")], if: [.absent("a")])
        await #expect(throws: StoreError.conflict(key: "a")) {
            try await store.commit([.put("b", "1"), .put("a", "2")], if: [.absent("b"), .absent("a")])
        }
        #expect(try await store.read(prefix: "").texts == ["a=1"])
        let second = try await store.commit([.put("a", "2")], if: [.init(key: "a", modified: first)])
        await #expect(throws: StoreError.conflict(key: "a")) {
            try await store.commit([.put("a", "3")], if: [.init(key: "a", modified: first)])
        }
        await #expect(throws: StoreError.conflict(key: "c")) {
            try await store.commit([.put("c", "1")], if: [.init(key: "c", modified: second)])
        }
        #expect(try await store.read(prefix: "").texts == ["a=2"])
    }

    @Test("a deleted key is gone and counts as absent", arguments: StoreUnderTest.allCases)
    func deletes(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let first = try await store.commit([.put("a", "1"), .put("b", "1")])
        try await store.commit([.delete(key: "a")], if: [.init(key: "a", modified: first)])
        #expect(try await store.read(prefix: "").texts == ["b=1"])
        try await store.commit([.put("a", "2")], if: [.absent("a")])
        #expect(try await store.read(prefix: "").texts == ["a=2", "b=1"])
    }

    @Test("the changes of one commit apply in order", arguments: StoreUnderTest.allCases)
    func orderWithin(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        try await store.commit([.put("a", "1"), .delete(key: "a"), .put("a", "2"), .put("b", "1"), .delete(key: "b")])
        #expect(try await store.read(prefix: "").texts == ["a=2"])
    }

    @Test("a value may be empty, hold any byte, and be large", arguments: StoreUnderTest.allCases)
    func values(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0) }
        try await store.commit([.put(key: "empty", value: []), .put(key: "large", value: large)])
        let entries = try await store.read(prefix: "").entries
        #expect(entries.map(\.value) == [[], large])
    }

    @Test("of many that want the same key, asked at once, one gets it", arguments: StoreUnderTest.allCases)
    func race(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let winners = await withTaskGroup(of: Int?.self) { group in
            for rival in 0..<200 {
                group.addTask {
                    // A conflict is the answer here, not a failure.
                    (try? await store.commit([.put("leader", "\(rival)")], if: [.absent("leader")])).map { _ in rival }
                }
            }
            return await group.reduce(into: []) { winners, winner in winner.map { winners.append($0) } }
        }
        #expect(winners.count == 1)
        #expect(try await store.read(prefix: "").texts == winners.map { "leader=\($0)" })
    }

    @Test("a watch tells every later change under its prefix, in order, once", arguments: StoreUnderTest.allCases)
    func watch(kind: StoreUnderTest) async throws {
        let store = try kind.make(in: self.directory)
        let start = try await store.commit([.put("t/0", "before")])
        var revisions = [try await store.commit([.put("t/1", "between"), .put("u/1", "other")])]
        let told = Told()
        let watch = store.watch(prefix: "t/", after: start) { told.add($0, $1) }
        revisions.append(try await store.commit([.delete(key: "t/0")]))
        try await store.commit([.put("u/2", "other")])
        revisions.append(try await store.commit([.put("t/1", "again")]))
        // A read is answered after all that was committed before it was told.
        _ = try await store.read(prefix: "")
        #expect(told.all == [.put("t/1", "between"), .delete(key: "t/0"), .put("t/1", "again")])
        #expect(told.revisions == revisions)
        watch.cancel()
        try await store.commit([.put("t/2", "late")])
        _ = try await store.read(prefix: "")
        #expect(told.all.count == 3)
    }
}
