import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("Produce and fetch on the wire")
struct ProduceFetchTests {
    @Test("what is produced is fetched, in every pair of versions", arguments: [3, 7, 9, 13] as [Int16])
    func roundTrip(version: Int16) throws {
        for fetchVersion in [4, 7, 11, 12, 13, 17] as [Int16] {
            let bench = try DoorBench()
            try bench.create("t")
            let produced = try bench.ask(
                bench.produce(DoorBench.batch(["a", "b", "c"]), to: "t", version: version), version: version
            )
            let result = try #require(produced.responses.first?.partitionResponses.first)
            #expect(result.errorCode == KafkaErrorCode.none)
            #expect(result.baseOffset == 0)
            let fetched = try bench.ask(bench.fetch("t", version: fetchVersion), version: fetchVersion)
            let partition = try #require(fetched.responses.first?.partitions.first)
            #expect(partition.highWatermark == 3)
            #expect(partition.lastStableOffset == 3)
            var records = try #require(partition.records).joined
            let batch = try #require(try RecordBatch.read(from: &records))
            try batch.verifyCRC()
            #expect(batch.header.recordCount == 3)
        }
    }

    @Test("an acks that there is not is refused for each partition", arguments: [3, 13] as [Int16])
    func badAcks(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t")
        let request = try bench.produce(DoorBench.batch(["a"]), to: "t", acks: 2, version: version)
        let response = try bench.ask(request, version: version)
        #expect(response.responses.first?.partitionResponses.first?.errorCode == .invalidRequiredAcks)
    }

