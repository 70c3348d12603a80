import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("A connection, whatever its client does")
struct ConnectionTests {
    @Test("a request that comes byte by byte is answered once it is whole")
    func oneByteAtATime() throws {
        let bench = try DoorBench()
        let bytes = bench.encode(ApiVersionsRequest(), version: 0)
        for byte in bytes.readableBytesView {
            #expect(try bench.replies().isEmpty)
            try bench.send(ByteBuffer(bytes: [byte]))
        }
        #expect(try bench.answered() == [1])
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("many requests in one read are answered in order, with one flush")
    func manyInOneRead() throws {
        let bench = try DoorBench()
        let requests = (0..<200).map { _ in bench.encode(ApiVersionsRequest(), version: 0) }
        try bench.send(requests.joined)
        #expect(try bench.answered() == Array(1...200))
    }

    @Test(
        "a frame of a length that no request has ends the connection",
        arguments: [Int32.min, -1, 0, 1, 7, (16 << 20) + 1, Int32.max] as [Int32]
    )
    func badLength(length: Int32) throws {
        let bench = try DoorBench()
        try bench.send(ByteBuffer(integer: length))
        #expect(!bench.isOpen)
        #expect(bench.broker.memory.used == .zero)
        #expect(bench.lines.all.count == 1)
    }

    @Test("a request whose lists would become ever so many values ends the connection; a batch as long is taken")
    func longLists() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.produce(ByteBuffer(repeating: 0, count: 5 << 20), to: "t", acks: 1), version: 9)
        #expect(bench.isOpen)
        var request = MetadataRequest()
        request.topics = [MetadataRequest.Topic](repeating: MetadataRequest.Topic(), count: 3 << 20)
        try bench.send(request, version: 1)
        #expect(!bench.isOpen)
        #expect(bench.lines.all.last?.contains("frameTooLarge") ?? false)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("what came before a bad frame is answered")
    func beforeABadFrame() throws {
        let bench = try DoorBench()
        var bytes = bench.encode(ApiVersionsRequest(), version: 0)
        bytes.writeInteger(-1 as Int32)
        try bench.send(bytes)
        #expect(try bench.answered() == [1])
        #expect(!bench.isOpen)
    }

    @Test("half a frame, then silence: closed, and its memory given back")
    func halfFrame() throws {
        let bench = try DoorBench()
        var bytes = ByteBuffer(integer: Int32(10 << 20))
        bytes.writeRepeatingByte(0, count: 1000)
        try bench.send(bytes)
        #expect(bench.broker.memory.used == Limits.readBytesMax)
        bench.advance(seconds: 9)
        #expect(bench.isOpen)
        bench.advance(seconds: 4)
        #expect(!bench.isOpen)
        #expect(bench.broker.memory.used == .zero)
        #expect(bench.doorLoop.connectionCount == 0)
    }

    @Test("clients that claim long frames and send none hold no memory that others need")
    func claims() throws {
        let bench = try DoorBench(requestMemory: .mebibytes(16))
        var bytes = ByteBuffer(integer: Int32(8 << 20))
        bytes.writeRepeatingByte(0, count: 100)
        for _ in 0..<200 {
            try bench.connect()
            try bench.send(bytes)
        }
        try bench.connect()
        try bench.send(ApiVersionsRequest(), version: 0)
        #expect(try bench.answered() == [1])
    }

    @Test("clients that send much of long frames and stop give way to others within seconds")
    func halfSent() throws {
        let bench = try DoorBench(requestMemory: .mebibytes(16))
        var bytes = ByteBuffer(integer: Int32(8 << 20))
        bytes.writeRepeatingByte(0, count: 3 << 20)
        for _ in 0..<20 {
            try bench.connect()
            try bench.send(bytes)
        }
        try bench.connect()
        let asking = bench.channel
        try bench.send(ApiVersionsRequest(), version: 0)
        var answered: [Int32] = []
        for _ in 0..<5 where answered.isEmpty {
            bench.advance(seconds: 1)
            answered = try bench.answered()
        }
        #expect(answered == [1])
        #expect(asking.isActive)
    }

    @Test("a client that does not read is not read either, and loses nothing")
    func neverReads() throws {
        let bench = try DoorBench()
        bench.channel.isWritable = false
        bench.channel.pipeline.fireChannelWritabilityChanged()
        try bench.send((0..<50).map { _ in bench.encode(ApiVersionsRequest(), version: 0) }.joined)
        #expect(try bench.replies().isEmpty)
        bench.channel.pipeline.read()
        #expect(try bench.connection.isReadingHeld)
        bench.channel.isWritable = true
        bench.channel.pipeline.fireChannelWritabilityChanged()
        bench.loop.run()
        #expect(try bench.answered() == Array(1...50))
        #expect(try !bench.connection.isReadingHeld)
    }

