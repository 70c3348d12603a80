package import ApusBroker
package import ApusPresence
package import NIOCore

/// Who keeps presence and receipts for the endpoint server: the broker of this process, or one elsewhere.
///
/// Asked on an event loop, answers on it, once. Rights are those of the client that comes with a question; a report is
/// the endpoint server's own.
package protocol EdgePresence: Sendable {
    func report(
        _ report: PresenceReport, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresenceAnswer, PresenceError>) -> Void)

    /// Those who are in a channel, behind a place of the page before.
    func presence(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresencePage, BrokerError>) -> Void)

    /// Who has confirmed what of a channel, and where its partitions end.
    func receipts(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void)
}

/// The broker of this process.
package struct BrokerPresence: EdgePresence {
    private let broker: Broker

    package init(_ broker: Broker) {
        self.broker = broker
    }

    package func report(
        _ report: PresenceReport, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresenceAnswer, PresenceError>) -> Void
    ) {
        self.broker.report(report, client: .embedded, on: loop, then: then)
    }

    package func presence(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresencePage, BrokerError>) -> Void
    ) {
        self.broker.presence(of: channel, behind: place, upTo: limit, client: client, on: loop, then: then)
    }

    package func receipts(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void
    ) {
        self.broker.receipts(of: channel, behind: place, upTo: limit, client: client, on: loop, then: then)
    }
}
