import ApusClient
import ApusCore
import ApusServer
import NIOCore
import Testing

/// Answers of many batches, larger than a socket's buffer and than a channel's write mark.
@Suite("Large answers", .timeLimit(.minutes(20)))
struct ClientLargeFetchTests {
    @Test(
        "an answer of several megabytes and many batches arrives whole",
        arguments: [ByteCount.mebibytes(4), .mebibytes(8)])
    func large(bytesMax: ByteCount) async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
            configuration.requestTimeout = .seconds(300)
            try await ApusClient(configuration).withConnection { client in
                try await client.topics.create("t", partitions: 1)
                let value = ByteBuffer(repeating: 0x78, count: 1000)
                let count = 20_000
                var options = ProducerOptions(topic: "t")
                options.batchBytesMax = .bytes(500_000)
                try await client.withProducer(options) { producer in
                    try await producer.send(contentsOf: (0..<count).map { _ in ProducerRecord(value) })
                }
                var reading = ReaderOptions()
                reading.partitionBytesMax = bytesMax
                reading.fetchBytesMax = bytesMax
                var seen = 0
                for try await batch in client.readBatches("t", until: .end, options: reading) {
                    try batch.forEachRecord { seen += $0.value?.readableBytes ?? 0 }
                }
                #expect(seen == count * 1000)
            }
        }
    }
}
