import ApusCore
import Testing

@testable import ApusAccess

@Suite("API keys")
struct AccessKeyTests {
    private let now = Timestamp(rawValue: 1_800_000_000_000)

    private func make(_ fill: UInt8 = 1, expires: Timestamp? = nil) throws -> (key: AccessKey, text: String) {
        try AccessKey.make(
            "ci", owner: try #require(Principal(user: "alice")), created: self.now, expires: expires,
            idBytes: Array(repeating: fill, count: 8), secret: Array(repeating: fill, count: 32))
    }

    private func keys(_ all: AccessKey...) -> AccessKeys {
        var keys = AccessKeys()
        for key in all { keys.set(key, id: key.id) }
        return keys
    }

    @Test("a key is taken as its owner's, until it is over; anything else is not")
    func verify() throws {
        let made = try self.make(expires: Timestamp(rawValue: self.now.rawValue + 10))
        let other = try self.make(2)
        let keys = self.keys(made.key, other.key)
        #expect(made.text.hasPrefix("apus_0101010101010101_"))
        #expect(try keys.verify(Secret(made.text.utf8), now: self.now).owner == Principal(user: "alice"))
        let swapped = "apus_0202020202020202_" + made.text.dropFirst(22)
        for text in [swapped, made.text + "x", String(made.text.dropLast()), "apus_ffffffffffffffff_AAAA"] {
            #expect(throws: AccessKeyRefusal.unknown, "\(text)") {
                _ = try keys.verify(Secret(text.utf8), now: self.now)
            }
        }
        for text in ["", "apus", "apus_", "apus__", "apus_01_x", "APUS" + made.text.dropFirst(4)] {
            #expect(throws: AccessKeyRefusal.malformed, "\(text)") {
                _ = try keys.verify(Secret(text.utf8), now: self.now)
            }
        }
        #expect(throws: AccessKeyRefusal.expired) {
            _ = try keys.verify(Secret(made.text.utf8), now: Timestamp(rawValue: self.now.rawValue + 10))
        }
    }

    @Test("names that do not show themselves, and keys that are over before they begin, are refused")
    func refusals() throws {
        let owner = try #require(Principal(user: "alice"))
        for name in ["", "a\u{1B}[31m", "a\nb", String(repeating: "n", count: 101)] {
            #expect(throws: AccessKey.Refusal.name) {
                _ = try AccessKey.make(
                    name, owner: owner, created: self.now, expires: nil, idBytes: Array(repeating: 1, count: 8),
                    secret: Array(repeating: 1, count: 32))
            }
        }
        #expect(throws: AccessKey.Refusal.expired) { _ = try self.make(expires: self.now) }
    }

    @Test("what the store keeps comes back, has no secret in it, and is nothing when it is damaged")
    func records() throws {
        let made = try self.make(expires: Timestamp(rawValue: 1_900_000_000_000))
        let bytes = AccessKeyRecord.encoded(made.key)
        #expect(AccessKeyRecord.decoded(bytes) == made.key)
        #expect(try AccessKeyRecord.decoded(AccessKeyRecord.encoded(self.make().key)) == self.make().key)
        #expect(!String(decoding: bytes, as: UTF8.self).contains(made.text.suffix(43)))
        for length in bytes.indices { #expect(AccessKeyRecord.decoded(Array(bytes[..<length])) == nil) }
        #expect(AccessKeyRecord.decoded(bytes + [0]) == nil)
    }

    @Test("keys come and go with the store's changes, and one that can not be read lets nobody in")
    func applied() throws {
        var records = AccessRecords(mockSecret: Secret(repeatElement(5, count: 32)))
        let made = try self.make()
        let name = AccessKeyRecord.key(of: made.key.id)
        records.apply([.put(key: name, value: AccessKeyRecord.encoded(made.key))], at: .none)
        #expect(records.keys.count == 1 && records.keys[id: made.key.id] == made.key)
        records.apply([.put(key: name, value: [1, 2, 3])], at: .none)
        #expect(records.keys.count == 0 && records.unreadable == [name])
        // Under another's name it would be removed under the wrong one.
        records.apply([.put(key: "api-key/00", value: AccessKeyRecord.encoded(made.key))], at: .none)
        #expect(records.keys.count == 0)
        records.apply([.delete(key: name), .delete(key: "api-key/00")], at: .none)
        #expect(records.unreadable.isEmpty)
    }
}