    @Test("a parked fetch keeps its place: later requests are served and their answers wait for it")
    func parkedFetchFirst() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.fetch("t", waitMs: 500), version: 11)
        try bench.send(bench.produce(DoorBench.batch(["a"]), to: "u"), version: 9)
        try bench.send(ApiVersionsRequest(), version: 0)
        #expect(try bench.replies().isEmpty)
        bench.clock.advance(by: .milliseconds(600))
        bench.loop.advanceTime(by: .milliseconds(600))
        #expect(try bench.answered() == [2, 3, 4])
    }

    @Test("a parked fetch is answered by a produce that comes behind it on the same connection")
    func wokenByTheSameConnection() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.fetch("t", waitMs: 30_000), version: 11)
        try bench.send(bench.produce(DoorBench.batch(["a", "b"]), to: "t"), version: 9)
        bench.clock.advance(by: .milliseconds(20))
        bench.loop.advanceTime(by: .milliseconds(20))
        let replies = try bench.replies()
        #expect(replies.count == 2)
        let fetched = try bench.decode(replies[0], FetchResponse.self, version: 11)
        #expect((fetched.responses.first?.partitions.first?.records?.byteCount ?? 0) > 61)
        let produced = try bench.decode(replies[1], ProduceResponse.self, version: 9)
        #expect(produced.responses.first?.partitionResponses.first?.errorCode == KafkaErrorCode.none)
    }

    @Test("produce with acks=0 has no answer, and the next request has its own")
    func silentProduce() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.produce(DoorBench.batch(["a"]), to: "t", acks: 0), version: 9)
        #expect(try bench.replies().isEmpty)
        try bench.send(ApiVersionsRequest(), version: 0)
        #expect(try bench.answered() == [3])
        let fetched = try bench.ask(bench.fetch("t"), version: 11)
        #expect(fetched.responses.first?.partitions.first?.highWatermark == 1)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("produce with acks=0 that is refused ends the connection, with a line that is safe to print")
    func silentProduceRefused() throws {
        let bench = try DoorBench()
        try bench.send(bench.produce(DoorBench.batch(["a"]), to: "no\r\nsuch\u{1B}[2J", acks: 0), version: 9)
        #expect(!bench.isOpen)
        #expect(try bench.replies().isEmpty)
        let line = try #require(bench.lines.all.last)
        #expect(line.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) })
        #expect(line.contains("no\\u{d}\\u{a}such"))
    }

    @Test("what a producer with acks=0 sent before it went is taken in, even if it had to wait")
    func silentProduceThenGone() throws {
        let bench = try DoorBench()
        try bench.create("t")
        bench.channel.isWritable = false
        try bench.send(bench.produce(DoorBench.batch(["a", "b", "c"]), to: "t", acks: 0), version: 9)
        _ = try bench.channel.finish(acceptAlreadyClosed: true)
        bench.loop.run()
        try bench.connect()
        let fetched = try bench.ask(bench.fetch("t"), version: 11)
        #expect(fetched.responses.first?.partitions.first?.highWatermark == 3)
        #expect(bench.broker.memory.used == .zero)
    }

    /// APIs that the wire has types for, and this door no handler.
    private static let readAndNotServed = (0...99 as ClosedRange<Int16>).compactMap { key in
        ApiTable.standard[ApiKey(rawValue: key)] == nil
            ? ApiKey(rawValue: key).versions.map { (key, $0.upperBound) } : nil
    }

    @Test(
        "unknown keys and versions end the connection without an answer",
        arguments: [(99, 0), (-1, 0), (0, 0), (0, 2), (0, 14), (1, 3), (1, 18), (3, -1), (18, -1), (75, 1)]
            + Self.readAndNotServed
    )
    func unknown(key: Int16, version: Int16) throws {
        let bench = try DoorBench()
        var frame = ByteBuffer()
        frame.writeInteger(key)
        frame.writeInteger(version)
        frame.writeInteger(7 as Int32)
        frame.writeInteger(-1 as Int16)
        frame.writeRepeatingByte(0, count: 30)
        var bytes = ByteBuffer(integer: Int32(frame.readableBytes))
        bytes.writeImmutableBuffer(frame)
        try bench.send(bytes)
        #expect(!bench.isOpen)
        #expect(try bench.replies().isEmpty)
        #expect(bench.lines.all.count == 1)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("ApiVersions of a version to come is answered in version 0, with what is served")
    func futureApiVersions() throws {
        let bench = try DoorBench()
        var frame = ByteBuffer()
        frame.writeInteger(18 as Int16)
        frame.writeInteger(99 as Int16)
        frame.writeInteger(7 as Int32)
        frame.writeInteger(-1 as Int16)
        frame.writeBytes([0, 5, 1, 2, 3, 4, 5])
        var bytes = ByteBuffer(integer: Int32(frame.readableBytes))
        bytes.writeImmutableBuffer(frame)
        try bench.send(bytes)
        let replies = try bench.replies()
        #expect(replies.count == 1)
        let response = try bench.decode(replies[0], ApiVersionsResponse.self, version: 0)
        #expect(response.errorCode == .unsupportedVersion)
        #expect(response.apiKeys.map(\.apiKey) == [18])
        #expect(response.apiKeys.first?.maxVersion == 4)
        #expect(bench.isOpen)
    }

    @Test("a body that is not one ends the connection", arguments: ApiTable.standard.all.map(\.key.rawValue))
    func garbageBody(key: Int16) throws {
        let bench = try DoorBench()
        let api = try #require(ApiTable.standard[ApiKey(rawValue: key)])
        var frame = ByteBuffer()
        frame.writeInteger(key)
        frame.writeInteger(api.versions.upperBound)
        frame.writeInteger(7 as Int32)
        frame.writeInteger(-1 as Int16)
        frame.writeInteger(0 as UInt8)
        frame.writeRepeatingByte(0xFF, count: 60)
        var bytes = ByteBuffer(integer: Int32(frame.readableBytes))
        bytes.writeImmutableBuffer(frame)
        try bench.send(bytes)
        bench.loop.run()
        #expect(!bench.isOpen)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("no memory for a frame: the socket is not read until there is")
    func memoryRefused() throws {
        let bench = try DoorBench(requestMemory: .kibibytes(64))
        #expect([bench.broker.memory.reserve(.kibibytes(60), on: bench.loop) {}] == [nil])
        var request = ApiVersionsRequest()
        request.clientSoftwareName = String(repeating: "a", count: 10_000)
        request.clientSoftwareVersion = "1"
        try bench.send(request, version: 3)
        #expect(try bench.replies().isEmpty)
        bench.channel.pipeline.read()
        #expect(try bench.connection.isReadingHeld)
        bench.advance(seconds: 60)
        #expect(bench.isOpen)
        bench.broker.memory.release(.kibibytes(60))
        bench.loop.run()
        #expect(try bench.answered() == [1])
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("a connection that ends while it waits for memory gives back what it is granted later")
    func goneWhileWaiting() throws {
        let bench = try DoorBench(requestMemory: .kibibytes(64))
        #expect([bench.broker.memory.reserve(.kibibytes(60), on: bench.loop) {}] == [nil])
        try bench.send(ByteBuffer(integer: Int32(20_000)))
        #expect(bench.broker.memory.waitingCount == 1)
        _ = try bench.channel.finish(acceptAlreadyClosed: true)
        bench.broker.memory.release(.kibibytes(60))
        bench.loop.run()
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("a frame that waits for memory goes with its client: nobody waits behind it")
    func leavesTheLine() throws {
        let bench = try DoorBench(requestMemory: .kibibytes(64))
        #expect([bench.broker.memory.reserve(.kibibytes(60), on: bench.loop) {}] == [nil])
        try bench.send(ByteBuffer(integer: Int32(20_000)))
        let behind = Held<Bool>()
        #expect(bench.broker.memory.reserve(.kibibytes(1), on: bench.loop) { behind.put(true) } != nil)
        _ = try bench.channel.finish(acceptAlreadyClosed: true)
        bench.loop.run()
        #expect(behind.value == true)
        #expect(bench.broker.memory.waitingCount == 0)
        #expect(bench.broker.memory.used == .kibibytes(61))
    }

    @Test("so many unanswered requests, then nothing more is handled until one is answered")
    func inFlight() throws {
        let bench = try DoorBench()
        try bench.create("t")
        let fetches = try (0..<1100).map { _ in
            bench.encode(try bench.fetch("t", waitMs: 1000), version: 11)
        }
        try bench.send(fetches.joined)
        #expect(try bench.connection.replies.count == Limits.requestsInFlightMax)
        #expect(try bench.connection.frames.count == 100)
        bench.channel.pipeline.read()
        #expect(try bench.connection.isReadingHeld)
        // One fetch runs at a time; a produce answers them all, one after the other.
        let other = DoorBench.batch(["a"])
        let produced = Held<Bool>()
        bench.broker.produce(
            [ProduceEntry(topic: .name("t"), partition: PartitionIndex(rawValue: 0), records: other)], acks: .all,
            timeout: .seconds(1), client: ClientContext(), on: bench.loop
        ) { produced.put($0.first?.error == nil) }
        for _ in 0..<100 {
            bench.clock.advance(by: .milliseconds(20))
            bench.loop.advanceTime(by: .milliseconds(20))
        }
        #expect(produced.value == true)
        #expect(try bench.answered().count == 1100)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("answers that fill the memory for them hold back further fetches until they are read")
    func replyMemory() throws {
        let bench = try DoorBench(replyMemory: .kibibytes(100))
        try bench.create("t")
        let produced = try bench.ask(
            bench.produce(DoorBench.batch([String(repeating: "x", count: 150_000)]), to: "t"), version: 9
        )
        #expect(produced.responses.first?.partitionResponses.first?.errorCode == KafkaErrorCode.none)
        let memory = bench.doorLoop.replyMemory
        memory.hold(.kibibytes(200))
        #expect(memory.isShort)
        try bench.send(bench.fetch("t"), version: 11)
        #expect(try bench.replies().isEmpty)
        memory.drop(.kibibytes(200))
        bench.loop.run()
        #expect(try bench.replies().count == 1)
        bench.loop.run()
        #expect(memory.used == .zero)
    }

    @Test("a client that goes while its fetch waits for memory leaves the queue")
    func goneWhileFetchWaits() throws {
        let bench = try DoorBench(replyMemory: .kibibytes(100))
        try bench.create("t")
        let memory = bench.doorLoop.replyMemory
        memory.hold(.kibibytes(200))
        try bench.send(bench.fetch("t"), version: 11)
        #expect(memory.waitingCount == 1)
        _ = try bench.channel.finish(acceptAlreadyClosed: true)
        bench.loop.run()
        #expect(memory.waitingCount == 0)
        #expect(memory.used == .kibibytes(200))
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("a connection without any traffic is closed after ten minutes, and says nothing")
    func idle() throws {
        let bench = try DoorBench()
        bench.advance(seconds: 595)
        #expect(bench.isOpen)
        bench.advance(seconds: 10)
        #expect(!bench.isOpen)
        #expect(bench.lines.all.isEmpty)
    }

    @Test("a draining connection answers what it has, takes nothing more, and closes")
    func drains() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.fetch("t", waitMs: 500), version: 11)
        let drained = Held<Bool>()
        bench.doorLoop.drain(within: .seconds(5)).whenSuccess { drained.put(true) }
        bench.loop.run()
        #expect(bench.isOpen)
        bench.clock.advance(by: .milliseconds(600))
        bench.loop.advanceTime(by: .milliseconds(600))
        #expect(try bench.answered() == [2])
        #expect(!bench.isOpen)
        #expect(drained.value == true)
    }

    @Test("a connection that does not get done draining is cut")
    func drainingCut() throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.send(bench.fetch("t", waitMs: 60_000), version: 11)
        let drained = Held<Bool>()
        bench.doorLoop.drain(within: .seconds(5)).whenSuccess { drained.put(true) }
        bench.advance(seconds: 6)
        #expect(!bench.isOpen)
        #expect(drained.value == true)
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("clients that misbehave by the thousand write few log lines")
    func logLines() throws {
        let bench = try DoorBench()
        for _ in 0..<1000 {
            try bench.connect()
            try bench.send(ByteBuffer(integer: -1 as Int32))
        }
        #expect(bench.lines.all.count == Limits.peerLogLinesPerSweepMax)
    }

    @Test("any bytes leave a process that serves the next client", arguments: 0..<200 as Range<UInt64>)
    func anyBytes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let bench = try DoorBench()
        try bench.create("t")
        let key = ApiTable.standard.all.map(\.key.rawValue).randomElement(using: &random) ?? 0
        let api = try #require(ApiTable.standard[ApiKey(rawValue: key)])
        for _ in 0..<5 {
            var frame = ByteBuffer()
            frame.writeInteger(key)
            frame.writeInteger(Int16.random(in: api.versions, using: &random))
            frame.writeInteger(7 as Int32)
            frame.writeInteger(-1 as Int16)
            for _ in 0..<Int.random(in: 0...80, using: &random) {
                frame.writeInteger(
                    [0, 1, 2, 0xFF, UInt8.random(in: 0...255, using: &random)]
                        .randomElement(using: &random) ?? 0)
            }
            var bytes = ByteBuffer(integer: Int32(frame.readableBytes))
            bytes.writeImmutableBuffer(frame)
            try bench.send(bytes)
            if !bench.isOpen { try bench.connect() }
        }
        bench.advance(seconds: 61)
        try bench.connect()
        #expect(try bench.ask(ApiVersionsRequest(), version: 0).apiKeys.count == ApiTable.standard.told.count)
    }
}
