import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

extension WebContext {
    /// Reads the whole body, within the memory that all requests have, and hands it to `work`; the memory is given back
    /// when that is done.
    func withBody<Value: Sendable>(
        of request: Request, upTo limit: ByteCount = Limits.webBodyBytesMax,
        _ work: (ByteBuffer) async throws -> Value
    ) async throws -> Value {
        // What is not told beforehand is set aside as a whole: to ask for more while holding some could wait for ever.
        let told = request.headers[.contentLength].flatMap { Int($0) }
        let limit = told == nil ? min(limit, Limits.webBodyUntoldBytesMax) : limit
        let bytes = ByteCount.bytes(min(max(told ?? limit.rawValue, 0), limit.rawValue))
        let memory = self.door.bodyMemory
        guard bytes > .zero else { return try await work(ByteBuffer()) }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            if memory.reserve(bytes, on: self.loop, resume: { continuation.resume() }) == nil { continuation.resume() }
        }
        defer { memory.release(bytes) }
        return try await work(try await self.collect(request, upTo: limit))
    }

    private func collect(_ request: Request, upTo limit: ByteCount) async throws -> ByteBuffer {
        var whole = ByteBuffer()
        for try await piece in request.body {
            guard whole.readableBytes + piece.readableBytes <= limit.rawValue else {
                throw Problem(
                    .messageTooLarge, "a body has at most \(limit)",
                    hint: "with Content-Length more is taken; a stream of lines (application/x-ndjson) has no bound")
            }
            if whole.readableBytes == 0 { whole = piece } else { whole.writeImmutableBuffer(piece) }
        }
        return whole
    }

    /// The body as the fields of one JSON object.
    func withFields<Value: Sendable>(
        of request: Request, _ owner: String, _ names: [String], _ work: (FieldReader) async throws -> Value
    ) async throws -> Value {
        switch MediaType(request.headers[.contentType]) {
        // curl says so of what is JSON just as well.
        case .json, .mergePatch, .form, .none: break
        default:
            throw Problem(.unsupportedMediaType, "this request's body is JSON", hint: "Content-Type: application/json")
        }
        return try await self.withBody(of: request, upTo: Limits.edgeMessageBytesMax) { body in
            let object: JSONObject
            do throws(JSONFault) { object = try JSONObject(body) } catch { throw Problem(error) }
            return try await work(try FieldReader(object, of: owner, names: names))
        }
    }
}
