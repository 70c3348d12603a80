import KafkaWire
import NIOCore

extension FuzzTarget {
    /// Every request in every version: the first two bytes choose, the rest is the body.
    static let requests = FuzzTarget.messages("requests", Messages.requests)

    /// Every response: what a client of ours believes of a broker.
    static let responses = FuzzTarget.messages("responses", Messages.responses)

    /// A stream as it comes from a socket: frames, headers, bodies.
    static let frames = FuzzTarget(
        name: "frames",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { Messages.requests.flatMap { type in type.versions.map { seedFrame(type, $0) } } },
        run: { bytes in
            var stream = ByteBuffer(bytes: bytes)
            while let frame = try? Frame.next(from: &stream, atLeast: Frame.requestBytesMin) {
                var reader = WireReader(frame)
                guard let header = try? RequestHeader(from: &reader), !header.isUnknownVersion else { continue }
                guard let type = Messages.requests.first(where: { $0.apiKey == header.apiKey }) else { continue }
                _ = try? type.init(from: &reader, version: header.version)
            }
        }
    )

    /// Record batches, decompressed and read to the last record.
    static let batches = FuzzTarget(
        name: "batches",
        isProportional: false,
        // What comes out, and the window that a zstd frame may ask for before anything does.
        heapBytesMax: { 6 * decompressedBytesMax + windowBytesMax + FuzzTarget.proportional($0) },
        seeds: batchSeeds,
        run: { bytes in
            var buffer = ByteBuffer(bytes: bytes)
            while let batch = try? RecordBatch.read(from: &buffer) {
                try? batch.verifyCRC()
                guard var records = try? batch.records(decompressedBytesMax: decompressedBytesMax) else { continue }
                while let record = try? records.next() { consume(record) }
            }
        }
    )

    private static let decompressedBytesMax = 1 << 20
    private static let windowBytesMax = 1 << Int(WireLimits.zstdWindowLogMax)

    private static func messages(_ name: String, _ types: [any KafkaMessage.Type]) -> FuzzTarget {
        FuzzTarget(
            name: name,
            isProportional: true,
            heapBytesMax: FuzzTarget.proportional,
            seeds: {
                types.enumerated().flatMap { index, type in
                    type.versions.map { version in
                        [UInt8(index), UInt8(version - type.versions.lowerBound)] + body(type.init(), version)
                    }
                }
            },
            run: { bytes in
                guard bytes.count >= 2 else { return }
                let type = types[Int(bytes[0]) % types.count]
                let version = type.versions.lowerBound + Int16(bytes[1]) % Int16(type.versions.count)
                decode(type, version, ByteBuffer(bytes: bytes[2...]))
            }
        )
    }

    /// What decodes must encode, and decode to the same again.
    private static func decode<Message: KafkaMessage>(_: Message.Type, _ version: Int16, _ bytes: ByteBuffer) {
        var reader = WireReader(bytes)
        guard let message = try? Message(from: &reader, version: version) else { return }
        var again = WireReader(ByteBuffer(bytes: body(message, version)))
        guard let copy = try? Message(from: &again, version: version) else {
            fatalError("\(Message.self) v\(version) does not read what it wrote")
        }
        // Bytes are compared as well, because a quota may be a number that does not equal itself.
        if copy != message, body(copy, version) != body(message, version) {
            fatalError("\(Message.self) v\(version) reads other than it wrote")
        }
    }

    private static func body(_ message: some KafkaMessage, _ version: Int16) -> [UInt8] {
        var writer = WireWriter()
        message.encode(into: &writer, version: version)
        // The writer makes a frame: its first four bytes are the length.
        return Array(writer.finish().flatMap { Array($0.readableBytesView) }.dropFirst(Frame.lengthByteCount))
    }

    private static func seedFrame(_ type: any KafkaRequest.Type, _ version: Int16) -> [UInt8] {
        Frame.encode(type.init(), version: version, correlationID: 7, clientID: "seed")
            .flatMap { Array($0.readableBytesView) }
    }

    @inline(never)
    private static func consume(_ record: Record) { withExtendedLifetime(record) {} }
}
