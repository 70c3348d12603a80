import ApusCore

/// What is counted, by Kafka's names.
package enum QuotaKind: String, CaseIterable, Sendable {
    /// Bytes a second that a client may send with Produce.
    case producedBytes = "producer_byte_rate"
    /// Bytes a second that a client may be sent by Fetch.
    case fetchedBytes = "consumer_byte_rate"
    /// Time of event loops and disk threads for a client's requests, in percent of one thread.
    case requestTime = "request_percentage"
    /// Partitions a second that a client may create or delete (KIP-599).
    case mutations = "controller_mutation_rate"
    /// Connections a second from one address (KIP-612).
    case accepts = "connection_creation_rate"
}

/// Whom a quota is for (KIP-546): a user, a client id, both, or an address; each by name, or whoever has none of its
/// own.
package struct QuotaEntity: Hashable, Sendable {
    package enum Who: Hashable, Sendable {
        case named(ExactText)
        case others

        package var name: ExactText? { if case .named(let name) = self { name } else { nil } }

        /// With an address in the one form by which it is looked for, however it was written; other names stay.
        var asAddress: Self {
            guard case .named(let name) = self, let address = HostAddress(name.text) else { return self }
            return .named(ExactText("\(address)"))
        }
    }

    package let user: Who?
    package let clientID: Who?
    package let address: Who?

    package enum Refusal: Error, Hashable, Sendable {
        /// Nobody, or an address together with something else.
        case combination
        case name(String)
        /// Not something that can be counted for this entity.
        case kind(QuotaKind)
        /// Not a number from `Limits.quotaRateMin` to `Limits.quotaRateMax`.
        case value
    }

    package init(user: Who? = nil, clientID: Who? = nil, address: Who? = nil) throws(Refusal) {
        guard (user != nil || clientID != nil) != (address != nil) else { throw .combination }
        if let name = user?.name, Principal(user: name.text) == nil { throw .name(name.text) }
        if let name = clientID?.name, !Self.isClientID(name) { throw .name(name.text) }
        if let name = address?.name, HostAddress(name.text) == nil { throw .name(name.text) }
        self.user = user
        self.clientID = clientID
        self.address = address?.asAddress
    }

    /// To look for: not asked whether a rule could have such names. What could not is not found.
    fileprivate init(wanted user: Who?, _ clientID: Who?, address: Who? = nil) {
        self.user = user
        self.clientID = clientID
        self.address = address
    }

    package func refusal(of kind: QuotaKind, _ value: Double) -> Refusal? {
        if (kind == .accepts) != (self.address != nil) { return .kind(kind) }
        return value >= Limits.quotaRateMin && value <= Limits.quotaRateMax ? nil : .value
    }

    private static func isClientID(_ name: ExactText) -> Bool {
        name.utf8.count <= Limits.principalNameBytesMax.rawValue && name.text.unicodeScalars.allSatisfy(isShown)
    }
}

/// Who is counted. Made once for a connection and its client id.
package struct QuotaSubject: Hashable, Sendable {
    package let user: ExactText
    /// Empty when the client gave none. Only as long as a client id that a quota can name: what goes on behind that is
    /// the client's own and would only cost memory.
    package let clientID: ExactText

    package init(_ principal: Principal, clientID: String?) {
        self.user = principal.name
        let id = clientID ?? ""
        self.clientID = ExactText(id.utf8.count <= Limits.principalNameBytesMax.rawValue ? id : "")
    }
}

/// A rate, and who shares it.
package struct QuotaLimit: Hashable, Sendable {
    /// A second (of `requestTime`: percent of one thread).
    package let rate: Double
    /// Nil: all users together.
    let user: ExactText?
    /// Nil: all client ids together.
    let clientID: ExactText?
}

/// All quotas, as one value that the assembly replaces when any of them changes.
package struct QuotaRules: Hashable, Sendable {
    private var rates: [QuotaEntity: [QuotaKind: Double]] = [:]
    /// What each user has where no rule says anything. Not shown as a rule, because nobody made it.
    package var fallback: [QuotaKind: Double]

    /// Wide enough that no honest client notices; one that has gone wild does.
    package static let generous: [QuotaKind: Double] = [
        .producedBytes: Limits.quotaBytesDefault, .fetchedBytes: Limits.quotaBytesDefault,
        .mutations: Limits.quotaMutationsDefault,
    ]

    package init(fallback: [QuotaKind: Double] = Self.generous) {
        self.fallback = fallback
    }

    package var entities: [QuotaEntity: [QuotaKind: Double]] { self.rates }
    package var isEmpty: Bool { self.rates.isEmpty }

    /// Sets or, with nil, removes a rate.
    package mutating func set(
        _ kind: QuotaKind, of entity: QuotaEntity, to rate: Double?
    ) throws(QuotaEntity.Refusal) {
        if let refusal = entity.refusal(of: kind, rate ?? 1) { throw refusal }
        self.rates[entity, default: [:]][kind] = rate
        if self.rates[entity]?.isEmpty == true { self.rates[entity] = nil }
    }

    /// The rule for somebody, by Kafka's precedence: the first that there is of
    ///
    ///     user and client id · user and any client · user · any user and client id · any user and any client ·
    ///     any user · client id · any client
    ///
    /// "Any" is a rate for each of those whom it covers, not one for all of them together.
    package func limit(_ kind: QuotaKind, for subject: QuotaSubject) -> QuotaLimit? {
        guard !self.rates.isEmpty else { return self.fallback(kind, subject) }
        let users: [QuotaEntity.Who?] = [.named(subject.user), .others, nil]
        let clients: [QuotaEntity.Who?] = [.named(subject.clientID), .others, nil]
        for user in users {
            for client in clients {
                guard let rate = self.rates[QuotaEntity(wanted: user, client)]?[kind] else { continue }
                return QuotaLimit(
                    rate: rate, user: user == nil ? nil : subject.user, clientID: client == nil ? nil : subject.clientID
                )
            }
        }
        return self.fallback(kind, subject)
    }

    /// The quota for connections from an address, if there is one: its own, else that of all others, loopback included.
    package func acceptQuota(of address: HostAddress) -> ConnectionCaps.Quota? {
        // Mostly there are none, and each new connection asks.
        guard !self.rates.isEmpty else { return nil }
        func rate(_ who: QuotaEntity.Who) -> Double? {
            self.rates[QuotaEntity(wanted: nil, nil, address: who)]?[.accepts]
        }
        if let rate = rate(.named(ExactText("\(address)"))) { return ConnectionCaps.Quota(rate: rate, isNamed: true) }
        return rate(.others).map { ConnectionCaps.Quota(rate: $0, isNamed: false) }
    }

    private func fallback(_ kind: QuotaKind, _ subject: QuotaSubject) -> QuotaLimit? {
        self.fallback[kind].map { QuotaLimit(rate: $0, user: subject.user, clientID: nil) }
    }
}