    @Test("errors are each partition's own")
    func errorsPerPartition() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = try bench.produce(DoorBench.batch(["a"]), to: "t", 0)
        var missing = ProduceRequest.PartitionData()
        missing.index = 5
        missing.records = WireRecords(DoorBench.batch(["b"]))
        var empty = ProduceRequest.PartitionData()
        empty.index = 0
        request.topicData[0].partitionData += [missing, empty]
        let partitions = try #require(try bench.ask(request, version: 9).responses.first).partitionResponses
        #expect(partitions.map(\.errorCode) == [.none, .unknownTopicOrPartition, .invalidRecord])
        #expect(partitions.map(\.baseOffset) == [0, -1, -1])
    }

    @Test("a damaged batch, and two batches in one, are refused")
    func badBatches() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var damaged = DoorBench.batch(["aaaaaaaa"])
        damaged.setInteger(0xFF as UInt8, at: damaged.writerIndex - 3)
        let first = try bench.ask(bench.produce(damaged, to: "t"), version: 9)
        #expect(first.responses.first?.partitionResponses.first?.errorCode == .corruptMessage)
        let twice = [DoorBench.batch(["a"]), DoorBench.batch(["b"])].joined
        let second = try bench.ask(bench.produce(twice, to: "t"), version: 9)
        #expect(second.responses.first?.partitionResponses.first?.errorCode == .invalidRecord)
    }

    @Test("zstd needs version 7 of Produce")
    func zstd() throws {
        let bench = try DoorBench()
        try bench.create("t")
        let batch = DoorBench.batch(["aaaaaaaaaaaaaaaaaaaaaaaaaaa"], codec: .zstd)
        let old = try bench.ask(bench.produce(batch, to: "t", version: 6), version: 6)
        #expect(old.responses.first?.partitionResponses.first?.errorCode == .unsupportedCompressionType)
        let new = try bench.ask(bench.produce(batch, to: "t", version: 7), version: 7)
        #expect(new.responses.first?.partitionResponses.first?.errorCode == KafkaErrorCode.none)
    }

    @Test("a topic kept in zstd refuses fetches before version 10")
    func zstdFetch() throws {
        let bench = try DoorBench()
        try bench.create("t", configuration: ["compression.type": "zstd"])
        _ = try bench.ask(bench.produce(DoorBench.batch(["aaaaaaaaaaaa"]), to: "t"), version: 9)
        let old = try bench.ask(bench.fetch("t", version: 9), version: 9)
        #expect(old.responses.first?.partitions.first?.errorCode == .unsupportedCompressionType)
        let new = try bench.ask(bench.fetch("t", version: 10), version: 10)
        #expect(new.responses.first?.partitions.first?.errorCode == KafkaErrorCode.none)
    }

    @Test("a transactional producer is refused")
    func transactional() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = try bench.produce(DoorBench.batch(["a"]), to: "t")
        request.transactionalID = "tx"
        let partition = try bench.ask(request, version: 9).responses.first?.partitionResponses.first
        #expect(partition?.errorCode == .unsupportedVersion)
        #expect(partition?.errorMessage == InitProducerIdHandler.noTransactions)
    }

    @Test("an unknown topic id is refused by its own code in produce and fetch")
    func unknownTopicID() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var produce = try bench.produce(DoorBench.batch(["a"]), to: "t", version: 13)
        produce.topicData[0].topicID = WireUUID(high: 1, low: 2)
        #expect(
            try bench.ask(produce, version: 13).responses.first?.partitionResponses.first?.errorCode == .unknownTopicID
        )
        for id in [WireUUID(high: 1, low: 2), .zero] {
            var fetch = try bench.fetch("t", version: 13)
            fetch.topics[0].topicID = id
            #expect(
                try bench.ask(fetch, version: 13).responses.first?.partitions.first?.errorCode == .unknownTopicID
            )
        }
    }

    @Test("a replica's number on the clients' port is refused", arguments: [4, 7, 14, 15, 17] as [Int16])
    func replica(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = try bench.fetch("t", version: version)
        if version >= 15 { request.replicaState.replicaID = 1 } else { request.replicaID = 1 }
        let response = try bench.ask(request, version: version)
        let code = version >= 7 ? response.errorCode : response.responses.first?.partitions.first?.errorCode
        #expect(code == .clusterAuthorizationFailed)
    }

    @Test("an offset that the log does not hold is out of range", arguments: [4, 17] as [Int16])
    func outOfRange(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t")
        let response = try bench.ask(bench.fetch("t", from: 9, waitMs: 1000, version: version), version: version)
        #expect(response.responses.first?.partitions.first?.errorCode == .offsetOutOfRange)
    }

    @Test("epochs of the client that are not ours are refused", arguments: [(0, 74), (9, 75)] as [(Int32, Int16)])
    func epochs(epoch: Int32, code: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = try bench.fetch("t", version: 12)
        request.topics[0].partitions[0].currentLeaderEpoch = epoch
        let response = try bench.ask(request, version: 12)
        #expect(response.responses.first?.partitions.first?.errorCode.rawValue == code)
    }

    @Test("aborted transactions are null when nobody asked, and none when somebody did")
    func isolation() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = try bench.fetch("t", version: 11)
        #expect(try bench.ask(request, version: 11).responses.first?.partitions.first?.abortedTransactions == nil)
        request.isolationLevel = 1
        #expect(try bench.ask(request, version: 11).responses.first?.partitions.first?.abortedTransactions == [])
    }

    @Test("a fetch session answers only what changed", arguments: [7, 12, 17] as [Int16])
    func session(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t", partitions: 3)
        var first = try bench.fetch("t", version: version)
        first.sessionEpoch = 0
        var other = first.topics[0].partitions[0]
        other.partition = 2
        first.topics[0].partitions.append(other)
        let begun = try bench.ask(first, version: version)
        #expect(begun.sessionID != 0)
        #expect(begun.responses.first?.partitions.count == 2)

        var next = FetchRequest()
        next.sessionID = begun.sessionID
        next.sessionEpoch = 1
        #expect(try bench.ask(next, version: version).responses.isEmpty)

        _ = try bench.ask(bench.produce(DoorBench.batch(["a"]), to: "t", 2), version: 9)
        next.sessionEpoch = 2
        let news = try bench.ask(next, version: version)
        #expect(news.responses.first?.partitions.map(\.partitionIndex) == [2])
        #expect(news.sessionID == begun.sessionID)

        next.sessionEpoch = 9
        #expect(try bench.ask(next, version: version).errorCode == .invalidFetchSessionEpoch)
        next.sessionID = 1
        #expect(try bench.ask(next, version: version).errorCode == .fetchSessionIDNotFound)
    }

    @Test("a session that changes how it names topics is told so")
    func sessionByOtherNames() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var first = try bench.fetch("t", version: 12)
        first.sessionEpoch = 0
        var next = FetchRequest()
        next.sessionID = try bench.ask(first, version: 12).sessionID
        next.sessionEpoch = 1
        #expect(try bench.ask(next, version: 13).errorCode == .fetchSessionTopicIDError)
    }

    @Test("a fetch that names nothing is answered at once")
    func nothing() throws {
        let bench = try DoorBench()
        var request = FetchRequest()
        request.maxWaitMs = 10_000
        request.minBytes = 1
        #expect(try bench.ask(request, version: 11).responses.isEmpty)
    }

    @Test("record bytes of an answer are the log's own, not a copy")
    func sharedBytes() throws {
        let bench = try DoorBench()
        try bench.create("t")
        let value = String(repeating: "x", count: 100_000)
        _ = try bench.ask(bench.produce(DoorBench.batch([value]), to: "t"), version: 9)
        try bench.send(bench.fetch("t"), version: 11)
        var chunks: [ByteBuffer] = []
        while let chunk = try bench.channel.readOutbound(as: ByteBuffer.self) { chunks.append(chunk) }
        // A small one with the header, then the batch as it is kept.
        #expect(chunks.count >= 2)
        #expect(chunks.contains { $0.readableBytes >= 100_000 })
        #expect(chunks.filter { $0.readableBytes < 1000 }.count >= 1)
    }
}
