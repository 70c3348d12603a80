import ApusCore
import KafkaWire
import NIOCore

/// A request that was read up to its body, with its place among the answers.
struct Call {
    let header: RequestHeader
    let api: ApiTable.Api
    let place: ReplyQueue.Place
    /// Of the frame.
    let byteCount: ByteCount
    private var reader: WireReader

    /// - Parameter reader: stands at the body.
    init(
        _ header: RequestHeader, _ api: ApiTable.Api, _ place: ReplyQueue.Place, _ byteCount: ByteCount,
        body reader: WireReader
    ) {
        self.byteCount = byteCount
        self.header = header
        self.api = api
        self.place = place
        self.reader = reader
    }

    /// Reads the body, once, and lets go of the frame: afterwards the request is the only owner of its record bytes.
    mutating func decode<Request: KafkaRequest>(_: Request.Type) throws(WireError) -> Request {
        defer { self.reader = WireReader(ByteBuffer()) }
        // Bytes behind the body are let pass, as Kafka does: they harm nobody, and refusing them might a client.
        return try Request(from: &self.reader, version: self.header.version)
    }
}
