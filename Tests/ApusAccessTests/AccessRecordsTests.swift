import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("What the store keeps about access")
struct AccessRecordsTests {
    private let secret = Secret(repeatElement(5, count: 32))
    private let root = Principal(user: "root")

    private func credential(_ hash: ScramHash = .sha256, fill: UInt8 = 1) throws -> ScramCredential {
        try ScramCredential(
            hash: hash, saltedPassword: Secret(repeatElement(fill, count: hash.byteCount)),
            salt: Array(repeating: fill, count: 16), iterations: 4096)
    }

    private func put(_ acl: Acl) -> StoreChange { .put(key: AclRecord.key(of: acl), value: AclRecord.encoded(acl)) }

    @Test("a stored credential comes back, and a damaged one does not")
    func credentials() throws {
        for hash in ScramHash.allCases {
            let credential = try self.credential(hash)
            let bytes = ScramRecord.encoded(credential, of: "\u{e9}ve/..")
            let back = try #require(ScramRecord.decoded(bytes))
            #expect(back.user == "\u{e9}ve/..")
            #expect(back.credential.storedKey.matches(credential.storedKey))
            #expect(back.credential.serverKey.matches(credential.serverKey))
            #expect(back.credential.salt == credential.salt && back.credential.iterations == 4096)
            for length in bytes.indices { #expect(ScramRecord.decoded(Array(bytes[..<length])) == nil) }
            #expect(ScramRecord.decoded(bytes + [0]) == nil)
        }
        #expect(ScramRecord.key(of: "a/b", .sha256) == "scram/sha256/612f62")
    }

    @Test("stored quotas come back, and damaged ones do not", arguments: 0..<10 as Range<UInt64>)
    func quotas(seed: UInt64) throws {
        let entity = try QuotaEntity(user: .named("alice"), clientID: .others)
        let rates: [QuotaKind: Double] = [.producedBytes: 1000, .requestTime: 12.5]
        let bytes = QuotaRecord.encoded(rates, of: entity)
        let back = try #require(QuotaRecord.decoded(bytes))
        #expect(back.entity == entity && back.rates == rates)
        for length in bytes.indices { #expect(QuotaRecord.decoded(Array(bytes[..<length])) == nil) }
        var random = SplitMix64(seed: seed)
        for _ in 0..<300 {
            var changed = bytes
            for _ in 0...random.below(3) { changed[random.below(changed.count)] = UInt8(random.below(256)) }
            if let (entity, rates) = QuotaRecord.decoded(changed) {
                #expect(QuotaRecord.decoded(QuotaRecord.encoded(rates, of: entity))?.rates == rates)
            }
        }
        // Rates near zero could be set once: they are still as narrow as can be, not none.
        let narrow = try #require(QuotaRecord.decoded(QuotaRecord.encoded([.producedBytes: 1e-300], of: entity)))
        #expect(narrow.rates == [.producedBytes: Limits.quotaRateMin])
        #expect(QuotaRecord.decoded(QuotaRecord.encoded([.producedBytes: -1], of: entity)) == nil)
        let others = try QuotaEntity(user: .others, clientID: .named("alice"))
        #expect(QuotaRecord.key(of: entity) != QuotaRecord.key(of: others))
    }

    @Test("what is read and what changes later give the same state")
    func changes() throws {
        var records = AccessRecords(mockSecret: self.secret, quotaFallback: [:])
        let read = try acl("allow alice read topic=orders")
        let write = try acl("allow alice write topic=orders")
        records.read(
            StoreSnapshot(
                entries: [
                    StoreEntry(
                        key: AclRecord.key(of: read), value: AclRecord.encoded(read),
                        modified: StoreRevision(rawValue: 3))
                ], revision: StoreRevision(rawValue: 7)))
        #expect(records.aclSet(superUsers: []).acls == [read])
        #expect(records.revision == StoreRevision(rawValue: 7))
        let entity = try QuotaEntity(user: .others)
        let quota = QuotaRecord.encoded([.fetchedBytes: 5], of: entity)
        let userKey = ScramRecord.key(of: "bob", .sha512)
        let user = ScramRecord.encoded(try self.credential(.sha512), of: "bob")
        records.apply(
            [
                self.put(write), .delete(key: AclRecord.key(of: read)), .put(key: userKey, value: user),
                .put(key: QuotaRecord.key(of: entity), value: quota), .put(key: "topics/1", value: [1, 2, 3]),
            ], at: StoreRevision(rawValue: 8))
        let set = records.aclSet(superUsers: [])
        #expect(set.acls == [write] && set.version == StoreRevision(rawValue: 8))
        #expect(records.users.hashes(of: "bob") == [.sha512])
        let alice = QuotaSubject(try #require(Principal(user: "alice")), clientID: nil)
        #expect(records.quotas.limit(.fetchedBytes, for: alice)?.rate == 5)
        #expect(records.unreadable.isEmpty)
        records.apply(
            [.delete(key: userKey), .delete(key: QuotaRecord.key(of: entity)), .delete(key: AclRecord.key(of: write))],
            at: StoreRevision(rawValue: 9))
        #expect(records.users.count == 0 && records.quotas.isEmpty && records.aclCount == 0)
    }

    @Test("a rule that can not be read denies everything until it is whole or gone, super users excepted")
    func failsClosed() throws {
        let rule = try acl("allow alice all topic=*")
        let other = try acl("deny alice read topic=secret")
        for damage in [[], [9, 9, 9], Array(AclRecord.encoded(other).dropLast()), AclRecord.encoded(rule)] {
            var records = AccessRecords(mockSecret: self.secret)
            let key = AclRecord.key(of: other)
            records.apply([self.put(rule), .put(key: key, value: damage)], at: StoreRevision(rawValue: 1))
            #expect(records.unreadable == [key])
            let root = try #require(self.root)
            let set = records.aclSet(superUsers: [root])
            #expect(!set.may("alice", .read, "orders"))
            #expect(set.may("root", .read, "orders"))
            for type in ResourceType.allCases {
                let name = type == .cluster ? Resource.clusterName : "x"
                let decision = set.authorize(.anonymous, from: nil, .describe, on: Resource(type, name))
                #expect(decision == .denied(type == .delegationToken ? .noRule : .rule))
            }
            var mended = records
            mended.apply([self.put(other)], at: StoreRevision(rawValue: 2))
            #expect(mended.unreadable.isEmpty)
            #expect(mended.aclSet(superUsers: []).may("alice", .read, "orders"))
            #expect(!mended.aclSet(superUsers: []).may("alice", .read, "secret"))
            records.apply([.delete(key: key)], at: StoreRevision(rawValue: 2))
            #expect(records.aclSet(superUsers: []).may("alice", .read, "secret"))
        }
    }

    @Test("a credential that can not be read lets nobody in")
    func damagedCredential() throws {
        var records = AccessRecords(mockSecret: self.secret)
        let key = ScramRecord.key(of: "bob", .sha256)
        let bytes = ScramRecord.encoded(try self.credential(), of: "bob")
        records.apply([.put(key: key, value: bytes)], at: StoreRevision(rawValue: 1))
        records.apply([.put(key: key, value: Array(bytes.dropLast()))], at: StoreRevision(rawValue: 2))
        #expect(records.users.hashes(of: "bob") == nil)
        #expect(records.unreadable == [key])
        // Somebody else's credential under bob's name is not bob's.
        let alice = ScramRecord.encoded(try self.credential(), of: "alice")
        records.apply([.put(key: key, value: alice)], at: StoreRevision(rawValue: 3))
        #expect(records.users.count == 0)
    }

    @Test("credentials are altered user by user, all lines or none")
    func alterations() throws {
        var users = ScramUsers(mockSecret: self.secret)
        users.set(try self.credential(), of: "bob", .sha256)
        func upsert(_ user: String, _ mechanism: Int8 = 1, iterations: Int32 = 4096, bytes: Int = 32) -> ScramAlteration
        {
            let salted = Secret(repeatElement(1, count: bytes))
            let salt = [UInt8](repeating: 2, count: 16)
            return ScramAlteration(
                user: user, mechanism: mechanism,
                change: .upsert(iterations: iterations, salt: salt, saltedPassword: salted))
        }
        func delete(_ user: String, _ mechanism: Int8 = 1) -> ScramAlteration {
            ScramAlteration(user: user, mechanism: mechanism, change: .delete)
        }
        let cases: [([ScramAlteration], ScramAlterations.Refusal?, Int)] = [
            ([upsert("alice")], nil, 1), ([upsert("alice"), upsert("alice", 2, bytes: 64)], nil, 2),
            ([delete("bob")], nil, 1), ([delete("bob", 2)], .notFound, 0), ([delete("alice")], .notFound, 0),
            ([upsert("alice", 0)], .mechanism(0), 0), ([upsert("alice", 3)], .mechanism(3), 0),
            ([upsert("alice"), upsert("alice")], .duplicate, 0), ([upsert("bob"), delete("bob")], .duplicate, 0),
            ([upsert("")], .userName, 0), ([upsert("a\nb")], .userName, 0),
            ([upsert("alice", iterations: 4095)], .credential(.iterations(4095)), 0),
            ([upsert("alice", bytes: 31)], .credential(.keyLength(.bytes(31))), 0),
            ([upsert("bob"), delete("bob", 2)], .notFound, 0),
        ]
        for (lines, refusal, changes) in cases {
            let result = ScramAlterations(lines, users: users)
            #expect(result.answers.map(\.refusal) == [refusal])
            #expect(result.changes.count == changes)
        }
        let mixed = ScramAlterations([upsert("b"), delete("a"), upsert("b", 2, bytes: 64)], users: users)
        #expect(mixed.answers.map(\.user) == ["b", "a"])
        #expect(mixed.answers.map(\.refusal) == [nil, .notFound])
        var records = AccessRecords(mockSecret: self.secret)
        records.apply(mixed.changes, at: StoreRevision(rawValue: 1))
        #expect(records.users.hashes(of: "b") == [.sha256, .sha512])
    }
}
