import ApusAccess
import ApusCore
import KafkaWire
import NIOCore

/// SaslAuthenticate (36): a message of the mechanism, and its answer (KIP-152); how long the session lasts (KIP-368).
enum SaslAuthenticateHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: inout SaslAuthenticateRequest, _ exchange: Exchange<SaslAuthenticateResponse>) {
        exchange.hear(.authenticate(Array(request.authBytes.readableBytesView))) { reply in
            var response = SaslAuthenticateResponse()
            response.errorMessage = nil
            switch reply {
            case .authenticate(let code, let message, let bytes, let lifetime):
                response.errorCode = code.kafkaCode
                response.errorMessage = message
                response.authBytes = ByteBuffer(bytes: bytes)
                // 0 would say that the session has no end.
                response.sessionLifetimeMs = lifetime.map { max(1, $0.wholeMilliseconds) } ?? 0
            case .illegalState:
                response.errorCode = .illegalSaslState
                response.errorMessage = "There is no login under way here."
            case .handshake, .token, nil: return exchange.answerNothing()
            }
            exchange.answer(response)
        }
    }
}

extension SaslErrorCode {
    var kafkaCode: KafkaErrorCode { KafkaErrorCode(rawValue: self.rawValue) }
}
