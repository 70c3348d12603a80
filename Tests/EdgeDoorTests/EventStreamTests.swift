import ApusCore
import ApusFakes
import Foundation
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("An event stream of several channels")
struct EventStreamTests {
    /// What a page has seen: it takes whole events only, and the id of the last one.
    private struct Page {
        var id = ""
        var events: [String] = []
        var values: [String] = []

        /// Takes what came, as a browser does (WHATWG HTML section 9.2.6).
        mutating func take(_ text: some StringProtocol) throws {
            // What no blank line ends is no event.
            for block in text.components(separatedBy: "\n\n").dropLast() {
                var (name, data) = ("", "")
                for line in block.split(separator: "\n") {
                    if line.hasPrefix("id: ") { self.id = String(line.dropFirst(4)) }
                    if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
                    if line.hasPrefix("data: ") { data = String(line.dropFirst(6)) }
                }
                guard !data.isEmpty else { continue }
                let object = try JSONObject(ByteBuffer(string: data))
                if !name.isEmpty { self.events.append("\(name) \(object["channel"]?.text ?? "")") }
                for record in try object["records"]?.elements(max: 10_000) ?? [] {
                    self.values.append(try record.object()["text"]?.text ?? "?")
                }
            }
        }
    }

    private func open(_ bench: EdgeBench, _ query: String, _ id: String = "") throws -> BenchClient {
        try bench.client("/v1/stream?\(query)", id.isEmpty ? [] : [("Last-Event-ID", id)])
    }

    @Test("the records of all its channels come, and one id resumes all of them")
    func resume() throws {
        let bench = try EdgeBench()
        try bench.create("a", partitions: 2)
        try bench.create("b", partitions: 3)
        let query = "channel=a&channel=b/k*"
        let first = try self.open(bench, query)
        #expect(try first.head().hasPrefix("HTTP/1.1 200 "))
        try bench.write("a", ["a0"], partition: 1)
        try bench.write("b", ["b0"], key: "k1")
        try bench.write("b", ["other"], key: "x")
        var page = Page()
        try page.take(try first.text())
        #expect(page.events == ["subscribed a", "subscribed b/k*"] && page.values == ["a0", "b0"])
        first.channel.close(promise: nil)
        bench.run()
        try bench.write("a", ["a1"], partition: 0)
        try bench.write("b", ["b1"], key: "k2")
        let second = try self.open(bench, query, page.id)
        _ = try second.head()
        bench.run()
        try bench.write("a", ["a2"], partition: 1)
        try page.take(try second.text())
        #expect(page.values.sorted() == ["a0", "a1", "a2", "b0", "b1"] && page.values.last == "a2")
        // The order does not matter, and a channel that is new begins where the address says.
        try bench.create("c")
        try bench.write("c", ["c0"])
        let third = try self.open(bench, "channel=c&channel=b/k*&channel=a&from=start&last_event_id=\(page.id)")
        _ = try third.head()
        bench.run()
        try bench.write("b", ["b2"], key: "k1")
        var more = Page()
        try more.take(try third.text())
        #expect(more.values == ["c0", "b2"])
    }

    @Test(
        "wherever the connection is cut, each record of each channel comes once, in order",
        arguments: 0..<20 as Range<UInt64>)
    func cuts(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let bench = try EdgeBench(loops: 1 + generator.below(2))
        for topic in ["a", "b", "c"] { try bench.create(topic, partitions: Int32(1 + generator.below(3))) }
        let query = "channel=a&channel=b/key&channel=c&from=start"
        var page = Page()
        var written: [String: Int] = [:]
        func write(_ topic: String) throws {
            let number = written[topic, default: 0]
            written[topic] = number + 1
            try bench.write(
                topic, ["\(topic)\(number)"], key: topic == "b" ? "key" : nil, partition: topic == "b" ? nil : 0)
        }
        for _ in 0..<12 {
            let client = try self.open(bench, query, page.id)
            _ = try client.head()
            for _ in 0..<generator.below(8) { try write(["a", "b", "c"][generator.below(3)]) }
            bench.run()
            let text = Array(try client.text().utf8)
            try page.take(String(decoding: text.prefix(generator.below(text.count + 1)), as: UTF8.self))
            client.channel.close(promise: nil)
            for _ in 0..<generator.below(4) { try write(["a", "b", "c"][generator.below(3)]) }
        }
        let last = try self.open(bench, query, page.id)
        _ = try last.head()
        bench.run()
        try page.take(try last.text())
        for topic in ["a", "b", "c"] {
            let seen = page.values.filter { $0.hasPrefix(topic) }
            #expect(seen == (0..<written[topic, default: 0]).map { "\(topic)\($0)" })
        }
    }

