package import ApusCore

/// Which broker of which cluster this is.
package struct BrokerIdentity: Hashable, Sendable {
    package var clusterID: String
    package var brokerID: BrokerID

    package init(clusterID: String, brokerID: BrokerID) {
        self.clusterID = clusterID
        self.brokerID = brokerID
    }
}

/// Where clients reach a listener, as Metadata tells them.
package struct Endpoint: Hashable, Sendable {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }
}
