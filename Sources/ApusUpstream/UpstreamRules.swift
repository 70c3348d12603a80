import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// The rules of who may do what as the brokers told them last, and when that was.
///
/// **They fail closed.** Rules that nobody confirmed for ``UpstreamLimits/rulesAgeMax`` let nothing pass, whomever they
/// speak of; before the first were heard there is nobody who may do anything.
struct UpstreamRules: Sendable {
    /// Of the cluster that was found first; another is not believed.
    private(set) var clusterID: String?
    private var acls = AclSet(version: .none, acls: [], superUsers: [])
    private var isAuthorizing = true
    /// What the brokers call these rules.
    private(set) var known: Int64 = -1
    private var confirmedAt: Instant?
    /// Counts the rules: what a client was told by, to see whether there are others.
    private(set) var version: Int64 = 1

    enum Refusal: Error, Hashable, Sendable {
        /// Brokers of another cluster than at first.
        case otherCluster(String)
        /// A rule that is none: this program is older than the brokers, or the answer is damaged.
        case rule
        /// A cursor key of fewer than 32 bytes.
        case cursorKey
    }

    /// The brokers told what holds now. After a refusal the rules are as old as they were.
    mutating func heard(_ answer: DescribeEdgeResponse, at now: Instant) throws(Refusal) {
        if let clusterID = self.clusterID, clusterID != answer.clusterID { throw .otherCluster(answer.clusterID) }
        guard answer.cursorKey.readableBytes >= 32 else { throw .cursorKey }
        var superUsers: Set<Principal> = []
        for text in answer.superUsers {
            guard let principal = Principal(parsing: text) else { throw .rule }
            superUsers.insert(principal)
        }
        if let rules = answer.rules {
            var acls: [Acl] = []
            acls.reserveCapacity(rules.count)
            for rule in rules {
                // One that is left out might be one that forbids.
                guard let acl = AclRecord.decoded(Array(buffer: rule.record)) else { throw .rule }
                acls.append(acl)
            }
            self.version += 1
            self.acls = AclSet(version: StoreRevision(rawValue: self.version), acls: acls, superUsers: superUsers)
            self.known = answer.rulesVersion
        } else if answer.isAuthorizing != self.isAuthorizing || superUsers != self.acls.superUsers {
            self.version += 1
            self.acls = AclSet(
                version: StoreRevision(rawValue: self.version), acls: self.acls.acls, superUsers: superUsers)
        }
        self.isAuthorizing = answer.isAuthorizing
        self.clusterID = answer.clusterID
        self.confirmedAt = now
    }

    /// Whether they still count.
    func hold(at now: Instant) -> Bool {
        self.confirmedAt.map { now.since($0) <= UpstreamLimits.rulesAgeMax } ?? false
    }

    var count: Int { self.acls.acls.count }

    /// Since when nobody confirmed them; nil: nobody ever has.
    func age(at now: Instant) -> Duration? { self.confirmedAt.map { now.since($0) } }

    func view(of principal: Principal, from host: HostAddress?) -> AccessView {
        self.isAuthorizing ? self.acls.view(of: principal, from: host) : .open
    }

    /// Puts the rules of now in place of those of then.
    func renew(_ client: inout ClientContext) {
        guard client.principal != .embedded else { return }
        if client.access.isUnrestricted {
            // The only thing that takes away all rights at once.
            let isStill = !self.isAuthorizing || self.acls.superUsers.contains(client.principal)
            guard !isStill else { return }
        } else if client.access.version.rawValue == self.version {
            return
        }
        let channels = client.access.channels
        client.access = self.view(of: client.principal, from: HostAddress(client.address)).bounded(by: channels)
    }
}