    @Test("a channel that can not be had is told as an event while another can, and else is the answer")
    func lacking() throws {
        let bench = try EdgeBench()
        try bench.create("a")
        let some = try self.open(bench, "channel=none&channel=a&channel=nothing")
        #expect(try some.head().hasPrefix("HTTP/1.1 200 "))
        var page = Page()
        try page.take(try some.text())
        #expect(page.events.sorted() == ["ended none", "ended nothing", "subscribed a"] && some.isOpen)
        try bench.write("a", ["x"])
        try page.take(try some.text())
        #expect(page.values == ["x"])
        let none = try self.open(bench, "channel=none&channel=nothing")
        #expect(try none.head().hasPrefix("HTTP/1.1 404 ") && !none.isOpen)
        for query in ["channel=a&channel=a", "channel=a&channel=b&last_event_id=AAAA", "channel=a&channel=b&x=y"] {
            #expect(try self.open(bench, query).head().hasPrefix("HTTP/1.1 400 "), "\(query)")
        }
        let many = (0...Limits.edgeChannelsPerStreamMax).map { "channel=a/\($0)" }.joined(separator: "&")
        #expect(try self.open(bench, many).head().hasPrefix("HTTP/1.1 429 "))
    }

    @Test("a channel that ends leaves the others, and the last one ends the stream")
    func ending() throws {
        let bench = try EdgeBench()
        for topic in ["a", "b"] { try bench.create(topic) }
        let client = try self.open(bench, "channel=a&channel=b")
        _ = try client.text()
        try bench.delete("a")
        bench.advance(.seconds(2))
        var page = Page()
        try page.take(try client.text())
        #expect(page.events == ["ended a"] && client.isOpen)
        try bench.write("b", ["x"])
        try page.take(try client.text())
        #expect(page.values == ["x"] && page.id.split(separator: "~").count == 1)
        try bench.grow("b", to: 2)
        bench.advance(.seconds(2))
        try bench.write("b", ["y"], partition: 1)
        try page.take(try client.text())
        #expect(page.values == ["x", "y"] && page.events == ["ended a"])
        try bench.delete("b")
        bench.advance(.seconds(2))
        let end = try client.text()
        try page.take(end)
        #expect(page.events.prefix(2) == ["ended a", "ended b"] && page.id.isEmpty && !client.isOpen, "\(end)")
    }

    @Test("a long id is written when it is little beside what was pushed, and within a second")
    func cadence() throws {
        let bench = try EdgeBench()
        try bench.create("a")
        let keys = (0..<20).map { "k\($0)" }
        let query = keys.map { "channel=a/\($0)" }.joined(separator: "&")
        let client = try self.open(bench, query)
        _ = try client.text()
        try bench.write("a", ["1"], key: "k3")
        let event = try client.text()
        #expect(event.hasPrefix("data: ") && event.hasSuffix("\n\n"))
        bench.advance(.seconds(1))
        let id = try client.text()
        #expect(id.hasPrefix("id: ") && id.hasSuffix("\n\n") && id.split(separator: "~").count == keys.count)
        bench.advance(.seconds(3))
        #expect(try client.text() == "")
        try bench.write("a", [String(repeating: "x", count: 8000)], key: "k3")
        #expect(try client.text().hasPrefix("id: "))
        let again = try self.open(bench, "\(query)&last_event_id=\(id.dropFirst(4).dropLast(2))")
        var page = Page()
        _ = try again.head()
        bench.run()
        try page.take(try again.text())
        #expect(page.values.count == 1 && page.values[0].count == 8000)
    }

    @Test("any text is an id's cursors or is refused, and the tag of a channel is its own")
    func ids() throws {
        #expect(throws: Problem.self) { try StreamCursor.cursors(in: "") }
        #expect(throws: Problem.self) { try StreamCursor.cursors(in: "abc") }
        #expect(throws: Problem.self) { try StreamCursor.cursors(in: "abcdefgh.x~abcdefgh.y") }
        #expect(throws: Problem.self) { try StreamCursor.cursors(in: "abcdefgh.x.y") }
        let many = Array(repeating: "abcdefgh.x", count: Limits.edgeChannelsPerStreamMax + 1).joined(separator: "~")
        #expect(throws: Problem.self) { try StreamCursor.cursors(in: many) }
        #expect(try StreamCursor.cursors(in: "abcdefgh.x~ABCDEFGH.y").count == 2)
        var tags: Set<String> = []
        for number in 0..<10_000 { tags.insert(StreamCursor.tag(of: try EdgeChannel("chat/\(number)"))) }
        #expect(tags.count == 10_000)
    }
}
