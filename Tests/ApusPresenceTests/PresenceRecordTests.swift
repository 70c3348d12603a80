import ApusCore
import NIOCore
import Testing

@testable import ApusPresence

@Suite("Records of presence")
struct PresenceRecordTests {
    private static let nasty = "a\"b\\c\u{0}\r\n\u{1B}[31m\u{7F}\u{9B}\u{2028}\u{202E}\u{2066}é🜁"
    private static let life = NodeLife(node: "broker-1", number: 1_048_577)
    private static let place = PresencePlace(channel: "news", connection: "c9")
    private static let guest = PresenceGuest(user: "User:ada", client: "app")

    private static var all: [PresenceRecord] {
        let strange = PresencePlace(channel: "chat/\(Self.nasty)", connection: Self.nasty)
        let node = NodeLife(node: Self.nasty, number: 7)
        let stranger = PresenceGuest(user: Self.nasty, client: Self.nasty)
        let at = Timestamp(rawValue: 1_763_632_800_000)
        let seen = [
            PresenceSeen(partition: PartitionIndex(rawValue: 0), next: Offset(rawValue: 18), at: at),
            PresenceSeen(partition: PartitionIndex(rawValue: 7), next: Offset(rawValue: 1), at: at),
        ]
        return [
            .join(Self.life, Self.place, Self.guest, at: at), .join(node, strange, stranger, at: at),
            .leave(Self.life, Self.place, Self.guest, .lease, at: at), .leave(node, strange, stranger, .closed, at: at),
            .receipt(Self.life, Self.place, Self.guest, seen, at: at), .receipt(node, strange, stranger, [], at: at),
            .over(Self.life, Self.place, isReceipt: false), .over(node, strange, isReceipt: true),
        ]
    }

    @Test("are JSON for people")
    func json() {
        let join = Self.all[0]
        #expect(String(buffer: join.key) == #"["news","broker-1",1048577,"c9"]"#)
        #expect(
            join.value.map { String(buffer: $0) }
                == #"{"event":"join","channel":"news","user":"User:ada","client":"app","conn":"c9","node":"broker-1","#
                + #""life":1048577,"at":1763632800000}"#)
        #expect(String(buffer: Self.all[4].key) == #"["news","broker-1",1048577,"c9","seen"]"#)
        #expect(
            Self.all[4].value.map { String(buffer: $0) }?.hasSuffix(
                #","seen":[{"partition":0,"offset":17,"at":1763632800000},{"partition":7,"offset":0,"#
                    + #""at":1763632800000}]}"#) == true)
    }

    @Test("are read as they were written, whatever the names", arguments: 0..<8)
    func both(index: Int) {
        let record = Self.all[index]
        #expect(PresenceRecord(key: record.key, value: record.value) == record)
    }

    @Test("hold nothing that a terminal or a line obeys")
    func quiet() {
        for record in Self.all {
            for bytes in [record.key, record.value ?? ByteBuffer()] {
                let text = String(buffer: bytes)
                #expect(
                    text.unicodeScalars.allSatisfy {
                        $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && !(0x2028...0x202E).contains($0.value)
                            && !(0x2066...0x2069).contains($0.value)
                    })
            }
        }
    }

    @Test("cut or changed anywhere are no record, or another one, and never a trap")
    func damaged() {
        for record in Self.all {
            let (key, value) = (record.key, record.value ?? ByteBuffer())
            for length in stride(from: 0, to: key.readableBytes, by: 2) {
                let cut = key.getSlice(at: 0, length: length) ?? ByteBuffer()
                #expect(PresenceRecord(key: cut, value: value) == nil)
            }
            for length in stride(from: 1, to: max(2, value.readableBytes), by: 3) {
                let cut = value.getSlice(at: 0, length: length) ?? ByteBuffer()
                #expect(PresenceRecord(key: key, value: cut) == nil)
            }
            for index in stride(from: 0, to: value.readableBytes, by: 3) {
                for byte in [UInt8(ascii: "\""), UInt8(ascii: "\\")] {
                    var changed = value
                    changed.setInteger(byte, at: index)
                    _ = PresenceRecord(key: key, value: changed)
                }
            }
        }
        let deep = ByteBuffer(string: String(repeating: "[", count: 100_000))
        #expect(PresenceRecord(key: deep, value: nil) == nil)
    }

    @Test("the keys of one channel begin alike, and no other channel's do")
    func prefixes() throws {
        for channel in ["news", "news\"", "chat/a,b", "chat/\\", Self.nasty] {
            let place = PresencePlace(channel: channel, connection: "c1")
            let key = PresenceRecord.over(Self.life, place, isReceipt: false).key
            let prefix = PresenceRecord.keyPrefix(of: channel)
            #expect(key.getSlice(at: 0, length: prefix.readableBytes) == prefix)
            #expect(PresenceRecord.channel(ofKeys: prefix) == channel)
            #expect(PresenceRecord.channel(ofKeys: key) == channel)
        }
        for text in ["", "[", "[\"", "[\"news", "[\"news\"", "\"news\",", "[1,", "[\"ne\\", "[\"\\u00\","] {
            #expect(PresenceRecord.channel(ofKeys: ByteBuffer(string: text)) == nil)
        }
    }
}
