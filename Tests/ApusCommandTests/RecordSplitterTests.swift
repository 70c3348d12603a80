import ApusCommand
import NIOCore
import Testing

@Suite struct RecordSplitterTests {
    private func records(_ chunks: [String], delimiter: String = "\n", max: Int = 1000) throws -> [String] {
        var splitter = RecordSplitter(delimiter: Array(delimiter.utf8), recordBytesMax: max)
        var records: [String] = []
        for chunk in chunks { try splitter.feed(ByteBuffer(string: chunk)) { records.append(String(buffer: $0)) } }
        splitter.finish { records.append(String(buffer: $0)) }
        return records
    }

    @Test("a stream is cut at each delimiter")
    func lines() throws {
        #expect(try self.records(["a\nbb\n\nc"]) == ["a", "bb", "", "c"])
        #expect(try self.records(["a\n"]) == ["a"])
        #expect(try self.records([]) == [])
        #expect(try self.records(["\n"]) == [""])
    }

    @Test("however the stream is cut into chunks, the records are the same", arguments: 1...9)
    func chunks(length: Int) throws {
        for delimiter in ["\n", "--", "-=-"] {
            let expected = ["one", "", "two-", "=three", "", "4"]
            let bytes = Array(expected.joined(separator: delimiter))
            let chunks = stride(from: 0, to: bytes.count, by: length).map { start in
                String(bytes[start..<min(start + length, bytes.count)])
            }
            let found = try self.records(chunks, delimiter: delimiter)
            // "two-" before "--" is ambiguous: the first place that matches wins.
            #expect(found == String(bytes).components(at: delimiter))
        }
    }

    @Test("no delimiter: all of it is one record")
    func whole() throws {
        #expect(try self.records(["a\n", "b\n"], delimiter: "") == ["a\nb\n"])
    }

    @Test("a record that never ends is refused before it fills the memory")
    func endless() {
        let failure = #expect(throws: CommandFailure.self) { try self.records(["aaaa", "bbbb", "cccc"], max: 10) }
        #expect(failure?.exit == .badData)
    }

    @Test("a record is split into key and value at the first delimiter")
    func keys() throws {
        let (key, value) = try #require(ByteBuffer(string: "k::v::w").split(at: Array("::".utf8)))
        #expect(String(buffer: key) == "k")
        #expect(String(buffer: value) == "v::w")
        #expect(ByteBuffer(string: "k:v").split(at: Array("::".utf8)) == nil)
        #expect(ByteBuffer(string: ":").split(at: [0x3A]).map { [$0.0.readableBytes, $0.1.readableBytes] } == [0, 0])
    }
}

extension String {
    /// The slow and obvious way to split, to compare with.
    fileprivate func components(at delimiter: String) -> [String] {
        var parts: [String] = [""]
        var rest = Substring(self)
        while let first = rest.first {
            if rest.hasPrefix(delimiter) {
                parts.append("")
                rest = rest.dropFirst(delimiter.count)
            } else {
                parts[parts.count - 1].append(first)
                rest = rest.dropFirst()
            }
        }
        if parts.last == "" { parts.removeLast() }
        return parts
    }
}
