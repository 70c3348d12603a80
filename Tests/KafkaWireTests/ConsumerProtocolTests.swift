import NIOCore
import Testing

@testable import KafkaWire

@Suite("What consumers tell each other")
struct ConsumerProtocolTests {
    private static func subscription(_ version: Int16) -> ConsumerSubscription {
        var subscription = ConsumerSubscription()
        subscription.topics = ["a", "bé"]
        subscription.userData = ByteBuffer(bytes: [9])
        if version >= 1 { subscription.ownedPartitions = [.init(topic: "a", partitions: [0, 7])] }
        if version >= 2 { subscription.generationID = 5 }
        if version >= 3 { subscription.rackID = "r" }
        return subscription
    }

    @Test("a subscription comes back as it went, in every version", arguments: ConsumerSubscription.versions)
    func subscriptionRoundTrip(version: Int16) throws {
        let subscription = Self.subscription(version)
        #expect(try ConsumerSubscription(from: subscription.encoded(version: version)) == subscription)
        #expect(try ConsumerSubscription(from: ConsumerSubscription().encoded(version: version)) == .init())
    }

    @Test("an assignment comes back as it went, in every version", arguments: ConsumerAssignment.versions)
    func assignmentRoundTrip(version: Int16) throws {
        var assignment = ConsumerAssignment()
        #expect(try ConsumerAssignment(from: assignment.encoded(version: version)) == assignment)
        assignment.partitions = [.init(topic: "t", partitions: [3]), .init(topic: "", partitions: [])]
        assignment.userData = ByteBuffer()
        #expect(try ConsumerAssignment(from: assignment.encoded(version: version)) == assignment)
    }

    @Test("the bytes are the ones that clients write")
    func bytes() throws {
        // Version 0 with one topic and no user data, as librdkafka and aiokafka write it for topic "t".
        let old = ByteBuffer(bytes: [0, 0, 0, 0, 0, 1, 0, 1, 0x74, 0xFF, 0xFF, 0xFF, 0xFF])
        var subscription = ConsumerSubscription()
        subscription.topics = ["t"]
        #expect(try ConsumerSubscription(from: old) == subscription)
        #expect(subscription.encoded(version: 0) == old)
        #expect(
            Array(Self.subscription(3).encoded(version: 3).readableBytesView) == [
                0, 3, 0, 0, 0, 2, 0, 1, 0x61, 0, 3, 0x62, 0xC3, 0xA9, 0, 0, 0, 1, 9,
                0, 0, 0, 1, 0, 1, 0x61, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 5, 0, 1, 0x72,
            ]
        )
    }

    @Test("a later version is read as the last one known, and what it adds is passed over")
    func laterVersions() throws {
        var bytes = Self.subscription(3).encoded(version: 3)
        bytes.setInteger(9 as Int16, at: bytes.readerIndex)
        bytes.writeBytes([1, 2, 3])
        #expect(try ConsumerSubscription(from: bytes) == Self.subscription(3))
        var assignment = ConsumerAssignment()
        assignment.partitions = [.init(topic: "t", partitions: [3])]
        bytes = assignment.encoded(version: 0)
        bytes.setInteger(Int16.max, at: bytes.readerIndex)
        bytes.writeBytes([0])
        #expect(try ConsumerAssignment(from: bytes) == assignment)
    }

    @Test("fields that a client left out at the end have their defaults", arguments: [1, 2, 3] as [Int16])
    func missingFields(version: Int16) throws {
        var bytes = Self.subscription(0).encoded(version: 0)
        bytes.setInteger(version, at: bytes.readerIndex)
        #expect(try ConsumerSubscription(from: bytes) == Self.subscription(0))
    }

    @Test("a version below 0 is none, and a cut inside a field is an error")
    func malformed() {
        #expect(throws: WireError.negativeLength(at: 0, length: -1)) {
            try ConsumerSubscription(from: ByteBuffer(bytes: [0xFF, 0xFF, 0, 0, 0, 0]))
        }
        #expect(throws: WireError.self) { try ConsumerAssignment(from: ByteBuffer(bytes: [0x80, 0])) }
        // Whole after a field: the version's last field, or one that some clients end at.
        let whole = Self.subscription(3).encoded(version: 3)
        let ends = (0..<whole.readableBytes).filter { length in
            (try? ConsumerSubscription(from: whole.getSlice(at: 0, length: length) ?? ByteBuffer())) != nil
        }
        #expect(ends == [19, 38, 42])
    }

    @Test("any bytes give a value or an error", arguments: 0..<50 as Range<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let valid = Self.subscription(3).encoded(version: 3)
        for _ in 0..<200 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let at = Int.random(in: 0..<bytes.readableBytes, using: &generator)
                bytes.setInteger(UInt8.random(in: 0...255, using: &generator), at: at)
            }
            let subscription = try? ConsumerSubscription(from: bytes)
            let assignment = try? ConsumerAssignment(from: bytes)
            // Nothing takes more than what was sent can hold.
            #expect((subscription?.topics.count ?? 0) <= bytes.readableBytes / 2)
            #expect((assignment?.partitions.count ?? 0) <= bytes.readableBytes / 6)
        }
    }
}
