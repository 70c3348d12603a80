import Foundation
import NIOCore
import Testing

@testable import KafkaWire

/// One request as a real client sent it, without the frame's length.
struct Capture: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: ByteBuffer

    var testDescription: String { self.name }

    static let all: [Capture] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Captures")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".hex") }.sorted().compactMap { name in
            guard let text = try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8) else {
                return nil
            }
            let digits = Array(text.split(separator: "\n").filter { !$0.hasPrefix("#") }.joined())
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap { index -> UInt8? in
                UInt8(String(digits[index...index + 1]), radix: 16)
            }
            return Capture(name: name, bytes: ByteBuffer(bytes: bytes))
        }
    }()
}

@Suite("Bytes of real clients")
struct CaptureTests {
    private func decodeAndEncode<Request: RandomMessage>(
        _: Request.Type, _ reader: inout WireReader, _ header: RequestHeader
    ) throws -> ByteBuffer {
        let request = try Request(from: &reader, version: header.version)
        try reader.finish()
        var writer = WireWriter()
        header.encode(into: &writer)
        request.encode(into: &writer, version: header.version)
        return MessageTests.joined(writer.finish())
    }

    @Test("there are captures of four clients")
    func present() {
        #expect(Capture.all.count >= 45)
        for client in ["kcat", "confluent", "kafka-python", "aiokafka"] {
            #expect(Capture.all.contains { $0.name.hasPrefix(client) })
        }
    }

    @Test("a request is understood, and encodes to the same bytes", arguments: Capture.all)
    func decodes(capture: Capture) throws {
        var reader = WireReader(capture.bytes)
        let header = try RequestHeader(from: &reader)
        let type = try #require(everyMessage.first { $0.apiKey == header.apiKey })
        let encoded = try self.decodeAndEncode(type, &reader, header)
        #expect(encoded == capture.bytes)
    }

    @Test(
        "a client's batch holds its twenty records, whatever the codec",
        arguments: Capture.all.filter { $0.name.contains("-Produce-") }
    )
    func batches(capture: Capture) throws {
        var reader = WireReader(capture.bytes)
        let header = try RequestHeader(from: &reader)
        let request = try ProduceRequest(from: &reader, version: header.version)
        let bytes = try #require(request.topicData.first?.partitionData.first?.records).joined
        let batch = try RecordBatch(from: bytes)
        #expect(batch.bytes.readableBytes == bytes.readableBytes)
        try batch.verifyCRC()
        let codec = try #require(batch.header.attributes.codec)
        #expect(capture.name.contains("-\(codec.name)-"))
        #expect(batch.header.recordCount == 20)
        var records = try batch.records()
        var count = 0
        while let record = try records.next() {
            #expect(record.offset == Int64(count))
            #expect(record.timestamp > 1_600_000_000_000)
            if let value = record.value { #expect(String(buffer: value).contains("compress")) }
            count += 1
        }
        #expect(count == 20)
    }
}
