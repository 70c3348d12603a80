/// One line of the audit trail: who changed what, when, why, from what to what.
public struct AuditEntry: Hashable, Sendable {
    public enum Action: String, Hashable, Sendable, CaseIterable {
        case created
        case changed
        case removed
    }

    public var number: AuditNumber
    /// The commit it was part of.
    public var version: CatalogueVersion
    public var at: Timestamp
    public var actor: ConsumerName
    public var action: Action
    public var subject: CatalogueSubject
    /// As given with the change.
    public var reason: String
    /// The fields that changed: `period: 1 h → 24 h; topics: orders`. Cut at `Limits.auditDetailBytesMax`.
    public var detail: String

    public init(
        number: AuditNumber, version: CatalogueVersion, at: Timestamp, actor: ConsumerName, action: Action,
        subject: CatalogueSubject, reason: String, detail: String
    ) {
        self.number = number
        self.version = version
        self.at = at
        self.actor = actor
        self.action = action
        self.subject = subject
        self.reason = reason
        self.detail = detail
    }
}

/// An audit entry's place in the trail, from 1, without gaps.
public struct AuditNumber: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What a change means to whoever reads the trail later.
package enum AuditDetail {
    package static func of(_ consumer: Consumer?, before: Consumer?) -> String {
        self.lines(self.fields(before), self.fields(consumer))
    }

    package static func of(_ subscription: Subscription?, before: Subscription?) -> String {
        self.lines(self.fields(before), self.fields(subscription))
    }

    private static func fields(_ consumer: Consumer?) -> [(String, String?)] {
        [
            ("details", consumer.flatMap { $0.details.isEmpty ? nil : $0.details }),
            ("subscriptions-max", consumer.flatMap { $0.subscriptionsMax.map(String.init) }),
        ]
    }

    private static func fields(_ subscription: Subscription?) -> [(String, String?)] {
        [
            ("owner", subscription?.owner.text),
            ("topics", subscription?.interest.description),
            ("delivery", subscription?.delivery.rawValue),
            ("start", subscription?.start.description),
            ("period", subscription?.period?.inWords),
            ("expiry", subscription?.expiry?.inWords),
            ("origin", subscription?.origin.rawValue),
            ("filter", subscription?.filter),
            ("dead-letter", subscription?.deadLetterTopic),
            ("push-endpoint", subscription?.pushEndpoint),
        ]
    }

    private static func lines(_ before: [(String, String?)], _ after: [(String, String?)]) -> String {
        var parts: [String] = []
        for ((name, old), (_, new)) in zip(before, after) where old != new {
            switch (old, new) {
            case (let old?, let new?): parts.append("\(name): \(old) → \(new)")
            case (nil, let new?): parts.append("\(name): \(new)")
            case (let old?, nil): parts.append("\(name): \(old) → none")
            case (nil, nil): break
            }
        }
        return self.cut(parts.joined(separator: "; "))
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > Limits.auditDetailBytesMax.rawValue else { return text }
        var kept = String.UnicodeScalarView()
        var bytes = "…".utf8.count
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > Limits.auditDetailBytesMax.rawValue { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }
}

extension Subscription.Start: CustomStringConvertible {
    public var description: String {
        switch self {
        case .earliest: "earliest"
        case .latest: "latest"
        case .time(let time): "time \(time.rawValue)"
        }
    }
}
