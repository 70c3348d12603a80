import ApusCore

/// Which API keys there are, by their ids, as the brokers told last: whether somebody who is connected with one may
/// stay. Nothing in it logs in.
struct UpstreamKeys: Sendable {
    /// What the brokers call these; -1: none has told, and none is asked.
    private(set) var known: Int64 = -1
    private var ids: Set<String> = []
    /// Those that a broker has taken since, with what it called the keys then.
    private var vouched: [String: Int64] = [:]

    /// Brokers know of API keys, and can be asked.
    var areTold: Bool { self.known >= 0 }

    /// - Parameter ids: nil: they are the same.
    mutating func heard(_ ids: [String]?, version: Int64) {
        guard let ids, version >= self.known else { return }
        self.ids = Set(ids)
        self.known = version
        self.vouched = self.vouched.filter { $0.value > version }
    }

    /// A broker has just let somebody in with this one, which may be newer than what was told here.
    mutating func vouch(for id: String, version: Int64) {
        guard version > self.known, self.vouched.count < Limits.apiKeysMax else { return }
        self.vouched[id] = version
    }

    func hold(_ id: String) -> Bool { self.ids.contains(id) || self.vouched[id] != nil }
}
