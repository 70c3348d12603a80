import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Many clients at once")
struct EndpointStormTests {
    @Test(
        "clients that all lose their connections and resume at once are caught up, each record once", arguments: [1, 2])
    func storm(loops: Int) throws {
        let bench = try EdgeBench(loops: loops)
        try bench.create("news", partitions: 2)
        func subscribe(_ index: Int, _ more: String) throws -> BenchClient {
            let client = try bench.socket(on: index % loops)
            let ask = #"{"id":1,"op":"subscribe","channel":"news"\#(more)}"#
            #expect(try client.ask(ask).first?.contains(#""recovered":true"#) == true)
            return client
        }
        let clients = try (0..<120).map { try subscribe($0, "") }
        for number in 0..<10 { try bench.write("news", ["\(number)"], partition: Int32(number % 2)) }
        var cursors: [String] = []
        for client in clients {
            #expect(try client.records().count == 10)
            cursors.append(client.cursor)
            client.channel.close(promise: nil)
        }
        bench.run()
        #expect(Set(cursors).count == 1)
        for number in 10..<40 { try bench.write("news", ["\(number)"], partition: Int32(number % 2)) }
        var back: [BenchClient] = []
        for (index, cursor) in cursors.enumerated() {
            back.append(try subscribe(index, #","cursor":"\#(cursor)""#))
            // Records go on meanwhile; and one in ten reads nothing for now.
            if index % 20 == 0 { try bench.write("news", ["\(40 + index / 20)"], partition: 0) }
            if index % 10 == 9 { back[index].stall() }
        }
        for _ in 0..<4 { bench.run() }
        for (index, client) in back.enumerated() where index % 10 == 9 { client.goOn() }
        for _ in 0..<4 { bench.run() }
        for client in back {
            let values = try client.records().compactMap { $0.split(separator: "=").last.flatMap { Int($0) } }
            #expect(values.sorted() == Array(10..<46))
        }
    }

    private func begin(_ client: BenchClient, _ channel: String = "news", from: String = "earliest") throws {
        let answers = try client.ask(#"{"id":1,"op":"subscribe","channel":"\#(channel)","from":"\#(from)"}"#)
        #expect(answers.first?.contains(#""ok""#) == true)
    }

    @Test("those who stand at one place are read for once, and encoded for once")
    func once() throws {
        let fake = FakeUpstream()
        fake.make("news")
        fake.append("news", (0..<50).map { "\($0)" })
        let bench = try EdgeBench(upstream: fake)
        let clients = try (0..<40).map { _ in try bench.socket() }
        for client in clients { try self.begin(client) }
        // The partition's reader, which waits, and the past.
        #expect(fake.fetches == 2)
        for client in clients { #expect(try client.records().count == 50) }
        // Elsewhere is another piece.
        let other = try bench.socket()
        try self.begin(other, from: "10")
        #expect(fake.fetches == 3)
        #expect(try other.records().count == 40)
        // And what was read a while ago is read again.
        bench.advance(.seconds(2))
        let late = try bench.socket()
        try self.begin(late)
        #expect(fake.fetches == 4)
        #expect(try late.records().count == 50)
    }

    @Test("those who wait for one read do not hang on whoever asked first")
    func leaving() throws {
        let fake = FakeUpstream()
        fake.make("news")
        fake.append("news", ["1", "2"])
        let bench = try EdgeBench(upstream: fake)
        // Somebody is in the channel already: only the past is to be read.
        let first = try bench.socket()
        try self.begin(first, from: "latest")
        let fetches = fake.fetches
        let clients = try (0..<6).map { _ in try bench.socket() }
        fake.isSlow = true
        for client in clients {
            #expect(try client.ask(#"{"id":1,"op":"subscribe","channel":"news","from":"earliest"}"#).isEmpty)
        }
        // The topic's name, where it begins and ends, and then the read.
        for _ in 0..<2 {
            fake.answerAll()
            bench.run()
        }
        #expect(fake.fetches == fetches + 1)
        for client in clients[..<3] { client.channel.close(promise: nil) }
        bench.run()
        fake.answerAll()
        bench.run()
        for client in clients[3...] { #expect(try client.records().count == 3) }
        #expect(fake.fetches == fetches + 1)
    }

    @Test("what is kept of the past is bounded")
    func bounded() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let value = String(repeating: "x", count: 100_000)
        for _ in 0..<30 { try bench.write("news", Array(repeating: value, count: 10)) }
        let clients = try (0..<3).map { _ in try bench.socket() }
        // Each at a place of its own.
        for (index, client) in clients.enumerated() { try self.begin(client, from: "\(index)") }
        var memory = ByteCount.zero
        var counts = Array(repeating: 0, count: clients.count)
        for _ in 0..<400 where counts != [300, 299, 298] {
            bench.run()
            memory = max(memory, try bench.pastMemory())
            for (index, client) in clients.enumerated() { counts[index] += try client.records().count }
        }
        #expect(counts == [300, 299, 298])
        #expect(memory > .mebibytes(4) && memory <= Limits.edgePastMemoryPerLoop)
        bench.advance(.seconds(3))
        #expect(try bench.pastMemory() == .zero)
    }

    @Test("a client whose right was taken away is not given what others were read")
    func rights() throws {
        let bench = try EdgeBench { $0.isAuthorizing = true }
        try bench.create("news")
        let value = String(repeating: "x", count: 100_000)
        for _ in 0..<4 { try bench.write("news", Array(repeating: value, count: 10)) }
        try bench.allow(.read, "news")
        let (first, second) = (try bench.socket(), try bench.socket())
        second.stall()
        try second.send(1, Array(#"{"id":1,"op":"subscribe","channel":"news","from":"earliest"}"#.utf8))
        try self.begin(first)
        var count = 0
        for _ in 0..<100 where count < 40 {
            bench.run()
            count += try first.records().count
        }
        #expect(count == 40)
        try bench.disallow("news")
        second.goOn()
        for _ in 0..<20 { bench.run() }
        let given = try second.records()
        #expect(given.last == "event ended" && given.count < 20)
    }
}

extension EdgeBench {
    fileprivate func pastMemory() throws -> ByteCount {
        let box = BenchBox<[ByteCount]>()
        self.door.collect { $0.past.memory }.whenSuccess { box.put($0) }
        for _ in 0..<2 { for loop in self.loops { loop.run() } }
        return try #require(box.value).reduce(.zero) { $0 + $1 }
    }
}
