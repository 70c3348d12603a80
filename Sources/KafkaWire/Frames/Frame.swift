public import NIOCore

/// Cutting a stream of bytes into frames, and making frames.
///
/// A frame is an Int32 length, which does not count itself, then a header and a message.
public enum Frame {
    /// Bytes of the length in front.
    public static let lengthByteCount = 4
    /// The shortest request after its length: API key, version, correlation id, and a null client id.
    public static let requestBytesMin = 10

    /// The length a frame announces, checked before anything is made of it.
    /// - Parameter limit: largest length accepted.
    /// - Throws: `.frameTooSmall` (also when negative), `.frameTooLarge`. The protocol answers neither: the
    ///   connection is closed.
    public static func checkedLength(_ length: Int32, limit: Int, atLeast: Int = 0) throws(WireError) -> Int {
        guard length >= 0, Int(length) >= atLeast else { throw .frameTooSmall(length: Int(length)) }
        guard Int(length) <= limit else { throw .frameTooLarge(length: Int(length), limit: limit) }
        return Int(length)
    }

    /// Takes the next whole frame, without its length, from the front of `buffer`; nil until all of it is there.
    /// The length is checked as soon as its four bytes are.
    public static func next(
        from buffer: inout ByteBuffer, limit: Int = WireLimits.frameBytesMax, atLeast: Int = 0
    ) throws(WireError) -> ByteBuffer? {
        guard let announced = buffer.getInteger(at: buffer.readerIndex, as: Int32.self) else { return nil }
        let length = try self.checkedLength(announced, limit: limit, atLeast: atLeast)
        guard buffer.readableBytes - self.lengthByteCount >= length else { return nil }
        buffer.moveReaderIndex(forwardBy: self.lengthByteCount)
        return buffer.readSlice(length: length)
    }

    // MARK: Whole frames

    /// The buffers of a frame, its length in front; none if it would be longer than
    /// ``WireLimits/frameBytesWrittenMax``.
    /// - Precondition: `version` is one of `Request.versions`.
    public static func encode<Request: KafkaRequest>(
        _ request: Request, version: Int16, correlationID: Int32, clientID: String?
    ) -> [ByteBuffer] {
        var writer = WireWriter()
        RequestHeader(apiKey: Request.apiKey, version: version, correlationID: correlationID, clientID: clientID)
            .encode(into: &writer)
        request.encode(into: &writer, version: version)
        return writer.finish()
    }

    /// The buffers of a frame, its length in front; none if it would be longer than
    /// ``WireLimits/frameBytesWrittenMax``.
    /// - Precondition: `version` is one of `Response.versions`.
    public static func encode<Response: KafkaResponse>(
        _ response: Response, version: Int16, correlationID: Int32
    ) -> [ByteBuffer] {
        var writer = WireWriter()
        ResponseHeader(correlationID: correlationID)
            .encode(into: &writer, apiKey: Response.apiKey, version: version)
        response.encode(into: &writer, version: version)
        return writer.finish()
    }

    /// Decodes the answer to a request of `version`.
    /// - Parameter frame: a frame without its length.
    public static func decode<Response: KafkaResponse>(
        _: Response.Type, from frame: ByteBuffer, version: Int16
    ) throws(WireError) -> (header: ResponseHeader, response: Response) {
        var reader = WireReader(frame)
        let header = try ResponseHeader(from: &reader, apiKey: Response.apiKey, version: version)
        return (header, try Response(from: &reader, version: version))
    }

    /// The answer to an ApiVersions request of a version that is not known: the body of version 0, error 35, and
    /// this one API with the versions that are served, from which the client picks one and asks again (KIP-511).
    public static func apiVersionsFallback(correlationID: Int32, served: ClosedRange<Int16>) -> [ByteBuffer] {
        var response = ApiVersionsResponse()
        response.errorCode = .unsupportedVersion
        var api = ApiVersionsResponse.Api()
        api.apiKey = ApiKey.apiVersions.rawValue
        api.minVersion = served.lowerBound
        api.maxVersion = served.upperBound
        response.apiKeys = [api]
        return self.encode(response, version: 0, correlationID: correlationID)
    }
}
