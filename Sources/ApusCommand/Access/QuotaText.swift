package import ApusClient
import ApusCore

/// Quotas as they are typed: `in=10MiB out=1GiB`, and as they are shown.
package enum QuotaText {
    /// Our word, Kafka's name, and whether it is a number of bytes.
    private static let kinds: [(word: String, name: String, isBytes: Bool)] = [
        ("in", "producer_byte_rate", true), ("out", "consumer_byte_rate", true),
        ("time", "request_percentage", false), ("partitions", "controller_mutation_rate", false),
        ("connections", "connection_creation_rate", false),
    ]

    package static let words = Self.kinds.map(\.word)

    /// Kafka's name of a quota, from ours or its own.
    package static func name(_ text: String) throws(CommandFailure) -> String {
        guard let kind = Self.kinds.first(where: { $0.word == text || $0.name == text }) else {
            throw .usage("there is no quota \"\(text)\"", next: "one of: \(Self.words.joined(separator: " "))")
        }
        return kind.name
    }

    /// `in=10MiB`: a rate a second; `time=50` is half of one thread.
    package static func rate(_ text: String) throws(CommandFailure) -> (name: String, rate: Double) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw .usage("\"\(text)\" is not a quota", next: "write it as in=10MiB, out=1GiB, time=50 or partitions=10")
        }
        let name = try Self.name(parts[0])
        let rate: Double
        if Self.kinds.contains(where: { $0.name == name && $0.isBytes }) {
            rate = Double(try Quantity.size(parts[1]).rawValue)
        } else {
            rate = Double(parts[1].hasSuffix("%") ? String(parts[1].dropLast()) : parts[1]) ?? 0
        }
        guard rate > 0, rate.isFinite else { throw .usage("\"\(text)\": a rate is a number above zero") }
        return (name, rate)
    }

    /// `*` is all others.
    package static func entity(user: String?, clientID: String?, address: String?) throws(CommandFailure) -> QuotaEntity
    {
        func name(_ text: String) -> QuotaEntity.Name { text == "*" ? .others : .named(text) }
        guard (user != nil || clientID != nil) != (address != nil) else {
            throw .usage("whose quota?", next: "--principal, --client-id or both, or --address; * is all others")
        }
        return QuotaEntity(user: user.map(name), clientID: clientID.map(name), address: address.map(name))
    }

    package static func listing(of quotas: [Quota]) -> Listing {
        var listing = Listing(
            [.init("user"), .init("client_id"), .init("address")]
                + Self.kinds.map { .init($0.name, $0.word.uppercased() + "/S", isNumber: true) })
        for quota in quotas {
            listing.add(
                [Self.cell(quota.entity.user), Self.cell(quota.entity.clientID), Self.cell(quota.entity.address)]
                    + Self.kinds.map { kind in
                        guard let rate = quota.rates[kind.name] else { return .nothing }
                        let text = kind.isBytes ? "\(ByteCount.bytes(Int(min(rate, 9e18))))" : "\(rate)"
                        return Cell(.number(rate), text: text)
                    })
        }
        return listing
    }

    private static func cell(_ name: QuotaEntity.Name?) -> Cell {
        switch name {
        case nil: .nothing
        case .others: .text("*")
        case .named(let name): .text(name)
        }
    }
}
