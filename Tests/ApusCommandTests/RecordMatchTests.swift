import ApusCore
import NIOCore
import Testing

@testable import ApusCommand

@Suite struct RecordMatchTests {
    private let record = ShownRecord(
        topic: "t", partition: PartitionIndex(rawValue: 0), offset: .zero, timestamp: .none,
        key: ByteBuffer(string: "user-1"), value: ByteBuffer(string: "a=b, done"),
        headers: [
            .init(name: "kind", value: ByteBuffer(string: "order")), .init(name: "kind", value: nil),
        ])

    @Test(
        "an expression holds or does not",
        arguments: [
            ("done", true), ("gone", false), ("a=b", true), ("key=user-1", true), ("key=user", false),
            ("key~user", true), ("key!=user", true), ("key!~user", false), ("value=a=b, done", true),
            ("value~", true), ("header.kind=order", true), ("header.kind!=order", false), ("header.kind~ord", true),
            ("header.none=x", false), ("header.none!=x", true), ("header.kind!~x", true),
        ] as [(String, Bool)])
    func holds(expression: String, holds: Bool) throws {
        #expect(try RecordMatch(expression).holds(for: self.record) == holds)
    }

    @Test("null is not empty: only what must not be holds for it")
    func null() throws {
        var record = self.record
        record.value = nil
        #expect(try !RecordMatch("value=").holds(for: record))
        #expect(try RecordMatch("value!=x").holds(for: record))
    }

    @Test("what means nothing is refused", arguments: ["", "key!", "header.=x", "value!x"])
    func refused(expression: String) {
        #expect(throws: CommandFailure.self) { try RecordMatch(expression) }
    }
}
