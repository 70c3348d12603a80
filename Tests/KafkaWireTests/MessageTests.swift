import NIOCore
import Testing

@testable import KafkaWire

@Suite("Messages")
struct MessageTests {
    /// The frame in one buffer, without its length.
    static func joined(_ pieces: [ByteBuffer]) -> ByteBuffer {
        var joined = ByteBuffer()
        for piece in pieces { joined.writeImmutableBuffer(piece) }
        joined.moveReaderIndex(forwardBy: Frame.lengthByteCount)
        return joined.slice()
    }

    static func encoded<Message: KafkaMessage>(_ message: Message, version: Int16) -> ByteBuffer {
        var writer = WireWriter()
        message.encode(into: &writer, version: version)
        return Self.joined(writer.finish())
    }

    private func roundTrip<Message: RandomMessage>(_: Message.Type, _ values: inout RandomValues) throws {
        for version in Message.versions {
            let message = Message(random: &values, version: version)
            let bytes = Self.encoded(message, version: version)
            var reader = WireReader(bytes)
            let decoded = try Message(from: &reader, version: version)
            try reader.finish()
            #expect(decoded == message, "\(Message.self) version \(version)")
            #expect(Self.encoded(decoded, version: version) == bytes, "\(Message.self) version \(version)")
        }
    }

    @Test("every message in every version is decoded to what was encoded", arguments: 0..<40 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        for manner in RandomValues.Manner.allCases where manner == .any || seed == 0 {
            var values = RandomValues(seed: seed, manner: manner)
            for type in everyMessage { try self.roundTrip(type, &values) }
        }
    }

    /// The lengths at which a cut message was still taken for a whole one.
    private func lengthsTaken<Message: RandomMessage>(_: Message.Type, version: Int16) -> [Int] {
        var values = RandomValues(seed: UInt64(version), manner: .any)
        let bytes = Self.encoded(Message(random: &values, version: version), version: version)
        return (0..<min(bytes.readableBytes, 1000)).filter { length in
            var reader = WireReader(bytes.getSlice(at: 0, length: length) ?? ByteBuffer())
            do throws(WireError) {
                _ = try Message(from: &reader, version: version)
                return true
            } catch {
                return false
            }
        }
    }

    @Test("a message cut anywhere is an error")
    func truncated() {
        for type in everyMessage {
            for version in type.versions {
                #expect(self.lengthsTaken(type, version: version) == [], "\(type) version \(version)")
            }
        }
    }

    @Test("a version that is not known is refused, not guessed")
    func unknownVersions() {
        for type in everyMessage {
            for version in [type.versions.lowerBound - 1, type.versions.upperBound + 1, .max, .min] {
                var reader = WireReader(ByteBuffer(repeating: 0, count: 100))
                #expect(throws: WireError.unsupportedVersion(api: type.apiKey, version: version)) {
                    try type.init(from: &reader, version: version)
                }
            }
        }
    }
}
