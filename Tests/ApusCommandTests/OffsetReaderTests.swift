import ApusCommand
import NIOCore
import Testing

@Suite("What a load generator reads of records that are pushed")
struct OffsetReaderTests {
    private let push = #"""
        {"channel":"too","records":[{"partition":0,"offset":8,"value":{"pad":"~oooffset"}},\#
        {"partition":0,"offset":12345678901,"value":{"pad":"~xx"}}],"cursor":"EAAA_b-9"}
        """#

    private func pieces(_ text: String, of bytes: Int) -> [ByteBuffer] {
        var (rest, pieces) = (ByteBuffer(string: text), [ByteBuffer]())
        while let piece = rest.readSlice(length: min(bytes, rest.readableBytes)), piece.readableBytes > 0 {
            pieces.append(piece)
        }
        return pieces
    }

    @Test("offsets are found wherever reads cut them", arguments: [1, 2, 3, 7, 16, 1000])
    func offsets(bytes: Int) {
        var (reader, found) = (OffsetReader(), [Int64]())
        for piece in self.pieces(self.push + self.push, of: bytes) { reader.feed(piece) { found.append($0) } }
        #expect(found == [8, 12_345_678_901, 8, 12_345_678_901])
    }

    @Test("what only begins like an offset is none")
    func others() {
        var (reader, found) = (OffsetReader(), [Int64]())
        for text in ["ooffset\":7,", "offsets\":8,", "off", "offset\":9}", "offset\":"] {
            reader.feed(ByteBuffer(string: text)) { found.append($0) }
        }
        #expect(found == [7, 9])
        // A number without end does not stop the process.
        reader.feed(ByteBuffer(string: String(repeating: "9", count: 100) + ",")) { found.append($0) }
        #expect(found.count == 3)
    }

    @Test("the last cursor is found", arguments: [1, 5, 64, 1000])
    func cursor(bytes: Int) {
        var tail = CursorTail()
        #expect(tail.cursor == nil)
        for piece in self.pieces(self.push, of: bytes) { tail.feed(piece) }
        #expect(tail.cursor == "EAAA_b-9")
        for piece in self.pieces(#"{"channel":"too","records":[],"cursor":"second"}"#, of: bytes) { tail.feed(piece) }
        #expect(tail.cursor == "second")
    }
}
