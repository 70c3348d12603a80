import NIOCore
import Testing

@testable import KafkaWire

@Suite("Frames and headers")
struct FrameTests {
    @Test("a length is refused before anything is read", arguments: [-1, Int32.min, 9, 101, Int32.max, 0])
    func lengths(length: Int32) {
        var bytes = ByteBuffer(integer: length)
        let expected: WireError =
            length < 10 ? .frameTooSmall(length: Int(length)) : .frameTooLarge(length: Int(length), limit: 100)
        #expect(throws: expected) {
            try Frame.next(from: &bytes, limit: 100, atLeast: Frame.requestBytesMin)
        }
    }

    @Test("frames come out whole, in order, however the bytes arrive")
    func pieces() throws {
        var stream = ByteBuffer()
        for text in ["", "one", "second"] {
            stream.writeInteger(Int32(text.utf8.count))
            stream.writeString(text)
        }
        var arrived = ByteBuffer()
        var frames: [String] = []
        while let byte = stream.readInteger(as: UInt8.self) {
            arrived.writeInteger(byte)
            while let frame = try Frame.next(from: &arrived, limit: 100) { frames.append(String(buffer: frame)) }
        }
        #expect(frames == ["", "one", "second"])
    }

    @Test("a request survives its frame, and its client id is never compact")
    func requestFrame() throws {
        var request = MetadataRequest()
        request.topics = nil
        for version in MetadataRequest.versions {
            let bytes = MessageTests.joined(
                Frame.encode(request, version: version, correlationID: 77, clientID: "me")
            )
            #expect(bytes.getBytes(at: 8, length: 4) == [0, 2, UInt8(ascii: "m"), UInt8(ascii: "e")])
            var reader = WireReader(bytes)
            let header = try RequestHeader(from: &reader)
            #expect(header.apiKey == .metadata)
            #expect(header.version == version)
            #expect(header.correlationID == 77)
            #expect(header.clientID == "me")
            #expect(!header.isUnknownVersion)
            let decoded = try MetadataRequest(from: &reader, version: version)
            try reader.finish()
            // Version 0 has no null and says "all" with an empty list.
            #expect(decoded.topics == (version == 0 ? [] : nil))
        }
    }

    @Test("what would be longer than any client reads becomes no frame")
    func overlong() {
        func described(_ members: Int) -> [ByteBuffer] {
            var group = DescribeGroupsResponse.Group()
            var member = DescribeGroupsResponse.Member()
            member.memberMetadata = ByteBuffer(repeating: 7, count: 1 << 20)
            group.members = Array(repeating: member, count: members)
            var response = DescribeGroupsResponse()
            response.groups = [group]
            return Frame.encode(response, version: 5, correlationID: 1)
        }
        #expect(described(3).reduce(0) { $0 + $1.readableBytes } > 3 << 20)
        #expect(described(600).isEmpty)
    }

    @Test("a frame may become too long within a tagged field")
    func overlongField() {
        var writer = WireWriter()
        let half = ByteBuffer(repeating: 7, count: WireLimits.frameBytesWrittenMax / 2)
        writer.writeBytes(half, true)
        var section = writer.beginTaggedFields()
        writer.writeTaggedField(0, in: &section) { $0.writeBytes(half, true) }
        writer.writeTaggedField(1, in: &section) { $0.writeInt32(1) }
        #expect(writer.finish().isEmpty)
    }

    @Test("a value that is no frame, and becomes as long, is none: what is left of it is not taken for it")
    func overlongBody() {
        func body(_ halves: Int) -> ByteBuffer {
            var writer = WireWriter()
            let half = ByteBuffer(repeating: 7, count: WireLimits.frameBytesWrittenMax / 2 - 64)
            writer.writeInt16(3)
            for _ in 0..<halves { writer.writeBytes(half, false) }
            writer.writeInt16(4)
            return writer.finishBody()
        }
        #expect(body(2).readableBytes == WireLimits.frameBytesWrittenMax - 128 + 12)
        #expect(body(3).readableBytes == 0)
    }

    @Test("a response survives its frame, with tagged fields in its header only where they belong")
    func responseFrame() throws {
        for (version, headerBytes) in [(Int16(8), 4), (9, 5)] {
            let bytes = MessageTests.joined(Frame.encode(MetadataResponse(), version: version, correlationID: 5))
            let body = MessageTests.encoded(MetadataResponse(), version: version)
            #expect(bytes.readableBytes == body.readableBytes + headerBytes)
            let decoded = try Frame.decode(MetadataResponse.self, from: bytes, version: version)
            #expect(decoded.header.correlationID == 5)
            #expect(decoded.response == MetadataResponse())
        }
        for version in ApiVersionsResponse.versions {
            let bytes = MessageTests.joined(Frame.encode(ApiVersionsResponse(), version: version, correlationID: 5))
            let body = MessageTests.encoded(ApiVersionsResponse(), version: version)
            #expect(bytes.readableBytes == body.readableBytes + 4)
        }
    }

    @Test("an ApiVersions request from the future is answered in version 0 with the versions to use")
    func apiVersionsFallback() throws {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(Int16(18), Int16(99), Int32(3), Int16(-1), UInt8(0), UInt8(42))
        var reader = WireReader(bytes)
        let header = try RequestHeader(from: &reader)
        #expect(header.isUnknownVersion)
        let answer = Frame.apiVersionsFallback(correlationID: header.correlationID, served: 0...4)
        let expected: [UInt8] = [0, 0, 0, 3, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]
        #expect(Array(buffer: MessageTests.joined(answer)) == expected)
    }

    @Test("unknown keys and versions are refused by name")
    func unknown() {
        func error(key: Int16, version: Int16) -> WireError? {
            var bytes = ByteBuffer()
            bytes.writeMultipleIntegers(key, version, Int32(3), Int16(-1), UInt8(0))
            var reader = WireReader(bytes)
            do throws(WireError) { _ = try RequestHeader(from: &reader) } catch { return error }
            return nil
        }
        #expect(error(key: 999, version: 0) == .unknownAPI(key: 999))
        #expect(error(key: -1, version: 0) == .unknownAPI(key: -1))
        #expect(error(key: 0, version: 2) == .unsupportedVersion(api: .produce, version: 2))
        #expect(error(key: 0, version: 14) == .unsupportedVersion(api: .produce, version: 14))
        #expect(error(key: 18, version: -1) == .unsupportedVersion(api: .apiVersions, version: -1))
        #expect(error(key: 0, version: 13) == nil)
    }

    @Test("record bytes are passed on, not copied, and the frame is the same as if they were")
    func sharedChunks() throws {
        let large = ByteBuffer(repeating: 7, count: WireLimits.sharedChunkBytesMin)
        let small = ByteBuffer(repeating: 8, count: 10)
        var partition = FetchResponse.Partition()
        partition.records = WireRecords([large, small, large])
        var topic = FetchResponse.Topic()
        topic.partitions = [partition, partition]
        var response = FetchResponse()
        response.responses = [topic]
        for version in FetchResponse.versions {
            let pieces = Frame.encode(response, version: version, correlationID: 1)
            #expect(pieces.filter { $0 == large }.count == 4)
            #expect(pieces.allSatisfy { $0.readableBytes > 0 })
            for piece in pieces where piece == large {
                piece.withUnsafeReadableBytes { shared in
                    large.withUnsafeReadableBytes { #expect(shared.baseAddress == $0.baseAddress) }
                }
            }
            let total = pieces.reduce(0) { $0 + $1.readableBytes }
            #expect(pieces[0].getInteger(at: pieces[0].readerIndex, as: Int32.self) == Int32(total - 4))
            let decoded = try Frame.decode(FetchResponse.self, from: MessageTests.joined(pieces), version: version)
            #expect(decoded.response.responses[0].partitions == [partition, partition])
        }
    }

    @Test("decoded record bytes lie in the frame")
    func recordsAreSlices() throws {
        var partition = ProduceRequest.PartitionData()
        partition.records = WireRecords(ByteBuffer(repeating: 9, count: 10_000))
        var topic = ProduceRequest.TopicData()
        topic.partitionData = [partition]
        var request = ProduceRequest()
        request.topicData = [topic]
        for version in ProduceRequest.versions {
            let bytes = MessageTests.encoded(request, version: version)
            var reader = WireReader(bytes)
            let decoded = try ProduceRequest(from: &reader, version: version)
            let records = try #require(decoded.topicData[0].partitionData[0].records).joined
            bytes.withUnsafeReadableBytes { frame in
                records.withUnsafeReadableBytes { records in
                    let start = records.baseAddress.map { UnsafeRawPointer($0) }
                    #expect(
                        start.map { frame.baseAddress.map { UnsafeRawPointer($0) }?.distance(to: $0) ?? -1 } ?? -1 > 0)
                    #expect((start.map { frame.baseAddress?.distance(to: $0) ?? .max } ?? .max) < frame.count)
                }
            }
        }
    }

    @Test("every error code up to 133 has a name, later ones keep their number")
    func errorCodes() {
        let names = (-1...133).map { KafkaErrorCode(rawValue: $0).description }
        #expect(Set(names).count == 135)
        #expect(KafkaErrorCode.unknownTopicOrPartition.rawValue == 3)
        #expect(KafkaErrorCode.unknownTopicOrPartition.description == "UNKNOWN_TOPIC_OR_PARTITION")
        #expect(KafkaErrorCode.unknownServerError.description == "UNKNOWN_SERVER_ERROR")
        #expect(KafkaErrorCode.shareSessionLimitReached.rawValue == 133)
        #expect(KafkaErrorCode(rawValue: 500).description == "ERROR_500")
        #expect(KafkaErrorCode.notLeaderOrFollower.isRetriable)
        #expect(!KafkaErrorCode.messageTooLarge.isRetriable)
    }

    @Test("UUIDs read as they are usually written")
    func uuids() {
        let uuid = WireUUID(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F)
        #expect(uuid.description == "00010203-0405-0607-0809-0a0b0c0d0e0f")
        #expect(WireUUID.zero.description == "00000000-0000-0000-0000-000000000000")
    }

    @Test("text longer than a short length can say is cut at a character")
    func longStrings() throws {
        var writer = WireWriter()
        writer.writeString(String(repeating: "é", count: 40_000), false)
        var reader = WireReader(MessageTests.joined(writer.finish()))
        #expect(try reader.readString(false) == String(repeating: "é", count: 16_383))
    }
}
