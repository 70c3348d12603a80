import ApusCore
package import NIOCore

/// A problem as clients are told it: the members of RFC 9457, with the code that programs look at, the Kafka protocol's
/// number, whether to try again, and what to do instead.
///
/// `detail` and `hint` may quote what the client sent: they are escaped when they are written.
package struct Problem: Error, Hashable, Sendable {
    package var code: ProblemCode
    package var detail: String
    package var hint: String?
    /// How long to wait before the same is asked again, where that is known: `retry_in`, in milliseconds.
    package var retryIn: Duration?

    package init(_ code: ProblemCode, _ detail: String, hint: String? = nil, retryIn: Duration? = nil) {
        self.retryIn = retryIn
        self.code = code
        self.detail = detail
        self.hint = hint
    }
}

extension Problem {
    package init(_ fault: JSONFault) {
        let detail =
            switch fault {
            case .truncated: "the JSON ends too soon"
            case .unexpected(let place): "no JSON at byte \(place)"
            case .tooDeep(let place): "the JSON is nested too deeply at byte \(place)"
            case .notUTF8(let place): "not UTF-8 at byte \(place)"
            case .loneSurrogate(let place): "half of a surrogate pair at byte \(place)"
            case .trailing(let place): "something follows the JSON at byte \(place)"
            case .duplicateName(let name): "'\(name)' stands twice"
            case .tooMany(let limit): "more than \(limit) members or elements"
            case .notA(let kind): "not a JSON \(kind.rawValue)"
            }
        self.init(.invalidJSON, detail)
    }

    package init(_ error: ChannelNameError) {
        self.init(.invalidChannel, error.text, hint: "a channel is 'topic', 'topic/key' or 'topic/prefix*'")
    }

    package init(_ error: CursorError) {
        switch error {
        case .otherTopic: self.init(.cursorExpired, error.text, hint: "subscribe without a cursor")
        case .unknownPartitions: self.init(.noLeader, error.text, hint: "try again in a second")
        case .stepMissing, .noWholeCursor:
            self.init(.invalidCursor, error.text, hint: "resume with the last 'cursor' alone")
        case .malformed, .truncated, .version, .forged: self.init(.invalidCursor, error.text)
        }
    }
}

extension ByteBuffer {
    /// The problem as a JSON object.
    package mutating func writeJSON(_ problem: Problem) {
        let code = problem.code
        self.writeStaticString("{\"type\":\"/errors/")
        self.writeString(code.rawValue)
        self.writeStaticString("\",\"title\":\"")
        self.writeStaticString(code.title)
        self.writeStaticString("\",\"status\":")
        self.writeJSONInteger(code.status)
        self.writeJSONName("detail")
        self.writeJSONString(problem.detail)
        self.writeStaticString(",\"code\":\"")
        self.writeString(code.rawValue)
        self.writeInteger(UInt8(ascii: "\""))
        if let kafka = code.kafkaError {
            self.writeJSONName("kafka_error")
            self.writeJSONInteger(kafka)
        }
        self.writeJSONName("retryable")
        self.writeString(code.isRetryable ? "true" : "false")
        if let wait = problem.retryIn {
            self.writeJSONName("retry_in")
            self.writeJSONInteger(wait.wholeMilliseconds)
        }
        if let hint = problem.hint {
            self.writeJSONName("hint")
            self.writeJSONString(hint)
        }
        self.writeInteger(UInt8(ascii: "}"))
    }
}
