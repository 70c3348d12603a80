import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Offsets, epochs and producers on the wire")
struct OffsetsTests {
    private static func list(_ timestamps: [Int64], topic: String = "t") -> ListOffsetsRequest {
        var request = ListOffsetsRequest()
        request.replicaID = -1
        request.topics = timestamps.map { timestamp in
            var partition = ListOffsetsRequest.Partition()
            partition.timestamp = timestamp
            var asked = ListOffsetsRequest.Topic()
            asked.name = topic
            asked.partitions = [partition]
            return asked
        }
        return request
    }

    private static func filled(_ records: Int) throws -> DoorBench {
        let bench = try DoorBench()
        try bench.create("t")
        let batch = DoorBench.batch((0..<records).map { "value \($0)" })
        let response = try bench.ask(bench.produce(batch, to: "t"), version: 9)
        try #require(response.responses.first?.partitionResponses.first?.errorCode == KafkaErrorCode.none)
        return bench
    }

    @Test("the ends of the log and a time are found", arguments: [1, 5, 6, 8] as [Int16])
    func listOffsets(version: Int16) throws {
        let bench = try Self.filled(5)
        func answer(_ timestamp: Int64) throws -> ListOffsetsResponse.Partition? {
            try bench.ask(Self.list([timestamp]), version: version).topics.first?.partitions.first
        }
        #expect(try answer(-1)?.offset == 5)
        #expect(try answer(-2)?.offset == 0)
        #expect(try answer(1_750_000_000_000)?.offset == 0)
        let late = try answer(1_750_000_000_001)
        #expect((late?.offset, late?.timestamp, late?.errorCode) == (-1, -1, KafkaErrorCode.none))
        #expect(try answer(-3)?.errorCode == (version >= 7 ? KafkaErrorCode.none : .unsupportedVersion))
        #expect(try answer(-4)?.errorCode == (version >= 8 ? KafkaErrorCode.none : .unsupportedVersion))
        #expect(try answer(-99)?.errorCode == .unsupportedVersion)
    }

    @Test("a partition asked for twice, one that is not there and a replica are refused", arguments: [1, 8] as [Int16])
    func listOffsetsRefused(version: Int16) throws {
        let bench = try Self.filled(1)
        let twice = try bench.ask(Self.list([-1, -2]), version: version)
        #expect(twice.topics.flatMap(\.partitions).map(\.errorCode) == [.none, .invalidRequest])
        let missing = try bench.ask(Self.list([-1], topic: "u"), version: version)
        #expect(missing.topics.first?.partitions.first?.errorCode == .unknownTopicOrPartition)
        var replica = Self.list([-1])
        replica.replicaID = 2
        let refused = try bench.ask(replica, version: version)
        #expect(refused.topics.first?.partitions.first?.errorCode == .clusterAuthorizationFailed)
    }

    @Test("an epoch ends at the log's end; a stranger's epoch is refused", arguments: [2, 3, 4] as [Int16])
    func epochEnds(version: Int16) throws {
        let bench = try Self.filled(4)
        var partition = OffsetForLeaderEpochRequest.Partition()
        partition.leaderEpoch = 1
        var topic = OffsetForLeaderEpochRequest.Topic()
        topic.topic = "t"
        topic.partitions = [partition]
        var request = OffsetForLeaderEpochRequest()
        request.replicaID = -1
        request.topics = [topic]
        let known = try #require(try bench.ask(request, version: version).topics.first?.partitions.first)
        #expect((known.leaderEpoch, known.endOffset) == (1, 4))
        request.topics[0].partitions[0].currentLeaderEpoch = 7
        let refused = try #require(try bench.ask(request, version: version).topics.first?.partitions.first)
        #expect(refused.errorCode == .unknownLeaderEpoch)
        #expect(refused.endOffset == -1)
        guard version >= 3 else { return }
        request.replicaID = 1
        let replica = try bench.ask(request, version: version).topics.first?.partitions.first
        #expect(replica?.errorCode == .clusterAuthorizationFailed)
    }

    @Test("records are deleted below an offset; -1 is the high watermark", arguments: [0, 2] as [Int16])
    func deleteRecords(version: Int16) throws {
        let bench = try Self.filled(5)
        func delete(_ offset: Int64, _ index: Int32 = 0) throws -> DeleteRecordsResponse.Partition {
            var partition = DeleteRecordsRequest.Partition()
            partition.partitionIndex = index
            partition.offset = offset
            var topic = DeleteRecordsRequest.Topic()
            topic.name = "t"
            topic.partitions = [partition]
            var request = DeleteRecordsRequest()
            request.topics = [topic]
            request.timeoutMs = 1000
            try bench.send(request, version: version)
            bench.advance(seconds: 1)
            let replies = try bench.replies()
            let frame = try #require(replies.first)
            let response = try bench.decode(frame, DeleteRecordsResponse.self, version: version)
            return try #require(response.topics.first?.partitions.first)
        }
        #expect(try delete(2).lowWatermark == 2)
        #expect(try delete(-2).errorCode == .offsetOutOfRange)
        #expect(try delete(9).errorCode == .offsetOutOfRange)
        #expect(try delete(0, 7).errorCode == .unknownTopicOrPartition)
        #expect(try delete(-1).lowWatermark == 5)
    }

    private static var idempotent: InitProducerIdRequest {
        var request = InitProducerIdRequest()
        request.transactionalID = nil
        return request
    }

    @Test("producer ids are each given once", arguments: [0, 2, 5] as [Int16])
    func initProducerID(version: Int16) throws {
        let bench = try DoorBench()
        let ids = try (0..<50).map { _ in
            let response = try bench.ask(Self.idempotent, version: version)
            #expect(response.errorCode == KafkaErrorCode.none)
            #expect(response.producerEpoch == 0)
            return response.producerID
        }
        #expect(Set(ids).count == 50)
    }

    @Test("a transactional id is refused for good, an empty one as malformed", arguments: [0, 5] as [Int16])
    func transactional(version: Int16) throws {
        let bench = try DoorBench()
        var request = InitProducerIdRequest()
        request.transactionalID = "tx"
        let refused = try bench.ask(request, version: version)
        #expect(refused.errorCode == .unsupportedVersion)
        #expect(!refused.errorCode.isRetriable)
        #expect(refused.producerID == -1)
        request.transactionalID = ""
        #expect(try bench.ask(request, version: version).errorCode == .invalidRequest)
    }

    @Test("while the store is away, producers are told to try again")
    func storeAway() throws {
        let bench = try DoorBench()
        bench.store.failure = .unavailable("away")
        let response = try bench.ask(Self.idempotent, version: 4)
        #expect(response.errorCode == .coordinatorLoadInProgress)
    }

    @Test("the producers of a partition are told")
    func describeProducers() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var builder = RecordBatchBuilder(producerID: 77, producerEpoch: 0, baseSequence: 0)
        builder.append(key: nil, value: ByteBuffer(string: "a"), timestamp: 1_750_000_000_000)
        _ = try bench.ask(bench.produce(builder.finish(), to: "t"), version: 9)
        var topic = DescribeProducersRequest.Topic()
        topic.name = "t"
        topic.partitionIndexes = [0, 9]
        var request = DescribeProducersRequest()
        request.topics = [topic]
        let partitions = try #require(try bench.ask(request, version: 0).topics.first).partitions
        #expect(partitions.map(\.errorCode) == [.none, .unknownTopicOrPartition])
        let producer = try #require(partitions.first?.activeProducers.first)
        #expect((producer.producerID, producer.lastSequence, producer.currentTxnStartOffset) == (77, 0, -1))
    }
}
