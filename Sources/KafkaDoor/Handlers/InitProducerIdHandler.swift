import ApusBroker
import KafkaWire

/// InitProducerId (22): an identity for an idempotent producer (KIP-98).
///
/// A transactional id is refused with UNSUPPORTED_VERSION. There are no transactions here yet, and of the codes that
/// say so clients must take one that they give up on, at once and with a reason a person understands: the coordinator
/// codes (14 to 16, 51) make them look for a coordinator for ever, the authorization codes send people to look for an
/// ACL, and the producer fencing codes say that somebody else took over.
enum InitProducerIdHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...5

    /// What a person is told where an answer has room for it.
    static let noTransactions = "Transactions are not supported by this broker."

    static func handle(_ request: inout InitProducerIdRequest, _ exchange: Exchange<InitProducerIdResponse>) {
        var response = InitProducerIdResponse()
        if let transactionalID = request.transactionalID {
            response.errorCode = transactionalID.isEmpty ? .invalidRequest : .unsupportedVersion
            response.producerEpoch = -1
            return exchange.answer(response)
        }
        // A producer that names an identity it had (versions 3 and later) gets a new one all the same: that is always
        // safe, and what Kafka does without a transactional id.
        exchange.broker.initProducerID(client: exchange.client, on: exchange.loop) { result in
            var response = InitProducerIdResponse()
            switch result {
            case .success(let identity):
                response.producerID = identity.id
                response.producerEpoch = identity.epoch
            case .failure(.storeUnavailable), .failure(.storeUnknown), .failure(.shuttingDown), .failure(.overloaded):
                // No id was used up, or one that nobody will miss: the code that producers simply retry.
                response.errorCode = .coordinatorLoadInProgress
                response.producerEpoch = -1
            case .failure(let error):
                response.errorCode = error.kafkaCode
                response.producerEpoch = -1
            }
            exchange.answer(response)
        }
    }
}
