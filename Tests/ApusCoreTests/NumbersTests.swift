import ApusCore
import Testing

@Suite struct NumbersTests {
    @Test("a topic id reads back from its own text form")
    func topicIDText() {
        let id = TopicID(high: 0x6ba7_b810_9dad_41d1, low: 0x80b4_00c0_4fd4_30c8)
        #expect(id.description == "6ba7b810-9dad-41d1-80b4-00c04fd430c8")
        #expect(TopicID(id.description) == id)
        #expect(TopicID("6BA7B8109DAD41D180B400C04FD430C8") == id)
    }

    @Test(
        "what is not a topic id is refused",
        arguments: ["", "-", "6ba7b810", "zzzzb810-9dad-41d1-80b4-00c04fd430c8"]
    )
    func topicIDRefused(text: String) {
        #expect(TopicID(text) == nil)
    }

    @Test("time is held at its ends instead of overflowing")
    func timeSaturates() {
        #expect(Instant(nanoseconds: .max).advanced(by: .seconds(1)) == Instant(nanoseconds: .max))
        #expect(Instant(nanoseconds: 5).advanced(by: .seconds(-1)) == Instant(nanoseconds: 0))
        #expect(Instant(nanoseconds: 5).since(Instant(nanoseconds: 9)) == .zero)
        #expect(Timestamp(rawValue: .min).earlier(by: .seconds(1)) == Timestamp(rawValue: .min))
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
    }

    @Test("a byte count is told in the unit a person would choose")
    func byteCountText() {
        #expect(ByteCount.bytes(17).description == "17 B")
        #expect(ByteCount.kibibytes(4).description == "4.0 KiB")
        #expect(ByteCount.bytes(1_288_490_189).description == "1.2 GiB")
    }

    @Test("a path knows its directory and its name")
    func paths() {
        let path = DiskPath("topics/a/0/state")
        #expect(path.directory == DiskPath("topics/a/0"))
        #expect(path.name == "state")
        #expect(DiskPath("lock").directory == .root)
    }
}
