import ApusClient
import ApusCore
import ApusServer
import Foundation
import NIOCore
import Testing

/// The Swift client against the real broker: records there and back.
@Suite("Records through the Swift client", .timeLimit(.minutes(20)))
struct ClientRecordTests {
    private func client(_ server: ApusServer) -> ApusClient {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"], clientID: "test")
        configuration.callTimeout = .seconds(300)
        return ApusClient(configuration)
    }

    /// A moment from which timestamps count: retention removes what is old, so it is not long ago.
    private let start = Int64(Date().timeIntervalSince1970 * 1000) - 1_000_000

    private func text(_ buffer: ByteBuffer?) -> String { String(buffer: buffer ?? ByteBuffer()) }

    @Test("records of every codec come back as they were sent", arguments: Compression.allCases)
    func roundTrip(compression: Compression) async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            try await self.client(server).withConnection { client in
                try await client.topics.create("t", partitions: 3)
                let words = (0..<3000).map { "record \($0) " + String(repeating: "abc", count: $0 % 50) }
                try await client.withProducer(.init(topic: "t", compression: compression)) { producer in
                    try await producer.send(
                        contentsOf: words.enumerated().map { index, word in
                            ProducerRecord(
                                ByteBuffer(string: word), key: ByteBuffer(string: "key \(index % 7)"),
                                headers: [RecordHeader("number", ByteBuffer(string: "\(index)"))],
                                timestamp: Timestamp(rawValue: self.start + Int64(index)))
                        })
                }
                var seen: [String] = []
                var perKey: [String: Int] = [:]
                for try await record in client.read("t", until: .end) {
                    let number = try #require(Int(self.text(record.headers.first?.value)))
                    seen.append(self.text(record.value))
                    let key = self.text(record.key)
                    #expect(key == "key \(number % 7)")
                    #expect(perKey[key, default: -1] < number, "the order of a key was lost")
                    perKey[key] = number
                    #expect(record.timestamp == Timestamp(rawValue: self.start + Int64(number)))
                }
                #expect(seen.sorted() == words.sorted())
            }
        }
    }

    @Test("reading starts at an offset, at a time, and a number of records before the end")
    func starts() async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            try await self.client(server).withConnection { client in
                try await client.topics.create("t", partitions: 1)
                try await client.withProducer(.init(topic: "t", linger: .zero)) { producer in
                    for number in 0..<100 {
                        try await producer.sendAndWait(
                            ProducerRecord(
                                ByteBuffer(string: "\(number)"),
                                timestamp: Timestamp(rawValue: self.start + Int64(number) * 1000)))
                    }
                }
                func read(_ start: ReaderStart, _ end: ReaderEnd = .end) async throws -> [Int] {
                    var numbers: [Int] = []
                    for try await record in client.read("t", from: start, until: end) {
                        numbers.append(try #require(Int(self.text(record.value))))
                        #expect(record.offset.rawValue == Int64(numbers.last ?? -1))
                    }
                    return numbers
                }
                #expect(try await read(.start) == Array(0..<100))
                #expect(try await read(.offset(Offset(rawValue: 40))) == Array(40..<100))
                #expect(try await read(.time(Timestamp(rawValue: self.start + 69_500))) == Array(70..<100))
                #expect(try await read(.time(Timestamp(rawValue: self.start + 500_000))).isEmpty)
                #expect(try await read(.last(5)) == Array(95..<100))
                #expect(try await read(.last(1000)) == Array(0..<100))
                #expect(try await read(.start, .offset(Offset(rawValue: 7))) == Array(0..<7))
                #expect(try await read(.start, .time(Timestamp(rawValue: self.start + 3000))) == Array(0..<3))
                #expect(try await read(.end).isEmpty)
            }
        }
    }

    @Test("a reader at the end of the log gets what comes, and leaves when it is left")
    func follows() async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            try await self.client(server).withConnection { client in
                try await client.topics.create("t", partitions: 2)
                try await client.publish("before", to: "t")
                try await withThrowingTaskGroup(of: [String].self) { group in
                    group.addTask {
                        var values: [String] = []
                        for try await record in client.read("t", from: .start) {
                            values.append(self.text(record.value))
                            if values.count == 4 { break }
                        }
                        return values
                    }
                    for word in ["one", "two", "three"] { try await client.publish(word, to: "t") }
                    let values = try #require(try await group.next())
                    #expect(values.sorted() == ["before", "one", "three", "two"])
                }
            }
        }
    }

    @Test("the broker stops and starts under a producer: nothing is lost, doubled or moved")
    func restarts() async throws {
        let bench = try ServerBench()
        var configuration = bench.configuration
        let first = try await ApusServer.start(configuration, logger: ServerBench.logger)
        // The same port for every life.
        configuration.kafka = first.kafka
        let fixed = configuration
        let client = self.client(first)
        try await client.topics.create("t", partitions: 2)
        let count = 20_000
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await client.withProducer(.init(topic: "t", linger: .milliseconds(1))) { producer in
                    for number in 0..<count {
                        try await producer.send(
                            ProducerRecord(
                                ByteBuffer(string: "\(number)"), partition: PartitionIndex(rawValue: Int32(number % 2)))
                        )
                        // Small batches, so that the restarts fall between many.
                        if number % 100 == 0 { try await producer.flush() }
                    }
                }
            }
            group.addTask {
                var server = first
                for life in 1...3 {
                    // Until some of the records are there.
                    var end: Int64 = 0
                    while end < Int64(life * count / 16) {
                        let offsets = try await client.topics.offsets(of: "t", at: .end)
                        end = offsets.values.map(\.offset.rawValue).min() ?? 0
                    }
                    await server.shutdown()
                    server = try await ApusServer.start(fixed, logger: ServerBench.logger)
                }
                for partition in 0..<2 {
                    var expected = partition
                    let partitions = [PartitionIndex(rawValue: Int32(partition))]
                    for try await record in client.read(
                        "t", partitions: partitions, until: .offset(Offset(rawValue: Int64(count / 2))))
                    {
                        #expect(self.text(record.value) == "\(expected)")
                        expected += 2
                    }
                    #expect(expected == count + partition)
                    let ends = try await client.topics.offsets(of: "t", partitions: partitions, at: .end)
                    #expect(ends.values.map(\.offset.rawValue) == [Int64(count / 2)])
                }
                await client.close()
                await server.shutdown()
            }
            try await group.waitForAll()
        }
    }

    @Test("a receipt says where the record lies, and whoever waits for it does not wait for the linger")
    func receipts() async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            try await self.client(server).withConnection { client in
                try await client.topics.create("t", partitions: 4)
                try await client.withProducer(.init(topic: "t", linger: .seconds(3600))) { producer in
                    for number in 0..<10 {
                        let receipt = try await producer.sendAndWait(
                            ProducerRecord(ByteBuffer(string: "\(number)"), partition: PartitionIndex(rawValue: 2)))
                        #expect(receipt.partition == PartitionIndex(rawValue: 2))
                        #expect(receipt.offset == Offset(rawValue: Int64(number)))
                    }
                    #expect(producer.statistics.recordsDelivered == 10)
                }
            }
        }
    }

    @Test("a record that is too large for the topic fails by name, and those around it arrive in order")
    func tooLarge() async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            try await self.client(server).withConnection { client in
                try await client.topics.create("t", partitions: 1, configuration: ["max.message.bytes": "10000"])
                var options = ProducerOptions(topic: "t", linger: .zero)
                // A batch is refused as a whole: what is too large must be alone in its own.
                options.batchBytesMax = .bytes(5000)
                let producer = try client.producer(options)
                for number in 0..<20 {
                    let value = number % 5 == 2 ? String(repeating: "x", count: 20_000) : "\(number)"
                    try await producer.send(value)
                    if number % 5 == 2 {
                        do {
                            try await producer.flush()
                            Issue.record("it was taken")
                        } catch let error as ApusError {
                            #expect(error.code == .recordTooLarge && error.message.contains("t/0"))
                            #expect(!error.isIndefinite)
                        }
                    }
                }
                try await producer.close()
                var values: [String] = []
                for try await record in client.read("t", until: .end) { values.append(self.text(record.value)) }
                #expect(values == (0..<20).filter { $0 % 5 != 2 }.map { "\($0)" })
            }
        }
    }
}
