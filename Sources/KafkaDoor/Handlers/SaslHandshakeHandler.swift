import ApusAccess
import KafkaWire

/// SaslHandshake (17): which mechanism a client wants to log in with (KIP-43). After version 0 its messages come bare.
enum SaslHandshakeHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(_ request: inout SaslHandshakeRequest, _ exchange: Exchange<SaslHandshakeResponse>) {
        exchange.hear(handshake: request.mechanism) { reply in
            var response = SaslHandshakeResponse()
            switch reply {
            case .handshake(let code, let mechanisms):
                response.errorCode = code.kafkaCode
                response.mechanisms = mechanisms.map(\.rawValue)
            case .illegalState: response.errorCode = .illegalSaslState
            case .authenticate, .token, nil: return exchange.answerNothing()
            }
            exchange.answer(response)
        }
    }
}
