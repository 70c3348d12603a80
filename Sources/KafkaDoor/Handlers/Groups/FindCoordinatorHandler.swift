import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// FindCoordinator (10): where the coordinator of a group is; several at once from version 4 on (KIP-699).
///
/// The coordinator of a transactional id is said to be this broker: what follows is InitProducerId, whose refusal
/// clients take for final and show to people. An error here makes most of them look for a coordinator for ever.
enum FindCoordinatorHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...5

    private static let versionBatched: Int16 = 4
    private static let groupType: Int8 = 0
    private static let transactionType: Int8 = 1

    static func handle(_ request: inout FindCoordinatorRequest, _ exchange: Exchange<FindCoordinatorResponse>) {
        let keys = exchange.version >= self.versionBatched ? request.coordinatorKeys : [request.key]
        let type = exchange.version == 0 ? self.groupType : request.keyType
        guard keys.count <= Limits.groupsPerRequestMax, type == self.groupType || type == self.transactionType else {
            return self.answer(keys.prefix(1).map { ($0, .invalidRequest) }, exchange)
        }
        guard type == self.groupType else { return self.answer(keys.map { ($0, .none) }, exchange) }
        exchange.broker.findCoordinators(
            of: keys.map { GroupID($0) }, client: exchange.client, on: exchange.loop
        ) { errors in
            self.answer(zip(keys, errors).map { ($0, $1?.code ?? .none) }, exchange)
        }
    }

    private static func answer(
        _ found: [(key: String, code: KafkaErrorCode)], _ exchange: Exchange<FindCoordinatorResponse>
    ) {
        let (endpoint, broker) = (exchange.endpoint, exchange.broker.identity.brokerID.rawValue)
        var response = FindCoordinatorResponse()
        if exchange.version >= self.versionBatched {
            response.coordinators = found.map { key, code in
                var coordinator = FindCoordinatorResponse.Coordinator()
                coordinator.key = key
                coordinator.errorCode = code
                coordinator.nodeID = code == .none ? broker : -1
                coordinator.host = code == .none ? endpoint.host : ""
                coordinator.port = code == .none ? Int32(endpoint.port) : -1
                return coordinator
            }
        } else {
            let code = found.first?.code ?? .invalidRequest
            response.errorCode = code
            response.nodeID = code == .none ? broker : -1
            response.host = code == .none ? endpoint.host : ""
            response.port = code == .none ? Int32(endpoint.port) : -1
        }
        exchange.answer(response)
    }
}
