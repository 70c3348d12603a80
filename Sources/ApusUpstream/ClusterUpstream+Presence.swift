package import ApusBroker
package import ApusPresence
import EdgeDoor
package import NIOCore
import ApusAccess
import ApusCore
import KafkaWire

/// Presence and receipts, kept by brokers elsewhere: told over the Kafka port, with the endpoint server's own rights.
extension ClusterUpstream: EdgePresence {
    package func report(
        _ report: PresenceReport, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresenceAnswer, PresenceError>) -> Void
    ) {
        let request = ReportPresenceRequest(report)
        // Also while the rules are not heard of: who is here is so whoever may read.
        self.desk.loop.execute {
            self.desk.call(request, to: nil, waiting: .zero) { result in
                let answer = result.mapError { _ in PresenceError.unavailable }.flatMap { response in
                    PresenceError(response.errorCode).map { .failure($0) }
                        ?? .success(
                            PresenceAnswer(
                                life: response.life,
                                lease: .milliseconds(min(max(0, response.leaseMs), Self.leaseMax)),
                                refused: response.refused.map { Int($0) }))
                }
                loop.execute { then(answer) }
            }
        }
    }

    /// A day, in milliseconds: what a broker says is not believed further.
    private static var leaseMax: Int64 { 86_400_000 }

    package func presence(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresencePage, BrokerError>) -> Void
    ) {
        self.describe(channel, behind: place, upTo: limit, withReceipts: false, client, on: loop) { result in
            then(result.map(\.page))
        }
    }

    package func receipts(
        of channel: String, behind place: Int64?, upTo limit: Int, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void
    ) {
        self.describe(channel, behind: place, upTo: limit, withReceipts: true, client, on: loop, then: then)
    }

    private func describe(
        _ channel: String, behind place: Int64?, upTo limit: Int, withReceipts: Bool, _ client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void
    ) {
        guard client.allows(.read, onTopic: String(channel.prefix { $0 != "/" })) else {
            return loop.execute { then(.failure(.topicAuthorizationFailed)) }
        }
        var request = DescribePresenceRequest()
        request.channel = channel
        request.after = place ?? -1
        request.limit = Int32(clamping: limit)
        request.receipts = withReceipts
        self.ask(request, on: loop, then: then) { answer in
            if let error = BrokerError(answer.errorCode, answer.errorMessage) { return .failure(error) }
            let page = PresencePage(
                members: answer.members.map { PresenceMember($0) }, count: Int(answer.count),
                next: answer.next < 0 ? nil : answer.next, isComplete: answer.isComplete)
            let ends = answer.ends.map {
                (PartitionIndex(rawValue: $0.partitionIndex), Offset(rawValue: $0.offset))
            }
            return .success(ReceiptPage(page: page, ends: Dictionary(ends, uniquingKeysWith: { first, _ in first })))
        }
    }
}

extension PresenceMember {
    fileprivate init(_ member: DescribePresenceResponse.Member) {
        self.init(
            node: member.node, life: member.life, connection: member.connection,
            guest: PresenceGuest(user: member.user, client: member.client),
            since: member.sinceMs < 0 ? nil : Timestamp(rawValue: member.sinceMs),
            seen: member.seen.map {
                PresenceSeen(
                    partition: PartitionIndex(rawValue: $0.partitionIndex), next: Offset(rawValue: $0.nextOffset),
                    at: Timestamp(rawValue: $0.atMs))
            },
            place: member.place)
    }
}

extension ReportPresenceRequest {
    fileprivate init(_ report: PresenceReport) {
        self.init()
        self.node = report.node
        self.life = report.life
        self.number = report.number
        self.isAlone = report.isAlone
        self.changes = report.changes.map { Change($0) }
    }
}

extension ReportPresenceRequest.Change {
    fileprivate init(_ change: PresenceChange) {
        self.init()
        self.channel = change.place.channel
        self.connection = change.place.connection
        switch change {
        case .join(_, let guest, let at):
            self.kind = 0
            (self.user, self.client, self.atMs) = (guest.user, guest.client, at.rawValue)
        case .leave(_, let reason, let at):
            self.kind = 1
            (self.reason, self.atMs) = (reason.rawValue, at.rawValue)
        case .seen(_, let guest, let seen):
            self.kind = 2
            (self.user, self.client) = (guest.user, guest.client)
            self.seen = seen.map { seen in
                var wire = ReportPresenceRequest.Seen()
                wire.partitionIndex = seen.partition.rawValue
                wire.nextOffset = seen.next.rawValue
                wire.atMs = seen.at.rawValue
                return wire
            }
        }
    }
}

extension PresenceError {
    /// Nil for 0, which is no error.
    fileprivate init?(_ code: KafkaErrorCode) {
        switch code {
        case .none: return nil
        case .fencedMemberEpoch: self = .fenced
        case .coordinatorLoadInProgress: self = .loading
        case .throttlingQuotaExceeded: self = .tooMany
        case .invalidRequest: self = .invalid
        case .clusterAuthorizationFailed: self = .forbidden
        default: self = .unavailable
        }
    }
}
