import ApusCore

/// Which quotas DescribeClientQuotas shows (KIP-546).
package struct QuotaFilter: Hashable, Sendable {
    package enum Match: Hashable, Sendable {
        case exactly(QuotaEntity.Who)
        /// Any name, or the others, but something.
        case specified

        fileprivate var asAddress: Self {
            if case .exactly(let who) = self { .exactly(who.asAddress) } else { self }
        }

        fileprivate func matches(_ who: QuotaEntity.Who?) -> Bool {
            switch self {
            case .exactly(let wanted): who == wanted
            case .specified: who != nil
            }
        }
    }

    package var user: Match?
    package var clientID: Match?
    /// However the address is written.
    package var address: Match? {
        didSet { self.address = self.address?.asAddress }
    }
    /// Entities with a part that is not asked for are left out.
    package var isStrict = false

    /// Shows everything.
    package init() {}

    package func shows(_ entity: QuotaEntity) -> Bool {
        self.fits(self.user, entity.user) && self.fits(self.clientID, entity.clientID)
            && self.fits(self.address, entity.address)
    }

    private func fits(_ match: Match?, _ who: QuotaEntity.Who?) -> Bool {
        guard let match else { return !self.isStrict || who == nil }
        return match.matches(who)
    }
}

extension QuotaEntity: CustomStringConvertible {
    /// `user=alice client-id=*`; the star is for all others.
    package var description: String {
        [("user", self.user), ("client-id", self.clientID), ("ip", self.address)].compactMap { type, who in
            who.map { "\(type)=\($0.name?.text ?? "*")" }
        }.joined(separator: " ")
    }
}

extension QuotaEntity.Refusal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .combination: "a quota is for a user, a client id, both, or an address"
        case .name(let name): "'\(name.prefix(64))' is not a name that a quota can have"
        case .kind(let kind): "\(kind.rawValue) is not counted for that"
        case .value: "a rate is \(Limits.quotaRateMin) to \(Limits.quotaRateMax) a second"
        }
    }
}
