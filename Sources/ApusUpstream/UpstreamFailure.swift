import ApusBroker

/// Why an endpoint server could not begin.
package struct UpstreamFailure: Error, Sendable {
    /// For people.
    package let words: String
    /// It may work when it is tried again.
    package let isRetryable: Bool

    init(_ error: BrokerError) {
        self.isRetryable = error.passes
        switch error {
        case .clusterAuthorizationFailed:
            self.words = "the brokers refuse it: an endpoint server needs the right CLUSTER_ACTION on the cluster"
        case .overloaded(let text), .invalidRequest(let text): self.words = text
        default: self.words = "the brokers answer \(error)"
        }
    }
}
