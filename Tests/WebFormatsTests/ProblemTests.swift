import ApusBroker
import ApusCore
import NIOCore
import Testing

@testable import WebFormats

@Suite("Problems")
struct ProblemTests {
    @Test("every code has a status that fits, and words that need no escape", arguments: ProblemCode.allCases)
    func codes(code: ProblemCode) throws {
        #expect((400...599).contains(code.status))
        // Who asks wrongly is not helped by asking again.
        if code.isRetryable { #expect(code.status >= 429) }
        var buffer = ByteBuffer()
        buffer.writeJSON(Problem(code, "d"))
        let fields = try JSONObject(buffer)
        #expect(fields["code"]?.text == code.rawValue && fields["title"]?.text == "\(code.title)")
        #expect(code.rawValue.allSatisfy { $0 == "_" || ("a"..."z").contains($0) })
    }

    @Test("a problem says how long to wait where that is known, and escapes what it quotes")
    func members() throws {
        var buffer = ByteBuffer()
        buffer.writeJSON(Problem(.throttled, "a\r\n\u{1b}[31m", hint: "later", retryIn: .milliseconds(1500)))
        #expect(
            String(buffer: buffer)
                == #"{"type":"/errors/throttled","title":"Quota exceeded","status":429,"#
                + #""detail":"a\r\n\u001B[31m","code":"throttled","kafka_error":89,"retryable":true,"#
                + #""retry_in":1500,"hint":"later"}"#)
    }

    @Test(
        "a definite refusal of the broker is told as one, and only a time-out as what may have happened",
        arguments: [
            (.unknownTopicOrPartition, .topicNotFound), (.unknownTopicID, .topicNotFound),
            (.topicExists("t"), .topicExists), (.topicAuthorizationFailed, .forbidden),
            (.groupAuthorizationFailed, .forbidden), (.clusterAuthorizationFailed, .forbidden),
            (.batchTooLarge(.bytes(2), limit: .bytes(1)), .recordTooLarge), (.storageFull, .storageFull),
            (.storage("x"), .storageFailed), (.storageUnknown("x"), .timedOut), (.timedOut, .timedOut),
            (.storeUnknown("x"), .timedOut), (.storeUnavailable("x"), .storeUnavailable),
            (.overloaded("x"), .overloaded), (.shuttingDown, .shuttingDown), (.notLeader, .noLeader),
            (.offsetOutOfRange(logStart: .zero, logEnd: .zero), .offsetOutOfRange),
            (.internalTopic("x"), .internalTopic), (.catalogue(.busy("x")), .overloaded),
        ] as [(BrokerError, ProblemCode)]
    )
    func brokerErrors(error: BrokerError, code: ProblemCode) {
        #expect(Problem(error).code == code)
    }

    @Test("a quota's wait is the problem's")
    func wait() {
        #expect(Problem(.quotaExceeded(.seconds(2))).retryIn == .seconds(2))
    }
}
