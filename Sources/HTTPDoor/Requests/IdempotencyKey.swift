import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import WebFormats

/// What a client calls a write, so that it is not done twice when it is sent twice
/// (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header).
///
/// The draft wants a string in quotes (RFC 9651 section 3.3.3). Many clients send it without: what is in the quotes is
/// the key, and it is the same key without them.
enum IdempotencyKey {
    /// Nil when the request has none.
    static func of(_ request: Request) throws(Problem) -> String? {
        let fields = request.headers[values: .idempotencyKey]
        guard let field = fields.first else { return nil }
        guard fields.count == 1 else { throw self.refusal("stands twice") }
        let blanks: Set<UInt8> = [0x20, 0x09]
        var bytes = Array(field.utf8.drop { blanks.contains($0) })
        while let last = bytes.last, blanks.contains(last) { bytes.removeLast() }
        let key = bytes.first == UInt8(ascii: "\"") ? try self.quoted(bytes) : try self.plain(bytes)
        let limit = Limits.idempotencyKeyBytesMax
        guard !key.isEmpty, key.count <= limit.rawValue else { throw self.refusal("has 1 to \(limit.rawValue) bytes") }
        return String(decoding: key, as: UTF8.self)
    }

    private static func plain(_ bytes: [UInt8]) throws(Problem) -> [UInt8] {
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") }) else {
            throw self.refusal("is of visible characters of ASCII, or a string in quotes")
        }
        return bytes
    }

    private static func quoted(_ bytes: [UInt8]) throws(Problem) -> [UInt8] {
        var key: [UInt8] = []
        var isEscaped = false
        for (index, byte) in bytes.enumerated().dropFirst() {
            if isEscaped {
                guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { break }
                key.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                guard index == bytes.count - 1 else { break }
                return key
            } else {
                guard (0x20...0x7E).contains(byte) else { break }
                key.append(byte)
            }
        }
        throw self.refusal("in quotes is of printable ASCII, with \\ in front of \" and \\, and nothing behind it")
    }

    private static func refusal(_ what: String) -> Problem {
        Problem(
            .invalidRequest, "'Idempotency-Key' \(what)",
            hint: "like Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"")
    }
}

extension HTTPField.Name {
    static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .ifMatch
    /// Of an answer: nothing was written, the same write had been done before.
    static let idempotentReplayed = HTTPField.Name("Idempotent-Replayed") ?? .ifMatch
}
