import ApusBroker
import ApusCore
import ApusPresence
import KafkaWire

/// ReportPresence (32005, our own): what an endpoint server in a process of its own tells of its clients.
enum ReportPresenceHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout ReportPresenceRequest, _ exchange: Exchange<ReportPresenceResponse>) {
        guard let report = PresenceReport(request) else {
            var response = ReportPresenceResponse()
            response.errorCode = .invalidRequest
            response.errorMessage = "Not a report of presence."
            return exchange.answer(response)
        }
        exchange.broker.report(report, client: exchange.client, on: exchange.loop) { result in
            var response = ReportPresenceResponse()
            switch result {
            case .success(let answer):
                response.life = answer.life
                response.leaseMs = answer.lease.wholeMilliseconds
                response.refused = answer.refused.map { Int32(clamping: $0) }
            case .failure(let error):
                response.errorCode = error.kafkaCode
            }
            exchange.answer(response)
        }
    }
}

extension PresenceReport {
    /// Nil for kinds and reasons that there are not.
    fileprivate init?(_ request: ReportPresenceRequest) {
        guard request.changes.count <= Limits.presenceChangesPerReportMax else { return nil }
        var changes: [PresenceChange] = []
        for wire in request.changes {
            guard let change = PresenceChange(wire) else { return nil }
            changes.append(change)
        }
        self.init(
            node: request.node, life: request.life, number: request.number, isAlone: request.isAlone, changes: changes)
    }
}

extension PresenceChange {
    fileprivate init?(_ wire: ReportPresenceRequest.Change) {
        let place = PresencePlace(channel: wire.channel, connection: wire.connection)
        let guest = PresenceGuest(user: wire.user, client: wire.client)
        let at = Timestamp(rawValue: wire.atMs)
        switch wire.kind {
        case 0: self = .join(place, guest, at: at)
        case 1:
            guard let reason = PresenceLeave(rawValue: wire.reason) else { return nil }
            self = .leave(place, reason, at: at)
        case 2:
            guard wire.seen.count <= Limits.receiptPartitionsMax,
                wire.seen.allSatisfy({ $0.partitionIndex >= 0 && $0.nextOffset > 0 })
            else { return nil }
            self = .seen(
                place, guest,
                wire.seen.map {
                    PresenceSeen(
                        partition: PartitionIndex(rawValue: $0.partitionIndex), next: Offset(rawValue: $0.nextOffset),
                        at: Timestamp(rawValue: $0.atMs))
                })
        default: return nil
        }
    }
}

extension PresenceError {
    fileprivate var kafkaCode: KafkaErrorCode {
        switch self {
        case .fenced: .fencedMemberEpoch
        case .loading: .coordinatorLoadInProgress
        case .unavailable: .coordinatorNotAvailable
        case .tooMany: .throttlingQuotaExceeded
        case .invalid: .invalidRequest
        case .forbidden: .clusterAuthorizationFailed
        }
    }
}
