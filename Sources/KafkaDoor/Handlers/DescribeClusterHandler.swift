import ApusBroker
import ApusCore
import KafkaWire

/// DescribeCluster (60): the brokers and who is the controller (KIP-700, KIP-919). It takes no right: it tells no more
/// than Metadata does, which every client needs to find its brokers.
enum DescribeClusterHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    private static let brokers: Int8 = 1
    private static let controllers: Int8 = 2

    static func handle(_ request: inout DescribeClusterRequest, _ exchange: Exchange<DescribeClusterResponse>) {
        var response = DescribeClusterResponse()
        response.endpointType = request.endpointType
        let identity = exchange.broker.identity
        response.clusterID = identity.clusterID
        switch request.endpointType {
        case self.brokers:
            break
        case self.controllers:
            response.errorCode = .mismatchedEndpointType
            response.errorMessage = "This is a broker's address, not a controller's."
            return exchange.answer(response)
        default:
            response.errorCode = .unsupportedEndpointType
            response.errorMessage = "There is no endpoint type \(request.endpointType)."
            return exchange.answer(response)
        }
        let endpoint = exchange.endpoint
        var broker = DescribeClusterResponse.Broker()
        broker.brokerID = identity.brokerID.rawValue
        broker.host = endpoint.host
        broker.port = Int32(endpoint.port)
        response.brokers = [broker]
        response.controllerID = identity.brokerID.rawValue
        if request.includeClusterAuthorizedOperations {
            response.clusterAuthorizedOperations = AuthorizedOperations.cluster(for: exchange.client)
        }
        exchange.answer(response)
    }
}
